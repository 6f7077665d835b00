//! OpenAI's Responses API, `POST /v1/responses`, without anything kept on the server.

mod rules;

use serde_json::{Value, json};

use crate::openai_models::reasons;
use crate::plan::{Offer, plan};
use crate::{Body, Called, Request, Response, Said, digest, id_of, list, text};

/// The answer.
#[must_use]
pub fn answer(request: &Request) -> Response {
    match rules::refusal(request) {
        Some((message, code)) => {
            let error = json!({ "message": message, "type": "invalid_request_error", "param": null, "code": code });
            Response::refusing(400, json!({ "error": error }))
        }
        None => say(request),
    }
}

/// The function calls of the conversation, each with the output that has its id.
#[must_use]
pub fn calls(body: &Value) -> Vec<Called> {
    let mut found: Vec<(&str, Called)> = Vec::new();
    for item in list(&body["input"]) {
        let id = text(&item["call_id"]);
        if item["type"] == "function_call" {
            let input = serde_json::from_str(text(&item["arguments"])).unwrap_or_default();
            found.push((id, Called { name: text(&item["name"]).to_owned(), input, result: None }));
        }
        if item["type"] == "function_call_output" {
            let mine = found.iter_mut().rev().find(|(known, called)| *known == id && called.result.is_none());
            if let Some((_, called)) = mine {
                called.result = Some(item["output"].to_string());
            }
        }
    }
    found.into_iter().map(|(_, called)| called).collect()
}

/// Of one model alone.
fn encrypted(model: &str) -> String {
    format!("standin:{model}")
}

fn thinks(body: &Value) -> bool {
    reasons(text(&body["model"])) && body["reasoning"]["effort"] != "none"
}

fn say(request: &Request) -> Response {
    let body = &request.body;
    let called = calls(body);
    let none = body["tool_choice"] == "none";
    let tools = list(&body["tools"]).iter().filter(|tool| tool["type"] == "function" && !none);
    let format = &body["text"]["format"]["schema"];
    let said = plan(&Offer {
        tools: tools.map(|tool| (text(&tool["name"]), &tool["parameters"])).collect(),
        forced: request.is_told_to_call || body["tool_choice"] == "required",
        parallel: body["parallel_tool_calls"] != false,
        called: called.iter().map(|call| call.name.as_str()).collect(),
        after_result: list(&body["input"]).last().is_some_and(|last| last["type"] == "function_call_output"),
        format: format.is_object().then_some(format),
        seed: request.seed,
    });
    let output = output(body, &said);
    let whole = |status: &str, output: &[Value]| {
        json!({
            "id": format!("resp_{:016x}", digest(body)),
            "object": "response",
            "created_at": 1_790_000_000,
            "status": status,
            "error": null,
            "incomplete_details": null,
            "model": body["model"],
            "output": output,
            "parallel_tool_calls": true,
            "store": false,
            "tool_choice": "auto",
            "tools": [],
            "usage": { "input_tokens": 11, "output_tokens": 7, "total_tokens": 18 },
        })
    };
    if body["stream"] != true {
        return Response::saying(Body::Whole(whole("completed", &output)), said);
    }
    let mut events = vec![("response.created", json!({ "response": whole("in_progress", &[]) }))];
    for (index, item) in output.iter().enumerate() {
        events.extend(item_events(index, item));
    }
    events.push(("response.completed", json!({ "response": whole("completed", &output) })));
    let events = events.into_iter().enumerate().map(|(n, (name, mut data))| {
        data["type"] = json!(name);
        data["sequence_number"] = json!(n);
        (Some(name), data)
    });
    Response::saying(Body::Events(events.collect()), said)
}

fn output(body: &Value, said: &Said) -> Vec<Value> {
    let id = digest(body);
    let model = text(&body["model"]);
    let mut output = Vec::new();
    if thinks(body) {
        let content = list(&body["include"]).contains(&json!("reasoning.encrypted_content")).then(|| encrypted(model));
        output.push(
            json!({ "id": format!("rs_{id:016x}"), "type": "reasoning", "summary": [], "encrypted_content": content }),
        );
    }
    if let Some(said) = &said.text {
        let part = json!({ "type": "output_text", "text": said, "annotations": [], "logprobs": [] });
        let message = json!({ "id": format!("msg_{id:016x}"), "type": "message", "status": "completed", "role": "assistant", "content": [part] });
        output.push(message);
    }
    for (n, (name, input)) in said.calls.iter().enumerate() {
        output.push(json!({
            "id": format!("fc_{}", id_of(id, n)),
            "type": "function_call",
            "status": "completed",
            "call_id": format!("call_{}", id_of(id, n)),
            "name": name,
            "arguments": input.to_string(),
        }));
    }
    output
}

fn item_events(index: usize, item: &Value) -> Vec<(&'static str, Value)> {
    let id = &item["id"];
    let mut begun = item.clone();
    begun["status"] = json!("in_progress");
    let mut middle = Vec::new();
    match text(&item["type"]) {
        "message" => {
            begun["content"] = json!([]);
            let part = &item["content"][0];
            let at = |mut data: Value| {
                data["item_id"] = id.clone();
                data["output_index"] = json!(index);
                data["content_index"] = json!(0);
                data
            };
            let empty = json!({ "type": "output_text", "text": "", "annotations": [], "logprobs": [] });
            middle = vec![
                ("response.content_part.added", at(json!({ "part": empty }))),
                ("response.output_text.delta", at(json!({ "delta": part["text"], "logprobs": [] }))),
                ("response.output_text.done", at(json!({ "text": part["text"], "logprobs": [] }))),
                ("response.content_part.done", at(json!({ "part": part }))),
            ];
        }
        "function_call" => {
            begun["arguments"] = json!("");
            let at = |key: &str| json!({ "item_id": id, "output_index": index, key: item["arguments"] });
            middle = vec![
                ("response.function_call_arguments.delta", at("delta")),
                ("response.function_call_arguments.done", at("arguments")),
            ];
        }
        _ => {}
    }
    let mut events = vec![("response.output_item.added", json!({ "output_index": index, "item": begun }))];
    events.extend(middle);
    events.push(("response.output_item.done", json!({ "output_index": index, "item": item })));
    events
}
