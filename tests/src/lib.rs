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
pub mod bombs;
pub mod conversation;
pub mod guests;
pub mod markdown;
pub mod matrix;
pub mod misbehaving;
pub mod peers;
pub mod program;
pub mod provider;
pub mod registry;
pub mod relayed;
pub mod remote;
pub mod schema;
pub mod scripted;
pub mod scripted_model;
pub mod served;
pub mod session;
pub mod sources;
pub mod standin;
pub mod terminal;
pub mod wild;

pub use understudy_tests_http as http;
pub use understudy_tests_http::PATIENCE;
