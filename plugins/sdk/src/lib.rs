//! Write an Understudy sampling plugin, or a guard, in Rust.
//!
//! Implement [`Provider`] for a type of yours, hand the type to [`export_provider!`], build for `wasm32-wasip2`, and the
//! component is ready; or for `wasm32-unknown-unknown`, and `understudy plugin componentize` makes one that imports nothing (that is what
//! `understudy plugin new --lang rust` does). Nothing here needs wasm to run: `cargo test` tests the conversion natively, most easily with the
//! `testing` feature's fixtures.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`types`] | the contract's records, generated from `wit/` and documented there |
//! | [`arguments`] | a tool call's arguments, read where there is one right reading |
//! | [`blocks`] | content blocks, whoever the provider is |
//! | [`error`] | the typed errors, one function each |
//! | [`forced`] | tools that must be called, for models that can't be forced to |
//! | [`guard_texts`] | every text of a request or an answer, to be looked at and changed |
//! | `guard_testing` | fixtures of a guard: a request or an answer, and the verdict |
//! | [`http`] | JSON bodies, headers and `retry-after` |
//! | [`ids`] | ids of tool calls that a provider doesn't allow |
//! | [`json`] | long texts in JSON, written quickly |
//! | [`media`] | what images and the like are, by their first bytes |
//! | [`models`] | what a model takes, by any spelling of its name |
//! | [`names`] | tool names that a provider doesn't allow |
//! | [`prefill`] | answers that the server has begun, for models that refuse them |
//! | [`reason`] | why an answer ended, in any provider's words |
//! | [`refusal`] | what the body of a refusal says: a provider's, a gateway's, a proxy's |
//! | [`schema`] | tools' schemas, fitted to what a provider takes |
//! | [`settings`] | what the user set |
//! | [`state`] | from `start` to `resume` |
//! | [`stops`] | stop sequences that a provider doesn't take |
//! | [`stream`] | answers that come as a stream |
//! | [`text`] | content in words |
//! | [`turns`] | consecutive messages of one role together |
//! | [`verdict`] | a guard's verdicts |
//! | `testing` | fixtures: request in, HTTP request expected, HTTP answer, result expected |

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod allocator;
pub mod arguments;
#[doc(hidden)]
pub mod bindings;
pub mod blocks;
pub mod error;
pub mod forced;
#[cfg(feature = "testing")]
pub mod guard_testing;
pub mod guard_texts;
mod halves;
pub mod http;
pub mod ids;
pub mod json;
pub mod media;
pub mod models;
pub mod names;
pub mod prefill;
pub mod reason;
pub mod refusal;
pub mod schema;
pub mod settings;
pub mod state;
pub mod stops;
pub mod stream;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod turns;
pub mod verdict;

pub use bindings::exports::understudy::plugin::provider::Guest as Provider;
pub use bindings::guard::exports::understudy::plugin::guard::Guest as Guard;
pub use bindings::handler::exports::understudy::plugin::handler::Guest as Handler;
pub use bindings::understudy::plugin::types;

/// Makes a type that implements [`Provider`] the plugin of this component.
///
/// Natively it does nothing, so that the same crate can be tested with plain `cargo test`.
#[macro_export]
macro_rules! export_provider {
    ($plugin:ident) => {
        #[cfg(target_family = "wasm")]
        $crate::__export_provider_plugin_impl!($plugin with_types_in $crate::bindings);
    };
}

/// The same for a type that implements [`stream::StreamingProvider`] too.
#[macro_export]
macro_rules! export_streaming_provider {
    ($plugin:ident) => {
        $crate::export_provider!($plugin);
        #[cfg(target_family = "wasm")]
        $crate::__export_streaming_impl!($plugin with_types_in $crate::bindings::streaming);
    };
}

/// Makes a type that implements [`Handler`] the plugin of this component. It makes HTTP requests of its own: with the crate `wasip2`'s
/// `http::outgoing_handler`, or a client that is built on it.
#[macro_export]
macro_rules! export_handler {
    ($plugin:ident) => {
        #[cfg(target_family = "wasm")]
        $crate::__export_handler_impl!($plugin with_types_in $crate::bindings::handler);
    };
}

/// Makes a type that implements [`Guard`] the guard of this component.
#[macro_export]
macro_rules! export_guard {
    ($guard:ident) => {
        #[cfg(target_family = "wasm")]
        $crate::__export_guard_impl!($guard with_types_in $crate::bindings::guard);
    };
}
