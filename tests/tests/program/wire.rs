//! What real clients and servers write that isn't quite the protocol, and that the official SDKs take.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use understudy::config::{Mode, Sampling};
use understudy_tests::PATIENCE;
use understudy_tests::program::{Place, kill};
use understudy_tests::provider::{Provider, piece, respond, wait_for_hangup};
use understudy_tests::relayed::{Relayed, meta};
use understudy_tests::remote::{Asked, answer, call, end, event, events, server, session, shake_hands};
use understudy_tests::served::{Served, initialize};
use understudy_tests::session::{Session, sampling};

const VERSION: &str = "2025-11-25";

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

/// A relay that has shaken hands with a client of these capabilities.
async fn greeted(mode: Mode, capabilities: &Value) -> Relayed {
    let mut relayed = Relayed::new(mode).await;
    greet(&mut relayed, capabilities).await;
    relayed
}

async fn greet(relayed: &mut Relayed, capabilities: &Value) {
    let params = json!({ "protocolVersion": VERSION, "capabilities": capabilities, "clientInfo": { "name": "t", "version": "0" } });
    relayed.client.say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })).await;
    let _ = relayed.server.hear().await;
    relayed
        .server
        .say(&json!({ "jsonrpc": "2.0", "id": 0, "result": { "protocolVersion": VERSION, "capabilities": {} } }))
        .await;
    let _ = relayed.client.hear().await;
}

/// The server answers a request of the client's with this id, and the client gets it under its own.
async fn answered(relayed: &mut Relayed, clients: &str, servers: &str) {
    relayed.client.say_line(&format!(r#"{{"jsonrpc":"2.0","id":{clients},"method":"x"}}"#)).await;
    let _ = relayed.server.line().await;
    relayed.server.say_line(&format!(r#"{{"jsonrpc":"2.0","id":{servers},"result":{{"n":1.0}}}}"#)).await;
    let expected = format!(r#"{{"jsonrpc":"2.0","id":{clients},"result":{{"n":1.0}}}}"#);
    assert_eq!(relayed.client.line().await, expected, "{clients} {servers}");
}

/// What a relay's server sees of a client's first message of 2026-07-28, and what comes after it.
async fn modern(mode: Mode, first: &str) -> (Relayed, String) {
    let mut relayed = Relayed::new(mode).await;
    relayed.client.say_line(first).await;
    loop {
        let line = relayed.server.line().await;
        let asked: Value = serde_json::from_str(&line).unwrap();
        let answer = match asked["method"].as_str() {
            Some("server/discover") => {
                json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {} } })
            }
            Some("initialize") => {
                let data = json!({ "supported": ["2026-07-28"] });
                json!({ "jsonrpc": "2.0", "id": asked["id"], "error": { "code": -32022, "message": "no", "data": data } })
            }
            _ => return (relayed, line),
        };
        relayed.server.say(&answer).await;
    }
}

#[tokio::test]
async fn a_capability_that_is_null_is_declared_once() {
    let with_sampling = |line: &str| {
        assert_eq!(line.matches("\"sampling\"").count(), 1, "{line}");
        assert!(line.matches("\"tools\"").count() <= 1 && !line.contains("null"), "{line}");
    };
    for capabilities in [json!(null), json!({ "sampling": null }), json!({ "sampling": { "tools": null } })] {
        let mut relayed = Relayed::new(Mode::Fallback).await;
        let params = json!({ "protocolVersion": VERSION, "capabilities": capabilities });
        relayed.client.say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })).await;
        with_sampling(&relayed.server.line().await);
        // In the era without sessions, too.
        let params = json!({ "name": "t", "_meta": meta(&capabilities) });
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let (_relayed, line) = modern(Mode::Fallback, &call.to_string()).await;
        with_sampling(&line);
    }
}

#[tokio::test]
async fn an_id_is_the_same_however_the_server_spells_it() {
    let mut relayed = greeted(Mode::Fallback, &json!({})).await;
    for (clients, servers) in [
        ("1", "\"1\""),
        ("2", "2.0"),
        ("3.0", "3"),
        ("\"4\"", "4"),
        ("\"\\u00e9\"", "\"é\""),
        ("6", "\"6.0\""),
        ("9007199254740993", "\"9007199254740993\""),
    ] {
        answered(&mut relayed, clients, servers).await;
    }
    // Two that differ in their type alone are two.
    for id in ["7", "\"7\""] {
        relayed.client.say_line(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x"}}"#)).await;
        let _ = relayed.server.line().await;
    }
    for id in ["\"7\"", "7"] {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        relayed.server.say_line(&answer).await;
        assert_eq!(relayed.client.line().await, answer);
    }
    // What nobody has asked passes as it is.
    let nobodys = r#"{"jsonrpc":"2.0","id":"99","result":{}}"#;
    relayed.server.say_line(nobodys).await;
    assert_eq!(relayed.client.line().await, nobodys);
    relayed.client.say_line(r#"[{"jsonrpc":"2.0","id":8,"method":"x"},{"jsonrpc":"2.0","id":9,"method":"x"}]"#).await;
    let _ = relayed.server.line().await;
    relayed.server.say_line(r#"[{"id":"8","result":{}}, {"id":9,"result":{ }}]"#).await;
    assert_eq!(relayed.client.line().await, r#"[{"id":8,"result":{}}, {"id":9,"result":{ }}]"#);
}

#[tokio::test]
async fn a_call_is_over_in_whatever_spelling_the_server_ends_it() {
    let rule = Sampling { tools: Some(vec!["t".to_owned()]), ..Sampling::by(vec!["echo".to_owned()]) };
    let mut relayed = Relayed::by(rule, None).await;
    greet(&mut relayed, &json!({})).await;
    relayed.client.say(&call(1, "t")).await;
    let _ = relayed.server.hear().await;
    relayed.server.say(&sampling("a", "hello")).await;
    assert_eq!(relayed.server.hear().await["result"]["content"]["text"], "hello");
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": "1", "result": {} })).await;
    assert_eq!(relayed.client.hear().await["id"], 1);
    relayed.server.say(&sampling("b", "hello")).await;
    let refused = relayed.server.hear().await;
    assert!(refused["error"]["message"].to_string().contains("`sampling.tools`"), "{refused}");
}

#[tokio::test]
async fn a_clients_answer_to_a_sampling_request_counts_in_whatever_spelling() {
    let mut relayed = greeted(Mode::Fallback, &json!({ "sampling": {} })).await;
    for (servers, clients) in [("5", "\"5\""), ("6", "6.0"), ("\"a\"", "\"\\u0061\""), ("7.0", "7")] {
        let mut asked = sampling(0, "hello").to_string();
        asked = asked.replace("\"id\":0", &format!("\"id\":{servers}"));
        relayed.server.say_line(&asked).await;
        let _ = relayed.client.line().await;
        relayed.client.say_line(&format!(r#"{{"jsonrpc":"2.0","id":{clients},"result":{{"x":1.0}}}}"#)).await;
        assert_eq!(relayed.server.line().await, format!(r#"{{"jsonrpc":"2.0","id":{servers},"result":{{"x":1.0}}}}"#));
        // The plugin answers for a client that can't.
        relayed.server.say_line(&asked).await;
        let _ = relayed.client.line().await;
        let error = json!({ "code": -32601, "message": "Method not found" });
        relayed.client.say_line(&format!(r#"{{"jsonrpc":"2.0","id":{clients},"error":{error}}}"#)).await;
        let line = relayed.server.line().await;
        assert!(line.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{servers},"result":"#)), "{line}");
    }
}

#[tokio::test]
async fn a_round_of_a_call_is_known_in_whatever_spelling() {
    let params = json!({ "name": "t", "_meta": meta(&json!({})) });
    let first = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let (mut relayed, _) = modern(Mode::Fallback, &first.to_string()).await;
    let requests = json!({ "q": { "method": "sampling/createMessage", "params": sampling(1, "hello")["params"] } });
    let required = json!({ "resultType": "input_required", "inputRequests": requests });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": "1", "result": required })).await;
    let again = relayed.server.hear().await;
    assert_eq!(again["params"]["inputResponses"]["q"]["content"]["text"], "hello", "{again}");
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": again["id"], "result": { "resultType": "complete" } })).await;
    assert_eq!(relayed.client.hear().await["id"], 1);
    // Also where nothing is asked.
    relayed.client.say(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params })).await;
    let _ = relayed.server.hear().await;
    relayed.server.say_line(r#"{"jsonrpc":"2.0","id":2.0,"result":{"resultType":"complete"}}"#).await;
    assert_eq!(relayed.client.line().await, r#"{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete"}}"#);
}

#[test]
fn a_session_of_serve_is_answered_in_whatever_spelling() {
    let place = Place::new();
    for config in [json!({}), json!({ "sampling": "echo" })] {
        let served = Served::cat(&place, &config);
        let session = served.session("2025-06-18");
        for (clients, servers) in [("1", "\"1\""), ("2", "2.0"), ("\"3\"", "3")] {
            let request = format!(r#"{{"jsonrpc":"2.0","id":{clients},"method":"x"}}"#);
            let mut answer = session.send("POST", &[], &request);
            assert_eq!(answer.hear().message()["method"], "x", "{config}");
            let response = format!(r#"{{"jsonrpc":"2.0","id":{servers},"result":{{}}}}"#);
            assert_eq!(session.send("POST", &[], &response).status, 202);
            assert_eq!(answer.hear().data, format!(r#"{{"jsonrpc":"2.0","id":{clients},"result":{{}}}}"#));
        }
    }
}

#[test]
fn a_server_at_a_url_is_understood_in_whatever_spelling() {
    let server = server(|asked, stream| {
        let respelt = match asked.message["id"].as_u64() {
            Some(1) => json!("1"),
            Some(2) => json!(2.0),
            _ => return false,
        };
        let answer_with = json!({ "jsonrpc": "2.0", "id": respelt, "result": text("hi") });
        if asked.message["id"] == 1 {
            answer(stream, "200 OK", "", &answer_with);
        } else {
            events(stream);
            event(stream, "", &answer_with);
            end(stream);
        }
        true
    });
    let place = Place::new();
    let mut session = session(&place, &server.url, &[]);
    shake_hands(&mut session);
    for id in [1, 2] {
        session.say(&call(id, "t"));
        let line = String::from_utf8(session.line()).unwrap();
        assert!(line.contains(&format!("\"id\":{id},")), "{line}");
    }
}

/// A server on stdio that answers the requests that are not notifications with these lines, one after the other.
fn scripted(lines: &[String]) -> Vec<String> {
    let mut script = String::new();
    for (n, line) in lines.iter().enumerate() {
        // `initialized` comes behind the first.
        script.push_str(if n == 1 { "read l; read l; " } else { "read l; " });
        script.extend(["printf '%s\\n' '", line, "'; "]);
    }
    script.push_str("read l");
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

fn result(id: &str, result: &Value) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

#[test]
fn tools_and_call_take_what_other_clients_take() {
    let place = Place::new();
    let hello =
        json!({ "protocolVersion": VERSION, "capabilities": {}, "serverInfo": { "name": "s", "version": "1" } });
    let tools = |next: Option<Value>| {
        let mut page = json!({ "tools": [{ "name": "x", "inputSchema": { "type": "object" } }] });
        if let Some(next) = next {
            page["nextCursor"] = next;
        }
        page
    };
    let run = |verb: &[&str], lines: &[String]| {
        let server = scripted(lines);
        place.run(verb.iter().copied().chain(["--"]).chain(server.iter().map(String::as_str)))
    };
    let cases = [
        ("ids as texts", result("\"1\"", &hello), result("\"2\"", &tools(None)), result("\"3\"", &text("ok"))),
        ("ids as floats", result("1.0", &hello), result("2.0", &tools(None)), result("3.0", &text("ok"))),
        ("no next cursor", result("1", &hello), result("2", &tools(Some(json!(null)))), result("3", &text("ok"))),
        ("an empty cursor", result("1", &hello), result("2", &tools(Some(json!("")))), result("3", &text("ok"))),
        (
            "no error",
            result("1", &hello).replace("}}", "},\"error\":null}"),
            format!(r#"{{"id":2,"error":null,"result":{}}}"#, tools(None)),
            format!(r#"{{"id":3,"error":null,"result":{}}}"#, text("ok")),
        ),
        (
            "a log of its answers",
            format!("DEBUG response: {}\n{}", result("1", &json!({})), result("1", &hello)),
            format!("--> {}\n{}", result("2", &json!({})), result("2", &tools(None))),
            format!("[12:00:01] sent {}\n{}", result("3", &json!({})), result("3", &text("ok"))),
        ),
    ];
    for (name, first, second, third) in cases {
        let listed = run(&["tools"], &[first.clone(), second.clone()]).ok();
        assert!(listed.stdout.contains('x'), "{name}: {}", listed.stdout);
        assert_eq!(run(&["call", "x"], &[first, second, third]).ok().stdout, "ok\n", "{name}");
    }
    let nameless = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#.to_owned();
    let refused = run(&["tools"], &[nameless]);
    assert!(refused.code() == 1 && refused.stderr.contains("Parse error (code -32700)"), "{}", refused.stderr);
    let text = r#"{"jsonrpc":"2.0","id":1,"error":"out of order"}"#.to_owned();
    let refused = run(&["tools"], &[text]);
    assert!(refused.code() == 1 && refused.stderr.contains("out of order"), "{}", refused.stderr);
    let around = |cursor: &str, id: u32| result(&id.to_string(), &tools(Some(json!(cursor))));
    let refused = run(&["tools"], &[result("1", &hello), around("a", 2), around("b", 3), around("a", 4)]);
    assert!(refused.code() == 1 && refused.stderr.contains("again and again"), "{}", refused.stderr);
}

#[test]
fn events_that_are_no_messages_are_passed_over() {
    let server = server(|asked, stream| {
        if asked.what() != "tools/call" {
            return false;
        }
        events(stream);
        for stray in ["ping", "{}", "[DONE]", "{\"type\":\"ping\"}", "[1, {}]", "null"] {
            piece(stream, format!("data: {stray}\n\n").as_bytes());
        }
        if asked.message["id"] == 1 {
            event(stream, "event: message\n", &asked.result(&text("hi")));
        }
        end(stream);
        true
    });
    let place = Place::new();
    let mut session = session(&place, &server.url, &[]);
    shake_hands(&mut session);
    session.say(&call(1, "t"));
    assert_eq!(session.hear(), json!({ "jsonrpc": "2.0", "id": 1, "result": text("hi") }));
    session.say(&call(2, "t"));
    let error = session.hear()["error"]["message"].to_string();
    assert!(error.contains("the stream ended, after something that is no JSON-RPC message"), "{error}");
    let (status, rest, stderr) = session.end();
    assert!(status.success() && rest.is_empty(), "{status} {rest:?}");
    assert!(
        stderr.contains("something that is not valid JSON") && stderr.contains("`ping`; it is passed over (said once)"),
        "{stderr}"
    );
}

#[test]
fn a_refused_initialize_is_answered_though_a_get_never_is() {
    let provider = Provider::start(|request, stream, _| {
        if request.line.starts_with("GET") {
            return wait_for_hangup(stream);
        }
        respond(stream, "400 Bad Request", "content-type: text/plain\r\n", b"missing tenant header");
    });
    let place = Place::new();
    let mut session = session(&place, &provider.url, &[]);
    let refused = shake_hands(&mut session);
    assert!(refused["error"]["message"].to_string().contains("missing tenant header"), "{refused}");
}

#[test]
fn a_session_that_is_gone_is_begun_again_in_whatever_form_the_server_says_so() {
    let gone = [
        ("401 Unauthorized", "text/plain", "Unauthorized: Session not found"),
        ("400 Bad Request", "text/plain", "invalid session id"),
        ("400 Bad Request", "application/json", r#"{"error":"Unknown session"}"#),
        (
            "400 Bad Request",
            "application/json",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#,
        ),
        (
            "200 OK",
            "application/json",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Session expired"}}"#,
        ),
        ("410 Gone", "text/plain", ""),
    ];
    let place = Place::new();
    for (status, kind, body) in gone {
        let server = server(move |asked, stream| match (asked.what(), asked.header("mcp-session-id")) {
            ("tools/call", "s2") => {
                answer(stream, "200 OK", "", &asked.result(&text("again")));
                true
            }
            ("tools/call", _) => {
                respond(stream, status, &format!("content-type: {kind}\r\n"), body.as_bytes());
                true
            }
            _ => false,
        });
        let mut session = session(&place, &server.url, &[]);
        shake_hands(&mut session);
        session.say(&call(1, "t"));
        assert_eq!(session.hear()["result"], text("again"), "{status} {body}");
    }
}

fn is_gone(pid: Option<Pid>) -> bool {
    pid.is_none_or(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        test_kill_process(pid).is_err() || stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
    })
}

fn wait_for_end(pid: Option<Pid>) {
    let began = Instant::now();
    while !is_gone(pid) {
        assert!(began.elapsed() < PATIENCE, "it lives on");
        thread::yield_now();
    }
}

fn pid_of(line: &[u8]) -> Option<Pid> {
    Pid::from_raw(String::from_utf8_lossy(line).trim().parse().unwrap_or_else(|e| panic!("{e}: {line:?}")))
}

#[test]
fn a_launcher_may_end_and_its_server_goes_on() {
    let place = Place::new();
    let script = "exec 3<&0; cat <&3 & echo $$; exit 0";
    let mut session = Session::start(&place, &["--plugin", "echo"], &["bash", "-c", script]);
    let launcher = pid_of(&session.line());
    wait_for_end(launcher);
    // For longer than anything waits for the output of what has ended.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        session.say(&json!({ "id": 1, "method": "ping" }));
        assert_eq!(session.hear()["method"], "ping");
    }
    session.say(&sampling(2, "hello"));
    assert_eq!(session.hear()["result"]["content"]["text"], "hello");
    let (status, rest, stderr) = session.end();
    assert!(status.success() && rest.is_empty(), "{status} {rest:?}");
    assert!(stderr.contains("that is the server now"), "{stderr}");
}

#[test]
fn what_a_server_started_ends_with_its_session_however_that_ends() {
    let place = Place::new();
    // It holds the server's stdout, or nothing of it.
    for stdout in ["", ">/dev/null"] {
        let script = format!("sleep 1000 </dev/null {stdout} 2>/dev/null & echo $!; while read l; do :; done");
        let mut session = Session::start(&place, &["--plugin", "echo"], &["bash", "-c", &script]);
        let left = pid_of(&session.line());
        let (status, ..) = session.end();
        assert!(status.success(), "{status}");
        wait_for_end(left);
    }
    let file = place.path().join("left");
    let script = format!("sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >'{}'; exec cat", file.display());
    let config = json!({ "mcpServers": { "cat": { "command": "bash", "args": ["-c", script] } } });
    let served = Served::start(&place, &config);
    let session = served.session("2025-06-18");
    let left = pid_of(&std::fs::read(&file).unwrap());
    assert!(!is_gone(left));
    assert_eq!(session.send("DELETE", &[], "").status, 204);
    wait_for_end(left);
}

/// The answer to a call that is answered so.
fn called(
    place: &Place,
    args: &[&str],
    act: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static,
) -> (Value, String) {
    let server = server(move |asked, stream| {
        let is_call = asked.what() == "tools/call";
        if is_call {
            act(asked, stream);
        }
        is_call
    });
    let mut session = session(place, &server.url, args);
    shake_hands(&mut session);
    session.say(&call(1, "t"));
    let heard = session.hear();
    let (status, rest, stderr) = session.end();
    assert!(status.success() && rest.is_empty(), "{status} {rest:?} {stderr}");
    (heard, stderr)
}

/// `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"unpacked"}]}}`, the same in an event, and one with 2 MiB of spaces.
const GZIP: &str = "H4sIAAAAAAACA6tWyirOzysqSFayUjLSM1DSUcpMUbIy1FEqSi0uzSlRsqpWSs7PK0nNAzKjq5VKKgtSgSpLUitKgErBlJVSaV5BYnJ2aopSbWxtLQBfpwDzUQAAAA==";
const GZIP_EVENT: &str = "H4sIAAAAAAACAx3LSwqAIBRG4bmriH8cUQ3vVqKB6CV6meg1CnHvSaMz+Q7f7ISak2PUCyurRVOTscXLBW9AGLseLVYLGloEjukQUIa5nNQTNGXI67lK4Ucq/UNIzmuzs0WZS1HqA/CjvURoAAAA";
const GZIP_BOMB: &str = "H4sIAAAAAAACA+3JsQmDUAAFwFXCq0WSlH8dTREJKl8FQdw9bmFz196RYZnGOncpebfPNPn2Ka8m9bNsvzXlyH7VAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAOBmOc8/ZhOC+yoAIAA=";

#[test]
fn bodies_are_decoded_as_other_clients_do() {
    let place = Place::new();
    let coded = |headers: &'static str, body: Vec<u8>| {
        called(&place, &[], move |_, stream| respond(stream, "200 OK", headers, &body)).0
    };
    let json = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
    let stream = "content-type: text/event-stream\r\ncontent-encoding: x-gzip\r\n";
    assert_eq!(coded(json, STANDARD.decode(GZIP).unwrap())["result"], text("unpacked"));
    assert_eq!(coded(stream, STANDARD.decode(GZIP_EVENT).unwrap())["result"], text("unpacked"));
    let marked = "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}".as_bytes().to_vec();
    assert_eq!(coded("content-type: application/json\r\n", marked)["result"], json!({}));
    let other = coded("content-type: application/json\r\ncontent-encoding: br\r\n", b"\x0b\x02\x80{}\x03".to_vec());
    assert!(other["error"]["message"].to_string().contains("`Content-Encoding: br`"), "{other}");
    let config = place.file("small.json", r#"{"limits": {"line": "64 KiB"}}"#);
    let (bomb, _) = called(&place, &["--config", &config.to_string_lossy()], move |_, stream| {
        respond(stream, "200 OK", json, &STANDARD.decode(GZIP_BOMB).unwrap());
    });
    assert!(bomb["error"]["message"].to_string().contains("`limits.line`"), "{bomb}");
}

#[test]
fn an_answer_in_an_array_is_one_and_an_error_in_words_is_one() {
    let place = Place::new();
    let (heard, _) = called(&place, &[], |asked, stream| {
        answer(stream, "200 OK", "", &json!([asked.result(&text("hi"))]));
    });
    assert_eq!(heard, json!({ "jsonrpc": "2.0", "id": 1, "result": text("hi") }));
    let (heard, _) = called(&place, &[], |asked, stream| {
        events(stream);
        event(stream, "", &json!([asked.result(&text("hi"))]));
        end(stream);
    });
    assert_eq!(heard, json!({ "jsonrpc": "2.0", "id": 1, "result": text("hi") }));
    let (heard, _) = called(&place, &[], |_, stream| {
        respond(stream, "200 OK", "content-type: application/json\r\n", br#"{"error":"quota exceeded"}"#);
    });
    assert_eq!(heard["id"], 1);
    assert_eq!((&heard["error"]["code"], &heard["error"]["message"]), (&json!(-32603), &json!("quota exceeded")));
}

#[test]
fn an_answer_may_come_on_the_sessions_own_stream() {
    for accepts in [true, false] {
        let (to_test, opened) = mpsc::channel::<TcpStream>();
        let (to_test, stream_of_session) = (Mutex::new(to_test), Arc::new(Mutex::new(None::<TcpStream>)));
        let kept = Arc::clone(&stream_of_session);
        let server = server(move |asked, stream| match asked.what() {
            "GET" => {
                events(stream);
                *kept.lock().unwrap() = stream.try_clone().ok();
                // The test may have ended.
                let _ = to_test.lock().unwrap().send(stream.try_clone().unwrap());
                wait_for_hangup(stream);
                true
            }
            "tools/call" => {
                if accepts {
                    respond(stream, "202 Accepted", "", b"");
                } else {
                    events(stream);
                    end(stream);
                }
                let mut own = kept.lock().unwrap().take().unwrap();
                event(&mut own, "", &asked.result(&text("over there")));
                true
            }
            _ => false,
        });
        let place = Place::new();
        let mut session = session(&place, &server.url, &[]);
        shake_hands(&mut session);
        let _stream = opened.recv_timeout(PATIENCE).unwrap();
        // What is on the stream has been read once this has been.
        session.say(&json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" }));
        assert_eq!(session.hear()["id"], "p");
        session.say(&call(1, "t"));
        assert_eq!(session.hear(), json!({ "jsonrpc": "2.0", "id": 1, "result": text("over there") }), "{accepts}");
    }
}

#[test]
fn where_there_is_no_other_stream_nobody_waits_for_an_answer_on_it() {
    let place = Place::new();
    let (heard, _) = called(&place, &[], |_, stream| respond(stream, "202 Accepted", "", b""));
    assert!(heard["error"]["message"].to_string().contains("as if it were a notification"), "{heard}");
    let (heard, _) = called(&place, &[], |_, stream| {
        events(stream);
        end(stream);
    });
    assert!(heard["error"]["message"].to_string().contains("the stream ended"), "{heard}");
}

#[tokio::test]
async fn a_log_that_quotes_a_sampling_request_is_none() {
    let mut relayed = greeted(Mode::Fallback, &json!({})).await;
    for (n, before) in ["DEBUG -> ", "[12:00:01] sending ", "\u{1b}[32minfo\u{1b}[0m ", "<-- "].into_iter().enumerate()
    {
        let request = sampling(n, "hello");
        relayed.server.say_line(&format!("{before}{request}")).await;
        relayed.server.say(&request).await;
        let heard = relayed.server.hear().await;
        assert_eq!((&heard["id"], &heard["result"]["content"]["text"]), (&json!(n), &json!("hello")), "{before}");
    }
    // None of it has gone to the client.
    relayed.server.say(&json!({ "method": "notifications/message" })).await;
    assert_eq!(relayed.client.hear().await["method"], "notifications/message");
}

#[test]
fn serve_takes_no_line_of_a_log_for_an_answer() {
    let place = Place::new();
    let hello = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18"}}"#;
    let script =
        format!("read l; printf '%s\\n' 'DEBUG response: {}' '{hello}'; read l", hello.replace("2025", "1999"));
    let served = Served::start(&place, &json!({ "mcpServers": { "s": { "command": "sh", "args": ["-c", script] } } }));
    let answer = served.send("POST", "/s/mcp", &[], &initialize("2025-06-18").to_string());
    assert_eq!(answer.json()["result"]["protocolVersion"], "2025-06-18");
}

fn as_task(id: &str) -> Value {
    let mut request = sampling(id, "hello");
    request["params"]["task"] = json!({ "ttl": 60_000 });
    request
}

#[tokio::test]
async fn a_client_with_tasks_of_its_own_is_stood_in_for_with_tasks() {
    let requests = json!({ "sampling": { "createMessage": {} }, "elicitation": { "create": {} } });
    let capabilities = json!({ "sampling": {}, "tasks": { "list": {}, "cancel": {}, "requests": requests } });
    let ask = |id: &str, method: &str, task: &Value| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": { "taskId": task } });
    for mode in [Mode::Always, Mode::Fallback] {
        let mut relayed = greeted(mode, &capabilities).await;
        relayed.server.say(&as_task("s")).await;
        if mode == Mode::Fallback {
            assert_eq!(relayed.client.hear().await, as_task("s"));
            let error = json!({ "code": -32601, "message": "Method not found" });
            relayed.client.say(&json!({ "jsonrpc": "2.0", "id": "s", "error": error })).await;
        }
        let begun = relayed.server.hear().await;
        let task = &begun["result"]["task"]["taskId"];
        assert!(task.is_string(), "{mode:?}: {begun}");
        relayed.server.say(&ask("r", "tasks/result", task)).await;
        let result = relayed.server.hear().await;
        assert_eq!((&result["id"], &result["result"]["content"]["text"]), (&json!("r"), &json!("hello")), "{result}");
        // Its own tasks are the client's.
        for own in
            [ask("g", "tasks/get", &json!("client's")), json!({ "jsonrpc": "2.0", "id": "l", "method": "tasks/list" })]
        {
            relayed.server.say(&own).await;
            assert_eq!(relayed.client.hear().await, own);
        }
    }
}

#[test]
fn a_client_that_reads_no_stderr_loses_lines_of_the_log_and_no_message() {
    let place = Place::new();
    // Each request is refused, which the log says: that is far more than a pipe holds, and than may wait.
    let request = r#"{"jsonrpc":"2.0","id":&,"method":"sampling\/createMessage","params":{"messages":[]}}"#;
    let script = format!(
        "seq 12000 | sed 's/.*/{request}/' & head -n 12000 >/dev/null; echo '{{\"method\":\"done\"}}'; exec cat >/dev/null"
    );
    let mut command = place.understudy(["proxy", "--plugin", "echo", "-v", "--", "bash", "-c", &script]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        done.send(line).unwrap();
    });
    let line = ended.recv_timeout(PATIENCE);
    if line.is_err() {
        kill(child.id());
    }
    assert_eq!(line.as_deref(), Ok("{\"method\":\"done\"}\n"), "the session waits for who reads stderr");
    drop(stdin);
    // It ends, though nobody reads it.
    let (done, ended) = mpsc::channel();
    let (id, stderr) = (child.id(), child.stderr.take());
    thread::spawn(move || done.send(child.wait()));
    let status = ended.recv_timeout(PATIENCE);
    if status.is_err() {
        kill(id);
    }
    assert!(status.unwrap().unwrap().success());
    let mut text = String::new();
    stderr.unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("invalid sampling request"), "{text:.500}");
}

#[test]
fn serve_says_how_a_server_ended() {
    let place = Place::new();
    let servers = json!({ "dies": { "command": "sh", "args": ["-c", "read l; echo why >&2; exit 3"] } });
    let served = Served::start(&place, &json!({ "mcpServers": servers }));
    let answer = served.send("POST", "/dies/mcp", &[], &initialize("2025-06-18").to_string()).json();
    let error = answer["error"]["message"].to_string();
    assert!(error.contains("exit status: 3") && error.contains("stderr"), "{error}");
}

#[test]
fn serve_answers_what_it_cannot_take() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    let session = served.session("2025-06-18");
    let refused = session.send("POST", &[], r#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#);
    assert_eq!(refused.status, 400);
    assert!(refused.json()["error"]["message"].to_string().contains("`id`"));
    // Serializers that keep `null` write this.
    let notification = r#"{"jsonrpc":"2.0","id":null,"method":"notifications/initialized"}"#;
    assert_eq!(session.send("POST", &[], notification).status, 202);
    let refused = session.send("POST", &[("content-encoding", "gzip")], "\u{1f}");
    assert_eq!((refused.status, refused.header("accept-encoding")), (415, "identity"));
    assert!(refused.json()["error"]["message"].to_string().contains("compressed"));
}
