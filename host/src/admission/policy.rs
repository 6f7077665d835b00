//! What one request may contain: its size, its messages and media, and its `maxTokens`. The same holds for requests that plugins answer and
//! for those that a client answers.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::value::RawValue;
use understudy_mcp_types::{Block, CreateMessageRequestParams, ResourceContents};

use super::outline::Outline;
use crate::config::{Limits, Sampling};
use crate::error::Error;
use crate::text::one_line;

/// What the requests of one server may contain.
#[derive(Debug)]
pub(crate) struct RequestPolicy {
    max_tokens: u32,
    /// Whether the log says already that a `maxTokens` was lowered.
    has_warned: AtomicBool,
    largest: usize,
    messages: usize,
    media: usize,
}

/// The edit that lowers `maxTokens` in a request that a client answers.
#[derive(Debug, Clone, Copy)]
pub struct Lowered<'a> {
    /// `maxTokens` as the request spells it, if it has any.
    pub old: Option<&'a RawValue>,
    /// The value in its place.
    pub new: u32,
}

impl RequestPolicy {
    /// The policy that the config gives a server.
    pub(crate) fn new(rule: &Sampling, limits: &Limits) -> Self {
        Self {
            max_tokens: rule.most_tokens(),
            has_warned: AtomicBool::new(false),
            largest: limits.sampling_request,
            messages: usize::try_from(limits.messages).unwrap_or(usize::MAX),
            media: limits.media,
        }
    }

    /// Checks the size of a request, in bytes of its parameters.
    ///
    /// # Errors
    /// If it is larger.
    pub(super) fn check_size(&self, size: usize) -> Result<(), Error> {
        let what = || format!("{size} bytes");
        if size > self.largest { Err(too_large(what(), "samplingRequest", self.largest)) } else { Ok(()) }
    }

    /// Checks what a parsed request contains.
    ///
    /// # Errors
    /// [`Error::RequestTooLarge`] for the first thing of which there is too much.
    pub(crate) fn check(&self, request: &CreateMessageRequestParams) -> Result<(), Error> {
        self.count(request.messages.len())?;
        let blocks = request.messages.iter().flat_map(|message| &message.content);
        self.weigh(blocks.map(largest_media).max().unwrap_or_default())
    }

    /// Lowers `maxTokens` to the cap of the config.
    #[must_use]
    pub(crate) fn clamp(&self, server: &str, mut request: CreateMessageRequestParams) -> CreateMessageRequestParams {
        if request.max_tokens > self.max_tokens.into() {
            self.warn_once(server, &request.max_tokens.to_string());
            request.max_tokens = self.max_tokens.into();
        }
        request
    }

    /// Checks a request that a client is to answer by the same rules, without parsing more of it than they need; the edit that lowers its
    /// `maxTokens`, if it needs one.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] or [`Error::RequestTooLarge`], for the first rule that it breaks.
    pub(crate) fn review<'a>(&self, server: &str, params: &'a [u8]) -> Result<Option<Lowered<'a>>, Error> {
        let invalid = |reason: String| Error::InvalidRequest { reason: one_line(&reason, 500) };
        self.check_size(params.len())?;
        let outline = Outline::of(params).map_err(invalid)?;
        self.count(outline.messages().map_err(invalid)?)?;
        // No part is larger than the whole.
        if params.len() > self.media {
            self.weigh(outline.largest_media())?;
        }
        let new = self.max_tokens;
        Ok(match outline.max_tokens().map_err(invalid)? {
            Some((_, number)) if number <= f64::from(new) => None,
            Some((old, _)) => {
                self.warn_once(server, old.get());
                Some(Lowered { old: Some(old), new })
            }
            None => Some(Lowered { old: None, new }),
        })
    }

    fn count(&self, messages: usize) -> Result<(), Error> {
        let what = || format!("{messages} messages");
        if messages > self.messages { Err(too_large(what(), "messages", self.messages)) } else { Ok(()) }
    }

    fn weigh(&self, media: usize) -> Result<(), Error> {
        let what = || format!("{media} bytes of media in one block");
        if media > self.media { Err(too_large(what(), "media", self.media)) } else { Ok(()) }
    }

    /// Logs once that a request asked for more tokens than the cap.
    fn warn_once(&self, server: &str, wanted: &str) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            let (wanted, most) = (one_line(wanted, 40), self.max_tokens);
            tracing::warn!(
                "`{server}` asks for {wanted} tokens in one answer, and gets {most} at most: `sampling.maxTokens` sets that (said once)"
            );
        }
    }
}

fn too_large(what: String, key: &'static str, most: usize) -> Error {
    Error::RequestTooLarge { what, key, most }
}

/// The bytes of base64 in a block, or in the largest block inside it.
fn largest_media(block: &Block) -> usize {
    match block {
        Block::Image(media) | Block::Audio(media) => media.data.len(),
        Block::Resource(resource) => match &resource.contents {
            ResourceContents::Blob(data) => data.len(),
            ResourceContents::Text(_) => 0,
        },
        Block::ToolResult(result) => result.content.iter().map(largest_media).max().unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(limits: &Limits, messages: &str) -> Result<(), String> {
        let params = format!(r#"{{"messages":{messages},"maxTokens":1}}"#);
        let request = CreateMessageRequestParams::from_json(params.as_bytes()).unwrap();
        let policy = RequestPolicy::new(&Sampling::by(Vec::new()), limits);
        let result = policy.check(&request).map_err(|e| e.to_string());
        // Requests that a client answers are checked by the same rules.
        assert_eq!(policy.review("s", params.as_bytes()).map(|_| ()).map_err(|e| e.to_string()), result);
        result
    }

    #[test]
    fn more_tokens_than_the_rule_allows_are_lowered_and_so_is_no_number_at_all() {
        let policy =
            |max_tokens| RequestPolicy::new(&Sampling { max_tokens, ..Sampling::by(Vec::new()) }, &Limits::default());
        let lowered = |policy: &RequestPolicy, tokens: &str| {
            let params = format!(r#"{{"messages":[]{tokens}}}"#);
            let lowered = policy.review("s", params.as_bytes()).unwrap();
            lowered.map(|lowered| (lowered.old.map(|old| old.get().to_owned()), lowered.new))
        };
        assert_eq!(lowered(&policy(None), r#","maxTokens":4096"#), None);
        assert_eq!(lowered(&policy(None), r#","maxTokens":4097"#), Some((Some("4097".to_owned()), 4096)));
        assert_eq!(lowered(&policy(Some(3)), r#","maxTokens":1e6"#), Some((Some("1e6".to_owned()), 3)));
        assert_eq!(lowered(&policy(Some(3)), ""), Some((None, 3)));
    }

    #[test]
    fn a_request_holds_so_many_messages_and_so_much_media() {
        let limits = Limits { messages: 2, media: 8, ..Limits::default() };
        let text = r#"{"role":"user","content":{"type":"text","text":"a long text is no media"}}"#;
        assert_eq!(checked(&limits, &format!("[{text},{text}]")), Ok(()));
        let error = checked(&limits, &format!("[{text},{text},{text}]")).unwrap_err();
        assert_eq!(error, "the sampling request holds 3 messages, more than `limits.messages` allows (2)");
        let image = |data: &str| format!(r#"{{"type":"image","data":"{data}","mimeType":"image/png"}}"#);
        let user = |block: &str| format!(r#"[{{"role":"user","content":{block}}}]"#);
        assert_eq!(checked(&limits, &user(&image("AAAAAAAA"))), Ok(()));
        let inside = format!(r#"{{"type":"tool_result","toolUseId":"a","content":[{}]}}"#, image("AAAAAAAAAAAA"));
        let blob = r#"{"type":"tool_result","toolUseId":"a","content":[{"type":"resource","resource":{"uri":"a:b","blob":"AAAAAAAAAAAA"}}]}"#;
        for block in [image("AAAAAAAAAAAA"), inside, blob.to_owned()] {
            let error = checked(&limits, &user(&block)).unwrap_err();
            assert!(error.contains("12 bytes of media in one block, more than `limits.media` allows (8)"), "{error}");
        }
    }
}
