//! The provider call: endpoint, credential, limits; and providers that are down, slow, broken or hostile.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use understudy_tests::guests;
use understudy_tests::program::{Place, Run, run};
use understudy_tests::provider::{Provider, respond, wait_for_hangup};
use understudy_tests::session::{Session, sampling};

const KEY: &str = "sk-understudy-test-0123456789";

fn request(text: &str) -> String {
    sampling(1, text)["params"].to_string()
}

/// `understudy sample` with a built-in plugin and this provider.
fn sample(place: &Place, plugin: &str, endpoint: &str, env: &[(&str, &str)]) -> Run {
    // One attempt: what is tried again is another test's.
    let _ = place.file("understudy.json", r#"{"limits": {"retries": 0}}"#);
    let mut command = place.understudy(["-v", "sample", "--plugin", plugin, "--model", "m", "--endpoint", endpoint]);
    command.envs(env.iter().copied());
    run(command, &request("hello"))
}

fn openai_answer(text: &str) -> String {
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]}).to_string()
}

#[test]
fn the_credential_is_applied_as_the_provider_wants_it_and_shown_to_nobody() {
    let place = Place::new();
    let provider = Provider::start(|request, stream, _| {
        let key = request.headers.get("authorization").cloned().unwrap_or_default();
        respond(stream, "200 OK", &format!("x-echo: {key}\r\n"), openai_answer(&format!("you sent {key}")).as_bytes());
    });
    let run = sample(&place, "openai", &provider.url, &[("OPENAI_API_KEY", KEY)]).ok();
    assert_eq!(provider.seen()[0].headers["authorization"], format!("Bearer {KEY}"));
    assert!(run.stdout.contains("you sent Bearer [credential]"), "{}", run.stdout);
    assert!(!run.stdout.contains(KEY) && !run.stderr.contains(KEY));

    let run = sample(&place, "anthropic", &provider.url, &[("ANTHROPIC_API_KEY", KEY)]);
    assert_eq!(provider.seen()[1].headers["x-api-key"], KEY);
    assert_eq!(provider.seen()[1].headers["anthropic-version"], "2023-06-01");
    assert!(!provider.seen()[1].headers.contains_key("authorization"));
    assert!(!run.stderr.contains(KEY));
}

#[test]
fn a_credential_can_come_from_a_file_and_go_into_the_query() {
    let place = Place::new();
    let provider = Provider::start(|request, stream, _| {
        respond(stream, "200 OK", "", openai_answer(&request.line).as_bytes());
    });
    let key = place.file("key", format!("{KEY}\n"));
    let config = json!({ "plugins": { "p": {
        "component": "builtin:openai", "model": "m", "endpoint": format!("{}/base?api-version=1", provider.url),
        "credential": { "query": "key", "file": key }, "headers": { "x-fixed": "yes" }
    } } });
    let config = place.file("understudy.json", config.to_string());
    let run =
        run(place.understudy(["sample", "--plugin", "p", "--config", &config.to_string_lossy()]), &request("x")).ok();
    let seen = &provider.seen()[0];
    assert_eq!(seen.line, format!("POST /base/chat/completions?api-version=1&key={KEY} HTTP/1.1\r\n"));
    assert_eq!(seen.headers["x-fixed"], "yes");
    assert!(run.stdout.contains("key=[credential]"), "{}", run.stdout);
}

/// A config whose credential is what this script prints.
fn printed_by(place: &Place, provider: &Provider, script: &str) -> String {
    let config = json!({ "sampling": "p", "plugins": { "p": { "component": "builtin:openai", "model": "m", "endpoint": provider.url,
        "credential": { "bearer": true, "command": ["sh", "-c", script, "a secret argument"] } } } });
    place.file("understudy.json", config.to_string()).to_string_lossy().into_owned()
}

#[test]
fn a_command_that_prints_the_credential_is_asked_again_when_the_provider_refuses_it() {
    let place = Place::new();
    let provider = Provider::start(|request, stream, _| {
        if request.headers["authorization"] == "Bearer sk-understudy-printed-2" {
            respond(stream, "200 OK", "", openai_answer("let in").as_bytes());
        } else {
            respond(stream, "401 Unauthorized", "", br#"{"error":{"message":"bad key"}}"#);
        }
    });
    let script = "echo x >> runs; printf 'sk-understudy-printed-%s\n' $(wc -l < runs)";
    let config = printed_by(&place, &provider, script);
    let sampled = run(place.understudy(["sample", "--config", &config]), &request("x")).ok();
    assert!(sampled.stdout.contains("let in"), "{}", sampled.stdout);
    assert_eq!(provider.seen().len(), 2);
    // What it prints next is refused for good: one more attempt, then the error.
    let refused = run(place.understudy(["sample", "--config", &config]), &request("x"));
    assert!(refused.stderr.contains("unauthorized, HTTP 401: bad key"), "{}", refused.stderr);
    assert_eq!(provider.seen().len(), 4);
}

#[test]
fn a_command_that_prints_the_credential_runs_once_for_many_requests() {
    let place = Place::new();
    let provider = Provider::answering("200 OK", "", openai_answer("hi"));
    let config = printed_by(&place, &provider, "echo x >> runs; echo sk-understudy-printed-0123");
    let mut session = Session::start(&place, &["--config", &config], &["cat"]);
    for id in 0..20 {
        session.say(&sampling(id, "hi"));
    }
    for _ in 0..20 {
        assert_eq!(session.hear()["result"]["content"]["text"], "hi");
    }
    assert_eq!(std::fs::read_to_string(place.path().join("runs")).unwrap_or_default(), "x\n");
}

#[test]
fn a_command_that_prints_no_credential_is_told_by_its_name_alone() {
    let place = Place::new();
    let provider = Provider::answering("200 OK", "", openai_answer("hi"));
    for (script, expected) in [
        ("echo sk-half-a-secret; echo 'not signed in' >&2; exit 3", "failed (exit status: 3): not signed in"),
        ("true", "printed no credential"),
        ("printf '\\377\\376'", "a credential that is no text"),
    ] {
        let config = printed_by(&place, &provider, script);
        let sampled = run(place.understudy(["-v", "sample", "--config", &config]), &request("x"));
        assert_eq!(sampled.code(), 1, "{}", sampled.stdout);
        assert!(sampled.stderr.contains("the command `sh`") && sampled.stderr.contains(expected), "{}", sampled.stderr);
        assert!(!sampled.stderr.contains("half-a-secret") && !sampled.stderr.contains("a secret argument"));
    }
    assert!(provider.seen().is_empty());
}

#[test]
fn the_built_in_plugins_follow_their_ecosystems_variables() {
    let place = Place::new();
    let provider = Provider::answering("200 OK", "", openai_answer("hi"));
    let mut command = place.understudy(["sample", "--plugin", "openai", "--model", "m"]);
    command.env("OPENAI_BASE_URL", format!("{}/v1", provider.url)).env("OPENAI_API_KEY", KEY);
    assert!(run(command, &request("x")).ok().stdout.contains("\"hi\""));
    assert!(provider.seen()[0].line.starts_with("POST /v1/chat/completions "));
    // Without a key, the provider that it is made for is not even asked.
    let missing = run(place.understudy(["sample", "--plugin", "anthropic"]), &request("x"));
    assert_eq!(missing.code(), 1);
    assert!(missing.stderr.contains("set the environment variable `ANTHROPIC_API_KEY`"), "{}", missing.stderr);
}

#[test]
fn a_plugin_that_is_not_ours_has_no_endpoint_until_the_user_gives_one() {
    let place = Place::new();
    let faulty = guests::write("faulty", place.path());
    let run = run(place.understudy(["sample", "--plugin", &faulty.to_string_lossy()]), &request("fetch"));
    assert!(
        run.stderr.contains("it has no endpoint; write `plugins.faulty.endpoint` into the config, or `--endpoint URL`"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_provider_that_misbehaves_gives_one_clear_error() {
    let place = Place::new();
    let key = [("OPENAI_API_KEY", KEY)];
    let cases: [(&str, &str, Vec<u8>, &str); 8] = [
        (
            "401 Unauthorized",
            "",
            br#"{"error":{"message":"bad key","type":"invalid_request_error","code":"invalid_api_key"}}"#.to_vec(),
            "unauthorized, HTTP 401: bad key",
        ),
        (
            "429 Too Many Requests",
            "retry-after: 7\r\n",
            br#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#.to_vec(),
            "rate-limited, HTTP 429: slow down; it says to come back in 7s",
        ),
        ("500 Internal Server Error", "", b"oops".to_vec(), "HTTP 500"),
        (
            "200 OK",
            "content-type: text/html\r\n",
            b"<html><body>Welcome to the hotel</body></html>".to_vec(),
            "malformed response",
        ),
        ("200 OK", "", b"{\"choices\": [".to_vec(), "malformed response"),
        ("200 OK", "", b"\xff\xfe".to_vec(), "malformed response"),
        ("302 Found", "location: http://169.254.169.254/\r\n", Vec::new(), "HTTP 302"),
        (
            "200 OK",
            "content-length: 209715200\r\n",
            Vec::new(),
            "is larger than `limits.responseBody` allows (33554432 bytes)",
        ),
    ];
    for (status, headers, body, reason) in cases {
        let provider = Provider::start(move |_, stream, _| {
            if headers.starts_with("content-length") {
                // 200 MB are announced, and never come.
                let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n{headers}\r\n").as_bytes());
                wait_for_hangup(stream);
            } else {
                respond(stream, status, headers, &body);
            }
        });
        let run = sample(&place, "openai", &provider.url, &key);
        assert_eq!((run.code(), run.stdout.as_str()), (1, ""), "{status}");
        let last = run.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("understudy: plugin `openai`") && last.contains(reason), "{status}: {last}");
        provider.gate().wait_for_silence();
    }
}

#[test]
fn a_body_that_breaks_off_or_never_ends_is_an_error() {
    let place = Place::new();
    let half = Provider::start(|_, stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\":");
    });
    let run = sample(&place, "openai", &half.url, &[]);
    assert!(run.stderr.contains("the answer broke off"), "{}", run.stderr);
    let endless = Provider::start(|_, stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let piece = [b' '; 16_000];
        while stream.write_all(&piece).is_ok() {}
    });
    let run = sample(&place, "openai", &endless.url, &[]);
    assert!(run.stderr.contains("is larger than `limits.responseBody` allows"), "{}", run.stderr);
}

#[test]
fn a_provider_that_is_down_or_slow_is_named() {
    let place = Place::new();
    let down = Provider::answering("200 OK", "", "");
    let url = down.url.clone();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let closed = closed.map_or(url, |address| format!("http://{address}"));
    let run = sample(&place, "openai", &closed, &[]);
    assert!(run.stderr.contains(&format!("plugin `openai`: can't get an answer from {closed}: ")), "{}", run.stderr);
    assert!(run.stderr.to_lowercase().contains("connection refused"), "{}", run.stderr);

    let slow = Provider::start(|_, stream, _| wait_for_hangup(stream));
    let config = place.file("understudy.json", r#"{"limits": {"deadline": "300 ms"}}"#);
    let mut command = place.understudy(["sample", "--config", &config.to_string_lossy()]);
    command.args(["--plugin", "openai", "--model", "m", "--endpoint", &slow.url]);
    let run = understudy_tests::program::run(command, &request("x"));
    assert!(run.stderr.contains("no answer within 300ms (`limits.deadline`)"), "{}", run.stderr);
    slow.gate().wait_for_silence();
}

#[test]
fn the_next_plugin_of_a_chain_answers_where_the_first_cannot() {
    let place = Place::new();
    let provider =
        Provider::answering("503 Service Unavailable", "", r#"{"error":{"message":"down for maintenance"}}"#);
    let config = json!({
        "sampling": ["first", "echo"], "limits": { "retries": 0 },
        "plugins": { "first": { "component": "builtin:openai", "model": "m", "endpoint": provider.url } }
    });
    let config = place.file("understudy.json", config.to_string());
    let run = run(place.understudy(["sample", "--config", &config.to_string_lossy()]), &request("hello")).ok();
    assert!(run.stdout.contains("\"hello\"") && run.stdout.contains("\"echo\""), "{}", run.stdout);
    assert!(run.stderr.contains("down for maintenance; asking `echo` instead"), "{}", run.stderr);
}

#[test]
fn what_one_provider_refuses_the_next_plugin_of_a_chain_may_answer_and_what_the_plugin_refuses_nobody_is_asked() {
    let place = Place::new();
    let refused = r#"{"error":{"message":"tools.0.custom.input_schema: not so","type":"invalid_request_error"}}"#;
    let provider = Provider::answering("400 Bad Request", "", refused);
    let chain = |model: &str| {
        let config = json!({
            "sampling": ["first", "echo"],
            "plugins": { "first": { "component": "builtin:openai", "model": model, "endpoint": provider.url,
                "settings": { "dialect": if model.is_empty() { "none" } else { "groq" } } } }
        });
        let config = place.file("understudy.json", config.to_string());
        run(place.understudy(["sample", "--config", &config.to_string_lossy()]), &request("hello"))
    };
    let answered = chain("m").ok();
    assert!(answered.stdout.contains("\"echo\""), "{}", answered.stdout);
    assert!(answered.stderr.contains("input_schema: not so; asking `echo` instead"), "{}", answered.stderr);
    let ended = chain("");
    assert!(ended.stderr.contains("`settings.dialect` is `none`; it must be one of `openai`"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("asking `echo` instead"), "{}", ended.stderr);
}

#[test]
fn a_plugin_that_hangs_has_its_own_deadline_and_then_the_next_one_answers() {
    let place = Place::new();
    let slow = Provider::start(|_, stream, _| wait_for_hangup(stream));
    let config = json!({
        "sampling": ["slow", "echo"],
        "plugins": { "slow": { "component": "builtin:openai", "model": "m", "endpoint": slow.url, "limits": { "deadline": "300 ms" } } }
    });
    let config = place.file("understudy.json", config.to_string());
    let run = run(place.understudy(["sample", "--config", &config.to_string_lossy()]), &request("hello")).ok();
    assert!(run.stdout.contains("\"echo\""), "{}", run.stdout);
    assert!(run.stderr.contains("no answer within 300ms (`limits.deadline`); asking `echo` instead"), "{}", run.stderr);
    slow.gate().wait_for_silence();
}

#[test]
fn the_requests_of_one_server_hold_so_many_bytes_together_and_no_more() {
    let place = Place::new();
    let slow = Provider::start(|_, stream, _| wait_for_hangup(stream));
    let config = json!({
        "sampling": "p", "limits": { "samplingTotal": "30 KiB", "samplingRequest": "20 KiB" },
        "plugins": { "p": { "component": "builtin:openai", "model": "m", "endpoint": slow.url } }
    });
    let config = place.file("understudy.json", config.to_string());
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    session.say(&sampling(1, &"x".repeat(16_000)));
    slow.gate().wait_for(1);
    session.say(&sampling(2, &"y".repeat(16_000)));
    let error = session.hear();
    assert_eq!(error["id"], 2);
    assert!(error["error"]["message"].as_str().is_some_and(|m| m.contains("`limits.samplingTotal`")), "{error}");
    session.say(&sampling(3, &"z".repeat(30_000)));
    let error = session.hear();
    assert!(error["error"]["message"].as_str().is_some_and(|m| m.contains("`limits.samplingRequest`")), "{error}");
}

#[test]
fn two_hundred_requests_are_with_the_provider_at_once() {
    const MANY: usize = 200;
    let place = Place::new();
    let provider = Provider::start(|_, stream, gate| {
        gate.wait_for(MANY);
        respond(stream, "200 OK", "", openai_answer("all here").as_bytes());
    });
    let args = ["--plugin", "openai", "--model", "m", "--endpoint", &provider.url, "--requests-per-call", "200"];
    let mut session = Session::start(&place, &args, &["cat"]);
    for id in 0..MANY {
        session.say(&sampling(id, "hello"));
    }
    for _ in 0..MANY {
        let answer: Value = session.hear();
        assert_eq!(answer["result"]["content"]["text"], "all here", "{answer}");
    }
}

#[test]
fn requests_beyond_the_limit_wait_and_beyond_that_are_refused() {
    let place = Place::new();
    // Nobody is answered before the refusal has been heard.
    let closed = Arc::new(Mutex::new(()));
    let door = Arc::clone(&closed);
    let provider = Provider::start(move |_, stream, _| {
        drop(door.lock());
        respond(stream, "200 OK", "", openai_answer("done").as_bytes());
    });
    let config = json!({
        "limits": { "concurrent": 2, "waiting": 1 }, "sampling": "p",
        "plugins": { "p": { "component": "builtin:openai", "model": "m", "endpoint": provider.url } }
    });
    let config = place.file("understudy.json", config.to_string());
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    let held = closed.lock();
    for id in 0..4 {
        session.say(&sampling(id, "hello"));
    }
    let refused = session.hear();
    let reason = "2 sampling requests are running and 1 waiting; raise `limits.concurrent` or `limits.waiting`";
    assert_eq!(refused["error"]["message"], reason, "{refused}");
    provider.gate().wait_for(2);
    assert_eq!(provider.seen().len(), 2);
    drop(held);
    for _ in 0..3 {
        let answer = session.hear();
        assert_eq!(answer["result"]["content"]["text"], "done", "{answer}");
    }
}

#[test]
fn what_fails_in_passing_is_tried_again_with_the_same_request_and_what_is_not_is_not() {
    let place = Place::new();
    let attempts = AtomicUsize::new(0);
    let provider = Provider::start(move |_, stream, _| match attempts.fetch_add(1, Ordering::SeqCst) {
        0 => respond(
            stream,
            "429 Too Many Requests",
            "retry-after: 0.01\r\n",
            b"{\"error\":{\"message\":\"slow down\"}}",
        ),
        // The connection breaks.
        1 => {}
        _ => respond(stream, "200 OK", "", openai_answer("at last").as_bytes()),
    });
    let args = ["sample", "--plugin", "openai", "--model", "m", "--endpoint", &provider.url];
    let passing = run(place.understudy(args), &request("x")).ok();
    assert!(passing.stdout.contains("at last"), "{}", passing.stdout);
    assert!(
        passing.stderr.contains("slow down") && passing.stderr.contains("trying again in 10.0ms (1 of 2)"),
        "{}",
        passing.stderr
    );
    assert!(passing.stderr.contains("(2 of 2)"), "{}", passing.stderr);
    let seen = provider.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request.body == seen[0].body));

    let refused = Provider::answering("401 Unauthorized", "", r#"{"error":{"message":"bad key"}}"#);
    let args = ["sample", "--plugin", "openai", "--model", "m", "--endpoint", &refused.url];
    assert_eq!(run(place.understudy(args), &request("x")).code(), 1);
    assert_eq!(refused.seen().len(), 1);
}
