//! What is refused, and why.

use std::collections::BTreeSet;

use serde_json::Value;

use super::encrypted;
use crate::openai_models::{bad_function, hears, is_known, most_tokens, reasons, takes_no_effort};
use crate::{Request, list, media, text};

type Refusal = (String, Option<&'static str>);

/// `types/responses/response_create_params.py` of `openai` 3.52.0.
const FIELDS: [&str; 32] = [
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
    "verbosity",
];

/// The first thing that OpenAI would refuse. Models that aren't OpenAI's run elsewhere, where less is.
pub(super) fn refusal(request: &Request) -> Option<Refusal> {
    let body = &request.body;
    let model = text(&body["model"]);
    let plain = |message: String| (message, None);
    let unknown = body.as_object().into_iter().flatten().find(|(key, _)| !FIELDS.contains(&key.as_str()));
    if let Some((key, _)) = unknown.filter(|_| is_known(model)) {
        return Some((format!("Unknown parameter: '{key}'."), Some("unknown_parameter")));
    }
    by_model(body).or_else(|| tools(body).map(plain)).or_else(|| items(request)).or_else(|| pairs(body).map(plain))
}

fn by_model(body: &Value) -> Option<Refusal> {
    let model = text(&body["model"]);
    let asked = body["max_output_tokens"].as_u64();
    if let Some(asked) = asked.filter(|asked| *asked < 16 && is_known(model)) {
        return Some((
            format!(
                "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {asked} instead."
            ),
            Some("integer_below_min_value"),
        ));
    }
    if let (Some(asked), Some(most)) = (asked, most_tokens(model))
        && asked > most
    {
        return Some((
            format!(
                "Invalid 'max_output_tokens': integer above maximum value. Expected a value <= {most}, but got {asked} instead."
            ),
            Some("integer_above_max_value"),
        ));
    }
    let unsupported = |key: &str| {
        Some((
            format!("Unsupported parameter: '{key}' is not supported with this model."),
            Some("unsupported_parameter"),
        ))
    };
    let effort = body["reasoning"]["effort"].as_str();
    let includes = list(&body["include"]).iter().any(|item| item == "reasoning.encrypted_content");
    if !is_known(model) {
        return None;
    }
    if !reasons(model) {
        if effort.is_some() {
            return unsupported("reasoning.effort");
        }
        // NousResearch/hermes-agent#24234.
        return includes.then(|| ("Encrypted content is not supported with this model.".to_owned(), None));
    }
    if effort == Some("none") && !takes_no_effort(model) {
        return Some((
            "Unsupported value: 'none' is not supported with this model. Supported values are: 'low', 'medium', and 'high'.".to_owned(),
            Some("unsupported_value"),
        ));
    }
    if effort != Some("none") {
        let odd = ["temperature", "top_p"]
            .into_iter()
            .find(|key| body[*key].as_f64().is_some_and(|n| (n - 1.0).abs() > f64::EPSILON));
        if let Some(key) = odd {
            return unsupported(key);
        }
    }
    None
}

fn tools(body: &Value) -> Option<String> {
    let tools = list(&body["tools"]);
    if tools.is_empty() && !body["tool_choice"].is_null() && body["tool_choice"] != "none" {
        return Some("Tool choice 'required' must be specified with 'tools' parameter.".to_owned());
    }
    if !is_known(text(&body["model"])) {
        return None;
    }
    tools
        .iter()
        .filter(|tool| tool["type"] == "function")
        .find_map(|tool| bad_function(text(&tool["name"]), &tool["parameters"]))
}

fn items(request: &Request) -> Option<Refusal> {
    let model = text(&request.body["model"]);
    let input = list(&request.body["input"]);
    if input.is_empty() && request.body["input"].is_array() {
        return Some((
            "One of 'input' or 'previous_response_id' or 'prompt' or 'conversation' must be provided.".to_owned(),
            None,
        ));
    }
    for (i, item) in input.iter().enumerate() {
        match text(&item["type"]) {
            "message" | "" => {
                if let Some(message) =
                    content(&item["content"], &format!("input[{i}]"), model, item["role"] == "assistant")
                {
                    return Some((message, None));
                }
            }
            "function_call" | "function_call_output" => {
                let length = text(&item["call_id"]).chars().count();
                if !(1..=64).contains(&length) {
                    // Portkey-AI/gateway#1062.
                    return Some((
                        format!(
                            "Invalid 'input[{i}].call_id': string too long. Expected a string with maximum length 64, but got a string with length {length} instead."
                        ),
                        Some("string_above_max_length"),
                    ));
                }
                if let Some(message) = content(&item["output"], &format!("input[{i}].output"), model, false) {
                    return Some((message, None));
                }
            }
            "reasoning" => {
                let follows = input.get(i + 1).map_or("", |next| text(&next["type"]));
                if let Some(refusal) = reasoning(item, model, follows, request.recorded) {
                    return Some(refusal);
                }
            }
            _ => {}
        }
    }
    None
}

/// anomalyco/opencode#5104, maximhq/bifrost#5410, coder/xum#59 and openai/openai-agents-python#1660.
fn reasoning(item: &Value, model: &str, follows: &str, recorded: bool) -> Option<Refusal> {
    if !is_known(model) {
        return None;
    }
    let id = text(&item["id"]);
    if !reasons(model) {
        return Some(("Reasoning input items can only be provided to a reasoning or computer use model. Remove reasoning items from your input and try again.".to_owned(), None));
    }
    if !id.is_empty() && !id.starts_with("rs_") {
        return Some((
            format!("Invalid 'input.id': '{id}'. Expected an ID that begins with 'rs'."),
            Some("invalid_value"),
        ));
    }
    let content = text(&item["encrypted_content"]);
    if content.is_empty() && list(&item["content"]).is_empty() {
        return Some((
            format!(
                "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input."
            ),
            None,
        ));
    }
    if content != encrypted(model) && !recorded {
        return Some((
            format!("The encrypted content for item {id} could not be verified."),
            Some("invalid_encrypted_content"),
        ));
    }
    if !matches!(follows, "message" | "function_call" | "reasoning") {
        return Some((
            format!("Item '{id}' of type 'reasoning' was provided without its required following item."),
            None,
        ));
    }
    None
}

fn content(content: &Value, place: &str, model: &str, is_assistant: bool) -> Option<String> {
    list(content).iter().enumerate().find_map(|(n, part)| {
        let place = format!("{place}.content[{n}]");
        let kind = text(&part["type"]);
        let takes = if is_assistant { &["output_text", "refusal"][..] } else { &["input_text", "input_image", "input_file"][..] };
        if !takes.contains(&kind) {
            let takes: Vec<String> = takes.iter().map(|kind| format!("'{kind}'")).collect();
            return Some(format!("Invalid value: '{kind}'. Supported values are: {}. ({place})", takes.join(", ")));
        }
        if kind == "input_image" && hears(model) {
            return Some(format!("Invalid content type. image_url is only supported by certain models. ({place})"));
        }
        let (kind, data) = media::data_url(text(&part["image_url"]))?;
        if !matches!(kind, "image/png" | "image/jpeg" | "image/gif" | "image/webp") {
            return Some(format!("Invalid '{place}.image_url'. Expected a base64-encoded data URL with an image MIME type (e.g. 'data:image/png;base64,...'), but got unsupported MIME type '{kind}'."));
        }
        media::sniff(data).is_err().then(|| format!("Invalid '{place}.image_url'. Expected a valid URL, but got a value with an invalid format."))
    })
}

/// platform.openai.com/docs/guides/function-calling.
fn pairs(body: &Value) -> Option<String> {
    let input = list(&body["input"]);
    let ids = |kind: &str| -> Vec<&str> {
        input.iter().filter(|item| item["type"] == *kind).map(|item| text(&item["call_id"])).collect()
    };
    let (calls, outputs) = (ids("function_call"), ids("function_call_output"));
    if let Some(id) = calls.iter().find(|id| !outputs.contains(id)) {
        return Some(format!("No tool output found for function call {id}."));
    }
    let mut seen = BTreeSet::new();
    if let Some(id) = calls.iter().find(|id| !seen.insert(**id)) {
        return Some(format!("Duplicate function call id {id}."));
    }
    outputs
        .iter()
        .find(|id| !calls.contains(id))
        .map(|id| format!("No tool call found for function call output with call_id {id}."))
}
