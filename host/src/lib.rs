//! Answers MCP sampling requests (`sampling/createMessage`) with sandboxed WebAssembly plugins.
//!
//! ```
//! # #[cfg(not(feature = "builtins"))]
//! # fn main() {}
//! # #[cfg(feature = "builtins")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use understudy::{CreateMessageRequestParams, Sampler};
//!
//! let sampler = Sampler::builder().plugin("echo").build().await?;
//! let request = CreateMessageRequestParams::user("Hello?", 100);
//! let answer = sampler.create_message(&request).await?;
//! assert!(answer.text().contains("Hello?"));
//! sampler.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! A plugin turns the request into one LLM provider's format. The host makes the HTTP call, with a credential that the plugin never sees:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use understudy::{Limits, Sampler};
//!
//! let sampler = Sampler::builder()
//!     .plugin("anthropic")
//!     .model("claude-sonnet-4-5")
//!     .credential(std::fs::read_to_string("/run/secrets/anthropic")?)
//!     .limits(Limits { deadline: std::time::Duration::from_secs(60), ..Limits::default() })
//!     .build()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! | to | use |
//! | --- | --- |
//! | answer requests in a program of one's own | [`Sampler::builder`], [`Sampler::create_message`], [`Sampler::create_message_json`] |
//! | let a client on the Rust SDK sample | `rmcp::SamplingClient` (feature `rmcp`) |
//! | serve MCP servers within an HTTP server of one's own | `EmbeddedFront` of the crate `understudy-proxy` |
//! | do what the program `understudy` does | [`runtime`], [`reload`], and the crate `understudy-proxy` |
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |
//! | `builtins` | the built-in plugins; building them needs the target `wasm32-unknown-unknown` | yes |
//! | `rmcp` | a client handler for the Rust SDK of MCP | no |
//! | `registry` | components from OCI registries (`oci://…`) | no |
//! | `ledger` | a record of what was asked and spent, and budgets | no |
//! | `watch` | changes of files are noticed by themselves | no |
//! | `authoring` | templates, bindings and components for authors of plugins | no |
//!
//! The library uses nothing of the machine by itself: no environment variable, no folder of the user's, no terminal. [`RuntimeOptions`] says what
//! it may use. It emits [`tracing`] events, and installs no subscriber.
//!
//! The modules, in the order in which a request meets them; `host/ARCHITECTURE.md` has the invariants:
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`config`] | the config file, checked |
//! | [`trust`] | the configs that the user trusts |
//! | [`environment`] | where environment variables are looked up |
//! | [`runtime`] | the composition root: from a config to samplers |
//! | [`reload`] | taking up changes of the config and of components |
//! | `builder` | samplers for programs that embed the library |
//! | `rmcp` | the same for clients on the Rust SDK (feature `rmcp`) |
//! | [`approval`] | asking the user before a request is answered |
//! | [`guards`] | components that judge requests and answers |
//! | [`sampling`] | one sampling request, from its parameters to its result |
//! | `admission` | everything that a request waits for, and what it may contain |
//! | [`scheduling`] | which request gets a core |
//! | `timeline` | where the time of a request goes, for the log |
//! | [`select`] | which model to ask |
//! | [`retry`] | whether a failed exchange is tried again |
//! | [`sandbox`] | plugins: components, loaded and called |
//! | [`builtins`] | the built-in plugins (feature `builtins`) |
//! | [`outbound`] | HTTP to providers |
//! | `http` | HTTP clients |
//! | `registry` | components from OCI registries |
//! | `reference` | references to components in registries, and digests |
//! | `no_registry` | the substitute for `reference` without the feature `registry` |
//! | [`wit`] | the types of the WIT worlds, generated |
//! | [`ledger`] | what was asked and what it cost; budgets (feature `ledger`) |
//! | [`money`] | US dollars, counted exactly |
//! | [`price`] | what a model's tokens cost |
//! | [`error`] | what can go wrong, and its JSON-RPC code |
//! | `authoring` | what authors of plugins need |
//! | [`check`] | the conformance checks of plugins |
//! | [`children`] | starting programs, without our secrets |
//! | [`descriptors`] | the limit of open files |
//! | [`search_path`] | where programs are looked up |
//! | [`private`] | files that only their user can read |
//! | `atomic_file` | replacing a file |
//! | `gauge` | shared counters of what is in use |
//! | [`text`] | text from peers, made fit to be shown |
#![cfg_attr(
    not(all(feature = "authoring", feature = "registry")),
    allow(dead_code, reason = "a lean build leaves out what some of this is there for")
)]

pub mod admission;
pub mod approval;
pub mod atomic_file;
#[cfg(feature = "authoring")]
pub mod authoring;
mod builder;
pub mod builtins;
pub mod check;
pub mod children;
pub mod config;
pub mod descriptors;
pub mod environment;
pub mod error;
mod gauge;
pub mod guards;
pub mod http;
pub mod ledger;
pub mod money;
#[cfg(not(feature = "registry"))]
mod no_registry;
pub mod outbound;
pub mod price;
pub mod private;
#[cfg(feature = "registry")]
pub mod reference;
#[cfg(feature = "registry")]
pub mod registry;
pub mod reload;
pub mod retry;
#[cfg(feature = "rmcp")]
pub mod rmcp;
pub mod runtime;
pub mod sampling;
pub mod sandbox;
pub mod scheduling;
pub mod search_path;
pub mod select;
pub mod text;
mod timeline;
pub mod trust;
pub mod wit;

#[cfg(not(feature = "registry"))]
use no_registry as reference;

pub use builder::{Component, ConfigSource, ProviderCredential, SamplerBuilder};
pub use config::Limits;
pub use environment::Environment;
pub use error::Error;
pub use reload::ReloadError;
pub use runtime::{BuildError, RuntimeOptions, SharedResources};
pub use sampling::Sampler;
pub use understudy_mcp_types::{
    Block, CreateMessageRequestParams, CreateMessageResult, Message, ModelHint, ModelPreferences, Role, Text,
};
