//! What the user's config can say under `settings`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use understudy_plugin::error;
use understudy_plugin::settings::{parse, refuse_own};
use understudy_plugin::stream::by_default;
use understudy_plugin::types::{CreateMessageRequest, Error};

use crate::dialect::{self, Dialect, Spoken};
use crate::models::{self, Facts};

/// JSON Schema of the settings; what each of them means stands there.
pub(crate) const SCHEMA: &str = include_str!("settings.schema.json");

/// What the plugin writes itself, or could not deal with the answer of: not for `extra` and `metadataFields`.
const OWN_FIELDS: [&str; 9] = [
    "model",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "service_tier",
    "stream",
    "stream_options",
];

/// The same, of Chat Completions only.
const OWN_FIELDS_OF_CHAT: [&str; 14] = [
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "reasoning_effort",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "functions",
    "function_call",
    "n",
    "random_seed",
    "continue_final_message",
    "add_generation_prompt",
];

/// The same, of the Responses API only.
const OWN_FIELDS_OF_RESPONSES: [&str; 10] = [
    "input",
    "max_output_tokens",
    "instructions",
    "reasoning",
    "include",
    "store",
    "background",
    "conversation",
    "previous_response_id",
    "context_management",
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) api: Api,
    dialect: Option<String>,
    profile: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) system_role: Option<SystemRole>,
    pub(crate) max_tokens_field: Option<MaxTokensField>,
    reasoning_effort: Option<String>,
    pub(crate) top_p: Option<f64>,
    pub(crate) seed: Option<i64>,
    pub(crate) frequency_penalty: Option<f64>,
    pub(crate) presence_penalty: Option<f64>,
    pub(crate) service_tier: Option<String>,
    pub(crate) parallel_tool_calls: Option<bool>,
    stream: Option<bool>,
    metadata_fields: Option<Vec<String>>,
    pub(crate) extra: BTreeMap<String, Box<RawValue>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    #[default]
    Chat,
    Responses,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SystemRole {
    System,
    Developer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MaxTokensField {
    Auto,
    MaxTokens,
    MaxCompletionTokens,
}

impl Settings {
    /// # Errors
    /// `invalid-request` if they don't fit, naming the key.
    pub(crate) fn parse(json: &str) -> Result<Self, Error> {
        let settings: Self = parse(json)?;
        if let Some(name) = settings.dialect.as_deref().filter(|name| Dialect::named(name).is_none()) {
            let known: Vec<_> = dialect::TABLE.iter().map(|dialect| format!("`{}`", dialect.name)).collect();
            let known = known.join(", ");
            return Err(error::invalid_request(format!("`settings.dialect` is `{name}`; it must be one of {known}")));
        }
        if settings.api == Api::Responses {
            settings.check_responses()?;
        }
        let own = [
            OWN_FIELDS.as_slice(),
            match settings.api {
                Api::Chat => &OWN_FIELDS_OF_CHAT,
                Api::Responses => &OWN_FIELDS_OF_RESPONSES,
            },
        ]
        .concat();
        refuse_own("extra", &settings.extra, &own)?;
        let fields = settings.metadata_fields.iter().flatten();
        if let Some(key) = fields.clone().find(|key| own.contains(&key.as_str())) {
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

    /// Refuses what the Responses API has no place for.
    fn check_responses(&self) -> Result<(), Error> {
        let only_chat = [
            ("dialect", self.dialect.is_some()),
            ("seed", self.seed.is_some()),
            ("frequencyPenalty", self.frequency_penalty.is_some()),
            ("presencePenalty", self.presence_penalty.is_some()),
            ("systemRole", self.system_role.is_some()),
            ("maxTokensField", self.max_tokens_field.is_some()),
        ];
        match only_chat.iter().find(|(_, is_set)| *is_set) {
            None => Ok(()),
            Some((key, _)) => Err(error::invalid_request(format!(
                "`settings.{key}`: the Responses API has no such parameter; leave it out"
            ))),
        }
    }

    /// What the server takes. `extensions`: the options' own, in which the host names the endpoint.
    pub(crate) fn spoken(&self, extensions: &str, model: &str) -> Spoken {
        let origin = origin(extensions);
        let setting = self.dialect.as_deref().and_then(Dialect::named);
        Spoken::of(setting, origin.as_deref(), self.profile.as_deref().unwrap_or(model))
    }

    /// What the model takes.
    pub(crate) fn facts(&self, model: &str) -> Facts {
        models::facts(self.profile.as_deref().unwrap_or(model))
    }

    /// How much the model is to reason.
    pub(crate) fn effort(&self, facts: &Facts) -> Option<&str> {
        match self.reasoning_effort.as_deref() {
            Some("") => None,
            None if facts.can_do_without_reasoning => Some("none"),
            effort => effort,
        }
    }

    /// Whether to ask for the answer as a stream.
    pub(crate) fn streams(&self, request: &CreateMessageRequest) -> bool {
        self.stream.unwrap_or_else(|| by_default(request))
    }

    /// The part of a request's `metadata` that goes into the body. `taken`: the keys that the server has a place for and that need no
    /// other setting; those take strings only, and give way to `extra`.
    pub(crate) fn metadata<'a>(&self, metadata: Option<&'a str>, taken: &[&str]) -> BTreeMap<String, &'a RawValue> {
        let Some(mut metadata) = metadata.and_then(|json| serde_json::from_str::<BTreeMap<_, _>>(json).ok()) else {
            return BTreeMap::new();
        };
        metadata.retain(|key: &String, value: &mut &RawValue| match &self.metadata_fields {
            Some(fields) => fields.contains(key),
            None => taken.contains(&key.as_str()) && value.get().starts_with('"') && !self.extra.contains_key(key),
        });
        metadata
    }
}

/// The origin of the endpoint, which the host puts among the options' extensions.
pub(crate) fn origin(extensions: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Extensions {
        origin: Option<String>,
    }
    serde_json::from_str::<Extensions>(extensions).ok()?.origin
}
