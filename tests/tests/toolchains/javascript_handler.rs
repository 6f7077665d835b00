//! The example handler in JavaScript: built as its README says, by the tools of its lock file, and run as a user would.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use understudy_tests::peers::{installed, workspace};
use understudy_tests::program::{Place, Run, cache, run};
use understudy_tests::provider::{Provider, respond, wait_for_hangup};
use understudy_tests::session::sampling;

const KEY: &str = "sk-understudy-test-0123456789";
const FOLDER: &str = "examples/plugins/javascript-handler";

/// The component: built if what it is made of has changed, and compiled for this machine.
fn component() -> &'static Path {
    static COMPONENT: OnceLock<PathBuf> = OnceLock::new();
    COMPONENT.get_or_init(|| {
        let mut hasher = DefaultHasher::new();
        for file in ["plugin.js", "package.json", "package-lock.json"] {
            read(&workspace().join(FOLDER).join(file)).hash(&mut hasher);
        }
        for file in ["types", "provider", "handler", "world"] {
            read(&workspace().join(format!("wit/{file}.wit"))).hash(&mut hasher);
        }
        let component = cache().join(format!("javascript-handler-{:016x}.wasm", hasher.finish()));
        if !component.exists() {
            build(&component);
        }
        // Once, and not by each test at the same time. It takes some seconds.
        let inspected = Place::new().run(["plugin", "inspect", &component.to_string_lossy()]).ok();
        assert!(inspected.stdout.contains("javascript-handler"), "{}", inspected.stdout);
        component
    })
}

/// Builds it by its own command, in a folder that looks as the repository does.
fn build(component: &Path) {
    let place = Place::new();
    let folder = place.path().join(FOLDER);
    let tools = installed("javascript-handler/node_modules");
    let laid_out = std::fs::create_dir_all(&folder)
        .and_then(|()| symlink(workspace().join("wit"), place.path().join("wit")))
        .and_then(|()| symlink(tools, folder.join("node_modules")));
    laid_out.unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for file in ["plugin.js", "package.json"] {
        let _ = place.file(&format!("{FOLDER}/{file}"), read(&workspace().join(FOLDER).join(file)));
    }
    let mut npm = Command::new("npm");
    npm.args(["run", "build"]).current_dir(&folder);
    let _ = run(npm, "").ok();
    // Under another name first: another test program may look for it at this moment.
    let partial = component.with_extension(format!("{}", std::process::id()));
    let kept = std::fs::create_dir_all(cache())
        .and_then(|()| std::fs::copy(folder.join("plugin.wasm"), &partial))
        .and_then(|_| std::fs::rename(&partial, component));
    kept.unwrap_or_else(|e| panic!("{}: {e}", component.display()));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Asks the example, which asks `url` and may ask the origins in `allow`.
fn asked(url: &str, allow: &[&Provider], limits: &Value) -> Run {
    let place = Place::new();
    let origins: Vec<Value> = allow
        .iter()
        .map(|provider| json!({ "origin": provider.url, "credential": { "bearer": true, "env": "EXAMPLE_KEY" } }))
        .collect();
    let plugin = json!({
        "component": component(), "model": "a-model", "allow": origins, "settings": { "url": format!("{url}/v1/chat/completions") }
    });
    let config = json!({ "sampling": "mine", "limits": limits, "plugins": { "mine": plugin } });
    let _ = place.file("understudy.json", config.to_string());
    let mut command = place.understudy(["sample"]);
    command.env("EXAMPLE_KEY", KEY);
    run(command, &sampling(1, "hello")["params"].to_string())
}

/// What the program says last.
fn failed(run: &Run) -> &str {
    assert_eq!(run.code(), 1, "{}{}", run.stdout, run.stderr);
    run.stderr.lines().last().unwrap_or_default()
}

/// An answer as an OpenAI-compatible server gives it.
fn completion(text: &str) -> Vec<u8> {
    let choice = json!({ "index": 0, "finish_reason": "length", "message": { "role": "assistant", "content": text } });
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 4 });
    json!({ "model": "their-model", "choices": [choice], "usage": usage }).to_string().into_bytes()
}

#[test]
fn the_example_asks_by_fetch_with_a_credential_that_it_never_sees() {
    let provider = Provider::start(|request, stream, _| {
        let key = request.headers.get("authorization").cloned().unwrap_or_default();
        respond(stream, "200 OK", &format!("x-echo: {key}\r\n"), &completion(&format!("you are {key}")));
    });
    let run = asked(&provider.url, &[&provider], &json!({})).ok();
    let result: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}", run.stdout));
    let expected = json!({
        "role": "assistant", "content": { "type": "text", "text": "you are Bearer [credential]" },
        "model": "their-model", "stopReason": "maxTokens"
    });
    assert_eq!(result, expected);
    let seen = &provider.seen()[0];
    assert_eq!(seen.line.trim_end(), "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let messages = json!([{ "role": "user", "content": "hello" }]);
    assert_eq!(body, json!({ "model": "a-model", "max_tokens": 100, "messages": messages }));
}

#[test]
fn an_origin_that_is_not_allowed_is_not_reached_and_the_key_to_change_is_named() {
    let (allowed, other) =
        (Provider::answering("200 OK", "", completion("no")), Provider::answering("200 OK", "", completion("no")));
    let run = asked(&other.url, &[&allowed], &json!({}));
    let reason = format!("it wants {}, which `plugins.mine.allow` doesn't name", other.url);
    assert!(failed(&run).contains(&reason), "{}", run.stderr);
    assert!(allowed.seen().is_empty() && other.seen().is_empty());
}

#[test]
fn a_redirect_is_an_answer_to_fetch_and_is_not_followed() {
    let target = Provider::answering("200 OK", "", completion("no"));
    let location = format!("location: {}/elsewhere\r\n", target.url);
    let provider = Provider::start(move |_, stream, _| respond(stream, "302 Found", &location, b"over there"));
    let run = asked(&provider.url, &[&provider, &target], &json!({}));
    let reason = "plugin `mine`: the provider says invalid-request, HTTP 302: over there";
    assert!(failed(&run).contains(reason), "{}", run.stderr);
    assert_eq!((provider.seen().len(), target.seen().len()), (1, 0));
}

#[test]
fn the_deadline_ends_a_fetch_and_its_connection() {
    let provider = Provider::start(|_, stream, _| wait_for_hangup(stream));
    let run = asked(&provider.url, &[&provider], &json!({ "deadline": "3 s" }));
    assert!(failed(&run).contains("`limits.deadline`"), "{}", run.stderr);
    assert_eq!(provider.seen().len(), 1);
    provider.gate().wait_for_silence();
}

#[test]
fn what_the_example_throws_with_a_payload_is_its_error_and_the_kind_decides_whether_it_is_asked_again() {
    let provider = Provider::answering("429 Too Many Requests", "retry-after: 0.01\r\n", "slow down");
    let run = asked(&provider.url, &[&provider], &json!({ "retries": 1 }));
    let reason = "plugin `mine`: the provider says rate-limited, HTTP 429: slow down";
    assert!(failed(&run).contains(reason) && run.stderr.contains("trying again"), "{}", run.stderr);
    assert_eq!(provider.seen().len(), 2);
}
