//! What the policy looks at in a request that a client is to answer: read from its text, which is passed on as it is.
//!
//! The client parses the same text itself. Where two parsers could read it differently (a duplicate key, a key that differs in case alone), the
//! request is refused: the policy would hold for one reading only.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The members that matter, unparsed.
#[derive(Debug, Default)]
pub(crate) struct Outline<'a> {
    /// `maxTokens`, as spelt.
    max_tokens: Option<&'a RawValue>,
    messages: Option<&'a RawValue>,
}

/// Their keys.
const KEYS: [&str; 2] = ["maxTokens", "messages"];

impl<'a> Outline<'a> {
    /// Reads the parameters of a request.
    ///
    /// # Errors
    /// If they are no object, or could be read in two ways.
    pub(crate) fn of(params: &'a [u8]) -> Result<Self, String> {
        let mut reader = serde_json::Deserializer::from_slice(params);
        reader.deserialize_map(OutlineVisitor).map_err(|error| error.to_string())
    }

    /// `maxTokens`, if it is there, as spelt and as a number.
    ///
    /// # Errors
    /// If it is no number of at least 1.
    pub(crate) fn max_tokens(&self) -> Result<Option<(&'a RawValue, f64)>, String> {
        let Some(raw) = self.max_tokens else { return Ok(None) };
        let number = serde_json::from_str::<f64>(raw.get()).ok().filter(|number| *number >= 1.0);
        let wrong = || format!("`maxTokens` must be a number of at least 1, and is {}", shown(raw));
        number.map(|number| Some((raw, number))).ok_or_else(wrong)
    }

    /// How many messages there are.
    ///
    /// # Errors
    /// If they are no array.
    pub(crate) fn messages(&self) -> Result<usize, String> {
        let Some(raw) = self.messages else { return Ok(0) };
        let messages = serde_json::from_str::<Vec<&RawValue>>(raw.get());
        messages.map(|messages| messages.len()).map_err(|_| "`messages` must be an array".to_owned())
    }

    /// The bytes of the largest image, sound or embedded resource.
    pub(crate) fn largest_media(&self) -> usize {
        self.messages.and_then(|raw| serde_json::from_str(raw.get()).ok()).map_or(0, |value| largest(&value))
    }
}

fn shown(raw: &RawValue) -> String {
    format!("`{}`", crate::text::one_line(raw.get(), 60))
}

/// The longest text under a key for base64.
fn largest(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(largest).max().unwrap_or_default(),
        Value::Object(members) => {
            let of = |(key, value): (&String, &Value)| match value {
                Value::String(text) if key == "data" || key == "blob" => text.len(),
                other => largest(other),
            };
            members.iter().map(of).max().unwrap_or_default()
        }
        _ => 0,
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`params` as an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline<'de>, A::Error> {
        let mut outline = Outline::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let value = map.next_value::<&'de RawValue>()?;
            let place = match key.as_ref() {
                "maxTokens" => &mut outline.max_tokens,
                "messages" => &mut outline.messages,
                other => {
                    if let Some(meant) = KEYS.into_iter().find(|meant| mcp::folded::same(other, meant)) {
                        let other = crate::text::one_line(other, 60);
                        return Err(A::Error::custom(format!("`{other}` could be read as `{meant}`")));
                    }
                    continue;
                }
            };
            if place.replace(value).is_some() {
                return Err(A::Error::custom(format!("`{key}` is there twice")));
            }
        }
        Ok(outline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(params: &str) -> Result<(Option<String>, usize, usize), String> {
        let outline = Outline::of(params.as_bytes())?;
        let tokens = outline.max_tokens()?.map(|(raw, _)| raw.get().to_owned());
        Ok((tokens, outline.messages()?, outline.largest_media()))
    }

    #[test]
    fn what_the_rules_look_at_is_found_however_it_is_spelt() {
        let params = r#"{"x":{"maxTokens":1},"max\u0054okens" : 1e3, "messages":[{"content":[{"data":"AAAA"},{"resource":{"blob":"AAAAA"}}]},2]}"#;
        assert_eq!(read(params), Ok((Some("1e3".to_owned()), 2, 5)));
        assert_eq!(read("{}"), Ok((None, 0, 0)));
    }

    #[test]
    fn what_could_be_read_in_two_ways_or_as_no_number_is_refused() {
        for (params, reason) in [
            (r#"{"maxTokens":1,"maxTokens":1000000}"#, "`maxTokens` is there twice"),
            (r#"{"maxTokens":1,"MaxTokens":1000000}"#, "`MaxTokens` could be read as `maxTokens`"),
            (r#"{"maxTokens":1,"max\u0054oKens":1}"#, "could be read as `maxTokens`"),
            ("{\"maxTokens\":1,\"meſſages\":[]}", "could be read as `messages`"),
            (r#"{"maxTokens":"1000000"}"#, "must be a number of at least 1"),
            (r#"{"maxTokens":-1}"#, "must be a number of at least 1"),
            (r#"{"maxTokens":0}"#, "must be a number of at least 1"),
            (r#"{"maxTokens":null}"#, "must be a number of at least 1"),
            (r#"{"maxTokens":1,"messages":{}}"#, "`messages` must be an array"),
            ("[]", "`params` as an object"),
        ] {
            let error = read(params).unwrap_err();
            assert!(error.contains(reason), "{params}: {error}");
        }
    }
}
