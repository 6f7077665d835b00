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
    serde_json::from_str(json).map_err(|e| error::invalid_request(format!("the settings don't fit: {e}")))
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
