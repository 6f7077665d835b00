//! Redacting text that is sent in pieces, where a credential may span several of them.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{CUT, Secret};

/// The least number of characters of a credential's beginning that are held back until the next piece. Fewer occur in many words.
const BEGINNING: usize = 4;

/// Text that is being sent.
#[derive(Debug)]
pub struct Tail {
    secrets: Vec<Arc<Secret>>,
    /// The end of the text that has been sent, and behind it the text that is held back.
    text: String,
    sent: usize,
    /// The held-back text up to here has been sent as redacted.
    cut: usize,
}

impl Tail {
    /// Redacts these credentials.
    #[must_use]
    pub fn new(secrets: Vec<Arc<Secret>>) -> Self {
        Self { secrets, text: String::new(), sent: 0, cut: 0 }
    }

    /// Adds a piece, and returns the text that may be sent now.
    #[must_use]
    pub fn push(&mut self, more: String) -> String {
        if self.secrets.is_empty() {
            return more;
        }
        self.text.push_str(&more);
        let held = self.secrets.iter().map(|secret| beginning(&self.text, secret.expose())).max().unwrap_or_default();
        self.go_on(self.text.len() - held)
    }

    /// The rest, at the end of the text.
    #[must_use]
    pub fn rest(&mut self) -> String {
        self.go_on(self.text.len())
    }

    fn go_on(&mut self, end: usize) -> String {
        let end = end.max(self.sent);
        let spans = self.secrets.iter().flat_map(|secret| secret.spans(self.text.as_bytes()));
        let mut spans: Vec<_> = spans.filter(|span| span.end > self.sent).collect();
        spans.sort_unstable_by_key(|span| span.start);
        let mut out = String::new();
        let mut at = self.sent;
        for span in spans {
            let start = span.start.max(at);
            if start >= end {
                break;
            }
            out.push_str(self.text.get(at..start).unwrap_or_default());
            // Its marker has been sent already.
            if span.start >= self.cut {
                out.push_str(CUT);
            }
            self.cut = span.end;
            at = span.end.min(end).max(at);
        }
        out.push_str(self.text.get(at..end).unwrap_or_default());
        self.sent = end;
        let kept = self.secrets.iter().map(|secret| secret.expose().len() * 4).max().unwrap_or_default();
        let mut gone = self.sent.saturating_sub(kept);
        while !self.text.is_char_boundary(gone) {
            gone -= 1;
        }
        self.text.drain(..gone);
        self.sent -= gone;
        self.cut = self.cut.saturating_sub(gone);
        out
    }
}

/// The number of bytes at the text's end that may begin a value, plain, in hexadecimal digits or in Base64.
fn beginning(text: &str, value: &str) -> usize {
    let hex = hex::encode(value);
    let spellings = [value, &hex, &hex.to_uppercase(), &BASE64_STANDARD.encode(value)];
    let held = spellings.iter().filter_map(|spelling| {
        (BEGINNING..spelling.len().min(text.len() + 1))
            .rev()
            .find(|length| spelling.get(..*length).is_some_and(|beginning| text.ends_with(beginning)))
    });
    held.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-proj-AbCdEf0123456789xyz";

    fn told(pieces: &[&str]) -> Vec<String> {
        let mut tail = Tail::new(vec![Arc::new(Secret::new(KEY.to_owned()))]);
        let mut told: Vec<String> = pieces.iter().map(|piece| tail.push((*piece).to_owned())).collect();
        told.push(tail.rest());
        told
    }

    #[test]
    fn a_credential_in_pieces_does_not_go_out_and_other_text_does_at_once() {
        let whole = format!("a {KEY} b");
        for size in 1..whole.len() {
            let pieces: Vec<&str> =
                whole.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
            let said = told(&pieces).concat();
            assert!(
                !said.contains(&KEY[4..]) && said.contains(CUT) && said.matches(CUT).count() == 1,
                "{size}: {said}"
            );
            assert!(said.starts_with("a ") && said.ends_with(" b"), "{size}: {said}");
        }
        assert_eq!(told(&["Hello, ", "wörld", "sk-proj-", "ect"]), ["Hello, ", "wörld", "", "sk-proj-ect", ""]);
        assert_eq!(told(&["the key is sk-proj"]), ["the key is ", "sk-proj"]);
        let hex = hex::encode(KEY);
        assert_eq!(told(&[&hex[..20], &hex[20..], "."]), ["", CUT, ".", ""]);
    }

    #[test]
    fn without_a_credential_nothing_is_held_back() {
        assert_eq!(Tail::new(Vec::new()).push("sk-proj-".to_owned()), "sk-proj-");
    }
}
