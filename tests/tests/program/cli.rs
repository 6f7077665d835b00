//! The command line: every verb, every revision of the protocol, and what is said when something is wrong.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use serde_json::{Value, json};
use understudy_tests::peers::workspace;
use understudy_tests::program::{Place, binary, run};
use understudy_tests::schema::validator;

#[test]
fn the_demo_shows_each_hop_and_the_answer_stands_in_the_text() {
    let place = Place::new();
    assert!(binary("summarize-server").exists());
    let run = place.run(["demo"]).ok();
    let text = std::fs::read_to_string(workspace().join("examples/texts/origin-of-species.txt")).unwrap_or_default();
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (text, answer) = (one_line(&text), one_line(&run.stdout));
    assert!(!answer.is_empty());
    for sentence in answer.split_inclusive(". ") {
        assert!(text.contains(sentence.trim()), "{sentence}");
    }
    for hop in [
        "is loaded",
        "have shaken hands",
        "the client calls",
        "the server asks for a completion",
        "ran `start`",
        "the server gets its answer",
        "the client gets",
    ] {
        assert!(run.stderr.contains(hop), "{hop}: {}", run.stderr);
    }
}

/// The example parameters of each revision, and the definition of its result.
fn revisions() -> Vec<(&'static str, Value)> {
    let text = json!({"role": "user", "content": {"type": "text", "text": "What is the capital of France?"}});
    let image = json!({"role": "user", "content": {"type": "image", "data": "AAAA", "mimeType": "image/png"}});
    let audio = json!({"role": "user", "content": {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}});
    let preferences = json!({"hints": [{"name": "claude-3-sonnet"}], "intelligencePriority": 0.8, "speedPriority": 0.5, "costPriority": 0});
    let mut params = json!({
        "messages": [image, text], "modelPreferences": preferences, "systemPrompt": "You are a helpful assistant.",
        "includeContext": "thisServer", "temperature": 0.7, "maxTokens": 100, "stopSequences": ["\n\n"], "metadata": {"user_id": "u"}
    });
    let mut all = vec![("2024-11-05", params.clone())];
    params["messages"] = json!([image, audio, text]);
    params["_meta"] = json!({"progressToken": 1});
    all.extend([("2025-03-26", params.clone()), ("2025-06-18", params.clone())]);
    params["messages"] = json!([
        {"role": "user", "content": [text["content"], image["content"]]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Paris"}}]},
        {"role": "user", "content": [{"type": "tool_result", "toolUseId": "call_1", "content": [{"type": "text", "text": "18°C"}], "structuredContent": {"c": 18}}]},
        text
    ]);
    params["tools"] = json!([{"name": "get_weather", "description": "Get the weather", "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]);
    params["toolChoice"] = json!({"mode": "auto"});
    all.extend([("2025-11-25", params.clone()), ("2026-07-28", params)]);
    all
}

#[test]
fn the_example_parameters_of_every_revision_give_a_result_of_that_revision() {
    let place = Place::new();
    for (revision, params) in revisions() {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": params});
        let asked = validator(revision, "CreateMessageRequest").validate(&request);
        assert!(asked.is_ok(), "{revision}: the example itself is wrong: {asked:?}");
        let file = place.file("params.json", params.to_string());
        let run = place.run(["sample", "--plugin", "echo", &file.to_string_lossy()]).ok();
        let result: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
        let answered = validator(revision, "CreateMessageResult").validate(&result);
        assert!(answered.is_ok(), "{revision}: {answered:?}: {result}");
        // The validator can tell a wrong one.
        let mut wrong = result.clone();
        wrong["role"] = json!("system");
        assert!(validator(revision, "CreateMessageResult").validate(&wrong).is_err());
    }
}

#[test]
fn what_is_missing_or_misspelt_is_named_with_the_remedy() {
    let place = Place::new();
    let _ = place.file("short", "a short secret");
    let _ = place.file("state.json", r#"{"requestStateKey": {"file": "short"}}"#);
    let _ = place.file("unset.json", r#"{"requestStateKey": {"env": "UNDERSTUDY_TEST_UNSET"}}"#);
    let cases: [(&[&str], i32, &str); 11] = [
        (
            &["sample"],
            2,
            "no plugin is named: add `--plugin NAME` (`echo`, `extractive`, `anthropic`, `openai`, `gemini`, `ollama`",
        ),
        (&["sample", "--plugin", "ehco"], 2, "no plugin is called `ehco` (did you mean `echo`?)"),
        (&["sample", "--plugin", "echo", "nofile.json"], 1, "can't read `nofile.json`"),
        (&["proxy", "--server", "x"], 2, "the config has no server `x`"),
        (&["proxy"], 2, "required"),
        (&["proxy", "--mode", "sometimes", "--", "cat"], 2, "must be `fallback`, `always` or `off`"),
        (&["sample", "--plugin", "echo", "--set", "novalue"], 2, "it needs the form key=value"),
        (
            &["--config", "state.json", "proxy", "--", "cat"],
            2,
            "`requestStateKey` holds 14 bytes, and a key needs at least 32",
        ),
        (&["--config", "unset.json", "proxy", "--", "cat"], 2, "set the environment variable `UNDERSTUDY_TEST_UNSET`"),
        (&["--config", "none.json", "doctor"], 2, "can't read the config `none.json`"),
        (
            &["sample", "--plugin", "openai", "--endpoint", "ftp://x"],
            2,
            "`plugins.openai.endpoint` must begin with `https://`",
        ),
    ];
    for (args, code, reason) in cases {
        let run = place.run(args);
        assert_eq!((run.code(), run.stdout.as_str()), (code, ""), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(reason), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn without_a_plugin_everything_passes_through_and_the_user_is_told() {
    let place = Place::new();
    let run = run(
        place.understudy(["proxy", "--", "cat"]),
        "{\"method\":\"initialize\",\"id\":1,\"params\":{\"capabilities\":{}}}\n",
    )
    .ok();
    assert_eq!(run.stdout, "{\"method\":\"initialize\",\"id\":1,\"params\":{\"capabilities\":{}}}\n");
    assert!(
        run.stderr.contains("no plugin is configured for `cat`") && run.stderr.contains("`--plugin NAME`"),
        "{}",
        run.stderr
    );
}

#[test]
fn doctor_says_what_is_configured_and_what_is_missing() {
    let place = Place::new();
    let config = json!({
        "mcpServers": {
            "a": {"command": "cat", "sampling": {"use": ["claude", "echo"], "mode": "always"}},
            "b": {"command": "no-such-server", "sampling": "mine"},
            "c": {"command": "${NOT_SET_ANYWHERE}"}
        },
        "plugins": { "claude": {"component": "builtin:anthropic"}, "mine": {"component": "./none.wasm"} }
    });
    let _ = place.file("understudy.json", config.to_string());
    let run = place.run(["doctor", "--config", "understudy.json"]);
    assert_eq!(run.code(), 1);
    for line in [
        "`understudy.json` is read",
        "`a` runs `cat`; `claude`, `echo` answers, whatever the client can",
        "TROUBLE  `mcpServers.c.command` uses the environment variable `NOT_SET_ANYWHERE`, which is not set",
        "TROUBLE  `claude`: no credential: set the environment variable `ANTHROPIC_API_KEY`, or write `plugins.claude.credential` into the config",
        "TROUBLE  `mine`: can't read the component",
        "TROUBLE  `b`: there is no program `no-such-server`",
        "4 to mend",
    ] {
        assert!(run.stdout.contains(line), "{line}\n{}", run.stdout);
    }
    let place = Place::new();
    let run = place.run(["doctor"]).ok();
    assert!(run.stdout.contains("all is well"), "{}", run.stdout);
}

#[test]
fn plugins_are_listed_and_inspected() {
    let place = Place::new();
    let run = place.run(["plugin", "list", "--json"]).ok();
    let list: Vec<Value> = serde_json::from_str(&run.stdout).unwrap_or_default();
    let names: Vec<&str> = list.iter().filter_map(|row| row["name"].as_str()).collect();
    for name in ["echo", "extractive", "anthropic", "openai", "gemini", "ollama"] {
        assert!(names.contains(&name), "{names:?}");
        let run = place.run(["plugin", "inspect", name, "--json"]).ok();
        let facts: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
        let asks_a_provider = !["echo", "extractive"].contains(&name);
        let world = if asks_a_provider { "provider, with streaming" } else { "provider" };
        assert_eq!((&facts["world"], &facts["imports"]), (&json!(world), &json!([])), "{name}");
    }
}

#[test]
fn the_client_verbs_name_the_nearest_tool_and_type_the_arguments() {
    let place = Place::new();
    let server = binary("summarize-server").to_string_lossy().into_owned();
    let run = place.run(["tools", "--json", "--", &server]).ok();
    let tools: Vec<Value> = serde_json::from_str(&run.stdout).unwrap_or_default();
    assert_eq!(tools[0]["name"], "summarize");
    let run = place.run(["call", "sumarize", "--", &server]);
    assert_eq!(run.code(), 1);
    assert!(
        run.stderr.contains("did you mean `summarize`?") && run.stderr.contains("try `--plugin NAME`"),
        "{}",
        run.stderr
    );
    let run = place.run(["call", "summarize", "text_to_summarize=12", "--plugin", "echo", "--", &server]).ok();
    assert!(run.stdout.contains("\n12\n"), "{}", run.stdout);
    // The tool's own failure is on stderr, and the exit code says so.
    let run = place.run(["call", "summarize", "text_to_summarize=x", "--", &server]);
    assert_eq!((run.code(), run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("the tool `summarize` failed: no completion"), "{}", run.stderr);
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let place = Place::new();
    let run = place.run(["tools", "--timeout", "300ms", "--", "sleep", "1000"]);
    assert_eq!(run.code(), 1);
    assert!(run.stderr.contains("`sleep` took longer than 300ms (`--timeout`)"), "{}", run.stderr);
    let run = place.run(["tools", "--", "false"]);
    assert!(run.stderr.contains("the server ended (exit status: 1) before it answered `initialize`"), "{}", run.stderr);
}

#[test]
fn help_and_completions_are_there() {
    let place = Place::new();
    let help = place.run(["--help"]).ok().stdout;
    for verb in ["proxy", "tools", "call", "sample", "plugin", "demo", "doctor", "completions"] {
        assert!(help.contains(verb), "{verb}");
    }
    assert!(place.run(["completions", "bash"]).ok().stdout.contains("_understudy"));
}

#[test]
fn a_verbose_log_says_where_the_time_of_a_request_went_and_no_other_does() {
    let place = Place::new();
    let params = json!({"messages": [{"role": "user", "content": {"type": "text", "text": "Hello?"}}], "maxTokens": 9});
    let file = place.file("params.json", params.to_string());
    let sample = |more: &[&str]| {
        let file = file.to_string_lossy();
        place.run(["sample", "--plugin", "echo", &file].into_iter().chain(more.iter().copied())).ok()
    };
    let is_of_time = |line: &&str| line.contains("understudy::time") && line.contains("plugin `echo`");
    assert_eq!(sample(&["-v"]).stderr.lines().filter(is_of_time).count(), 1);
    assert_eq!(sample(&[]).stderr.lines().filter(is_of_time).count(), 0);
}

#[test]
fn scheduling_can_be_turned_off_though_no_help_offers_it() {
    let place = Place::new();
    let params = json!({"messages": [{"role": "user", "content": {"type": "text", "text": "Hello?"}}], "maxTokens": 9});
    let file = place.file("params.json", params.to_string());
    let sample = |more: &[&str]| {
        let file = file.to_string_lossy();
        place.run(["sample", "--plugin", "echo", &file].into_iter().chain(more.iter().copied())).ok().stdout
    };
    assert_eq!(sample(&["--no-scheduling"]), sample(&[]));
    assert!(!place.run(["sample", "--help"]).ok().stdout.contains("scheduling"));
}
