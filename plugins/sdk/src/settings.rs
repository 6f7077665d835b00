//! `options.settings`, which the user writes.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error;
use crate::types::Error;

/// Reads the settings. With `#[serde(deny_unknown_fields)]` a misspelt key is told.
///
/// # Errors
/// `invalid-request` if they don't fit, naming the key.
pub fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|e| {
        let reason = in_words(&e);
        error::invalid_request(match named(json, &e) {
            Some(key) => format!("`settings.{key}` doesn't fit: {reason}"),
            None => format!("the settings don't fit: {reason}"),
        })
    })
}

/// What is wrong with a piece of the settings, without its line and column: the user wrote them elsewhere.
#[must_use]
pub fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// The key whose value an error is about, with a dot before each inner one.
fn named(json: &str, error: &serde_json::Error) -> Option<String> {
    let before: usize = json.split_inclusive('\n').take(error.line().checked_sub(1)?).map(str::len).sum();
    let (at, mut inner, mut path) = (before + error.column(), json, Vec::new());
    let offset = |part: &str| part.as_ptr().addr() - json.as_ptr().addr();
    while let Ok(object) = serde_json::from_str::<BTreeMap<String, &RawValue>>(inner) {
        let is_there = |value: &str| offset(value) <= at && at <= offset(value) + value.len();
        let Some((key, value)) = object.into_iter().find(|(_, value)| is_there(value.get())) else { break };
        inner = value.get();
        path.push(key);
    }
    (!path.is_empty()).then(|| path.join("."))
}

/// The setting `profile`: whose rules hold for the models.
#[derive(Debug, PartialEq, Eq)]
pub enum Profile<F> {
    /// Those of the model of this name.
    Like(String),
    /// The model's own, less these.
    With(F),
}

impl<F: Default> Default for Profile<F> {
    fn default() -> Self {
        Self::With(F::default())
    }
}

impl<F> Profile<F> {
    /// The name to look up: the model's own, or that of the model whose rules hold.
    pub fn name<'a>(&'a self, model: &'a str) -> &'a str {
        match self {
            Self::Like(name) => name,
            Self::With(_) => model,
        }
    }
}

impl<'de, F: DeserializeOwned> Deserialize<'de> for Profile<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let read = if raw.get().starts_with('"') {
            serde_json::from_str(raw.get()).map(Self::Like)
        } else {
            serde_json::from_str(raw.get()).map(Self::With)
        };
        read.map_err(|e| D::Error::custom(format_args!("`profile` is a model's name or an object of facts: {e}")))
    }
}

/// Refuses fields that a setting puts into the body as they are if they are the plugin's own.
///
/// # Errors
/// `invalid-request`, naming the field.
pub fn refuse_own<T>(setting: &str, fields: &BTreeMap<String, T>, own: &[&str]) -> Result<(), Error> {
    fields.keys().find(|key| own.contains(&key.as_str())).map_or(Ok(()), |key| {
        Err(error::invalid_request(format!(
            "`settings.{setting}.{key}`: the plugin writes `{key}` itself, or can't let it be set; leave it out"
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        stream: Option<bool>,
        top: Option<u32>,
        inner: BTreeMap<String, u8>,
    }

    fn error(json: &str) -> String {
        match parse::<Settings>(json) {
            Err(Error::InvalidRequest(failure)) => failure.message,
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn a_setting_that_does_not_fit_is_named() {
        let wrong = "invalid type: string \"always\", expected a boolean";
        for json in [
            r#"{"stream":"always"}"#,
            r#"{"top":1,"stream":"always"}"#,
            "{\n  \"top\": 1,\n  \"stream\": \"always\"\n}",
            r#"{"stream": "always" , "top":1}"#,
        ] {
            assert_eq!(error(json), format!("`settings.stream` doesn't fit: {wrong}"));
        }
        let range = "invalid value: integer `-1`, expected u32";
        assert_eq!(error(r#"{"top":-1,"stream":true}"#), format!("`settings.top` doesn't fit: {range}"));
        let range = "invalid value: integer `300`, expected u8";
        assert_eq!(error(r#"{"inner":{"a":1,"b":300}}"#), format!("`settings.inner.b` doesn't fit: {range}"));
        assert!(error(r#"{"inner":[1]}"#).starts_with("`settings.inner` doesn't fit: invalid type: sequence"));
    }

    #[test]
    fn an_unknown_setting_is_named_without_a_place() {
        let unknown = "the settings don't fit: unknown field `steam`, expected one of `stream`, `top`, `inner`";
        assert_eq!(error(r#"{"steam":true}"#), unknown);
        assert_eq!(error("3"), "the settings don't fit: invalid type: integer `3`, expected struct Settings");
    }
}
