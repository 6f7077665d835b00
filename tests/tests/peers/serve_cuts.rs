//! Connections that are cut at random, over and over: nothing is lost, and nothing comes twice.
//!
//! `REQUESTS=100000 cargo test --workspace --test peers serve_cuts` makes as many sampling requests as that in each test, instead of two thousand; a failure
//! names the seed, which `SEED` takes.
#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use serde_json::{Value, json};
use understudy_tests::http::Answer;
use understudy_tests::peers::{python, script};
use understudy_tests::program::Place;
use understudy_tests::served::{Served, Session, initialize};

/// So many clients' threads share the session, and so many requests each call makes.
const THREADS: u64 = 6;
const EACH: u64 = 5;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// A session with the counting server, of a client that declares what `capabilities` says.
fn begin<'a>(served: &'a Served, capabilities: &Value) -> Session<'a> {
    let mut hello = initialize("2025-11-25");
    hello["params"]["capabilities"] = capabilities.clone();
    let begun = served.send("POST", "/counting/mcp", &[("accept", "application/json")], &hello.to_string());
    let mut session = served.session_at("/counting/mcp", begun.header("mcp-session-id"), "2025-11-25");
    begun.json()["result"]["protocolVersion"].as_str().unwrap_or_default().clone_into(&mut session.version);
    session.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    session
}

/// What the client is told, one message after the other, however often it hangs up in between.
struct Cut<'a> {
    session: &'a Session<'a>,
    stream: Answer,
    last: Option<String>,
    rng: Rng,
    cuts: &'a AtomicU64,
}

impl Cut<'_> {
    /// Hangs up and comes back, if there is anything to come back with.
    fn cut(&mut self) -> bool {
        if self.last.is_some() {
            self.cuts.fetch_add(1, Ordering::Relaxed);
            self.stream = self.session.listen(self.last.as_deref());
            assert_eq!(self.stream.status, 200, "behind {:?}", self.last);
        }
        self.last.is_some()
    }

    fn next(&mut self) -> Value {
        loop {
            if self.rng.f32() < 0.4 {
                self.cut();
            }
            let event = self.stream.event().unwrap_or_else(|| panic!("the stream ended behind {:?}", self.last));
            // What has been sent may be lost with its connection.
            if self.rng.f32() < 0.1 && self.cut() {
                continue;
            }
            self.last = event.id.clone().or(self.last.take());
            if !event.data.is_empty() {
                return event.message();
            }
        }
    }
}

/// One call of the tool, whose requests Understudy answers, or the client, on whatever stream they come.
fn call(session: &Session, id: u64, rng: Rng, cuts: &AtomicU64, answered: &Mutex<HashSet<String>>) {
    let params = json!({"name": "ask", "arguments": {"n": EACH}, "_meta": {"progressToken": id}});
    let stream = session.post(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}));
    if stream.header("content-type") == "application/json" {
        return check(id, &stream.json());
    }
    let mut stream = Cut { session, stream, last: None, rng, cuts };
    let mut progress = 0;
    loop {
        let message = stream.next();
        match message["method"].as_str() {
            Some("sampling/createMessage") => answer(session, &message, answered),
            Some("notifications/progress") if message["params"]["progressToken"] == id => {
                progress += 1;
                assert_eq!(message["params"]["progress"], progress, "{id}: {message}");
            }
            Some(_) => panic!("{id}: {message}"),
            None => {
                assert_eq!(progress, EACH, "{id}");
                return check(id, &message);
            }
        }
    }
}

fn check(id: u64, message: &Value) {
    let expected: Vec<String> = (0..EACH).map(|i| format!("question {i} of {id}")).collect();
    assert_eq!(
        (&message["id"], message["result"]["content"][0]["text"].as_str()),
        (&json!(id), Some(&*expected.join("|")))
    );
}

/// The client answers a sampling request, which it hasn't seen before.
fn answer(session: &Session, message: &Value, answered: &Mutex<HashSet<String>>) {
    let id = message["id"].as_str().unwrap_or_default().to_owned();
    assert!(answered.lock().unwrap().insert(id.clone()), "{id} comes twice");
    let content = &message["params"]["messages"][0]["content"];
    let result = json!({"role": "assistant", "model": "client", "content": content});
    session.say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
}

fn run(capabilities: &Value, listens: bool) {
    let requests = number("REQUESTS").unwrap_or(2_000);
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..));
    let place = Place::new();
    let config = json!({
        "mcpServers": { "counting": { "command": python(), "args": [script("counting_server.py")] } },
        "sampling": "echo",
    });
    let served = Served::start(&place, &config);
    let session = begin(&served, capabilities);
    let (cuts, answered, next) = (AtomicU64::new(0), Mutex::default(), AtomicU64::new(1));
    let calls = requests / EACH;
    // From now on the server's requests come here.
    let listening = listens.then(|| session.listen(None));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (session, cuts, answered, next) = (&session, &cuts, &answered, &next);
            scope.spawn(move || {
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    if id > calls {
                        return;
                    }
                    call(session, id, Rng::with_seed(seed.wrapping_add(id * 100 + thread)), cuts, answered);
                }
            });
        }
        if let Some(stream) = listening {
            let (session, cuts, answered) = (&session, &cuts, &answered);
            scope.spawn(move || {
                let mut stream = Cut { session, stream, last: None, rng: Rng::with_seed(seed), cuts };
                for _ in 0..calls * EACH {
                    answer(session, &stream.next(), answered);
                }
            });
        }
    });
    let params = json!({"name": "report", "arguments": {}});
    let report = session.post(&json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": params})).json();
    let counts: Value = report["result"]["content"][0]["text"]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    assert_eq!(counts, json!({"asked": calls * EACH, "answered": calls * EACH, "surplus": 0}), "seed {seed}");
    let (cuts, by_client) = (cuts.into_inner(), answered.into_inner().unwrap().len() as u64);
    assert_eq!(by_client, if capabilities["sampling"].is_object() { calls * EACH } else { 0 }, "seed {seed}");
    assert!(cuts > calls / 10, "{cuts} cuts in {calls} calls, seed {seed}");
}

#[test]
fn requests_that_understudy_answers_survive_every_cut_of_their_calls_streams() {
    run(&json!({}), false);
}

#[test]
fn requests_that_the_client_answers_come_once_each_however_its_streams_are_cut() {
    run(&json!({"sampling": {}}), false);
}

#[test]
fn requests_on_a_standalone_stream_come_once_each_however_it_is_cut() {
    run(&json!({"sampling": {}}), true);
}
