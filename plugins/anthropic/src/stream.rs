//! The events of a streamed answer, put together to the message that a whole answer is ("Streaming messages").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use understudy_plugin::error;
use understudy_plugin::http::beginning;
use understudy_plugin::stream::{Assemble, Message, Taken, broken, json};
use understudy_plugin::types::Error;

use crate::wire::{
    self, Answer, AnswerText, BlockDelta, BlockStart, Delta, Event, Kind, MessageDelta, MessageStart, StopDetails,
};

/// What has come so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) enum Assembly {
    #[default]
    Nothing,
    Message(Begun),
    /// The data of an `error` event: a refusal's body.
    Refusal(String),
}

impl Assemble for Assembly {
    fn take(&mut self, message: Message, text: &mut String) -> Result<Taken, Error> {
        if message.data.trim() == "[DONE]" {
            return Err(broken(200));
        }
        let event: Event = json(&message)?;
        let Some(kind) = &event.kind else {
            if event.fails() {
                *self = Self::Refusal(message.data);
                return Ok(Taken::Last);
            }
            let beginning = beginning(message.data.as_bytes());
            return Err(error::malformed_response(format!("a message of the stream has no `type`: `{beginning}`")));
        };
        match kind.as_ref() {
            "error" => {
                *self = Self::Refusal(message.data);
                Ok(Taken::Last)
            }
            "message_start" if matches!(self, Self::Nothing) => {
                let MessageStart { message } = json(&message)?;
                *self = Self::Message(Begun::new(message)?);
                Ok(Taken::Piece)
            }
            kind @ ("message_start"
            | "content_block_start"
            | "content_block_delta"
            | "message_delta"
            | "message_stop") => match self {
                Self::Message(begun) => begun.take(kind, &message, text),
                _ => Err(out_of_place(kind)),
            },
            // `content_block_stop` says nothing more, `ping` nothing at all, and event types can be added at any time
            // ("Versioning").
            _ => Ok(Taken::Piece),
        }
    }

    /// After the stop reason only `message_stop` comes.
    fn is_whole(&self) -> bool {
        matches!(self, Self::Message(begun) if begun.stop_reason.is_some())
    }

    fn body(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Nothing => Err(error::malformed_response("the stream holds no message")),
            Self::Message(begun) => begun.body(),
            Self::Refusal(data) => Ok(data.into_bytes()),
        }
    }
}

/// A message that has begun. Of its fields those are kept that `response` reads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Begun {
    model: Option<String>,
    blocks: Vec<Block>,
    stop_reason: Option<String>,
    stop_details: Option<StopDetails>,
    /// Each figure as it came last: they are totals, not increments.
    usage: BTreeMap<String, Box<RawValue>>,
}

impl Begun {
    fn new(message: Answer<'_>) -> Result<Self, Error> {
        if message.content.is_some_and(|content| !content.is_empty()) {
            return Err(error::malformed_response("the stream's `message_start` holds blocks already"));
        }
        let mut begun = Self {
            model: message.model,
            blocks: Vec::new(),
            stop_reason: message.stop_reason,
            stop_details: None,
            usage: BTreeMap::new(),
        };
        begun.count(message.usage);
        Ok(begun)
    }

    fn take(&mut self, kind: &str, message: &Message, text: &mut String) -> Result<Taken, Error> {
        match kind {
            "content_block_start" => self.begin_block(message, text)?,
            "content_block_delta" => {
                let BlockDelta { index, delta } = json(message)?;
                let block = self.blocks.iter_mut().find(|block| block.index == index).ok_or_else(|| {
                    error::malformed_response(format!("the stream adds to `content[{index}]`, which it hasn't begun"))
                })?;
                block.add(delta, text)?;
            }
            "message_delta" => {
                let MessageDelta { delta, usage } = json(message)?;
                if let Some(end) = delta {
                    self.stop_reason = end.stop_reason.or(self.stop_reason.take());
                    self.stop_details = end.stop_details.or(self.stop_details.take());
                }
                self.count(usage);
            }
            "message_stop" => return Ok(Taken::Last),
            kind => return Err(out_of_place(kind)),
        }
        Ok(Taken::Piece)
    }

    fn begin_block(&mut self, message: &Message, text: &mut String) -> Result<(), Error> {
        let BlockStart { index, content_block } = json(message)?;
        let malformed = |why: &dyn std::fmt::Display| {
            error::malformed_response(format!("`content[{index}]` of the answer, which the stream begins: {why}"))
        };
        let Kind { kind } = wire::object(content_block).map_err(|e| malformed(&e))?;
        if self.blocks.iter().any(|block| block.index == index) {
            return Err(malformed(&"it has begun already"));
        }
        if kind == "text"
            && let Ok(AnswerText { text: first }) = wire::object(content_block)
        {
            text.push_str(&first);
        }
        let kind = kind.into_owned();
        self.blocks.push(Block { index, kind, start: content_block.to_owned(), added: BTreeMap::new() });
        Ok(())
    }

    /// A figure that is `null` says nothing about an earlier one.
    fn count(&mut self, usage: Option<&RawValue>) {
        let figures: BTreeMap<String, Box<RawValue>> =
            usage.and_then(|usage| wire::object(usage).ok()).unwrap_or_default();
        self.usage.extend(figures.into_iter().filter(|(_, figure)| figure.get() != "null"));
    }

    fn body(self) -> Result<Vec<u8>, Error> {
        #[derive(Serialize)]
        struct Whole {
            r#type: &'static str,
            model: Option<String>,
            content: Vec<Box<RawValue>>,
            stop_reason: Option<String>,
            stop_details: Option<StopDetails>,
            usage: Option<BTreeMap<String, Box<RawValue>>>,
        }
        let content = self.blocks.into_iter().map(Block::whole).collect::<Result<_, _>>();
        let whole = content.and_then(|content| {
            serde_json::to_vec(&Whole {
                r#type: "message",
                model: self.model,
                content,
                stop_reason: self.stop_reason,
                stop_details: self.stop_details,
                usage: Some(self.usage).filter(|usage| !usage.is_empty()),
            })
        });
        whole.map_err(|e| error::malformed_response(format!("the stream's events don't make a message: {e}")))
    }
}

/// A block that has begun.
#[derive(Debug, Serialize, Deserialize)]
struct Block {
    index: u64,
    kind: String,
    /// The block as it began.
    start: Box<RawValue>,
    /// What came since, by field.
    added: BTreeMap<Field, String>,
}

/// A block's field that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Field {
    Text,
    Thinking,
    Signature,
    Input,
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Thinking => "thinking",
            Self::Signature => "signature",
            Self::Input => "input",
        }
    }
}

impl Block {
    fn add(&mut self, delta: Delta, text: &mut String) -> Result<(), Error> {
        let (field, piece) = match delta {
            Delta::TextDelta { text } => (Field::Text, text),
            Delta::ThinkingDelta { thinking } => (Field::Thinking, thinking),
            Delta::SignatureDelta { signature } => (Field::Signature, signature),
            Delta::InputJsonDelta { partial_json } => (Field::Input, partial_json),
            // `response` has no place for citations.
            Delta::CitationsDelta => return Ok(()),
        };
        let fits = match self.kind.as_str() {
            "text" => field == Field::Text,
            "tool_use" => field == Field::Input,
            _ => true,
        };
        if !fits {
            return Err(error::malformed_response(format!(
                "`content[{}]` of the answer, a `{}`, gets more `{}` from the stream",
                self.index,
                self.kind,
                field.name()
            )));
        }
        if piece.is_empty() {
            return Ok(());
        }
        if self.kind == "text" {
            text.push_str(&piece);
        }
        let added = self.added.entry(field).or_default();
        if field == Field::Signature {
            added.clear();
        }
        added.push_str(&piece);
        Ok(())
    }

    /// An `input` that isn't JSON, because it is cut off perhaps, becomes a string, which is no object: `response` says so.
    fn whole(self) -> Result<Box<RawValue>, serde_json::Error> {
        if self.added.is_empty() {
            return Ok(self.start);
        }
        let mut fields: BTreeMap<String, Box<RawValue>> = wire::object(&self.start)?;
        for (field, added) in self.added {
            let begun = fields.get(field.name()).and_then(|begun| serde_json::from_str::<String>(begun.get()).ok());
            let grown = match field {
                Field::Text | Field::Thinking => to_raw_value(&(begun.unwrap_or_default() + &added)),
                Field::Signature => to_raw_value(&added),
                Field::Input => serde_json::from_str(&added).or_else(|_| to_raw_value(&added)),
            };
            fields.insert(field.name().to_owned(), grown?);
        }
        to_raw_value(&fields)
    }
}

fn out_of_place(kind: &str) -> Error {
    error::malformed_response(format!("the stream holds a `{kind}` where none belongs"))
}
