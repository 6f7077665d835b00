//! What is written of a request.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::money::NanoDollars;
use crate::price::{Price, Tokens};

/// What is known of a request when its row is opened.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Opening {
    /// When, in milliseconds since 1970.
    pub opened: i64,
    /// When it ends at the latest. A row that is open for long after it counts as interrupted.
    pub until: i64,
    /// Its id in the log.
    pub request: String,
    /// The server.
    pub server: String,
    /// The client, by the name that it gives itself.
    pub client: Option<String>,
    /// The tool in the course of whose call it came.
    pub tool: Option<String>,
    /// The call's own name.
    pub call: Option<String>,
    /// The names of models that the server wished for, by commas.
    pub hints: String,
    /// The digest of its parameters, in lower-case hexadecimal.
    pub content_sha256: String,
    /// Its parameters, JSON, where all of it is kept.
    pub content: Option<String>,
}

/// A provider that is to be asked.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The plugin, by its name in the config.
    pub plugin: String,
    /// The digest of its component.
    pub plugin_sha256: String,
    /// The model.
    pub model: String,
    /// The model's price; `None` if nobody knows it.
    pub price: Option<Price>,
    /// The most tokens that the provider can count for the input.
    pub most_input: u64,
    /// The most tokens of the answer.
    pub most_output: u64,
}

impl Attempt {
    /// The most that one exchange may cost; `None` if the price isn't known.
    #[must_use]
    pub fn most_cost(&self) -> Option<NanoDollars> {
        self.price.map(|price| price.at_most(self.most_input, self.most_output))
    }
}

/// What the provider counted, or is taken to have counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// Nothing: it wasn't asked, or refused.
    Nothing,
    /// Nothing, and the request doesn't count as one either: it was given up before anybody was asked.
    Withdrawn,
    /// So many tokens.
    Counted(Tokens),
    /// Nobody knows: the worst case.
    Unknown,
}

impl Charge {
    /// That of a closing that was read from the journal: what it says of it has been taken from it.
    const fn nothing() -> Self {
        Self::Nothing
    }
}

/// What has become of the reservation before, when another one is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Its plugin has answered or failed, and has cost this.
    Over(Charge),
    /// Its exchange was answered, and the plugin wants another one. What both cost is known at the end.
    Answered,
    /// Its exchange broke off, and is made again: it counts as the worst case.
    Lost,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// With an answer.
    Answered,
    /// A rule of the config refused it, or a budget, or a guard.
    Refused,
    /// The user refused it, or nobody was there to allow it.
    Declined,
    /// It failed.
    Failed,
    /// The server or the client gave it up.
    Cancelled,
    /// The process ended before the request did.
    Interrupted,
}

impl Outcome {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Declined => "declined",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What is written at a request's end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Closing {
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
    pub(super) answer: Option<String>,
    pub(super) answer_sha256: Option<String>,
    /// How often a provider was asked.
    pub(super) tries: u32,
    /// Where the user allowed it, or why they weren't asked.
    pub(super) approval: Option<String>,
    /// What the last attempt cost.
    #[serde(skip, default = "Charge::nothing")]
    pub(super) charge: Charge,
}

/// A budget that has too little left for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetRefusal {
    /// The budget's key in the config.
    pub budget: String,
    /// The sentence for the server and the user.
    pub reason: String,
    /// What is counted: `money`, `tokens` or `requests`.
    pub of: &'static str,
    /// The limit, in the budget's unit.
    pub limit: String,
    /// What is left of it.
    pub left: String,
    /// What the request may take at most.
    pub needed: String,
    /// When the budget begins anew, RFC 3339; `None` for that of a tool call.
    pub anew: Option<String>,
}

impl BudgetRefusal {
    /// The error's `data`.
    #[must_use]
    pub fn data(&self) -> Value {
        let Self { budget, of, limit, left, needed, anew, .. } = self;
        json!({ "budget": budget, "of": of, "limit": limit, "left": left, "needed": needed, "anew": anew })
    }
}
