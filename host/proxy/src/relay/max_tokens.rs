//! A request's `maxTokens`, lowered to what the rule allows.

use bytes::Bytes;
use mcp::splice;
use serde_json::value::RawValue;

use understudy::admission::policy::Lowered;

/// The request with the `maxTokens` that it may have; `params` are its parameters, borrowed from the line.
pub(super) fn lower(line: &Bytes, params: &RawValue, lowered: Lowered<'_>) -> Bytes {
    match lowered.old {
        Some(old) => splice::replace(line, old, lowered.new.to_string().as_bytes()),
        None => splice::insert(line, params, &format!("\"maxTokens\":{}", lowered.new)),
    }
}
