//! What the plugins send is what their providers take: every fixture is sent to a strict stand-in.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "that is how a test reports")]

use serde_json::{Value, json};
use understudy_standins::openai_chat::Dialect;
use understudy_standins::{Body, Request};
use understudy_tests::peers::workspace;
use understudy_tests::standin::answer;

/// The fixtures of a plugin: name and content.
fn fixtures(plugin: &str) -> Vec<(String, Value)> {
    let folder = workspace().join("plugins").join(plugin).join("fixtures");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut fixtures: Vec<_> = files
        .flatten()
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let fixture = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", entry.path().display()));
            (entry.file_name().to_string_lossy().into_owned(), fixture)
        })
        .collect();
    fixtures.sort_by(|(a, _), (b, _)| a.cmp(b));
    fixtures
}

/// Whether the provider's answer in the fixture is that the request itself is refused: what the fixture is about.
fn shows_a_refusal(exchange: &Value) -> bool {
    matches!(exchange["response"]["status"].as_u64(), Some(400 | 404 | 413 | 415 | 422))
}

/// The server that a fixture is about.
fn dialect(fixture: &Value) -> Dialect {
    let model = fixture["options"]["model"].as_str().unwrap_or_default();
    let setting = fixture["options"]["settings"]["dialect"].as_str();
    setting.and_then(Dialect::named).unwrap_or_else(|| Dialect::of_model(model))
}

#[test]
fn every_fixtures_request_is_taken_by_a_strict_stand_in() {
    let mut refused = Vec::new();
    for plugin in ["anthropic", "openai", "gemini", "ollama"] {
        let mut sent = 0;
        for (name, fixture) in fixtures(plugin) {
            for exchange in fixture["exchanges"].as_array().into_iter().flatten().filter(|e| !shows_a_refusal(e)) {
                sent += 1;
                let request = Request { recorded: true, ..Request::of_fixture(&exchange["request"]) };
                let response = answer(plugin, &request, dialect(&fixture));
                if let (true, Body::Whole(body)) = (response.is_refusal(), &response.body) {
                    refused.push(format!("{plugin}/fixtures/{name}: {} {body}", response.status));
                }
            }
        }
        assert!(sent > 80, "only {sent} requests of `{plugin}`");
    }
    assert!(refused.is_empty(), "{} requests are refused:\n{}", refused.len(), refused.join("\n"));
}

/// A request that is taken, and changes of it that are refused, each with words of the refusal.
struct Case {
    plugin: &'static str,
    dialect: Dialect,
    path: &'static str,
    taken: Value,
    refused: Vec<(Value, &'static str)>,
}

/// The value with these members instead of its own.
fn with(value: &Value, changes: &Value) -> Value {
    let mut value = value.clone();
    for (key, change) in changes.as_object().into_iter().flatten() {
        value[key] = change.clone();
    }
    value
}

fn tool_loop(id: &str) -> Value {
    json!([
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "content": null, "tool_calls": [
            { "id": id, "type": "function", "function": { "name": "t", "arguments": "{}" } },
        ] },
        { "role": "tool", "tool_call_id": id, "content": "done" },
    ])
}

fn chat(dialect: Dialect, model: &str, refused: Vec<(Value, &'static str)>) -> Case {
    let messages = json!([{ "role": "user", "content": "Hi" }]);
    Case {
        plugin: "openai",
        dialect,
        path: "/v1/chat/completions",
        taken: json!({ "model": model, "messages": messages }),
        refused,
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let user = json!({ "role": "user", "content": [{ "type": "text", "text": "Hi" }] });
    let begun = json!({ "role": "assistant", "content": [{ "type": "text", "text": "{" }] });
    let tool = |schema: Value| json!([{ "name": "t", "input_schema": schema }]);
    let plain = json!({ "type": "object" });
    let anthropic = json!({ "model": "claude-opus-5-5", "max_tokens": 10, "messages": [user] });
    let function = |schema: Value| json!([{ "type": "function", "function": { "name": "t", "parameters": schema } }]);
    let turns =
        |roles: &[&str]| -> Value { roles.iter().map(|role| json!({ "role": role, "content": "x" })).collect() };
    let part = json!([{ "text": "x" }]);
    vec![
        Case {
            plugin: "anthropic",
            dialect: Dialect::OpenAi,
            path: "/v1/messages",
            refused: vec![
                (json!({ "messages": [user, begun] }), "does not support assistant message prefill"),
                (
                    json!({ "tools": tool(plain.clone()), "tool_choice": { "type": "any" } }),
                    "are not supported for this model",
                ),
                (json!({ "temperature": 0.5 }), "`temperature` is deprecated"),
                (json!({ "thinking": { "type": "disabled" } }), "thinking.type.disabled"),
                (json!({ "max_tokens": 200_000 }), "200000 > 128000"),
                (json!({ "tools": tool(json!({ "type": "object", "anyOf": [] })) }), "at the top level"),
                (
                    json!({ "tools": tool(json!({ "type": "object", "properties": { "$filter": {} } })) }),
                    "Property keys",
                ),
                (
                    json!({ "tools": tool(json!({ "type": "object", "properties": { "a": { "items": [{}] } } })) }),
                    "draft 2020-12",
                ),
                (json!({ "tools": tool(json!({})) }), "input_schema.type"),
                (json!({ "stop_sequences": ["\n"] }), "non-whitespace"),
                (json!({ "tool_choice": { "type": "auto" } }), "only be specified while providing tools"),
                (
                    json!({ "messages": [user, { "role": "assistant", "content": [
                        { "type": "thinking", "thinking": "", "signature": "standin:claude-opus-5-5:1:0" },
                        { "type": "text", "text": "x" },
                    ] }, user] }),
                    "bound to a different conversation",
                ),
                (
                    json!({ "tools": tool(plain), "messages": [user, { "role": "assistant", "content": [
                        { "type": "tool_use", "id": "functions.t:0", "name": "t", "input": {} },
                    ] }, { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "functions.t:0", "content": [] }] }] }),
                    "tool_use.id",
                ),
            ],
            taken: anthropic,
        },
        chat(
            Dialect::OpenAi,
            "gpt-6-luna",
            vec![
                (json!({ "stop": ["END"] }), "'stop' is not supported"),
                (json!({ "max_tokens": 10 }), "max_completion_tokens"),
                (json!({ "max_completion_tokens": 1_000_000 }), "too large"),
                (json!({ "temperature": 0.5 }), "temperature"),
                (
                    json!({ "reasoning_effort": "none", "tools": function(json!({ "type": "object" })) }),
                    "missing properties",
                ),
                (
                    json!({ "reasoning_effort": "none", "tools": function(json!({ "type": "object", "properties": { "a": { "type": "array" } } })) }),
                    "missing items",
                ),
                (
                    json!({ "tools": function(json!({ "type": "object", "properties": {} })) }),
                    "reasoning_effort to 'none'",
                ),
                (json!({ "messages": tool_loop(&"x".repeat(65)) }), "maximum length 64"),
                (json!({ "messages": turns(&["user", "tool"]) }), "role 'tool'"),
                (
                    json!({ "messages": [{ "role": "assistant", "content": "x", "reasoning_content": "y" }] }),
                    "reasoning_content",
                ),
            ],
        ),
        chat(
            Dialect::Mistral,
            "mistral-large-latest",
            vec![
                (json!({ "stream": true, "stream_options": { "include_usage": true } }), "extra_forbidden"),
                (json!({ "messages": tool_loop("call_1") }), "length of 9"),
                (json!({ "messages": turns(&["user", "assistant"]) }), "Expected last role"),
            ],
        ),
        chat(
            Dialect::Groq,
            "llama-3.3-70b-versatile",
            vec![(
                json!({ "messages": [{ "role": "assistant", "content": "x", "reasoning": "y" }] }),
                "is unsupported",
            )],
        ),
        chat(
            Dialect::DeepSeek,
            "deepseek-v4-pro",
            vec![(json!({ "messages": tool_loop("a") }), "must be passed back")],
        ),
        chat(Dialect::Xai, "grok-4.3", vec![(json!({ "stop": ["x"] }), "not supported on this model")]),
        chat(
            Dialect::OpenRouter,
            "anthropic/claude-opus-5.5",
            vec![(json!({ "messages": turns(&["user", "assistant"]) }), "assistant message prefill")],
        ),
        chat(Dialect::Gemini, "gemini-3.8-flash", vec![(json!({ "messages": tool_loop("a") }), "thought_signature")]),
        chat(
            Dialect::Vllm,
            "google/gemma-3-27b-it",
            vec![(json!({ "messages": turns(&["user", "user"]) }), "must alternate")],
        ),
        chat(Dialect::LmStudio, "qwen", vec![(json!({ "tools": function(json!({ "type": "object" })) }), "Required")]),
        Case {
            plugin: "openai",
            dialect: Dialect::OpenAi,
            path: "/v1/responses",
            taken: json!({ "model": "gpt-6.1-sol", "input": [{ "type": "message", "role": "user", "content": "x" }] }),
            refused: vec![
                (json!({ "max_output_tokens": 1 }), ">= 16"),
                (json!({ "temperature": 0.1 }), "temperature"),
                (json!({ "reasoning": { "effort": "none" } }), "'none' is not supported"),
                (
                    json!({ "input": [{ "type": "function_call", "call_id": "a", "name": "t", "arguments": "{}" }] }),
                    "No tool output",
                ),
                (
                    json!({ "input": [{ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x" }] }),
                    "could not be verified",
                ),
            ],
        },
        Case {
            plugin: "gemini",
            dialect: Dialect::OpenAi,
            path: "/v1beta/models/gemini-3.5-flash-lite:generateContent",
            taken: json!({ "contents": [{ "role": "user", "parts": part }] }),
            refused: vec![
                (
                    json!({ "contents": [{ "role": "user", "parts": part }, { "role": "model", "parts": part }] }),
                    "ending with a model turn",
                ),
                (
                    json!({ "contents": [{ "role": "user", "parts": part }, { "role": "model", "parts": part },
                    { "role": "model", "parts": [{ "functionCall": { "name": "t", "args": {} } }] }] }),
                    "immediately after a user turn",
                ),
                (
                    json!({ "contents": [{ "role": "user", "parts": part }, { "role": "model", "parts": [{ "functionCall": { "name": "t", "args": {} } }] },
                    { "role": "user", "parts": [{ "functionResponse": { "name": "t", "response": {} } }] }] }),
                    "thought_signature",
                ),
                (json!({ "generationConfig": { "stopSequences": [""] } }), "must not be empty"),
                (json!({ "generationConfig": { "maxOutputTokens": 100_000 } }), "supported range"),
            ],
        },
        Case {
            plugin: "ollama",
            dialect: Dialect::OpenAi,
            path: "/api/chat",
            taken: json!({ "model": "qwen3", "messages": [{ "role": "user", "content": "x" }] }),
            refused: vec![
                (json!({ "options": { "stop": [""] } }), "empty stop sequence"),
                (json!({ "model": "llama3", "think": true }), "does not support thinking"),
                (
                    json!({ "tools": function(json!({ "type": "object", "properties": { "a": true } })) }),
                    "api.ToolProperty",
                ),
            ],
        },
    ]
}

#[test]
fn a_stand_in_refuses_what_its_provider_refuses() {
    for case in cases() {
        let send = |body: Value| {
            let headers = [("anthropic-version".to_owned(), "2023-06-01".to_owned())].into();
            answer(
                case.plugin,
                &Request { path: case.path.to_owned(), headers, body, ..Request::default() },
                case.dialect,
            )
        };
        let response = send(case.taken.clone());
        assert!(!response.is_refusal(), "{:?} refuses {}: {response:?}", case.dialect, case.taken);
        for (change, words) in &case.refused {
            let body = with(&case.taken, change);
            let response = send(body.clone());
            let said = String::from_utf8_lossy(&response.bytes()).into_owned();
            assert!(
                response.is_refusal() && said.contains(words),
                "{} {:?} to {body}: {said}",
                case.plugin,
                case.dialect
            );
        }
    }
}
