//! The sandbox: a plugin that misbehaves costs itself its request, and nothing else.

use std::path::PathBuf;

use serde_json::{Value, json};
use understudy_tests::guests;
use understudy_tests::program::Place;
use understudy_tests::provider::Provider;
use understudy_tests::session::{Session, sampling};

/// A session with the faulty guest as plugin, limits lowered so that it needn't be waited for.
fn session(place: &Place, endpoint: &str) -> Session {
    let component = guests::write("faulty", place.path());
    let config = json!({
        "sampling": "faulty",
        "limits": { "cpu": "200 ms", "memory": "64 MiB" },
        "plugins": { "faulty": { "component": component, "endpoint": endpoint, "endpoints": { "other": endpoint } } }
    });
    let config = place.file("understudy.json", config.to_string());
    Session::start(place, &["--config", &config.to_string_lossy()], &["cat"])
}

/// What the server is told when the plugin commits this fault.
fn fault(session: &mut Session, fault: &str) -> Value {
    session.say(&sampling(1, fault));
    session.hear()
}

#[test]
fn each_fault_is_one_error_that_names_plugin_and_cause_and_the_next_request_is_served() {
    let place = Place::new();
    let provider = Provider::answering("200 OK", "", "fine");
    let mut session = session(&place, &provider.url);
    let memory = 64 << 20;
    let cases = [
        ("trap", "plugin `faulty` trapped in `start`: wasm `unreachable` instruction executed".to_owned()),
        ("trap in resume", "plugin `faulty` trapped in `resume`: ".to_owned()),
        ("recurse", "plugin `faulty` trapped in `start`: ".to_owned()),
        ("loop", "plugin `faulty` exceeded its limit in `start`: 200ms of CPU time (`limits.cpu`)".to_owned()),
        (
            "loop in resume",
            "plugin `faulty` exceeded its limit in `resume`: 200ms of CPU time (`limits.cpu`)".to_owned(),
        ),
        (
            "eat memory",
            format!("plugin `faulty` exceeded its limit in `start`: {memory} bytes of memory (`limits.memory`)"),
        ),
        (
            "huge answer",
            format!("plugin `faulty` exceeded its limit in `start`: {memory} bytes of memory (`limits.memory`)"),
        ),
        ("state", "plugin `faulty` exceeded its limit in `fetch`: 1048576 bytes of state (`limits.state`)".to_owned()),
        (
            "body",
            "plugin `faulty` exceeded its limit in `fetch`: 33554432 bytes of HTTP request body (`limits.requestBody`)"
                .to_owned(),
        ),
        (
            "fetch for ever",
            "plugin `faulty` exceeded its limit in `resume`: 8 HTTP requests for one answer (`limits.fetches`)"
                .to_owned(),
        ),
        (
            "stream",
            "plugin `faulty` asked for an HTTP request that is refused: it wants the answer as a stream".to_owned(),
        ),
        ("bad meta", "plugin `faulty` gave an answer that can't be used: `_meta` is not a JSON object".to_owned()),
        ("array meta", "plugin `faulty` gave an answer that can't be used: `_meta` is not a JSON object".to_owned()),
        (
            "unoffered tool",
            "plugin `faulty` gave an answer that can't be used: the answer holds a `tool_use` block".to_owned(),
        ),
        ("error", "plugin `faulty`: a remedy [31m in words".to_owned()),
        ("unsupported", "plugin `faulty`: unsupported: this plugin carries nothing".to_owned()),
    ];
    for (name, reason) in cases {
        let answer = fault(&mut session, name);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(&reason), "{name}: {answer}");
        assert!(!message.chars().any(char::is_control), "{name}: {message:?}");
        let code = if matches!(name, "error" | "unsupported") { -32602 } else { -32603 };
        assert_eq!(answer["error"]["code"], code, "{name}");
        assert!(
            fault(&mut session, "ok")["result"]["content"]["text"].as_str().is_some_and(|text| text.ends_with("fine"))
        );
    }
}

#[test]
fn a_guest_chooses_neither_whom_it_talks_to_nor_what_the_host_sets() {
    let place = Place::new();
    let provider = Provider::answering("200 OK", "", "fine");
    let mut session = session(&place, &provider.url);
    for path in
        ["//evil.example/x", "http://evil.example/", "/a/../b", "/%2e%2e/b", "/a\r\nx: y", "/a b", "no-slash", "/a#b"]
    {
        let answer = fault(&mut session, &format!("path {path}"));
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(
            message.starts_with("plugin `faulty` asked for an HTTP request that is refused: "),
            "{path:?}: {answer}"
        );
        assert!(!message.contains('\r') && !message.contains('\n'), "{message:?}");
    }
    for header in [
        "host",
        "Authorization",
        "content-length",
        "Cookie",
        "transfer-encoding",
        "proxy-authorization",
        "connection",
        "a b",
        "x=a\r\ny: z",
    ] {
        let answer = fault(&mut session, &format!("header {header}"));
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("the header `") || message.contains("is not a header's name"), "{header:?}: {answer}");
    }
    let answer = fault(&mut session, "endpoint un\u{1b}known");
    assert!(
        answer["error"]["message"].as_str().is_some_and(|m| m.contains("it names the endpoint `un known`")),
        "{answer}"
    );
    assert!(provider.seen().is_empty());
    assert!(fault(&mut session, "endpoint other")["result"].is_object());
    assert_eq!(provider.seen().len(), 1);
}

#[test]
fn nothing_is_left_of_one_call_for_the_next() {
    let place = Place::new();
    let mut session = session(&place, "http://127.0.0.1:1");
    for _ in 0..3 {
        assert_eq!(fault(&mut session, "static")["result"]["content"]["text"], "0");
    }
}

#[test]
fn a_guest_sees_what_it_is_given_and_wasi_shows_it_nothing_else() {
    let place = Place::new();
    let component = guests::write("curious", place.path());
    let mut curious = Session::start(&place, &["--plugin", &component.to_string_lossy()], &["cat"]);
    assert_eq!(fault(&mut curious, "environment")["result"]["content"]["text"], "[]");
    assert_eq!(fault(&mut curious, "arguments")["result"]["content"]["text"], "[]");
    assert_eq!(fault(&mut curious, "directories")["result"]["content"]["text"], "0");
    assert_eq!(fault(&mut curious, "clock and random")["result"]["content"]["text"], "true");
    let other = fault(&mut curious, "another import");
    let message = other["error"]["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("plugin `curious` trapped in `start`: ")
            && message.contains("it called the import `elsewhere:shell/commands#run`"),
        "{other}"
    );
    let http = fault(&mut curious, "http");
    let message = http["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("it called the import `wasi:http/outgoing-handler@0.2.0#handle`"), "{http}");
    let strict = json!({ "plugins": { "p": { "component": component, "imports": "none" } } });
    let strict = place.file("strict.json", strict.to_string());
    let run = place.run(["plugin", "inspect", "p", "--config", &strict.to_string_lossy()]);
    assert!(run.stderr.contains("`p` imports") && run.stderr.contains("`elsewhere:shell/commands`"), "{}", run.stderr);

    let mut session = session(&place, "http://127.0.0.1:1");
    let options = fault(&mut session, "options");
    let options = options["result"]["content"]["text"].as_str().unwrap_or_default();
    assert!(options.contains("server: \"cat\"") && options.contains("settings: \"{}\""), "{options}");
}

#[test]
fn texts_are_joined_where_the_server_can_take_one_block_only() {
    let place = Place::new();
    let mut session = session(&place, "http://127.0.0.1:1");
    assert_eq!(fault(&mut session, "two texts")["result"]["content"], json!({"type": "text", "text": "one two"}));
}

#[test]
fn a_looping_guest_does_not_hold_up_the_others() {
    let place = Place::new();
    let component = guests::write("faulty", place.path());
    let config = json!({ "sampling": "faulty", "limits": { "cpu": "20 s" }, "plugins": { "faulty": { "component": component } } });
    let config = place.file("understudy.json", config.to_string());
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    // More loops than the machine has cores, all with a long time to go.
    for id in 0..16 {
        session.say(&sampling(format!("loop {id}"), "loop"));
    }
    session.say(&sampling("honest", "static"));
    let first = session.hear();
    assert_eq!(first["id"], "honest", "{first}");
}

/// A file that is to be a plugin and isn't, and what the user is told.
fn refused(place: &Place, name: &str, content: &[u8]) -> String {
    let path: PathBuf = place.file(name, content);
    let run = place.run(["sample", "--plugin", &path.to_string_lossy()]);
    assert_eq!((run.code(), run.stdout.as_str()), (1, ""), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    run.stderr
}

#[test]
fn a_file_that_is_no_plugin_is_refused_with_the_reason() {
    let place = Place::new();
    let wat = |text: &str| wat::parse_str(text).unwrap_or_default();
    let cases: [(&str, Vec<u8>, &str); 6] = [
        (
            "empty.wasm",
            Vec::new(),
            "`empty` is not a WebAssembly component: the file doesn't begin as WebAssembly does",
        ),
        ("text.wasm", b"#!/bin/sh\n".to_vec(), "the file doesn't begin as WebAssembly does"),
        ("core.wasm", wat("(module)"), "it is a core module; make a component of it"),
        ("nothing.wasm", wat("(component)"), "`nothing` is no sampling plugin: it exports nothing"),
        (
            "other.wasm",
            wat(
                "(component (component $c) (instance $i (instantiate $c)) (export \"wasi:cli/run@0.2.0\" (instance $i)))",
            ),
            "it exports `wasi:cli/run@0.2.0`, and neither `understudy:plugin/provider@0.1.0` nor",
        ),
        (
            "later.wasm",
            wat(
                "(component (component $c) (instance $i (instantiate $c)) (export \"understudy:plugin/provider@0.9.0\" (instance $i)))",
            ),
            "it exports `understudy:plugin/provider@0.9.0`, and this host knows understudy:plugin/provider@0.1.0",
        ),
    ];
    for (name, content, reason) in cases {
        let said = refused(&place, name, &content);
        assert!(said.contains(reason), "{name}: {said}");
    }
    let mut cut = guests::GUESTS[0].component.to_vec();
    cut.truncate(cut.len() / 2);
    assert!(refused(&place, "cut.wasm", &cut).contains("is not a WebAssembly component"));
    let missing = place.run(["sample", "--plugin", "./missing.wasm"]);
    assert!(missing.stderr.contains("can't read the component `./missing.wasm`"), "{}", missing.stderr);
}

#[test]
fn a_component_must_be_the_one_that_the_config_pins() {
    let place = Place::new();
    let component = guests::write("faulty", place.path());
    let config = json!({ "plugins": { "p": { "component": component, "sha256": "0".repeat(64) } } });
    let config = place.file("understudy.json", config.to_string());
    let run = place.run(["plugin", "inspect", "p", "--config", &config.to_string_lossy()]);
    assert_eq!(run.code(), 1);
    assert!(
        run.stderr.contains("has the SHA-256 digest") && run.stderr.contains("the config pins 0000"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_compiled_component_that_somebody_touched_is_compiled_again() {
    let place = Place::new();
    let cache = place.path().join("cache");
    let component = guests::write("faulty", place.path());
    let run = || {
        let mut command = place.understudy(["plugin", "inspect", &component.to_string_lossy()]);
        command.env("XDG_CACHE_HOME", &cache);
        understudy_tests::program::run(command, "")
    };
    assert!(!run().ok().stderr.contains("not used"));
    let artefact = find(&cache);
    let mut bytes = std::fs::read(&artefact).unwrap_or_default();
    assert!(!run().ok().stderr.contains("not used"));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    assert!(std::fs::write(&artefact, &bytes).is_ok());
    let said = run().ok().stderr;
    assert!(said.contains("its digest doesn't fit"), "{said}");
    // And it was mended.
    assert_eq!(run().ok().stderr, "");
}

/// The one file below a folder.
fn find(folder: &std::path::Path) -> PathBuf {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let path = entries.next().map(|entry| entry.path()).unwrap_or_default();
    if path.is_dir() { find(&path) } else { path }
}
