//! Results and errors for the server, with the credentials of the plugin redacted.
//!
//! What comes from a provider has been looked through before the plugin got it ([`crate::outbound`]). But a stream comes in pieces, and a
//! plugin puts them together.

use std::sync::Arc;

use serde::de::IgnoredAny;
use understudy_mcp_types::{Block, CreateMessageResult, Text};

use crate::error::Error;
use crate::outbound::redact::{CUT, Secret};
use crate::wit::understudy::plugin::types as wit;

/// The result as JSON, the credentials cut out of all of it.
///
/// # Errors
/// If nothing else would be left of it.
pub(super) fn result_json(
    plugin: &str,
    mut result: CreateMessageResult,
    secrets: &[Arc<Secret>],
) -> Result<String, Error> {
    let bad = |reason: String| Error::BadAnswer { plugin: plugin.to_owned(), reason };
    if result.content.len() > 1 && !secrets.is_empty() {
        cut_across(&mut result.content, secrets);
    }
    let mut json = serde_json::to_string(&result).map_err(|e| bad(e.to_string()))?;
    let mut is_changed = false;
    for secret in secrets {
        if !secret.spans(json.as_bytes()).is_empty() {
            json = secret.redact_part(json);
            is_changed = true;
        }
    }
    if is_changed && serde_json::from_str::<IgnoredAny>(&json).is_err() {
        return Err(bad("it holds the credential, which can't be cut out of it".to_owned()));
    }
    Ok(json)
}

/// Cuts credentials out of blocks of text that a reader puts together.
fn cut_across(content: &mut [Block], secrets: &[Arc<Secret>]) {
    for secret in secrets {
        let text =
            |block: &Block| if let Block::Text(Text { text, .. }) = block { text.clone() } else { String::new() };
        let whole: String = content.iter().map(text).collect();
        let spans = secret.spans(whole.as_bytes());
        let bytes = |from: usize, to: usize| whole.as_bytes().get(from..to).unwrap_or_default();
        let mut begin = 0;
        for block in content.iter_mut() {
            let Block::Text(Text { text, .. }) = block else { continue };
            let (end, mut at) = (begin + text.len(), begin);
            let mut kept = Vec::new();
            for span in spans.iter().filter(|span| span.start < end && span.end > begin) {
                kept.extend_from_slice(bytes(at, span.start));
                if span.start >= begin {
                    kept.extend_from_slice(CUT.as_bytes());
                }
                at = span.end.min(end);
            }
            if at > begin {
                kept.extend_from_slice(bytes(at, end));
                *text = String::from_utf8_lossy(&kept).into_owned();
            }
            begin = end;
        }
    }
}

/// An error without the credentials.
pub(super) fn redact_error(error: Error, secrets: &[Arc<Secret>]) -> Error {
    if secrets.is_empty() {
        return error;
    }
    let cut = |text: String| secrets.iter().fold(text, |text, secret| secret.redact_part(text));
    match error {
        Error::Guest { plugin, error } => Error::Guest { plugin, error: guests(error, cut) },
        Error::Trap { plugin, call, reason } => Error::Trap { plugin, call, reason: cut(reason) },
        Error::Refused { plugin, reason } => Error::Refused { plugin, reason: cut(reason) },
        Error::BadAnswer { plugin, reason } => Error::BadAnswer { plugin, reason: cut(reason) },
        other => other,
    }
}

fn guests(error: wit::Error, cut: impl Fn(String) -> String) -> wit::Error {
    let failure = |failure: wit::Failure| wit::Failure { message: cut(failure.message), ..failure };
    match error {
        wit::Error::InvalidRequest(of) => wit::Error::InvalidRequest(failure(of)),
        wit::Error::Unsupported(of) => wit::Error::Unsupported(failure(of)),
        wit::Error::MalformedResponse(of) => wit::Error::MalformedResponse(failure(of)),
        wit::Error::Other(of) => wit::Error::Other(failure(of)),
        wit::Error::Provider(mut of) => {
            of.message = cut(of.message);
            // Any other word is as good, and this one is not for the server.
            of.kind = cut(of.kind);
            wit::Error::Provider(of)
        }
    }
}

#[cfg(test)]
mod tests {
    use understudy_mcp_types::Extras;

    use super::*;

    const KEY: &str = "sk-proj-AbCdEf0123456789xyz";

    fn result(texts: &[&str]) -> CreateMessageResult {
        let block = |text: &&str| Block::Text(Text { text: (*text).to_owned(), extras: Extras::default() });
        CreateMessageResult {
            content: texts.iter().map(block).collect(),
            model: "m".to_owned(),
            stop_reason: None,
            meta: None,
        }
    }

    fn secrets() -> Vec<Arc<Secret>> {
        vec![Arc::new(Secret::new("another-key-0123456789".to_owned())), Arc::new(Secret::new(KEY.to_owned()))]
    }

    #[test]
    fn a_credential_is_cut_out_of_blocks_that_hold_a_part_each() {
        let said = |texts: &[&str]| {
            let json = result_json("p", result(texts), &secrets()).unwrap();
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            value["content"]
                .as_array()
                .unwrap()
                .iter()
                .map(|block| block["text"].as_str().unwrap().to_owned())
                .collect()
        };
        let of = |texts: &[&str]| -> Vec<String> { said(texts) };
        assert_eq!(of(&["a sk-proj-Ab", "CdEf", "0123456789xyz b"]), ["a [credential]", "", " b"]);
        assert_eq!(of(&[KEY, "wörld", KEY]), ["[credential]", "wörld", "[credential]"]);
        assert_eq!(of(&["sk-proj-", "ect"]), ["sk-proj-", "ect"]);
    }

    #[test]
    fn a_result_is_json_still_or_an_error() {
        let mut with = result(&["x"]);
        with.model = format!("m {KEY}");
        assert!(result_json("p", with, &secrets()).unwrap().contains(r#""model":"m [credential]""#));
        let list = KEY.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",");
        let json = result_json("p", result(&[&format!("[{list}]")]), &secrets()).unwrap();
        assert!(json.contains("[[credential]]"), "{json}");
    }

    #[test]
    fn an_error_is_told_without_a_credential() {
        let failure = wit::Failure { message: format!("no: {KEY}"), extensions: String::new() };
        let error = Error::Guest { plugin: "p".to_owned(), error: wit::Error::Other(failure) };
        assert_eq!(redact_error(error, &secrets()).to_string(), "plugin `p`: no: [credential]");
    }
}
