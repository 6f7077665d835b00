//! The body of an HTTP answer that refuses a message.

use mcp::{Head, Kind};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::transport::lines::line_of;

/// How much of the body is read, in bytes. 64 KiB.
pub(super) const MOST_OF_A_REFUSAL: usize = 64 * 1024;

/// The JSON-RPC error in a body, as spelt.
pub(super) fn refusal(body: &[u8]) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Box<RawValue>,
    }
    // As one line, for it will be part of one.
    let body = line_of(body.to_vec());
    if !matches!(Head::of(&body).kind(), Kind::Response | Kind::Other) {
        return None;
    }
    let Refusal { error } = serde_json::from_slice(&body).ok()?;
    error.get().starts_with('{').then_some(error)
}
