//! The ledger and its budgets: what is written, what is refused, and that no process can spend what another one has.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use understudy_tests::program::{Place, run};
use understudy_tests::provider::{Provider, respond};
use understudy_tests::session::{Session, sampling};

const KEY: (&str, &str) = ("OPENAI_API_KEY", "sk-understudy-test-0123456789");

fn answer(input: u64, output: u64) -> String {
    let message = json!({"role": "assistant", "content": "hello"});
    let choices = json!([{"index": 0, "finish_reason": "stop", "message": message}]);
    let usage =
        json!({"prompt_tokens": input, "completion_tokens": output, "prompt_tokens_details": {"cached_tokens": 4}});
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage})
        .to_string()
}

/// A config whose plugin `p` asks this provider for its model `m`, $1 and $2 a million tokens.
fn config(provider: &Provider, more: &Value) -> String {
    let prices = json!({"m": {"input": "$1", "output": "$2", "cacheRead": "$0"}});
    let plugin = json!({"component": "builtin:openai", "model": "m", "endpoint": provider.url, "prices": prices,
        "credential": {"env": KEY.0}});
    let mut config = json!({"plugins": {"p": plugin}, "sampling": "p", "limits": {"retries": 0}});
    for (key, value) in more.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    config.to_string()
}

fn rows(place: &Place) -> Vec<Value> {
    let listed = place.run(["ledger", "-n", "0", "--json"]).ok();
    serde_json::from_str(&listed.stdout).unwrap_or_default()
}

#[test]
fn a_request_is_written_down_with_what_the_provider_counted() {
    let place = Place::new();
    let provider = Provider::start(|_, stream, _| respond(stream, "200 OK", "", answer(10, 5).as_bytes()));
    let _ = place.file("understudy.json", config(&provider, &json!({"ledger": {"record": "content"}})));
    let mut command = place.understudy(["sample"]);
    command.env(KEY.0, KEY.1);
    let _ = run(command, &sampling(1, "a secret plan")["params"].to_string()).ok();
    let rows = rows(&place);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((&row["outcome"], &row["tokens"], &row["tries"]), (&json!("answered"), &json!(15), &json!(1)));
    // 6 tokens at $1, 4 for nothing, 5 at $2 a million.
    assert_eq!(row["cost"], "$0.000016");
    let attempt = &row["attempts"][0];
    assert_eq!((&attempt["plugin"], &attempt["model"], &attempt["cache_read"]), (&json!("p"), &json!("m"), &json!(4)));
    let shown: Value = serde_json::from_str(&place.run(["ledger", "show", "1", "--json"]).ok().stdout).unwrap();
    assert!(shown["content"]["question"].as_str().unwrap().contains("a secret plan"), "{shown}");
    assert!(shown["content"]["answer"].as_str().unwrap().contains("hello"), "{shown}");
    let spent = place.run(["spend", "--by", "model", "--csv"]).ok().stdout;
    assert_eq!(spent, "name,requests,tokens,cost,unpriced\nm,1,15,$0.000016,0\n");
    let verified = place.run(["ledger", "verify"]).ok().stdout;
    assert!(verified.starts_with("1 requests, 2 links, head "), "{verified}");
}

#[test]
fn a_refusal_says_what_is_left_and_when_it_begins_anew_to_the_server_too() {
    let place = Place::new();
    let provider = Provider::start(|_, stream, _| respond(stream, "200 OK", "", answer(1, 1).as_bytes()));
    let budget = json!({"budgets": [{"per": "day", "requests": 1}]});
    let _ = place.file("understudy.json", config(&provider, &budget));
    let mut session = Session::start_with(&place, &[], &["cat"], &[KEY]);
    session.say(&sampling("a", "hello"));
    assert_eq!(session.hear()["result"]["model"], "m");
    session.say(&sampling("b", "hello"));
    let error = session.hear()["error"].clone();
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("the budget of 1 request a day (`budgets[0]`) has 0 requests left"), "{message}");
    let data = &error["data"];
    assert_eq!(
        (&data["budget"], &data["of"], &data["left"]),
        (&json!("budgets[0]"), &json!("requests"), &json!("0 requests"))
    );
    assert!(data["anew"].as_str().unwrap().ends_with('Z'), "{data}");
    let _ = session.end();
    let outcomes: Vec<_> = rows(&place).iter().map(|row| row["outcome"].clone()).collect();
    assert_eq!(outcomes, [json!("answered"), json!("refused")]);
    assert_eq!(provider.seen().len(), 1);
}

#[test]
fn a_budget_of_money_wants_to_know_the_price() {
    let place = Place::new();
    let provider = Provider::start(|_, stream, _| respond(stream, "200 OK", "", answer(1, 1).as_bytes()));
    let mut with_price: Value =
        serde_json::from_str(&config(&provider, &json!({"budgets": [{"per": "day", "money": "$1"}]}))).unwrap();
    with_price["plugins"]["p"].as_object_mut().unwrap().remove("prices");
    let _ = place.file("understudy.json", with_price.to_string());
    let mut command = place.understudy(["sample"]);
    command.env(KEY.0, KEY.1);
    let refused = run(command, &sampling(1, "hello")["params"].to_string());
    assert!(refused.stderr.contains(r#"`plugins.p.prices`: {"m": {"input":"#), "{}", refused.stderr);
    assert_eq!((refused.code(), provider.seen().len()), (1, 0));
}

#[test]
fn what_cannot_be_recorded_is_not_asked_unless_the_config_says_so() {
    let place = Place::new();
    let provider = Provider::start(|_, stream, _| respond(stream, "200 OK", "", answer(1, 1).as_bytes()));
    let own = place.path().join("own");
    std::fs::DirBuilder::new().mode(0o700).create(own).unwrap();
    let _ = place.file("own/ledger.db", "This is no database. ".repeat(200));
    for (on_failure, asked) in [("refuse", 0), ("allow", 1)] {
        let ledger = json!({"ledger": {"path": "own/ledger.db", "onFailure": on_failure}});
        let _ = place.file("understudy.json", config(&provider, &ledger));
        let mut command = place.understudy(["sample"]);
        command.env(KEY.0, KEY.1);
        let sampled = run(command, &sampling(1, "hello")["params"].to_string());
        assert!(
            sampled.stderr.contains("own/ledger.db") && sampled.stderr.contains("ledger.onFailure"),
            "{}",
            sampled.stderr
        );
        assert_eq!(provider.seen().len(), asked, "{on_failure}");
    }
}

#[test]
fn doctor_says_what_servers_may_spend_under_the_example_configs() {
    for (name, expected) in [
        (
            "careful.json",
            "1024 tokens an answer, 10 requests in one tool call, 10 requests a minute; $0.05 a call for all servers together",
        ),
        (
            "generous.json",
            "32000 tokens an answer, 1000 requests in one tool call; $200.00 a month for all servers together",
        ),
    ] {
        let place = Place::new();
        let path = understudy_tests::peers::workspace().join("examples/configs").join(name);
        let text = std::fs::read_to_string(path).unwrap();
        let server = r#""mcpServers": { "code": { "command": "true" } }, "sampling""#;
        let _ = place.file("understudy.json", text.replacen("\"sampling\"", server, 1));
        let mut command = place.understudy(["doctor"]);
        command.env("ANTHROPIC_API_KEY", KEY.1);
        let said = run(command, "").ok().stdout;
        assert!(said.contains(expected) && said.contains("the ledger will be"), "{said}");
    }
    let place = Place::new();
    let _ = place.file("understudy.json", r#"{"mcpServers": {"code": {"command": "true"}}, "sampling": "echo"}"#);
    let said = place.run(["doctor"]).ok().stdout;
    assert!(said.contains("4096 tokens an answer, 100 requests in one tool call; no budget bounds it"), "{said}");
    assert!(said.contains("nothing is recorded"), "{said}");
}

/// Sixteen processes at a time, one request each, some of them killed at any moment.
#[test]
fn no_budget_is_overspent_however_many_processes_ask_and_die() {
    const AT_ONCE: usize = 16;
    let asks: usize = std::env::var("ASKS").map_or(128, |asks| asks.parse().unwrap());
    let most = asks / 2;
    let place = Place::new();
    let provider = Provider::start(|_, stream, _| respond(stream, "200 OK", "", answer(10, 5).as_bytes()));
    let more = json!({"ledger": {"record": "content"}, "budgets": [{"per": "month", "requests": most}]});
    let _ = place.file("understudy.json", config(&provider, &more));
    // The plugin is compiled before.
    let _ = place.run(["plugin", "inspect", "p"]).ok();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= asks {
                        return;
                    }
                    let file = place
                        .file(&format!("request-{n}"), sampling(1, &format!("request {n}."))["params"].to_string());
                    let mut command = place.understudy(["sample"]);
                    command.env(KEY.0, KEY.1).stdin(std::fs::File::open(file).unwrap());
                    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                    if n.is_multiple_of(3) {
                        // At any moment, which is the point.
                        std::thread::sleep(std::time::Duration::from_millis((n as u64 * 37) % 400));
                        let _ = child.kill();
                    }
                    let _ = child.wait().unwrap();
                }
            });
        }
    });
    let asked = provider.seen();
    assert!(asked.len() <= most, "{} of {most}", asked.len());
    let rows = rows(&place);
    let with_attempt =
        rows.iter().filter(|row| row["attempts"].as_array().is_some_and(|attempts| !attempts.is_empty()));
    let with_attempt: Vec<_> = with_attempt.collect();
    assert!(with_attempt.len() <= most && with_attempt.len() >= asked.len(), "{}", with_attempt.len());
    let written: BTreeSet<String> = with_attempt
        .iter()
        .map(|row| place.run(["ledger", "show", &row["id"].to_string(), "--json"]).ok().stdout)
        .map(|shown| serde_json::from_str::<Value>(&shown).unwrap()["content"]["question"].as_str().unwrap().to_owned())
        .collect();
    for request in &asked {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let text = body["messages"][0]["content"].as_str().unwrap_or_default();
        assert!(text.starts_with("request ") && written.iter().any(|own| own.contains(text)), "{body}");
    }
    let answered = rows.iter().filter(|row| row["outcome"] == "answered");
    assert!(answered.clone().all(|row| row["tokens"] == 15) && answered.count() <= asked.len());
    let _ = place.run(["ledger", "verify"]).ok();
}
