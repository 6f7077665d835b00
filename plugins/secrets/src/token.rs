//! Tokens by their prefixes.

use std::ops::RangeInclusive;

use crate::checks::looks_random;
use crate::find::{Finding, Of, is_start};
use crate::kinds::TOKENS;

/// A kind of token that begins with a prefix.
pub(crate) struct Token {
    pub(crate) kind: &'static str,
    pub(crate) prefix: &'static str,
    /// What follows it, and how many characters of it.
    pub(crate) body: Of,
    pub(crate) length: RangeInclusive<usize>,
    /// What else must hold of the body.
    pub(crate) check: fn(&str) -> bool,
}

pub(crate) fn find(text: &str, found: &mut Vec<Finding>) {
    let bytes = text.as_bytes();
    let mut by_first: Vec<Vec<&Token>> = (0..256).map(|_| Vec::new()).collect();
    for token in TOKENS {
        let first = token.prefix.as_bytes().first().copied().unwrap_or_default();
        if let Some(tokens) = by_first.get_mut(usize::from(first)) {
            tokens.push(token);
        }
    }
    let (mut at, mut runs) = (0, Runs::default());
    while let Some(byte) = bytes.get(at) {
        let tokens = by_first.get(usize::from(*byte)).map_or(&[][..], Vec::as_slice);
        if tokens.is_empty() || !is_start(bytes, at) {
            at += 1;
            continue;
        }
        let end = tokens.iter().find_map(|token| {
            let end = token.end(text, at, &mut runs)?;
            found.push(Finding { kind: token.kind, range: at..end });
            Some(end)
        });
        at = end.unwrap_or(at + 1);
    }
}

/// The last run of each set of characters: where it begins and ends. A long one isn't read anew for each token that may begin in it.
#[derive(Default)]
struct Runs([(usize, usize); Of::COUNT]);

impl Runs {
    /// How many characters of a set stand at a place.
    fn from(&mut self, of: Of, bytes: &[u8], at: usize) -> usize {
        let Some((start, end)) = self.0.get_mut(of as usize) else { return 0 };
        if at < *start || at >= *end {
            let rest = bytes.get(at..).unwrap_or_default();
            (*start, *end) = (at, at + of.run(rest, usize::MAX));
        }
        *end - at
    }
}

impl Token {
    /// Where the token ends that begins here, if one does.
    fn end(&self, text: &str, at: usize, runs: &mut Runs) -> Option<usize> {
        let bytes = text.as_bytes();
        if !bytes.get(at..)?.starts_with(self.prefix.as_bytes()) {
            return None;
        }
        let begin = at + self.prefix.len();
        let run = runs.from(self.body, bytes, begin);
        let whole = text.get(begin..begin + run)?;
        // A sentence may end with a character that a token could have.
        let trimmed = whole.trim_end_matches(['.', '-', '_']);
        for body in [whole, trimmed] {
            if self.is_body(body) {
                return Some(begin + body.len());
            }
        }
        self.broken_line(text, begin, run)
    }

    fn is_body(&self, body: &str) -> bool {
        self.length.contains(&body.len()) && (self.check)(body) && looks_random(body)
    }

    /// Where a token of a fixed length ends that is broken over two lines.
    fn broken_line(&self, text: &str, begin: usize, run: usize) -> Option<usize> {
        if self.length.start() != self.length.end() || run == 0 || run >= *self.length.start() {
            return None;
        }
        let rest = text.get(begin + run..)?;
        let after =
            ["\\r\\n", "\\n", "\r\n", "\n", "\\\r\n", "\\\n"].iter().find_map(|mark| rest.strip_prefix(*mark))?;
        let next = after.trim_start_matches([' ', '\t']);
        let more = self.body.run(next.as_bytes(), self.length.end() + 4);
        let body = format!("{}{}", text.get(begin..begin + run)?, next.get(..more)?);
        let end = text.len() - next.len() + more;
        self.is_body(&body).then_some(end)
    }
}
