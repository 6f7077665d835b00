//! What the sandbox costs: each part beside what it is compared with, interleaved in one run, as ratios of medians.
//!
//! `make bench`. The machine is noisy and the other contestant suffers the same noise: read the ratios, not the times.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark prints, and a failure ends it")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use understudy::config::Config;
use understudy::jsonrpc::Head;
use understudy::plugin::bindings::understudy::plugin::types as wit;
use understudy::plugin::{Engine, Plugin};
use understudy_mcp_types::CreateMessageRequestParams;
use understudy_plugin::{Provider, testing};
use understudy_plugin_anthropic::Anthropic;

const ROUNDS: usize = 60;

type Contestant<'a> = (&'a str, Box<dyn FnMut() + 'a>);

/// The median time of each contestant, in rounds that take turns.
fn race(title: &str, each: u32, mut contestants: Vec<Contestant>) {
    let mut times: Vec<Vec<Duration>> = contestants.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for ((_, run), times) in contestants.iter_mut().zip(&mut times) {
            let began = Instant::now();
            (0..each).for_each(|_| run());
            times.push(began.elapsed() / each);
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e6
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    println!("\n{title}");
    let first = medians.first().copied().unwrap_or(1.0);
    for ((name, _), median) in contestants.iter().zip(&medians) {
        println!("  {name:52} {median:10.1} µs   {:6.2} ×", median / first);
    }
}

fn params(bytes: usize) -> Value {
    let text = "All the world's a stage, and all the men and women merely players. ".repeat(bytes / 67 + 1);
    let message = json!({ "role": "user", "content": { "type": "text", "text": text.get(..bytes) } });
    json!({ "messages": [message], "maxTokens": 1000, "systemPrompt": "Be brief.", "temperature": 0.7 })
}

fn answer() -> Vec<u8> {
    let usage = json!({ "input_tokens": 10, "output_tokens": 20 });
    let content = json!([{ "type": "text", "text": "They have their exits and their entrances." }]);
    json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage })
    .to_string()
    .into_bytes()
}

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let engine = Engine::new(None).expect("an engine");
    let config = Config::parse("{}", Path::new("bench")).expect("a config");
    let config = config.plugin("anthropic", |_| None).expect("a built-in plugin");
    let plugin = runtime.block_on(Plugin::load(engine, &config)).expect("a plugin");
    println!("medians of {ROUNDS} rounds, and as multiples of each first line");

    for (title, bytes, each) in [("1 KB prompt", 1000, 50), ("100 KB prompt", 100_000, 10)] {
        let text = params(bytes).to_string();
        let parse = || CreateMessageRequestParams::from_json(text.as_bytes()).expect("parameters");
        let native = || {
            let step = Anthropic::start(testing::request(&text), testing::options("m", &json!({})));
            let Ok(understudy_plugin::types::Step::Fetch(fetch)) = step else { return };
            black_box(Anthropic::resume(fetch.state, testing::response(200, &[], answer())).is_ok());
        };
        let options = Arc::new(wit::Options {
            model: "m".to_owned(),
            request_id: "1".to_owned(),
            server: "s".to_owned(),
            settings: "{}".to_owned(),
            extensions: "{}".to_owned(),
        });
        let response =
            wit::HttpResponse { status: 200, headers: Vec::new(), body: answer(), extensions: "{}".to_owned() };
        let sandboxed = || {
            let params = parse();
            params.validate().expect("valid parameters");
            let request = Arc::new(wit::CreateMessageRequest::from(params));
            runtime.block_on(async {
                let step = plugin.start(&request, &options).await.expect("a step");
                let wit::Step::Fetch(fetch) = step else { return };
                black_box(plugin.resume(&fetch.state.into(), response.clone()).await.is_ok());
            });
        };
        race(
            &format!("parse, validate, `start` and `resume` of `anthropic`, {title}"),
            each,
            vec![
                ("the same code native", Box::new(native)),
                ("sandboxed, a fresh instance for each call", Box::new(sandboxed)),
            ],
        );
    }

    let small =
        json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [{ "type": "text", "text": "x".repeat(900) }] } })
            .to_string();
    let large = json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [{ "type": "image", "data": "A".repeat(5_000_000) }] } }).to_string();
    for (title, line, each) in [("1 KB", &small, 2000), ("5 MB", &large, 3)] {
        race(
            &format!("finding out that a line of {title} isn't ours"),
            each,
            vec![
                ("the scan", Box::new(|| drop(black_box(Head::of(line.as_bytes()))))),
                ("parsing it with serde_json", Box::new(|| drop(black_box(serde_json::from_str::<Value>(line))))),
            ],
        );
    }
}
