//! The host without its sandbox: every module of it that a request meets, from the very same files, around a `sandbox` that is
//! compiled in.
//!
//! What the race compares Understudy with. Nothing of this is in the product, and nothing of the product is changed for it: where the
//! host says `crate::sandbox`, it finds the module here, which has the part of the real one's surface that the others use.

#![cfg(feature = "race")]

// The host maps MCP's types onto those that wasmtime generates. Here the plugin's own are used, onto which they are mapped already.
extern crate self as understudy;
extern crate self as understudy_mcp_types;
pub use mcp_types::*;

/// Does nothing.
#[macro_export]
macro_rules! wit_conversions {
    ($($types:tt)+) => {};
}

#[allow(dead_code, unused_imports, reason = "what only the command line uses is left out")]
#[path = "../../../../host/src"]
mod host {
    pub mod admission;
    pub mod approval;
    pub mod atomic_file;
    pub mod builtins;
    pub mod children;
    pub mod config;
    pub mod descriptors;
    pub mod environment;
    pub mod error;
    pub mod gauge;
    pub mod http;
    pub mod ledger;
    pub mod money;
    pub mod outbound;
    pub mod price;
    pub mod private;
    pub mod reference;
    pub mod registry;
    pub mod retry;
    pub mod sampling;
    pub mod scheduling;
    pub mod search_path;
    pub mod select;
    pub mod text;
    pub mod timeline;
    pub mod trust;
}
#[allow(dead_code, unused_imports, reason = "what only the command line uses is left out")]
#[path = "../../../../host/proxy/src"]
mod proxy {
    pub mod oauth;
    pub mod relay;
    pub mod transport;
}
pub mod guards;
pub mod sandbox;
/// The records of the contract, as the guests have them.
pub use understudy_plugin::bindings as wit;

pub use host::{
    admission, approval, atomic_file, descriptors, gauge, http, ledger, money, price, private, reference, search_path,
    timeline,
};
pub use host::{
    builtins, children, config, environment, error, outbound, registry, retry, sampling, scheduling, select, text,
    trust,
};
pub use proxy::{oauth, relay, transport};
