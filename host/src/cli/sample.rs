//! `understudy sample`: one sampling request, without any server.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use mcp::{Head, Parts};
use serde_json::Value;

use crate::sampling::SamplingRequest;

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
    let request = Parts::of(text.as_bytes()).with_context(|| format!("{place} holds no JSON object"))?;
    let params = match request.params {
        Some(params) if Head::of(text.as_bytes()).method().is_some() => params.get().to_owned(),
        _ => text,
    };
    let result = sampler.create_message(SamplingRequest::new(params.as_bytes())).await?;
    let result: Value = serde_json::from_str(&result)?;
    out(&format!("{result:#}"))?;
    Ok(End::Done)
}
