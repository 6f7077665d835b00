//! Servers at a URL: what goes over the wire, and what becomes of each failure.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use understudy_tests::program::Place;
use understudy_tests::provider::{Provider, Request, piece, respond, wait_for_hangup};
use understudy_tests::remote::{Asked, answer, call, end, event, events, server, session, shake_hands};
use understudy_tests::session::sampling;

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers.get(name).map(String::as_str).unwrap_or_default()
}

fn message(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

/// What arrived, as `METHOD-OR-HTTP-METHOD session version`.
fn seen(server: &Provider) -> Vec<String> {
    let shown = |request: &Request| {
        let asked = Asked { http: request, message: message(request) };
        format!("{} {} {}", asked.what(), asked.header("mcp-session-id"), asked.header("mcp-protocol-version"))
    };
    server.seen().iter().map(shown).collect()
}

/// The error that a call gets; exactly one.
fn error(url: &str, args: &[&str]) -> Value {
    let place = Place::new();
    let mut session = session(&place, url, args);
    shake_hands(&mut session);
    session.say(&call(1, "t"));
    let answer = session.hear();
    assert_eq!(answer["id"], 1, "{answer}");
    let (status, rest, stderr) = session.end();
    assert!(status.success() && rest.is_empty(), "{status} {rest:?} {stderr}");
    answer["error"].clone()
}

#[test]
fn a_session_is_begun_used_and_ended_with_all_its_headers() {
    let server = server(|asked, stream| match asked.what() {
        "tools/call" => {
            events(stream);
            event(
                stream,
                "",
                &json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "big": 1.0 } }),
            );
            event(stream, "event: message\n", &asked.result(&text("hi")));
            end(stream);
            true
        }
        _ => false,
    });
    let place = Place::new();
    let mut session = session(&place, &format!("{}/mcp", server.url), &["--header", "Authorization: Bearer secret"]);
    let hello = shake_hands(&mut session);
    assert_eq!(hello["result"]["serverInfo"]["name"], "scripted");
    session.say(&call("a", "t"));
    assert_eq!(session.hear()["params"].to_string(), r#"{"big":1.0}"#);
    assert_eq!(session.hear(), json!({ "jsonrpc": "2.0", "id": "a", "result": text("hi") }));
    let (status, rest, stderr) = session.end();
    assert!(status.success() && rest.is_empty(), "{status} {rest:?} {stderr}");
    let all = seen(&server);
    let expected = [
        "initialize  ",
        "notifications/initialized s1 2025-11-25",
        "GET s1 2025-11-25",
        "tools/call s1 2025-11-25",
        "DELETE s1 2025-11-25",
    ];
    assert_eq!(all, expected);
    for request in server.seen() {
        assert!(request.line.contains(" /mcp "), "{request:?}");
        assert_eq!(header(&request, "authorization"), "Bearer secret");
        if request.line.starts_with("POST") {
            assert_eq!(header(&request, "accept"), "application/json, text/event-stream");
        }
    }
}

#[test]
fn a_session_is_ended_though_its_connection_has_gone() {
    let refusals = std::sync::atomic::AtomicUsize::new(1);
    let server = server(move |asked, _| {
        // Hangs up on the first one.
        asked.what() == "DELETE" && refusals.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1
    });
    let place = Place::new();
    let mut session = session(&place, &format!("{}/mcp", server.url), &[]);
    let _ = shake_hands(&mut session);
    let (status, _, stderr) = session.end();
    assert!(status.success(), "{status} {stderr}");
    let ended = seen(&server).into_iter().filter(|what| what.starts_with("DELETE"));
    assert_eq!(ended.count(), 2);
}

#[test]
fn a_client_that_says_all_at_once_is_told_all_in_order() {
    let server = server(|asked, stream| match asked.what() {
        "tools/call" => {
            answer(stream, "200 OK", "", &asked.result(&text(asked.header("mcp-session-id"))));
            true
        }
        _ => false,
    });
    let place = Place::new();
    let mut session = session(&place, &server.url, &[]);
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": { "protocolVersion": "2025-06-18", "capabilities": {} } });
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    session.say_bytes(format!("{hello}\n{initialized}\n{}\n", call(1, "t")).as_bytes());
    let (status, rest, stderr) = session.end();
    assert!(status.success(), "{status} {stderr}");
    let answers: Vec<Value> = rest.iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(answers[0]["id"], 0, "{stderr}");
    assert_eq!(answers[1]["result"], text("s1"));
    assert_eq!(seen(&server).last().unwrap(), "DELETE s1 2025-06-18");
}

/// A server that asks, on the call's own stream or on that of the session, and answers the call with what it was told.
fn asking(on_own_stream: bool) -> Provider {
    let (tell, told) = mpsc::channel::<Value>();
    let (tell, told) = (Mutex::new(tell), Mutex::new(told));
    let (ask, asked_for) = mpsc::channel::<()>();
    let (ask, asked_for) = (Mutex::new(ask), Mutex::new(asked_for));
    server(move |asked, stream| {
        match asked.what() {
            "GET" if on_own_stream => {
                events(stream);
                while asked_for.lock().unwrap().recv().is_ok() {
                    event(stream, "", &sampling(0, "what?"));
                }
            }
            "tools/call" => {
                events(stream);
                if on_own_stream {
                    ask.lock().unwrap().send(()).unwrap();
                } else {
                    event(stream, "", &sampling(0, "what?"));
                }
                let response = told.lock().unwrap().recv().unwrap();
                event(stream, "", &asked.result(&text(response["result"]["content"]["text"].as_str().unwrap())));
                end(stream);
            }
            "response" => {
                assert_eq!(asked.header("mcp-session-id"), "s1");
                respond(stream, "202 Accepted", "", b"");
                tell.lock().unwrap().send(asked.message.clone()).unwrap();
            }
            _ => return false,
        }
        true
    })
}

#[test]
fn what_a_server_asks_is_answered_whichever_stream_it_comes_on() {
    for on_own_stream in [false, true] {
        let server = asking(on_own_stream);
        let place = Place::new();
        let mut session = session(&place, &server.url, &["--plugin", "echo"]);
        shake_hands(&mut session);
        session.say(&call(1, "t"));
        let answer = session.hear();
        assert!(answer["result"].to_string().contains("what?"), "{answer}");
        drop(session);
    }
}

#[test]
fn an_answer_is_sent_again_when_its_connection_is_cut() {
    let cut = AtomicUsize::new(0);
    let (tell, told) = mpsc::channel::<Value>();
    let (tell, told) = (Mutex::new(tell), Mutex::new(told));
    let server = server(move |asked, stream| {
        match asked.what() {
            "tools/call" => {
                events(stream);
                event(stream, "", &sampling(0, "what?"));
                let response = told.lock().unwrap().recv().unwrap();
                event(stream, "", &asked.result(&response["result"]));
                end(stream);
            }
            "response" if cut.fetch_add(1, Ordering::SeqCst) < 2 => {}
            "response" => {
                respond(stream, "202 Accepted", "", b"");
                tell.lock().unwrap().send(asked.message.clone()).unwrap();
            }
            _ => return false,
        }
        true
    });
    let place = Place::new();
    let mut session = session(&place, &server.url, &["--plugin", "echo"]);
    shake_hands(&mut session);
    session.say(&call(1, "t"));
    let answer = session.hear();
    assert!(answer["result"].to_string().contains("what?"), "{answer}");
}

/// A server whose stream for a call breaks; with ids, and then as `resume` says.
fn breaking(with_ids: bool, resume: impl Fn(usize, &Value, &mut TcpStream) + Send + Sync + 'static) -> Provider {
    let (id, resumed) = (Mutex::new(Value::Null), AtomicUsize::new(0));
    server(move |asked, stream| {
        match asked.what() {
            "tools/call" if asked.message["params"]["name"] == "breaks" => {
                *id.lock().unwrap() = asked.message["id"].clone();
                events(stream);
                if with_ids {
                    piece(stream, b"id: e1\nretry: 50\ndata:\n\n");
                }
                let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} });
                event(stream, if with_ids { "id: e2\n" } else { "" }, &progress);
            }
            "tools/call" => answer(stream, "200 OK", "", &asked.result(&text("fine"))),
            "GET" if asked.header("last-event-id") == "e2" => {
                resume(resumed.fetch_add(1, Ordering::SeqCst), &id.lock().unwrap(), stream);
            }
            _ => return false,
        }
        true
    })
}

/// Calls the tool that breaks and then another; what comes of the first.
fn broken(server: &Provider) -> Value {
    let place = Place::new();
    let mut session = session(&place, &server.url, &[]);
    shake_hands(&mut session);
    session.say(&call(1, "breaks"));
    assert_eq!(session.hear()["method"], "notifications/progress");
    let first = session.hear();
    session.say(&call(2, "t"));
    assert_eq!(session.hear()["result"], text("fine"));
    let (status, rest, stderr) = session.end();
    assert!(status.success() && rest.is_empty(), "{status} {rest:?} {stderr}");
    first
}

#[test]
fn a_stream_that_breaks_fails_its_call_alone() {
    let server = breaking(false, |_, _, _| panic!("there is nothing to go on with"));
    let first = broken(&server);
    assert_eq!((&first["id"], &first["error"]["code"]), (&json!(1), &json!(-32603)), "{first}");
    assert!(first["error"]["message"].as_str().unwrap().contains("broke its answer off"), "{first}");
}

#[test]
fn a_stream_that_breaks_is_gone_on_with_where_it_broke() {
    let began = Mutex::new(None::<Instant>);
    let server = breaking(true, move |attempt, id, stream| match attempt {
        // Not at hand, then broken again, then here.
        0 => {
            *began.lock().unwrap() = Some(Instant::now());
            respond(stream, "503 Service Unavailable", "", b"");
        }
        1 => {
            assert!(began.lock().unwrap().unwrap().elapsed() >= Duration::from_millis(50));
            events(stream);
        }
        2 => {
            events(stream);
            event(stream, "id: e3\n", &json!({ "jsonrpc": "2.0", "id": id, "result": text("late") }));
            event(stream, "id: e4\n", &json!({ "jsonrpc": "2.0", "id": id, "result": text("twice") }));
            end(stream);
        }
        _ => panic!("it is answered"),
    });
    assert_eq!(broken(&server)["result"], text("late"));
}

#[test]
fn a_stream_that_cannot_be_gone_on_with_fails_its_call() {
    for status in ["404 Not Found", "405 Method Not Allowed", "200 OK"] {
        let server =
            breaking(true, move |_, _, stream| respond(stream, status, "content-type: text/event-stream\r\n", b""));
        let first = broken(&server);
        assert_eq!((&first["id"], &first["error"]["code"]), (&json!(1), &json!(-32603)), "{status} {first}");
    }
}

#[test]
fn a_session_that_the_server_forgot_is_begun_again_once() {
    let forgets = AtomicUsize::new(0);
    let server = server(move |asked, stream| {
        match asked.what() {
            "tools/call" if asked.header("mcp-session-id") == "s1" => {
                // The two usual ways to say it.
                if forgets.fetch_add(1, Ordering::SeqCst) == 0 {
                    respond(stream, "404 Not Found", "", b"");
                } else {
                    let error = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": "Bad Request: No valid session ID provided" } });
                    answer(stream, "400 Bad Request", "", &error);
                }
            }
            "tools/call" if asked.message["params"]["name"] == "never" => respond(stream, "404 Not Found", "", b""),
            "tools/call" => answer(stream, "200 OK", "", &asked.result(&text(asked.header("mcp-session-id")))),
            _ => return false,
        }
        true
    });
    let place = Place::new();
    let mut session = session(&place, &server.url, &[]);
    shake_hands(&mut session);
    session.say_bytes(format!("{}\n{}\n", call(1, "t"), call(2, "t")).as_bytes());
    let mut answers = [session.hear(), session.hear()];
    answers.sort_by_key(|answer| answer["id"].as_i64());
    assert_eq!(answers.map(|answer| answer["result"].clone()), [text("s2"), text("s2")]);
    let initializes = seen(&server).iter().filter(|line| line.starts_with("initialize")).count();
    assert_eq!(initializes, 2, "{:?}", seen(&server));
    session.say(&call(3, "never"));
    let answer = session.hear();
    assert!(answer["error"]["message"].as_str().unwrap().contains("has forgotten the session"), "{answer}");
    assert!(seen(&server).iter().any(|line| line == "notifications/initialized s2 2025-11-25"));
}

#[test]
fn each_failure_is_one_error_that_names_its_cause_and_remedy() {
    type Reply = Box<dyn Fn(&Asked, &mut TcpStream) + Send + Sync>;
    let with = |status: &'static str, headers: &'static str, body: &'static str| -> Reply {
        Box::new(move |_, stream| respond(stream, status, headers, body.as_bytes()))
    };
    let json = "content-type: application/json\r\n";
    let cases: Vec<(Reply, &str)> = vec![
        (with("401 Unauthorized", "", ""), "--header"),
        (with("403 Forbidden", "", "not\nyou"), "`not`"),
        (with("500 Internal Server Error", "", "\n  Tra\u{1b}ce\nback"), "HTTP 500 Internal Server Error: `Tra ce`"),
        (
            with("302 Found", "location: https://elsewhere.example/x?token=1\r\n", ""),
            "`https://elsewhere.example/x` (HTTP 302",
        ),
        (with("307 Temporary Redirect", "location: /again\r\n", ""), "without end"),
        (with("200 OK", "content-type: text/html\r\n", "<p>"), "answers with `text/html`"),
        (with("200 OK", json, "{\"id\":1,"), "not valid JSON"),
        (with("200 OK", json, ""), "answers with nothing"),
        (with("200 OK", json, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}"), "something else"),
        (with("202 Accepted", "", ""), "as if it were a notification"),
        (with("200 OK", "content-type: text/event-stream\r\n", "data: {\n\n"), "not valid JSON"),
        (with("200 OK", "content-type: text/event-stream\r\n", "data: \u{fffd}\n\n"), "not valid JSON"),
        (Box::new(|_, _| {}), "broke the connection off before it answered"),
        (
            Box::new(|asked, stream| answer(stream, "200 OK", "", &asked.result(&text(&"x".repeat(5000))))),
            "longer than `limits.line` allows (4000 bytes)",
        ),
        (
            Box::new(|asked, stream| {
                events(stream);
                for _ in 0..6 {
                    piece(stream, format!("data: {}\n", "x".repeat(5000)).as_bytes());
                }
                event(stream, "", &asked.result(&json!({})));
            }),
            "longer than `limits.line` allows (4000 bytes)",
        ),
    ];
    let config = Place::new();
    let config = config.file("understudy.json", r#"{"limits": {"line": "4 kB"}}"#);
    let config = config.to_string_lossy();
    for (reply, expected) in cases {
        let server = server(move |asked, stream| {
            let ours = asked.what() == "tools/call";
            if ours {
                reply(asked, stream);
            }
            ours
        });
        let error = error(&server.url, &["--config", &config]);
        assert_eq!(error["code"], -32603, "{error}");
        assert!(error["message"].as_str().unwrap().contains(expected), "{expected}: {error}");
    }
}

#[test]
fn the_servers_own_error_is_the_answer_whatever_the_status() {
    let server = server(|asked, stream| {
        let error = json!({ "jsonrpc": "2.0", "id": "server-error", "error": { "code": -32600, "message": "no", "data": [1.0] } });
        let ours = asked.what() == "tools/call";
        if ours {
            answer(stream, "400 Bad Request", "", &error);
        }
        ours
    });
    let error = error(&server.url, &[]);
    assert_eq!(error.to_string(), r#"{"code":-32600,"message":"no","data":[1.0]}"#);
}

#[test]
fn a_server_that_is_not_there_is_an_error_for_each_request_and_no_end() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    drop(listener);
    let mut session = session(&place, &url, &[]);
    for id in 0..2 {
        session.say(&json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": { "protocolVersion": "2025-11-25", "capabilities": {} } }));
        let answer = session.hear();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(id), &json!(-32603)));
        let text = answer["error"]["message"].as_str().unwrap().to_owned();
        assert!(text.contains("nothing listens there") && text.contains(&url), "{text}");
    }
    assert!(session.end().0.success());
}

#[test]
fn a_redirect_within_the_server_is_followed_with_everything() {
    let server = server(|asked, stream| {
        let moved = asked.http.line.contains(" /mcp ");
        if moved {
            respond(stream, "307 Temporary Redirect", "location: /mcp/\r\n", b"");
        } else if asked.what() == "tools/call" {
            answer(stream, "200 OK", "", &asked.result(&text(asked.header("x-key"))));
            return true;
        }
        moved
    });
    let place = Place::new();
    let mut session = session(&place, &format!("{}/mcp", server.url), &["--header", "X-Key: k"]);
    shake_hands(&mut session);
    session.say(&call(1, "t"));
    assert_eq!(session.hear()["result"], text("k"));
}

#[test]
fn a_header_without_a_url_and_a_url_that_is_none_are_wrong_usage() {
    let place = Place::new();
    let run = place.run(["tools", "--header", "A: b", "--", "cat"]);
    assert_eq!(run.code(), 2, "{}", run.stderr);
    assert!(run.stderr.contains("this one is a command"), "{}", run.stderr);
    for (args, expected) in [
        (vec!["tools", "--url", "ftp://x"], "only `http:` and `https:` are spoken"),
        (vec!["tools", "--url", "nowhere"], "is not a URL"),
        (vec!["tools", "--url", "http://x", "--header", "Content-Length: 5"], "is set by the protocol"),
        (vec!["tools", "--url", "http://x", "--header", "nothing"], "Name: value"),
    ] {
        let run = place.run(args);
        assert_eq!(run.code(), 2, "{}", run.stderr);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
}

#[test]
fn the_config_names_a_url_and_its_headers() {
    let server = server(|asked, stream| {
        let ours = asked.what() == "tools/list";
        if ours {
            let tool = json!({ "name": asked.header("x-key"), "inputSchema": { "type": "object" } });
            answer(stream, "200 OK", "", &asked.result(&json!({ "tools": [tool] })));
        }
        ours
    });
    let place = Place::new();
    let headers = json!({ "X-Key": "${KEY}" });
    let config = json!({ "mcpServers": { "far": { "type": "http", "url": server.url, "headers": headers } } });
    let _ = place.file("understudy.json", config.to_string());
    let mut command = place.understudy(["tools", "--server", "far"]);
    command.env("KEY", "from-the-environment");
    let run = understudy_tests::program::run(command, "").ok();
    assert!(run.stdout.contains("from-the-environment"), "{}", run.stdout);
    assert_eq!(seen(&server).last().unwrap(), "DELETE s1 2025-11-25");
}

fn modern(id: impl Into<Value>, method: &str, mut params: Value) -> Value {
    let id: Value = id.into();
    params["_meta"] = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} });
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[test]
fn a_modern_request_says_in_headers_what_is_in_it() {
    let schema =
        json!({ "type": "object", "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } });
    let server = server(move |asked, stream| {
        let mismatch = json!({ "jsonrpc": "2.0", "id": asked.message["id"], "error": { "code": -32020, "message": "Header mismatch" } });
        match asked.what() {
            "tools/list" => {
                let tools = json!([{ "name": "t", "inputSchema": schema }]);
                answer(stream, "200 OK", "", &asked.result(&json!({ "resultType": "complete", "tools": tools })));
            }
            "tools/call" if asked.header("mcp-param-region").is_empty() => {
                answer(stream, "400 Bad Request", "", &mismatch);
            }
            "tools/call" => answer(stream, "200 OK", "", &asked.result(&text(asked.header("mcp-param-region")))),
            "server/discover" => {
                let error = json!({ "code": -32022, "message": "no", "data": { "supported": ["2099-01-01"] } });
                let error = json!({ "jsonrpc": "2.0", "id": asked.message["id"], "error": error });
                answer(stream, "400 Bad Request", "", &error);
            }
            _ => return false,
        }
        true
    });
    let place = Place::new();
    let mut session = session(&place, &server.url, &[]);
    session.say(&modern("d", "server/discover", json!({})));
    assert_eq!(session.hear()["error"]["data"]["supported"][0], "2099-01-01");
    // It hasn't listed the tools, and yet the argument has its header.
    session.say(&modern(1, "tools/call", json!({ "name": "t", "arguments": { "region": "süd" } })));
    let answer = session.hear();
    assert_eq!((&answer["id"], &answer["result"]), (&json!(1), &text("=?base64?c8O8ZA==?=")), "{answer}");
    session.say(&modern(2, "tools/call", json!({ "name": "t", "arguments": { "region": "west" } })));
    assert_eq!(session.hear()["result"], text("west"));
    let (status, rest, stderr) = session.end();
    assert!(status.success() && rest.is_empty(), "{status} {rest:?} {stderr}");
    for request in server.seen() {
        let said = message(&request);
        assert_eq!(header(&request, "mcp-protocol-version"), "2026-07-28", "{request:?}");
        assert_eq!(header(&request, "mcp-method"), said["method"]);
        let name = if said["method"] == "tools/call" { "t" } else { "" };
        assert_eq!((header(&request, "mcp-name"), header(&request, "mcp-session-id")), (name, ""));
    }
    // Once without the header, once with it, and the second call with it at once: no session, so none is ended.
    let methods: Vec<String> = server.seen().iter().map(|request| message(request)["method"].to_string()).collect();
    assert_eq!(methods.join(" "), r#""server/discover" "tools/call" "tools/list" "tools/call" "tools/call""#);
}

#[test]
fn a_modern_request_is_cancelled_by_closing_its_connection() {
    let (hung_up, seen_hangup) = mpsc::channel();
    let hung_up = Mutex::new(hung_up);
    let server = server(move |asked, stream| {
        match asked.what() {
            "subscriptions/listen" => {
                events(stream);
                event(
                    stream,
                    "",
                    &json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {} }),
                );
                wait_for_hangup(stream);
                hung_up.lock().unwrap().send(()).unwrap();
            }
            "tools/list" => answer(stream, "200 OK", "", &asked.result(&json!({ "tools": [] }))),
            _ => return false,
        }
        true
    });
    let place = Place::new();
    let mut session = session(&place, &server.url, &[]);
    session.say(&modern("sub", "subscriptions/listen", json!({ "notifications": {} })));
    assert_eq!(session.hear()["method"], "notifications/subscriptions/acknowledged");
    session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "sub" } }));
    seen_hangup.recv_timeout(understudy_tests::PATIENCE).unwrap();
    session.say(&modern(2, "tools/list", json!({})));
    assert_eq!(session.hear()["id"], 2);
    assert!(!seen(&server).iter().any(|line| line.starts_with("notifications/")));
}

#[test]
fn the_old_transport_is_found_and_its_messages_stay_within_the_server() {
    for foreign in [false, true] {
        let (say, said) = mpsc::channel::<Value>();
        let (say, said) = (Mutex::new(say), Mutex::new(said));
        let elsewhere = Provider::answering("202 Accepted", "", "");
        let endpoint = if foreign { format!("{}/messages", elsewhere.url) } else { "messages?id=1".to_owned() };
        let server = server(move |asked, stream| {
            match asked.what() {
                "GET" => {
                    events(stream);
                    piece(stream, format!("event: endpoint\r\ndata: {endpoint}\r\n\r\n").as_bytes());
                    for message in said.lock().unwrap().iter() {
                        event(stream, "event: message\n", &message);
                    }
                }
                _ if asked.http.line.starts_with("POST /sse ") => respond(stream, "405 Method Not Allowed", "", b""),
                what => {
                    assert!(asked.http.line.starts_with("POST /messages?id=1 "), "{}", asked.http.line);
                    respond(stream, "202 Accepted", "", b"Accepted");
                    let result =
                        if what == "initialize" { json!({ "protocolVersion": "2024-11-05" }) } else { text("old") };
                    if asked.message.get("id").is_some() {
                        say.lock().unwrap().send(asked.result(&result)).unwrap();
                    }
                }
            }
            true
        });
        let place = Place::new();
        let mut session = session(&place, &format!("{}/sse", server.url), &["--header", "X-Key: k"]);
        let hello = shake_hands(&mut session);
        if foreign {
            assert!(hello["error"]["message"].as_str().unwrap().contains(&elsewhere.url), "{hello}");
            assert!(elsewhere.seen().is_empty());
            continue;
        }
        assert_eq!(hello["result"]["protocolVersion"], "2024-11-05");
        session.say(&call(1, "t"));
        assert_eq!(session.hear()["result"], text("old"));
        assert!(session.end().0.success());
    }
}
