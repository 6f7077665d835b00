//! Texts in JSON, written quickly.
//!
//! `serde_json` looks at a text byte by byte for what JSON wants escaped. In WebAssembly that is most of what converting a long prompt
//! takes; eight bytes at once take half of it, a second look by `serde_json` included. What is written is the same.
//!
//! ```
//! #[derive(serde::Serialize)]
//! struct Part<'a> {
//!     #[serde(serialize_with = "understudy_plugin::json::text")]
//!     text: &'a str,
//! }
//! assert_eq!(serde_json::to_string(&Part { text: "\"Exeunt\"" }).unwrap(), r#"{"text":"\"Exeunt\""}"#);
//! ```

use std::ops::Range;

use serde::Serialize;
use serde::ser::{Error, Serializer};
use serde_json::value::RawValue;

/// So long a text, in bytes, is worth a copy: a shorter one is soon written, and the memory for one of a longer one (an image) has to be mapped
/// anew in each instance, which takes longer.
const LONG: Range<usize> = 1 << 10..256 << 10;

/// Serializes a text that may be long, for `serde_json`.
///
/// # Errors
/// The serializer's.
pub fn text<T: AsRef<str>, S: Serializer>(text: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let text = text.as_ref();
    if !LONG.contains(&text.len()) {
        return serializer.serialize_str(text);
    }
    RawValue::from_string(quoted(text)).map_err(S::Error::custom)?.serialize(serializer)
}

/// The same for a text that may be missing: `null`.
///
/// # Errors
/// The serializer's.
pub fn optional_text<T: AsRef<str>, S: Serializer>(given: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match given {
        Some(given) => text(given, serializer),
        None => serializer.serialize_none(),
    }
}

/// A text that may be long, as a value of its own.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a>(pub &'a str);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text(&self.0, serializer)
    }
}

/// The text as JSON has it: in quotation marks, with what must be escaped escaped.
fn quoted(text: &str) -> String {
    // Room for some that are escaped.
    let mut json = String::with_capacity(text.len() + text.len() / 16 + 2);
    json.push('"');
    let mut rest = text;
    while let Some((plain, byte, after)) = split(rest) {
        json.push_str(plain);
        match byte {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            b'\n' => json.push_str("\\n"),
            b'\r' => json.push_str("\\r"),
            b'\t' => json.push_str("\\t"),
            0x08 => json.push_str("\\b"),
            0x0c => json.push_str("\\f"),
            _ => {
                json.push_str("\\u00");
                json.extend([byte >> 4, byte & 0xf].map(|half| char::from_digit(half.into(), 16).unwrap_or('0')));
            }
        }
        rest = after;
    }
    json.push_str(rest);
    json.push('"');
    json
}

/// What is before the first byte that must be escaped, that byte, and what is after it.
fn split(text: &str) -> Option<(&str, u8, &str)> {
    let place = first_escaped(text.as_bytes())?;
    // It is ASCII, so the text can be cut before it and after it.
    Some((text.get(..place)?, *text.as_bytes().get(place)?, text.get(place + 1..)?))
}

/// Where the first byte is that must be escaped: a control character, a quotation mark or a backslash.
fn first_escaped(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    let in_words = words.iter().enumerate().find_map(|(number, word)| {
        let found = escaped_in(u64::from_le_bytes(*word));
        // The lowest of the bits is that of the first byte.
        (found != 0).then(|| number * 8 + found.trailing_zeros() as usize / 8)
    });
    in_words.or_else(|| {
        let place = tail.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'))?;
        Some(words.len() * 8 + place)
    })
}

/// Has the highest bit set of the first byte that must be escaped; of those after it perhaps wrongly.
fn escaped_in(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    const HIGHEST: u64 = EACH * 0x80;
    // A byte that is less than this one borrows from its highest bit; one that has that bit of its own isn't ASCII.
    let less_than = |word: u64, byte: u8| word.wrapping_sub(EACH * u64::from(byte)) & !word & HIGHEST;
    let is = |byte: u8| less_than(word ^ (EACH * u64::from(byte)), 1);
    less_than(word, 0x20) | is(b'"') | is(b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(text: &str) {
        assert_eq!(quoted(text), serde_json::to_string(text).unwrap(), "{text:?}");
    }

    #[test]
    fn every_character_is_written_as_serde_json_writes_it_wherever_it_stands() {
        for character in ('\0'..'\u{180}').chain(['\u{2028}', '\u{7fff}', '\u{1f3ad}']) {
            for before in 0..18 {
                for after in [0, 1, 7, 8, 20] {
                    same(&format!("{}{character}{}", "a".repeat(before), "z".repeat(after)));
                    same(&format!("{}{character}{character}{}", "é".repeat(before), "\n".repeat(after)));
                }
            }
        }
    }

    #[test]
    fn any_text_is_written_as_serde_json_writes_it() {
        // Texts of characters that are neighbours of those that are escaped, by a generator that needs no crate.
        let mut state = 1_u32;
        let mut next = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        for _ in 0..5000 {
            let length = next(80);
            let text: String = (0..length)
                .map(|_| {
                    char::from_u32([next(0x24), next(0x100), 0x5b + next(3), 0x9c + next(0x2000)][next(4) as usize])
                })
                .map(|character| character.unwrap_or('a'))
                .collect();
            same(&text);
        }
    }

    #[test]
    fn a_text_and_a_missing_one_are_what_serde_would_make_of_them() {
        #[derive(Serialize)]
        struct Quick<'a> {
            #[serde(serialize_with = "text")]
            text: &'a str,
            #[serde(serialize_with = "optional_text")]
            none: Option<std::borrow::Cow<'a, str>>,
            #[serde(serialize_with = "optional_text")]
            some: Option<std::borrow::Cow<'a, str>>,
        }
        for times in [1, LONG.start, LONG.end] {
            let [hamlet, bell] = ["to be\nor not", "\u{7}"].map(|text| text.repeat(times));
            let quick = Quick { text: &hamlet, none: None, some: Some(bell.as_str().into()) };
            let same = serde_json::json!({ "text": hamlet, "none": null, "some": bell });
            assert_eq!(serde_json::to_string(&quick).unwrap(), same.to_string());
            // A value, too, can be made of it.
            assert_eq!(serde_json::to_value(&quick).unwrap(), same);
            assert_eq!(serde_json::to_value(Text(&hamlet)).unwrap(), hamlet);
        }
    }
}
