//! A credential's value, and how it is cut out of what comes back.

use std::sync::Arc;

use base64::engine::Engine;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, URL_SAFE};
use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};

/// What stands where a credential was.
const CUT: &str = "[credential]";

/// Shorter values are not cut out of answers: a word like `ollama` may well be part of one.
pub const SHORTEST_CUT: usize = 16;

/// A credential's value. It is never shown, and its memory is wiped.
#[derive(Debug)]
pub struct Secret {
    value: SecretString,
    /// What is cut out: the value, and as base64 writes it, alone or as a part of more.
    spellings: Vec<SecretString>,
}

impl Secret {
    /// A value.
    #[must_use]
    pub fn new(value: impl Into<SecretString>) -> Self {
        let value = value.into();
        let mut spellings = Vec::new();
        let plain = value.expose_secret();
        if plain.len() >= SHORTEST_CUT {
            let base64 =
                (0..3).flat_map(|before| [in_base64(&STANDARD, before, plain), in_base64(&URL_SAFE, before, plain)]);
            // Alone first, padding and all.
            for spelling in [plain.to_owned(), STANDARD.encode(plain), URL_SAFE.encode(plain)].into_iter().chain(base64)
            {
                if !spellings.contains(&spelling) {
                    spellings.push(spelling);
                }
            }
        }
        Self { value, spellings: spellings.into_iter().map(Into::into).collect() }
    }

    /// The value itself, for the request that goes out.
    pub(super) fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// Whether the value is long enough to be cut out of answers.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        !self.spellings.is_empty()
    }

    /// The bytes without the value.
    #[must_use]
    pub fn redact(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.spellings.iter().fold(bytes, |bytes, spelling| cut(bytes, spelling.expose_secret().as_bytes()))
    }

    /// The text without the value, however short that is: for messages and logs.
    #[must_use]
    pub fn redact_text(&self, text: &str) -> String {
        let text = text.replace(self.value.expose_secret(), CUT);
        String::from_utf8_lossy(&self.redact(text.into_bytes())).into_owned()
    }
}

/// Takes a credential out of what comes back; changes nothing where there is none.
#[derive(Debug, Default)]
pub struct Redact(Option<Arc<Secret>>);

impl Redact {
    /// Takes this one out, if there is one.
    #[must_use]
    pub fn new(secret: Option<Arc<Secret>>) -> Self {
        Self(secret)
    }

    /// What is taken out.
    pub(super) fn secret(&self) -> Option<&Arc<Secret>> {
        self.0.as_ref()
    }

    /// A body.
    pub(super) fn body(&self, bytes: Vec<u8>) -> Vec<u8> {
        match &self.0 {
            Some(secret) => secret.redact(bytes),
            None => bytes,
        }
    }

    /// A part of a body that is text.
    pub(super) fn part(&self, text: String) -> String {
        match &self.0 {
            Some(secret) => String::from_utf8_lossy(&secret.redact(text.into_bytes())).into_owned(),
            None => text,
        }
    }

    /// What goes into a header or a message.
    pub(super) fn words(&self, text: String) -> String {
        match &self.0 {
            // No way to spell it is shorter than the value itself.
            Some(secret) if text.len() >= secret.expose().len() => secret.redact_text(&text),
            _ => text,
        }
    }
}

/// What base64 writes for the value behind so many other bytes, less the characters at both ends that depend on its neighbours.
fn in_base64(alphabet: &GeneralPurpose, before: usize, value: &str) -> String {
    let encoded = alphabet.encode([vec![0; before].as_slice(), value.as_bytes()].concat());
    let (first, last) = ((before * 8).div_ceil(6), (before + value.len()) * 8 / 6);
    encoded.get(first..last).unwrap_or(&encoded).to_owned()
}

fn cut(bytes: Vec<u8>, value: &[u8]) -> Vec<u8> {
    let bytes = cut_escaped(bytes, value);
    let finder = memmem::Finder::new(value);
    if finder.find(&bytes).is_none() {
        return bytes;
    }
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some((before, after)) =
        finder.find(rest).and_then(|at| Some((rest.get(..at)?, rest.get(at + value.len()..)?)))
    {
        kept.extend_from_slice(before);
        kept.extend_from_slice(CUT.as_bytes());
        rest = after;
    }
    kept.extend_from_slice(rest);
    kept
}

/// Cuts the value out where some of it is spelt with escapes: JSON's (`\/`, `\u0061`) or a URL's (`%61`).
fn cut_escaped(bytes: Vec<u8>, value: &[u8]) -> Vec<u8> {
    if memchr::memchr2(b'\\', b'%', &bytes).is_none() {
        return bytes;
    }
    let Some(first) = value.first() else { return bytes };
    let (mut kept, mut taken, mut from) = (Vec::new(), 0, 0);
    let rest = |from: usize| bytes.get(from..).unwrap_or_default();
    // Wherever it begins, it begins with one of these.
    while let Some(at) = memchr::memchr3(*first, b'\\', b'%', rest(from)).map(|at| from + at) {
        from = at + 1;
        if let Some(length) = escaped_length(rest(at), value) {
            kept.extend_from_slice(bytes.get(taken..at).unwrap_or_default());
            kept.extend_from_slice(CUT.as_bytes());
            (taken, from) = (at + length, at + length);
        }
    }
    if taken == 0 {
        return bytes;
    }
    kept.extend_from_slice(rest(taken));
    kept
}

/// How many bytes spell the value, if the text begins with it.
fn escaped_length(text: &[u8], value: &[u8]) -> Option<usize> {
    let mut length = 0;
    for wanted in value {
        length += match text.get(length..)? {
            [b'\\', b'u', hex @ ..] if code(hex, 4) == Some(*wanted) => 6,
            [b'%', hex @ ..] if code(hex, 2) == Some(*wanted) => 3,
            [b'\\', byte, ..] if byte == wanted => 2,
            [byte, ..] if byte == wanted => 1,
            _ => return None,
        };
    }
    Some(length)
}

/// The ASCII character of `\u00XX` or `%XX`, by so many digits.
fn code(hex: &[u8], digits: usize) -> Option<u8> {
    let digits = std::str::from_utf8(hex.get(..digits)?).ok()?;
    u8::try_from(u16::from_str_radix(digits, 16).ok()?).ok()
}

#[cfg(test)]
mod tests {
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
        let secret = Secret::new("ollama".to_owned());
        assert_eq!(secret.redact(b"I am ollama".to_vec()), b"I am ollama");
        assert_eq!(secret.redact_text("bad key ollama"), "bad key [credential]");
        assert!(!secret.is_cut());
    }

    #[test]
    fn a_secret_is_never_shown() {
        let shown = format!("{:?}", Secret::new("sk-0123456789abcdef".to_owned()));
        assert!(!shown.contains("0123456789"), "{shown}");
    }
}
