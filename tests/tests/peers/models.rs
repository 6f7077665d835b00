//! What servers and frameworks really ask, through every model of every plugin's catalogue, before strict stand-ins.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use understudy_plugin::Provider;
use understudy_plugin_anthropic::Anthropic;
use understudy_plugin_gemini::Gemini;
use understudy_plugin_openai::OpenAi;
use understudy_standins::Body;
use understudy_standins::openai_chat::Dialect;
use understudy_tests::peers::{python, script, workspace};
use understudy_tests::program::{Place, run_within};
use understudy_tests::standin::{Standin, calls, exchange};

const KEY: &str = "sk-understudy-test-0123456789";

/// A catalogue is long, and this machine may be busy.
const LONG: Duration = Duration::from_mins(5);

/// The models of a plugin's catalogue; Ollama has none, for its models are the user's.
fn catalogue(plugin: &str) -> Vec<String> {
    let models = match plugin {
        "anthropic" => Anthropic::describe().models,
        "openai" => OpenAi::describe().models,
        "gemini" => Gemini::describe().models,
        _ => return vec!["qwen3".to_owned(), "llama3.3".to_owned()],
    };
    models.into_iter().map(|model| model.name).collect()
}

#[test]
fn fastmcps_typed_answers_and_tool_loops_end_by_every_model() {
    let plugins = [
        ("anthropic", "ANTHROPIC_API_KEY", false),
        ("openai", "OPENAI_API_KEY", false),
        ("openai", "OPENAI_API_KEY", true),
        ("gemini", "GEMINI_API_KEY", false),
        ("ollama", "OLLAMA_API_KEY", false),
    ];
    let mut wrong = Vec::new();
    for (plugin, variable, is_responses) in plugins {
        let place = Place::new();
        let standin = Standin::start(plugin, Dialect::OpenAi);
        let url = &standin.provider.url;
        let endpoint = if plugin == "openai" { format!("{url}/v1") } else { url.clone() };
        let mut models = catalogue(plugin);
        // The Responses API has no audio.
        models.retain(|model| !(model.contains("audio") && is_responses));
        // Without a list a hint chooses none that is dearer than the default.
        let settings = json!({ "api": if is_responses { "responses" } else { "chat" } });
        let settings = if plugin == "openai" { settings } else { json!({}) };
        let own = if plugin == "ollama" { json!({ "hints": "verbatim" }) } else { json!({ "allowedModels": models }) };
        let mut config =
            json!({ "component": format!("builtin:{plugin}"), "endpoint": endpoint, "settings": settings });
        for (key, value) in own.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let config = json!({ "sampling": plugin, "plugins": { plugin: config } });
        let _ = place.file("understudy.json", config.to_string());
        let mut command = place.understudy(["call", "by_models", &format!("models:={}", json!(models))]);
        command.arg("--").args([python(), script("models_server.py")]).env(variable, KEY);
        let run = run_within(LONG, command, "").ok();
        let outcomes: Value =
            serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", run.stdout, run.stderr));
        let about = if is_responses { format!("{plugin}, Responses") } else { plugin.to_owned() };
        for model in &models {
            for (kind, expected) in [("typed", "Oslo"), ("loop", "sunny"), ("both", "Oslo"), ("many", "sunny")] {
                let outcome = outcomes[model][kind].as_str().unwrap_or_default();
                if !outcome.contains(expected) {
                    wrong.push(format!("{about}: {model}, {kind}: {outcome}"));
                }
            }
        }
        wrong.extend(standin.refused().into_iter().map(|refused| format!("{about}: refused: {refused}")));
        // The hint chose the model: otherwise this would show one model many times.
        let mut asked: BTreeMap<String, usize> = BTreeMap::new();
        for request in standin.provider.seen() {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            // Gemini's model stands in the path, `…/models/NAME:generateContent HTTP/1.1`.
            let path = request.line.split(['/', ':']).rev().nth(2).unwrap_or_default().to_owned();
            *asked.entry(body["model"].as_str().map_or(path, str::to_owned)).or_default() += 1;
        }
        let missing: Vec<&String> = models
            .iter()
            .filter(|model| plugin != "ollama" && !asked.keys().any(|name| name.contains(model.as_str())))
            .collect();
        if !missing.is_empty() {
            wrong.push(format!("{about}: {missing:?} were never asked, but {asked:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} outcomes are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Histories as frameworks make them, written from their source: which, and where, stands in the files.
#[test]
fn frameworks_histories_are_taken_by_every_model() {
    let mut wrong = Vec::new();
    let mut asked = 0;
    for file in ["pydantic_ai.json", "langchain.json"] {
        let path = workspace().join("tests/histories").join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let histories: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for (name, params) in histories["histories"].as_object().into_iter().flatten() {
            for plugin in ["anthropic", "openai", "gemini", "ollama"] {
                let mut who: Vec<(String, Value, Dialect)> =
                    catalogue(plugin).into_iter().map(|model| (model, json!({}), Dialect::OpenAi)).collect();
                if plugin == "openai" {
                    who.push(("gpt-6.1-sol".to_owned(), json!({ "api": "responses" }), Dialect::OpenAi));
                    who.extend(
                        Dialect::ALL
                            .map(|(dialect, model)| (model.to_owned(), json!({ "dialect": dialect.name() }), dialect)),
                    );
                }
                for (model, settings, dialect) in who {
                    asked += 1;
                    let exchange = exchange(plugin, &model, &settings, params, dialect, None);
                    let about = format!("{file} {name}, {plugin} {model} {settings} {dialect:?}");
                    for (request, response) in &exchange.asked {
                        if let (Body::Whole(body), true) = (&response.body, response.is_refusal()) {
                            wrong.push(format!("{about}: refused: {body}"));
                        }
                        let expected = params["messages"].to_string().matches("\"tool_use\"").count();
                        if calls(plugin, request).iter().filter(|call| call.result.is_some()).count() != expected {
                            wrong.push(format!("{about}: not every result arrived: {}", request.body));
                        }
                    }
                    // A model that hears sees nothing, and DeepSeek's see nothing either.
                    let is_blind = model.contains("audio") || model.contains("deepseek");
                    let sees = !is_blind || exchange.outcome["error"]["kind"] != "unsupported";
                    if !exchange.outcome["result"].is_object() && sees {
                        wrong.push(format!("{about}: {}", exchange.outcome["error"]));
                    }
                }
            }
        }
    }
    assert!(asked > 100, "only {asked}");
    assert!(wrong.is_empty(), "{} of {asked} go wrong:\n{}", wrong.len(), wrong.join("\n"));
}
