//! A matrix client on the Rust SDK, rmcp 3.9: both eras. `--era auto` asks with `server/discover` and falls back to
//! `initialize`.
//!
//! ```text
//! matrix-rmcp-client [--era legacy|modern|auto] (--url URL [--header 'K: V']… | -- COMMAND ARGS…)
//! ```
//!
//! Options and lines are those of `python/matrix_clients.py`, but `--pin`; `--sampling-hang` is that of `node/peers.mjs`.

mod answers;
mod lines;

use std::collections::HashMap;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use http::{HeaderName, HeaderValue};
use rmcp::RoleClient;
use rmcp::model::ProtocolVersion;
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use serde_json::json;
use tokio::process::Command;

use crate::answers::Answers;

#[derive(Parser)]
#[command(about = "A matrix client on the Rust SDK")]
struct Options {
    #[arg(long, default_value = "auto")]
    era: Era,
    #[arg(long, required_unless_present = "command", conflicts_with = "command")]
    url: Option<String>,
    #[arg(long = "header", value_name = "K: V", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Declare sampling, and answer every request with this.
    #[arg(long, value_name = "TEXT")]
    sampling: Option<String>,
    /// With --sampling: call each tool offered first.
    #[arg(long)]
    tool_use: bool,
    /// Declare sampling, and never answer.
    #[arg(long)]
    sampling_hang: bool,
    #[arg(long)]
    no_elicitation: bool,
    /// The server to start.
    #[arg(last = true)]
    command: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Era {
    Legacy,
    Modern,
    Auto,
}

fn header(line: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':').context("a header is `K: V`")?;
    Ok((name.trim().parse()?, value.trim().parse()?))
}

type Client = RunningService<RoleClient, Answers>;

async fn connect(options: Options) -> anyhow::Result<Client> {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let lifecycle = match options.era {
        Era::Legacy => ClientLifecycleMode::Initialize,
        Era::Modern => ClientLifecycleMode::Discover { preferred_versions },
        Era::Auto => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
    };
    let answers = Answers {
        sampling: options.sampling,
        tool_use: options.tool_use,
        hangs: options.sampling_hang,
        elicitation: !options.no_elicitation,
    };
    if let Some(url) = options.url {
        let headers: HashMap<_, _> = options.headers.into_iter().collect();
        let config = StreamableHttpClientTransportConfig::with_uri(url).custom_headers(headers);
        let http = StreamableHttpClientTransport::from_config(config);
        return Ok(answers.serve_with_lifecycle(http, lifecycle).await?);
    }
    let (program, args) = options.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(args);
    Ok(answers.serve_with_lifecycle(TokioChildProcess::new(command)?, lifecycle).await?)
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    // Built with the workspace's features, reqwest wants to be given its cryptography, for plain HTTP too. An error
    // means that it has some.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match connect(options).await {
        Ok(client) => {
            lines::obey(client).await?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            lines::print(&json!({ "failed": format!("{error:#}") }))?;
            Ok(ExitCode::FAILURE)
        }
    }
}
