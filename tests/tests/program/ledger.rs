//! The ledger and its budgets: what is written, what is refused, and that no process can spend what another one has.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::program::{Place, Run, by_shell, run};
use understudy_tests::provider::{Provider, respond, wait_for_hangup};
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
    let _ = ask(&place, "a secret plan").ok();
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
    let refused = ask(&place, "hello");
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
        let sampled = ask(&place, "hello");
        assert!(
            sampled.stderr.contains("own/ledger.db") && sampled.stderr.contains("ledger.onFailure"),
            "{}",
            sampled.stderr
        );
        assert_eq!(provider.seen().len(), asked, "{on_failure}");
    }
}

#[test]
fn a_full_disk_refuses_what_it_cannot_hold_and_loses_nothing() {
    let place = Place::new();
    let provider = Provider::start(|_, stream, _| respond(stream, "200 OK", "", answer(1, 1).as_bytes()));
    let _ = place.file("understudy.json", config(&provider, &json!({"ledger": {"record": "content"}})));
    let _ = ask(&place, "before").ok();
    // No file may grow beyond 4 MiB, and writing more is an error and no signal. What is recorded here is longer.
    let script = "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\"";
    let mut command = by_shell(script, &place.understudy(["sample"]));
    command.env(KEY.0, KEY.1);
    let refused = run(command, &sampling(1, &"x".repeat(5 << 20))["params"].to_string());
    assert!(refused.code() == 1 && refused.stderr.contains("ledger.db-steps"), "{}", refused.stderr);
    assert_eq!(provider.seen().len(), 1);
    let _ = ask(&place, "after").ok();
    assert_eq!(rows(&place).len(), 2);
    let _ = place.run(["ledger", "verify"]).ok();
}

/// What a request of 5 characters and 10 tokens may take at most, as the error of a budget without a token says.
fn worst_case(place: &Place, provider: &Provider) -> u64 {
    let _ = place.file("understudy.json", config(provider, &json!({"budgets": [{"per": "day", "tokens": 0}]})));
    let refused = ask(place, "hello");
    let (_, needed) = refused.stderr.split_once("may take ").unwrap_or_else(|| panic!("{}", refused.stderr));
    needed.split(' ').next().and_then(|tokens| tokens.parse().ok()).unwrap_or_else(|| panic!("{needed}"))
}

fn ask(place: &Place, text: &str) -> Run {
    let mut command = place.understudy(["sample"]);
    command.env(KEY.0, KEY.1);
    run(command, &sampling(1, text)["params"].to_string())
}

#[test]
fn an_exchange_that_breaks_off_counts_as_the_worst_case_and_one_that_is_refused_as_nothing() {
    let tries = AtomicUsize::new(0);
    let provider = Provider::start(move |_, stream, _| match tries.fetch_add(1, Ordering::Relaxed) {
        0 => respond(stream, "503 Service Unavailable", "retry-after: 0\r\n", b"{}"),
        // Less than was promised.
        1 => drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")),
        _ => respond(stream, "200 OK", "", answer(10, 5).as_bytes()),
    });
    let place = Place::new();
    let most = worst_case(&place, &provider);
    let _ = place.file("understudy.json", config(&provider, &json!({"ledger": true, "limits": {"retries": 2}})));
    let _ = ask(&place, "hello").ok();
    let rows = rows(&place);
    let row = &rows[rows.len() - 1];
    let attempts: Vec<_> = row["attempts"].as_array().into_iter().flatten().map(|a| a["is_counted"].clone()).collect();
    assert_eq!((&row["tries"], attempts.as_slice()), (&json!(3), [json!(false), json!(true)].as_slice()), "{row}");
    assert_eq!(row["tokens"], json!(most + 15));
    let _ = place.run(["ledger", "verify"]).ok();
}

#[test]
fn a_request_that_is_given_up_has_one_row_and_counts_as_its_worst_case() {
    let provider = Provider::start(|_, stream, _| wait_for_hangup(stream));
    let place = Place::new();
    let most = worst_case(&place, &provider);
    let _ = place.file("understudy.json", config(&provider, &json!({"ledger": true})));
    let mut session = Session::start_with(&place, &[], &["cat"], &[KEY]);
    session.say(&sampling("a", "hello"));
    provider.gate().wait_for(1);
    session.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "a"}}));
    provider.gate().wait_for_silence();
    let began = Instant::now();
    let row = loop {
        assert!(began.elapsed() < PATIENCE, "the row stays open");
        let rows = rows(&place);
        assert_eq!(rows.len(), 2, "the refused one before, and this one: {rows:?}");
        match rows[1]["outcome"].as_str() {
            // The row may be closed a moment after the request was given up.
            None => std::thread::yield_now(),
            Some(_) => break rows[1].clone(),
        }
    };
    assert_eq!((&row["outcome"], &row["tokens"]), (&json!("cancelled"), &json!(most)));
    let _ = session.end();
}

#[test]
fn the_prices_of_the_built_in_plugins_are_known() {
    for (plugin, key) in
        [("anthropic", "ANTHROPIC_API_KEY"), ("openai", "OPENAI_API_KEY"), ("gemini", "GEMINI_API_KEY")]
    {
        let place = Place::new();
        let config = json!({"sampling": plugin, "budgets": [{"per": "day", "money": "$0.000001"}]});
        let _ = place.file("understudy.json", config.to_string());
        let mut command = place.understudy(["sample"]);
        command.env(key, KEY.1);
        // Nothing is sent: the budget is too small.
        let refused = run(command, &sampling(1, "hello")["params"].to_string());
        assert!(refused.stderr.contains("has $0.000001 left, and this request may take $0."), "{}", refused.stderr);
    }
    // What runs on this machine costs nothing, and isn't running here.
    let place = Place::new();
    let config = json!({"sampling": "local", "budgets": [{"per": "day", "money": "$0"}],
        "plugins": {"local": {"component": "builtin:ollama", "model": "m", "limits": {"retries": 0}}}});
    let _ = place.file("understudy.json", config.to_string());
    let refused = run(place.understudy(["sample"]), &sampling(1, "hello")["params"].to_string());
    assert!(!refused.stderr.contains("budget"), "{}", refused.stderr);
}

#[test]
fn doctor_says_what_servers_may_spend_under_the_example_configs() {
    for (name, expected) in [
        (
            "careful.json",
            "1024 tokens an answer, 10 requests in one tool call, 10 requests a minute, each asked about once a tool, refused outside of tool calls; $0.05 a call for all servers together",
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
                    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
                    let is_killed = n.is_multiple_of(3);
                    if is_killed {
                        // At any moment, which is the point.
                        std::thread::sleep(std::time::Duration::from_millis((n as u64 * 37) % 400));
                        let _ = child.kill();
                    }
                    let ended = child.wait_with_output().unwrap();
                    let said = String::from_utf8_lossy(&ended.stderr);
                    // Waiting for one another is no failure.
                    assert!(is_killed || ended.status.success() || said.contains("the budget of"), "{said}");
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
