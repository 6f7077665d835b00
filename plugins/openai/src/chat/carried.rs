//! What the API wants back on the next turn, in `_meta`: the model's reasoning, and what a server added to a tool call.
//!
//! It goes back to the model and the dialect that it came from: others refuse members that they don't know, and signatures that aren't
//! theirs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use understudy_plugin::types::Extras;

use super::wire::{CallExtras, Reasoning};

/// The key of a model's reasoning, on the first block of its answer.
const REASONING: &str = "understudy.openai/reasoning";
/// The key of what a server added to a tool call, on the call's block.
const CALL: &str = "understudy.openai/call";

/// Whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The model asked.
    pub(super) model: &'a str,
    /// The dialect, if that is known by more than the model.
    pub(super) dialect: &'a str,
}

#[derive(Serialize)]
struct Bound<'a, T> {
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    dialect: &'a str,
    #[serde(flatten)]
    value: T,
}

impl Source<'_> {
    /// The reasoning on a block, if it is this one's. Whatever the server made of it, it can fill these members only.
    pub(super) fn reasoning(self, extras: &Extras) -> Option<Reasoning<&RawValue>> {
        self.read(extras, REASONING)
    }

    /// What was added to the call of a block, if it is this one's.
    pub(super) fn call(self, extras: &Extras) -> Option<CallExtras<&RawValue>> {
        self.read(extras, CALL)
    }

    pub(super) fn put_reasoning(self, extras: &mut Extras, reasoning: &Reasoning<Box<RawValue>>) {
        self.put(extras, REASONING, reasoning);
    }

    pub(super) fn put_call(self, extras: &mut Extras, call: &CallExtras<Box<RawValue>>) {
        self.put(extras, CALL, call);
    }

    fn read<'b, T: Deserialize<'b>>(self, extras: &'b Extras, key: &str) -> Option<T> {
        #[derive(Deserialize)]
        struct Whose<'a> {
            #[serde(borrow)]
            model: Cow<'a, str>,
            #[serde(borrow, default)]
            dialect: Cow<'a, str>,
        }
        let meta = extras.meta.as_deref().filter(|meta| meta.contains(key))?;
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(meta).ok()?;
        let raw = members.get(key)?.get();
        let whose: Whose = serde_json::from_str(raw).ok()?;
        let is_own = whose.model == self.model && whose.dialect == self.dialect;
        serde_json::from_str(raw).ok().filter(|_| is_own)
    }

    fn put(self, extras: &mut Extras, key: &str, value: &impl Serialize) {
        let so_far = extras.meta.as_deref().and_then(|meta| serde_json::from_str(meta).ok());
        let mut members: BTreeMap<String, Box<RawValue>> = so_far.unwrap_or_default();
        let bound = Bound { model: self.model, dialect: self.dialect, value };
        members.extend(to_raw_value(&bound).ok().map(|bound| (key.to_owned(), bound)));
        extras.meta = serde_json::to_string(&members).ok();
    }
}
