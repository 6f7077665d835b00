//! The arguments of a tool call, read as they are meant where there is one right reading.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::value::RawValue;
use understudy_mcp_types::surrogates;

/// So often may arguments be encoded as a text within a text.
const MOST_LAYERS: usize = 3;

/// The arguments of a call that came as any JSON: an object, or a text that holds one. Nothing stands for `{}`.
#[must_use]
pub fn read(arguments: Option<&RawValue>) -> Option<String> {
    arguments.map_or_else(|| Some("{}".to_owned()), |raw| of_text(raw.get()))
}

/// The arguments that a text holds: the text of a JSON object, numbers spelt as they are. `None` if the text can't be read as one.
///
/// Read are: nothing, `null` and an empty list (`{}`); an object encoded as a text; one in a fenced block of Markdown, or
/// followed by a tag of the model's template; one after an empty one (`{}{"a": 1}`), and the same one twice; one with control
/// characters in its texts, or with a comma after its last member.
#[must_use]
pub fn of_text(text: &str) -> Option<String> {
    layer(&surrogates::mended(text), MOST_LAYERS).map(Cow::into_owned)
}

fn layer(text: &str, layers: usize) -> Option<Cow<'_, str>> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if is_json(text) {
        return match text.as_bytes().first()? {
            b'{' => Some(Cow::Borrowed(text)),
            b'"' => {
                let inner: String = serde_json::from_str(text).ok()?;
                layer(&surrogates::mended(&inner), layers.checked_sub(1)?).map(|object| Cow::Owned(object.into_owned()))
            }
            _ => is_nothing(text).then_some(Cow::Borrowed("{}")),
        };
    }
    if text.is_empty() {
        return Some(Cow::Borrowed("{}"));
    }
    if let Some(inner) = fenced(text) {
        return layer(inner, layers.checked_sub(1)?);
    }
    objects(text).map(Cow::Borrowed).or_else(|| {
        let mended = mended(text);
        objects(&mended).map(|object| Cow::Owned(object.to_owned()))
    })
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// What stands for no arguments: `null`, and PHP's empty array.
fn is_nothing(text: &str) -> bool {
    text == "null"
        || text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|in_it| in_it.trim().is_empty())
}

/// What a fenced block of Markdown holds, if the text is one.
fn fenced(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("```")?.strip_suffix("```")?;
    let (language, inner) = inner.split_once('\n').unwrap_or(("", inner));
    language.trim().chars().all(char::is_alphanumeric).then(|| inner.trim())
}

/// The one object that a row of JSON values stands for; a tag of the model's template (`</tool_call>`, `<|im_end|>`) may end the row.
fn objects(text: &str) -> Option<&str> {
    let mut rest = text;
    let mut found: Option<&str> = None;
    while !rest.is_empty() {
        if found.is_some() && rest.starts_with('<') && rest.ends_with('>') {
            break;
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let value = values.next()?.ok()?.get();
        rest = rest.get(values.byte_offset()..)?.trim_start();
        if !is_nothing(value) && !value.starts_with('{') {
            return None;
        }
        found = match found {
            Some(object) if is_empty(value) || object == value => Some(object),
            Some(object) if !is_empty(object) => return None,
            _ => Some(if is_nothing(value) { "{}" } else { value }),
        };
    }
    found
}

fn is_empty(value: &str) -> bool {
    is_nothing(value) || value.strip_prefix('{').is_some_and(|rest| rest.trim_start() == "}")
}

/// The text with the control characters in its JSON strings escaped, and without commas before the end of an object or a list.
fn mended(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 16);
    let (mut in_string, mut is_escaped) = (false, false);
    for (at, c) in text.char_indices() {
        if in_string {
            match c {
                '\n' => written.push_str("\\n"),
                '\r' => written.push_str("\\r"),
                '\t' => written.push_str("\\t"),
                c if c < ' ' => {
                    // Writing to a string doesn't fail.
                    let _ = write!(written, "\\u{:04x}", u32::from(c));
                }
                c => written.push(c),
            }
            (in_string, is_escaped) = (is_escaped || c != '"', !is_escaped && c == '\\');
            continue;
        }
        let after = text.get(at + 1..).filter(|_| c == ',').map(str::trim_start);
        if !after.is_some_and(|after| after.starts_with(['}', ']'])) {
            written.push(c);
        }
        in_string = c == '"';
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_with_one_right_reading_are_read() {
        for (text, expected) in [
            (r#"{"n": 1e400, "m": 2.50}"#, r#"{"n": 1e400, "m": 2.50}"#),
            ("", "{}"),
            (" \n", "{}"),
            ("null", "{}"),
            ("[]", "{}"),
            (r#""null""#, "{}"),
            (r#""""#, "{}"),
            (r#""{\"a\": 1}""#, r#"{"a": 1}"#),
            (r#""\"{\\\"a\\\": 1}\"""#, r#"{"a": 1}"#),
            ("```json\n{\"a\": 1}\n```", r#"{"a": 1}"#),
            ("```{\"a\": 1}```", r#"{"a": 1}"#),
            ("{\"a\": 1}</tool_call>", r#"{"a": 1}"#),
            ("{\"a\": 1}\n</tool_call>\n<|im_end|>", r#"{"a": 1}"#),
            (r#"{}{"a": 1}"#, r#"{"a": 1}"#),
            (r#"{"a": 1}{}"#, r#"{"a": 1}"#),
            (r#"{"a": 1}{"a": 1}"#, r#"{"a": 1}"#),
            (r#"null{"a": 1}"#, r#"{"a": 1}"#),
            ("{}{}", "{}"),
            ("{\"a\": \"one\ntwo\t\u{1}\"}", "{\"a\": \"one\\ntwo\\t\\u0001\"}"),
            (r#"{"a": "x, }", "b": [1, 2, ], }"#, r#"{"a": "x, }", "b": [1, 2 ] }"#),
            (r#"{"a": "\\", }"#, r#"{"a": "\\" }"#),
            (r#"{"a": "\ud83c"}"#, "{\"a\": \"\u{fffd}\"}"),
            ("\u{feff}{}", "{}"),
        ] {
            assert_eq!(of_text(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn arguments_without_one_are_none() {
        for text in [
            r#"{"a": 1"#,
            r#"{"a": 1}{"a": 2}"#,
            "[1]",
            "7",
            "true",
            r#""so""#,
            "so",
            r#"{"a": 1} so"#,
            r#"{"a": 1}{"b""#,
            "</tool_call>",
            "{'a': 1}",
            r#""\"\\\"\\\\\\\"{}\\\\\\\"\\\"\"""#,
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }
}
