//! `options.settings`, which the user writes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error;
use crate::types::Error;

/// Reads the settings. With `#[serde(deny_unknown_fields)]` a misspelt key is told.
///
/// # Errors
/// `invalid-request` if they don't fit, naming the key.
pub fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|e| error::invalid_request(format!("the settings don't fit: {e}")))
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
