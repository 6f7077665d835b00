//! What the user's config can say under `settings`.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::value::RawValue;
use understudy_plugin::error;
use understudy_plugin::settings::{parse, refuse_own};
use understudy_plugin::stream;
use understudy_plugin::types::{CreateMessageRequest, Error};

use crate::models::{self, LeastThinking, Profile};
use crate::wire::ThinkingConfig;

/// JSON Schema of the settings; what each of them means stands there.
pub(crate) const SCHEMA: &str = include_str!("settings.schema.json");

const PATH: &str = "/v1beta/models/{model}:generateContent";

/// The method that answers as a whole, and the one that answers as a stream.
const WHOLE: &str = ":generateContent";
const STREAMING: &str = ":streamGenerateContent?alt=sse";

/// What the plugin writes into the body itself: not for `extra`.
const OWN_FIELDS: [&str; 8] =
    ["model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "labels"];

/// What the plugin writes into `generationConfig` itself, or could not deal with the answer of.
const OWN_CONFIG_FIELDS: [&str; 8] =
    ["temperature", "maxOutputTokens", "stopSequences", "topP", "topK", "seed", "thinkingConfig", "candidateCount"];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "`safetySettings` is Google's name")]
pub(crate) struct Settings {
    path: Option<String>,
    stream: Option<bool>,
    thinking_level: Option<String>,
    thinking_budget: Option<i32>,
    include_thoughts: Option<bool>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_k: Option<u32>,
    pub(crate) seed: Option<i32>,
    pub(crate) safety_settings: Option<Box<RawValue>>,
    label_fields: Vec<String>,
    pub(crate) profile: models::Setting,
    pub(crate) generation_config: BTreeMap<String, Box<RawValue>>,
    pub(crate) extra: BTreeMap<String, Box<RawValue>>,
}

impl Settings {
    /// # Errors
    /// `invalid-request` if they don't fit, naming the key.
    pub(crate) fn parse(json: &str) -> Result<Self, Error> {
        let settings: Self = parse(json)?;
        refuse_own("extra", &settings.extra, &OWN_FIELDS)?;
        refuse_own("generationConfig", &settings.generation_config, &OWN_CONFIG_FIELDS)?;
        if settings.thinking_level.as_deref().is_some_and(|level| !level.is_empty())
            && settings.thinking_budget.is_some()
        {
            return Err(error::invalid_request(
                "`settings.thinkingLevel` and `settings.thinkingBudget` exclude each other; leave one out",
            ));
        }
        if settings.path.as_deref().is_some_and(|path| !path.starts_with('/')) {
            return Err(error::invalid_request("`settings.path` must begin with `/`"));
        }
        Ok(settings)
    }

    /// The path for a model.
    pub(crate) fn path(&self, model: &str) -> String {
        self.path.as_deref().unwrap_or(PATH).replace("{model}", &percent_encoded(model))
    }

    /// The path for a model, if the request's answer is to come as a stream. There is such a path only where it follows from
    /// the other.
    pub(crate) fn streaming_path(&self, request: &CreateMessageRequest, model: &str) -> Result<Option<String>, Error> {
        if !self.stream.unwrap_or_else(|| stream::by_default(request)) {
            return Ok(None);
        }
        let path = self.path(model).strip_suffix(WHOLE).map(|beginning| [beginning, STREAMING].concat());
        if path.is_none() && self.stream.is_some() {
            return Err(error::invalid_request(format!(
                "`settings.stream` is true, but `settings.path` doesn't end with `{WHOLE}`, from which the path for streams follows; change one of them"
            )));
        }
        Ok(path)
    }

    /// How much the model is to think: as little as it can unless the user wants otherwise, because thoughts count towards
    /// `maxTokens`, which servers choose for the length of the answer.
    pub(crate) fn thinking(&self, profile: &Profile) -> Option<ThinkingConfig<'_>> {
        let mut config = ThinkingConfig {
            thinking_level: self.thinking_level.as_deref().filter(|level| !level.is_empty()),
            thinking_budget: self.thinking_budget,
            include_thoughts: self.include_thoughts,
        };
        if self.thinking_level.is_none() && self.thinking_budget.is_none() {
            match profile.least {
                Some(LeastThinking::Level(level)) => config.thinking_level = Some(level),
                Some(LeastThinking::Budget(budget)) => config.thinking_budget = Some(budget),
                None => {}
            }
        }
        (!config.is_empty()).then_some(config)
    }

    /// The part of a request's `metadata` that goes into `labels`, which hold texts.
    pub(crate) fn labels(&self, metadata: Option<&str>) -> BTreeMap<String, String> {
        if self.label_fields.is_empty() {
            return BTreeMap::new();
        }
        let metadata: BTreeMap<String, &RawValue> =
            metadata.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let label = |(key, value): (String, &RawValue)| {
            let text = serde_json::from_str(value.get()).ok().filter(|_| self.label_fields.contains(&key))?;
            Some((key, text))
        };
        metadata.into_iter().filter_map(label).collect()
    }
}

/// A path segment, whatever the name holds.
fn percent_encoded(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string doesn't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
