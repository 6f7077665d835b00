//! The matrix server on the Rust SDK, rmcp 3.9: both eras, from the same tools.
//!
//! ```text
//! matrix-rmcp-server [--transport stdio|http] [--era legacy|modern]
//! ```
//!
//! Tools, resources and the prompt are those of `python/matrix_servers.py`. To a client with a session the tools that
//! sample send requests of their own (`create_message`, `create_elicitation`), to one of 2026-07-28 they return
//! `input_required`. `--era` refuses the other era; without it both are served. Over HTTP the first line is
//! `{"port": N, "path": "/mcp"}`, and the server ends when stdin does.

mod exchange;
mod http;
mod messages;
mod server;
mod tools;

use clap::{Parser, ValueEnum};
use rmcp::ServiceExt as _;
use rmcp::model::ProtocolVersion;
use rmcp::service::ServerInitializeError;

use crate::server::Matrix;

#[derive(Parser)]
#[command(about = "The matrix server on the Rust SDK")]
struct Options {
    #[arg(long, default_value = "stdio")]
    transport: Transport,
    /// Refuse the other era.
    #[arg(long)]
    era: Option<Era>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Transport {
    Stdio,
    Http,
}

#[derive(Clone, Copy, ValueEnum)]
enum Era {
    Legacy,
    Modern,
}

const MODERN: &[ProtocolVersion] = &[ProtocolVersion::V_2026_07_28];

fn versions(era: Option<Era>) -> &'static [ProtocolVersion] {
    match era {
        None => ProtocolVersion::KNOWN_VERSIONS,
        Some(Era::Legacy) => ProtocolVersion::known_up_to(&ProtocolVersion::LATEST_WITH_INITIALIZE),
        Some(Era::Modern) => MODERN,
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let server = Matrix::new(versions(options.era))?;
    match options.transport {
        Transport::Stdio => match server.serve(rmcp::transport::stdio()).await {
            Ok(running) => drop(running.waiting().await?),
            // Nothing was asked.
            Err(ServerInitializeError::ConnectionClosed(_)) => {}
            Err(error) => return Err(error.into()),
        },
        Transport::Http => http::serve(server).await?,
    }
    Ok(())
}
