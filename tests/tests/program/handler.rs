//! Plugins that make their own HTTP requests: where they may go, what they never see, and what it costs them.
#![expect(clippy::indexing_slicing, clippy::panic, clippy::needless_pass_by_value, reason = "a test may panic")]

use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use understudy_tests::guests;
use understudy_tests::program::{Place, Run, run};
use understudy_tests::provider::{Provider, respond, wait_for_hangup};
use understudy_tests::session::{Session, sampling};

const KEY: &str = "sk-understudy-test-0123456789";

/// Writes a config for the handler; its path.
fn config(place: &Place, plugin: Value, limits: Value) -> String {
    let component = guests::write("handler", place.path());
    let mut plugin = plugin;
    plugin["component"] = json!(component);
    let config = json!({ "sampling": "x", "limits": limits, "plugins": { "x": plugin } });
    place.file("understudy.json", config.to_string()).to_string_lossy().into_owned()
}

/// A request to this provider.
fn request(provider: &Provider, more: Value) -> Value {
    let mut request = json!({ "authority": provider.url.trim_start_matches("http://") });
    for (key, value) in more.as_object().into_iter().flatten() {
        request[key] = value.clone();
    }
    request
}

fn told(requests: &[Value], then: &str) -> String {
    json!({ "requests": requests, "then": then }).to_string()
}

/// Lets the handler answer once.
fn sample(place: &Place, config: &str, told: &str) -> Run {
    let mut command = place.understudy(["sample", "--config", config]);
    command.env("HANDLER_KEY", KEY).env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
    run(command, &sampling(1, told)["params"].to_string())
}

/// What came of each request.
fn came(run: Run) -> Vec<Value> {
    let run = run.ok();
    let result: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}", run.stdout));
    let text = result["content"]["text"].as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn echo() -> Provider {
    Provider::start(|request, stream, _| {
        let headers = &request.headers;
        let key = headers.get("authorization").or(headers.get("x-api-key")).cloned().unwrap_or_default();
        let cookie = "set-cookie: a=b\r\n";
        let body = format!("{} {key} {}", request.line.trim_end(), String::from_utf8_lossy(&request.body));
        respond(stream, "200 OK", &format!("x-echo: {key}\r\n{cookie}"), body.as_bytes());
    })
}

#[test]
fn an_allowed_origin_is_asked_with_a_credential_that_the_guest_never_sees() {
    let place = Place::new();
    let provider = echo();
    let plugin = json!({
        "allow": [provider.url], "credential": { "bearer": true, "env": "HANDLER_KEY" }, "headers": { "x-fixed": "yes" }
    });
    let config = config(&place, plugin, json!({}));
    let asked = request(
        &provider,
        json!({ "method": "POST", "path": "/v1/chat?a=1", "headers": { "x-own": "1", "accept-encoding": "gzip" }, "body": "hello" }),
    );
    let came = came(sample(&place, &config, &told(&[asked], "")));
    let seen = &provider.seen()[0];
    assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!((seen.headers["x-own"].as_str(), seen.headers["x-fixed"].as_str()), ("1", "yes"));
    assert_eq!(seen.headers["accept-encoding"], "identity");
    assert!(provider.url.ends_with(&seen.headers["host"]), "{seen:?}");
    assert_eq!(seen.body, b"hello");
    assert_eq!(came[0]["status"], 200);
    assert_eq!(came[0]["headers"]["x-echo"], "Bearer [credential]");
    assert_eq!(came[0]["headers"].get("set-cookie"), None);
    assert_eq!(came[0]["body"], "POST /v1/chat?a=1 HTTP/1.1 Bearer [credential] hello");
}

#[test]
fn each_origin_has_its_own_credential_and_no_other() {
    let place = Place::new();
    let (first, second) = (echo(), echo());
    let key = place.file("key", "another-secret-0123456789\n");
    let allow = json!([
        { "origin": first.url, "credential": { "bearer": true, "env": "HANDLER_KEY" } },
        { "origin": second.url, "credential": { "header": "x-api-key", "file": key } },
    ]);
    let config = config(&place, json!({ "allow": allow }), json!({}));
    let all = [request(&first, json!({})), request(&second, json!({}))];
    let came = came(sample(&place, &config, &told(&all, "")));
    assert!(
        came.iter().all(|came| came["headers"]["x-echo"].as_str().is_some_and(|echo| echo.contains("[credential]")))
    );
    assert_eq!(first.seen()[0].headers["authorization"], format!("Bearer {KEY}"));
    assert!(!first.seen()[0].headers.contains_key("x-api-key"));
    assert_eq!(second.seen()[0].headers["x-api-key"], "another-secret-0123456789");
    assert!(!second.seen()[0].headers.contains_key("authorization"));
}

#[test]
fn a_printed_credential_is_asked_for_again_when_it_is_refused() {
    let place = Place::new();
    let provider = Provider::start(|request, stream, _| {
        let is_second = request.headers["authorization"] == "Bearer sk-understudy-printed-2";
        respond(stream, if is_second { "200 OK" } else { "401 Unauthorized" }, "", request.body.as_slice());
    });
    let script = "echo x >> runs; printf 'sk-understudy-printed-%s\n' $(wc -l < runs)";
    let plugin = json!({ "allow": [provider.url], "credential": { "bearer": true, "command": ["sh", "-c", script] } });
    let config = config(&place, plugin, json!({}));
    let asked = request(&provider, json!({ "method": "POST", "body": "again" }));
    let came = came(sample(&place, &config, &told(&[asked], "")));
    assert_eq!((&came[0]["status"], &came[0]["body"]), (&json!(200), &json!("again")));
    assert_eq!(provider.seen().len(), 2);
}

#[test]
fn an_origin_that_is_not_in_the_list_is_never_reached() {
    let place = Place::new();
    let (allowed, other) = (echo(), echo());
    let config = config(&place, json!({ "allow": [allowed.url] }), json!({}));
    let port = allowed.url.rsplit(':').next().unwrap_or_default();
    for elsewhere in [
        request(&other, json!({})),
        request(&allowed, json!({ "scheme": "https" })),
        json!({ "authority": format!("localhost:{port}") }),
        json!({ "authority": format!("127.0.0.2:{port}") }),
        json!({ "authority": "127.0.0.1" }),
        json!({ "authority": "169.254.169.254", "path": "/latest/meta-data/" }),
    ] {
        // The guest is told, and may do without.
        let denied = sample(&place, &config, &told(std::slice::from_ref(&elsewhere), "")).ok();
        let warnings: Vec<&str> = denied.stderr.lines().filter(|line| line.contains("plugins.x.allow")).collect();
        assert_eq!(warnings.len(), 1, "{elsewhere}: {}", denied.stderr);
        assert_eq!(came(denied)[0]["error"], "ErrorCode::HttpRequestDenied", "{elsewhere}");
        // If it can't, the server is told why.
        let failed = sample(&place, &config, &told(&[elsewhere], "error"));
        assert_eq!(failed.code(), 1);
        let last = failed.stderr.lines().last().unwrap_or_default();
        assert!(
            last.contains("plugin `x` asked for an HTTP request that is refused: it wants http")
                && last.contains("which `plugins.x.allow` doesn't name"),
            "{last}"
        );
    }
    let user = json!({ "authority": format!("user:pw@{}", allowed.url.trim_start_matches("http://")) });
    let failed = sample(&place, &config, &told(&[user], "trap"));
    assert!(failed.stderr.contains("its URL holds a user name or a password"), "{}", failed.stderr);
    assert!(allowed.seen().is_empty() && other.seen().is_empty());
}

#[test]
fn a_handler_without_origins_reaches_nothing_and_is_told_the_key() {
    let place = Place::new();
    let provider = echo();
    let config = config(&place, json!({}), json!({}));
    let failed = sample(&place, &config, &told(&[request(&provider, json!({}))], "error"));
    assert!(failed.stderr.contains("which `plugins.x.allow` doesn't name"), "{}", failed.stderr);
    assert!(provider.seen().is_empty());
    assert_eq!(came(sample(&place, &config, &told(&[], ""))), Vec::<Value>::new());
}

#[test]
fn a_redirect_is_an_answer_and_is_not_followed() {
    let place = Place::new();
    let (target, from) = (echo(), Provider::answering("302 Found", "location: http://169.254.169.254/\r\n", ""));
    let config = config(&place, json!({ "allow": [from.url, target.url] }), json!({}));
    let came = came(sample(&place, &config, &told(&[request(&from, json!({}))], "")));
    assert_eq!((&came[0]["status"], &came[0]["headers"]["location"]), (&json!(302), &json!("http://169.254.169.254/")));
    assert!(target.seen().is_empty());
}

#[test]
fn headers_that_are_the_hosts_to_set_are_refused() {
    let place = Place::new();
    let provider = echo();
    let allow = json!([{ "origin": provider.url, "credential": { "header": "X-Api-Key", "env": "HANDLER_KEY" } }]);
    let config = config(&place, json!({ "allow": allow }), json!({}));
    let names = [
        "host",
        "Connection",
        "keep-alive",
        "proxy-authorization",
        "Proxy-Foo",
        "transfer-encoding",
        "upgrade",
        "te",
        "trailer",
        "http2-settings",
        "Authorization",
        "cookie",
        "x-api-key",
    ];
    let all: Vec<Value> = names.iter().map(|name| request(&provider, json!({ "headers": { *name: "a" } }))).collect();
    for (name, came) in names.iter().zip(came(sample(&place, &config, &told(&all, "")))) {
        assert_eq!(came["error"], format!("header `{name}`: HeaderError::Forbidden"));
    }
    assert!(provider.seen().is_empty());
}

#[test]
fn bodies_and_the_number_of_requests_have_limits() {
    let place = Place::new();
    let large = Provider::answering("200 OK", "", vec![b'x'; 5000]);
    let limits = json!({ "requestBody": "4 KiB", "responseBody": "4 KiB", "fetches": 2, "retries": 0 });
    let config = config(&place, json!({ "allow": [large.url] }), limits);
    let cases = [
        (
            json!({ "method": "POST", "size": 100_000 }),
            "plugin `x` exceeded its limit in `create-message`: 4096 bytes of HTTP request body (`limits.requestBody`)",
        ),
        (json!({}), "is larger than `limits.responseBody` allows (4096 bytes)"),
    ];
    for (more, reason) in cases {
        let failed = sample(&place, &config, &told(&[request(&large, more)], "error"));
        assert!(failed.stderr.lines().last().is_some_and(|last| last.contains(reason)), "{}", failed.stderr);
    }
    let small = echo();
    let config = self::config(&place, json!({ "allow": [small.url] }), json!({ "fetches": 2 }));
    let thrice = request(&small, json!({ "times": 3 }));
    let failed = sample(&place, &config, &told(std::slice::from_ref(&thrice), "error"));
    let reason = "exceeded its limit in `create-message`: 2 HTTP requests for one answer (`limits.fetches`)";
    assert!(failed.stderr.contains(reason), "{}", failed.stderr);
    assert_eq!(small.seen().len(), 2);
    let came = came(sample(&place, &config, &told(&[thrice], "")));
    assert_eq!((&came[1]["status"], &came[2]["error"]), (&json!(200), &json!("ErrorCode::HttpRequestDenied")));
}

#[test]
fn waiting_is_not_cpu_time_and_running_is() {
    let place = Place::new();
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let provider = Provider::start(move |_, stream, _| {
        let _ = gate.lock().map(|gate| gate.recv());
        respond(stream, "200 OK", "", b"at last");
    });
    let config = config(&place, json!({ "allow": [provider.url] }), json!({ "cpu": "50 ms" }));
    let mut session = Session::start(&place, &["--config", &config], &["cat"]);
    session.say(&sampling(1, &told(&[request(&provider, json!({}))], "")));
    provider.gate().wait_for(1);
    // Far longer than it may run.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(500) {
        std::thread::yield_now();
    }
    assert!(open.send(()).is_ok());
    let answer = session.hear();
    assert!(answer["result"]["content"]["text"].as_str().is_some_and(|text| text.contains("at last")), "{answer}");
    session.say(&sampling(2, &told(&[], "loop")));
    let answer = session.hear();
    let reason = "plugin `x` exceeded its limit in `create-message`: 50ms of CPU time (`limits.cpu`)";
    assert_eq!(answer["error"]["message"], reason);
}

#[test]
fn the_deadline_and_a_cancellation_end_guest_and_connection() {
    let place = Place::new();
    let provider = Provider::start(|_, stream, _| wait_for_hangup(stream));
    let config = config(&place, json!({ "allow": [provider.url] }), json!({ "deadline": "300 ms" }));
    let asked = told(&[request(&provider, json!({}))], "");
    let late = sample(&place, &config, &asked);
    assert!(late.stderr.contains("`limits.deadline`"), "{}", late.stderr);
    provider.gate().wait_for_silence();

    let config = self::config(&place, json!({ "allow": [provider.url] }), json!({}));
    let mut session = Session::start(&place, &["--config", &config], &["cat"]);
    session.begin_a_call();
    session.say(&sampling("hangs", &asked));
    provider.gate().wait_for(2);
    session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "hangs" } }));
    provider.gate().wait_for_silence();
    session.say(&sampling("next", &told(&[], "")));
    assert_eq!(session.hear()["id"], "next");
}

#[test]
fn what_failed_in_passing_is_tried_again_from_the_beginning() {
    let place = Place::new();
    let calls = Arc::new(Mutex::new(0));
    let provider = Provider::start(move |_, stream, _| {
        let first = calls.lock().is_ok_and(|mut calls| {
            *calls += 1;
            *calls == 1
        });
        respond(stream, if first { "429 Too Many Requests" } else { "200 OK" }, "", b"fine");
    });
    let config = config(&place, json!({ "allow": [provider.url] }), json!({}));
    let came = came(sample(&place, &config, &told(&[request(&provider, json!({}))], "answered")));
    assert_eq!(came[0]["body"], "fine");
    assert_eq!(provider.seen().len(), 2);
    // A connection that can't be made counts too, if the guest says no more of it than that it failed.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let closed = closed.map_or_else(|e| panic!("{e}"), |address| address.to_string());
    let config = self::config(&place, json!({ "allow": [format!("http://{closed}")] }), json!({ "retries": 1 }));
    let failed = sample(&place, &config, &told(&[json!({ "authority": closed })], "trap"));
    assert!(failed.stderr.contains("trying again"), "{}", failed.stderr);
    let reason = format!("plugin `x`: can't get an answer from http://{closed}: ");
    assert!(failed.stderr.lines().last().is_some_and(|last| last.contains(&reason)), "{}", failed.stderr);
}

#[test]
fn an_error_without_a_breach_is_the_guests_own() {
    let place = Place::new();
    let config = config(&place, json!({}), json!({}));
    let failed = sample(&place, &config, &told(&[], "error"));
    assert!(failed.stderr.contains("plugin `x`: it failed, and that is all it says"), "{}", failed.stderr);
    let failed = sample(&place, &config, &told(&[], "trap"));
    assert!(failed.stderr.contains("plugin `x` trapped in `create-message`: "), "{}", failed.stderr);
}

#[test]
fn keys_that_do_not_go_together_are_refused_with_the_remedy() {
    let place = Place::new();
    let key = json!({ "bearer": true, "env": "HANDLER_KEY" });
    let two = json!(["https://a.example", "https://b.example"]);
    let own = json!([{ "origin": "https://a.example", "credential": key }]);
    let cases = [
        (
            json!({ "allow": two, "credential": key }),
            "`plugins.x.credential` can't tell which origin of `allow` it belongs to",
        ),
        (json!({ "allow": own, "credential": key }), "`plugins.x.credential` stands beside the one in `allow`"),
        (json!({ "allow": [], "credential": key }), "`plugins.x.credential` goes nowhere"),
        (json!({ "credential": key }), "`plugins.x.credential` goes nowhere"),
        (json!({ "allow": "https://a.example" }), "`plugins.x.allow` must be an array of origins"),
        (json!({ "allow": [{ "private": true }] }), "`plugins.x.allow[0].origin` is missing"),
        (
            json!({ "allow": ["https://a.example/v1"] }),
            "`plugins.x.allow[0]` holds more than scheme, host and port; write `https://a.example`",
        ),
        (json!({ "allow": ["https://me@a.example"] }), "write a `credential` instead"),
        (
            json!({ "allow": ["https://a.example", "https://a.example:443"] }),
            "`plugins.x.allow[1]` names an origin that stands in the list already",
        ),
        (json!({ "endpoint": "https://a.example" }), "`plugins.x.endpoint` is for provider plugins"),
        (json!({ "endpoints": { "b": "https://a.example" } }), "`plugins.x.endpoints` is for provider plugins"),
    ];
    for (plugin, reason) in cases {
        let config = config(&place, plugin, json!({}));
        let refused = sample(&place, &config, &told(&[], ""));
        assert_ne!(refused.code(), 0, "{reason}");
        assert!(refused.stderr.contains(reason), "{reason}: {}", refused.stderr);
    }
    let provider =
        json!({ "sampling": "x", "plugins": { "x": { "component": "builtin:echo", "allow": ["https://a.example"] } } });
    let config = place.file("understudy.json", provider.to_string()).to_string_lossy().into_owned();
    let refused = sample(&place, &config, "hi");
    assert!(refused.stderr.contains("`plugins.x.allow` is for handler plugins"), "{}", refused.stderr);
}

#[test]
fn inspect_list_and_doctor_say_what_a_handler_may_do() {
    let place = Place::new();
    let allow = json!([
        "https://api.example.com",
        { "origin": "https://llm.corp.example", "private": true, "credential": { "bearer": true, "env": "HANDLER_KEY" } },
    ]);
    let config = config(&place, json!({ "allow": allow, "model": "m" }), json!({}));
    let said = |args: &[&str]| {
        let mut command = place.understudy(args.iter().chain(&["--config", config.as_str()]));
        command.env("HANDLER_KEY", KEY);
        run(command, "").stdout
    };
    let inspected = said(&["plugin", "inspect", "x"]);
    for words in [
        "world        handler",
        "wasi:http/outgoing-handler@0.2",
        "send HTTP requests of its own to https://api.example.com, https://llm.corp.example, and nowhere else",
        "reach https://llm.corp.example even at an address that isn't public",
        "never see the credential for https://llm.corp.example: the host adds `authorization: Bearer …`",
    ] {
        assert!(inspected.contains(words), "{words}: {inspected}");
    }
    let listed = said(&["plugin", "list"]);
    assert!(listed.contains("a handler that may reach https://api.example.com, https://llm.corp.example"), "{listed}");
    let doctor = said(&["doctor"]);
    assert!(doctor.contains("may reach https://api.example.com, https://llm.corp.example"), "{doctor}");
    assert!(
        doctor.contains("its credential goes to https://llm.corp.example as `authorization: Bearer …`"),
        "{doctor}"
    );
}

#[test]
fn a_servers_process_does_not_inherit_the_credential_of_an_origin() {
    let place = Place::new();
    let allow = json!([{ "origin": "https://a.example", "credential": { "bearer": true, "env": "HANDLER_KEY" } }]);
    let config = config(&place, json!({ "allow": allow }), json!({}));
    let script = "printf '{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":{\"key\":\"%s\"}}\\n' \"$HANDLER_KEY\"; cat";
    let mut session =
        Session::start_with(&place, &["--config", &config], &["sh", "-c", script], &[("HANDLER_KEY", KEY)]);
    assert_eq!(session.hear()["params"]["key"], "");
}

#[test]
fn instances_beyond_the_limit_wait_for_their_turn() {
    let place = Place::new();
    let most = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&most);
    let provider = Provider::start(move |_, stream, gate| {
        // Whoever doesn't wait has the time to arrive: an answer of a megabyte takes a while.
        respond(stream, "200 OK", "", &vec![b'x'; 1 << 20]);
        let mut most = seen.lock().unwrap_or_else(PoisonError::into_inner);
        *most = gate.open().max(*most);
    });
    let ask = |limits: Value| {
        let config = config(&place, json!({ "allow": [provider.url], "limits": limits }), json!({}));
        let mut session = Session::start(&place, &["--config", &config], &["cat"]);
        for n in 0..30 {
            session.say(&sampling(n, &told(&[request(&provider, json!({}))], "")));
        }
        (0..30).for_each(|_| assert!(session.hear()["result"].is_object()));
        provider.gate().wait_for_silence();
        std::mem::take(&mut *most.lock().unwrap_or_else(PoisonError::into_inner))
    };
    assert_eq!(ask(json!({ "instances": 1 })), 1);
    assert!(ask(json!({})) > 1, "requests never met");
}
