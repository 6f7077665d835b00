//! What `start` hands to `resume`, as JSON.

use serde::{Deserialize, Serialize};

use crate::error;
use crate::types::Error;

/// The state, written.
///
/// # Errors
/// `other` if it can't be written as JSON, which for ordinary structs doesn't happen.
pub fn to_bytes(state: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(state).map_err(|e| error::other(format!("the state can't be written as JSON: {e}")))
}

/// The state, read.
///
/// # Errors
/// `other` if it isn't what `to_bytes` wrote.
pub fn from_bytes<'a, T: Deserialize<'a>>(state: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(state).map_err(|e| error::other(format!("the state is not what `start` handed over: {e}")))
}
