//! The answer.

use serde_json::{Value, json};

use super::{Dialect, calls, others};
use crate::plan::{Offer, plan};
use crate::{Body, Request, Response, Said, digest, id_of, list, text};

pub(super) fn answer(request: &Request, dialect: Dialect) -> Response {
    let body = &request.body;
    let called = calls(body);
    let none = body["tool_choice"] == "none";
    let tools = list(&body["tools"]).iter().map(|tool| &tool["function"]).filter(|_| !none);
    let format = &body["response_format"]["json_schema"]["schema"];
    let said = plan(&Offer {
        tools: tools.map(|function| (text(&function["name"]), &function["parameters"])).collect(),
        forced: request.is_told_to_call || body["tool_choice"] == "required" || body["tool_choice"] == "any",
        parallel: body["parallel_tool_calls"] != false,
        called: called.iter().map(|call| call.name.as_str()).collect(),
        after_result: list(&body["messages"]).last().is_some_and(|last| last["role"] == "tool"),
        format: format.is_object().then_some(format),
        seed: request.seed,
    });
    let id = format!("chatcmpl-{:016x}", digest(body));
    let (message, reason) = message(body, dialect, &said);
    let usage = json!({ "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18 });
    if body["stream"] == true {
        return Response::saying(Body::Events(chunks(body, &id, &message, reason, &usage)), said);
    }
    let whole = json!({
        "id": id,
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": body["model"],
        "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": reason }],
        "usage": usage,
    });
    Response::saying(Body::Whole(whole), said)
}

fn message(body: &Value, dialect: Dialect, said: &Said) -> (Value, &'static str) {
    let reason = if said.calls.is_empty() { "stop" } else { "tool_calls" };
    let mut message = json!({ "role": "assistant", "content": said.text });
    let model = text(&body["model"]);
    let thought = "Let me see.";
    match dialect {
        Dialect::OpenAi | Dialect::Azure => message["refusal"] = Value::Null,
        Dialect::DeepSeek if others::deepseek_thinks(body) => message["reasoning_content"] = json!(thought),
        Dialect::Groq if model.contains("gpt-oss") => message["reasoning"] = json!(thought),
        Dialect::Vllm if model.contains("Qwen3") => message["reasoning_content"] = json!(thought),
        Dialect::OpenRouter if model.starts_with("anthropic/") => {
            message["reasoning"] = json!(thought);
            message["reasoning_details"] = json!([{
                "type": "reasoning.text",
                "text": thought,
                "signature": format!("standin:{model}"),
                "format": "anthropic-claude-v1",
                "index": 0,
            }]);
        }
        _ => {}
    }
    let call = |(n, (name, input)): (usize, &(String, Value))| {
        let mut call = json!({
            "id": call_id(dialect, digest(body), n, name),
            "type": "function",
            "function": { "name": name, "arguments": input.to_string() },
        });
        if dialect == Dialect::Gemini && n == 0 {
            call["extra_content"] = json!({ "google": { "thought_signature": format!("standin:{model}") } });
        }
        call
    };
    if !said.calls.is_empty() {
        message["tool_calls"] = said.calls.iter().enumerate().map(call).collect();
    }
    (message, reason)
}

/// In the server's own form.
fn call_id(dialect: Dialect, seed: u64, n: usize, name: &str) -> String {
    match dialect {
        Dialect::Mistral => format!("{:08x}{n}", seed & 0xffff_ffff),
        Dialect::Vllm => format!("functions.{name}:{:x}{n}", seed & 0xffff),
        Dialect::Gemini => format!("function-call-{}", id_of(seed, n)),
        Dialect::LmStudio => format!("{:09}", (seed & 0x00ff_ffff) * 10 + u64::try_from(n).unwrap_or(0)),
        Dialect::OpenRouter => format!("toolu_bdrk_01{}", id_of(seed, n)),
        Dialect::DeepSeek => format!("call_{n}_{seed:016x}-aaaa-bbbb-cccc"),
        _ => format!("call_{}", id_of(seed, n)),
    }
}

fn chunks(body: &Value, id: &str, message: &Value, reason: &str, usage: &Value) -> Vec<(Option<&'static str>, Value)> {
    let chunk = |choices: Value| json!({ "id": id, "object": "chat.completion.chunk", "created": 1_790_000_000, "model": body["model"], "choices": choices });
    let delta = |delta: Value| chunk(json!([{ "index": 0, "delta": delta, "finish_reason": null }]));
    let mut events = vec![delta(json!({ "role": "assistant", "content": "" }))];
    for key in ["reasoning_content", "reasoning", "reasoning_details", "content"] {
        if !message[key].is_null() {
            events.push(delta(json!({ key: message[key] })));
        }
    }
    for (n, call) in list(&message["tool_calls"]).iter().enumerate() {
        let mut begun = call.clone();
        begun["index"] = json!(n);
        begun["function"]["arguments"] = json!("");
        events.push(delta(json!({ "tool_calls": [begun] })));
        let arguments = text(&call["function"]["arguments"]);
        let middle = (0..=arguments.len() / 2).rev().find(|at| arguments.is_char_boundary(*at)).unwrap_or(0);
        for piece in [&arguments[..middle], &arguments[middle..]] {
            events.push(delta(json!({ "tool_calls": [{ "index": n, "function": { "arguments": piece } }] })));
        }
    }
    events.push(chunk(json!([{ "index": 0, "delta": {}, "finish_reason": reason }])));
    if body["stream_options"]["include_usage"] == true {
        let mut last = chunk(json!([]));
        last["usage"] = usage.clone();
        events.push(last);
    }
    let mut events: Vec<_> = events.into_iter().map(|event| (None, event)).collect();
    events.push((None, json!("[DONE]")));
    events
}
