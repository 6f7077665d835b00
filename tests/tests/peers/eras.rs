//! Any client in front, any server behind: the SDKs of both eras, with Understudy in between, which answers the sampling that none of these
//! clients can.
#![expect(
    clippy::indexing_slicing,
    clippy::single_match_else,
    reason = "a test may panic, and two ways stand side by side"
)]

use std::process::Command;

use serde_json::{Value, json};
use understudy_tests::matrix::{self, Client, HttpServer};
use understudy_tests::peers::{installed, python, script};
use understudy_tests::program::{self, Place, binary};
use understudy_tests::provider::Provider;
use understudy_tests::served::Served;
use understudy_tests::session::Session;

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
    if (client_era, server_era) == ("modern", Some("modern")) {
        // Of a server that speaks both, this is the other era.
        config["mcpServers"]["server"]["sampling"] = json!({ "use": "llm", "era": "client" });
    }
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
    let era = if client_era == "auto" { "modern" } else { client_era };
    assert_eq!(client.connected["era"], era, "{}", client.connected);
    scenarios(&mut client, &llm);
    if BOTH.contains(&server) && server_era.is_none() {
        assert_eq!(client.call("ask_by_session", &json!({ "prompt": "hello" })), "hello");
    }
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

/// The SDKs whose servers speak both eras, and whose clients choose by themselves.
const BOTH: [&str; 3] = ["mcp2", "fastmcp4", "ts2"];
const AUTO_BEFORE_BOTH: [Pair; 5] = [
    ("mcp2", "auto", "mcp2", None),
    ("fastmcp4", "auto", "mcp2", None),
    ("ts2", "auto", "mcp2", None),
    ("mcp2", "auto", "fastmcp4", None),
    ("fastmcp4", "auto", "ts2", None),
];
const LEGACY_BEFORE_BOTH: [Pair; 2] = [("mcp1", "legacy", "mcp2", None), ("ts1", "legacy", "fastmcp4", None)];

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
    auto_before_both_all_on_stdio: AUTO_BEFORE_BOTH, Stdio, Stdio;
    auto_before_both_over_http_behind: AUTO_BEFORE_BOTH, Stdio, Http;
    auto_over_http_before_both: AUTO_BEFORE_BOTH, Http, Stdio;
    auto_before_both_all_over_http: AUTO_BEFORE_BOTH, Http, Http;
    legacy_before_both_all_on_stdio: LEGACY_BEFORE_BOTH, Stdio, Stdio;
    legacy_before_both_all_over_http: LEGACY_BEFORE_BOTH, Http, Http;
}

/// Seed 004's way to ask, by the clients of agent frameworks and by our own, in the modes that they choose.
#[test]
fn agent_frameworks_and_our_own_verbs_before_servers_that_speak_both() {
    let place = Place::new();
    let llm = matrix::llm();
    let own = binary("understudy").to_string_lossy().into_owned();
    for server in ["mcp2", "fastmcp4"] {
        let http = HttpServer::start(server, &[]);
        let command = matrix::server(server, None);
        let stdio = json!({ "command": command.first(), "args": command.get(1..) });
        let mut both = config(&stdio, &llm);
        both["mcpServers"]["remote"] = json!({ "url": http.url });
        let file = place.file("understudy.json", both.to_string()).to_string_lossy().into_owned();
        let served = Served::open(&place, &both);
        for name in ["server", "remote"] {
            let proxy = ["--", &own, "proxy", "--config", &file, "--server", name].map(str::to_owned).to_vec();
            let over_http = vec!["--url".to_owned(), served.url(name)];
            for towards in [proxy, over_http] {
                for framework in ["openai-agents", "pydantic-ai", "strands"] {
                    let mut client = Command::new(installed("agents/bin/python"));
                    client.args([&script("agents_clients.py"), framework, "ask_by_session", r#"{"prompt":"hello"}"#]);
                    client.args(&towards);
                    let run = program::run(client, "").ok();
                    let said: Value = serde_json::from_str(run.stdout.trim()).unwrap_or_default();
                    assert_eq!(said, json!({ "text": "hello", "isError": false }), "{framework} {server} {name}");
                }
            }
            let mut call = Command::new(&own);
            call.args(["call", "ask_by_session", "prompt=hello", "--config", &file, "--server", name]);
            assert_eq!(program::run(call, "").ok().stdout.trim(), "hello", "{server} {name}");
        }
    }
}

/// A server that ends when it is asked something of the era that it doesn't speak.
const ENDS: &str = r#"
import json, sys
era = sys.argv[1]
def say(id, result): print(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    method, params = message.get("method"), message.get("params") or {}
    if method != "initialize" and era == "legacy" and "began" not in globals(): sys.exit(3)
    if method == "initialize" and era == "modern": sys.exit(3)
    began = True
    if method == "initialize":
        say(message["id"], {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}})
    elif method == "server/discover":
        say(message["id"], {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}})
    elif method == "tools/call":
        has_sampling = "sampling" in json.dumps(params.get("_meta", {}))
        say(message["id"], {"resultType": "complete", "content": [], "declared": has_sampling})
"#;

#[test]
fn a_server_that_ends_when_it_is_asked_for_the_other_era_is_started_again() {
    let place = Place::new();
    let server = place.file("ends.py", ENDS).to_string_lossy().into_owned();
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "t", "arguments": {}, "_meta": meta } });
    for (era, choice) in [("modern", "sessions"), ("legacy", "client")] {
        let args = ["--plugin", "echo", "--era", choice];
        let mut session = Session::start(&place, &args, &[&python(), &server, era]);
        session.say(&call);
        let answer = session.hear();
        assert_eq!((&answer["id"], &answer["result"]["content"]), (&json!(1), &json!([])), "{era}: {answer}");
        assert_eq!(answer["result"]["declared"], era == "modern", "{answer}");
        let (status, rest, stderr) = session.end();
        assert!(status.success() && rest.is_empty(), "{era}: {status} {rest:?} {stderr}");
    }
    // One that ends in any case is started twice at most, and its status is the proxy's.
    let ends = ["-c", "import sys; sys.stdin.readline(); sys.exit(7)"];
    let mut session = Session::start(&place, &["--plugin", "echo"], &[&python(), ends[0], ends[1]]);
    session.say(&call);
    assert_eq!(session.hear()["error"]["message"], "the server has ended");
    let (status, ..) = session.end();
    assert_eq!(status.code(), Some(7));
}
