//! What the integration tests share: the program, a session through it, and a provider on loopback.
//!
//! Every wait has an end: a test that hangs fails, and says what it waited for.
#![expect(
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "this crate is for tests: a panic is how they report"
)]

pub mod arena;
pub mod author;
pub mod guests;
pub mod http;
pub mod matrix;
pub mod misbehaving;
pub mod peers;
pub mod program;
pub mod provider;
pub mod registry;
pub mod relayed;
pub mod remote;
pub mod schema;
pub mod served;
pub mod session;
pub mod terminal;
pub mod wild;

use std::time::Duration;

/// How long anything may take before a test gives up. Not an expectation: it is long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(2);
