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

/// Whether such a run begins with the letter of an escape (`\n`).
fn is_escape(before: &[u8], run: usize) -> bool {
    let at = before.len() - run;
    let letter = before.get(at).is_some_and(|byte| b"nrtbf".contains(byte));
    letter && at.checked_sub(1).and_then(|at| before.get(at)) == Some(&b'\\')
}

pub(crate) fn find(text: &str, found: &mut Vec<Finding>) {
    for infix in INFIXES {
        for (at, mark) in text.match_indices(infix.mark) {
            let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + mark.len()..).unwrap_or_default());
            let run = infix.left.0.run_before(before.as_bytes(), infix.left.1.end() + 2);
            let left = run - usize::from(is_escape(before.as_bytes(), run) && !infix.left.1.contains(&run));
            let right = infix.right.0.run(after.as_bytes(), infix.right.1.end() + 1);
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
