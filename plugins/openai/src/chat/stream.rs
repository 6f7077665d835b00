//! The chunks of a streamed answer, put together to the answer that would have come whole.
//!
//! Some servers' chunks hold more than OpenAI's, or less: what `response` reads of a whole answer is put together here from
//! pieces, and judged there.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use understudy_plugin::error::{malformed_response, other};
use understudy_plugin::refusal;
use understudy_plugin::stream::{Assemble, Message, Taken, broken, json};
use understudy_plugin::types::Error;

use super::wire::{AnswerFunction, Chunk, ChunkChoice, Delta, DeltaContent, DeltaToolCall, XGroq};
use crate::answer::without_thinking;

/// The answer so far, in the form of a whole one.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Assembly {
    model: Option<String>,
    /// None before the first piece of it.
    choices: Vec<Choice>,
    usage: Option<Box<RawValue>>,
    error: Option<Box<RawValue>>,
    /// Whether a message came that is none of the format's.
    #[serde(default)]
    is_odd: bool,
    /// Whether the text can begin with thinking.
    #[serde(default)]
    thinks: bool,
}

impl Assemble for Assembly {
    fn take(&mut self, message: Message, text: &mut String) -> Result<Taken, Error> {
        if message.data.trim() == "[DONE]" {
            // After something that nobody understands, an answer without a reason to end may be half a one.
            return if self.is_odd && !self.is_whole() { Err(broken(200)) } else { Ok(Taken::Last) };
        }
        if message.name.as_deref() == Some("error") {
            let said = serde_json::from_str(&message.data).or_else(|_| to_raw_value(&message.data));
            self.error = said.ok();
            return Ok(Taken::Last);
        }
        let chunk: Chunk = json(&message)?;
        let mut choices = chunk.choices.unwrap_or_default();
        // The plugin asks for one choice. Azure sends a chunk without any first, and the usage comes in one at the end.
        choices.retain(|choice| choice.index.is_none_or(|index| index == 0));
        let error = chunk.error.or_else(|| choices.iter().find_map(|choice| choice.error)).map(ToOwned::to_owned);
        let of_groq = chunk.x_groq.unwrap_or(XGroq { error: None, usage: None });
        let error = error.or_else(|| of_groq.error.and_then(|error| to_raw_value(&error).ok()));
        let is_bare = choices.is_empty() && chunk.usage.is_none();
        if let Some(error) = error.or(self.error_of(&message, chunk.object.as_deref(), is_bare)?) {
            self.error = Some(error);
            return Ok(Taken::Last);
        }
        self.model = self.model.take().or(chunk.model.filter(|model| !model.is_empty()));
        let usage = chunk.usage.or_else(|| choices.iter().find_map(|choice| choice.usage)).map(ToOwned::to_owned);
        let usage = usage.or_else(|| of_groq.usage.and_then(|usage| to_raw_value(&usage).ok()));
        self.usage = usage.or(self.usage.take());
        for piece in choices {
            let mut choice = self.choices.pop().unwrap_or_default();
            choice.add(piece, self.thinks, text)?;
            self.choices.push(choice);
        }
        Ok(Taken::Piece)
    }

    /// Not every server sends `[DONE]`.
    fn is_whole(&self) -> bool {
        self.choices.iter().any(|choice| choice.finish_reason.is_some())
    }

    fn body(self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(&self).map_err(|e| other(format!("the streamed answer can't be written as JSON: {e}")))
    }
}

impl Assembly {
    /// An answer that can begin with thinking, which isn't shown.
    pub(crate) fn thinking(thinks: bool) -> Self {
        Self { thinks, ..Self::default() }
    }

    /// The error that a message is as a whole: by its name, or because it says something in the place of a piece of the answer.
    fn error_of(
        &mut self,
        message: &Message,
        object: Option<&str>,
        is_bare: bool,
    ) -> Result<Option<Box<RawValue>>, Error> {
        if object == Some("error") {
            return json(message).map(Some);
        }
        if is_bare && object != Some("chat.completion.chunk") {
            let said: Value = json(message)?;
            if refusal::is_error(&said, &["choices", "usage"]) {
                return json(message).map(Some);
            }
            let is_known =
                ["choices", "prompt_filter_results", "model", "id"].iter().any(|key| said.get(key).is_some());
            self.is_odd |= !is_known;
        }
        Ok(None)
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Choice {
    message: Said,
    finish_reason: Option<String>,
    stop_reason: Option<Value>,
    matched_stop: Option<Value>,
}

impl Choice {
    /// With some servers the reason to finish is an empty text before it is there.
    fn add(&mut self, piece: ChunkChoice<'_>, thinks: bool, text: &mut String) -> Result<(), Error> {
        if let Some(delta) = piece.delta {
            self.message.add(delta, thinks, text)?;
        }
        self.finish_reason = piece.finish_reason.filter(|reason| !reason.is_empty()).or(self.finish_reason.take());
        self.stop_reason = piece.stop_reason.or(self.stop_reason.take());
        self.matched_stop = piece.matched_stop.or(self.matched_stop.take());
        Ok(())
    }
}

/// The message so far.
#[derive(Default, Serialize, Deserialize)]
struct Said {
    /// Parts, the texts among them as long as they can be.
    content: Vec<Value>,
    refusal: Option<String>,
    tool_calls: Vec<Call>,
    function_call: Option<Function>,
    images: Vec<Value>,
    /// Whether there is any: it isn't kept.
    audio: Option<bool>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    reasoning_details: Option<Vec<Value>>,
    thinking_blocks: Option<Vec<Value>>,
}

impl Said {
    fn add(&mut self, delta: Delta, thinks: bool, text: &mut String) -> Result<(), Error> {
        let shown = self.shown(thinks).map_or(0, str::len);
        let mut said = String::new();
        match delta.content {
            None => {}
            Some(DeltaContent::Text(piece)) => self.add_text(&piece, &mut said),
            Some(DeltaContent::Parts(parts)) => parts.into_iter().for_each(|part| self.add_part(part, &mut said)),
        }
        match self.shown(thinks) {
            Some(all) => text.push_str(all.get(shown..).unwrap_or_default()),
            None => text.push_str(&said),
        }
        if let Some(piece) = delta.refusal {
            text.push_str(&piece);
            self.refusal.get_or_insert_default().push_str(&piece);
        }
        for piece in delta.tool_calls.into_iter().flatten() {
            self.add_call(piece)?;
        }
        if let Some(piece) = delta.function_call {
            self.function_call.get_or_insert_default().add(piece)?;
        }
        self.images.extend(delta.images.into_iter().flatten());
        self.audio = delta.audio.map(|_| true).or(self.audio);
        add_reasoning(&mut self.reasoning_content, delta.reasoning_content.as_ref());
        add_reasoning(&mut self.reasoning, delta.reasoning.as_ref());
        if let Some(Value::Array(pieces)) = delta.reasoning_details {
            let details = self.reasoning_details.get_or_insert_default();
            for piece in pieces {
                add_detail(details, piece);
            }
        }
        if let Some(Value::Array(pieces)) = delta.thinking_blocks {
            let blocks = self.thinking_blocks.get_or_insert_default();
            for piece in pieces {
                add_block(blocks, piece);
            }
        }
        // `response` takes one of the two.
        if self.reasoning_details.is_some() {
            self.reasoning = None;
        }
        Ok(())
    }

    /// What is shown of the text, if it can begin with thinking.
    fn shown(&self, thinks: bool) -> Option<&str> {
        let is_first = thinks && self.content.len() <= 1;
        let text = self.content.first().map_or(Some(""), |part| part.get("text")?.as_str());
        text.filter(|_| is_first).map(|text| without_thinking(text, false))
    }

    fn add_text(&mut self, piece: &str, text: &mut String) {
        text.push_str(piece);
        let last = self.content.last_mut().filter(|part| part.get("type").and_then(Value::as_str) == Some("text"));
        match last.and_then(|part| part.get_mut("text")) {
            Some(Value::String(so_far)) => so_far.push_str(piece),
            _ => self.content.push(serde_json::json!({ "type": "text", "text": piece })),
        }
    }

    /// Mistral's reasoning models think in parts that `response` would drop.
    fn add_part(&mut self, part: Value, text: &mut String) {
        match (part.get("type").and_then(Value::as_str), part.get("text").and_then(Value::as_str)) {
            (Some("thinking" | "reasoning"), _) => {}
            (None | Some("text" | "output_text"), Some(piece)) => self.add_text(piece, text),
            _ => self.content.push(part),
        }
    }

    fn add_call(&mut self, piece: DeltaToolCall) -> Result<(), Error> {
        let at = self.call_of(&piece).unwrap_or_else(|| {
            self.tool_calls.push(Call { index: piece.index, ..Call::default() });
            self.tool_calls.len() - 1
        });
        let Some(call) = self.tool_calls.get_mut(at) else { return Ok(()) };
        call.id = call.id.take().or(piece.id.filter(|id| !id.is_empty()));
        call.extra_content = piece.extra_content.or(call.extra_content.take());
        call.provider_specific_fields = piece.provider_specific_fields.or(call.provider_specific_fields.take());
        piece.function.map_or(Ok(()), |function| call.function.add(function))
    }

    /// Which call a piece belongs to, if it isn't the first of a new one.
    ///
    /// OpenAI says so by `index`, and gives id and name in the first piece. Where calls share an index (Gemini's compatible
    /// endpoint), one that has a name is new if its id is, or if the call before it is complete. The id alone doesn't tell:
    /// vLLM has given a new one to each piece. Without an index, the id tells, or else the name.
    fn call_of(&self, piece: &DeltaToolCall) -> Option<usize> {
        let id = piece.id.as_ref().filter(|id| !id.is_empty());
        let function = piece.function.as_ref();
        let is_named = function.and_then(|f| f.name.as_ref()).is_some_and(|name| !name.is_empty());
        let mut calls = self.tool_calls.iter();
        match (piece.index, id) {
            (Some(index), _) => {
                let at = calls.rposition(|call| call.index == Some(index))?;
                let call = self.tool_calls.get(at)?;
                let is_other = match (&call.id, id) {
                    (Some(of_call), Some(id)) => of_call != id,
                    _ => call.function.is_complete(),
                };
                (!(is_named && is_other)).then_some(at)
            }
            (None, Some(id)) => calls.rposition(|call| call.id.as_ref() == Some(id)),
            (None, None) if is_named => None,
            (None, None) => self.tool_calls.len().checked_sub(1),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Call {
    index: Option<u64>,
    id: Option<String>,
    function: Function,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extra_content: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_specific_fields: Option<Box<RawValue>>,
}

#[derive(Default, Serialize, Deserialize)]
struct Function {
    name: Option<String>,
    /// JSON as a text, as far as it is there.
    arguments: String,
}

impl Function {
    /// Some servers say the whole name with each piece.
    fn add(&mut self, piece: AnswerFunction) -> Result<(), Error> {
        if let Some(name) = piece.name.filter(|name| !name.is_empty() && self.name.as_ref() != Some(name)) {
            self.name.get_or_insert_default().push_str(&name);
        }
        match piece.arguments.as_deref().map(RawValue::get) {
            None => {}
            Some(text) if text.starts_with('"') => {
                let text: String = serde_json::from_str(text)
                    .map_err(|e| malformed_response(format!("the arguments of a streamed tool call: {e}")))?;
                self.arguments.push_str(&text);
            }
            // With some servers the object itself.
            Some(json) => self.arguments.push_str(json),
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.arguments.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(&self.arguments).is_ok()
    }
}

/// An empty text counts: DeepSeek wants it back.
fn add_reasoning(so_far: &mut Option<String>, piece: Option<&Value>) {
    if let Some(piece) = piece.and_then(Value::as_str) {
        so_far.get_or_insert_default().push_str(piece);
    }
}

/// OpenRouter's: a detail comes in pieces of the same `index` and `type`, its signature at the end (agno-agi/agno#8794,
/// langchain-ai/langchain#36400), and must go back in one. Those of calls side by side can share an index, but no `id`.
fn add_detail(details: &mut Vec<Value>, piece: Value) {
    let is_same = |detail: &&mut Value| {
        let same = |key: &str| detail.get(key).is_some_and(|value| !value.is_null() && piece.get(key) == Some(value));
        let ids = [detail.get("id"), piece.get("id")].map(|id| id.and_then(Value::as_str));
        same("type") && same("index") && (ids.contains(&None) || same("id"))
    };
    let (Some(Value::Object(detail)), Value::Object(fields)) = (details.iter_mut().rfind(is_same), &piece) else {
        details.push(piece);
        return;
    };
    for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        match (key.as_str(), detail.get_mut(key), value) {
            ("text" | "summary" | "data", Some(Value::String(so_far)), Value::String(more)) => so_far.push_str(more),
            _ => drop(detail.insert(key.clone(), value.clone())),
        }
    }
}

/// LiteLLM's: a block of thinking comes in pieces, its signature in the last (`docs.litellm.ai/docs/reasoning_content`).
fn add_block(blocks: &mut Vec<Value>, piece: Value) {
    let is_signed = |block: &Value| block.get("signature").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let is_open = |block: &&mut Value| block.get("type") == piece.get("type") && !is_signed(block);
    let (Some(Value::Object(block)), Value::Object(fields)) = (blocks.last_mut().filter(is_open), &piece) else {
        blocks.push(piece);
        return;
    };
    for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        match (key.as_str(), block.get_mut(key), value) {
            ("thinking" | "data", Some(Value::String(so_far)), Value::String(more)) => so_far.push_str(more),
            _ => drop(block.insert(key.clone(), value.clone())),
        }
    }
}
