//! What the user can set for this plugin beyond what MCP says.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use understudy_plugin::error;
use understudy_plugin::settings::{in_words, parse};
use understudy_plugin::types::Error;

use crate::wire;

/// Fields of the body that `extra` can't replace, and what decides them instead.
const RESERVED: [(&str, &str); 4] = [
    ("model", "the sampling request"),
    ("messages", "the sampling request"),
    ("max_tokens", "the sampling request"),
    ("stream", "the setting `stream`"),
];

/// The plugin's `settings`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Anthropic's `thinking`, as it stands.
    pub(crate) thinking: Option<Box<RawValue>>,
    /// `output_config.effort`
    pub(crate) effort: Option<String>,
    /// `top_p`
    pub(crate) top_p: Option<f64>,
    /// `top_k`
    pub(crate) top_k: Option<u64>,
    /// `service_tier`
    pub(crate) service_tier: Option<String>,
    /// Whether to ask for the answer as a stream; by default where that helps.
    pub(crate) stream: Option<bool>,
    /// Merged into the body, winning over what the plugin would write; `null` leaves a field out.
    pub(crate) extra: BTreeMap<String, Box<RawValue>>,
}

/// What the plugin has to know of `thinking`.
#[derive(Deserialize)]
struct Thinking {
    #[serde(rename = "type")]
    kind: String,
    budget_tokens: Option<u64>,
}

impl Settings {
    /// Reads `options.settings`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let settings: Self = parse(text)?;
        if let Some((key, by)) = RESERVED.iter().find(|(key, _)| settings.extra.contains_key(*key)) {
            return Err(error::invalid_request(format!(
                "the settings don't fit: `extra` can't hold `{key}`, which {by} decides"
            )));
        }
        Ok(settings)
    }

    /// `thinking` for a request of this many tokens, if it can think at all.
    ///
    /// The request is the server's and the setting the user's, for every request alike: so where Anthropic refuses the two
    /// together ("Extended thinking"), the setting gives way and that request goes without thinking. That is a forced tool, a
    /// budget that `max_tokens` doesn't exceed, and, with a budget, an unfinished turn that was begun without thinking.
    pub(crate) fn thinking_for(
        &self,
        max_tokens: u32,
        forces_tool: bool,
        begun_without: bool,
    ) -> Result<Option<&RawValue>, Error> {
        let Some(raw) = self.thinking.as_deref() else { return Ok(None) };
        let thinking: Thinking = wire::object(raw).map_err(|e| {
            let reason = in_words(&e);
            error::invalid_request(format!("`settings.thinking` must be an object with a `type`: {reason}"))
        })?;
        let sent = match thinking.kind.as_str() {
            "disabled" => true,
            "enabled" => {
                let fits = thinking.budget_tokens.is_none_or(|budget| budget < u64::from(max_tokens));
                fits && !forces_tool && !begun_without
            }
            _ => !forces_tool,
        };
        Ok(sent.then_some(raw))
    }
}

/// Whether a `thinking` that is sent turns thinking on.
pub(crate) fn thinks(thinking: Option<&RawValue>) -> bool {
    thinking.is_some_and(|raw| wire::object::<Thinking>(raw).is_ok_and(|t| t.kind != "disabled"))
}

/// The JSON Schema of [`Settings`].
pub(crate) fn schema() -> String {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "thinking": {
                "description": "Anthropic's own `thinking`, such as {\"type\": \"adaptive\"} or {\"type\": \"enabled\", \"budget_tokens\": 4096}. Left out of a request that can't have it: one that forces a tool, or whose maxTokens the budget doesn't fit in.",
                "type": "object",
                "required": ["type"],
                "properties": { "type": { "type": "string" }, "budget_tokens": { "type": "integer", "minimum": 1024 } }
            },
            "effort": { "description": "`output_config.effort`: low, medium, high and so on, by the model.", "type": "string" },
            "topP": { "description": "`top_p`. Takes the place of the server's temperature: models take one of the two.", "type": "number", "minimum": 0, "maximum": 1 },
            "topK": { "description": "`top_k`.", "type": "integer", "minimum": 0 },
            "serviceTier": { "description": "`service_tier`.", "type": "string", "examples": ["auto", "standard_only"] },
            "stream": { "description": "Whether to ask for the answer as a stream. By default only if it may be longer than 21333 tokens, or if the server wants to see progress.", "type": "boolean" },
            "extra": {
                "description": "Fields to merge into the body of the request, in Anthropic's spelling. They win over what the plugin would write; null leaves a field out. `model`, `messages`, `max_tokens` and `stream` are refused.",
                "type": "object"
            }
        }
    })
    .to_string()
}
