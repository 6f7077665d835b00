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
//! | [`relay`] | between client and server: what is ours is answered |
//! | [`sampling`] | one sampling request, from its parameters to its result |
//! | [`policy`] | what a server may ask |
//! | [`wit`] | the types of the WIT worlds, generated |
//! | `http` | HTTP clients |
//! | `held` | counts of what many hold |
//! | [`select`] | which model to ask |
//! | [`plugin`] | components in the sandbox |
//! | [`provider`] | the HTTP call |
//! | `reference` | references to components in registries, and digests |
//! | [`registry`] | components from OCI registries |
//! | [`authoring`] | what authors of plugins need |
//! | [`check`] | the kit that plugins are held against |
//! | [`oauth`] | logins at servers |
//! | [`retry`] | whether a failed exchange is tried again |
//! | [`error`] | what can go wrong, and its JSON-RPC code |
//! | [`children`] | programs that are started, without our secrets |
//! | `descriptors` | the limit of open files |
//! | `atomic_file` | replacing a file |
//! | `private` | files that only their user can read |
//! | `search_path` | where programs are looked up |
//! | [`text`] | text from peers, made fit to be shown |
//! | [`trust`] | the configs that the user trusts |
//! | [`client`] | a small client of our own |
//! | [`cli`] | the command line |

mod atomic_file;
pub mod authoring;
pub mod check;
pub mod children;
pub mod cli;
pub mod client;
pub mod config;
mod descriptors;
pub mod error;
mod held;
mod http;
pub mod oauth;
pub mod plugin;
pub mod policy;
mod private;
pub mod provider;
mod reference;
pub mod registry;
pub mod relay;
pub mod retry;
pub mod sampling;
mod search_path;
pub mod select;
pub mod text;
pub mod transport;
pub mod trust;
pub mod wit;
