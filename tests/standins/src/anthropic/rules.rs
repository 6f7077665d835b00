//! What is refused, and why.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::models::{Model, own_name};
use super::thinking;
use crate::{Request, is_name, list, media, schema, text};

/// The first thing that the API would refuse.
pub(super) fn refusal(request: &Request) -> Option<String> {
    let body = &request.body;
    let name = own_name(text(&body["model"]));
    let model = Model::of(&name);
    headers(request)
        .or_else(|| fields(body))
        .or_else(|| model.and_then(|model| by_model(body, &model)))
        .or_else(|| sampling(body))
        .or_else(|| tools(body))
        .or_else(|| messages(body, model.as_ref()))
        .or_else(|| pairs(body))
        .or_else(|| thinking_of(body))
        .or_else(|| thinking::refusal(request))
}

/// docs.claude.com/en/api/versioning.
fn headers(request: &Request) -> Option<String> {
    (!request.headers.contains_key("anthropic-version")).then(|| "anthropic-version: header is required".to_owned())
}

/// docs.claude.com/en/api/messages.
fn fields(body: &Value) -> Option<String> {
    let most = |key: &str, most: usize| {
        let longer = text(&body["metadata"][key]).chars().count() > most;
        longer.then(|| format!("metadata.{key}: String should have at most {most} characters"))
    };
    let metadata = body["metadata"].as_object().into_iter().flatten();
    let unknown = metadata.map(|(key, _)| key).find(|key| *key != "user_id");
    if let Some(key) = unknown {
        return Some(format!("metadata.{key}: Extra inputs are not permitted"));
    }
    if body["max_tokens"].as_u64().is_none_or(|n| n == 0) {
        return Some("max_tokens: Input should be greater than or equal to 1".to_owned());
    }
    // "stop_sequences: each stop sequence must contain non-whitespace": the API, as plugins/anthropic has it recorded.
    if list(&body["stop_sequences"]).iter().any(|stop| text(stop).trim().is_empty()) {
        return Some("stop_sequences: each stop sequence must contain non-whitespace".to_owned());
    }
    most("user_id", 256)
}

fn by_model(body: &Value, model: &Model) -> Option<String> {
    let is_set = |key: &str| !body[key].is_null();
    let most = model.most_tokens();
    if body["max_tokens"].as_u64().is_some_and(|n| n > most) {
        return Some(format!(
            "max_tokens: {} > {most}, which is the maximum allowed number of output tokens for {}",
            body["max_tokens"],
            text(&body["model"])
        ));
    }
    if let ("any" | "tool", false) = (text(&body["tool_choice"]["type"]), model.takes_forced_tools()) {
        return Some("tool_choice: type \"tool\" and \"any\" are not supported for this model.".to_owned());
    }
    let ends = list(&body["messages"]).last().is_some_and(|last| last["role"] == "assistant");
    if ends && !model.takes_prefill() {
        // Coneja-Chibi/TunnelVision#5 and many more.
        return Some(
            "This model does not support assistant message prefill. The conversation must end with a user message."
                .to_owned(),
        );
    }
    if !model.takes_sampling() {
        // srtab/daiv#1405. A value that is the default passes ("non-default sampling parameters").
        if body["temperature"].as_f64().is_some_and(|n| (n - 1.0).abs() > f64::EPSILON) {
            return Some("`temperature` is deprecated for this model.".to_owned());
        }
        if let Some(key) = ["top_p", "top_k"].into_iter().find(|key| is_set(key)) {
            return Some(format!("`{key}` is deprecated for this model."));
        }
    }
    if is_set("temperature") && is_set("top_p") && !model.takes_temperature_with_top_p() {
        return Some(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.".to_owned(),
        );
    }
    let effort = text(&body["output_config"]["effort"]);
    if !effort.is_empty() && !model.takes_effort() {
        return Some("This model does not support the effort parameter.".to_owned());
    }
    let kind = text(&body["thinking"]["type"]);
    let refused = !kind.is_empty() && model.refuses_thinking(kind, effort);
    refused.then(|| format!("\"thinking.type.{kind}\" is not supported for this model."))
}

/// platform.claude.com/docs/build-with-claude/extended-thinking ("Feature compatibility").
fn sampling(body: &Value) -> Option<String> {
    if body["temperature"].as_f64().is_some_and(|n| !(0.0..=1.0).contains(&n)) {
        return Some("temperature: range: 0..1".to_owned());
    }
    let thinks = matches!(text(&body["thinking"]["type"]), "enabled" | "adaptive");
    if thinks && body["temperature"].as_f64().is_some_and(|n| (n - 1.0).abs() > f64::EPSILON) {
        return Some("`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.".to_owned());
    }
    if thinks && !body["top_k"].is_null() {
        return Some("`top_k` must be unset when thinking is enabled or in adaptive mode.".to_owned());
    }
    if thinks && matches!(text(&body["tool_choice"]["type"]), "any" | "tool") {
        return Some("Thinking may not be enabled when tool_choice forces tool use.".to_owned());
    }
    None
}

fn tools(body: &Value) -> Option<String> {
    let tools = list(&body["tools"]);
    if tools.is_empty() && !body["tool_choice"].is_null() {
        return Some("tool_choice may only be specified while providing tools.".to_owned());
    }
    let mut names = BTreeSet::new();
    for (t, tool) in tools.iter().enumerate() {
        if !names.insert(text(&tool["name"])) {
            return Some("tools: Tool names must be unique.".to_owned());
        }
        // The provider's own tools have a dated `type` and no schema.
        if tool["input_schema"].is_null() && text(&tool["type"]).contains("_20") {
            continue;
        }
        let place = format!("tools.{t}.custom");
        if !is_name(text(&tool["name"]), "_-", 128) {
            return Some(format!("{place}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"));
        }
        let schema = &tool["input_schema"];
        if schema["type"] != "object" {
            return Some(format!("{place}.input_schema.type: Input should be 'object'"));
        }
        // langchain-ai/langchain#39271, anomalyco/opencode#35516 (2026-08).
        if ["anyOf", "oneOf", "allOf"].iter().any(|key| !schema[*key].is_null()) {
            return Some(format!(
                "{place}.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
            ));
        }
        let mut odd = None;
        schema::walk(schema, &mut Vec::new(), &mut |_, inner| {
            let keys = inner["properties"].as_object().into_iter().flatten().map(|(key, _)| key);
            odd = odd.take().or_else(|| keys.into_iter().find(|key| !is_name(key, "_.-", 64)).cloned());
        });
        if odd.is_some() {
            // anthropics/claude-code#34771.
            return Some(format!(
                "{place}.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{{1,64}}$'"
            ));
        }
        if schema::old_draft(schema).is_some() {
            // anthropics/claude-code#1690, openclaw/openclaw#29416.
            return Some(format!(
                "{place}.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12"
            ));
        }
    }
    None
}

fn messages(body: &Value, model: Option<&Model>) -> Option<String> {
    let messages = list(&body["messages"]);
    if messages.is_empty() {
        return Some("messages: at least one message is required".to_owned());
    }
    // "system: text content blocks must be non-empty".
    if body["system"].as_str().is_some_and(|system| system.trim().is_empty()) {
        return Some("system: text content blocks must contain non-whitespace text".to_owned());
    }
    let uses_tools = messages.iter().flat_map(|message| list(&message["content"]));
    let uses_tools = uses_tools.into_iter().any(|block| matches!(text(&block["type"]), "tool_use" | "tool_result"));
    if uses_tools && list(&body["tools"]).is_empty() {
        return Some("Requests which include `tool_use` or `tool_result` blocks must define tools".to_owned());
    }
    for (i, message) in messages.iter().enumerate() {
        let is_last = i + 1 == messages.len();
        let is_assistant = message["role"] == "assistant";
        if !is_assistant && message["role"] != "user" {
            return Some(format!("messages.{i}.role: Input should be 'user' or 'assistant'"));
        }
        let blocks = list(&message["content"]);
        if blocks.is_empty() && !(is_last && is_assistant) {
            // tidyverse/ellmer#710.
            return Some(format!(
                "messages.{i}: all messages must have non-empty content except for the optional final assistant message"
            ));
        }
        for (j, block) in blocks.iter().enumerate() {
            if let Some(message) = content(block, is_assistant) {
                return Some(format!("messages.{i}.content.{j}: {message}"));
            }
        }
        let end = blocks.last().filter(|_| is_last && is_assistant).map(|block| text(&block["text"]));
        if end.is_some_and(|end| end != end.trim_end()) && model.is_none_or(Model::takes_prefill) {
            return Some("messages: final assistant content cannot end with trailing whitespace".to_owned());
        }
    }
    None
}

fn content(block: &Value, is_assistant: bool) -> Option<String> {
    match text(&block["type"]) {
        "text" if text(&block["text"]).trim().is_empty() => {
            Some("text content blocks must contain non-whitespace text".to_owned())
        }
        // SEMOSS/Semoss#2323, google/adk-python#3286.
        "image" | "document" if is_assistant => {
            Some("`image` blocks are not permitted within assistant turns".to_owned())
        }
        "image" => image(&block["source"]),
        "document" => document(block),
        // maximhq/bifrost#5097, langchain-ai/langchain#37756.
        "tool_use" if !is_name(text(&block["id"]), "_-", usize::MAX) => {
            Some("tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'".to_owned())
        }
        "tool_use" if !block["input"].is_object() => {
            Some("tool_use.input: Input should be a valid dictionary".to_owned())
        }
        "tool_result" if is_assistant => Some("`tool_result` blocks can only be in `user` messages".to_owned()),
        "tool_result" => {
            if block["is_error"] == true && list(&block["content"]).is_empty() && text(&block["content"]).is_empty() {
                return Some("tool_result: content cannot be empty if `is_error` is true".to_owned());
            }
            list(&block["content"]).iter().find_map(|inner| content(inner, false))
        }
        _ => None,
    }
}

fn image(source: &Value) -> Option<String> {
    let label = text(&source["media_type"]);
    if source["type"] != "base64" {
        return None;
    }
    if !matches!(label, "image/jpeg" | "image/png" | "image/gif" | "image/webp") {
        return Some(
            "image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
                .to_owned(),
        );
    }
    match media::sniff(text(&source["data"])) {
        Err(()) => Some("image.source.base64.data: invalid base64 data".to_owned()),
        // BerriAI/litellm#24900, dust-tt/dust#26545.
        Ok(Some(found)) if found != label => Some(format!(
            "image.source.base64: The image was specified using the {label} media type, but the image appears to be a {found} image"
        )),
        Ok(_) => None,
    }
}

/// platform.claude.com/docs/en/api/messages/create, `DocumentBlockParam`.
fn document(block: &Value) -> Option<String> {
    if block["title"].as_str().is_some_and(|title| !(1..=500).contains(&title.chars().count())) {
        return Some("document.title: String should have at least 1 and at most 500 characters".to_owned());
    }
    let source = &block["source"];
    if source["type"] == "text" && text(&source["data"]).trim().is_empty() {
        return Some("document.source.text.data: text content blocks must be non-empty".to_owned());
    }
    let is_odd = source["type"] == "base64" && media::sniff(text(&source["data"])).is_err();
    is_odd.then(|| "document.source.base64.data: invalid base64 data".to_owned())
}

/// platform.claude.com/docs/en/agents-and-tools/tool-use: each `tool_use` has its `tool_result` at the beginning of the next message, and
/// messages of one role in a row are one.
fn pairs(body: &Value) -> Option<String> {
    let mut turns: Vec<(&Value, Vec<&Value>)> = Vec::new();
    for message in list(&body["messages"]) {
        let blocks = list(&message["content"]).iter();
        match turns.last_mut() {
            Some((role, turn)) if *role == &message["role"] => turn.extend(blocks),
            _ => turns.push((&message["role"], blocks.collect())),
        }
    }
    let mut open: Vec<&Value> = Vec::new();
    let mut seen = BTreeSet::new();
    for (i, (_, blocks)) in turns.iter().enumerate() {
        let is = |block: &Value, kind: &str| block["type"] == kind;
        let results: Vec<&Value> = blocks.iter().copied().filter(|block| is(block, "tool_result")).collect();
        let missing: Vec<&str> = open
            .iter()
            .filter(|id| !results.iter().any(|result| result["tool_use_id"] == ***id))
            .map(|id| text(id))
            .collect();
        if !missing.is_empty() {
            return Some(format!(
                "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` \
                block must have a corresponding `tool_result` block in the next message.",
                i - 1,
                missing.join(", ")
            ));
        }
        let mut answered = BTreeSet::new();
        for result in &results {
            let id = text(&result["tool_use_id"]);
            if !open.contains(&&json!(id)) {
                return Some(format!(
                    "messages.{i}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` \
                    block must have a corresponding `tool_use` block in the previous message."
                ));
            }
            if !answered.insert(id) {
                return Some(format!(
                    "messages.{i}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
                ));
            }
        }
        if blocks.iter().take(results.len()).any(|block| !is(block, "tool_result")) {
            return Some(format!("messages.{i}: `tool_result` blocks must come first in the content"));
        }
        open = blocks.iter().filter(|block| is(block, "tool_use")).map(|block| &block["id"]).collect();
        if let Some(id) = open.iter().find(|id| !seen.insert(text(id))) {
            return Some(format!("messages.{i}: `tool_use` ids must be unique: {id}"));
        }
    }
    None
}

/// platform.claude.com/docs/build-with-claude/extended-thinking.
fn thinking_of(body: &Value) -> Option<String> {
    let thinking = &body["thinking"];
    if thinking["type"] != "enabled" {
        return None;
    }
    let budget = thinking["budget_tokens"].as_u64().unwrap_or(0);
    if budget < 1024 {
        return Some("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024".to_owned());
    }
    if budget >= body["max_tokens"].as_u64().unwrap_or(0) {
        return Some("`max_tokens` must be greater than `thinking.budget_tokens`.".to_owned());
    }
    let messages = list(&body["messages"]);
    let within = messages.last().is_some_and(|last| {
        last["role"] == "assistant" || list(&last["content"]).iter().any(|block| block["type"] == "tool_result")
    });
    let turn = messages.iter().rev().find(|message| message["role"] == "assistant").filter(|_| within);
    let first = turn.and_then(|turn| list(&turn["content"]).first());
    let bare = first.filter(|block| !matches!(text(&block["type"]), "thinking" | "redacted_thinking"))?;
    Some(format!(
        "messages: Expected `thinking` or `redacted_thinking`, but found `{}`. When `thinking` is enabled, a final `assistant` \
        message must start with a thinking block",
        text(&bare["type"])
    ))
}
