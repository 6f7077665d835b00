//! Revision 2026-07-28 over HTTP: every request stands by itself, and all clients share one server.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::http::Answer;
use understudy_tests::peers::{python, script};
use understudy_tests::program::Place;
use understudy_tests::served::Served;

const VERSION: &str = "2026-07-28";

fn serve(place: &Place) -> Served {
    let server = json!({ "command": python(), "args": [script("stateless_server.py")] });
    Served::start(place, &json!({ "mcpServers": { "s": server } }))
}

/// A request, with what this revision puts into each.
fn request(id: impl Into<Value>, method: &str, mut params: Value) -> Value {
    let id: Value = id.into();
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(VERSION);
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn post(served: &Served, message: &Value, more: &[(&str, &str)]) -> Answer {
    let method = message["method"].as_str().unwrap_or_default();
    let name = message["params"]["name"].as_str().unwrap_or_default();
    let headers = [("mcp-protocol-version", VERSION), ("mcp-method", method), ("mcp-name", name)];
    let is_given = |name: &str| more.iter().any(|(given, _)| *given == name);
    let headers: Vec<(&str, &str)> =
        headers.into_iter().filter(|(name, _)| !is_given(name)).chain(more.iter().copied()).collect();
    served.send("POST", "/s/mcp", &headers, &message.to_string())
}

fn call(id: impl Into<Value>, tool: &str, token: Option<Value>) -> Value {
    let mut request = request(id, "tools/call", json!({ "name": tool, "arguments": {} }));
    if let Some(token) = token {
        request["params"]["_meta"]["progressToken"] = token;
    }
    request
}

/// What a tool's text says.
fn text(answer: &Value) -> Value {
    let text = answer["result"]["content"][0]["text"].as_str();
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn clients_with_the_same_ids_and_tokens_get_each_their_own() {
    let place = Place::new();
    let served = serve(&place);
    let answer = post(&served, &call("same", "seen", Some(json!("token"))), &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("mcp-session-id"), "");
    let first = answer.json();
    let second = post(&served, &call("same", "seen", Some(json!("token"))), &[]).json();
    assert_eq!((&first["id"], &second["id"]), (&json!("same"), &json!("same")));
    // The server was told other ids, each once, and other tokens.
    let (first, second) = (text(&first), text(&second));
    assert!(first["id"].is_u64() && second["id"].is_u64() && first["id"] != second["id"], "{first} {second}");
    assert!(first["token"] != second["token"] && first["token"] != "token", "{first} {second}");
    // Two at once, answered in the other order.
    let (one, two) = std::thread::scope(|scope| {
        let [one, two] = ["one", "two"].map(|token| {
            let served = &served;
            scope.spawn(move || {
                let mut answer = post(served, &call(7, "pair", Some(json!(token))), &[("mcp-session-id", "ignored")]);
                assert_eq!(answer.header("content-type"), "text/event-stream");
                let events = [answer.hear(), answer.hear()];
                assert_eq!(answer.event(), None);
                events
            })
        });
        (one.join().unwrap(), two.join().unwrap())
    });
    for (events, token) in [(one, "one"), (two, "two")] {
        assert_eq!(events[0].message()["params"]["progressToken"], token);
        assert_eq!((&events[1].message()["id"], text(&events[1].message())), (&json!(7), json!("paired")));
        assert!(events.iter().all(|event| event.id.is_none()), "this revision resumes nothing");
    }
}

#[test]
fn headers_must_say_what_the_body_says() {
    let place = Place::new();
    let served = serve(&place);
    let seen = call(1, "seen", None);
    for (headers, said) in [
        (vec![("mcp-method", "tools/list")], "the header `Mcp-Method` says `tools/list`, and the body `tools/call`"),
        (vec![("mcp-method", "")], "the header `Mcp-Method` is missing"),
        (vec![("mcp-name", "")], "the header `Mcp-Name` is missing"),
        (vec![("mcp-name", "other")], "the header `Mcp-Name` says `other`"),
        (vec![("mcp-protocol-version", "")], "the header `MCP-Protocol-Version` is missing"),
    ] {
        let answer = post(&served, &seen, &headers);
        assert_eq!(answer.status, 400, "{headers:?}");
        let error = answer.json();
        assert_eq!((&error["id"], &error["error"]["code"]), (&json!(1), &json!(-32020)), "{error}");
        assert!(error["error"]["message"].to_string().contains(said), "{error}");
    }
    assert_eq!(post(&served, &seen, &[("mcp-name", "=?base64?c2Vlbg==?=")]).status, 200);
    // Once a tool has been listed, it is known which of its arguments stand in headers.
    let mut with_region = seen.clone();
    with_region["params"]["arguments"] = json!({"region": "eu"});
    assert_eq!(post(&served, &with_region, &[]).status, 200);
    assert_eq!(post(&served, &request(2, "tools/list", json!({})), &[]).status, 200);
    assert_eq!(post(&served, &with_region, &[]).status, 400);
    assert_eq!(post(&served, &with_region, &[("mcp-param-region", "us")]).status, 400);
    assert_eq!(post(&served, &with_region, &[("mcp-param-region", "eu")]).status, 200);
}

#[test]
fn the_status_says_what_kind_of_error_it_is() {
    let place = Place::new();
    let served = serve(&place);
    for (code, status) in [(-32020, 400), (-32021, 400), (-32022, 400), (-32601, 404), (-32602, 200), (-32603, 200)] {
        let mut request = call(1, "code", None);
        request["params"]["arguments"] = json!({ "code": code });
        let answer = post(&served, &request, &[]);
        assert_eq!(answer.status, status, "{code}");
        assert_eq!(answer.json()["error"]["code"], code);
    }
    assert_eq!(post(&served, &request(1, "no/such", json!({})), &[]).status, 404);
    // Of a revision that nobody knows.
    let newer = [("mcp-protocol-version", "2099-01-01")];
    let mut bare = call(1, "seen", None);
    let answer = post(&served, &bare, &newer).json();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32022)));
    assert_eq!(answer["error"]["data"]["supported"], json!([VERSION]));
    bare["params"]["_meta"] = json!({});
    let newer = post(&served, &bare, &newer);
    assert_eq!(newer.status, 400);
    let error = newer.json();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(1), &json!(-32022)));
    assert_eq!(error["error"]["data"]["requested"], "2099-01-01");
    assert!(error["error"]["data"]["supported"].as_array().is_some_and(|all| all.contains(&json!(VERSION))), "{error}");
    let mut silent = call(1, "seen", None);
    silent["params"]["_meta"].as_object_mut().unwrap().remove("io.modelcontextprotocol/clientCapabilities");
    let answer = post(&served, &silent, &[]);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!(-32602)));
    // No envelope, several messages, an answer.
    let bare = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    assert_eq!(post(&served, &bare, &[]).status, 400);
    for wrong in [json!([call(1, "seen", None)]), json!({"jsonrpc": "2.0", "id": 1, "result": {}})] {
        assert_eq!(post(&served, &wrong, &[]).status, 400, "{wrong}");
    }
    assert_eq!(post(&served, &json!({"jsonrpc": "2.0", "method": "notifications/any"}), &[]).status, 202);
    for method in ["GET", "DELETE"] {
        assert_eq!(served.send(method, "/s/mcp", &[("mcp-protocol-version", VERSION)], "").status, 405, "{method}");
    }
}

#[test]
fn what_comes_before_the_answer_makes_it_a_stream() {
    let place = Place::new();
    let served = serve(&place);
    let mut answer = post(&served, &call(3, "progress", Some(json!(1.5))), &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
    for step in [1, 2] {
        let progress = answer.hear().message();
        assert_eq!(progress["params"], json!({"progressToken": 1.5, "progress": step}));
    }
    assert_eq!((answer.hear().message()["id"].clone(), answer.event()), (json!(3), None));
}

#[test]
fn a_client_that_hangs_up_cancels_its_request_and_no_other() {
    let place = Place::new();
    let served = serve(&place);
    let cancelled = || text(&post(&served, &call(9, "cancelled", None), &[]).json());
    let first = text(&post(&served, &call(1, "seen", None), &[]).json())["id"].as_u64().unwrap_or_default();
    std::thread::scope(|scope| {
        // Nothing of an answer has come when it hangs up: its own end is all that the server can see.
        scope.spawn(|| {
            let body = call(1, "hang", None).to_string();
            let head = format!(
                "POST /s/mcp HTTP/1.1\r\nhost: {}\r\naccept: application/json, text/event-stream\r\nmcp-protocol-version: {VERSION}\r\n\
                 mcp-method: tools/call\r\nmcp-name: hang\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
                served.address,
                served.token().unwrap_or_default(),
                body.len()
            );
            let stream = std::net::TcpStream::connect(served.address).unwrap();
            std::io::Write::write_all(&mut &stream, head.as_bytes()).unwrap();
            // It has arrived once the requests after it have later numbers.
            let (began, mut expected) = (Instant::now(), first + 1);
            while text(&post(&served, &call(1, "seen", None), &[]).json())["id"].as_u64() == Some(expected) {
                expected += 1;
                assert!(began.elapsed() < PATIENCE, "the request doesn't arrive");
            }
            assert_eq!(cancelled(), json!([]));
        });
    });
    let began = Instant::now();
    while cancelled().as_array().is_none_or(Vec::is_empty) {
        assert!(began.elapsed() < PATIENCE, "the request isn't cancelled");
    }
    assert_eq!(cancelled().as_array().map(Vec::len), Some(1));
    // A stream that has begun, too.
    let mut listening = post(&served, &request("l", "subscriptions/listen", json!({})), &[]);
    let _ = listening.hear();
    drop(listening);
    let began = Instant::now();
    while cancelled().as_array().map(Vec::len) != Some(2) {
        assert!(began.elapsed() < PATIENCE, "the subscription isn't cancelled");
    }
}

#[test]
fn a_subscription_goes_on_until_the_server_or_a_shutdown_ends_it() {
    let place = Place::new();
    let served = serve(&place);
    let listen = || {
        let mut listening = post(&served, &request("mine", "subscriptions/listen", json!({})), &[]);
        assert_eq!(listening.header("content-type"), "text/event-stream");
        for method in ["notifications/subscriptions/acknowledged", "notifications/tools/list_changed"] {
            let told = listening.hear().message();
            assert_eq!(told["method"], method);
            assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "mine");
        }
        listening
    };
    let mut first = listen();
    let _ = post(&served, &call(1, "end", None), &[]).json();
    assert_eq!(first.event(), None);
    let mut second = listen();
    served.signal(Signal::TERM);
    assert_eq!(second.event(), None);
    let (status, stderr) = served.end();
    assert!(status.success(), "{status}: {stderr}");
}

#[test]
fn a_server_that_ended_is_started_again_for_the_next_request() {
    let place = Place::new();
    let served = serve(&place);
    let error = post(&served, &call("x", "die", None), &[]).json();
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert!(error["id"] == "x" && message.starts_with("the server ended (exit status"), "{error}");
    let began = Instant::now();
    while post(&served, &call(1, "seen", None), &[]).json()["result"].is_null() {
        assert!(began.elapsed() < PATIENCE, "the server isn't started again");
    }
}
