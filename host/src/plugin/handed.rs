//! What a guest may hand over in one call.

use super::state::LimitHit;
use crate::config::Limits;
use crate::error::Limit;
use crate::wit::understudy::plugin::types as wit;

/// What a guest may hand over beside a body and a state: headers, names, counts.
const SLACK: usize = 2 << 20;

/// What the host may be made to copy out of a guest in one call, lists that alias one another included.
pub(super) fn most_handed_over(limits: &Limits) -> usize {
    limits.request_body.max(limits.response_body).saturating_add(limits.state).saturating_add(SLACK)
}

/// The most that a guest may hand over, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Most {
    state: usize,
    request_body: usize,
}

impl Most {
    pub(super) fn of(limits: &Limits) -> Self {
        Self { state: limits.state, request_body: limits.request_body }
    }

    /// Ends a call that hands over too much where the guest runs: others don't wait until as much memory is given back.
    pub(super) fn hold(self, step: Result<wit::Step, wit::Error>) -> wasmtime::Result<Result<wit::Step, wit::Error>> {
        match &step {
            Ok(wit::Step::Fetch(fetch)) => match self.exceeded_by(fetch) {
                Some(limit) => Err(LimitHit(limit).into()),
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

/// Whether the guest handed over more than the host copies in one call. Wasmtime has no type for it.
pub(super) fn written_off(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted")
}
