//! What the user's config can say under `settings`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use understudy_plugin::settings::{parse, refuse_own};
use understudy_plugin::types::Error;

use crate::models::least_thinking;

/// JSON Schema of the settings; what each of them means stands there.
pub(crate) const SCHEMA: &str = include_str!("settings.schema.json");

/// What the plugin writes into the body itself: not for `extra`.
const OWN_FIELDS: [&str; 9] =
    ["model", "messages", "stream", "tools", "options", "think", "format", "keep_alive", "truncate"];

/// What the plugin writes into the body's `options` itself: not for the setting of that name.
const OWN_OPTIONS: [&str; 4] = ["num_predict", "temperature", "stop", "num_ctx"];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) keep_alive: Option<KeepAlive>,
    pub(crate) num_ctx: Option<u32>,
    think: Option<Think>,
    pub(crate) stream: Option<bool>,
    pub(crate) format: Option<Box<RawValue>>,
    pub(crate) truncate: bool,
    pub(crate) options: BTreeMap<String, Box<RawValue>>,
    pub(crate) extra: BTreeMap<String, Box<RawValue>>,
}

/// A duration such as `10m`, or seconds.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged, expecting = "expected a duration such as \"10m\", or a number of seconds")]
pub(crate) enum KeepAlive {
    Seconds(i64),
    Fraction(f64),
    Duration(String),
}

/// Whether, or how much.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged, expecting = "expected a boolean, or a level such as \"high\"")]
pub(crate) enum Think {
    Whether(bool),
    Level(String),
}

impl Settings {
    /// # Errors
    /// `invalid-request` if they don't fit, naming the key.
    pub(crate) fn parse(json: &str) -> Result<Self, Error> {
        let settings: Self = parse(json)?;
        refuse_own("extra", &settings.extra, &OWN_FIELDS)?;
        refuse_own("options", &settings.options, &OWN_OPTIONS)?;
        Ok(settings)
    }

    /// What to send as `think`: without it the server lets every model think that can.
    pub(crate) fn think(&self, model: &str) -> Option<Think> {
        match &self.think {
            None => Some(least_thinking(model)),
            Some(Think::Level(level)) if level.is_empty() => None,
            think => think.clone(),
        }
    }
}
