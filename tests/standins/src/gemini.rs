//! Google's Gemini API, `POST /v1beta/models/MODEL:generateContent` and `…:streamGenerateContent?alt=sse`.
//!
//! "Google's docs" are those at ai.google.dev/gemini-api/docs (2026-11).

mod rules;

use serde_json::{Value, json};

use crate::plan::{Offer, plan};
use crate::{Body, Called, Request, Response, Said, digest, id_of, list, text};

/// Google's mark for a call that it made no signature for (Google's docs, "Thought signatures").
const UNSIGNED: [&str; 2] = ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"];

/// The answer.
#[must_use]
pub fn answer(request: &Request) -> Response {
    match rules::refusal(request) {
        Some(message) => {
            let error = json!({ "code": 400, "message": message, "status": "INVALID_ARGUMENT" });
            Response::refusing(400, json!({ "error": error }))
        }
        None => say(request),
    }
}

/// The model that the path names.
fn model(request: &Request) -> &str {
    let name = request.path.split(['?', ':']).next().unwrap_or_default();
    name.rsplit('/').next().unwrap_or_default()
}

/// 2 and 5 of `gemini-2.5-flash`.
fn version(model: &str) -> Option<(u32, u32)> {
    let rest = model.strip_prefix("gemini-")?;
    let number = rest.split('-').next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Gemini 3 and newer, and the names that stand for the latest: Google's docs, "Thought signatures".
fn wants_signatures(model: &str) -> bool {
    version(model).map_or(model.starts_with("gemini-"), |version| version >= (3, 0))
}

/// The signature that the model makes of its thoughts: of that model alone.
fn signature(model: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(format!("standin:{model}"))
}

/// The function calls of the conversation, each with the response that has its id, or else its place.
#[must_use]
pub fn calls(body: &Value) -> Vec<Called> {
    let mut found: Vec<(Value, Called)> = Vec::new();
    let mut open = 0;
    for content in list(&body["contents"]) {
        for part in list(&content["parts"]) {
            let (call, response) = (&part["functionCall"], &part["functionResponse"]);
            if call.is_object() {
                let called = Called { name: text(&call["name"]).to_owned(), input: call["args"].clone(), result: None };
                found.push((call["id"].clone(), called));
            }
            if response.is_object() {
                let open_calls = found.iter_mut().skip(open);
                let mut waiting = open_calls.filter(|(_, called)| called.result.is_none());
                let mine = waiting.find(|(id, called)| {
                    let same = response["id"].is_null() || *id == response["id"];
                    same && called.name == text(&response["name"])
                });
                if let Some((_, called)) = mine {
                    called.result = Some(response.to_string());
                }
            }
        }
        if content["role"] == "user" {
            open = found.len();
        }
    }
    found.into_iter().map(|(_, called)| called).collect()
}

fn say(request: &Request) -> Response {
    let body = &request.body;
    let model = model(request);
    let mode = text(&body["toolConfig"]["functionCallingConfig"]["mode"]);
    let tools = list(&body["tools"]).iter().flat_map(|tool| list(&tool["functionDeclarations"]));
    let tools = tools.filter(|_| mode != "NONE");
    let schema =
        |tool: &'_ Value| if tool["parametersJsonSchema"].is_null() { "parameters" } else { "parametersJsonSchema" };
    let called = calls(body);
    let last = list(&body["contents"]).last().map(|content| list(&content["parts"])).unwrap_or_default();
    let format = &body["generationConfig"]["responseJsonSchema"];
    let said = plan(&Offer {
        tools: tools.map(|tool| (text(&tool["name"]), &tool[schema(tool)])).collect(),
        forced: request.is_told_to_call || mode == "ANY",
        parallel: true,
        called: called.iter().map(|call| call.name.as_str()).collect(),
        after_result: last.iter().any(|part| part["functionResponse"].is_object()),
        format: format.is_object().then_some(format),
        seed: request.seed,
    });
    let chunks = chunks(model, digest(body), &said);
    if request.path.contains(":streamGenerateContent") {
        return Response::saying(Body::Events(chunks.into_iter().map(|chunk| (None, chunk)).collect()), said);
    }
    let parts: Vec<Value> =
        chunks.iter().flat_map(|chunk| list(&chunk["candidates"][0]["content"]["parts"])).cloned().collect();
    let mut whole = chunks.into_iter().next_back().unwrap_or_default();
    whole["candidates"][0]["content"]["parts"] = Value::Array(parts);
    Response::saying(Body::Whole(whole), said)
}

/// The answer part by part; the last one says how it ended.
fn chunks(model: &str, id: u64, said: &Said) -> Vec<Value> {
    let signs = wants_signatures(model);
    let mut parts = Vec::new();
    parts.extend(said.text.iter().map(|text| json!({ "text": text })));
    for (n, (name, args)) in said.calls.iter().enumerate() {
        let mut part = json!({ "functionCall": { "name": name, "args": args } });
        if signs {
            part["functionCall"]["id"] = json!(id_of(id, n));
        }
        // Of calls at once the first has the signature (Google's docs, "Thought signatures").
        if signs && n == 0 {
            part["thoughtSignature"] = json!(signature(model));
        }
        parts.push(part);
    }
    let most = parts.len();
    let chunk = |(n, part): (usize, Value)| {
        let mut chunk = json!({
            "candidates": [{ "content": { "role": "model", "parts": [part] }, "index": 0 }],
            "usageMetadata": { "promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18 },
            "modelVersion": model,
            "responseId": format!("{id:016x}"),
        });
        if n + 1 == most {
            chunk["candidates"][0]["finishReason"] = json!("STOP");
        }
        chunk
    };
    parts.into_iter().enumerate().map(chunk).collect()
}
