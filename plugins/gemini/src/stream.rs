//! An answer that comes as a stream: chunks, each of them an answer that holds only the parts that are new.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use understudy_plugin::error::other;
use understudy_plugin::stream::{self, Assemble, Message, Taken};
use understudy_plugin::types::Error;

use crate::response::AnswerPart;
use crate::thought;
use crate::wire::{Answer, AnswerContent, Candidate, Part, PromptFeedback};

/// What the chunks have brought so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Chunks {
    pieces: Vec<Piece>,
    /// Whether a chunk held a candidate.
    is_begun: bool,
    finish_reason: Option<String>,
    finish_message: Option<String>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<Value>,
    model_version: Option<String>,
    /// The chunk that is a refusal, as it came; the answer ends with it, so it never crosses to the next call.
    #[serde(skip)]
    refusal: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Piece {
    /// Text, from one part or from several that followed each other.
    Text(String),
    /// Thoughts that needn't go back. All that is left of them is that the texts around them are two.
    Thought,
    /// Any other part, as it came. A text with a signature is one: such parts must not be merged with others (Google's docs,
    /// "Thought signatures").
    Part(Box<RawValue>),
}

impl Assemble for Chunks {
    fn take(&mut self, message: Message, text: &mut String) -> Result<Taken, Error> {
        let chunk: Answer = stream::json(&message)?;
        if chunk.error.is_some() {
            self.refusal = Some(message.data);
            return Ok(Taken::Last);
        }
        if let Some(candidate) = chunk.candidates.and_then(|candidates| candidates.into_iter().next()) {
            self.is_begun = true;
            for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
                self.take_part(part, text)?;
            }
            replace(&mut self.finish_reason, candidate.finish_reason.filter(|reason| !reason.is_empty()));
            replace(&mut self.finish_message, candidate.finish_message);
        }
        replace(&mut self.prompt_feedback, chunk.prompt_feedback);
        // Each chunk counts from the beginning.
        replace(&mut self.usage_metadata, chunk.usage_metadata);
        replace(&mut self.model_version, chunk.model_version);
        Ok(Taken::Piece)
    }

    fn is_whole(&self) -> bool {
        self.finish_reason.is_some() || self.prompt_feedback.as_ref().is_some_and(|said| said.block_reason.is_some())
    }

    fn body(self) -> Result<Vec<u8>, Error> {
        if let Some(refusal) = self.refusal {
            return Ok(refusal.into_bytes());
        }
        let unwritable = |e: serde_json::Error| other(format!("the answer can't be written as JSON: {e}"));
        let parts: Vec<Box<RawValue>> =
            self.pieces.into_iter().filter_map(Piece::into_part).collect::<Result<_, _>>().map_err(unwritable)?;
        let candidate = Candidate {
            content: Some(AnswerContent { parts: Some(parts.iter().map(AsRef::as_ref).collect()) }),
            finish_reason: self.finish_reason,
            finish_message: self.finish_message,
        };
        let answer = Answer {
            candidates: self.is_begun.then(|| vec![candidate]),
            prompt_feedback: self.prompt_feedback,
            usage_metadata: self.usage_metadata,
            model_version: self.model_version,
            error: None,
        };
        serde_json::to_vec(&answer).map_err(unwritable)
    }
}

impl Chunks {
    fn take_part(&mut self, raw: &RawValue, text: &mut String) -> Result<(), Error> {
        let part = AnswerPart::read(raw)?;
        if part.is_thought()? {
            if thought::carried(raw).is_some() {
                self.pieces.push(Piece::Part(raw.to_owned()));
            } else if matches!(self.pieces.last(), Some(Piece::Text(_))) {
                self.pieces.push(Piece::Thought);
            }
            return Ok(());
        }
        let said = if part.is_text() { part.field::<String>("text")? } else { None };
        text.push_str(said.as_deref().unwrap_or_default());
        match (said, self.pieces.last_mut()) {
            (Some(said), Some(Piece::Text(so_far))) if !part.is_signed() => so_far.push_str(&said),
            (Some(said), _) if !part.is_signed() => {
                if !said.is_empty() {
                    self.pieces.push(Piece::Text(said));
                }
            }
            _ => self.pieces.push(Piece::Part(raw.to_owned())),
        }
        Ok(())
    }
}

impl Piece {
    fn into_part(self) -> Option<serde_json::Result<Box<RawValue>>> {
        match self {
            Self::Text(text) => Some(to_raw_value(&Part::text(text))),
            Self::Thought => None,
            Self::Part(raw) => Some(Ok(raw)),
        }
    }
}

/// The newer one, if there is one.
fn replace<T>(so_far: &mut Option<T>, newer: Option<T>) {
    if newer.is_some() {
        *so_far = newer;
    }
}
