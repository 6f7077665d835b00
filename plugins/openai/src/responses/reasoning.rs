//! What the API wants back on the next turn: the model's reasoning, encrypted, and the phases of what it said.
//!
//! Encrypted reasoning is the account's own, and only reasoning models take any ("Reasoning input items can only be provided
//! to a reasoning or computer use model"), so it goes back to the model that it came from.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use understudy_plugin::types::Extras;

use super::State;
use super::wire::Reasoning;

/// What belongs to one block, in its `_meta`.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Carried<'a> {
    #[serde(borrow, default, rename = "understudy.openai/reasoning", skip_serializing_if = "Option::is_none")]
    reasoning: Option<BoundReasoning<'a>>,
    /// "Preserve and resend phase on all assistant messages" (`types/responses/response_output_message.py`): `commentary` or
    /// `final_answer`.
    #[serde(borrow, default, rename = "understudy.openai/phase", skip_serializing_if = "Option::is_none")]
    pub(super) phase: Option<Cow<'a, str>>,
}

/// An object, so that nothing takes it for what Chat Completions carries under the same key, or the other way round.
#[derive(Serialize, Deserialize)]
struct BoundReasoning<'a> {
    /// The model asked.
    #[serde(borrow)]
    model: Cow<'a, str>,
    /// Where it was asked.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    origin: Cow<'a, str>,
    /// Those that stood before the block.
    #[serde(borrow)]
    items: Vec<Reasoning<'a>>,
}

impl<'a> Carried<'a> {
    /// What belongs to a block of this model's answer.
    pub(super) fn new(state: &'a State, items: Vec<Reasoning<'a>>, phase: Option<Cow<'a, str>>) -> Self {
        let whose = || (state.model.as_str().into(), state.origin.as_str().into());
        let reasoning = (!items.is_empty()).then(whose).map(|(model, origin)| BoundReasoning { model, origin, items });
        Self { reasoning, phase }
    }

    /// What an earlier answer of this plugin put on a block. Whatever the server made of it, it can fill these fields only.
    pub(super) fn of(extras: &'a Extras) -> Self {
        let meta = extras.meta.as_deref().filter(|meta| meta.contains("understudy.openai/"));
        meta.and_then(|meta| serde_json::from_str(meta).ok()).unwrap_or_default()
    }

    /// The reasoning, if it is this model's, and of where this one is asked.
    pub(super) fn take(&mut self, state: &State) -> Vec<Reasoning<'a>> {
        let reasoning = self.reasoning.take();
        let reasoning = reasoning.filter(|its| its.model == state.model && its.origin == state.origin);
        reasoning.map(|reasoning| reasoning.items).unwrap_or_default()
    }

    /// The `_meta` of a block, if it must have one.
    pub(super) fn into_meta(self) -> Option<String> {
        let is_empty = self.reasoning.is_none() && self.phase.is_none();
        if is_empty { None } else { serde_json::to_string(&self).ok() }
    }
}

impl Reasoning<'_> {
    /// Whether it can go back: without its content the API would look for it among what it keeps, and it keeps nothing.
    pub(super) fn is_whole(&self) -> bool {
        self.encrypted_content.is_some() || !self.content.is_empty()
    }
}
