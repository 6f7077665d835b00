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
//! | [`trust`] | the configs that the user trusts |
//! | [`transport`] | messages from and to clients and servers |
//! | [`oauth`] | logins at servers |
//! | [`relay`] | between client and server: sampling requests are answered, all else is passed on |
//! | [`sampling`] | one sampling request, from its parameters to its result |
//! | `admission` | everything that a request waits for, and what it may contain |
//! | [`scheduling`] | which request gets a core |
//! | `timeline` | where the time of a request goes, for the log |
//! | [`select`] | which model to ask |
//! | [`retry`] | whether a failed exchange is tried again |
//! | [`sandbox`] | plugins: components, loaded and called |
//! | [`outbound`] | HTTP to providers |
//! | `http` | HTTP clients |
//! | [`registry`] | components from OCI registries |
//! | `reference` | references to components in registries, and digests |
//! | [`wit`] | the types of the WIT worlds, generated |
//! | [`error`] | what can go wrong, and its JSON-RPC code |
//! | [`authoring`] | what authors of plugins need |
//! | [`check`] | the conformance checks of plugins |
//! | [`children`] | starting programs, without our secrets |
//! | `descriptors` | the limit of open files |
//! | `search_path` | where programs are looked up |
//! | `private` | files that only their user can read |
//! | `atomic_file` | replacing a file |
//! | `gauge` | shared counters of what is in use |
//! | [`text`] | text from peers, made fit to be shown |
//! | [`client`] | a small MCP client |
//! | [`cli`] | the command line |

mod admission;
mod atomic_file;
pub mod authoring;
pub mod check;
pub mod children;
pub mod cli;
pub mod client;
pub mod config;
mod descriptors;
pub mod error;
mod gauge;
mod http;
pub mod oauth;
pub mod outbound;
mod private;
mod reference;
pub mod registry;
pub mod relay;
pub mod retry;
pub mod sampling;
pub mod sandbox;
pub mod scheduling;
mod search_path;
pub mod select;
pub mod text;
mod timeline;
pub mod transport;
pub mod trust;
pub mod wit;
