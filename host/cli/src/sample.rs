//! `understudy sample`: one sampling request, without any server.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use mcp::{Head, Parts};
use serde_json::Value;

use super::args::{GlobalArgs, SamplingArgs};
use super::output::{Outcome, out};
use super::setup;
use super::terminal::AskInTerminal;
use understudy::approval::{ApprovalSession, Approver};
use understudy::sampling::SamplingRequest;

/// Arguments of `sample`.
#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// A file with `CreateMessageRequestParams` as JSON, or with a whole `sampling/createMessage` request [default: stdin]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

pub(super) async fn run(global: &GlobalArgs, args: SampleArgs) -> Result<Outcome> {
    let sampler = setup::sampler(global, &args.sampling).await?;
    let text = read_input(args.file.as_ref())?;
    let place = args.file.as_ref().map_or_else(|| "stdin".to_owned(), |path| format!("`{}`", path.display()));
    let request = Parts::of(text.as_bytes()).with_context(|| format!("{place} holds no JSON object"))?;
    let params = match request.params {
        Some(params) if Head::of(text.as_bytes()).method().is_some() => params.get().to_owned(),
        _ => text,
    };
    let approver =
        sampler.asks_for_approval().then(|| Approver::new(Arc::new(AskInTerminal), ApprovalSession::shared()));
    let request = SamplingRequest { approver, ..SamplingRequest::new(params.as_bytes()) };
    let result = sampler.create_message_json(request).await?;
    let result: Value = serde_json::from_str(&result)?;
    out(&format!("{result:#}"))?;
    Ok(Outcome::Done)
}

/// Text from a file, or from stdin for `-` or none.
fn read_input(file: Option<&PathBuf>) -> Result<String> {
    match file.filter(|path| path.as_os_str() != "-") {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display())),
        None => std::io::read_to_string(std::io::stdin()).context("can't read stdin"),
    }
}
