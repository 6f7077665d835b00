//! `understudy tools`: what a server offers.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::args::{ClientArgs, GlobalArgs};
use super::output::{Outcome, out};
use super::setup;
use crate::client::tool_name;
use understudy::text::one_line;

/// Arguments of `tools`.
#[derive(Debug, Args)]
pub(super) struct ToolsArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Write the tools as JSON, in the server's own description
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(global: &GlobalArgs, args: ToolsArgs) -> Result<Outcome> {
    let tools = setup::with_client(global, &args.client, async |client, _| client.tools().await).await?;
    if args.json {
        out(&format!("{:#}", Value::Array(tools)))?;
        return Ok(Outcome::Done);
    }
    for tool in &tools {
        // A name with a line's end would look like two tools.
        let name = one_line(tool_name(tool), usize::MAX);
        out(&format!("{name}  {}", one_line(tool["description"].as_str().unwrap_or_default(), 100)))?;
    }
    Ok(Outcome::Done)
}
