//! `understudy demo`: the main job on real input, hop by hop, without a key and without a network.

use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::args::{GlobalArgs, SamplingArgs, ServerArgs};
use super::output::{Outcome, note, out};
use super::setup;
use crate::client::Client;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// The text to summarize [default: the first pages of a book]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The plugin that answers
    #[arg(long, value_name = "PLUGIN", default_value = "extractive")]
    plugin: String,
    /// The command of a server with a tool `summarize` [default: the example server beside this program]
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// The example server of `examples/servers/summarize`.
const SERVER: &str = "summarize-server";
const TEXT: &str = include_str!("demo/origin-of-species.txt");

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) async fn run(global: &GlobalArgs, args: DemoArgs) -> Result<Outcome> {
    LazyLock::force(&BEGAN);
    let text = match &args.file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("can't read `{}`", file.display()))?,
        None => TEXT.to_owned(),
    };
    let command = if args.command.is_empty() { vec![example_server()?] } else { args.command };
    let server = ServerArgs::of_command(command);
    let sampling = SamplingArgs { plugin: vec![args.plugin], ..SamplingArgs::default() };
    let server = setup::server(global, &server, &sampling).await?;
    step(&format!(
        "the plugin `{}` is loaded: a WebAssembly component without files, network or keys",
        sampling.plugin.join("")
    ));
    let (side, back) = server.start().await?;
    let mut client = Client::connect(side, back, server.answering(), server.relay, mcp::Era::Stateful).await?;
    step(&format!(
        "the client and the server `{}` have shaken hands: the client can't sample, Understudy said it can",
        server.name
    ));
    step(&format!("the client calls the tool `summarize` with a text of {} words", text.split_whitespace().count()));
    let began = Instant::now();
    let result = client.call("summarize", &json!({ "text_to_summarize": text })).await?;
    step(&format!(
        "the client gets the tool's result, {:.1} ms after it asked",
        began.elapsed().as_secs_f64() * 1000.0
    ));
    client.close().await;
    let answer = result.pointer("/content/0/text").and_then(Value::as_str).unwrap_or_default();
    if result.get("isError").and_then(Value::as_bool).unwrap_or_default() || answer.is_empty() {
        bail!("the tool failed: {}", understudy::text::one_line(answer, 500));
    }
    out(answer)?;
    Ok(Outcome::Done)
}

fn example_server() -> Result<String> {
    let beside = std::env::current_exe().context("can't tell where this program is")?.with_file_name(SERVER);
    if !beside.is_file() {
        bail!(
            "the example server is not at `{}`; build it with `cargo build --package {SERVER}`, or name a server that has a tool `summarize`: `understudy demo -- COMMAND`",
            beside.display()
        );
    }
    Ok(beside.to_string_lossy().into_owned())
}

fn step(text: &str) {
    note(&format!("{:>8.1} ms  {text}", BEGAN.elapsed().as_secs_f64() * 1000.0));
}

/// Shows the hops of a sampling request as they happen.
pub(super) fn start_log() {
    LazyLock::force(&BEGAN);
    // A program that embeds this library may have a log of its own.
    let _ = tracing_subscriber::registry().with(Hops).try_init();
}

struct Hops;

impl<S: tracing::Subscriber> Layer<S> for Hops {
    fn on_event(&self, event: &tracing::Event<'_>, _: LayerContext<'_, S>) {
        let (target, level) = (event.metadata().target(), *event.metadata().level());
        let is_warning = target.starts_with("understudy") && level <= tracing::Level::WARN;
        if target != "understudy::hop" && !is_warning {
            return;
        }
        let mut words = Words::default();
        event.record(&mut words);
        let took = if words.took.is_empty() { String::new() } else { format!("  [{}]", words.took) };
        step(&format!("{}{took}", words.message));
    }
}

#[derive(Default)]
struct Words {
    message: String,
    took: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "took" => self.took = format!("{value:?}"),
            _ => {}
        }
    }
}
