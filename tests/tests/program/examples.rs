//! The configs in `examples/configs`, as they stand but for the servers' commands, in front of providers on loopback.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "that is how a test reports")]

use serde_json::{Value, json};
use understudy_tests::peers::workspace;
use understudy_tests::program::Place;
use understudy_tests::provider::{Provider, Request, respond};
use understudy_tests::session::{Session, sampling};

const KEY: &str = "sk-understudy-test-0123456789";

/// An example, its servers' commands replaced by `cat`.
fn example(name: &str) -> Value {
    let path = workspace().join("examples/configs").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let uncommented = |line: &str| match line.split_once("//") {
        Some((before, _)) => before.to_owned(),
        None => line.to_owned(),
    };
    let text = text.lines().map(uncommented).collect::<Vec<_>>().join("\n");
    let mut config: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    for server in config["mcpServers"].as_object_mut().into_iter().flat_map(|servers| servers.values_mut()) {
        server["command"] = json!("cat");
        server["args"] = json!([]);
    }
    config
}

/// Answers in the format that is asked for, by the model that is asked for.
fn provider() -> Provider {
    Provider::start(|request: &Request, stream, _| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let model = &body["model"];
        let answer = if request.line.contains("/v1/messages") {
            json!({"type": "message", "model": model, "content": [{"type": "text", "text": "claude"}], "stop_reason": "end_turn"})
        } else if request.line.contains("/chat/completions") {
            json!({"model": model, "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "gpt"}}]})
        } else {
            json!({"model": model, "message": {"role": "assistant", "content": "local"}, "done": true, "done_reason": "stop"})
        };
        respond(stream, "200 OK", "content-type: application/json\r\n", answer.to_string().as_bytes());
    })
}

/// What the server gets, through `understudy proxy --server NAME`.
fn asked(place: &Place, provider: &Provider, server: &str, preferences: Option<&Value>) -> Value {
    let variables = [
        ("ANTHROPIC_BASE_URL", provider.url.as_str()),
        ("ANTHROPIC_API_KEY", KEY),
        ("OPENAI_BASE_URL", provider.url.as_str()),
        ("OPENAI_API_KEY", KEY),
        ("OLLAMA_HOST", provider.url.as_str()),
    ];
    let mut session = Session::by_name(place, server, &variables);
    let mut request = sampling(1, "hello");
    if let Some(preferences) = preferences {
        request["params"]["modelPreferences"] = preferences.clone();
    }
    session.say(&request);
    let answer = session.hear();
    assert!(answer["result"].is_object(), "{server}: {answer}");
    answer["result"].clone()
}

#[test]
fn mcp_uses_table_of_precedence_holds_row_by_row() {
    let place = Place::new();
    let provider = provider();
    let mut config = example("mcp-use-precedence.json");
    let who = |config: &Value, server: &str| {
        let _ = place.file("understudy.json", config.to_string());
        asked(&place, &provider, server, None)["content"]["text"].clone()
    };
    // The server's `onSampling` before its `samplingCallback`, that before the global `onSampling`, that before the global `samplingCallback`.
    assert_eq!(who(&config, "codeServer"), "claude");
    assert_eq!(who(&config, "creativeServer"), "gpt");
    assert_eq!(who(&config, "utilityServer"), "local");
    config.as_object_mut().and_then(|config| config.remove("onSampling"));
    assert_eq!(who(&config, "utilityServer"), "claude");
    assert_eq!(who(&config, "creativeServer"), "gpt");
}

#[test]
fn mcp_uses_model_preferences_callback_is_a_config() {
    let place = Place::new();
    let provider = provider();
    let _ = place.file("understudy.json", example("mcp-use-model-preferences.json").to_string());
    let model = |preferences: Value| asked(&place, &provider, "server", Some(&preferences))["model"].clone();
    let hints = json!([{ "name": "claude-3-opus" }, { "name": "other" }]);
    assert_eq!(model(json!({ "hints": hints, "intelligencePriority": 0.9 })), "claude-3-opus");
    assert_eq!(model(json!({ "hints": [], "intelligencePriority": 0.9, "speedPriority": 0.9 })), "gpt-4");
    assert_eq!(model(json!({ "intelligencePriority": 0.8, "speedPriority": 0.9 })), "gpt-5.5-mini");
    assert_eq!(model(json!({ "intelligencePriority": 0.8, "speedPriority": 0.8, "costPriority": 1 })), "default-model");
    assert_eq!(model(json!({})), "default-model");
    let bodies: Vec<Value> =
        provider.seen().iter().filter_map(|request| serde_json::from_slice(&request.body).ok()).collect();
    assert_eq!(bodies.len(), 5);
    assert_eq!(bodies[0]["model"], "claude-3-opus");
}
