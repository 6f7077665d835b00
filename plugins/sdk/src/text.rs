//! Content in words, for providers that take text where MCP has more.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;

use crate::types::ResourceLink;

/// Texts joined; a single one isn't copied.
#[must_use]
pub fn join<'a>(texts: Vec<Cow<'a, str>>, separator: &str) -> Cow<'a, str> {
    let mut texts = texts.into_iter();
    let first = texts.next().unwrap_or_default();
    texts.fold(first, |mut joined, text| {
        let all = joined.to_mut();
        all.push_str(separator);
        all.push_str(&text);
        joined
    })
}

/// Whether a text is this JSON, however it is spaced and ordered. MCP recommends that a tool's structured answer stands in
/// a text block too ("SHOULD also return the serialized JSON in a `TextContent` block").
#[must_use]
pub fn is_json(text: &str, json: &str) -> bool {
    let (text, json) = (text.trim(), json.trim());
    // Most texts are prose, for which the first byte settles it.
    text == json
        || text.as_bytes().first() == json.as_bytes().first()
            && matches!(
                (serde_json::from_str::<Value>(text), serde_json::from_str::<Value>(json)),
                (Ok(text), Ok(json)) if text == json
            )
}

/// A resource link: everything that it says of the resource.
#[must_use]
pub fn resource_link(link: &ResourceLink) -> String {
    let mut text = format!("Resource link {} (name: {}", link.uri, link.name);
    let mut add = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            // Writing to a string doesn't fail.
            let _ = write!(text, ", {key}: {value}");
        }
    };
    add("title", link.title.as_deref());
    add("type", link.mime_type.as_deref());
    add("bytes", link.size.map(|size| size.to_string()).as_deref());
    add("description", link.description.as_deref());
    text.push(')');
    text
}

/// A MIME type without its parameters, in lower case: `image/png` of `Image/PNG; charset=binary`.
#[must_use]
pub fn mime_essence(mime_type: &str) -> String {
    mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Takes what the model thought out of its answer, where the server hasn't: `<think>…</think>` at the beginning. What it
/// thought, if that is there.
pub fn take_thinking(text: &mut String) -> Option<String> {
    let inner = text.trim_start().strip_prefix("<think>")?;
    let (thought, said) = inner.split_once("</think>")?;
    let thought = thought.trim().to_owned();
    *text = said.trim_start().to_owned();
    (!thought.is_empty()).then_some(thought)
}

/// A provider's message for an error: on one line, and cut if it is long.
#[must_use]
pub fn one_line(message: &str) -> String {
    const MOST_CHARACTERS: usize = 600;
    let words = message.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_same_json_in_any_order_and_spacing() {
        assert!(is_json(r#" {"b": 2, "a": 1} "#, r#"{"a":1,"b":2}"#));
        assert!(!is_json(r#"{"a":1}"#, r#"{"a":1,"b":2}"#));
        assert!(!is_json("{nothing", "{}"));
        assert!(!is_json("", "{}"));
    }

    #[test]
    fn what_the_model_thought_is_taken_out() {
        let taken = |text: &str| {
            let mut text = text.to_owned();
            (take_thinking(&mut text), text)
        };
        assert_eq!(taken("\n<think>\nHm.\n</think>\n\nSo."), (Some("Hm.".to_owned()), "So.".to_owned()));
        assert_eq!(taken("<think>\n\n</think>\n\nSo."), (None, "So.".to_owned()));
        for whole in ["So. <think>Hm.</think>", "<think>Hm.", "So."] {
            assert_eq!(taken(whole), (None, whole.to_owned()));
        }
    }

    #[test]
    fn a_message_becomes_one_line() {
        assert_eq!(one_line(" a\n\n b\tc\u{0} "), "a b c");
        assert_eq!(one_line(&"ä".repeat(700)).chars().count(), 601);
    }
}
