//! How long a cancellation takes to reach whatever works on the answer: the provider's connection, and a guest that never ends by itself.
//!
//! `make bench-attacks`. From the moment in which the one who cancels has said so.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints, and a failure ends it"
)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use understudy::config::Sampling;
use understudy_tests::guests;
use understudy_tests::relayed::Relayed;
use understudy_tests::session::sampling;

const RUNS: u64 = 200;

/// What a provider that thinks for ever notices: a request, and when its connection was closed.
#[derive(Debug)]
enum Noticed {
    Request,
    Closed(Instant),
}

async fn provider() -> (String, mpsc::Receiver<Noticed>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, noticed) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut piece = vec![0; 65_536];
                let mut said = false;
                while stream.read(&mut piece).await.is_ok_and(|read| read > 0) {
                    if !std::mem::replace(&mut said, true) {
                        let _ = sender.send(Noticed::Request).await;
                    }
                }
                let _ = sender.send(Noticed::Closed(Instant::now())).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (url, noticed)
}

fn cancelled(id: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } })
}

fn print(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() - 1) * share / 100).copied().unwrap_or_default().as_secs_f64() * 1e3;
    println!("  {name:60} p50 {:6.2} ms   p99 {:6.2} ms   longest {:6.2} ms", at(50), at(99), at(100));
}

/// The server cancels its request; or the client the call in whose course it was made.
async fn connection(by_client: bool) -> Vec<Duration> {
    let (url, mut noticed) = provider().await;
    let config = json!({ "plugins": { "p": { "component": "builtin:ollama", "endpoint": url, "model": "m" } } });
    let mut relayed =
        Relayed::with(&config, Sampling { requests_per_call: u32::MAX, ..Sampling::by(vec!["p".to_owned()]) }, None)
            .await;
    let mut times = Vec::new();
    for id in 0..RUNS {
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "t" } });
        relayed.client.say(&call).await;
        relayed.server.hear().await;
        relayed.server.say(&sampling(id, "think")).await;
        assert!(matches!(noticed.recv().await, Some(Noticed::Request)));
        let began = Instant::now();
        if by_client {
            relayed.client.say(&cancelled(&json!(id))).await;
        } else {
            relayed.server.say(&cancelled(&json!(id))).await;
        }
        let Some(Noticed::Closed(closed)) = noticed.recv().await else { panic!("another request") };
        times.push(closed.saturating_duration_since(began));
        if by_client {
            // The cancellation itself, and the error for what was asked.
            let _ = (relayed.server.hear().await, relayed.server.hear().await);
        } else {
            relayed.server.say(&json!({ "jsonrpc": "2.0", "id": id, "result": {} })).await;
            relayed.client.hear().await;
        }
    }
    times
}

/// A plugin that may have one instance: the next request begins when the guest has gone that was cancelled.
async fn guest() -> Vec<Duration> {
    let folder = tempfile::tempdir().expect("a folder");
    let component = guests::write("faulty", folder.path());
    let limits = json!({ "instances": 1, "cpu": "1 min" });
    let config =
        json!({ "plugins": { "p": { "component": component, "endpoint": "http://127.0.0.1:9", "limits": limits } } });
    let mut relayed =
        Relayed::with(&config, Sampling { requests_per_call: u32::MAX, ..Sampling::by(vec!["p".to_owned()]) }, None)
            .await;
    let mut times = Vec::new();
    for id in 0..RUNS {
        relayed.server.say(&sampling(2 * id, "loop")).await;
        // Long enough for the guest to have begun.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let began = Instant::now();
        relayed.server.say(&cancelled(&json!(2 * id))).await;
        relayed.server.say(&sampling(2 * id + 1, "trap")).await;
        let answer = relayed.server.hear().await;
        assert_eq!(answer.get("id"), Some(&json!(2 * id + 1)), "{answer}");
        times.push(began.elapsed());
    }
    times
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        println!("from a cancellation to the end of the work ({RUNS} runs; to stay under 100 ms)");
        print("the server cancels: the provider's connection is closed", connection(false).await);
        print("the client cancels its call: the same", connection(true).await);
        print("the server cancels: a guest in an endless loop is gone", guest().await);
    });
}
