//! Any client in front, any server behind: the SDKs of both eras, with Understudy in between, which answers the sampling that none of these
//! clients can.
#![expect(
    clippy::indexing_slicing,
    clippy::single_match_else,
    reason = "a test may panic, and two ways stand side by side"
)]

use serde_json::{Value, json};
use understudy_tests::matrix::{self, Client, HttpServer};
use understudy_tests::program::{Place, binary};
use understudy_tests::provider::Provider;
use understudy_tests::served::Served;

/// How a side is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Over {
    Stdio,
    Http,
}

/// A client, its era, a server, its era.
type Pair<'a> = (&'a str, &'a str, &'a str, Option<&'a str>);

/// Runs a pair over these transports, with Understudy in between.
fn run((client, client_era, server, server_era): Pair, front: Over, back: Over) {
    eprintln!("{client} ({client_era}, {front:?}) before {server} ({server_era:?}, {back:?})");
    let place = Place::new();
    let llm = matrix::llm();
    let era = server_era.filter(|_| ["ts2", "rmcp"].contains(&server)).map(|era| ["--era", era]);
    let http = (back == Over::Http).then(|| HttpServer::start(server, era.as_ref().map_or(&[], |era| era.as_slice())));
    let command = matrix::server(server, server_era);
    let entry = match &http {
        Some(http) => json!({ "url": http.url }),
        None => json!({ "command": command.first(), "args": command.get(1..) }),
    };
    let mut config = config(&entry, &llm);
    // Elicitation on stdio reaches a client of 2026-07-28 only where it is the one client.
    config["mcpServers"]["server"]["clients"] = json!("one");
    let served = (front == Over::Http).then(|| Served::open(&place, &config));
    let towards = match &served {
        Some(served) => vec!["--url".to_owned(), served.url("server")],
        None => {
            let config = place.file("understudy.json", config.to_string()).to_string_lossy().into_owned();
            let understudy = binary("understudy").to_string_lossy().into_owned();
            ["--", &understudy, "proxy", "--config", &config, "--server", "server"].map(str::to_owned).to_vec()
        }
    };
    let mut client = Client::start(client, &["--era", client_era], &towards, &[]);
    assert_eq!(client.connected["era"], client_era, "{}", client.connected);
    scenarios(&mut client, &llm);
}

fn config(server: &Value, llm: &Provider) -> Value {
    json!({
        "mcpServers": { "server": server },
        "sampling": "llm",
        "plugins": { "llm": { "component": "builtin:openai", "endpoint": llm.url, "model": "m" } }
    })
}

/// All that a pair has to do.
fn scenarios(client: &mut Client, llm: &Provider) {
    assert_eq!(client.call("echo", &json!({ "text": "plain" })), "plain");
    assert_eq!(client.call("ask", &json!({ "prompt": "hello" })), "hello");
    let many: Vec<String> = (0..10).map(|n| format!("question {n}")).collect();
    assert_eq!(client.call("ask_many", &json!({ "n": 10 })), many.join("|"));
    assert_eq!(client.call("tool_loop", &json!({ "prompt": "what is 2 + 3?" })), "the sum is 5");
    assert_eq!(client.call("describe_image", &json!({})), "what is this?");
    assert_eq!(client.call("ask_and_elicit", &json!({ "prompt": "hello" })), "Ada: hello");
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

const LEGACY_BEFORE_LEGACY: [Pair; 7] = [
    ("rmcp", "legacy", "ts1", None),
    ("ts1", "legacy", "rmcp", Some("legacy")),
    ("ts1", "legacy", "fastmcp", None),
    ("mcp1", "legacy", "ts1", None),
    ("fastmcp", "legacy", "mcp1", None),
    ("ts2", "legacy", "mcp2", Some("legacy")),
    ("mcp2", "legacy", "ts2", Some("legacy")),
];
const MODERN_BEFORE_MODERN: [Pair; 6] = [
    ("rmcp", "modern", "mcp2", Some("modern")),
    ("ts2", "modern", "rmcp", Some("modern")),
    ("ts2", "modern", "mcp2", Some("modern")),
    ("mcp2", "modern", "ts2", Some("modern")),
    ("fastmcp4", "modern", "mcp2", Some("modern")),
    ("mcp2", "modern", "fastmcp4", Some("modern")),
];
const MODERN_BEFORE_LEGACY: [Pair; 6] = [
    ("rmcp", "modern", "fastmcp", None),
    ("mcp2", "modern", "rmcp", Some("legacy")),
    ("ts2", "modern", "fastmcp", None),
    ("mcp2", "modern", "ts1", None),
    ("mcp2", "modern", "mcp1", None),
    ("fastmcp4", "modern", "fastmcp", None),
];
const LEGACY_BEFORE_MODERN: [Pair; 4] = [
    ("rmcp", "legacy", "ts2", Some("modern")),
    ("ts1", "legacy", "ts2", Some("modern")),
    ("mcp1", "legacy", "ts2", Some("modern")),
    ("fastmcp", "legacy", "ts2", Some("modern")),
];

macro_rules! cells {
    ($($name:ident: $pairs:expr, $front:ident, $back:ident;)*) => {$(
        #[test]
        fn $name() {
            for pair in $pairs {
                run(pair, Over::$front, Over::$back);
            }
        }
    )*};
}

cells! {
    legacy_before_legacy_all_on_stdio: LEGACY_BEFORE_LEGACY, Stdio, Stdio;
    modern_before_modern_all_on_stdio: MODERN_BEFORE_MODERN, Stdio, Stdio;
    modern_before_legacy_all_on_stdio: MODERN_BEFORE_LEGACY, Stdio, Stdio;
    legacy_before_modern_all_on_stdio: LEGACY_BEFORE_MODERN, Stdio, Stdio;
    legacy_before_legacy_over_http_behind: LEGACY_BEFORE_LEGACY, Stdio, Http;
    modern_before_modern_over_http_behind: MODERN_BEFORE_MODERN, Stdio, Http;
    modern_before_legacy_over_http_behind: MODERN_BEFORE_LEGACY, Stdio, Http;
    legacy_before_modern_over_http_behind: LEGACY_BEFORE_MODERN, Stdio, Http;
    legacy_over_http_before_legacy: LEGACY_BEFORE_LEGACY, Http, Stdio;
    modern_over_http_before_modern: MODERN_BEFORE_MODERN, Http, Stdio;
    modern_over_http_before_legacy: MODERN_BEFORE_LEGACY, Http, Stdio;
    legacy_over_http_before_modern: LEGACY_BEFORE_MODERN, Http, Stdio;
    legacy_before_legacy_all_over_http: LEGACY_BEFORE_LEGACY, Http, Http;
    modern_before_modern_all_over_http: MODERN_BEFORE_MODERN, Http, Http;
    modern_before_legacy_all_over_http: MODERN_BEFORE_LEGACY, Http, Http;
    legacy_before_modern_all_over_http: LEGACY_BEFORE_MODERN, Http, Http;
}
