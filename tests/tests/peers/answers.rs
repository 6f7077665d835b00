//! Answers that the providers' own Python packages built, type by type and value by value, as a whole and as streams.
#![expect(clippy::panic, reason = "that is how a test reports")]

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use understudy_plugin::testing::outcome;
use understudy_plugin_anthropic::Anthropic;
use understudy_plugin_gemini::Gemini;
use understudy_plugin_ollama::Ollama;
use understudy_plugin_openai::OpenAi;
use understudy_tests::peers::{python, script};
use understudy_tests::program::run;

/// What the plugin makes of an answer.
fn converted(built: &Value) -> Value {
    let plugin = built["plugin"].as_str().unwrap_or_default();
    let response = json!({ "status": built["status"], "headers": built["headers"], "body": built["body"], "events": built["events"] });
    let fixture = json!({
        "request": built["request"],
        "options": { "model": "a-model", "settings": built["settings"] },
        "exchanges": [{ "response": response }],
    });
    match plugin {
        "anthropic" => outcome::<Anthropic>(&fixture),
        "openai" => outcome::<OpenAi>(&fixture),
        "gemini" => outcome::<Gemini>(&fixture),
        "ollama" => outcome::<Ollama>(&fixture),
        other => panic!("no plugin `{other}`"),
    }
}

/// The blocks without what a plugin keeps for its next turn.
fn blocks(result: &Value) -> Value {
    let list = match &result["content"] {
        Value::Array(blocks) => blocks.clone(),
        Value::Null => Vec::new(),
        block => vec![block.clone()],
    };
    let bare = list.into_iter().map(|mut block| {
        block.as_object_mut().and_then(|block| block.remove("_meta"));
        block
    });
    bare.collect()
}

#[test]
fn answers_built_by_the_packages_own_types_convert() {
    let mut command = Command::new(python());
    command.arg(script("build_answers.py"));
    let built = run(command, "").ok();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in built.stdout.lines() {
        let built: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:.200}"));
        let (plugin, name, expect) = (&built["plugin"], &built["name"], &built["expect"]);
        let came = converted(&built);
        let got = if came["result"].is_object() {
            let usage = json!({ "input": came["usage"]["input"], "output": came["usage"]["output"] });
            json!({ "stopReason": came["result"]["stopReason"], "content": blocks(&came["result"]), "usage": usage })
        } else {
            json!({ "error": came["error"]["kind"] })
        };
        if got != *expect {
            wrong.push(format!(
                "{plugin} {name}:\n  expected {expect}\n  got      {got}\n  {}",
                came["error"]["message"]
            ));
        }
        *counts.entry(plugin.as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{} answers come out otherwise:\n{}", wrong.len(), wrong.join("\n"));
    for plugin in ["anthropic", "openai", "gemini", "ollama"] {
        assert!(counts.get(plugin).is_some_and(|count| *count > 30), "{counts:?}");
    }
}
