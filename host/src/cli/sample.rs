//! `understudy sample`: one sampling request, without any server.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use super::{End, Global, SamplingArgs, out, stage};

/// Arguments of `sample`.
#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// `CreateMessageRequestParams` as JSON, or a whole `sampling/createMessage` request; stdin by default
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

pub(super) async fn run(global: &Global, args: SampleArgs) -> Result<End> {
    let sampler = stage::alone(global, &args.sampling).await?;
    let text = stage::read_input(args.file.as_ref())?;
    let place = args.file.as_ref().map_or_else(|| "stdin".to_owned(), |path| format!("`{}`", path.display()));
    let request: Value = serde_json::from_str(&text).with_context(|| format!("{place} holds no JSON"))?;
    let params = match request.get("params") {
        Some(params) if request.get("method").is_some() => params.to_string(),
        _ => text,
    };
    let result = sampler.create_message(params.as_bytes()).await?;
    let result: Value = serde_json::from_str(&result)?;
    out(&format!("{result:#}"))?;
    Ok(End::Done)
}
