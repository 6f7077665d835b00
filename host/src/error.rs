//! What can go wrong with a sampling request, and what the asking server is told of it.
//!
//! A variant is a stage and a cause. Its text goes to the server (and to the log) as it stands: one line, lower case, with
//! the remedy where the user has one. Nothing secret is ever in a variant: what comes from a provider has been through
//! [`crate::outbound`]'s redaction. Details that only a developer of a plugin needs (a trap's backtrace, a guest's stderr) are
//! logged once where they arise.
//!
//! [`Error::code`] is the only place that maps causes to JSON-RPC codes; the codes themselves are in `mcp::code`. Config and start-up errors are [`crate::config::ConfigError`] and
//! [`LoadError`]: they end the process before any request.

mod load;

use std::time::Duration;

use mcp::code;
use serde_json::Value;

use crate::wit::understudy::plugin::types as wit;
pub use load::{CompileLimit, LoadError};

/// Why a sampling request has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request breaks a rule of the protocol.
    #[error("invalid sampling request: {reason}")]
    InvalidRequest {
        /// The place and the rule.
        reason: String,
    },
    /// The request is larger than the config allows.
    #[error("the sampling request holds {what}, more than `limits.{key}` allows ({most})")]
    RequestTooLarge {
        /// What it holds, with its number.
        what: String,
        /// The limit's key.
        key: &'static str,
        /// The limit.
        most: usize,
    },
    /// More requests of one server in a minute than the config allows.
    #[error(
        "the server asks more than {most} times a minute (`sampling.requestsPerMinute`), and the turn of this request would come in {wait:.1?}, after its deadline (`limits.deadline`)"
    )]
    TooOften {
        /// `sampling.requestsPerMinute`
        most: u32,
        /// When there is a place again.
        wait: Duration,
    },
    /// Too many requests of one server at once.
    #[error(
        "{running} sampling requests are running and {waiting} waiting; raise `limits.concurrent` or `limits.waiting`"
    )]
    TooMany {
        /// `limits.concurrent`
        running: usize,
        /// `limits.waiting`
        waiting: usize,
    },
    /// Too many bytes in the requests of one server at once.
    #[error(
        "the sampling requests that run or wait hold more bytes together than `limits.samplingTotal` allows ({most})"
    )]
    TooMuch {
        /// The limit.
        most: usize,
    },
    /// The whole request, or its part with one plugin, took too long.
    #[error("no answer within {after:?} (`limits.deadline`)")]
    Deadline {
        /// The limit.
        after: Duration,
    },
    /// A budget hasn't enough left for the request, or doesn't know what it costs.
    #[error("{reason}")]
    Budget {
        /// The budget, what is left of it and when it begins anew; or what is missing.
        reason: String,
        /// The same for programs: the error's `data`.
        data: Box<Value>,
    },
    /// The request can't be recorded, and so isn't asked.
    #[error("{reason}; nothing is asked that can't be recorded (`ledger.onFailure`)")]
    Ledger {
        /// What is wrong with the ledger.
        reason: String,
    },
    /// The sampler was closed before the request.
    #[error("the sampler is closed, and answers no further request")]
    Closed,
    /// The guest died.
    #[error("plugin `{plugin}` trapped in `{call}`: {reason}")]
    Trap {
        /// The plugin.
        plugin: String,
        /// The exported function.
        call: &'static str,
        /// The trap, and the last the guest wrote to stderr.
        reason: String,
    },
    /// The guest used more than it may.
    #[error("plugin `{plugin}` exceeded its limit in `{call}`: {limit}")]
    Limit {
        /// The plugin.
        plugin: String,
        /// The exported function.
        call: &'static str,
        /// The limit, with the key that sets it.
        limit: Limit,
    },
    /// The guest's own error.
    #[error("plugin `{plugin}`: {}", in_words(.error))]
    Guest {
        /// The plugin.
        plugin: String,
        /// The error.
        error: wit::Error,
    },
    /// The guest asked for something that it may not have.
    #[error("plugin `{plugin}` asked for an HTTP request that is refused: {reason}")]
    Refused {
        /// The plugin.
        plugin: String,
        /// What and why.
        reason: String,
    },
    /// The guest's answer can't be given to the server.
    #[error("plugin `{plugin}` gave an answer that can't be used: {reason}")]
    BadAnswer {
        /// The plugin.
        plugin: String,
        /// The fault.
        reason: String,
    },
    /// The provider can't be reached, or the connection broke.
    #[error("plugin `{plugin}`: can't get an answer from {origin}: {reason}")]
    Unreachable {
        /// The plugin.
        plugin: String,
        /// Scheme, host and port.
        origin: String,
        /// The cause.
        reason: String,
        /// Whether the request may have reached it.
        sent: bool,
    },
    /// The provider's answer is larger than the config allows.
    #[error("plugin `{plugin}`: the answer from {origin} is larger than `limits.responseBody` allows ({most} bytes)")]
    ResponseTooLarge {
        /// The plugin.
        plugin: String,
        /// Scheme, host and port.
        origin: String,
        /// The limit.
        most: usize,
    },
    /// The provider's stream isn't one.
    #[error("plugin `{plugin}`: the stream from {origin} can't be read: {reason}")]
    BadStream {
        /// The plugin.
        plugin: String,
        /// Scheme, host and port.
        origin: String,
        /// The fault.
        reason: String,
    },
    /// The user refused the request or its answer, or nobody was there to allow it.
    #[error("not approved: {reason}")]
    Declined {
        /// By whom, or why nobody could be asked.
        reason: String,
    },
    /// A guard denies the request, or its answer.
    #[error("denied by guard `{guard}`: {reason}")]
    Denied {
        /// The guard.
        guard: String,
        /// What it found, in its own words.
        reason: String,
    },
    /// A guard failed, and the config doesn't say that this allows anything.
    #[error("denied because guard `{guard}` failed: {reason}")]
    GuardFailed {
        /// The guard.
        guard: String,
        /// How.
        reason: String,
    },
    /// The credential can't be had.
    #[error("plugin `{plugin}`: {reason}")]
    Credential {
        /// The plugin.
        plugin: String,
        /// What is missing, and how to give it.
        reason: String,
    },
}

/// A limit that a guest ran into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// CPU time of one call.
    #[error("{0:?} of CPU time (`limits.cpu`)")]
    Cpu(Duration),
    /// Wall-clock time of one call.
    #[error("{0:?} until the request's deadline (`limits.deadline`)")]
    Time(Duration),
    /// Memory and tables of the instance together.
    #[error("{0} bytes of memory (`limits.memory`)")]
    Memory(usize),
    /// What a guest hands over in one call, lists that alias one another included.
    #[error("{0} bytes handed over in one call (`limits.requestBody`, `limits.responseBody`, `limits.state`)")]
    HandedOver(usize),
    /// HTTP exchanges of one request.
    #[error("{0} HTTP requests for one answer (`limits.fetches`)")]
    Fetches(u32),
    /// What a guest has the host remember.
    #[error("{0} bytes of state (`limits.state`)")]
    State(usize),
    /// What a guest has the host remember of a stream.
    #[error("{0} bytes of a stream's state (`limits.state` and `limits.responseBody` together)")]
    StreamState(usize),
    /// The body of an HTTP request.
    #[error("{0} bytes of HTTP request body (`limits.requestBody`)")]
    RequestBody(usize),
}

impl Error {
    /// The JSON-RPC code (MCP, "Error handling" of sampling).
    #[must_use]
    pub fn code(&self) -> i64 {
        match self {
            Self::InvalidRequest { .. }
            | Self::RequestTooLarge { .. }
            | Self::Guest { error: wit::Error::InvalidRequest(_) | wit::Error::Unsupported(_), .. } => {
                code::INVALID_PARAMS
            }
            Self::Denied { .. } | Self::Declined { .. } => code::USER_REJECTED,
            _ => code::INTERNAL_ERROR,
        }
    }

    /// The error's `data`, for programs.
    #[must_use]
    pub fn data(&self) -> Option<&Value> {
        match self {
            Self::Budget { data, .. } => Some(data),
            _ => None,
        }
    }

    /// Whether a rule of the config refused the request, rather than that something failed.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::InvalidRequest { .. }
                | Self::RequestTooLarge { .. }
                | Self::TooOften { .. }
                | Self::TooMany { .. }
                | Self::TooMuch { .. }
                | Self::Budget { .. }
                | Self::Ledger { .. }
                | Self::Declined { .. }
                | Self::Denied { .. }
                | Self::GuardFailed { .. }
        )
    }

    /// Whether a provider may have charged for what ended so, if it was asked.
    #[must_use]
    pub const fn may_have_cost(&self) -> bool {
        match self {
            Self::Guest { error: wit::Error::Provider(provider), .. } => provider.status.is_none(),
            // The plugin itself says so, before it asks.
            Self::Guest { error: wit::Error::InvalidRequest(_) | wit::Error::Unsupported(_), .. } => false,
            Self::Unreachable { sent, .. } => *sent,
            _ => true,
        }
    }

    /// Whether the next plugin of the chain should be tried.
    #[must_use]
    pub fn is_for_the_next_plugin(&self) -> bool {
        match self {
            Self::Closed | Self::Guest { error: wit::Error::InvalidRequest(_), .. } => false,
            refused if refused.is_refusal() => false,
            // What one provider calls invalid another one may well take: each has limits of its own. What no provider takes, the
            // plugin itself refuses. After a content filter no other provider is asked: that would be asking until one answers.
            Self::Guest { error: wit::Error::Provider(provider), .. } => provider.kind != "content-filtered",
            _ => true,
        }
    }
}

/// A guest's error as a sentence, on one line and without control characters.
fn in_words(error: &wit::Error) -> String {
    let text = match error {
        wit::Error::InvalidRequest(failure) | wit::Error::Other(failure) => failure.message.clone(),
        wit::Error::Unsupported(failure) => format!("unsupported: {}", failure.message),
        wit::Error::MalformedResponse(failure) => format!("malformed response: {}", failure.message),
        wit::Error::Provider(provider) => {
            let status = provider.status.map(|status| format!(", HTTP {status}")).unwrap_or_default();
            let wait =
                provider.retry_after_ms.map(|ms| format!("; it says to come back in {:?}", Duration::from_millis(ms)));
            format!("the provider says {}{status}: {}{}", provider.kind, provider.message, wait.unwrap_or_default())
        }
    };
    crate::text::one_line(&text, 2000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(error: wit::Error) -> Error {
        Error::Guest { plugin: "p".to_owned(), error }
    }

    #[test]
    fn what_one_provider_refuses_is_for_the_next_plugin_and_what_no_provider_takes_is_not() {
        let failure = || wit::Failure { message: String::new(), extensions: String::new() };
        let said = |kind: &str| {
            guest(wit::Error::Provider(wit::ProviderError {
                kind: kind.to_owned(),
                status: Some(400),
                message: String::new(),
                retry_after_ms: None,
                extensions: String::new(),
            }))
        };
        for kind in ["invalid-request", "unauthorized", "context-too-long", "overloaded", "internal", "a new one"] {
            assert!(said(kind).is_for_the_next_plugin(), "{kind}");
        }
        assert!(guest(wit::Error::Unsupported(failure())).is_for_the_next_plugin());
        assert!(guest(wit::Error::MalformedResponse(failure())).is_for_the_next_plugin());
        assert!(!said("content-filtered").is_for_the_next_plugin());
        assert!(!guest(wit::Error::InvalidRequest(failure())).is_for_the_next_plugin());
        assert!(!Error::InvalidRequest { reason: String::new() }.is_for_the_next_plugin());
    }
}
