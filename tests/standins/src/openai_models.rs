//! What OpenAI's models take and refuse, as of November 2026.

use serde_json::Value;

use crate::schema::walk;
use crate::{is_name, text};

/// The name without a vendor and a date.
pub(crate) fn own_name(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.split(':').next().unwrap_or(name);
    name.split_once("-20").map_or(name, |(name, _)| name)
}

/// 5 and 4 of `gpt-5.4-mini`.
fn version(name: &str) -> Option<(u32, u32)> {
    let number = name.strip_prefix("gpt-")?.split('-').next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// platform.openai.com/docs/guides/reasoning.
pub(crate) fn reasons(model: &str) -> bool {
    let name = own_name(model);
    let is_o = name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_o || version(name).is_some_and(|version| version >= (5, 0))
}

/// Models that take `none`: developers.openai.com/api/docs/guides/latest-model; of GPT-6 as plugins/openai/src/models.rs has it (2026-11).
pub(crate) fn takes_no_effort(model: &str) -> bool {
    let name = own_name(model);
    let never = name.contains("pro") || name.contains("codex") || matches!(name, "gpt-6-astra" | "gpt-6.1-sol");
    !never && version(name).is_some_and(|version| ((5, 1)..(6, 2)).contains(&version))
}

/// Whether Chat Completions takes function tools of this model at this effort. BerriAI/litellm#34569, itzcrazykns/vane#1173, community.openai.com
/// 1386454: from GPT-5.4 on an effort other than `none` is refused, from 5.6 on so is none at all.
pub(crate) fn takes_tools_in_chat(model: &str, effort: Option<&str>) -> bool {
    match version(own_name(model)) {
        Some(version) if version >= (5, 6) => effort == Some("none"),
        Some(version) if version >= (5, 4) => effort.is_none_or(|effort| effort == "none"),
        _ => true,
    }
}

/// The most tokens that the model writes: platform.openai.com/docs/models.
pub(crate) fn most_tokens(model: &str) -> Option<u64> {
    let name = own_name(model);
    Some(match name {
        _ if name.starts_with("gpt-4.1") => 32_768,
        _ if name.starts_with("gpt-4o") || name.starts_with("gpt-audio") => 16_384,
        _ if reasons(model) && name.starts_with('o') => 100_000,
        _ if reasons(model) => 128_000,
        _ => return None,
    })
}

/// Whether the model is one of OpenAI's own.
pub(crate) fn is_known(model: &str) -> bool {
    most_tokens(model).is_some()
}

/// platform.openai.com/docs/guides/audio.
pub(crate) fn hears(model: &str) -> bool {
    model.contains("audio")
}

/// What is wrong with a function's name and schema.
pub(crate) fn bad_function(name: &str, parameters: &Value) -> Option<String> {
    if !is_name(name, "_-", 64) {
        return Some(format!(
            "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$', got '{name}'."
        ));
    }
    if parameters.is_null() {
        return None;
    }
    if parameters["type"] != "object" {
        let kind = &parameters["type"];
        return Some(format!(
            "Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', got 'type: {kind}'."
        ));
    }
    // openai/openai-agents-python#449, langchain-ai/langchain-mcp-adapters#137.
    if parameters["properties"].is_null() {
        return Some(format!("Invalid schema for function '{name}': In context=(), object schema missing properties."));
    }
    // anomalyco/opencode#35516: Notion's server, August 2026.
    let odd = ["oneOf", "anyOf", "allOf", "enum", "not"].into_iter().find(|key| !parameters[*key].is_null());
    if odd.is_some() {
        return Some(format!(
            "Invalid schema for function '{name}': schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level."
        ));
    }
    // digitalocean-labs/mcp-digitalocean#265, spacelift-io/spacectl#402.
    let mut found = None;
    walk(parameters, &mut Vec::new(), &mut |place, schema| {
        if text(&schema["type"]) == "array" && schema["items"].is_null() && schema["prefixItems"].is_null() {
            let place: Vec<String> = place.iter().map(|step| format!("'{step}'")).collect();
            found.get_or_insert_with(|| {
                format!(
                    "Invalid schema for function '{name}': In context=({}), array schema missing items.",
                    place.join(", ")
                )
            });
        }
    });
    found
}
