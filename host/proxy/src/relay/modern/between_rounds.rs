//! What has been asked in the course of calls that are with their client between two rounds: the client makes the request again under another id, and
//! what counts for the call (`sampling.requestsPerCall`) goes on.

use std::collections::{HashMap, VecDeque};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::relay::allowance::Spent;

/// So many calls are remembered; of more, the last ones.
const MOST: usize = 4096;

/// By what the client must repeat, and the server's state.
#[derive(Debug, Default)]
pub(super) struct BetweenRounds {
    calls: HashMap<[u8; 32], Spent>,
    order: VecDeque<[u8; 32]>,
}

impl BetweenRounds {
    /// A round of a call (`binding`) goes to the client.
    pub(super) fn keep(&mut self, binding: &[u8], state: Option<&RawValue>, spent: Spent) {
        let key = key(binding, state);
        if self.calls.insert(key, spent).is_none() {
            self.order.push_back(key);
            if self.order.len() > MOST
                && let Some(oldest) = self.order.pop_front()
            {
                self.calls.remove(&oldest);
            }
        }
    }

    /// The client makes the request again: what has been asked in its course, if it is remembered.
    pub(super) fn of(&self, binding: &[u8], state: Option<&RawValue>) -> Option<Spent> {
        self.calls.get(&key(binding, state)).copied()
    }
}

/// A state may be spelt anew by the client.
fn key(binding: &[u8], state: Option<&RawValue>) -> [u8; 32] {
    let state = state.and_then(|state| serde_json::from_str::<String>(state.get()).ok()).unwrap_or_default();
    Sha256::new().chain_update(binding).chain_update(b"\0").chain_update(state).finalize().into()
}
