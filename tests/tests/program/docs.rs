//! What the documents say is true: the config example, the schema, the commands.
#![expect(clippy::panic, reason = "that is how a test reports")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use understudy_tests::peers::workspace;
use understudy_tests::program::Place;

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The README's code blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let readme = read("README.md");
    let begin = format!("```{language}\n");
    readme.split(&begin).skip(1).filter_map(|rest| Some(rest.split_once("\n```")?.0.to_owned())).collect()
}

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&read("docs/understudy.schema.json")).unwrap_or_default();
    jsonschema::validator_for(&schema).unwrap_or_else(|e| panic!("{e}"))
}

/// What `doctor` says of a config, and whether it took it.
fn taken(config: &str) -> Result<String, String> {
    let place = Place::new();
    let _ = place.file("understudy.json", config);
    let run = place.run(["doctor", "--config", "understudy.json"]);
    if run.code() == 2 { Err(run.stderr) } else { Ok(run.stdout) }
}

#[test]
fn the_readmes_configs_are_taken_and_fit_the_schema() {
    let configs: Vec<String> = blocks("jsonc").into_iter().chain(blocks("json")).collect();
    assert!(configs.len() >= 3, "{}", configs.len());
    for config in configs {
        let said = taken(&config).unwrap_or_else(|error| panic!("{error}\n{config}"));
        assert!(said.contains("`understudy.json` is read"), "{said}");
        let uncommented = |line: &str| line.split(" // ").next().unwrap_or(line).trim_end().to_owned();
        let without_comments = config.lines().map(uncommented).collect::<Vec<_>>().join("\n");
        let value: Value =
            serde_json::from_str(&without_comments).unwrap_or_else(|e| panic!("{e}\n{without_comments}"));
        let fits = schema().validate(&value).map_err(|e| e.to_string());
        assert_eq!(fits, Ok(()), "{value}");
    }
}

/// The keys that the program says it knows, by asking it with one that it doesn't.
fn known(config: &Value) -> BTreeSet<String> {
    let error = taken(&config.to_string()).err().unwrap_or_default();
    let (_, list) = error.split_once("known here: ").unwrap_or_else(|| panic!("{error}"));
    list.trim().split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
}

fn properties(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

#[test]
fn the_schema_knows_just_the_keys_that_the_program_knows() {
    let schema: Value = serde_json::from_str(&read("docs/understudy.schema.json")).unwrap_or_default();
    let defs = &schema["$defs"];
    assert_eq!(known(&json!({"sampling": {"zzzzzzzzz": 1}})), properties(&defs["sampling"]["oneOf"][1]));
    let plugin = |plugin: Value| json!({"plugins": {"p": plugin}});
    let echo = "builtin:echo";
    assert_eq!(known(&plugin(json!({"component": echo, "zzzzzzzzz": 1}))), properties(&defs["plugin"]));
    let credential = json!({"component": echo, "credential": {"bearer": true, "env": "X", "zzzzzzzzz": 1}});
    assert_eq!(known(&plugin(credential)), properties(&defs["credential"]));
    let allow = json!({"component": "x.wasm", "allow": [{"origin": "https://a.example", "zzzzzzzzz": 1}]});
    assert_eq!(known(&plugin(allow)), properties(&defs["allowed"]["oneOf"][1]));
    let limits = json!({"component": echo, "limits": {"zzzzzzzzz": 1}});
    assert_eq!(known(&plugin(limits)), properties(&defs["pluginLimits"]));
    let compile = json!({"component": echo, "limits": {"compile": {"zzzzzzzzz": 1}}});
    assert_eq!(known(&plugin(compile)), properties(&defs["pluginLimits"]["properties"]["compile"]));
    let serve = &schema["properties"]["serve"];
    assert_eq!(known(&json!({"serve": {"zzzzzzzzz": 1}})), properties(serve));
    let token = json!({"serve": {"token": {"env": "X", "zzzzzzzzz": 1}}});
    assert_eq!(known(&token), properties(&defs["secret"]));
    assert_eq!(known(&json!({"requestStateKey": {"env": "X", "zzzzzzzzz": 1}})), properties(&defs["secret"]));
    let readme = read("README.md");
    for (key, value) in serve["properties"].as_object().into_iter().flatten() {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `serve.{key}` |")));
        let row = row.unwrap_or_else(|| panic!("the README has no row for `serve.{key}`"));
        let default = value["default"].to_string();
        assert!(default == "null" || row.contains(default.trim_matches('"')), "{row}: {default}");
    }
    let all: BTreeSet<String> =
        properties(&defs["pluginLimits"]).union(&properties(&schema["properties"]["limits"])).cloned().collect();
    assert_eq!(known(&json!({"limits": {"zzzzzzzzz": 1}})), all);
}

#[test]
fn the_readme_names_every_limit_with_its_default() {
    let schema: Value = serde_json::from_str(&read("docs/understudy.schema.json")).unwrap_or_default();
    let readme = read("README.md");
    let tables = [&schema["$defs"]["pluginLimits"], &schema["properties"]["limits"]];
    for (key, limit) in tables.iter().filter_map(|table| table["properties"].as_object()).flatten() {
        let row = readme.lines().find(|line| {
            line.starts_with("| `") && line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{key}`")))
        });
        let row = row.unwrap_or_else(|| panic!("the README has no row for `{key}`"));
        assert!(row.contains(&limit["default"].to_string()), "{row}: {}", limit["default"]);
    }
}

#[test]
fn a_config_that_the_program_refuses_does_not_fit_the_schema() {
    for config in [
        json!({"sampling": {"use": "echo", "mode": "sometimes"}}),
        json!({"sampling": []}),
        json!({"limits": {"memory": 5}}),
        json!({"limits": {"compile": "1 min"}}),
        json!({"plugins": {"p": {"component": "builtin:echo", "credential": {"bearer": true}}}}),
        json!({"plugins": {"p": {"component": "builtin:echo", "sha256": "abc"}}}),
        json!({"plugins": {"p": {"component": "x.wasm", "allow": "https://a.example"}}}),
        json!({"plugins": {"p": {"component": "x.wasm", "allow": [{"private": true}]}}}),
        json!({"mcpServers": {"s": {"args": []}}}),
        json!({"mcpServers": {"s": {"command": "cat", "clients": "many"}}}),
        json!({"serve": {"listen": "8765"}}),
        json!({"serve": {"token": "secret"}}),
        json!({"serve": {"allowedOrigins": ["*"]}}),
        json!({"serve": {"allowedHosts": ["https://a.example"]}}),
        json!({"serve": {"sessions": 0}}),
    ] {
        assert!(taken(&config.to_string()).is_err(), "{config}");
        assert!(schema().validate(&config).is_err(), "{config}");
    }
}
