//! Ollama's own API, `POST /api/chat`.
//!
//! Rules from github.com/ollama/ollama at fb30760 (2026-08-21): `server/routes.go` (`ChatHandler`) and the types of `api/types.go` that a
//! request is read into.

use serde_json::{Value, json};

use crate::plan::{Offer, plan};
use crate::{Body, Called, Request, Response, Said, digest, id_of, list, media, text};

/// The answer.
#[must_use]
pub fn answer(request: &Request) -> Response {
    match refusal(&request.body) {
        Some(message) => Response::refusing(400, json!({ "error": message })),
        None => say(request),
    }
}

/// Models whose templates know no tools, by the beginning of their names.
const WITHOUT_TOOLS: [&str; 6] = ["gemma:", "gemma2", "gemma3", "phi3", "llava", "codellama"];
/// Models that think; the others refuse `think: true`.
const THINKING: [&str; 6] = ["qwen3", "deepseek-r1", "deepseek-v3", "gpt-oss", "magistral", "glm-"];

fn refusal(body: &Value) -> Option<String> {
    let model = text(&body["model"]);
    let is = |names: &[&str]| names.iter().any(|name| model.starts_with(name));
    if model.is_empty() {
        return Some("model is required".to_owned());
    }
    if is(&["all-minilm", "nomic-embed", "bge-"]) {
        return Some(format!("\"{model}\" does not support chat"));
    }
    if !list(&body["tools"]).is_empty() && is(&WITHOUT_TOOLS) {
        return Some(format!("registry.ollama.ai/library/{model} does not support tools"));
    }
    let thinks = body["think"] == true || body["think"].is_string();
    if thinks && !is(&THINKING) {
        return Some(format!("\"{model}\" does not support thinking"));
    }
    if let Some(format) =
        body.get("format").filter(|format| !format.is_object() && **format != "json" && **format != "")
    {
        return Some(format!("invalid format: {format}; expected \"json\" or a valid JSON Schema object"));
    }
    // `strings.Contains(sequence, "")` is true: the answer would end at once, empty and without an error.
    if list(&body["options"]["stop"]).iter().any(|stop| text(stop).is_empty()) {
        return Some("options.stop: an empty stop sequence ends the answer before it begins".to_owned());
    }
    let messages = list(&body["messages"]);
    messages.iter().find_map(message).or_else(|| list(&body["tools"]).iter().find_map(tool))
}

fn message(message: &Value) -> Option<String> {
    if !message["content"].is_string() {
        return Some("json: cannot unmarshal into Go struct field ChatRequest.messages of type string".to_owned());
    }
    let images = list(&message["images"]);
    if images.iter().any(|image| media::sniff(text(image)).is_err()) {
        return Some("illegal base64 data at input byte 0".to_owned());
    }
    let calls = list(&message["tool_calls"]);
    let odd = calls.iter().any(|call| !call["function"]["arguments"].is_object());
    odd.then(|| "Value looks like object, but can't find closing '}' symbol".to_owned())
}

/// `ToolFunctionParameters`: what doesn't fit its types isn't read at all.
fn tool(tool: &Value) -> Option<String> {
    let parameters = &tool["function"]["parameters"];
    let cannot = |what: &Value, kind: &str| Some(format!("json: cannot unmarshal {what} into Go value of type {kind}"));
    if !parameters["type"].is_string() && !parameters["type"].is_null() {
        return cannot(&parameters["type"], "string");
    }
    if !is_texts(&parameters["required"]) {
        return cannot(&parameters["required"], "[]string");
    }
    properties(&parameters["properties"])
}

fn is_texts(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
}

fn properties(properties: &Value) -> Option<String> {
    if !properties.is_object() && !properties.is_null() {
        return Some(format!("json: cannot unmarshal {properties} into Go value of type api.ToolPropertiesMap"));
    }
    properties.as_object().into_iter().flatten().find_map(|(_, property)| self::property(property))
}

/// `ToolProperty`.
fn property(property: &Value) -> Option<String> {
    let fits = property.is_object()
        && (is_texts(&property["type"]) || property["type"].is_string())
        && (property["description"].is_null() || property["description"].is_string())
        && (property["enum"].is_null() || property["enum"].is_array())
        && (property["anyOf"].is_null() || property["anyOf"].is_array())
        && is_texts(&property["required"]);
    if !fits {
        return Some(format!("json: cannot unmarshal {property} into Go value of type api.ToolProperty"));
    }
    list(&property["anyOf"]).iter().find_map(self::property).or_else(|| properties(&property["properties"]))
}

/// The tool calls of the conversation. A result belongs to the call that has its id, or else to the first one of that name that has none.
#[must_use]
pub fn calls(body: &Value) -> Vec<Called> {
    let mut found: Vec<(Value, Called)> = Vec::new();
    for message in list(&body["messages"]) {
        for call in list(&message["tool_calls"]) {
            let function = &call["function"];
            let called =
                Called { name: text(&function["name"]).to_owned(), input: function["arguments"].clone(), result: None };
            found.push((call["id"].clone(), called));
        }
        if message["role"] == "tool" {
            let (id, name) = (&message["tool_call_id"], &message["tool_name"]);
            let mut waiting = found.iter_mut().rev().filter(|(_, called)| called.result.is_none());
            let by_id = |(known, called): &&mut (Value, Called)| {
                if id.is_string() && known.is_string() { known == id } else { called.name == text(name) }
            };
            if id.is_string() {
                if let Some((_, called)) = waiting.find(by_id) {
                    called.result = Some(text(&message["content"]).to_owned());
                }
            } else if let Some((_, called)) = waiting.rfind(by_id) {
                called.result = Some(text(&message["content"]).to_owned());
            }
        }
    }
    found.into_iter().map(|(_, called)| called).collect()
}

fn say(request: &Request) -> Response {
    let body = &request.body;
    let called = calls(body);
    let tools = list(&body["tools"]).iter().map(|tool| &tool["function"]);
    let in_format = calls_of(&body["format"]);
    let is_call = !in_format.is_empty();
    let mut offer = Offer {
        tools: tools.map(|function| (text(&function["name"]), &function["parameters"])).collect(),
        forced: is_call,
        parallel: !is_call,
        called: called.iter().map(|call| call.name.as_str()).collect(),
        after_result: list(&body["messages"]).last().is_some_and(|last| last["role"] == "tool"),
        format: body["format"].is_object().then_some(&body["format"]).filter(|_| !is_call),
        seed: request.seed,
    };
    if is_call {
        offer.tools = in_format.iter().map(|(name, schema)| (*name, schema)).collect();
    }
    let mut said = plan(&offer);
    if let Some((name, arguments)) = said.calls.first().filter(|_| is_call) {
        let call = json!({ "name": name, "arguments": arguments });
        said = Said { text: Some(call.to_string()), calls: Vec::new() };
    }
    let whole = whole(body, &said);
    if body["stream"] == false {
        return Response::saying(Body::Whole(whole), said);
    }
    let mut begun = whole.clone();
    begun["done"] = json!(false);
    for key in ["done_reason", "prompt_eval_count", "eval_count"] {
        begun.as_object_mut().and_then(|begun| begun.remove(key));
    }
    let mut end = whole;
    end["message"] = json!({ "role": "assistant", "content": "" });
    Response::saying(Body::Lines(vec![begun, end]), said)
}

/// The calls that a schema of the answer lets the model write, if it is one for calls: name, and schema of the arguments.
fn calls_of(format: &Value) -> Vec<(&str, Value)> {
    let several = list(&format["anyOf"]);
    let all = if several.is_empty() { std::slice::from_ref(format) } else { several };
    let call = |call| -> Option<(&str, Value)> {
        let call: &Value = call;
        let name = call["properties"]["name"]["const"].as_str()?;
        let mut schema = call["properties"]["arguments"].clone();
        schema.as_object_mut()?.insert("$defs".to_owned(), format["$defs"].clone());
        Some((name, schema))
    };
    all.iter().filter_map(call).collect()
}

fn whole(body: &Value, said: &Said) -> Value {
    let mut message = json!({ "role": "assistant", "content": said.text.clone().unwrap_or_default() });
    if body["think"] == true || body["think"].is_string() {
        message["thinking"] = json!("Let me see.");
    }
    let id = digest(body);
    let call = |(n, (name, input)): (usize, &(String, Value))| {
        json!({
            "id": format!("call_{}", id_of(id, n)),
            "function": { "index": n, "name": name, "arguments": input },
        })
    };
    if !said.calls.is_empty() {
        message["tool_calls"] = said.calls.iter().enumerate().map(call).collect();
    }
    json!({
        "model": body["model"],
        "created_at": "2026-11-01T00:00:00Z",
        "message": message,
        "done": true,
        "done_reason": "stop",
        "prompt_eval_count": 11,
        "eval_count": 7,
    })
}
