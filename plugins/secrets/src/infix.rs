//! Tokens by a mark within them.

use std::ops::RangeInclusive;

use crate::checks::looks_random;
use crate::find::{Finding, Of};
use crate::kinds::INFIXES;

/// A kind of token with a mark within it.
pub(crate) struct Infix {
    pub(crate) kind: &'static str,
    pub(crate) mark: &'static str,
    /// What stands before the mark and after it, and how many characters of it.
    pub(crate) left: (Of, RangeInclusive<usize>),
    pub(crate) right: (Of, RangeInclusive<usize>),
}

pub(crate) fn find(text: &str, found: &mut Vec<Finding>) {
    for infix in INFIXES {
        for (at, mark) in text.match_indices(infix.mark) {
            let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + mark.len()..).unwrap_or_default());
            let left = infix.left.0.run_before(before.as_bytes());
            let right = infix.right.0.run(after.as_bytes());
            if !infix.left.1.contains(&left) || !infix.right.1.contains(&right) {
                continue;
            }
            let range = at - left..at + mark.len() + right;
            if text.get(range.clone()).is_some_and(looks_random) {
                found.push(Finding { kind: infix.kind, range });
            }
        }
    }
}
