//! Fixtures of a guard: verdicts as JSON files, run natively.
//!
//! A fixture is one request, or one answer, and the verdict on it:
//!
//! ```json
//! {
//!   "request":       { "messages": […], "maxTokens": 100 },
//!   "circumstances": { "server": "code", "client": "an editor", "tool": "review", "model": "m", "plugin": "p" },
//!   "settings":      { "action": "deny" },
//!   "verdict":       "deny",
//!   "reason":        "a key in `messages[0].content[0].text`"
//! }
//! ```
//!
//! `request` is MCP's `CreateMessageRequestParams`; in its place `answer` is MCP's `CreateMessageResult`. `verdict` is `allow`, `changed`, `ask`
//! or `deny`; `ask` and `deny` have a `reason`; `changed` (and `ask`, where it changes something) have the new value in `changed`. A guard's
//! error is `"error": { "kind": "invalid-request", "message": "…" }` in the place of a verdict. With `UPDATE_FIXTURES=1` in the environment the
//! verdicts are written anew instead of compared: look at the difference before you commit it.
#![expect(clippy::panic, reason = "this module is for tests: a panic is how they report")]

use std::path::Path;

use serde_json::Value;
use understudy_mcp_types::CreateMessageResult;

use crate::Guard;
use crate::bindings::guard::exports::understudy::plugin::guard;
use crate::testing;

understudy_mcp_types::guard_conversions!(crate::types, guard);

/// Runs every `*.json` in `folder` through the guard.
///
/// # Panics
/// If one doesn't come out as it says, or there is none.
pub fn check_fixtures<G: Guard>(folder: impl AsRef<Path>) {
    testing::check_all(folder.as_ref(), run::<G>);
}

/// The fixture with its expectations replaced by what really happens.
fn run<G: Guard>(fixture: &Value) -> Value {
    let mut outcome = fixture.as_object().cloned().unwrap_or_default();
    outcome.retain(|key, _| !["verdict", "reason", "changed", "error"].contains(&key.as_str()));
    let (circumstances, settings) = (circumstances_of(fixture), settings_of(fixture));
    let judged = match (fixture.get("request"), fixture.get("answer")) {
        (Some(request), None) => G::request(testing::request(&request.to_string()), circumstances, settings)
            .map(|verdict| request_verdict_json(&verdict)),
        (None, Some(answer)) => {
            let answer = CreateMessageResult::from_json(answer.to_string().as_bytes());
            let answer = answer.unwrap_or_else(|e| panic!("not a result: {e}"));
            G::answer(answer.into(), circumstances, settings)
                .map(|verdict| answer_verdict_json(&verdict).unwrap_or_else(|e| panic!("{e}")))
        }
        _ => panic!("a guard's fixture has a `request` or an `answer`"),
    };
    match judged {
        Ok(verdict) => outcome.extend(verdict),
        Err(error) => drop(outcome.insert("error".to_owned(), testing::guest_error_json(&error))),
    }
    Value::Object(outcome)
}
