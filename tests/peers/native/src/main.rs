//! The native proxy of the race: `race-native [--config FILE] -- COMMAND ARGS…` is `understudy proxy --plugin anthropic -- COMMAND ARGS…`
//! without wasm, and without whatever else of starting isn't needed for that.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use mimalloc::MiMalloc;
use native::config::{Config, Sampling};
use native::outbound::Http;
use native::relay::{Relay, RelayOptions};
use native::sampling::{ConfiguredPlugin, Sampler};
use native::sandbox::Engine;
use native::transport::child::Program;
use native::transport::server::ServerAddress;
use native::transport::stdio;

/// As Understudy has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run())?;
    runtime.shutdown_background();
    Ok(())
}

async fn run() -> Result<()> {
    let mut args = std::env::args().skip(1).peekable();
    let config = match args.next_if(|arg| arg == "--config") {
        Some(_) => Config::find(Some(&PathBuf::from(args.next().context("no file")?)))?,
        None => Config::default(),
    };
    anyhow::ensure!(args.next().as_deref() == Some("--"), "race-native [--config FILE] -- COMMAND ARGS…");
    proxy(&config, args.next().context("no command")?, args.collect()).await
}

async fn proxy(config: &Config, command: String, args: Vec<String>) -> Result<()> {
    let env = |name: &str| std::env::var(name).ok();
    let rule = Sampling { requests_per_call: u32::MAX, ..Sampling::by(vec!["anthropic".to_owned()]) };
    let plugin = config.plugin("anthropic", env)?;
    let chain = vec![ConfiguredPlugin::load(&Arc::new(Engine), &plugin, env).await?];
    let sampler = Arc::new(Sampler::new("race", &rule, chain, Arc::new(Http::default()), config));
    let terms = RelayOptions::new(config.limits.line);
    let program = Program { command, args, withheld: sampler.withheld(), ..Program::default() };
    let (side, mut back) = ServerAddress::Program(program).start(terms.line).await?;
    let stdio::Front { side: front, writer, .. } = stdio::front(terms.line)?;
    let mut relay = Relay::start(front, side, Some((rule, sampler)), terms);
    back.ended().await?;
    relay.ended().await;
    drop(relay);
    tokio::task::spawn_blocking(move || writer.join()).await?.ok().context("the writer panicked")
}
