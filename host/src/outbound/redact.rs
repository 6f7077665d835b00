//! A credential's value, and redacting it in responses.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `search` | where a text contains the value, in any encoding |
//! | `view` | a text with one layer of encoding removed |
//! | `escape` | one escape sequence |
//! | `tail` | text that is sent in pieces |

mod escape;
mod search;
mod tail;
mod view;

use std::ops::Range;
use std::sync::Arc;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use search::Search;
pub use tail::Tail;

/// The marker in the place of a credential.
pub(crate) const CUT: &str = "[credential]";

/// Shorter values, in bytes, aren't redacted in responses: a word like `ollama` may occur in one.
pub const SHORTEST_CUT: usize = 16;

/// Values shorter than this, in bytes, aren't secrets: `x` and `ollama` are placeholders for local servers.
pub const SHORTEST_SECRET: usize = 8;

/// Larger bodies, in bytes, are searched on a blocking thread, so that other requests proceed meanwhile.
const LARGE: usize = 256 << 10;

/// A credential's value. It is never shown, and its memory is wiped.
#[derive(Debug)]
pub struct Secret {
    value: SecretString,
}

impl Secret {
    /// A value.
    #[must_use]
    pub fn new(value: impl Into<SecretString>) -> Self {
        Self { value: value.into() }
    }

    /// The value itself, for the request that is sent.
    pub(super) fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// Whether the value is long enough to be redacted in responses.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.expose().len() >= SHORTEST_CUT
    }

    /// The ranges of a text that contain the value in any encoding, or three quarters of it: in order, without overlaps.
    #[must_use]
    pub fn spans(&self, text: &[u8]) -> Vec<Range<usize>> {
        if self.is_cut() { Search::new(self.expose().as_bytes()).spans(text) } else { Vec::new() }
    }

    /// The bytes without the value.
    #[must_use]
    pub fn redact(&self, bytes: Vec<u8>) -> Vec<u8> {
        let spans = self.spans(&bytes);
        if spans.is_empty() {
            return bytes;
        }
        let (mut kept, mut at) = (Vec::with_capacity(bytes.len()), 0);
        for span in spans {
            kept.extend_from_slice(bytes.get(at..span.start).unwrap_or_default());
            kept.extend_from_slice(CUT.as_bytes());
            at = span.end;
        }
        kept.extend_from_slice(bytes.get(at..).unwrap_or_default());
        kept
    }

    /// Text without the value.
    #[must_use]
    pub fn redact_part(&self, text: String) -> String {
        match String::from_utf8(self.redact(text.into_bytes())) {
            Ok(text) => text,
            // A redacted range may end within a character.
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        }
    }

    /// Whether the value is long enough to be a secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.expose().len() >= SHORTEST_SECRET
    }

    /// The text without the value, even if that is too short to be redacted in responses: for messages and logs.
    #[must_use]
    pub fn redact_text(&self, text: &str) -> String {
        let shortened = if self.is_secret() { text.replace(self.expose(), CUT) } else { text.to_owned() };
        self.redact_part(shortened)
    }

    /// Whether a header's name holds the value. Names are in lower case.
    pub(super) fn is_in_name(&self, name: &str) -> bool {
        let is_long = self.is_cut() && name.len() * 4 >= self.expose().len() * 3;
        let holds = |secret: &Self| !secret.spans(name.as_bytes()).is_empty();
        is_long && (holds(self) || holds(&Self::new(self.expose().to_ascii_lowercase())))
    }
}

/// The error for a compressed response, which can't be searched.
pub(super) fn compressed_reason(origin: &str) -> String {
    format!("{origin} answers compressed, so that the credential can't be cut out")
}

/// Redacts a credential in a response; without one, changes nothing.
#[derive(Debug, Default)]
pub struct Redact(Option<Arc<Secret>>);

impl Redact {
    /// Redacts this credential, if there is one.
    #[must_use]
    pub fn new(secret: Option<Arc<Secret>>) -> Self {
        Self(secret)
    }

    /// The credential.
    pub(super) fn secret(&self) -> Option<&Arc<Secret>> {
        self.0.as_ref()
    }

    /// Whether a header's name may be shown.
    pub(super) fn may_name(&self, name: &str) -> bool {
        !self.0.as_ref().is_some_and(|secret| secret.is_in_name(name))
    }

    /// Whether a response with this content coding can't be searched.
    pub(super) fn is_defeated_by(&self, coding: Option<&HeaderValue>) -> bool {
        let is_coded = coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        is_coded && self.0.as_ref().is_some_and(|secret| secret.is_cut())
    }

    /// A body.
    pub(super) async fn body(&self, bytes: Vec<u8>) -> Vec<u8> {
        match &self.0 {
            Some(secret) if bytes.len() > LARGE => {
                let secret = Arc::clone(secret);
                // A body that can't be searched isn't passed on.
                tokio::task::spawn_blocking(move || secret.redact(bytes)).await.unwrap_or_default()
            }
            Some(secret) => secret.redact(bytes),
            None => bytes,
        }
    }

    /// A part of a body that is text.
    pub(super) fn part(&self, text: String) -> String {
        match &self.0 {
            Some(secret) => secret.redact_part(text),
            None => text,
        }
    }

    /// A text for a header or a message.
    pub(super) fn words(&self, text: String) -> String {
        match &self.0 {
            // A shorter text can't hold three quarters of the value.
            Some(secret) if text.len() * 4 >= secret.expose().len() * 3 => secret.redact_text(&text),
            _ => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD as STANDARD;

    use super::*;

    #[test]
    fn the_value_is_cut_out_in_every_spelling() {
        let secret = Secret::new("sk-ant/0123456789+abc=".to_owned());
        let said = format!(
            "a sk-ant/0123456789+abc= b {} c {} d",
            STANDARD.encode("sk-ant/0123456789+abc="),
            "sk-ant%2F0123456789%2Babc%3D"
        );
        let kept = String::from_utf8(secret.redact(said.into_bytes())).unwrap();
        assert_eq!(kept, "a [credential] b [credential] c [credential] d");
    }

    #[test]
    fn the_value_is_cut_out_of_more_that_is_in_base64() {
        let value = "sk-understudy-test-0123456789";
        let secret = Secret::new(value.to_owned());
        for before in ["", "x", "xy", "xyz", "Bearer "] {
            for after in ["", "!", "!!", ", you said"] {
                let text = STANDARD.encode(format!("{before}{value}{after}"));
                let kept = String::from_utf8(secret.redact(text.clone().into_bytes())).unwrap();
                let (left, right) = kept.split_once(CUT).unwrap_or_else(|| panic!("{text}"));
                // At most the four bits of a neighbour's character are the value's.
                let most = STANDARD.encode(before).len() + STANDARD.encode(after).len() + 4;
                assert!(left.len() + right.len() <= most, "{kept}");
            }
        }
        let percent = value.replace('-', "%2D").replace('s', "%73");
        assert_eq!(secret.redact(percent.into_bytes()), CUT.as_bytes());
    }

    #[test]
    fn the_value_is_cut_out_where_json_escapes_it() {
        let secret = Secret::new("abcd/efgh+ijkl/mnop==".to_owned());
        let kept = |text: &str| String::from_utf8(secret.redact(text.as_bytes().to_vec())).unwrap();
        assert_eq!(kept(r#"{"a":"abcd\/efgh+ijkl\/mnop==","b":"\n"}"#), r#"{"a":"[credential]","b":"\n"}"#);
        assert_eq!(kept(r#""\u0061bcd/efgh\u002Bijkl/mnop=\u003d""#), r#""[credential]""#);
        assert_eq!(kept(r#""\u0061bcd/efgh""#), r#""\u0061bcd/efgh""#);
    }

    #[test]
    fn a_short_value_is_kept_out_of_messages_only() {
        let secret = Secret::new("lm-studio".to_owned());
        assert_eq!(secret.redact(b"I am lm-studio".to_vec()), b"I am lm-studio");
        assert_eq!(secret.redact_text("bad key lm-studio"), "bad key [credential]");
        assert!(!secret.is_cut() && secret.is_secret());
    }

    #[test]
    fn a_dummy_is_no_secret_and_leaves_messages_readable() {
        for (dummy, said) in [("x", "unexpected EOF during chunk size line"), ("ollama", "is ollama running?")] {
            let secret = Secret::new(dummy.to_owned());
            assert_eq!(secret.redact_text(said), said);
            assert!(!secret.is_secret());
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let shown = format!("{:?}", Secret::new("sk-0123456789abcdef".to_owned()));
        assert!(!shown.contains("0123456789"), "{shown}");
    }
}
