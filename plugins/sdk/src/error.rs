//! The typed errors of the contract, one function each.

use crate::types::{Error, Failure, OtherContent, ProviderError};

/// `invalid-request`: the request or the settings can't be sent to this provider whatever happens.
pub fn invalid_request(message: impl Into<String>) -> Error {
    Error::InvalidRequest(failure(message))
}

/// `unsupported`: the provider can't carry something that the request holds.
pub fn unsupported(message: impl Into<String>) -> Error {
    Error::Unsupported(failure(message))
}

/// `unsupported` for a block of a type that the contract doesn't know, at a place such as `messages[0].content[1]`.
#[must_use]
pub fn unknown_block(place: &str, block: &OtherContent) -> Error {
    unsupported(format!("`{place}`: a block of the unknown type `{}`", block.kind))
}

/// `malformed-response`: the answer isn't what the provider's format says.
pub fn malformed_response(message: impl Into<String>) -> Error {
    Error::MalformedResponse(failure(message))
}

/// `other`: anything else.
pub fn other(message: impl Into<String>) -> Error {
    Error::Other(failure(message))
}

/// `provider`: the provider said no, with a `kind` of the contract's list.
pub fn provider(kind: &str, status: u16, message: impl Into<String>, retry_after_ms: Option<u64>) -> Error {
    Error::Provider(ProviderError {
        kind: kind.to_owned(),
        status: Some(status),
        message: message.into(),
        retry_after_ms,
        extensions: String::new(),
    })
}

/// The `kind` that a status suggests where the provider's own words say nothing better.
#[must_use]
pub fn kind_of_status(status: u16) -> &'static str {
    match status {
        401 => "unauthorized",
        402 => "quota-exceeded",
        403 => "forbidden",
        404 => "not-found",
        413 => "context-too-long",
        429 => "rate-limited",
        // From 520 on they are Cloudflare's, of a provider behind it.
        408 | 502..=504 | 520..=524 | 530 => "unavailable",
        529 => "overloaded",
        400..=499 => "invalid-request",
        _ => "internal",
    }
}

fn failure(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), extensions: String::new() }
}
