//! Ids compared by value: a peer may return an id in another spelling (`1.0` or `"1"` for `1`, or a text with other escapes), which the official
//! SDKs' clients accept.
//!
//! Maps hold an id under its [`key`]. A number and a text may be in use at once, so [`find`] takes one for the other only if the map has no entry
//! for the id itself.

use std::borrow::Cow;

/// The largest whole number that every reader of JSON tells from the next one: 2^53 - 1.
const SAFE: f64 = 9_007_199_254_740_991.0;

/// An id however it is spelt: a text without needless escapes, a whole number without fraction and exponent.
#[must_use]
pub fn key(id: &[u8]) -> Cow<'_, [u8]> {
    let plain = match id.first() {
        Some(b'"') if id.contains(&b'\\') => text(id),
        Some(b'"') => None,
        _ if id == b"-0" || id.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => whole(id),
        _ => None,
    };
    plain.map_or(Cow::Borrowed(id), Cow::Owned)
}

/// The key of the same id as the other type: `"1"` for `1`, and `1` for `"1"`.
fn of_other_type(key: &[u8]) -> Option<Vec<u8>> {
    let Some(rest) = key.strip_prefix(b"\"") else { return Some([b"\"", key, b"\""].concat()) };
    let text = rest.strip_suffix(b"\"")?.trim_ascii();
    serde_json::from_slice::<serde_json::Number>(text).ok()?;
    Some(self::key(text).into_owned())
}

/// The key of the entry for an id that a peer has returned; `None` if there is no entry.
#[must_use]
pub fn find(id: &[u8], is_kept: impl Fn(&[u8]) -> bool) -> Option<Cow<'_, [u8]>> {
    let own = key(id);
    if is_kept(&own) {
        return Some(own);
    }
    of_other_type(&own).filter(|other| is_kept(other)).map(Cow::Owned)
}

/// Whether a peer may mean one id by the other.
#[must_use]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (key(one), key(other));
    let is_other = |of: &[u8], key: &[u8]| of_other_type(of).is_some_and(|of| of == key);
    one == other || is_other(&one, &other) || is_other(&other, &one)
}

fn text(id: &[u8]) -> Option<Vec<u8>> {
    serde_json::to_vec(&serde_json::from_slice::<String>(id).ok()?).ok()
}

fn whole(id: &[u8]) -> Option<Vec<u8>> {
    let number: f64 = std::str::from_utf8(id).ok()?.parse().ok()?;
    let is_whole = number.fract() == 0.0 && number.abs() <= SAFE;
    // No minus in front of a zero.
    is_whole.then(|| format!("{:.0}", number + 0.0).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(id: &str) -> String {
        String::from_utf8(key(id.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn an_id_has_one_key_however_it_is_spelt() {
        for (spelt, expected) in [
            ("1", "1"),
            ("1.0", "1"),
            ("1e0", "1"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.5", "1.5"),
            ("9007199254740993", "9007199254740993"),
            ("9007199254740993.0", "9007199254740993.0"),
            ("12345678901234567890123", "12345678901234567890123"),
            (r#""a""#, r#""a""#),
            (r#""\u0061\/""#, r#""a/""#),
            (r#""\ud800""#, r#""\ud800""#),
            (r#""1.0""#, r#""1.0""#),
        ] {
            assert_eq!(shown(spelt), expected, "{spelt}");
        }
    }

    #[test]
    fn a_number_is_found_as_a_text_only_where_it_is_not_found_itself() {
        let found = |id: &str, kept: &[&str]| {
            let is_kept = |key: &[u8]| kept.iter().any(|kept| kept.as_bytes() == key);
            find(id.as_bytes(), is_kept).map(|key| String::from_utf8(key.into_owned()).unwrap())
        };
        let both = ["1", "\"1\""];
        assert_eq!(found("1.0", &both).as_deref(), Some("1"));
        assert_eq!(found("\"1\"", &both).as_deref(), Some("\"1\""));
        assert_eq!(found("\"1\"", &["1"]).as_deref(), Some("1"));
        assert_eq!(found("\" 1.0 \"", &["1"]).as_deref(), Some("1"));
        assert_eq!(found("1", &["\"1\""]).as_deref(), Some("\"1\""));
        for none in ["2", "\"2\"", "\"\"", "\"one\"", "\"0x1\"", "1.5", "\"01\""] {
            assert_eq!(found(none, &["1", "\"a\""]), None, "{none}");
        }
    }

    #[test]
    fn ids_of_one_value_are_the_same() {
        for (one, other) in [("1", "1.0"), ("\"1.0\"", "1"), ("1", "\"1\""), (r#""\u00e9""#, "\"é\"")] {
            assert!(same(one.as_bytes(), other.as_bytes()) && same(other.as_bytes(), one.as_bytes()), "{one} {other}");
        }
        for (one, other) in [("1", "2"), ("\"a\"", "\"b\""), ("\"1\"", "\"1.0\""), ("1", "\"one\"")] {
            assert!(!same(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
    }
}
