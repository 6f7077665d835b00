//! Characters that a stream cuts in two: their first surrogate ends one message's text, the second begins the next one's.

use serde::{Deserialize, Serialize};
use understudy_mcp_types::surrogates;

/// Stands for the surrogate `\ud800` in a text: a private character, followed by one for each of the others.
const FIRST: u32 = 0x10_f000;

/// The halves of a stream so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Halves {
    /// Whether the answer so far holds any.
    are_hidden: bool,
    /// The one that ended the text so far, which hasn't been shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<char>,
}

impl Halves {
    pub(crate) fn is_none(&self) -> bool {
        !self.are_hidden
    }

    /// Puts private characters in the place of surrogates that stand alone, so that the message can be read.
    pub(crate) fn hide(&mut self, json: &mut String) {
        let hidden = surrogates::replaced(json, |unit| {
            char::from_u32(FIRST + u32::from(unit - 0xd800)).unwrap_or(char::REPLACEMENT_CHARACTER)
        });
        if let std::borrow::Cow::Owned(hidden) = hidden {
            self.are_hidden = true;
            *json = hidden;
        }
    }

    /// A body with the halves joined, and U+FFFD for those that stand alone.
    pub(crate) fn joined(&self, body: Vec<u8>) -> Vec<u8> {
        if self.is_none() {
            return body;
        }
        match String::from_utf8(body) {
            Ok(text) => joined(&text).into_bytes(),
            Err(e) => e.into_bytes(),
        }
    }

    /// What may be shown of a text: a first half at its end waits for the second.
    pub(crate) fn progress(&mut self, text: String) -> String {
        if self.is_none() || text.is_empty() {
            return text;
        }
        let mut text: String = self.held.take().into_iter().chain(text.chars()).collect();
        if let Some(last) = text.chars().next_back().filter(|last| matches!(unit(*last), Some(0xd800..=0xdbff))) {
            text.pop();
            self.held = Some(last);
        }
        joined(&text)
    }
}

/// The surrogate that a private character stands for.
fn unit(c: char) -> Option<u16> {
    let unit = u32::from(c).checked_sub(FIRST).filter(|unit| *unit < 0x800)?;
    u16::try_from(unit + 0xd800).ok()
}

fn joined(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut joined = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        let Some(first) = unit(c) else {
            joined.push(c);
            continue;
        };
        let pair = chars.peek().and_then(|next| Some([first, unit(*next)?]));
        let whole = pair.and_then(|pair| char::decode_utf16(pair).next()?.ok()).filter(|whole| *whole as u32 > 0xffff);
        if whole.is_some() {
            chars.next();
        }
        joined.push(whole.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    joined
}
