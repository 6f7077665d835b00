//! A guard's verdicts, and what they are about.

pub use crate::bindings::guard::exports::understudy::plugin::guard::{
    AnswerQuestion, AnswerVerdict, Circumstances, GuardDescription, Reason, RequestQuestion, RequestVerdict,
};
use crate::types::{CreateMessageRequest, CreateMessageResult};

/// A reason, in words: what was found and where, and what the user can do about it, on one short line that doesn't quote what is kept back.
pub fn reason(message: impl Into<String>) -> Reason {
    Reason { message: message.into(), extensions: String::new() }
}

impl RequestVerdict {
    /// The request ends here.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::Deny(reason(message))
    }

    /// Somebody must be asked about the request, or about what it was changed to.
    pub fn asked(message: impl Into<String>, changed: Option<CreateMessageRequest>) -> Self {
        Self::Ask(RequestQuestion { reason: reason(message), changed })
    }
}

impl AnswerVerdict {
    /// The server doesn't get the answer.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::Deny(reason(message))
    }

    /// Somebody must be asked about the answer, or about what it was changed to.
    pub fn asked(message: impl Into<String>, changed: Option<CreateMessageResult>) -> Self {
        Self::Ask(AnswerQuestion { reason: reason(message), changed })
    }
}
