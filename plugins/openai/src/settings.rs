//! What the user's config can say under `settings`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use understudy_plugin::error;
use understudy_plugin::types::Error;

/// JSON Schema of the settings; what each of them means stands there.
pub(crate) const SCHEMA: &str = include_str!("settings.schema.json");

/// Keys of a request's `metadata` that OpenAI has a place for and that need no other setting.
const METADATA_FIELDS: [&str; 3] = ["user", "safety_identifier", "prompt_cache_key"];

/// What the plugin writes itself, or could not deal with the answer of: not for `extra` and `metadataFields`.
const OWN_FIELDS: [&str; 20] = [
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "stop",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning_effort",
    "top_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "service_tier",
    "functions",
    "function_call",
    "n",
    "stream",
    "stream_options",
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) api: Api,
    pub(crate) path: Option<String>,
    pub(crate) system_role: SystemRole,
    pub(crate) max_tokens_field: MaxTokensField,
    pub(crate) reasoning_effort: Option<String>,
    pub(crate) top_p: Option<f64>,
    pub(crate) seed: Option<i64>,
    pub(crate) frequency_penalty: Option<f64>,
    pub(crate) presence_penalty: Option<f64>,
    pub(crate) service_tier: Option<String>,
    pub(crate) parallel_tool_calls: Option<bool>,
    metadata_fields: Option<Vec<String>>,
    pub(crate) extra: BTreeMap<String, Box<RawValue>>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    #[default]
    Chat,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SystemRole {
    #[default]
    System,
    Developer,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MaxTokensField {
    #[default]
    Auto,
    MaxTokens,
    MaxCompletionTokens,
}

impl Settings {
    /// # Errors
    /// `invalid-request` if they don't fit, naming the key.
    pub(crate) fn parse(json: &str) -> Result<Self, Error> {
        let settings: Self =
            serde_json::from_str(json).map_err(|e| error::invalid_request(format!("the settings don't fit: {e}")))?;
        let own = |key: &&String| OWN_FIELDS.contains(&key.as_str());
        if let Some(key) = settings.extra.keys().find(own) {
            return Err(error::invalid_request(format!(
                "`settings.extra.{key}`: the plugin writes `{key}` itself, or can't let it be set; leave it out"
            )));
        }
        let fields = settings.metadata_fields.iter().flatten();
        if let Some(key) = fields.clone().find(own) {
            return Err(error::invalid_request(format!(
                "`settings.metadataFields`: the plugin writes `{key}` itself; leave it out"
            )));
        }
        if let Some(key) = fields.clone().find(|key| settings.extra.contains_key(*key)) {
            return Err(error::invalid_request(format!(
                "`{key}` stands in both `settings.metadataFields` and `settings.extra`; leave one out"
            )));
        }
        Ok(settings)
    }

    /// The part of a request's `metadata` that goes into the body. The plugin's own choice of keys takes strings only,
    /// and gives way to `extra`.
    pub(crate) fn metadata<'a>(&self, metadata: Option<&'a str>) -> BTreeMap<String, &'a RawValue> {
        let Some(mut metadata) = metadata.and_then(|json| serde_json::from_str::<BTreeMap<_, _>>(json).ok()) else {
            return BTreeMap::new();
        };
        metadata.retain(|key: &String, value: &mut &RawValue| match &self.metadata_fields {
            Some(fields) => fields.contains(key),
            None => {
                METADATA_FIELDS.contains(&key.as_str()) && value.get().starts_with('"') && !self.extra.contains_key(key)
            }
        });
        metadata
    }
}
