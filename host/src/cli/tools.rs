//! `understudy tools`: what a server offers.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use super::{End, Global, SamplingArgs, ServerArgs, out, proxy, stage};
use crate::client::{self, Client};
use crate::text::one_line;

/// Arguments of `tools`.
#[derive(Debug, Args)]
pub(super) struct ToolsArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Write the tools as JSON, as the server describes them
    #[arg(long)]
    json: bool,
}

/// What every verb that is a client understands.
#[derive(Debug, Args)]
pub(super) struct ClientArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
    /// The longest that all of it may take
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
}

impl ClientArgs {
    /// Connects, does something, and ends the session; all within the time allowed.
    pub(super) async fn with_client<T>(
        &self,
        global: &Global,
        work: impl AsyncFnOnce(&mut Client, bool) -> Result<T>,
    ) -> Result<T> {
        let stage = stage::set(global, &self.server, &self.sampling).await?;
        let sampling = stage.answering().is_some();
        let all = async {
            let answering = stage.answering();
            let rule = answering.as_ref().map(|(rule, _)| rule);
            let era = client::era_of(&stage.place, stage.terms.line, rule).await;
            let (side, back) = proxy::start(&stage).await?;
            let mut client = Client::connect(side, back, stage.answering(), stage.terms.clone(), era).await?;
            let outcome = work(&mut client, sampling).await;
            client.close().await;
            outcome
        };
        let outcome = tokio::time::timeout(self.timeout, all).await;
        outcome.with_context(|| format!("`{}` took longer than {:?} (`--timeout`)", stage.name, self.timeout))?
    }
}

pub(super) async fn run(global: &Global, args: ToolsArgs) -> Result<End> {
    let tools = args.client.with_client(global, async |client, _| client.tools().await).await?;
    if args.json {
        out(&format!("{:#}", Value::Array(tools)))?;
        return Ok(End::Done);
    }
    for tool in &tools {
        // A name with a line's end would look like two tools.
        let name = one_line(name(tool), usize::MAX);
        out(&format!("{name}  {}", one_line(tool["description"].as_str().unwrap_or_default(), 100)))?;
    }
    Ok(End::Done)
}

/// A tool's name.
pub(super) fn name(tool: &Value) -> &str {
    tool.get("name").and_then(Value::as_str).unwrap_or_default()
}
