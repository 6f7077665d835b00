//! Other people's clients before `understudy serve`, other people's servers behind it.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use serde_json::{Map, Value, json};
use understudy_tests::matrix::{self, Client};
use understudy_tests::peers::{python, script};
use understudy_tests::program::{Place, run};
use understudy_tests::served::Served;

const SERVERS: [&str; 4] = ["fastmcp", "mcp1", "mcp2", "ts1"];

/// Serves the matrix's servers, whose sampling requests `echo` answers.
fn serve(place: &Place) -> Served {
    let entry = |server: &&str| {
        let whole = matrix::server(server, None);
        let (program, args) = whole.split_first().unwrap();
        ((*server).to_owned(), json!({ "command": program, "args": args }))
    };
    let servers: Map<String, Value> = SERVERS.iter().map(entry).collect();
    Served::open(place, &json!({ "mcpServers": servers, "sampling": "echo" }))
}

/// Everything that the servers have, of a client that can't sample.
fn all_of(client: &str, args: &[&str]) {
    let place = Place::new();
    let served = serve(&place);
    for server in SERVERS {
        let url = served.url(server);
        let mut client = Client::start(client, args, &["--url".to_owned(), url], &[]);
        assert_eq!(client.connected["era"], "legacy", "{server}");
        assert_eq!(client.call("ask", &json!({"prompt": "to be?"})), "to be?", "{server}");
        let many: Vec<String> = (0..20).map(|i| format!("question {i}")).collect();
        assert_eq!(client.call("ask_many", &json!({"n": 20})), many.join("|"), "{server}");
        assert_eq!(client.call("tool_loop", &json!({"prompt": "what is 2 + 40?"})), "what is 2 + 40?", "{server}");
        assert!(client.call("describe_image", &json!({})).contains("what is this?"), "{server}");
        // What isn't sampling is the client's: an elicitation reaches it, on whatever stream.
        assert_eq!(client.call("ask_and_elicit", &json!({"prompt": "who?"})), "Ada: who?", "{server}");
        assert_eq!(client.call("echo", &json!({"text": "é\n"})), "é\n", "{server}");
        assert_eq!(client.call("progress", &json!({"steps": 5})), "done", "{server}");
        let listed = client.does(&json!({"op": "list"}));
        assert!(listed["tools"].as_array().is_some_and(|tools| tools.len() >= 7), "{server}: {listed}");
        assert_eq!(client.does(&json!({"op": "read", "uri": "test://double/ho"}))["text"], "ho ho", "{server}");
        let greeted = client.does(&json!({"op": "prompt", "name": "greet", "arguments": {"name": "Ada"}}));
        assert_eq!(greeted["text"], "Hello, Ada!", "{server}");
        for n in 0..10 {
            client.say(&json!({"op": "call", "id": 100 + n, "tool": "ask", "arguments": {"prompt": format!("p{n}")}}));
        }
        let mut texts: Vec<String> =
            (0..10).map(|_| client.hear()["text"].as_str().unwrap_or_default().to_owned()).collect();
        texts.sort();
        assert_eq!(texts, (0..10).map(|n| format!("p{n}")).collect::<Vec<_>>(), "{server}");
        client.close();
    }
}

#[test]
fn fastmcp_3() {
    all_of("fastmcp", &[]);
}

#[test]
fn mcp_1() {
    all_of("mcp1", &[]);
}

#[test]
fn mcp_use() {
    all_of("mcpuse", &[]);
}

#[test]
fn mcp_2() {
    all_of("mcp2", &["--era", "legacy"]);
}

#[test]
fn typescript_1() {
    all_of("ts1", &[]);
}

#[test]
fn typescript_2() {
    all_of("ts2", &["--era", "legacy"]);
}

#[test]
fn the_examples_of_two_documentations_work_without_their_callbacks() {
    let place = Place::new();
    let config = json!({
        "mcpServers": { "docs": { "command": python(), "args": [script("docs_server.py"), "--transport", "stdio"] } },
        "sampling": "echo",
    });
    let served = Served::open(&place, &config);
    for (example, said) in [("mcp-use", "Text to analyze: Hello"), ("fastmcp", "All the world's a stage.")] {
        let mut client = Command::new(python());
        client.args([&script("docs_clients.py"), example, "--url", &served.url("docs")]);
        let run = run(client, "").ok();
        let told: Value = serde_json::from_str(&run.stdout).unwrap();
        assert!(told["isError"] == false && told["text"].to_string().contains(said), "{example}: {told}");
    }
}
