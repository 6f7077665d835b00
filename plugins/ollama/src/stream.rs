//! An answer that comes as a stream: lines, each of them an answer that holds only what is new of the message. The last one,
//! which alone is `done`, has the figures.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use understudy_plugin::error::{malformed_response, other};
use understudy_plugin::state;
use understudy_plugin::stream::{self, Assemble, Message, Taken};
use understudy_plugin::types::Error;

use crate::State;

/// What the lines have brought so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Lines {
    /// Whether the text is a forced call (`forced`), and none for the asking server to see.
    is_call: bool,
    /// None until a line has one.
    message: Option<SoFar>,
    /// The last line, as it came; the answer ends with it, so it never crosses to the next call.
    #[serde(skip)]
    last: String,
}

/// A message, as a whole answer would have it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SoFar {
    content: String,
    thinking: String,
    images: Vec<String>,
    tool_calls: Vec<Box<RawValue>>,
}

/// Every field may be missing or `null`.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    message: Option<Piece<'a>>,
    done: Option<bool>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Piece<'a> {
    content: Option<String>,
    thinking: Option<String>,
    images: Option<Vec<String>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<&'a RawValue>>,
}

impl Assemble for Lines {
    fn begin(own: &RawValue) -> Result<Self, Error> {
        let state: State = state::from_bytes(own.get().as_bytes())?;
        Ok(Self { is_call: state.forced.is_some(), ..Self::default() })
    }

    fn take(&mut self, message: Message, text: &mut String) -> Result<Taken, Error> {
        let line: Line = stream::json(&message)?;
        if line.error.is_some() {
            // A refusal stands for itself, whatever was said before.
            *self = Self { last: message.data, ..Self::default() };
            return Ok(Taken::Last);
        }
        if let Some(piece) = line.message {
            let so_far = self.message.get_or_insert_default();
            if let Some(content) = piece.content {
                so_far.content.push_str(&content);
                if !self.is_call {
                    text.push_str(&content);
                }
            }
            so_far.thinking.push_str(piece.thinking.as_deref().unwrap_or_default());
            so_far.images.extend(piece.images.into_iter().flatten());
            so_far.tool_calls.extend(piece.tool_calls.into_iter().flatten().map(ToOwned::to_owned));
        }
        if line.done != Some(true) {
            return Ok(Taken::Piece);
        }
        self.last = message.data;
        Ok(Taken::Last)
    }

    /// Never: the last line says that it is the last.
    fn is_whole(&self) -> bool {
        false
    }

    fn body(self) -> Result<Vec<u8>, Error> {
        let Some(message) = self.message else { return Ok(self.last.into_bytes()) };
        let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(&self.last)
            .map_err(|e| malformed_response(format!("the last line of the stream is not what the format says: {e}")))?;
        let unwritable = |e: serde_json::Error| other(format!("the answer can't be written as JSON: {e}"));
        let message = to_raw_value(&message).map_err(unwritable)?;
        fields.insert("message".to_owned(), &message);
        serde_json::to_vec(&fields).map_err(unwritable)
    }
}
