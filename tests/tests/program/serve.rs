//! `understudy serve`: who may come in, what is said to whoever may not, and how it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::program::Place;
use understudy_tests::served::{Served, initialize};

#[test]
fn each_server_has_an_endpoint_and_the_rest_says_where_they_are() {
    let place = Place::new();
    let config = json!({ "mcpServers": { "cat": { "command": "cat" }, "a b/ü": { "command": "cat" } } });
    let served = Served::start(&place, &config);
    assert_eq!(served.url("a b/ü"), format!("http://{}/a%20b%2F%C3%BC/mcp", served.address));
    for path in ["/cat/mcp", "/cat/mcp/", "/a%20b%2F%C3%BC/mcp"] {
        let answer = served.send("POST", path, &[], &initialize("2025-11-25").to_string());
        assert_eq!((answer.status, answer.header("mcp-session-id").len()), (200, 32), "{path}");
    }
    for path in ["/", "/cat", "/cat/mcp//", "/dog/mcp", "//mcp", "/mcp", "/mcp/"] {
        let answer = served.send("POST", path, &[], &initialize("2025-11-25").to_string());
        assert_eq!(answer.status, 404, "{path}");
        let error = answer.json();
        assert!(error["error"]["message"].to_string().contains("`/cat/mcp`"), "{error}");
    }
    for (path, said) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        // Whoever asks this knows no token and no name.
        let answer = served.send("GET", path, &[("host", "10.1.2.3")], "");
        assert_eq!((answer.status, answer.text().as_str()), (200, said));
    }
    let answer = served.send("PUT", "/cat/mcp", &[], "");
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, POST, DELETE, OPTIONS"));
    let only = place.understudy(["serve", "--listen", "127.0.0.1:0", "--server", "cat"]);
    assert_eq!(Served::run(only).said["endpoints"].as_object().map(serde_json::Map::len), Some(1));
}

#[test]
fn foreign_hosts_and_origins_stay_outside() {
    let place = Place::new();
    let allowed =
        json!({ "serve": { "allowedHosts": ["tools.example.com"], "allowedOrigins": ["https://app.example.com"] } });
    let served = Served::cat(&place, &allowed);
    let status = |headers: &[(&str, &str)]| {
        let answer = served.send("POST", "/cat/mcp", headers, &initialize("2025-11-25").to_string());
        (answer.status, answer.header("access-control-allow-origin").to_owned())
    };
    let own = format!("http://{}", served.address);
    assert_eq!(status(&[]), (200, String::new()));
    assert_eq!(status(&[("host", "evil.example.com")]).0, 421);
    assert_eq!(status(&[("host", "tools.example.com")]).0, 200);
    assert_eq!(status(&[("origin", "http://evil.example.com")]), (403, String::new()));
    assert_eq!(status(&[("origin", "http://localhost")]), (403, String::new()));
    assert_eq!(status(&[("origin", &own)]), (200, own.clone()));
    assert_eq!(status(&[("origin", "https://app.example.com")]), (200, "https://app.example.com".to_owned()));

    let wants = ("access-control-request-headers", "mcp-session-id, authorization");
    let answer = served.send("OPTIONS", "/cat/mcp", &[("origin", "https://app.example.com"), wants], "");
    assert_eq!((answer.status, answer.header("access-control-allow-headers")), (204, wants.1));
    assert_eq!(answer.header("access-control-expose-headers"), "mcp-session-id");
    let answer = served.send("OPTIONS", "/cat/mcp", &[("origin", "https://evil.example.com"), wants], "");
    assert_eq!((answer.status, answer.header("access-control-allow-headers")), (403, ""));
}

#[test]
fn a_token_is_wanted_of_everybody_and_no_server_learns_it() {
    let place = Place::new();
    let script = r#"read line; token=$(printenv SERVE_TOKEN || echo unset); printf '{"jsonrpc":"2.0","id":0,"result":{"token":"%s"}}\n' "$token"; cat"#;
    let config = json!({
        "mcpServers": { "s": { "command": "sh", "args": ["-c", script] } },
        "serve": { "listen": "0.0.0.0:0", "token": { "env": "SERVE_TOKEN" } },
    });
    let _ = place.file("understudy.json", config.to_string());
    let mut command = place.understudy(["serve"]);
    command.env("SERVE_TOKEN", "correct-horse");
    let mut served = Served::run(command);
    served.address.set_ip([127, 0, 0, 1].into());
    assert_eq!(served.token(), None, "it is the user's own, and said nowhere");
    let send = |headers: &[(&str, &str)]| served.send("POST", "/s/mcp", headers, &initialize("2025-11-25").to_string());
    for wrong in ["", "Bearer wrong", "Bearer correct-horse-", "Basic correct-horse"] {
        let answer = send(&[("authorization", wrong)]);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{wrong}");
        assert!(answer.text().contains("`serve.token`"));
    }
    let answer = send(&[("authorization", "Bearer correct-horse")]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["result"]["token"], "unset");
}

#[test]
fn what_is_wrong_is_said_before_anything_listens() {
    let place = Place::new();
    let refused = |config: &Value, args: &[&str]| {
        let _ = place.file("understudy.json", config.to_string());
        let run = place.run(["serve"].iter().chain(args));
        assert_eq!((run.code(), run.stdout.as_str()), (2, ""), "{config}: {}", run.stderr);
        run.stderr
    };
    let with = |serve: Value| json!({ "mcpServers": { "cat": { "command": "cat" } }, "serve": serve });
    for (config, args, said) in [
        (with(json!({"listen": "here"})), vec![], "`serve.listen` must be an IP address and a port"),
        (with(json!({})), vec!["--listen", "here"], "`--listen here` must be an IP address and a port"),
        (
            with(json!({})),
            vec!["--listen", "0.0.0.0:0"],
            "`serve.token` is missing: 0.0.0.0:0 can be reached from other machines",
        ),
        (with(json!({})), vec!["--listen", "[::]:0"], "`serve.token` is missing"),
        (
            with(json!({"token": {"env": "NOT_SET"}})),
            vec![],
            "`serve.token` is not there: set the environment variable `NOT_SET`",
        ),
        (with(json!({"token": {"file": "nowhere"}})), vec![], "`serve.token` can't be had: can't read"),
        (with(json!({"token": "secret"})), vec![], "`serve.token` must be an object"),
        (
            with(json!({"sessoins": 5})),
            vec![],
            "`serve.sessoins` is not a key of the config (did you mean `sessions`?)",
        ),
        (with(json!({})), vec!["--server", "dog"], "the config has no server `dog`"),
        (json!({}), vec![], "there is no server to serve"),
    ] {
        let stderr = refused(&config, &args);
        assert!(stderr.contains(said), "{config}: {stderr}");
    }
    let run = place.run(["serve", "--listen", "127.0.0.1:0", "--plugin", "nowhere.wasm", "--server", "cat"]);
    assert!(run.code() != 0 && run.stdout.is_empty(), "{}", run.stderr);
    let _ = place.file("understudy.json", with(json!({})).to_string());
    let served = Served::run(place.understudy(["serve", "--listen", "127.0.0.1:0"]));
    let run = place.run(["serve", "--listen", &served.address.to_string()]);
    assert!(run.code() == 1 && run.stderr.contains("is the port taken?"), "{}", run.stderr);
}

#[test]
fn bodies_that_are_no_message_are_refused_with_the_reason() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({ "limits": { "line": "1 KiB" } }));
    let long = format!("{{\"id\":1,\"method\":\"{}\"}}", "x".repeat(1024));
    for (body, status, code, said) in [
        ("", 400, -32700, "not valid JSON"),
        ("{\"id\":", 400, -32700, "not valid JSON"),
        ("{} {}", 400, -32700, "not valid JSON"),
        ("\"text\"", 400, -32600, "no JSON-RPC message"),
        ("{\"id\":null,\"result\":1}", 400, -32600, "no JSON-RPC message"),
        (long.as_str(), 413, -32600, "`limits.line` allows (1024 bytes)"),
        ("{\"method\":\"tools/list\",\"id\":7}", 400, -32600, "`initialize` begins one"),
    ] {
        let answer = served.send("POST", "/cat/mcp", &[], body);
        assert_eq!(answer.status, status, "{body}");
        let error = answer.json();
        assert_eq!(error["error"]["code"], code, "{body}: {error}");
        assert!(error["error"]["message"].to_string().contains(said), "{body}: {error}");
    }
    // A body whose length isn't said is measured as it comes.
    let chunks = format!("400\r\n{}\r\n400\r\n{}\r\n0\r\n\r\n", "x".repeat(1024), "x".repeat(1024));
    let answer = served.send("POST", "/cat/mcp", &[("content-length", ""), ("transfer-encoding", "chunked")], &chunks);
    assert_eq!(answer.status, 413);
    let answer = served.send("POST", "/cat/mcp", &[("accept", "text/html")], &initialize("2025-11-25").to_string());
    assert_eq!(answer.status, 406);
    // Not HTTP at all.
    let mut stream = TcpStream::connect(served.address).unwrap_or_else(|e| panic!("{e}"));
    let mut answer = String::new();
    let said = stream.write_all(b"\x16\x03\x01 hello\r\n\r\n").and_then(|()| stream.read_to_string(&mut answer));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer} ({said:?})");
}

#[test]
fn a_shutdown_lets_requests_finish_and_begins_nothing_new() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    let session = served.session("2025-11-25");
    let mut listening = session.listen(None);
    let mut asked = session.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "slow"}));
    assert_eq!(listening.hear().message()["method"], "slow");
    served.signal(Signal::TERM);
    let began = Instant::now();
    while served.send("GET", "/readyz", &[], "").status != 503 {
        assert!(began.elapsed() < PATIENCE, "it doesn't say that it is shutting down");
    }
    assert_eq!(served.send("GET", "/healthz", &[], "").status, 200);
    assert_eq!(served.send("POST", "/cat/mcp", &[], &initialize("2025-11-25").to_string()).status, 503);
    assert_eq!(session.post(&json!({"jsonrpc": "2.0", "id": 2, "method": "more"})).status, 503);
    session.say(&json!({"jsonrpc": "2.0", "id": 1, "result": {"late": true}}));
    assert_eq!(asked.hear().message()["result"]["late"], true);
    assert_eq!((asked.event(), listening.event()), (None, None));
    let (status, stderr) = served.end();
    assert!(status.success(), "{status}: {stderr}");
}

#[test]
fn a_shutdown_waits_only_so_long_and_a_second_signal_not_at_all() {
    let place = Place::new();
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "for ever"});
    let served = Served::cat(&place, &json!({ "serve": { "shutdown": "50 ms" } }));
    let session = served.session("2025-11-25");
    let mut asked = session.post(&request);
    assert_eq!(asked.hear().message()["method"], "for ever");
    served.signal(Signal::INT);
    let error = asked.hear().message();
    assert!(error["id"] == 1 && error["error"]["message"].to_string().contains("was shut down"), "{error}");
    let (status, stderr) = served.end();
    assert!(status.success() && stderr.contains("1 requests are still not answered"), "{status}: {stderr}");

    let served = Served::cat(&place, &json!({ "serve": { "shutdown": "1 h" } }));
    let session = served.session("2025-11-25");
    let mut asked = session.post(&request);
    assert_eq!(asked.hear().message()["method"], "for ever");
    served.signal(Signal::TERM);
    let began = Instant::now();
    while served.send("GET", "/readyz", &[], "").status != 503 {
        assert!(began.elapsed() < PATIENCE, "it doesn't say that it is shutting down");
    }
    served.signal(Signal::TERM);
    let (status, _) = served.end();
    assert_eq!(status.code(), Some(1));
}
