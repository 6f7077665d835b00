//! Finding secrets in a text.

use std::ops::Range;

use crate::{infix, keyed, pem, token, url};

/// A secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub kind: &'static str,
    /// Where it is, in bytes.
    pub range: Range<usize>,
}

/// The secrets in a text, in order and without overlaps. `before` is the string that stands before the text in JSON, if any: it may be the name
/// of a value.
#[must_use]
pub fn find(text: &str, before: Option<&str>) -> Vec<Finding> {
    let mut found = Vec::new();
    pem::find(text, &mut found);
    token::find(text, &mut found);
    infix::find(text, &mut found);
    url::find(text, &mut found);
    keyed::find(text, before, &mut found);
    // Of two that overlap, the one that begins first, and then the longer one.
    found.sort_by_key(|finding| (finding.range.start, usize::MAX - finding.range.end));
    let mut end = 0;
    found.retain(|finding| {
        let is_apart = finding.range.start >= end;
        if is_apart {
            end = finding.range.end;
        }
        is_apart
    });
    found
}

/// A set of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// `0-9`
    Digits,
    /// `0-9a-f`
    Hex,
    /// `A-Z2-7`, as base 32 has.
    Base32,
    /// `A-Z0-9`
    Upper,
    /// `a-z0-9`
    Lower,
    /// `A-Za-z0-9`
    Alnum,
    /// `A-Za-z0-9_-`, as base64url has.
    Word,
    /// The same and `.`
    Dotted,
    /// `A-Za-z0-9+/=`, as base64 has.
    Base64,
    /// The same and `_-.~`
    Any,
}

impl Of {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Any as usize + 1;

    pub(crate) fn has(self, byte: u8) -> bool {
        match self {
            Self::Digits => byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
            Self::Base32 => byte.is_ascii_uppercase() || matches!(byte, b'2'..=b'7'),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Lower => byte.is_ascii_lowercase() || byte.is_ascii_digit(),
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Word => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Any => byte.is_ascii_alphanumeric() || b"+/=_-.~".contains(&byte),
        }
    }

    /// How many of its characters stand at the beginning, `most` of them at most: what is longer is no token, and isn't read to its end.
    pub(crate) fn run(self, bytes: &[u8], most: usize) -> usize {
        bytes.iter().take(most).take_while(|byte| self.has(**byte)).count()
    }

    /// The same at the end.
    pub(crate) fn run_before(self, bytes: &[u8], most: usize) -> usize {
        bytes.iter().rev().take(most).take_while(|byte| self.has(**byte)).count()
    }
}

/// Whether a token may begin here: what stands before it is no part of a word, or the end of an escape (`\n`, `\t`, `\u000a`).
pub(crate) fn is_start(bytes: &[u8], at: usize) -> bool {
    let back = |n: usize| at.checked_sub(n).and_then(|at| bytes.get(at)).copied();
    match back(1) {
        None => true,
        Some(byte) if !byte.is_ascii_alphanumeric() && byte != b'_' => true,
        Some(b'n' | b'r' | b't' | b'b' | b'f') if back(2) == Some(b'\\') => true,
        Some(byte) => {
            let is_escape = byte.is_ascii_hexdigit() && back(5) == Some(b'u') && back(6) == Some(b'\\');
            let is_percent = byte.is_ascii_hexdigit() && back(3) == Some(b'%');
            is_escape || is_percent
        }
    }
}
