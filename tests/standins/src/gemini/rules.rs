//! What is refused, and why.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{UNSIGNED, model, signature, version, wants_signatures};
use crate::{Request, list, media, text};

/// The first thing that the API would refuse.
pub(super) fn refusal(request: &Request) -> Option<String> {
    let (body, model) = (&request.body, model(request));
    configuration(&body["generationConfig"], model)
        .or_else(|| tools(body))
        .or_else(|| contents(body))
        .or_else(|| turns(body, model))
        .or_else(|| signatures(request, model))
}

/// Google's docs, "Thinking" and "Models".
fn configuration(config: &Value, model: &str) -> Option<String> {
    let version = version(model);
    let most = match version? {
        (1, _) | (2, 0) => Some(8192),
        (2 | 3, _) => Some(65_536),
        _ => None,
    };
    if let (Some(asked), Some(most)) = (config["maxOutputTokens"].as_u64(), most)
        && !(1..=most).contains(&asked)
    {
        return Some(format!(
            "Unable to submit request because it has a maxOutputTokens value of {asked} but the supported range is from 1 \
            (inclusive) to {} (exclusive). Update the value and try again.",
            most + 1
        ));
    }
    if config["temperature"].as_f64().is_some_and(|n| !(0.0..=2.0).contains(&n)) {
        return Some("temperature must be in the range [0.0, 2.0].".to_owned());
    }
    let stops = list(&config["stopSequences"]);
    if stops.len() > 5 {
        return Some("The number of stop sequences must be at most 5.".to_owned());
    }
    if stops.iter().any(|stop| text(stop).is_empty()) {
        return Some("Stop sequences must not be empty.".to_owned());
    }
    thinking(&config["thinkingConfig"], model, version?)
}

fn thinking(config: &Value, model: &str, version: (u32, u32)) -> Option<String> {
    let level = text(&config["thinkingLevel"]);
    let budget = config["thinkingBudget"].as_i64();
    if config.is_null() {
        return None;
    }
    if version < (2, 5) {
        return Some("Unable to submit request because thinking is not supported by this model.".to_owned());
    }
    if !level.is_empty() && budget.is_some() {
        return Some("You can only set only one of thinking budget and thinking level.".to_owned());
    }
    if !level.is_empty() && version < (3, 0) {
        return Some("Thinking level is not supported for this model.".to_owned());
    }
    // docs.cloud.google.com/gemini-enterprise-agent-platform/models/guides: of these the least is LOW.
    let without_minimal = [
        "gemini-3-pro",
        "gemini-3.1-pro",
        "gemini-3.7-flash",
        "gemini-3.8-flash",
        "gemini-4-hydrogen",
        "gemini-4-argon",
        "gemini-4-carbon",
    ];
    if level == "MINIMAL" && without_minimal.iter().any(|beginning| model.starts_with(beginning)) {
        return Some(
            "Thinking level MINIMAL is not supported for this model. Please retry with other thinking level."
                .to_owned(),
        );
    }
    if budget.is_some_and(|budget| (0..128).contains(&budget)) && model.starts_with("gemini-2.5-pro") {
        return Some("Budget 0 is invalid. This model only works in thinking mode.".to_owned());
    }
    None
}

/// Google's docs, "Function calling"; the length by `types.py` of `google-genai` (`FunctionDeclaration`).
fn tools(body: &Value) -> Option<String> {
    let declared: Vec<&Value> =
        list(&body["tools"]).iter().flat_map(|tool| list(&tool["functionDeclarations"])).collect();
    let mut names = BTreeSet::new();
    for (n, function) in declared.iter().enumerate() {
        let name = text(&function["name"]);
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !crate::is_name(name, "_.:-", 128) {
            return Some(format!(
                "* GenerateContentRequest.tools[0].function_declarations[{n}].name: Invalid function name. Must start with a \
                letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes \
                (-), with a maximum length of 128."
            ));
        }
        if !names.insert(name) {
            return Some(format!("Duplicate function declaration found: {name}"));
        }
    }
    let config = &body["toolConfig"]["functionCallingConfig"];
    if declared.is_empty() && config.is_object() {
        return Some("Function calling config is set without function_declarations.".to_owned());
    }
    let allowed = list(&config["allowedFunctionNames"]);
    allowed.iter().find(|name| !names.contains(text(name))).map(|name| {
        format!(
            "* GenerateContentRequest.tool_config.function_calling_config.allowed_function_names: {name} isn't declared"
        )
    })
}

fn contents(body: &Value) -> Option<String> {
    let contents = list(&body["contents"]);
    if contents.is_empty() {
        return Some("* GenerateContentRequest.contents: contents is not specified".to_owned());
    }
    for (i, content) in contents.iter().enumerate() {
        if !matches!(text(&content["role"]), "user" | "model") {
            return Some("Please use a valid role: user, model.".to_owned());
        }
        let parts = list(&content["parts"]);
        if parts.is_empty() {
            return Some(format!("* GenerateContentRequest.contents[{i}].parts: contents.parts must not be empty."));
        }
        for part in parts {
            let data = &part["inlineData"];
            let response = list(&part["functionResponse"]["parts"]).iter().map(|part| &part["inlineData"]);
            if let Some(message) = std::iter::once(data).chain(response).find_map(inline) {
                return Some(message);
            }
        }
    }
    None
}

/// Google's docs, "Image understanding", "Audio understanding", "Document processing".
fn inline(data: &Value) -> Option<String> {
    if data.is_null() {
        return None;
    }
    let kind = text(&data["mimeType"]);
    let taken = match kind.split_once('/') {
        Some(("image", kind)) => matches!(kind, "png" | "jpeg" | "webp" | "heic" | "heif"),
        Some(("audio" | "video" | "text", _)) => true,
        _ => kind == "application/pdf",
    };
    if !taken {
        return Some(format!("Unsupported MIME type: {kind}"));
    }
    media::sniff(&text(&data["data"]).replace('-', "+").replace('_', "/"))
        .is_err()
        .then(|| "Base64 decoding failed".to_owned())
}

/// LibreChat-AI/agents#323 (verified live, 2026-07): "these models and all future Gemini model releases"; pipecat-ai/pipecat#5821 lists those
/// that take it.
fn takes_prefill(model: &str) -> bool {
    match version(model) {
        Some(version) => version < (3, 5) || (version == (3, 5) && !model.contains("lite")) || model.contains("-image"),
        None => !model.starts_with("gemini-") || model == "gemini-pro-latest",
    }
}

fn turns(body: &Value, model: &str) -> Option<String> {
    let contents = list(&body["contents"]);
    let has = |content: &Value, key: &str| list(&content["parts"]).iter().filter(|part| part[key].is_object()).count();
    let mut open = 0;
    for (i, content) in contents.iter().enumerate() {
        let is_model = content["role"] == "model";
        let (calls, responses) = (has(content, "functionCall"), has(content, "functionResponse"));
        // google-gemini/gemini-cli#26486, lobehub/lobehub#10049.
        if calls > 0 && is_model && (i == 0 || contents[i - 1]["role"] == "model") {
            return Some(
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
                    .to_owned(),
            );
        }
        if responses > 0 && open == 0 {
            return Some(
                "Please ensure that function response turn comes immediately after a function call turn.".to_owned(),
            );
        }
        if open > 0 && responses != open {
            return Some(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the \
                function call turn."
                    .to_owned(),
            );
        }
        // anomalyco/opencode#43479.
        if responses > 0 && responses != list(&content["parts"]).len() {
            return Some("Function response parts can not be mixed with other parts in one content.".to_owned());
        }
        // google-gemini/gemini-cli#29611: of Gemini 3 they are parts of the response; older ones know no such parts.
        let nested = list(&content["parts"]).iter().any(|part| !part["functionResponse"]["parts"].is_null());
        if nested && !wants_signatures(model) {
            return Some("Multimodal function response is not supported for this model.".to_owned());
        }
        open = if is_model { calls } else { 0 };
    }
    let ends = contents.last().is_some_and(|last| last["role"] == "model");
    (ends && !takes_prefill(model)).then(|| "Requests ending with a model turn are not supported.".to_owned())
}

/// Google's docs, "Thought signatures": the first call of each step of the current turn has one. Messages:
/// docs.apiyi.com/en/faq/gemini-thought-signature-missing (2026-10).
fn signatures(request: &Request, model: &str) -> Option<String> {
    let contents = list(&request.body["contents"]);
    let is_step = |content: &Value| list(&content["parts"]).iter().any(|part| part["functionResponse"].is_object());
    let begin = contents.iter().rposition(|content| content["role"] == "user" && !is_step(content)).unwrap_or(0);
    for (i, content) in contents.iter().enumerate() {
        let mut is_first = true;
        for (n, part) in list(&content["parts"]).iter().enumerate() {
            let found = text(&part["thoughtSignature"]);
            let known = found == signature(model) || UNSIGNED.contains(&found) || request.recorded;
            if !found.is_empty() && !known {
                return Some("Corrupted thought signature.".to_owned());
            }
            if part["functionCall"].is_object() {
                if is_first && i >= begin && found.is_empty() && wants_signatures(model) {
                    return Some(format!(
                        "Function call is missing a thought_signature in functionCall parts. This is required for tools to work \
                        correctly, and missing thought_signature may lead to degraded model performance. Additional data, \
                        function call `default_api:{}`, position {n}.",
                        text(&part["functionCall"]["name"])
                    ));
                }
                is_first = false;
            }
        }
    }
    None
}
