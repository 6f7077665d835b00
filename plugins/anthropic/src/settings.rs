//! What the user can set for this plugin beyond what MCP says.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use understudy_plugin::error;
use understudy_plugin::settings::{in_words, parse};
use understudy_plugin::types::Error;

use crate::binding::Digest;
use crate::models::{self, Least, Profile};
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
    /// What the models take, where the table is wrong or has no entry.
    pub(crate) profile: models::Setting,
    /// Merged into the body, winning over what the plugin would write; `null` leaves a field out.
    pub(crate) extra: BTreeMap<String, Box<RawValue>>,
}

/// What the plugin has to know of the setting `thinking`.
#[derive(Deserialize)]
struct Wanted {
    #[serde(rename = "type")]
    kind: String,
    budget_tokens: Option<u64>,
}

/// How much a request thinks.
#[derive(Debug, Default)]
pub(crate) struct Thinking<'a> {
    /// `thinking`
    pub(crate) sent: Option<&'a RawValue>,
    /// `output_config.effort`
    pub(crate) effort: Option<&'a str>,
}

impl Thinking<'_> {
    /// Whether `thinking` turns thinking on.
    pub(crate) fn is_on(&self) -> bool {
        self.sent.is_some_and(|raw| !wire::is_of_kind(raw, "disabled"))
    }
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

    /// How much a request thinks: as little as the model can, unless the user wants otherwise.
    ///
    /// The request is the server's and the setting the user's, for every request and every model alike: so where Anthropic
    /// refuses them together ("Extended thinking", and the migration guides), the setting gives way. That is a forced tool, a
    /// budget that `max_tokens` doesn't exceed, with a budget an unfinished turn that was begun without thinking, and a type
    /// that the model doesn't take; for `enabled`, `adaptive` stands in where the model takes that alone.
    pub(crate) fn thinking_for<'a>(
        &'a self,
        profile: &Profile,
        max_tokens: u32,
        forces_tool: bool,
        begun_without: bool,
    ) -> Result<Thinking<'a>, Error> {
        let effort = self.effort.as_deref().filter(|effort| !effort.is_empty() && profile.effort);
        let Some(raw) = self.thinking.as_deref() else {
            let own = if self.effort.is_none() { least(profile.least, None)? } else { Thinking::default() };
            return Ok(Thinking { effort: effort.or(own.effort), ..own });
        };
        let wanted: Wanted = wire::object(raw).map_err(|e| {
            let reason = in_words(&e);
            error::invalid_request(format!("`settings.thinking` must be an object with a `type`: {reason}"))
        })?;
        let given = match wanted.kind.as_str() {
            "disabled" => matches!(profile.least, Least::Off | Least::Disabled).then_some(raw),
            "enabled" if profile.budget => {
                let fits = wanted.budget_tokens.is_none_or(|budget| budget < u64::from(max_tokens));
                (fits && !forces_tool && !begun_without).then_some(raw)
            }
            "enabled" | "adaptive" if !profile.adaptive || forces_tool => None,
            "enabled" => Some(fixed(r#"{"type":"adaptive"}"#)?),
            "between_tools" => (profile.least == Least::BetweenTools).then_some(raw),
            _ => (!forces_tool).then_some(raw),
        };
        match given {
            Some(given) => Ok(Thinking { sent: Some(given), effort }),
            None => least(profile.least, effort),
        }
    }

    /// What every message of a conversation is bound to (`binding`).
    pub(crate) fn prefix(&self, system: Option<&str>, tools: &[wire::Tool]) -> Result<Digest, Error> {
        let tools = Some(tools).filter(|tools| !tools.is_empty());
        let digest = match self.extra.get("system") {
            Some(own) => Digest::new().and(own),
            None => Digest::new().and(&system),
        }?;
        match self.extra.get("tools") {
            Some(own) => digest.and(own),
            None => digest.and(&tools),
        }
    }
}

/// The least thinking, with the effort that the user wants.
fn least(least: Least, effort: Option<&str>) -> Result<Thinking<'_>, Error> {
    // "At `xhigh` and `max`, the request returns a 400 error" ("Effort").
    let is_high = matches!(effort, Some("xhigh" | "max"));
    Ok(match least {
        Least::Disabled if !is_high => Thinking { sent: Some(fixed(r#"{"type":"disabled"}"#)?), effort },
        Least::BetweenTools if !is_high => Thinking { sent: Some(fixed(r#"{"type":"between_tools"}"#)?), effort },
        Least::Low => Thinking { sent: None, effort: effort.or(Some("low")) },
        _ => Thinking { sent: None, effort },
    })
}

fn fixed(json: &'static str) -> Result<&'static RawValue, Error> {
    serde_json::from_str(json).map_err(|e| error::other(format!("`thinking` can't be written as JSON: {e}")))
}

/// The JSON Schema of [`Settings`].
pub(crate) fn schema() -> String {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "thinking": {
                "description": "Anthropic's own `thinking`, such as {\"type\": \"adaptive\"} or {\"type\": \"enabled\", \"budget_tokens\": 4096}. By default the least that the model can do with, because thinking counts towards the server's maxTokens. Left out of a request that can't have it: one that forces a tool, or whose maxTokens the budget doesn't fit in. A type that the model doesn't take gives way to the nearest that it takes.",
                "type": "object",
                "required": ["type"],
                "properties": { "type": { "type": "string" }, "budget_tokens": { "type": "integer", "minimum": 1024 } }
            },
            "effort": { "description": "`output_config.effort`: low, medium, high and so on, by the model. By default low for models that can't do without thinking. With it, the model thinks as it does by default, unless `thinking` says otherwise; an empty string leaves both to the model. Left out for models that don't take it.", "type": "string" },
            "topP": { "description": "`top_p`. Takes the place of the server's temperature: models take one of the two. Left out for models that take neither.", "type": "number", "minimum": 0, "maximum": 1 },
            "topK": { "description": "`top_k`. Left out for models that don't take it, and while they think.", "type": "integer", "minimum": 0 },
            "serviceTier": { "description": "`service_tier`.", "type": "string", "examples": ["auto", "standard_only"] },
            "stream": { "description": "Whether to ask for the answer as a stream. By default only if it may be longer than 21333 tokens, or if the server wants to see progress.", "type": "boolean" },
            "profile": {
                "description": "Whose rules hold for the models of this plugin, where it doesn't know their names (docs/providers.md has what it knows): the name of the model whose rules they are, such as `claude-opus-5-5`, or what they take.",
                "type": ["string", "object"],
                "additionalProperties": false,
                "properties": {
                    "forcedTools": { "description": "Whether they can be forced to call a tool (`tool_choice` `any`). Otherwise the system prompt tells them to, and an answer without a call is asked for once more.", "type": "boolean" },
                    "prefill": { "description": "Whether a conversation may end with the assistant. Otherwise a user turn follows that asks to go on.", "type": "boolean" },
                    "sampling": { "description": "Whether they take `temperature`, `top_p` and `top_k`.", "type": "boolean" },
                    "adaptiveThinking": { "description": "Whether they take `thinking` of the type `adaptive`.", "type": "boolean" },
                    "thinkingBudget": { "description": "Whether they take `thinking` of the type `enabled`, with a budget.", "type": "boolean" },
                    "effort": { "description": "Whether they take `output_config.effort`.", "type": "boolean" },
                    "leastThinking": { "description": "What keeps their thinking small: nothing, because it is off by default; `thinking` of that type; or the effort low.", "enum": ["off", "disabled", "between_tools", "low"] },
                    "boundThinking": { "description": "Whether they refuse thinking from an earlier turn if anything before it changed.", "type": "boolean" },
                    "maxTokens": { "description": "The most tokens that they write. More is not asked for.", "type": "integer", "minimum": 1 }
                }
            },
            "extra": {
                "description": "Fields to merge into the body of the request, in Anthropic's spelling. They win over what the plugin would write; null leaves a field out. `model`, `messages`, `max_tokens` and `stream` are refused.",
                "type": "object"
            }
        }
    })
    .to_string()
}
