//! Servers at a URL, real ones: every SDK's own HTTP server behind `understudy --url`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use serde_json::{Value, json};
use understudy_tests::peers::{Listening, installed, node, node_script, python, script};
use understudy_tests::program::{Place, Run, binary, run};

/// A server of the matrix that listens; `more` goes onto its command line.
fn listening(server: &str, more: &[&str]) -> Listening {
    let (program, script) = match server {
        "ts1" | "ts2" => (node(), node_script(&format!("matrix_{server}_server.mjs"))),
        "sse" => (node(), node_script("matrix_sse_server.mjs")),
        "mcp2" | "fastmcp4" => (installed("fastmcp4/bin/python"), script(&format!("matrix_{server}_server.py"))),
        _ => (python(), script(&format!("matrix_{server}_server.py"))),
    };
    let args = [&[script.as_str(), "--transport", "http"], more].concat();
    Listening::start(&program, &args)
}

fn through(url: &str, verb: &[&str]) -> Run {
    let place = Place::new();
    run(place.understudy(verb.iter().chain(&["--plugin", "echo", "--url", url])), "")
}

/// Each way in which a server of the matrix samples.
fn asks(server: &str, more: &[&str]) {
    let listening = listening(server, more);
    let url = format!("{}/mcp", listening.url);
    let calls = [
        (vec!["call", "ask", "prompt=hello"], "hello"),
        (vec!["call", "ask_many", "n=20"], "question 0|question 1|"),
        (vec!["call", "tool_loop", "prompt=what is it?"], "what is it?"),
        (vec!["call", "echo", "text=plain"], "plain"),
    ];
    for (verb, expected) in calls {
        // mcp 2.3 asks with a fixed number of resolvers a tool.
        let run = through(&url, &verb).ok();
        assert!(run.stdout.contains(expected), "{server} {more:?} {verb:?}: {}{}", run.stdout, run.stderr);
    }
}

#[test]
fn typescript_1_is_answered_on_the_calls_stream_and_on_its_own() {
    asks("ts1", &[]);
    asks("ts1", &["--stream", "get"]);
}

#[test]
fn typescript_2_is_answered_in_the_legacy_era() {
    asks("ts2", &[]);
}

#[test]
fn mcp_1_is_answered_on_the_calls_stream_and_on_its_own() {
    asks("mcp1", &[]);
    asks("mcp1", &["--stream", "get"]);
}

#[test]
fn fastmcp_3_is_answered() {
    asks("fastmcp", &[]);
}

#[test]
fn mcp_2_and_fastmcp_4_are_answered_in_the_legacy_era() {
    asks("mcp2", &[]);
    asks("fastmcp4", &[]);
}

#[test]
fn an_old_server_of_http_and_sse_is_answered() {
    asks("sse", &[]);
}

/// A client of the matrix before a server, `understudy proxy --url` between them; what it prints.
fn client(program: &str, args: &[&str], url: &str, plugin: &[&str], ops: &[Value]) -> Vec<Value> {
    let understudy = binary("understudy").to_string_lossy().into_owned();
    let place = Place::new();
    let mut command = Command::new(program);
    command.current_dir(place.path()).args(args).arg("--").arg(understudy).args(["proxy", "--url", url]).args(plugin);
    command
        .env("XDG_CONFIG_HOME", place.path())
        .env("XDG_CACHE_HOME", binary("understudy").with_file_name("test-cache"));
    let input = ops.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n";
    let run = run(command, &input);
    let lines = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    assert!(lines.first().is_some_and(|line| line.get("connected").is_some()), "{lines:?} {}", run.stderr);
    lines
}

fn ops() -> Vec<Value> {
    vec![
        json!({ "op": "call", "id": 1, "tool": "ask", "arguments": { "prompt": "hello" } }),
        json!({ "op": "call", "id": 2, "tool": "progress", "arguments": { "steps": 3 } }),
        json!({ "op": "read", "id": 3, "uri": "test://hello" }),
        json!({ "op": "prompt", "id": 4, "name": "greet", "arguments": { "name": "Ada" } }),
        json!({ "op": "list", "id": 5 }),
    ]
}

fn of(lines: &[Value], id: u64) -> &Value {
    let said = lines.iter().find(|line| line["id"] == id);
    assert!(said.is_some(), "no {id} in {lines:?}");
    said.unwrap()
}

#[test]
fn a_client_on_stdio_uses_any_server_at_a_url() {
    for server in ["ts1", "ts2", "mcp1", "fastmcp", "sse"] {
        let listening = listening(server, &[]);
        let url = format!("{}/mcp", listening.url);
        let lines = client(&node(), &[&node_script("matrix_ts1_client.mjs")], &url, &["--plugin", "echo"], &ops());
        assert!(of(&lines, 1)["text"].as_str().is_some_and(|text| text.contains("hello")), "{server}: {lines:?}");
        for id in 2..=4 {
            assert!(of(&lines, id)["text"].as_str().is_some_and(|text| !text.is_empty()), "{server}: {lines:?}");
        }
        assert!(of(&lines, 5)["tools"].to_string().contains("\"ask\""), "{server}: {lines:?}");
    }
}

#[test]
fn a_modern_client_on_stdio_passes_through_to_a_modern_server_at_a_url() {
    for server in ["ts2", "mcp2"] {
        let listening = listening(server, &[]);
        let url = format!("{}/mcp", listening.url);
        for era in ["modern", "auto"] {
            let args = [
                node_script("matrix_ts2_client.mjs"),
                "--era".to_owned(),
                era.to_owned(),
                "--sampling".to_owned(),
                "mine".to_owned(),
            ];
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let lines = client(&node(), &args, &url, &[], &ops());
            assert_eq!(lines[0]["connected"]["era"], "modern", "{server} {era}: {lines:?}");
            assert!(
                of(&lines, 1)["text"].as_str().is_some_and(|text| text.contains("mine")),
                "{server} {era}: {lines:?}"
            );
            for id in 2..=4 {
                assert!(
                    of(&lines, id)["text"].as_str().is_some_and(|text| !text.is_empty()),
                    "{server} {era}: {lines:?}"
                );
            }
        }
    }
}

#[test]
fn over_tls_a_server_must_show_a_certificate_that_the_system_trusts() {
    let place = Place::new();
    let ca = place.path().join("ca.pem");
    let ca = ca.to_string_lossy();
    let server = Listening::start(&python(), &[&script("tls_server.py"), "--ca", &ca, "--until-stdin-closes"]);
    let ask = |host: &str, trusted: Option<&str>| {
        let url = format!("{}/mcp", server.url.replace("http://127.0.0.1", host));
        let mut command = place.understudy(["call", "--url", &url, "--plugin", "echo", "ask", "prompt=psst"]);
        command.envs(trusted.map(|trusted| ("SSL_CERT_FILE", trusted)));
        run(command, "")
    };
    assert_eq!(ask("https://localhost", Some(&ca)).ok().stdout.trim(), "psst");
    for (host, trusted) in [("https://localhost", None), ("https://127.0.0.1", Some(&*ca))] {
        let refused = ask(host, trusted);
        assert!(!refused.status.success() && refused.stderr.contains("certificate"), "{}", refused.stderr);
        assert!(refused.stderr.contains("SSL_CERT_FILE"), "{}", refused.stderr);
    }
}
