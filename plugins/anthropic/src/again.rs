//! A second try, where only the answer to the first shows what is needed.
//!
//! | the first try | the second |
//! | --- | --- |
//! | is refused for thinking that went back | is the same without it |
//! | brings no tool call, though one is required and the model can't be forced to | asks for one once more, after the answer |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use understudy_plugin::blocks::tool_uses;
use understudy_plugin::error::other;
use understudy_plugin::forced::{AGAIN, no_call};
use understudy_plugin::state;
use understudy_plugin::types::{Completion, ContentBlock, Error, Step};

use crate::State;
use crate::binding::Digest;
use crate::request::{is_blank, post};
use crate::wire::{Block, Content, Message, is_of_kind, is_thinking};

/// What a second try needs of the first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct First {
    body: Box<RawValue>,
    streams: bool,
    /// Whether thinking went back.
    thinking: bool,
}

/// A message of the first try.
#[derive(Debug, Serialize, Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    role: &'a RawValue,
    #[serde(borrow)]
    content: Vec<&'a RawValue>,
}

type Body<'a> = BTreeMap<String, &'a RawValue>;

impl First {
    /// Keeps the body of the first try.
    pub(crate) fn keep(body: &[u8], streams: bool, thinking: bool) -> Result<Self, Error> {
        Ok(Self { body: serde_json::from_slice(body).map_err(unreadable)?, streams, thinking })
    }

    /// Whether the first try was refused for its thinking, by the words of the refusal.
    pub(crate) fn is_refused_for_thinking(&self, refusal: &Error) -> bool {
        let Error::Provider(refusal) = refusal else { return false };
        let says = |words: &str| refusal.message.to_ascii_lowercase().contains(words);
        self.thinking && refusal.kind == "invalid-request" && (says("thinking") || says("signature"))
    }

    /// The first try without the thinking that went back.
    pub(crate) fn without_thinking(&self, mut state: State) -> Result<Step, Error> {
        let mut body: Body = serde_json::from_str(self.body.get()).map_err(unreadable)?;
        let mut messages: Vec<Sent> = read(&body, "messages")?;
        for message in &mut messages {
            message.content.retain(|content| !is_thinking(content));
        }
        messages.retain(|message| !message.content.is_empty());
        // With a budget, a turn that goes on must begin with thinking.
        body.retain(|key, value| key != "thinking" || !is_of_kind(value, "enabled"));
        if state.prefix.is_some() {
            let mut prefix = Digest::new().and(&body.get("system"))?.and(&body.get("tools"))?;
            for message in &messages {
                prefix = message.content.iter().try_fold(prefix.and(message.role)?, Digest::and)?;
            }
            state.prefix = Some(prefix);
        }
        let messages = written(&messages)?;
        body.insert("messages".to_owned(), &messages);
        let body = written(&body)?;
        if state.must_call {
            state.first = Some(Self { body: body.clone(), streams: self.streams, thinking: false });
        }
        self.ask(&body, &state)
    }

    /// The first try, its answer, and what the user says to that.
    fn with(&self, answer: &Completion, mut state: State) -> Result<Step, Error> {
        let mut body: Body = serde_json::from_str(self.body.get()).map_err(unreadable)?;
        let text = |text| Content::Block(Block::text(text));
        let said = answer.result.content.iter().filter_map(|block| match block {
            ContentBlock::Text(said) if !is_blank(&said.text) => Some(text(said.text.trim_end())),
            _ => None,
        });
        let turns = [
            Message { role: "assistant", content: said.collect() },
            Message { role: "user", content: vec![text(AGAIN)] },
        ];
        let mut messages: Vec<Box<RawValue>> = read(&body, "messages")?;
        for turn in turns.iter().filter(|turn| !turn.content.is_empty()) {
            messages.push(written(turn)?);
        }
        let messages = written(&messages)?;
        body.insert("messages".to_owned(), &messages);
        // The server doesn't know of these turns, so what the model thinks after them can't go back.
        state.prefix = None;
        state.spent = answer.usage.as_ref().map(|usage| (usage.input_tokens, usage.output_tokens));
        self.ask(&body, &state)
    }

    fn ask(&self, body: &impl Serialize, state: &State) -> Result<Step, Error> {
        let mut fetch = post(body, self.streams)?;
        fetch.state = state::to_bytes(state)?;
        Ok(Step::from(fetch))
    }
}

/// The answer, or once more the question: an answer without a tool call doesn't do if the server requires one. What ended
/// otherwise than by the model's own choice, such as at `maxTokens`, stays what it is.
pub(crate) fn checked(answer: Completion, mut state: State) -> Result<Step, Error> {
    let by_choice = matches!(answer.result.stop_reason.as_deref(), None | Some("endTurn" | "stopSequence" | "toolUse"));
    if !state.must_call || !by_choice || tool_uses(&answer.result.content).next().is_some() {
        return Ok(Step::Done(state.with_spent(answer)));
    }
    match state.first.take() {
        Some(first) => first.with(&answer, state),
        None => Err(no_call(&state.model)),
    }
}

impl State {
    /// The answer with the tokens of the first try.
    fn with_spent(&self, mut answer: Completion) -> Completion {
        if let (Some((input, output)), Some(usage)) = (self.spent, &mut answer.usage) {
            let sum = |one: &mut Option<u64>, other: Option<u64>| {
                *one = one.or(other.map(|_| 0)).map(|tokens| tokens.saturating_add(other.unwrap_or_default()));
            };
            sum(&mut usage.input_tokens, input);
            sum(&mut usage.output_tokens, output);
        }
        answer
    }
}

fn read<'a, T: Deserialize<'a>>(body: &Body<'a>, key: &str) -> Result<T, Error> {
    let value = body.get(key).map_or("[]", |raw| raw.get());
    serde_json::from_str(value).map_err(unreadable)
}

fn written(value: &impl Serialize) -> Result<Box<RawValue>, Error> {
    to_raw_value(value).map_err(|e| other(format!("the request can't be written as JSON: {e}")))
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn unreadable(e: serde_json::Error) -> Error {
    other(format!("the request of the first try can't be read again: {e}"))
}
