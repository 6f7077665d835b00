//! A contestant of the race (tests/peers/race): a client on the Rust SDK that asks Anthropic's API with reqwest, in its handler.
//!
//! ```text
//! race-rmcp-client -- COMMAND ARGS…
//! ```
//!
//! `ANTHROPIC_BASE_URL` and `ANTHROPIC_API_KEY` say whom to ask. The lines are those of `matrix-rmcp-client`.

mod anthropic;
#[path = "../matrix-rmcp-client/lines.rs"]
mod lines;

use anyhow::Context as _;
use rmcp::RoleClient;
use rmcp::ServiceExt as _;
use rmcp::service::RunningService;
use rmcp::transport::TokioChildProcess;
use tokio::process::Command;

use crate::anthropic::Anthropic;

type Client = RunningService<RoleClient, Anthropic>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip_while(|arg| arg != "--").skip(1);
    let mut command = Command::new(args.next().context("no command")?);
    command.args(args);
    let client: Client = Anthropic::from_env()?.serve(TokioChildProcess::new(command)?).await?;
    lines::obey(client).await
}
