//! An MCP client on the Rust SDK whose servers' sampling requests Understudy answers: with its plugin `extractive`, which needs no provider.
//!
//! `embedding-rmcp SERVER TEXT` starts a server (such as `summarize-server`), and has its tool `summarize` summarize a text.
#![expect(clippy::print_stdout, reason = "the result goes to stdout")]

use anyhow::{Context, Result};
use rmcp::ServiceExt;
use rmcp::model::{CallToolRequestParams, JsonObject};
use rmcp::transport::TokioChildProcess;
use tokio::process::Command;
use understudy::Sampler;
use understudy::rmcp::SamplingClient;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (server, text) = args.next().zip(args.next()).context("usage: embedding-rmcp SERVER TEXT")?;
    let sampler = Sampler::builder().plugin("extractive").build().await?;
    let client = SamplingClient::new(sampler).serve(TokioChildProcess::new(Command::new(server))?).await?;
    let arguments = JsonObject::from_iter([("text_to_summarize".to_owned(), text.into())]);
    let result = client.call_tool(CallToolRequestParams::new("summarize").with_arguments(arguments)).await?;
    let summary = result.content.first().and_then(|block| block.as_text()).context("the tool has no answer")?;
    println!("{}", summary.text);
    client.cancel().await?;
    Ok(())
}
