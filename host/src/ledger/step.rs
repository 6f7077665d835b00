//! What a step of a request changes, as it stands in the journal.

use serde::{Deserialize, Serialize};

use super::budget::{Amount, Taken};
use super::entry::{Closing, Opening};
use crate::price::Tokens;

/// A step of a request: its parts are in force in the order of the fields.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    /// The request's number in the journal.
    pub(super) key: i64,
    /// When, in milliseconds since 1970.
    pub(super) at: i64,
    /// The server.
    pub(super) server: String,
    /// The tool call in the course of which the request came.
    pub(super) call: Option<String>,
    /// It opens the request's row.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) opening: Option<Opening>,
    /// It settles attempts.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) settled: Vec<Settlement>,
    /// It begins an attempt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) begun: Option<BegunAttempt>,
    /// It closes the request's row.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) closing: Option<Closing>,
}

/// An attempt that begins: its worst case is reserved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BegunAttempt {
    pub(super) plugin: String,
    pub(super) plugin_sha256: String,
    pub(super) model: String,
    pub(super) is_priced: bool,
    pub(super) taken: Taken,
}

/// An attempt that is settled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settlement {
    /// Its place among the request's attempts, from 0.
    pub(super) place: usize,
    /// When it began, in milliseconds since 1970.
    pub(super) begun: i64,
    pub(super) plugin: String,
    /// What was counted; `None`: the worst case stands.
    pub(super) counted: Option<Tokens>,
    /// What it took: tokens, and money.
    pub(super) spent: Amount,
    /// What that is more than what was reserved.
    pub(super) change: Amount,
}

/// What a step adds to the counters.
#[derive(Debug, Clone, Copy)]
pub(super) struct CountChange<'a> {
    /// The counter is that of the period with this time, in milliseconds since 1970.
    pub(super) at: i64,
    pub(super) plugin: &'a str,
    pub(super) taken: Taken,
}

impl Step {
    /// What it adds to the counters.
    pub(super) fn counts(&self) -> impl Iterator<Item = CountChange<'_>> {
        let settled = self.settled.iter().map(|settled| {
            let taken = Taken { of_any: settled.change, of_plugin: settled.change };
            CountChange { at: settled.begun, plugin: &settled.plugin, taken }
        });
        let begun =
            self.begun.iter().map(|begun| CountChange { at: self.at, plugin: &begun.plugin, taken: begun.taken });
        settled.chain(begun).filter(|count| count.taken != Taken::default())
    }
}
