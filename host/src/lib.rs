//! Understudy answers MCP sampling requests for clients that can't.
//!
//! It stands between an MCP client and an MCP server. When the server asks for a completion (`sampling/createMessage`), a
//! sandboxed WebAssembly component turns the request into one LLM provider's format, the host makes the HTTP call with a
//! credential that the component never sees, and the server gets its `CreateMessageResult`. All else passes through
//! untouched.
//!
//! The modules, in the order in which a request meets them; `host/ARCHITECTURE.md` has the invariants:
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`config`] | the config file, checked |
//! | [`transport`] | how messages come and go |
//! | [`jsonrpc`] | raw messages: what passes through keeps its bytes |
//! | [`relay`] | between client and server: what is ours is answered |
//! | [`sampling`] | one sampling request, from its parameters to its result |
//! | [`policy`] | what a server may ask |
//! | [`wit`] | the types of the WIT worlds, generated |
//! | `http` | HTTP clients |
//! | `folded` | text as the most lenient reader takes it |
//! | `held` | counts of what many hold |
//! | [`select`] | which model to ask |
//! | [`plugin`] | components in the sandbox |
//! | [`provider`] | the HTTP call |
//! | [`reference`] | references to components in registries, and digests |
//! | [`registry`] | components from OCI registries |
//! | [`authoring`] | what authors of plugins need |
//! | [`check`] | the kit that plugins are held against |
//! | [`oauth`] | logins at servers |
//! | [`retry`] | whether a failed exchange is tried again |
//! | [`error`] | what can go wrong, and its JSON-RPC code |
//! | [`children`] | programs that are started, without our secrets |
//! | [`descriptors`] | the limit of open files |
//! | `atomic_file` | replacing a file |
//! | [`private`] | files that only their user can read |
//! | [`search_path`] | where programs are looked up |
//! | [`text`] | text from peers, made fit to be shown |
//! | [`trust`] | the configs that the user trusts |
//! | `builder` | samplers for programs that embed the library |
//! | [`environment`] | where environment variables are looked up |
//! | [`runtime`] | the composition root: from a config to samplers |
//! | [`reload`] | taking up changes of the config and of components |
//! | [`server_runtime`] | a server with all that a session with it needs |
//! | [`client`] | a small client of our own |

mod atomic_file;
#[cfg(feature = "authoring")]
pub mod authoring;
mod builder;
pub mod builtins;
pub mod check;
pub mod children;
#[cfg(feature = "proxy")]
pub mod client;
pub mod config;
pub mod descriptors;
pub mod environment;
pub mod error;
mod folded;
mod held;
mod http;
pub mod jsonrpc;
#[cfg(not(feature = "registry"))]
mod no_registry;
#[cfg(feature = "proxy")]
pub mod oauth;
pub mod plugin;
pub mod policy;
pub mod private;
pub mod provider;
#[cfg(feature = "registry")]
pub mod reference;
#[cfg(feature = "registry")]
pub mod registry;
#[cfg(feature = "proxy")]
pub mod relay;
pub mod reload;
pub mod retry;
#[cfg(feature = "rmcp")]
pub mod rmcp;
pub mod runtime;
pub mod sampling;
pub mod search_path;
pub mod select;
#[cfg(feature = "proxy")]
pub mod server_runtime;
pub mod text;
#[cfg(feature = "proxy")]
pub mod transport;
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
