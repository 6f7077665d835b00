//! Real servers, real clients, real provider formats: other people's programs, pinned, on both sides.

use std::process::Command;

use serde_json::{Value, json};
use understudy_tests::peers::{Listening, installed, node, python, script, server_everything};
use understudy_tests::program::{Place, Run, binary, run};

const KEY: &str = "sk-understudy-test-0123456789";

/// `understudy VERB… -- SERVER…`
fn through(place: &Place, verb: &[&str], server: &[String], env: &[(&str, &str)]) -> Run {
    let mut command = place.understudy(verb);
    command.arg("--").args(server).envs(env.iter().copied());
    run(command, "")
}

#[test]
fn server_everythings_tool_is_offered_and_answered_only_with_a_plugin() {
    let place = Place::new();
    let verb = ["call", "trigger-sampling-request", "prompt=hello"];
    let without = through(&place, &verb, &server_everything(), &[]);
    assert_eq!(without.code(), 1);
    assert!(without.stderr.contains("the server offers no tool `trigger-sampling-request`"), "{}", without.stderr);
    let verb = ["call", "trigger-sampling-request", "prompt=hello", "--plugin", "echo"];
    let with = through(&place, &verb, &server_everything(), &[]).ok();
    assert!(with.stdout.contains("LLM sampling result") && with.stdout.contains("context: hello"), "{}", with.stdout);
}

#[test]
fn the_inspector_a_client_without_sampling_calls_the_tool_through_the_proxy() {
    let place = Place::new();
    let inspector = |proxy: &[&str]| {
        let mut command = Command::new(node());
        command.current_dir(place.path()).arg(installed("node/node_modules/.bin/mcp-inspector")).arg("--cli");
        command.args(proxy).args(server_everything());
        command.args([
            "--method",
            "tools/call",
            "--tool-name",
            "trigger-sampling-request",
            "--tool-arg",
            "prompt=hello",
        ]);
        run(command, "")
    };
    let understudy = binary("understudy").to_string_lossy().into_owned();
    // An argument that begins with dashes is the inspector's own, so the proxy's stand in a script.
    let wrapper = place.file("proxy.sh", format!("exec {understudy} proxy --plugin echo -- \"$@\"\n"));
    let with = inspector(&["sh", &wrapper.to_string_lossy()]).ok();
    assert!(with.stdout.contains("context: hello"), "{}{}", with.stdout, with.stderr);
    let without = inspector(&[]);
    assert!(!without.stdout.contains("context: hello"), "{}", without.stdout);
}

#[test]
fn the_walkthroughs_server_gets_its_summary() {
    let place = Place::new();
    let text = "text_to_summarize=Bees keep landscapes alive. It rained on Tuesday. Bees visit flowers, and flowers need bees.";
    let server = [python(), script("walkthrough_server.py")];
    let run =
        through(&place, &["call", "summarize", text, "--plugin", "extractive", "--set", "sentences=1"], &server, &[])
            .ok();
    assert_eq!(run.stdout.trim(), "Bees visit flowers, and flowers need bees.");
}

/// Every way in which a FastMCP server asks, and the words that its tool returns when the provider repeats the last user text.
fn fastmcp_calls() -> Vec<(Vec<&'static str>, &'static str)> {
    vec![
        (vec!["call", "summarize", "text=a text"], "recorded: Summarize this:\n\na text"),
        (vec!["call", "multi_turn", "query=what is it?", "data=1 2 3"], "recorded: what is it?"),
        (vec!["call", "styled", "topic=Hamlet"], "recorded: Write one line about Hamlet."),
        (vec!["call", "preferred", "topic=Hamlet"], "recorded: "),
        (vec!["call", "preferred", "topic=Hamlet", r#"hints:=["claude-3-opus","gpt-4"]"#], "recorded: "),
        (vec!["call", "many", "n=20"], "recorded: "),
        (vec!["call", "with_tools", r#"question=call add {"a":2,"b":3}"#], "recorded: "),
        (vec!["call", "structured", r#"text=call final_response {"mood":"glad","stars":4}"#], "glad"),
    ]
}

#[test]
fn a_fastmcp_server_is_answered_in_every_format_and_each_body_fits_the_official_types() {
    let place = Place::new();
    let log = place.path().join("log.jsonl");
    let recorder = Listening::recorder(&log);
    let server = [python(), script("sampling_server.py")];
    let plugins = [
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("openai", "OPENAI_API_KEY"),
        ("gemini", "GEMINI_API_KEY"),
        ("ollama", "OLLAMA_API_KEY"),
    ];
    for (plugin, variable) in plugins {
        let endpoint = if plugin == "openai" { format!("{}/v1", recorder.url) } else { recorder.url.clone() };
        let streams = ["summarize", "with_tools", "structured"];
        let streamed = fastmcp_calls().into_iter().filter(|(verb, _)| streams.iter().any(|tool| verb.contains(tool)));
        let streamed = streamed.map(|call| (call, true));
        let whole = fastmcp_calls().into_iter().map(|call| (call, false));
        for ((mut verb, expected), streams) in whole.chain(streamed) {
            verb.extend(["--plugin", plugin, "--endpoint", &endpoint]);
            if plugin == "ollama" {
                verb.extend(["--model", "m"]);
            }
            if streams {
                verb.extend(["--set", "stream=true"]);
            }
            let run = through(&place, &verb, &server, &[(variable, KEY)]).ok();
            assert!(run.stdout.contains(expected), "{plugin} {verb:?}: {}{}", run.stdout, run.stderr);
        }
    }
    let log = std::fs::read_to_string(&log).unwrap_or_default();
    let requests: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(requests.len() > 4 * (6 + 20), "{}", requests.len());
    for request in &requests {
        assert_eq!(request["status"], 200, "{request}");
    }
    // What the server asked for is what the provider was asked for.
    let about = |provider: &str, text: &str| -> Value {
        let fits = |r: &&Value| r["provider"] == provider && r["body"].to_string().contains(text);
        requests.iter().find(fits).map(|request| request["body"].clone()).unwrap_or_default()
    };
    let styled = about("anthropic", "Write one line about Hamlet.");
    assert!(styled["system"].to_string().contains("You are a theatre critic."), "{styled}");
    assert_eq!(styled["temperature"], 0.7, "{styled}");
    let styled = about("openai", "Write one line about Hamlet.");
    assert!(styled["messages"][0].to_string().contains("You are a theatre critic."), "{styled}");
    let turns = about("anthropic", "I have read it. Go on.");
    let roles: Vec<&Value> = turns["messages"].as_array().into_iter().flatten().map(|m| &m["role"]).collect();
    assert_eq!(roles, [&json!("user"), &json!("assistant"), &json!("user")]);
}

#[test]
fn a_fastmcp_server_that_asks_for_context_gets_its_own() {
    let place = Place::new();
    let server = [python(), script("sampling_server.py")];
    let asked = json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": "Who?" } }], "maxTokens": 50, "includeContext": "thisServer" });
    let call = json!({ "params_json": asked.to_string() }).to_string();
    let verb = ["call", "raw", &call];
    let _ = place.file("understudy.json", r#"{"sampling": "echo"}"#);
    let without = through(&place, &verb, &server, &[]).ok();
    assert!(without.stdout.contains("Who?") && !without.stdout.contains("about plays"), "{}", without.stdout);
    let _ = place.file("understudy.json", r#"{"sampling": {"use": "echo", "context": "thisServer"}}"#);
    let with = through(&place, &verb, &server, &[]).ok();
    assert!(with.stdout.contains("Ask this server about plays.") && with.stdout.contains("`raw`"), "{}", with.stdout);
}

#[test]
fn a_fastmcp_server_is_answered_by_litellm_in_both_formats() {
    let place = Place::new();
    let litellm = Listening::litellm();
    let server = [python(), script("sampling_server.py")];
    for (plugin, variable, model) in
        [("anthropic", "ANTHROPIC_API_KEY", "mock-claude"), ("openai", "OPENAI_API_KEY", "mock-gpt")]
    {
        let endpoint = if plugin == "openai" { format!("{}/v1", litellm.url) } else { litellm.url.clone() };
        let asked = [
            vec!["call", "summarize", "text=a text"],
            vec!["call", "multi_turn", "query=what is it?", "data=1 2 3"],
            vec!["call", "styled", "topic=Hamlet"],
            vec!["call", "preferred", "topic=Hamlet"],
        ];
        let answers: Vec<String> = asked
            .into_iter()
            .map(|mut verb| {
                verb.extend(["--plugin", plugin, "--endpoint", &endpoint, "--model", model]);
                through(&place, &verb, &server, &[(variable, KEY)]).ok().stdout
            })
            .collect();
        assert!(answers.iter().all(|answer| answer.trim().len() > 3), "{answers:?}");
    }
}

/// LiteLLM between the plugin and the provider, in all four combinations of their formats.
#[test]
fn a_fastmcp_servers_tool_loop_ends_through_litellm_in_both_formats() {
    let place = Place::new();
    let recorder = Listening::recorder(&place.path().join("log.jsonl"));
    let litellm = Listening::litellm_before(&recorder);
    let server = [python(), script("sampling_server.py")];
    let asked = [
        (vec!["call", "with_tools", r#"question=call add {"a":2,"b":3}"#], "recorded: 5"),
        (vec!["call", "structured", r#"text=call final_response {"mood":"glad","stars":4}"#], "glad"),
    ];
    let ways = [
        ("anthropic", "by-anthropic", "stream=false"),
        ("anthropic", "by-openai", "stream=false"),
        ("anthropic", "by-openai", "stream=true"),
        ("openai", "by-openai", "stream=false"),
        ("openai", "by-anthropic", "stream=false"),
        ("openai", "by-anthropic", "stream=true"),
    ];
    for (plugin, model, stream) in ways {
        let (endpoint, variable) = match plugin {
            "openai" => (format!("{}/v1", litellm.url), "OPENAI_API_KEY"),
            _ => (litellm.url.clone(), "ANTHROPIC_API_KEY"),
        };
        for (mut verb, expected) in asked.clone() {
            verb.extend(["--plugin", plugin, "--endpoint", &endpoint, "--model", model, "--set", stream]);
            let run = through(&place, &verb, &server, &[(variable, KEY)]).ok();
            assert!(run.stdout.contains(expected), "{verb:?}: {}{}", run.stdout, run.stderr);
        }
    }
}

#[test]
fn what_the_plugins_send_and_accept_fits_the_official_types() {
    for name in ["anthropic", "openai", "gemini", "ollama"] {
        let script = script(&format!("validate_{name}.py"));
        for args in [vec![script.as_str(), "--self-test"], vec![script.as_str()]] {
            let mut command = Command::new(python());
            command.args(&args);
            let run = run(command, "");
            assert!(run.status.success(), "{args:?}: {}{}", run.stdout, run.stderr);
        }
    }
}
