//! A client that goes away leaves no server waiting, and no server that doesn't end.

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;
use serde_json::{Value, json};
use understudy_tests::program::Place;
use understudy_tests::provider::{Provider, wait_for_hangup};
use understudy_tests::remote::{call, shake_hands};
use understudy_tests::scripted::{Kind, LEGACY, Scripted};
use understudy_tests::served::{Served, initialize};
use understudy_tests::session::{Session, sampling};

/// A config with this server, whose sampling requests a provider never answers.
fn config(server: &Scripted, provider: &Provider) -> Value {
    json!({
        "mcpServers": { "s": server.entry },
        "sampling": "slow",
        "plugins": { "slow": { "component": "builtin:openai", "endpoint": provider.url, "model": "m" } },
    })
}

fn params(text: &str) -> Value {
    sampling(0, text)["params"].clone()
}

/// A session with the server in `serve`.
fn begin(served: &Served) -> understudy_tests::served::Session<'_> {
    let mut session = served.session_at("/s/mcp", "", "");
    let mut begun = session.post(&initialize("2025-11-25"));
    begun.header("mcp-session-id").clone_into(&mut session.id);
    "2025-11-25".clone_into(&mut session.version);
    let is_stream = begun.header("content-type") == "text/event-stream";
    let answer = if is_stream { begun.hear().message() } else { begun.json() };
    assert!(answer["result"].is_object(), "{answer}");
    session
}

/// That the server is told that nobody is there any more.
fn is_told(server: &Scripted, id: &Value) {
    is_gone(server.kind, &server.answer_to(id));
}

fn is_gone(kind: Kind, answer: &Value) {
    let error = &answer["error"];
    let message = error["message"].as_str().unwrap_or_default();
    assert!(error["code"] == -32603 && message.starts_with("the client is gone"), "{kind:?}: {answer}");
}

#[test]
fn what_is_pending_when_the_client_goes_is_answered_with_an_error_over_every_transport() {
    for kind in LEGACY {
        let (place, provider) = (Place::new(), Provider::start(|_, stream, _| wait_for_hangup(stream)));
        let mut server = Scripted::new(kind);
        let _ = place.file("understudy.json", config(&server, &provider).to_string());
        let mut session = Session::by_name(&place, "s", &[]);
        let _ = shake_hands(&mut session);
        session.say(&call(1, "t"));
        let called = server.hear("tools/call");
        let asked: Vec<Value> = (0..2)
            .map(|n| {
                server.ask(called.place, "sampling/createMessage", &params(&n.to_string()), Some(&called.message["id"]))
            })
            .collect();
        provider.gate().wait_for(2);
        session.end_input();
        let mut told: Vec<Value> = asked.iter().map(|_| server.hear("response").message).collect();
        told.sort_by_key(|answer| answer["id"].to_string());
        for (id, answer) in asked.iter().zip(&told) {
            assert_eq!(&answer["id"], id, "{kind:?}");
            is_gone(kind, answer);
        }
        provider.gate().wait_for_silence();
    }
}

#[test]
fn what_the_client_itself_was_asked_is_answered_when_it_goes() {
    let (place, provider) = (Place::new(), Provider::start(|_, stream, _| wait_for_hangup(stream)));
    let mut server = Scripted::new(Kind::LegacyStdio);
    let _ = place.file("understudy.json", config(&server, &provider).to_string());
    let mut session = Session::by_name(&place, "s", &[]);
    let mut begin = initialize("2025-11-25");
    begin["params"]["capabilities"] = json!({ "sampling": {} });
    session.say(&begin);
    let _ = session.hear();
    let heard = server.hear("initialize");
    let id = server.ask(heard.place, "sampling/createMessage", &params("x"), None);
    assert_eq!(session.hear()["id"], id);
    session.end_input();
    is_told(&server, &id);
    assert!(provider.seen().is_empty());
}

#[test]
fn a_client_without_a_session_leaves_no_server_with_one_waiting() {
    let (place, provider) = (Place::new(), Provider::start(|_, stream, _| wait_for_hangup(stream)));
    let mut server = Scripted::new(Kind::LegacyStdio);
    let _ = place.file("understudy.json", config(&server, &provider).to_string());
    let mut session = Session::by_name(&place, "s", &[]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut calls = call(1, "t");
    calls["params"]["_meta"] = meta;
    session.say(&calls);
    let called = server.hear("tools/call");
    let id = server.ask(called.place, "sampling/createMessage", &params("x"), None);
    provider.gate().wait_for(1);
    session.end_input();
    is_told(&server, &id);
}

#[test]
fn a_session_that_ends_in_serve_leaves_no_server_waiting() {
    for kind in LEGACY {
        let (place, provider) = (Place::new(), Provider::start(|_, stream, _| wait_for_hangup(stream)));
        let mut server = Scripted::new(kind);
        let served = Served::start(&place, &config(&server, &provider));
        let session = begin(&served);
        session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        let answer = session.post(&call(1, "t"));
        let called = server.hear("tools/call");
        let id = server.ask(called.place, "sampling/createMessage", &params("x"), Some(&called.message["id"]));
        provider.gate().wait_for(1);
        assert_eq!(session.send("DELETE", &[], "").status / 100, 2);
        is_told(&server, &id);
        drop(answer);
    }
}

#[test]
fn a_shutdown_of_serve_leaves_no_server_waiting_whose_clients_have_no_session() {
    let (place, provider) = (Place::new(), Provider::start(|_, stream, _| wait_for_hangup(stream)));
    let mut server = Scripted::new(Kind::LegacyStdio);
    let mut config = config(&server, &provider);
    config["serve"] = json!({ "shutdown": "10 ms" });
    let served = Served::start(&place, &config);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut calls = call(1, "t");
    calls["params"]["_meta"] = meta;
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "t")];
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| served.send("POST", "/s/mcp", &headers, &calls.to_string()).status);
        let called = server.hear("tools/call");
        let id = server.ask(called.place, "sampling/createMessage", &params("x"), None);
        provider.gate().wait_for(1);
        served.signal(Signal::TERM);
        is_told(&server, &id);
        assert_eq!(calling.join().unwrap_or_default(), 200);
    });
}

#[test]
fn an_error_is_a_line_of_its_own_though_the_client_was_cut_off_within_one() {
    let (place, provider) = (Place::new(), Provider::start(|_, stream, _| wait_for_hangup(stream)));
    let args = ["--plugin", "openai", "--model", "m", "--endpoint", &provider.url];
    let script = format!("echo '{}'; cat > heard", sampling("s1", "x"));
    let mut session = Session::start(&place, &args, &["sh", "-c", &script]);
    provider.gate().wait_for(1);
    session.say_bytes(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/can");
    let (status, ..) = session.end();
    assert!(status.success(), "{status}");
    let heard = std::fs::read_to_string(place.path().join("heard")).unwrap_or_default();
    let (half, error) = heard.split_once('\n').unwrap_or_default();
    assert!(half.ends_with("notifications/can"), "{heard}");
    let error: Value = serde_json::from_str(error).unwrap_or_default();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!("s1"), &json!(-32603)), "{heard}");
}

#[test]
fn a_server_that_does_not_end_at_the_end_of_its_input_is_told_to_end_and_then_killed() {
    let place = Place::new();
    let _ = place.file("understudy.json", json!({ "limits": { "shutdown": "50 ms" } }).to_string());
    for (script, by) in [
        ("echo ready; exec sleep 1000", Signal::TERM),
        ("trap '' TERM; echo ready; while :; do sleep 1000; done", Signal::KILL),
    ] {
        let mut session = Session::start(&place, &["--plugin", "echo"], &["bash", "-c", script]);
        assert_eq!(session.line(), b"ready\n");
        let (status, _, stderr) = session.end();
        let ended_by = status.signal().unwrap_or_else(|| status.code().unwrap_or_default() - 128);
        assert_eq!(ended_by, by.as_raw(), "{script}: {stderr}");
        assert!(stderr.contains("(`limits.shutdown`) of the end of its input: it gets SIGTERM"), "{stderr}");
        assert_eq!(stderr.contains("it gets SIGKILL"), by == Signal::KILL, "{stderr}");
    }
}

#[test]
fn a_server_that_takes_its_time_to_end_is_left_alone_until_then() {
    let place = Place::new();
    let script = "cat > heard; echo 'last words'; exit 3";
    let (status, lines, stderr) = Session::start(&place, &["--plugin", "echo"], &["sh", "-c", script]).end();
    assert_eq!((status.code(), lines.as_slice()), (Some(3), [b"last words\n".to_vec()].as_slice()), "{stderr}");
    assert!(!stderr.contains("SIGTERM"), "{stderr}");
}

#[test]
fn a_session_in_serve_ends_a_server_that_does_not_end() {
    let place = Place::new();
    let script = r#"trap '' TERM; read line; echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"deaf","version":"1"}}}'; while :; do sleep 1000; done"#;
    let config = json!({
        "mcpServers": { "s": { "command": "bash", "args": ["-c", script] } },
        "limits": { "shutdown": "50 ms" },
    });
    let served = Served::start(&place, &config);
    let session = begin(&served);
    assert_eq!(session.send("DELETE", &[], "").status / 100, 2);
    served.signal(Signal::TERM);
    let (status, stderr) = served.end();
    assert!(status.success(), "{stderr}");
}
