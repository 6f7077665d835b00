//! Between MCP clients and MCP servers: what `understudy proxy` and `understudy serve` are made of.
//!
//! [`relay::Relay`] connects two sides, and has a [`understudy::Sampler`] answer the sampling requests of the server. [`transport`] makes the sides:
//! stdio, child processes, Streamable HTTP as client and as server. [`server_runtime::EmbeddedFront`] is `understudy serve` as a
//! `tower::Service`, for programs that have an HTTP server of their own.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`transport`] | how messages come and go |
//! | [`oauth`] | logins at servers |
//! | [`relay`] | between client and server: sampling requests are answered here, other messages are forwarded |
//! | [`server_runtime`] | a server with everything that a session with it needs |

pub mod oauth;
pub mod relay;
pub mod server_runtime;
pub mod transport;
