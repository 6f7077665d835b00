//! MCP servers behind a route of an axum program, their sampling requests answered by Understudy.
//!
//! `embedding-axum CONFIG` serves every server of a config at `/NAME/mcp`, and a page of its own at `/`. It writes its address to stdout and ends
//! with its stdin.
#![expect(clippy::print_stdout, reason = "the address goes to stdout")]

use std::path::PathBuf;

use anyhow::{Context, Result};
use axum::Router;
use axum::routing::get;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use understudy::config::Config;
use understudy::{RuntimeOptions, SharedResources};
use understudy_proxy::server_runtime::EmbeddedFront;

#[tokio::main]
async fn main() -> Result<()> {
    let path = std::env::args().nth(1).map(PathBuf::from).context("usage: embedding-axum CONFIG")?;
    let config = Config::find(Some(&path))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let shared = SharedResources::new(RuntimeOptions::from_env());
    let front = EmbeddedFront::load(&config, Some(address), &shared).await?;
    let app = Router::new().route("/", get(|| async { "a page of its own" })).fallback_service(front.service());
    println!("http://{address}");
    axum::serve(listener, app).with_graceful_shutdown(end_of_input()).await?;
    front.shut_down().await;
    Ok(())
}

async fn end_of_input() {
    // An input that can't be read has ended as well.
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
}
