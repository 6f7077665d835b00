//! What an author does, in each language: `plugin new` in an empty folder, the one command that builds, `plugin check`, and a request that
//! is answered by LiteLLM on loopback.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::sync::OnceLock;

use serde_json::{Value, json};
use understudy_tests::author::{PATIENCE, written};
use understudy_tests::peers::Listening;
use understudy_tests::program::{Place, run, run_within};
use understudy_tests::session::{Session, sampling};

/// The key that LiteLLM wants.
const KEY: &str = "sk-understudy-test-0123456789";

/// LiteLLM, the same for all tests. It ends when this process does.
fn litellm() -> &'static str {
    static LITELLM: OnceLock<Listening> = OnceLock::new();
    &LITELLM.get_or_init(Listening::litellm).url
}

fn from_an_empty_folder_to_an_answer(language: &str) {
    let place = Place::new();
    let component = written(&place, "my-own", language, "provider");
    let folder = component.parent().unwrap_or(&component);

    let mut check = place.understudy(["plugin", "check", "my-own.wasm", "--json"]);
    check.current_dir(folder);
    let check = run_within(PATIENCE, check, "");
    let report: Value =
        serde_json::from_str(&check.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", check.stdout, check.stderr));
    assert_eq!((report["passed"].as_bool(), check.code()), (Some(true), 0), "{language}: {report:#}");
    let rules = report["rules"].as_array().into_iter().flatten();
    let fixtures = rules.filter(|rule| rule["rule"] == "fixtures").map(|rule| &rule["said"][0]).collect::<Vec<_>>();
    assert!(fixtures.iter().any(|said| said.as_str().is_some_and(|said| said.starts_with("11 in "))), "{fixtures:?}");

    let plugin = json!({
        "component": "./my-own.wasm", "endpoint": format!("{}/v1", litellm()), "model": "mock-gpt",
        "credential": { "bearer": true, "env": "MY_KEY" }
    });
    let config = json!({ "plugins": { "my-own": plugin } });
    let config = place.file("my-own/understudy.json", config.to_string());
    let mut sample = place.understudy(["sample", "--plugin", "my-own"]);
    sample.current_dir(folder).env("UNDERSTUDY_CONFIG", config).env("MY_KEY", KEY);
    let answer = run(sample, &sampling(1, "hello")["params"].to_string()).ok();
    let answer: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|e| panic!("{e}: {}", answer.stdout));
    assert_eq!(answer["content"], json!({ "type": "text", "text": "mock-gpt learned the lines." }), "{language}");
    assert_eq!(answer["stopReason"], "endTurn", "{language}");
}

#[test]
fn a_plugin_in_rust_from_an_empty_folder_to_an_answer() {
    from_an_empty_folder_to_an_answer("rust");
}

#[test]
fn a_handler_in_rust_from_an_empty_folder_to_an_answer() {
    let place = Place::new();
    // By another name: what cargo makes of both goes to one folder.
    let component = written(&place, "my-handler", "rust", "handler");
    let url = format!("{}/v1/chat/completions", litellm());
    let plugin = json!({
        "component": component, "model": "mock-gpt", "allow": [litellm()], "settings": { "url": url },
        "credential": { "bearer": true, "env": "MY_KEY" }
    });
    let _ = place.file("understudy.json", json!({ "plugins": { "my-own": plugin } }).to_string());
    let check = place.run(["plugin", "check", "my-own"]).ok();
    assert!(check.stdout.contains("handler of understudy:plugin@0.1.0"), "{}", check.stdout);
    let mut sample = place.understudy(["sample", "--plugin", "my-own"]);
    sample.env("MY_KEY", KEY);
    let answer = run(sample, &sampling(1, "hello")["params"].to_string()).ok();
    let answer: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|e| panic!("{e}: {}", answer.stdout));
    assert_eq!(answer["content"]["text"], "mock-gpt learned the lines.");
}

#[test]
fn a_plugin_in_typescript_from_an_empty_folder_to_an_answer() {
    from_an_empty_folder_to_an_answer("typescript");
}

#[test]
fn a_plugin_in_javascript_from_an_empty_folder_to_an_answer() {
    from_an_empty_folder_to_an_answer("javascript");
}

#[test]
fn a_plugin_in_python_from_an_empty_folder_to_an_answer() {
    from_an_empty_folder_to_an_answer("python");
}

#[test]
fn a_plugin_in_go_from_an_empty_folder_to_an_answer() {
    from_an_empty_folder_to_an_answer("go");
}

#[test]
fn a_plugin_in_c_from_an_empty_folder_to_an_answer() {
    from_an_empty_folder_to_an_answer("c");
}

/// A guard from `plugin new` to a denied request and a changed answer, through the proxy.
fn from_an_empty_folder_to_a_denied_request(language: &str) {
    let place = Place::new();
    let name = format!("my-guard-in-{language}");
    let component = written(&place, &name, language, "guard");
    let folder = component.parent().unwrap_or(&component);

    let mut check = place.understudy(["plugin", "check", &format!("{name}.wasm"), "--json"]);
    check.current_dir(folder);
    let check = run_within(PATIENCE, check, "");
    let report: Value =
        serde_json::from_str(&check.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", check.stdout, check.stderr));
    assert_eq!((report["passed"].as_bool(), check.code()), (Some(true), 0), "{language}: {report:#}");
    let fixtures = report["rules"].as_array().into_iter().flatten().find(|rule| rule["rule"] == "fixtures");
    assert!(
        fixtures.is_some_and(|rule| rule["said"][0].as_str().is_some_and(|said| said.starts_with("6 in "))),
        "{report:#}"
    );

    let guard = json!({ "component": component, "settings": { "words": ["Project Larch"] } });
    let rule = json!({ "use": "echo", "mode": "always", "guards": ["mine"] });
    let config = place.file("understudy.json", json!({ "guards": { "mine": guard }, "sampling": rule }).to_string());
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    session.say(&sampling(1, "how late is Project Larch?"));
    let denied = session.hear();
    let said = "denied by guard `mine`: the request holds a word of `settings.words`; the server `cat` may not send it to a model";
    assert_eq!((&denied["error"]["code"], &denied["error"]["message"]), (&json!(-1), &json!(said)), "{denied}");
    session.say(&sampling(2, "how late is the larch?"));
    assert_eq!(session.hear()["result"]["content"]["text"], "how late is the larch?");
}

#[test]
fn a_guard_in_rust_from_an_empty_folder_to_a_denied_request() {
    from_an_empty_folder_to_a_denied_request("rust");
}

#[test]
fn a_guard_in_python_from_an_empty_folder_to_a_denied_request() {
    from_an_empty_folder_to_a_denied_request("python");
}
