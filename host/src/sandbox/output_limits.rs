//! How much a guest may hand to the host in one call.

use super::state::LimitExceeded;
use crate::config::Limits;
use crate::error::Limit;
use crate::wit::understudy::plugin::types as wit;

/// Allowed beside a body and a state, in bytes: headers, names, counts.
const SLACK: usize = 2 << 20;

/// The bytes that the host copies out of a guest in one call at most, lists that alias one another counted each time.
pub(super) fn hostcall_fuel(limits: &Limits) -> usize {
    limits.request_body.max(limits.response_body).saturating_add(limits.state).saturating_add(SLACK)
}

/// The limits of what a guest hands over, in bytes.
#[derive(Clone, Copy)]
pub(super) struct OutputLimits {
    state: usize,
    request_body: usize,
}

impl OutputLimits {
    pub(super) fn of(limits: &Limits) -> Self {
        Self { state: limits.state, request_body: limits.request_body }
    }

    /// Fails a call that hands over too much, on the guest's own thread: freeing that memory then delays no other request.
    pub(super) fn enforce(
        self,
        step: Result<wit::Step, wit::Error>,
    ) -> wasmtime::Result<Result<wit::Step, wit::Error>> {
        match &step {
            Ok(wit::Step::Fetch(fetch)) => match self.exceeded_by(fetch) {
                Some(limit) => Err(LimitExceeded(limit).into()),
                None => Ok(step),
            },
            _ => Ok(step),
        }
    }

    pub(super) fn exceeded_by(self, fetch: &wit::Fetch) -> Option<Limit> {
        if fetch.state.len() > self.state {
            Some(Limit::State(self.state))
        } else if fetch.request.body.len() > self.request_body {
            Some(Limit::RequestBody(self.request_body))
        } else {
            None
        }
    }
}

/// Whether the guest handed over more than the host copies in one call. Wasmtime has no type for this error.
pub(super) fn is_fuel_exhausted(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted")
}
