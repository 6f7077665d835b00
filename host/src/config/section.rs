//! Reading one object of the config: each key is taken once, and the keys that remain are unknown.

use std::time::Duration;

use bytesize::ByteSize;
use serde_json::{Map, Value};

use super::ConfigError;
use crate::money::NanoDollars;
use crate::text::{did_you_mean, list, nearest};

/// How many unknown keys a warning names.
const MOST_NAMED: usize = 12;

/// An object of the config, with its path.
pub(super) struct Section {
    path: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Section {
    pub(super) fn new(path: &str, map: Map<String, Value>) -> Self {
        Self { path: path.to_owned(), map, known: Vec::new() }
    }

    /// The value as an object.
    pub(super) fn of(path: &str, value: Value) -> Result<Self, ConfigError> {
        match value {
            Value::Object(map) => Ok(Self::new(path, map)),
            other => Err(wrong(path, &format!("must be an object, and is {}", kind(&other)))),
        }
    }

    /// What hasn't been taken.
    pub(super) fn into_map(self) -> Map<String, Value> {
        self.map
    }

    /// The path of a key of this object.
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn wrong(&self, key: &str, reason: &str) -> ConfigError {
        wrong(&self.key(key), reason)
    }

    /// The value of a key; `null` is the same as absent.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.map.remove(key).filter(|value| !value.is_null())
    }

    pub(super) fn section(&mut self, key: &'static str) -> Result<Option<Section>, ConfigError> {
        let path = self.key(key);
        self.take(key).map(|value| Section::of(&path, value)).transpose()
    }

    pub(super) fn string(&mut self, key: &'static str) -> Result<Option<String>, ConfigError> {
        self.typed(key, "a string", |value| match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        })
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        self.typed(key, "`true` or `false`", |value| value.as_bool().ok_or(value))
    }

    /// A whole number of at least 1.
    pub(super) fn count(&mut self, key: &'static str) -> Result<Option<u32>, ConfigError> {
        self.typed(key, "a whole number of at least 1", |value| {
            value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).ok_or(value)
        })
    }

    /// A whole number of at least 0.
    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<u32>, ConfigError> {
        self.typed(key, "a whole number", |value| value.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or(value))
    }

    /// A whole number of at least 0, however large.
    pub(super) fn large_number(&mut self, key: &'static str) -> Result<Option<u64>, ConfigError> {
        self.typed(key, "a whole number", |value| value.as_u64().ok_or(value))
    }

    /// An amount of US dollars.
    pub(super) fn money(&mut self, key: &'static str) -> Result<Option<NanoDollars>, ConfigError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => text.parse().map(Some).map_err(|reason: String| self.wrong(key, &reason)),
            Some(other) => {
                let reason = format!("must be an amount of US dollars, such as `\"$5\"`, and is {}", kind(&other));
                Err(self.wrong(key, &reason))
            }
        }
    }

    /// A number from 0 to 1.
    pub(super) fn share(&mut self, key: &'static str) -> Result<Option<f64>, ConfigError> {
        self.typed(key, "a number from 0 to 1", |value| value.as_f64().filter(|n| (0.0..=1.0).contains(n)).ok_or(value))
    }

    pub(super) fn strings(&mut self, key: &'static str) -> Result<Option<Vec<String>>, ConfigError> {
        self.typed(key, "an array of strings", |value| match strings(&value) {
            Some(strings) => Ok(strings),
            None => Err(value),
        })
    }

    /// An object whose values are strings; numbers and booleans are taken as they are spelt.
    pub(super) fn texts(&mut self, key: &'static str) -> Result<Vec<(String, String)>, ConfigError> {
        let Some(section) = self.section(key)? else { return Ok(Vec::new()) };
        let path = section.path.clone();
        let text = |(name, value): (String, Value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
            other => Err(wrong(&format!("{path}.{name}"), &format!("must be a string, and is {}", kind(&other)))),
        };
        section.map.into_iter().map(text).collect()
    }

    /// A size with its unit.
    pub(super) fn size(&mut self, key: &'static str) -> Result<Option<usize>, ConfigError> {
        self.typed(key, "a size with its unit, such as `\"256 MiB\"`", |value| {
            let size = value.as_str().filter(|text| text.contains(char::is_alphabetic));
            let bytes = size.and_then(|text| text.parse::<ByteSize>().ok()).map(|size| size.as_u64());
            bytes.and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes > 0).ok_or(value)
        })
    }

    /// A duration with its unit.
    pub(super) fn duration(&mut self, key: &'static str) -> Result<Option<Duration>, ConfigError> {
        self.typed(key, "a duration with its unit, such as `\"120 s\"` or `\"500 ms\"`", |value| {
            let duration = value.as_str().and_then(|text| humantime::parse_duration(text).ok());
            duration.filter(|duration| !duration.is_zero()).ok_or(value)
        })
    }

    fn typed<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        read: impl FnOnce(Value) -> Result<T, Value>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match read(value) {
            Ok(value) => Ok(Some(value)),
            Err(found) => Err(self.wrong(key, &format!("must be {wanted}, and is {}", kind(&found)))),
        }
    }

    /// Every key must have been taken.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        let known = self.known.iter().copied();
        match self.map.keys().next() {
            None => Ok(()),
            Some(key) => {
                let hint = did_you_mean(key, known.clone());
                Err(wrong(&self.key(key), &format!("is not a key of the config{hint}; known here: {}", list(known))))
            }
        }
    }

    /// As `finish`, but only a near miss of a known key is an error, and only in a file that is `ours`; other unknown keys get one warning.
    pub(super) fn finish_leniently(self, warnings: &mut Vec<String>, ours: bool) -> Result<(), ConfigError> {
        for key in self.map.keys().filter(|_| ours) {
            if let Some(name) = nearest(key, self.known.iter().copied()) {
                return Err(wrong(&self.key(key), &format!("is not a key of the config (did you mean `{name}`?)")));
            }
        }
        if !self.map.is_empty() {
            let keys: Vec<String> = self.map.keys().take(MOST_NAMED).map(|key| self.key(key)).collect();
            let more = match self.map.len().saturating_sub(MOST_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let named = list(keys.iter().map(String::as_str));
            warnings.push(format!("ignored, as none of Understudy's keys: {named}{more}"));
        }
        Ok(())
    }
}

/// What is wrong with the value of a key.
#[must_use]
pub fn wrong(key: &str, reason: &str) -> ConfigError {
    ConfigError::Value { file: String::new(), key: key.to_owned(), reason: reason.to_owned() }
}

pub(super) fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// A value in words. Its content is not shown: it could be a secret in the wrong place.
pub(super) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => format!("`{b}`"),
        Value::Number(n) => format!("the number `{n}`"),
        Value::String(_) => "another string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
