//! Any client in front, any server behind: the SDKs of both eras, with Understudy in between, which answers the sampling that none of these
//! clients can.

use serde_json::json;
use understudy_tests::matrix::{self, Client};
use understudy_tests::peers::installed;
use understudy_tests::program::Place;
use understudy_tests::provider::Provider;

/// What a pair can't do, for reasons of its own (`tests/peers/MATRIX.md`).
#[derive(Clone, Copy, Default)]
struct Can {
    /// Its client has an elicitation handler, and its server tool for it.
    no_elicitation: bool,
}

/// A client before a server on stdio, with the proxy in between.
fn through_proxy(place: &Place, client: &str, client_era: &str, server: &[String], llm: &Provider) -> Client {
    let config = json!({
        "sampling": "llm",
        "plugins": { "llm": { "component": "builtin:openai", "endpoint": llm.url, "model": "m" } }
    });
    let config = place.file("understudy.json", config.to_string()).to_string_lossy().into_owned();
    let understudy = understudy_tests::program::binary("understudy").to_string_lossy().into_owned();
    let mut towards =
        vec!["--".to_owned(), understudy, "proxy".to_owned(), "--config".to_owned(), config, "--".to_owned()];
    towards.extend_from_slice(server);
    Client::start(client, &["--era", client_era], &towards, &[])
}

/// All that a pair has to do.
fn scenarios(client: &mut Client, llm: &Provider, can: Can) {
    assert_eq!(client.call("echo", &json!({ "text": "plain" })), "plain");
    assert_eq!(client.call("ask", &json!({ "prompt": "hello" })), "hello");
    let many: Vec<String> = (0..10).map(|n| format!("question {n}")).collect();
    assert_eq!(client.call("ask_many", &json!({ "n": 10 })), many.join("|"));
    assert_eq!(client.call("tool_loop", &json!({ "prompt": "what is 2 + 3?" })), "the sum is 5");
    assert_eq!(client.call("describe_image", &json!({})), "what is this?");
    if !can.no_elicitation {
        assert_eq!(client.call("ask_and_elicit", &json!({ "prompt": "hello" })), "Ada: hello");
    }
    let read = client.does(&json!({ "op": "read", "uri": "test://hello" }));
    assert_eq!(read["text"], "hello", "{read}");
    let prompt = client.does(&json!({ "op": "prompt", "name": "greet", "arguments": { "name": "Ada" } }));
    assert!(prompt["text"].as_str().is_some_and(|text| text.contains("Ada")), "{prompt}");
    // Cancelled half-way: the provider's connection closes.
    let before = llm.seen().len();
    client.begin("hanging", "ask", &json!({ "prompt": "hang" }));
    llm.gate().wait_for(before + 1);
    client.say(&json!({ "op": "cancel", "id": "hanging" }));
    let end = client.end_of("hanging");
    assert!(end["cancelled"] == true || end["error"].is_object(), "{end}");
    llm.gate().wait_for_silence();
    assert_eq!(client.call("ask", &json!({ "prompt": "again" })), "again");
}

/// Clients and servers, with the eras that they are to speak.
fn each(cells: &[(&str, &str, &str, Option<&str>)]) {
    for (client, client_era, server, server_era) in cells {
        eprintln!("{client} ({client_era}) before {server} ({server_era:?})");
        let place = Place::new();
        let llm = matrix::llm();
        let command = matrix::server(server, *server_era);
        let mut client = through_proxy(&place, client, client_era, &command, &llm);
        assert_eq!(client.connected["era"], *client_era, "{}", client.connected);
        scenarios(&mut client, &llm, Can::default());
    }
}

#[test]
fn legacy_clients_before_legacy_servers() {
    each(&[
        ("ts1", "legacy", "fastmcp", None),
        ("mcp1", "legacy", "ts1", None),
        ("fastmcp", "legacy", "mcp1", None),
        ("ts2", "legacy", "mcp2", Some("legacy")),
        ("mcp2", "legacy", "ts2", Some("legacy")),
    ]);
}

#[test]
fn modern_clients_before_modern_servers() {
    each(&[
        ("ts2", "modern", "mcp2", Some("modern")),
        ("mcp2", "modern", "ts2", Some("modern")),
        ("fastmcp4", "modern", "mcp2", Some("modern")),
        ("mcp2", "modern", "fastmcp4", Some("modern")),
    ]);
}

#[test]
fn modern_clients_before_legacy_servers() {
    each(&[
        ("ts2", "modern", "fastmcp", None),
        ("mcp2", "modern", "ts1", None),
        ("mcp2", "modern", "mcp1", None),
        ("fastmcp4", "modern", "fastmcp", None),
    ]);
}

#[test]
fn legacy_clients_before_modern_servers() {
    each(&[
        ("ts1", "legacy", "ts2", Some("modern")),
        ("mcp1", "legacy", "ts2", Some("modern")),
        ("fastmcp", "legacy", "ts2", Some("modern")),
    ]);
}
