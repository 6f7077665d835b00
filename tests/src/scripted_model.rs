//! A model on loopback that calls one tool, and then says what came of it: in the formats of the agents that `tests/peers/clients` has.

use std::net::TcpStream;

use serde_json::{Value, json};

use crate::provider::{Provider, Request, respond};

/// What it says where the tool is not offered.
pub const NO_TOOL: &str = "the tool is not offered";
/// What it says before what the tool returned.
pub const RETURNED: &str = "the tool returned ";

/// A model that calls the tool whose name ends so, with these arguments.
#[must_use]
pub fn calling(tool: &'static str, arguments: &Value) -> Provider {
    let arguments = arguments.clone();
    Provider::start(move |request, stream, _| answer(request, stream, tool, &arguments))
}

/// What it says next.
enum Turn {
    Text(String),
    /// The tool's name as it was offered, with the namespace in which it was, if it was in one.
    Call(Option<String>, String),
}

fn answer(request: &Request, stream: &mut TcpStream, tool: &str, arguments: &Value) {
    let path = request.line.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let turn = |returned: Option<&Value>| match (returned, offered(&body["tools"], tool)) {
        (Some(returned), _) => Turn::Text(format!("{RETURNED}{returned}")),
        (None, Some((namespace, name))) => Turn::Call(namespace, name),
        (None, None) => Turn::Text(NO_TOOL.to_owned()),
    };
    let last = |list: &Value, is_it: fn(&Value) -> Option<&Value>| -> Option<Value> {
        list.as_array().into_iter().flatten().rev().find_map(is_it).cloned()
    };
    if path.ends_with("/messages") {
        let content = last(&body["messages"], |message| {
            let parts = message["content"].as_array()?;
            parts.iter().find(|part| part["type"] == "tool_result").map(|part| &part["content"])
        });
        messages(stream, turn(content.as_ref()), arguments, body["stream"] == true);
    } else if path.ends_with("/responses") {
        let output = last(&body["input"], |item| (item["type"] == "function_call_output").then_some(&item["output"]));
        responses(stream, turn(output.as_ref()), arguments);
    } else if path.contains("enerateContent") {
        let response = last(&body["contents"], |content| {
            let parts = content["parts"].as_array()?;
            parts.iter().find_map(|part| part.get("functionResponse"))
        });
        generate(stream, turn(response.as_ref()), arguments, path.contains("stream"));
    } else if path.ends_with("/chat/completions") {
        let content = last(&body["messages"], |message| (message["role"] == "tool").then_some(&message["content"]));
        chat(stream, turn(content.as_ref()), arguments);
    } else {
        respond(stream, "200 OK", "content-type: application/json\r\n", b"{\"input_tokens\": 1}");
    }
}

/// The tool, if it is among those that are offered, in whichever format they are.
fn offered(tools: &Value, wanted: &str) -> Option<(Option<String>, String)> {
    let is_it = |name: &str| name.replace('_', "-").ends_with(wanted);
    tools.as_array().into_iter().flatten().find_map(|tool| {
        let below = |key: &str| {
            let names = tool[key].as_array()?.iter().filter_map(|tool| tool["name"].as_str());
            names.into_iter().find(|name| is_it(name)).map(str::to_owned)
        };
        let own = tool["name"].as_str().or_else(|| tool["function"]["name"].as_str());
        let plain = || own.filter(|name| is_it(name)).map(|name| (None, name.to_owned()));
        let grouped = || Some((own.map(str::to_owned), below("tools")?));
        let declared = || Some((None, below("functionDeclarations")?));
        plain().or_else(grouped).or_else(declared)
    })
}

/// Server-sent events.
fn stream_of(stream: &mut TcpStream, events: &[(&str, Value)]) {
    let text: Vec<String> = events
        .iter()
        .map(|(name, data)| {
            let name = if name.is_empty() { String::new() } else { format!("event: {name}\n") };
            format!("{name}data: {data}\n\n")
        })
        .collect();
    respond(stream, "200 OK", "content-type: text/event-stream\r\n", text.concat().as_bytes());
}

fn whole(stream: &mut TcpStream, answer: &Value) {
    respond(stream, "200 OK", "content-type: application/json\r\n", answer.to_string().as_bytes());
}

/// Anthropic's Messages.
fn messages(stream: &mut TcpStream, turn: Turn, arguments: &Value, is_stream: bool) {
    let (block, delta, reason) = match turn {
        Turn::Text(text) => {
            (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": text }), "end_turn")
        }
        Turn::Call(_, name) => (
            json!({ "type": "tool_use", "id": "toolu_1", "name": name, "input": {} }),
            json!({ "type": "input_json_delta", "partial_json": arguments.to_string() }),
            "tool_use",
        ),
    };
    let usage = json!({ "input_tokens": 1, "output_tokens": 1 });
    let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "usage": usage });
    if !is_stream {
        let text = json!([{ "type": "text", "text": delta["text"].as_str().unwrap_or("-") }]);
        let mut message = message;
        message["content"] = text;
        message["stop_reason"] = "end_turn".into();
        return whole(stream, &message);
    }
    let ended = json!({ "stop_reason": reason, "stop_sequence": null });
    stream_of(
        stream,
        &[
            ("message_start", json!({ "type": "message_start", "message": message })),
            ("content_block_start", json!({ "type": "content_block_start", "index": 0, "content_block": block })),
            ("content_block_delta", json!({ "type": "content_block_delta", "index": 0, "delta": delta })),
            ("content_block_stop", json!({ "type": "content_block_stop", "index": 0 })),
            ("message_delta", json!({ "type": "message_delta", "delta": ended, "usage": usage })),
            ("message_stop", json!({ "type": "message_stop" })),
        ],
    );
}

/// OpenAI's Responses.
fn responses(stream: &mut TcpStream, turn: Turn, arguments: &Value) {
    let item = match turn {
        Turn::Text(text) => {
            let content = json!([{ "type": "output_text", "text": text, "annotations": [] }]);
            json!({ "type": "message", "id": "m1", "role": "assistant", "content": content })
        }
        Turn::Call(namespace, name) => {
            let mut call = json!({ "type": "function_call", "id": "fc1", "call_id": "c1", "name": name, "arguments": arguments.to_string() });
            if let Some(namespace) = namespace {
                call["namespace"] = namespace.into();
            }
            call
        }
    };
    let usage = json!({
        "input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
        "input_tokens_details": { "cached_tokens": 0 }, "output_tokens_details": { "reasoning_tokens": 0 },
    });
    let response = json!({ "id": "r1", "object": "response", "status": "completed", "output": [item], "usage": usage });
    let begun = json!({ "id": "r1", "status": "in_progress", "output": [] });
    let at = |kind: &str| json!({ "type": kind, "output_index": 0, "item": item });
    stream_of(
        stream,
        &[
            ("response.created", json!({ "type": "response.created", "response": begun })),
            ("response.output_item.added", at("response.output_item.added")),
            ("response.output_item.done", at("response.output_item.done")),
            ("response.completed", json!({ "type": "response.completed", "response": response })),
        ],
    );
}

/// Google's `generateContent`.
fn generate(stream: &mut TcpStream, turn: Turn, arguments: &Value, is_stream: bool) {
    let part = match turn {
        Turn::Text(text) => json!({ "text": text }),
        Turn::Call(_, name) => json!({ "functionCall": { "name": name, "args": arguments } }),
    };
    let candidate = json!({ "content": { "role": "model", "parts": [part] }, "finishReason": "STOP", "index": 0 });
    let usage = json!({ "promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2 });
    let answer = json!({ "candidates": [candidate], "usageMetadata": usage });
    if is_stream { stream_of(stream, &[("", answer)]) } else { whole(stream, &answer) }
}

/// Chat Completions, streamed.
fn chat(stream: &mut TcpStream, turn: Turn, arguments: &Value) {
    let (delta, reason) = match turn {
        Turn::Text(text) => (json!({ "role": "assistant", "content": text }), "stop"),
        Turn::Call(_, name) => {
            let function = json!({ "name": name, "arguments": arguments.to_string() });
            let call = json!({ "index": 0, "id": "call_1", "type": "function", "function": function });
            (json!({ "role": "assistant", "content": null, "tool_calls": [call] }), "tool_calls")
        }
    };
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        let usage = json!({ "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 });
        json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], "usage": usage })
    };
    stream_of(stream, &[("", chunk(delta, Value::Null)), ("", chunk(json!({}), reason.into()))]);
}
