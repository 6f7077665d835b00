//! Surrogates that stand alone in JSON.
//!
//! JSON spells a character beyond `\uffff` as two surrogates (`\ud83c\udf89`). A program that cuts its texts by UTF-16 units, as
//! JavaScript's `slice` does, writes one without the other. No text can hold that; U+FFFD stands for it.

use std::borrow::Cow;

/// The JSON with U+FFFD for each surrogate that stands alone. Borrowed if there is none.
#[must_use]
pub fn mended(json: &str) -> Cow<'_, str> {
    replaced(json, |_| char::REPLACEMENT_CHARACTER)
}

/// The JSON with another character for each surrogate that stands alone. Borrowed if there is none.
#[must_use]
pub fn replaced(json: &str, by: impl Fn(u16) -> char) -> Cow<'_, str> {
    let mut written = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = json.get(at..).and_then(|rest| rest.find('\\')) {
        let place = at + found;
        match (unit(json, place), unit(json, place + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => at = place + 12,
            (Some(lone @ 0xd800..=0xdfff), _) => {
                written.push_str(json.get(copied..place).unwrap_or_default());
                written.push(by(lone));
                at = place + 6;
                copied = at;
            }
            (Some(_), _) => at = place + 6,
            // The backslash and what it escapes.
            (None, _) => at = place + 2,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    written.push_str(json.get(copied..).unwrap_or_default());
    Cow::Owned(written)
}

/// The UTF-16 unit of the escape (`\ud83c`) that begins here, if one does.
fn unit(json: &str, place: usize) -> Option<u16> {
    let digits = json.get(place..place + 6)?.strip_prefix("\\u")?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surrogate_alone_becomes_the_replacement_character() {
        for (json, expected) in [
            (r#""party \ud83c""#, "\"party \u{fffd}\""),
            (r#""\uDF89 party""#, "\"\u{fffd} party\""),
            (r#""\ud83c\ud83c\udf89""#, "\"\u{fffd}\\ud83c\\udf89\""),
            (r#""\ud83c\n""#, "\"\u{fffd}\\n\""),
            (r#"{"\ud83c": ["\udf89"]}"#, "{\"\u{fffd}\": [\"\u{fffd}\"]}"),
        ] {
            assert_eq!(mended(json), expected, "{json}");
            assert!(serde_json::from_str::<serde_json::Value>(&mended(json)).is_ok(), "{json}");
        }
    }

    #[test]
    fn what_holds_none_stays_as_it_is() {
        for json in [
            r#""\ud83c\udf89""#,
            r#""\\ud83c""#,
            r#""\\\\ud83c""#,
            r#""\u00e4\"\\""#,
            "\"\u{1f389}\"",
            "\\",
            "\\u",
            r"\é",
        ] {
            assert!(matches!(mended(json), Cow::Borrowed(same) if same == json), "{json}");
        }
    }
}
