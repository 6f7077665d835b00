//! OpenAI's own rules.

use serde_json::Value;

use super::{Refusal, parts};
use crate::openai_models::{bad_function, hears, is_known, most_tokens, reasons, takes_no_effort, takes_tools_in_chat};
use crate::{list, media, text};

/// `types/chat/completion_create_params.py` of `openai` 3.52.0.
const FIELDS: [&str; 37] = [
    "messages",
    "model",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];
const ASSISTANT: [&str; 8] =
    ["role", "content", "name", "refusal", "audio", "tool_calls", "function_call", "annotations"];

/// AnswerDotAI/fastllm#45 and langmanus/langmanus#119 say 40; vercel/ai#8132 (July 2026) could not see that any more.
const LONGEST_ID: usize = 64;

/// The first thing that OpenAI would refuse.
pub(super) fn refusal(body: &Value) -> Option<Refusal> {
    let unknown = body.as_object().into_iter().flatten().find(|(key, _)| !FIELDS.contains(&key.as_str()));
    if let Some((key, _)) = unknown {
        return Some(Refusal::of(format!("Unknown parameter: '{key}'.")).code("unknown_parameter").param(key));
    }
    by_model(body).or_else(|| parameters(body)).or_else(|| tools(body)).or_else(|| messages(body))
}

/// platform.openai.com/docs/guides/reasoning ("Limitations"); docs.nvidia.com/nemo/guardrails (verified by a live probe).
fn by_model(body: &Value) -> Option<Refusal> {
    let model = text(&body["model"]);
    let effort = body["reasoning_effort"].as_str();
    let unsupported = |key: &str, more: &str| {
        Some(
            Refusal::of(format!("Unsupported parameter: '{key}' is not supported with this model.{more}"))
                .code("unsupported_parameter")
                .param(key),
        )
    };
    if let Some(most) = most_tokens(model) {
        for key in ["max_tokens", "max_completion_tokens"] {
            if let Some(asked) = body[key].as_u64().filter(|asked| *asked > most) {
                // ogx-ai/ogx#5696.
                return Some(
                    Refusal::of(format!("max_tokens is too large: {asked}. This model supports at most {most} completion tokens, whereas you provided {asked}."))
                        .code("invalid_value")
                        .param(key),
                );
            }
        }
    }
    if !reasons(model) {
        return effort.filter(|_| is_known(model)).and_then(|_| unsupported("reasoning_effort", ""));
    }
    if !body["max_tokens"].is_null() {
        return unsupported("max_tokens", " Use 'max_completion_tokens' instead.");
    }
    if !body["stop"].is_null() {
        return unsupported("stop", "");
    }
    if effort == Some("none") && !takes_no_effort(model) {
        return Some(
            Refusal::of("Unsupported value: 'reasoning_effort' does not support 'none' with this model.")
                .code("unsupported_value")
                .param("reasoning_effort"),
        );
    }
    if effort != Some("none") {
        if body["temperature"].as_f64().is_some_and(|n| (n - 1.0).abs() > f64::EPSILON) {
            return Some(
                Refusal::of(format!(
                    "Unsupported value: 'temperature' does not support {} with this model. Only the default (1) value is supported.",
                    body["temperature"]
                ))
                .code("unsupported_value")
                .param("temperature"),
            );
        }
        if let Some(key) =
            ["top_p", "presence_penalty", "frequency_penalty"].into_iter().find(|key| !body[*key].is_null())
        {
            return unsupported(key, "");
        }
    }
    if !list(&body["tools"]).is_empty() && !takes_tools_in_chat(model, effort) {
        return Some(
            Refusal::of(format!(
                "Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To use function tools, \
                use /v1/responses or set reasoning_effort to 'none'."
            ))
            .param("reasoning_effort"),
        );
    }
    None
}

fn parameters(body: &Value) -> Option<Refusal> {
    if body["temperature"].as_f64().is_some_and(|n| !(0.0..=2.0).contains(&n)) {
        return Some(
            Refusal::of("Invalid 'temperature': decimal above maximum value. Expected a value <= 2.")
                .param("temperature"),
        );
    }
    let stops = list(&body["stop"]);
    if stops.len() > 4 {
        return Some(
            Refusal::of(format!("Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length {} instead.", stops.len()))
                .code("array_above_max_length")
                .param("stop"),
        );
    }
    if stops.iter().any(|stop| text(stop).is_empty()) {
        return Some(
            Refusal::of("Invalid 'stop': empty string. Expected a string with minimum length 1.").param("stop"),
        );
    }
    if !body["stream_options"].is_null() && body["stream"] != true {
        return Some(
            Refusal::of("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
                .param("stream_options"),
        );
    }
    if !body["metadata"].is_null() && body["store"] != true {
        return Some(
            Refusal::of("The 'metadata' parameter is only allowed when 'store' is enabled.").param("metadata"),
        );
    }
    None
}

fn tools(body: &Value) -> Option<Refusal> {
    let tools = list(&body["tools"]);
    if body["tools"].is_array() && tools.is_empty() {
        return Some(Refusal::of("Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.").param("tools"));
    }
    if tools.is_empty() {
        let alone = ["tool_choice", "parallel_tool_calls"].into_iter().find(|key| !body[*key].is_null());
        return alone.map(|key| Refusal::of(format!("'{key}' is only allowed when 'tools' are specified.")).param(key));
    }
    tools.iter().find_map(|tool| {
        let function = &tool["function"];
        let message = bad_function(text(&function["name"]), &function["parameters"])?;
        Some(Refusal::of(message).code("invalid_function_parameters").param("tools[0].function.parameters"))
    })
}

fn messages(body: &Value) -> Option<Refusal> {
    let messages = list(&body["messages"]);
    if messages.is_empty() {
        return Some(
            Refusal::of("Invalid 'messages': empty array. Expected an array with minimum length 1.").param("messages"),
        );
    }
    messages.iter().enumerate().find_map(|(i, message)| {
        let place = format!("messages[{i}]");
        match text(&message["role"]) {
            "assistant" => assistant(message, &place),
            "user" => parts(message).iter().find_map(|part| self::part(part, &place, text(&body["model"]))),
            "tool" => {
                let image = parts(message).iter().any(|part| part["type"] != "text");
                image.then(|| {
                    Refusal::of(format!(
                        "Invalid '{place}'. Image URLs are only allowed for messages with role 'user', but this message with role \
                        'tool' contains an image URL."
                    ))
                    .param(place)
                })
            }
            "system" | "developer" => None,
            role => Some(Refusal::of(format!("Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.")).param(format!("{place}.role"))),
        }
    })
}

fn assistant(message: &Value, place: &str) -> Option<Refusal> {
    let unknown = message.as_object().into_iter().flatten().find(|(key, _)| !ASSISTANT.contains(&key.as_str()));
    if let Some((key, _)) = unknown {
        return Some(
            Refusal::of(format!("Unknown parameter: '{place}.{key}'."))
                .code("unknown_parameter")
                .param(format!("{place}.{key}")),
        );
    }
    if message["content"].is_null() && list(&message["tool_calls"]).is_empty() {
        return Some(
            Refusal::of(format!("Invalid value for 'content': expected a string, got null. ({place})"))
                .param(format!("{place}.content")),
        );
    }
    list(&message["tool_calls"]).iter().enumerate().find_map(|(n, call)| {
        let place = format!("{place}.tool_calls[{n}]");
        let length = text(&call["id"]).chars().count();
        if length > LONGEST_ID {
            // AnswerDotAI/fastllm#45, langmanus/langmanus#119.
            return Some(
                Refusal::of(format!("Invalid '{place}.id': string too long. Expected a string with maximum length {LONGEST_ID}, but got a string with length {length} instead."))
                    .code("string_above_max_length")
                    .param(format!("{place}.id")),
            );
        }
        let extra = call.as_object().into_iter().flatten().find(|(key, _)| !matches!(key.as_str(), "id" | "type" | "function"));
        if let Some((key, _)) = extra {
            return Some(Refusal::of(format!("Unknown parameter: '{place}.{key}'.")).code("unknown_parameter"));
        }
        let arguments = &call["function"]["arguments"];
        (!arguments.is_string()).then(|| Refusal::of(format!("Invalid type for '{place}.function.arguments': expected a string.")))
    })
}

/// platform.openai.com/docs/guides/images-vision and …/audio.
fn part(part: &Value, place: &str, model: &str) -> Option<Refusal> {
    match text(&part["type"]) {
        "image_url" if hears(model) => {
            Some(Refusal::of("Invalid content type. image_url is only supported by certain models.").param(place))
        }
        "input_audio" if is_known(model) && !hears(model) => {
            Some(Refusal::of("Invalid content type. input_audio is only supported by certain models.").param(place))
        }
        "input_audio" if !matches!(text(&part["input_audio"]["format"]), "wav" | "mp3") => {
            Some(Refusal::of("Invalid value: 'format'. Supported values are: 'wav' and 'mp3'.").param(place))
        }
        "image_url" => {
            let (kind, data) = media::data_url(text(&part["image_url"]["url"]))?;
            if !matches!(kind, "image/png" | "image/jpeg" | "image/gif" | "image/webp") {
                return Some(
                    Refusal::of("You uploaded an unsupported image. Please make sure your image is valid and is of one of the following formats: ['png', 'jpeg', 'gif', 'webp'].")
                        .code("invalid_image_format"),
                );
            }
            media::sniff(data).is_err().then(|| Refusal::of("Invalid base64 image_url.").code("invalid_base64"))
        }
        _ => None,
    }
}
