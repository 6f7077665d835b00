//! What servers of Chat Completions refuse that OpenAI doesn't, or otherwise.

use serde_json::{Value, json};

use super::{Refusal, parts};
use crate::openai_models::bad_function;
use crate::{Request, is_name, list, text};

/// `ChatCompletionStreamRequest` of `mistralai` 3.7.0.
const MISTRAL: [&str; 26] = [
    "model",
    "messages",
    "temperature",
    "top_p",
    "max_tokens",
    "stream",
    "stop",
    "random_seed",
    "metadata",
    "response_format",
    "tools",
    "tool_choice",
    "presence_penalty",
    "frequency_penalty",
    "min_tokens",
    "repetition_penalty",
    "top_k",
    "logprobs",
    "n",
    "prediction",
    "parallel_tool_calls",
    "reasoning_effort",
    "prompt_mode",
    "guardrails",
    "prompt_cache_key",
    "service_tier",
];

/// api.mistral.ai.
pub(super) fn mistral(body: &Value) -> Option<Refusal> {
    // openai/openai-agents-python#442, cline/cline#582: of unknown fields it says `extra_forbidden`.
    let forbidden = |place: Value, input: &Value| {
        let detail = json!([{ "type": "extra_forbidden", "loc": place, "msg": "Extra inputs are not permitted", "input": input }]);
        Some(Refusal { status: 422, message: detail.to_string(), code: None, param: None })
    };
    let unknown = body
        .as_object()
        .into_iter()
        .flatten()
        .find(|(key, _)| !MISTRAL.contains(&key.as_str()) && *key != "safe_prompt");
    if let Some((key, value)) = unknown {
        return forbidden(json!(["body", key]), value);
    }
    let messages = list(&body["messages"]);
    for (i, message) in messages.iter().enumerate() {
        let role = text(&message["role"]);
        let known: &[&str] = match role {
            "assistant" => &["role", "content", "tool_calls", "prefix"],
            "tool" => &["role", "content", "tool_call_id", "name"],
            _ => &["role", "content"],
        };
        let unknown = message.as_object().into_iter().flatten().find(|(key, _)| !known.contains(&key.as_str()));
        if let Some((key, value)) = unknown {
            // BerriAI/litellm#30835, charmbracelet/crush#1590.
            return forbidden(json!(["body", "messages", i, role, key]), value);
        }
        for call in list(&message["tool_calls"]) {
            let id = text(&call["id"]);
            if id.len() != 9 || !is_name(id, "", 9) {
                // anomalyco/opencode#1680, nearai/ironclaw#1241.
                return Some(
                    Refusal::of(format!("Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9."))
                        .code("3280"),
                );
            }
        }
    }
    mistral_order(messages)
}

/// avante-corp/avante.nvim#2695, huggingface/smolagents#757: the order of roles.
fn mistral_order(messages: &[Value]) -> Option<Refusal> {
    for pair in messages.windows(2) {
        let (before, after) = (text(&pair[0]["role"]), text(&pair[1]["role"]));
        let odd = matches!(
            (before, after),
            ("tool", "user" | "system") | ("assistant", "assistant") | ("user" | "system", "tool")
        );
        if odd {
            return Some(Refusal::of(format!("Unexpected role '{after}' after role '{before}'")).code("3230"));
        }
    }
    let last = messages.last()?;
    let is_odd = !matches!(text(&last["role"]), "user" | "tool") && last["prefix"] != true;
    is_odd.then(|| {
        let role = text(&last["role"]);
        Refusal::of(format!(
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got {role}"
        ))
        .code("3230")
    })
}

/// api.groq.com: console.groq.com/docs/openai, janhq/jan#8136 (2026-05).
pub(super) fn groq(body: &Value) -> Option<Refusal> {
    let model = text(&body["model"]);
    let reasons = ["gpt-oss", "qwen3", "deepseek-r1"].iter().any(|name| model.contains(name));
    let known = ["role", "content", "name", "tool_calls", "function_call"];
    for (i, message) in list(&body["messages"]).iter().enumerate().filter(|(_, message)| message["role"] == "assistant")
    {
        let unknown = message.as_object().into_iter().flatten().find(|(key, _)| {
            let taken = known.contains(&key.as_str()) || (*key == "reasoning" && reasons);
            !taken
        });
        if let Some((key, _)) = unknown {
            return Some(Refusal::of(format!(
                "'messages.{i}' : for 'role:assistant' the following must be satisfied[('messages.{i}' : property '{key}' is unsupported)]"
            )));
        }
    }
    if list(&body["stop"]).len() > 4 {
        return Some(Refusal::of("'stop' : maximum number of items is 4"));
    }
    functions(body)
}

/// api.cerebras.ai: Kilo-Org/kilocode#10375, CherryHQ/cherry-studio#16790 (2026-07).
pub(super) fn cerebras(body: &Value) -> Option<Refusal> {
    let known = ["role", "content", "name", "tool_calls", "reasoning"];
    for (i, message) in list(&body["messages"]).iter().enumerate().filter(|(_, message)| message["role"] == "assistant")
    {
        if let Some((key, _)) =
            message.as_object().into_iter().flatten().find(|(key, _)| !known.contains(&key.as_str()))
        {
            let place = format!("messages.{i}.assistant.{key}");
            return Some(Refusal::of(format!("{place}: property '{place}' is unsupported")));
        }
    }
    functions(body)
}

/// Amazon Bedrock's compatible endpoint: anomalyco/opencode#4698; a conversation with tool calls needs the tools (Converse's rule).
pub(super) fn bedrock(body: &Value) -> Option<Refusal> {
    if !body["stream_options"].is_null() {
        return Some(Refusal::of("stream_options: Extra inputs are not permitted"));
    }
    let uses = list(&body["messages"]).iter().any(|message| message["role"] == "tool");
    (uses && list(&body["tools"]).is_empty())
        .then(|| Refusal::of("The toolConfig field must be defined when using toolUse and toolResult content blocks."))
}

/// api.deepseek.com: api-docs.deepseek.com/guides/thinking_mode and …/api/create-chat-completion (2026-11).
pub(super) fn deepseek(body: &Value) -> Option<Refusal> {
    for (i, message) in list(&body["messages"]).iter().enumerate() {
        let role = text(&message["role"]);
        if !matches!(role, "system" | "user" | "assistant" | "tool") {
            return Some(Refusal::of(format!(
                "Failed to deserialize the JSON body into the target type: messages[{i}].role: unknown variant `{role}`, expected one of `system`, `user`, `assistant`, `tool`"
            )));
        }
        if let Some(part) = parts(message).iter().find(|part| part["type"] != "text") {
            return Some(Refusal::of(format!(
                "Failed to deserialize the JSON body into the target type: messages[{i}]: unknown variant `{}`, expected `text`",
                text(&part["type"])
            )));
        }
        // mnfst/modelparams.dev#29 has the message.
        let calls = !list(&message["tool_calls"]).is_empty();
        if calls && deepseek_thinks(body) && !message["reasoning_content"].is_string() {
            return Some(
                Refusal::of("The `reasoning_content` in the thinking mode must be passed back to the API.")
                    .code("invalid_request_error"),
            );
        }
    }
    let choice = &body["tool_choice"];
    if deepseek_thinks(body) && (choice == "required" || choice.is_object()) {
        return Some(Refusal::of("Thinking mode does not support this tool_choice").code("invalid_request_error"));
    }
    if list(&body["stop"]).len() > 16 {
        return Some(Refusal::of("stop: at most 16 sequences"));
    }
    functions(body)
}

/// Thinking is on by default, but for `deepseek-chat`.
pub(super) fn deepseek_thinks(body: &Value) -> bool {
    match text(&body["thinking"]["type"]) {
        "disabled" => false,
        "enabled" => true,
        _ => text(&body["model"]) != "deepseek-chat",
    }
}

/// api.x.ai: docs.x.ai/docs/models ("presencePenalty, frequencyPenalty and stop are not supported by reasoning models"), vercel/ai @ai-sdk/xai 4.0.8.
pub(super) fn xai(body: &Value) -> Option<Refusal> {
    let model = text(&body["model"]);
    let reasons = !model.contains("non-reasoning") && !model.starts_with("grok-2") && model != "grok-3";
    if reasons {
        let odd = ["presence_penalty", "frequency_penalty", "stop"].into_iter().find(|key| !body[*key].is_null());
        if let Some(key) = odd {
            return Some(Refusal::of(format!("Argument not supported on this model: {key}")));
        }
    }
    let without_effort = ["grok-4.20", "grok-4-", "grok-build", "grok-code"];
    let odd = without_effort.iter().any(|name| model.starts_with(name)) && !body["reasoning_effort"].is_null();
    if odd {
        return Some(Refusal::of(format!("Model {model} does not support parameter reasoningEffort.")));
    }
    functions(body)
}

/// openrouter.ai: what the providers behind it refuse.
pub(super) fn openrouter(request: &Request) -> Option<Refusal> {
    let body = &request.body;
    let model = text(&body["model"]);
    let messages = list(&body["messages"]);
    for message in messages {
        let signed = list(&message["reasoning_details"]).iter().map(|detail| text(&detail["signature"]));
        let foreign =
            |signature: &str| !signature.is_empty() && signature != format!("standin:{model}") && !request.recorded;
        if signed.into_iter().any(foreign) {
            return Some(Refusal::of("Provider returned error: Invalid `signature` in `thinking` block"));
        }
    }
    if let Some(name) = model.strip_prefix("anthropic/") {
        let ends = messages.last().is_some_and(|last| last["role"] == "assistant");
        if ends && !name.contains("haiku-4") && !name.contains("3.") {
            // aj47/SpeakMCP#1037.
            return Some(Refusal::of(
                "Provider returned error: This model does not support assistant message prefill. The conversation must end with a user message.",
            ));
        }
        let forced = body["tool_choice"] == "required" || body["tool_choice"].is_object();
        let refuses = ["opus-5.5", "sonnet-5.5", "fable", "mythos"].iter().any(|line| name.contains(line));
        if forced && refuses {
            return Some(Refusal::of(
                "Provider returned error: tool_choice: type \"tool\" and \"any\" are not supported for this model.",
            ));
        }
        let combined = list(&body["tools"]).iter().map(|tool| &tool["function"]["parameters"]);
        if combined.into_iter().any(|schema| ["anyOf", "oneOf", "allOf"].iter().any(|key| !schema[*key].is_null())) {
            return Some(Refusal::of(
                "Provider returned error: tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level",
            ));
        }
    }
    // charmbracelet/crush#279.
    if model.starts_with("mistralai/") {
        return mistral_order(messages);
    }
    if model.starts_with("openai/") { functions(body) } else { None }
}

/// generativelanguage.googleapis.com/v1beta/openai: securo-finance/securo#884, BerriAI/litellm#16893; the rest as for Google's own format.
pub(super) fn gemini(request: &Request) -> Option<Refusal> {
    let body = &request.body;
    let model = text(&body["model"]);
    let messages = list(&body["messages"]);
    let begin = messages.iter().rposition(|message| message["role"] == "user").unwrap_or(0);
    for (i, message) in messages.iter().enumerate() {
        let unknown = message.as_object().into_iter().flatten().find(|(key, _)| key.starts_with("reasoning"));
        if let Some((key, _)) = unknown {
            return Some(Refusal::of(format!(
                "Invalid JSON payload received. Unknown name \"{key}\" at 'messages[{i}]': Cannot find field."
            )));
        }
        let calls = list(&message["tool_calls"]);
        if i > 0 && !calls.is_empty() && messages[i - 1]["role"] == "assistant" {
            return Some(Refusal::of(
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
            ));
        }
        for (n, call) in calls.iter().enumerate() {
            let signature = text(&call["extra_content"]["google"]["thought_signature"]);
            let known = signature == format!("standin:{model}")
                || signature == "skip_thought_signature_validator"
                || request.recorded;
            if !signature.is_empty() && !known {
                return Some(Refusal::of("Corrupted thought signature."));
            }
            if n == 0 && i >= begin && signature.is_empty() && !model.starts_with("gemini-2") {
                return Some(Refusal::of(format!(
                    "Function call is missing a thought_signature in functionCall parts. Additional data, function call `default_api:{}`, position {i}.",
                    text(&call["function"]["name"])
                )));
            }
        }
    }
    let takes_prefill = ["gemini-2", "gemini-3-", "gemini-3.1-"].iter().any(|name| model.starts_with(name));
    let ends = messages.last().is_some_and(|last| last["role"] == "assistant");
    (ends && !takes_prefill).then(|| Refusal::of("Requests ending with a model turn are not supported."))
}

/// vLLM, SGLang and llama.cpp, with the model's own template: vllm-project/vllm#6862, microsoft/autogen#1037, ggml-org/llama.cpp.
pub(super) fn vllm(body: &Value) -> Option<Refusal> {
    let model = text(&body["model"]).to_lowercase();
    let messages = list(&body["messages"]);
    let mistral = ["mistral", "devstral", "magistral"].iter().any(|name| model.contains(name));
    if let Some(at) = messages.iter().skip(1).position(|message| message["role"] == "system") {
        return Some(Refusal::of(format!("System message must be at the beginning. (messages[{}])", at + 1)));
    }
    if mistral || model.contains("gemma") {
        let mut turns = messages.iter().filter(|message| {
            message["role"] == "user" || (message["role"] == "assistant" && list(&message["tool_calls"]).is_empty())
        });
        let alternate = turns.by_ref().enumerate().all(|(n, message)| (message["role"] == "user") == (n % 2 == 0));
        if !alternate {
            return Some(Refusal::of(
                "After the optional system message, conversation roles must alternate user/assistant/user/assistant/...",
            ));
        }
    }
    if mistral {
        let odd = messages.iter().flat_map(|message| list(&message["tool_calls"])).map(|call| text(&call["id"]));
        if let Some(id) = odd.into_iter().find(|id| id.len() != 9 || !is_name(id, "", 9)) {
            // ml-explore/mlx-lm#1375, NousResearch/hermes-agent#20154.
            return Some(Refusal::of(format!("Tool call IDs should be alphanumeric strings with length 9! ({id})")));
        }
    }
    let both = messages.len() > 1 && messages.iter().rev().take(2).all(|message| message["role"] == "assistant");
    both.then(|| Refusal::of("Cannot have 2 or more assistant messages at the end of the list."))
}

/// LM Studio: unclecode/crawl4ai#2207 (`Required`), lmstudio-ai/lmstudio-bug-tracker.
pub(super) fn lm_studio(body: &Value) -> Option<Refusal> {
    for (n, tool) in list(&body["tools"]).iter().enumerate() {
        if !tool["function"]["parameters"]["properties"].is_object() {
            return Some(Refusal::of(format!(
                "[{{\"code\":\"invalid_type\",\"path\":[\"tools\",{n},\"function\",\"parameters\",\"properties\"],\"message\":\"Required\"}}]"
            )));
        }
    }
    let choice = &body["tool_choice"];
    (!choice.is_null() && !matches!(text(choice), "none" | "auto" | "required"))
        .then(|| Refusal::of("Invalid tool_choice type: 'object'. Supported string values: none, auto, required"))
}

fn functions(body: &Value) -> Option<Refusal> {
    list(&body["tools"]).iter().find_map(|tool| {
        let function = &tool["function"];
        bad_function(text(&function["name"]), &function["parameters"]).map(Refusal::of)
    })
}
