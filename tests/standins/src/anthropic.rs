//! Anthropic's Messages API, version 2023-06-01.
//!
//! Messages of errors as public reports quote them; where none is known, the API's own style.

mod models;
mod rules;
mod thinking;

use serde_json::{Value, json};

use self::models::{Model, own_name};
use crate::plan::{Offer, plan};
use crate::{Body, Called, Request, Response, Said, digest, list, text};

/// The answer to `POST /v1/messages`.
#[must_use]
pub fn answer(request: &Request) -> Response {
    match rules::refusal(request) {
        Some(message) => refuse(&message),
        None => say(request),
    }
}

fn refuse(message: &str) -> Response {
    let error = json!({ "type": "invalid_request_error", "message": message });
    let body = json!({ "type": "error", "error": error, "request_id": "req_standin" });
    Response::refusing(400, body)
}

/// The tool calls of the conversation, each with the result that has its id.
#[must_use]
pub fn calls(body: &Value) -> Vec<Called> {
    let blocks = || list(&body["messages"]).iter().flat_map(|message| list(&message["content"]));
    let results = || blocks().filter(|block| block["type"] == "tool_result");
    let uses = blocks().filter(|block| block["type"] == "tool_use");
    uses.map(|call| Called {
        name: text(&call["name"]).to_owned(),
        input: call["input"].clone(),
        result: results()
            .find(|result| result["tool_use_id"] == call["id"])
            .map(|result| result["content"].to_string()),
    })
    .collect()
}

fn say(request: &Request) -> Response {
    let body = &request.body;
    let choice = text(&body["tool_choice"]["type"]);
    let tools = list(&body["tools"]).iter().filter(|tool| tool["input_schema"].is_object() && choice != "none");
    let called = calls(body);
    let last = list(&body["messages"]).last().map(|message| list(&message["content"])).unwrap_or_default();
    let format = &body["output_config"]["format"]["schema"];
    let said = plan(&Offer {
        tools: tools.map(|tool| (text(&tool["name"]), &tool["input_schema"])).collect(),
        forced: request.is_told_to_call || matches!(choice, "any" | "tool"),
        parallel: body["tool_choice"]["disable_parallel_tool_use"] != true,
        called: called.iter().map(|call| call.name.as_str()).collect(),
        after_result: last.iter().any(|block| block["type"] == "tool_result"),
        format: format.is_object().then_some(format),
        seed: request.seed,
    });
    let message = message(body, &said);
    let message = if body["stream"] == true { Body::Events(events(&message)) } else { Body::Whole(message) };
    Response::saying(message, said)
}

fn message(body: &Value, said: &Said) -> Value {
    let name = own_name(text(&body["model"]));
    let model = Model::of(&name);
    let thinks = match text(&body["thinking"]["type"]) {
        "" => model.is_some_and(|model| model.thinks_by_default()),
        kind => !matches!(kind, "disabled" | "between_tools"),
    };
    let forced = matches!(text(&body["tool_choice"]["type"]), "any" | "tool");
    let mut content = Vec::new();
    if thinks && !forced {
        content.push(thinking::block(body));
    }
    let is_call = !said.calls.is_empty();
    content.extend(said.text.iter().map(|text| json!({ "type": "text", "text": text })));
    let id = digest(body);
    for (n, (name, input)) in said.calls.iter().enumerate() {
        content
            .push(json!({ "type": "tool_use", "id": format!("toolu_01{id:016x}{n}"), "name": name, "input": input }));
    }
    json!({
        "id": format!("msg_01{id:016x}"),
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": if is_call { "tool_use" } else { "end_turn" },
        "stop_sequence": null,
        "usage": { "input_tokens": 11, "output_tokens": 7 },
    })
}

/// docs.claude.com, "Streaming messages".
fn events(message: &Value) -> Vec<(Option<&'static str>, Value)> {
    let mut start = message.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    let mut events = vec![(Some("message_start"), json!({ "type": "message_start", "message": start }))];
    events.push((Some("ping"), json!({ "type": "ping" })));
    for (index, block) in list(&message["content"]).iter().enumerate() {
        let mut empty = block.clone();
        let deltas = match text(&block["type"]) {
            "text" => {
                empty["text"] = json!("");
                vec![json!({ "type": "text_delta", "text": block["text"] })]
            }
            "tool_use" => {
                empty["input"] = json!({});
                vec![
                    json!({ "type": "input_json_delta", "partial_json": "" }),
                    json!({ "type": "input_json_delta", "partial_json": block["input"].to_string() }),
                ]
            }
            _ => {
                empty["signature"] = json!("");
                vec![json!({ "type": "signature_delta", "signature": block["signature"] })]
            }
        };
        events.push((
            Some("content_block_start"),
            json!({ "type": "content_block_start", "index": index, "content_block": empty }),
        ));
        for delta in deltas {
            events.push((
                Some("content_block_delta"),
                json!({ "type": "content_block_delta", "index": index, "delta": delta }),
            ));
        }
        events.push((Some("content_block_stop"), json!({ "type": "content_block_stop", "index": index })));
    }
    let delta = json!({ "stop_reason": message["stop_reason"], "stop_sequence": null });
    let usage = json!({ "output_tokens": 7 });
    events.push((Some("message_delta"), json!({ "type": "message_delta", "delta": delta, "usage": usage })));
    events.push((Some("message_stop"), json!({ "type": "message_stop" })));
    events
}
