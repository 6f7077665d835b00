//! What Google wants back on the next turn: signatures of the model's thoughts, and parts that MCP has no block for.
//!
//! "As a general rule, if you receive a thought signature in a model response, you should pass it back exactly as received"
//! (Google's docs, "Thought signatures"). They are one model's own: another refuses them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use understudy_plugin::types::Extras;

use crate::wire::{Carried, Part};

/// The key in a block's `_meta`.
const KEY: &str = "understudy.google/thought";

/// Google's mark for function calls that have no signature because another model made them, or because the server gave
/// them back without their `_meta`: without one, Gemini 3 and later refuse the request (Google's docs, "Thought
/// signatures", FAQ).
const UNSIGNED: &str = "skip_thought_signature_validator";

/// What belongs to one block.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Thought<'a> {
    /// The model asked.
    #[serde(borrow)]
    model: Cow<'a, str>,
    /// The block's own `thoughtSignature`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<Cow<'a, str>>,
    /// Parts that stood before the block.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) before: Vec<Carried<'a>>,
    /// Parts that stood after the last block.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) after: Vec<Carried<'a>>,
}

impl<'a> Thought<'a> {
    /// What an earlier answer of this plugin, by the same model, put on a block. Whatever the server made of it, it can
    /// fill these fields only.
    pub(crate) fn of(extras: &'a Extras, model: &str) -> Self {
        #[derive(Deserialize)]
        struct Meta<'a> {
            #[serde(borrow, rename = "understudy.google/thought")]
            thought: Option<Thought<'a>>,
        }
        let meta = extras.meta.as_deref().filter(|meta| meta.contains(KEY));
        let meta = meta.and_then(|meta| serde_json::from_str::<Meta>(meta).ok());
        meta.and_then(|meta| meta.thought).filter(|thought| thought.model == model).unwrap_or_default()
    }

    /// What belongs to a block of this model's answer.
    pub(crate) fn new(model: &'a str, signature: Option<String>, before: Vec<Carried<'a>>) -> Self {
        Self { model: model.into(), signature: signature.map(Into::into), before, after: Vec::new() }
    }

    /// The `_meta` of a block, if it must have one.
    pub(crate) fn into_meta(self) -> Option<String> {
        if self.signature.is_none() && self.before.is_empty() && self.after.is_empty() {
            return None;
        }
        serde_json::to_string(&BTreeMap::from([(KEY, self)])).ok()
    }
}

/// A part that must go back if it has something to go back for: a thought without a signature has not.
pub(crate) fn carried(raw: &RawValue) -> Option<Carried<'_>> {
    let carried: Carried = serde_json::from_str(raw.get()).ok()?;
    let work = [carried.executable_code, carried.code_execution_result, carried.tool_call, carried.tool_response];
    (carried.thought_signature.is_some() || work.iter().any(Option::is_some)).then_some(carried)
}

/// A carried part, back on its way.
pub(crate) fn part(carried: Carried<'_>) -> Part<'_> {
    Part { carried: Some(carried), ..Part::default() }
}

/// Marks the first function call if it isn't signed: of several at once, Google signs that one, and asks for no other.
pub(crate) fn mark_unsigned_call(parts: &mut [Part]) {
    if let Some(first) = parts.iter_mut().find(|part| part.function_call.is_some()) {
        first.thought_signature.get_or_insert(UNSIGNED.into());
    }
}
