//! A tool that must be called (`toolChoice` `required`), for models that can't be forced to.
//!
//! The model may choose (`auto`), and the system prompt tells it to call a tool ([`instruction`]). An answer without a call is
//! asked for once more, with [`AGAIN`] as the user's turn after it; a second one is an error ([`no_call`]).

use crate::error::malformed_response;
use crate::types::Error;

/// The user's turn after an answer that calls no tool.
pub const AGAIN: &str =
    "You answered without calling a tool. Call one of the tools now: only a tool call can be used here, a text can't.";

/// For the system prompt. `tools`: their names on the wire.
#[must_use]
pub fn instruction(tools: &[&str]) -> String {
    let which = match tools {
        [tool] => format!("the tool `{tool}`"),
        _ => "one or more of the tools".to_owned(),
    };
    format!("Answer by calling {which}. A text without a tool call can't be used.")
}

/// `malformed-response`: the model hasn't called a tool, though it was told to twice.
#[must_use]
pub fn no_call(model: &str) -> Error {
    malformed_response(format!(
        "the server requires a tool call, and `{model}`, which can't be forced to make one, answered twice without; ask another model, or let the server use `toolChoice` `auto`"
    ))
}
