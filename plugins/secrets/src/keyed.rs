//! Values that only their name tells.

use crate::checks::looks_random;
use crate::find::{Finding, Of};
use crate::kinds::KEYED;

/// A value with a name before it.
pub(crate) struct Keyed {
    pub(crate) kind: &'static str,
    /// The name, in lower case and without `_`, `-`, `.` and spaces.
    pub(crate) name: &'static str,
    pub(crate) value: Of,
    pub(crate) length: usize,
}

/// The most bytes of a name that are looked at.
const LONGEST_NAME: usize = 64;
/// The most characters, all of them ASCII, between a name and its value.
const MOST_BETWEEN: usize = 16;

pub(crate) fn find(text: &str, before: Option<&str>, found: &mut Vec<Finding>) {
    // The value alone, named by the string before it in JSON.
    if let Some(before) = before {
        let name = plain(before);
        let whole = |keyed: &&Keyed| name.ends_with(keyed.name) && keyed.fits(text);
        if let Some(keyed) = KEYED.iter().find(whole) {
            found.push(Finding { kind: keyed.kind, range: 0..text.len() });
        }
    }
    for (at, mark) in text.match_indices(['=', ':']) {
        let from = text.get(..at).unwrap_or_default();
        let name = plain(from.get(start_of_name(from)..).unwrap_or_default());
        for keyed in KEYED.iter().filter(|keyed| name.ends_with(keyed.name)) {
            let after = text.get(at + mark.len()..).unwrap_or_default();
            // A few quotation marks and spaces, or an arrow.
            let is_between = |c: char| " \t\"'=>\\`".contains(c);
            let between = after.chars().take(MOST_BETWEEN).take_while(|c| is_between(*c)).count();
            let value = after.get(between..).unwrap_or_default();
            let run = keyed.value.run(value.as_bytes(), keyed.length + 1);
            if value.get(..run).is_some_and(|value| keyed.fits(value)) {
                let begin = text.len() - value.len();
                found.push(Finding { kind: keyed.kind, range: begin..begin + run });
            }
        }
    }
}

impl Keyed {
    fn fits(&self, value: &str) -> bool {
        value.len() == self.length
            && self.value.run(value.as_bytes(), self.length) == self.length
            && looks_random(value)
    }
}

fn start_of_name(text: &str) -> usize {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_-. \"'\\`".contains(c);
    let name = text.chars().rev().take(LONGEST_NAME).take_while(|c| is_of_name(*c)).count();
    // All of them are ASCII.
    text.len() - name
}

fn plain(name: &str) -> String {
    let tail = name.char_indices().rev().nth(LONGEST_NAME).map_or(0, |(at, _)| at);
    let letters = name.get(tail..).unwrap_or(name).chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}
