//! The events of a streamed answer: the last one holds the answer as it would have come whole.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use understudy_plugin::error::{malformed_response, other};
use understudy_plugin::stream::{Assemble, Message, Taken, json};
use understudy_plugin::types::Error;

use super::wire::Event;

/// What has come so far.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Assembly {
    /// The items that are done, for a server whose last event lacks them (QuantumNous/new-api#4362, BerriAI/litellm#32724).
    items: Vec<Box<RawValue>>,
    /// The answer, or the refusal.
    whole: Option<Box<RawValue>>,
}

impl Assemble for Assembly {
    fn take(&mut self, message: Message, text: &mut String) -> Result<Taken, Error> {
        // Chat Completions' end, which some servers send here too.
        if message.data.trim() == "[DONE]" {
            return Ok(Taken::Piece);
        }
        let event: Event = json(&message)?;
        let kind = event.kind.as_deref().or(message.name.as_deref());
        match kind {
            Some("response.output_text.delta" | "response.refusal.delta") => {
                let piece = event.delta.and_then(|delta| serde_json::from_str::<String>(delta.get()).ok());
                text.push_str(&piece.unwrap_or_default());
            }
            Some("response.output_item.done") => self.items.extend(event.item.map(ToOwned::to_owned)),
            Some(kind @ ("response.completed" | "response.incomplete" | "response.failed" | "response.cancelled")) => {
                let answer = event.response.ok_or_else(|| {
                    malformed_response(format!("the stream's `{kind}` comes without the `response` that it is about"))
                })?;
                self.whole = Some(self.with_items(answer).map_err(|e| unwritten(&e))?);
                return Ok(Taken::Last);
            }
            kind if kind == Some("error") || (kind.is_none() && event.error.is_some()) => {
                let said: &RawValue = json(&message)?;
                self.whole = Some(to_raw_value(&BTreeMap::from([("error", said)])).map_err(|e| unwritten(&e))?);
                return Ok(Taken::Last);
            }
            // Other events tell what the last one will hold, and more of them are added over time.
            _ => {}
        }
        Ok(Taken::Piece)
    }

    fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    fn body(self) -> Result<Vec<u8>, Error> {
        let whole = self.whole.ok_or_else(|| malformed_response("the stream holds no answer"))?;
        Ok(<Box<str>>::from(whole).into_string().into_bytes())
    }
}

impl Assembly {
    /// The answer, with the items that came before if it has none of its own.
    fn with_items(&self, answer: &RawValue) -> Result<Box<RawValue>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Answer {
            output: Option<Vec<IgnoredAny>>,
        }
        let lacks_items = serde_json::from_str::<Answer>(answer.get())
            .is_ok_and(|answer| answer.output.is_none_or(|items| items.is_empty()));
        if !lacks_items || self.items.is_empty() {
            return Ok(answer.to_owned());
        }
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(answer.get())?;
        fields.insert("output".to_owned(), to_raw_value(&self.items)?);
        to_raw_value(&fields)
    }
}

fn unwritten(e: &serde_json::Error) -> Error {
    other(format!("the streamed answer can't be written as JSON: {e}"))
}
