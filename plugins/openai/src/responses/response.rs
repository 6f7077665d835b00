//! The answer.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use understudy_plugin::blocks::{cut, extras_mut, tool_uses};
use understudy_plugin::error::{malformed_response, provider};
use understudy_plugin::text::one_line;
use understudy_plugin::types::{ContentBlock, CreateMessageResult, Error, HttpResponse, Usage};
use understudy_plugin::{http, refusal};

use super::State;
use super::reasoning::Carried;
use super::wire::{Answer, AnswerCall, AnswerMessage, Kind, Reasoning};
use crate::answer::{self, Call};

/// Reads an answer whose status is 2xx.
pub(super) fn read(state: State, response: &HttpResponse) -> Result<(CreateMessageResult, Option<Usage>), Error> {
    let answered: Answer = http::json_body(response)?;
    if let Some(error) = answered.error {
        return Err(crate::error::of_body(&error, response));
    }
    let incomplete = answered.incomplete_details.and_then(|details| details.reason);
    let end = End::of(answered.status.as_deref(), incomplete, response.status)?;
    let Some(output) = answered.output else { return Err(no_output(response)) };

    let Said { mut content, refused } = said(&output, &end, &state)?;
    if content.is_empty() && end.word.as_deref() == Some("content_filter") {
        return Err(answer::filtered(response.status));
    }
    let was_cut = cut(&mut content, &state.stop);
    let stop_reason = if was_cut { Some("stopSequence".to_owned()) } else { end.in_mcp(&content, refused) };
    let model = answered.model.filter(|model| !model.is_empty()).unwrap_or(state.model);
    let usage = answered.usage.and_then(|usage| answer::usage(usage, "input_tokens", "output_tokens"));
    Ok((CreateMessageResult { content, model, stop_reason, meta: None }, usage))
}

/// What an answer without output is: an error with a status of success, or none of this API's.
fn no_output(response: &HttpResponse) -> Error {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    if refusal::is_error(&body, &["output"]) {
        return crate::error::of_body(&body, response);
    }
    let beginning = http::beginning(&response.body);
    malformed_response(format!("the provider's answer holds no `output`; it begins with `{beginning}`"))
}

/// How the answer ended.
struct End {
    /// `completed`, or why it is incomplete, in the provider's words.
    word: Option<String>,
}

impl End {
    fn of(status: Option<&str>, incomplete: Option<String>, http_status: u16) -> Result<Self, Error> {
        match status {
            None | Some("" | "completed") => {
                let status = status.filter(|status| !status.is_empty());
                Ok(Self { word: incomplete.or_else(|| status.map(str::to_owned)) })
            }
            Some("incomplete") => Ok(Self { word: incomplete.or_else(|| Some("incomplete".to_owned())) }),
            Some(status @ ("failed" | "cancelled")) => {
                let message = format!("the provider's answer is `{status}`, and doesn't say why");
                Err(provider("internal", http_status, message, None))
            }
            Some(status) => {
                let status = one_line(status);
                Err(malformed_response(format!("the provider's answer is not finished: its `status` is `{status}`")))
            }
        }
    }

    fn is_limit(&self) -> bool {
        self.word.as_deref() == Some("max_output_tokens")
    }

    /// In MCP's words, where one of them is true. Other words stay as they are.
    fn in_mcp(self, content: &[ContentBlock], refused: bool) -> Option<String> {
        let calls = tool_uses(content).next().is_some();
        let word = match self.word.as_deref() {
            Some("max_output_tokens") => "maxTokens",
            Some("completed") | None if calls => "toolUse",
            Some("completed") | None if refused => "refusal",
            Some("completed") => "endTurn",
            _ => return self.word,
        };
        Some(word.to_owned())
    }
}

/// What the model said.
#[derive(Default)]
struct Said {
    content: Vec<ContentBlock>,
    /// Whether some of it is a refusal.
    refused: bool,
}

/// The blocks, the reasoning that stood before each in its `_meta`. Reasoning that nothing follows is unfinished: the API
/// wouldn't take it back without what followed.
fn said(output: &[&RawValue], end: &End, state: &State) -> Result<Said, Error> {
    let mut said = Said::default();
    let mut reasoning = Vec::new();
    for raw in output {
        let before = said.content.len();
        let mut phase = None;
        let Kind { kind } = read_item(raw)?;
        match &*kind {
            "message" => {
                let message: AnswerMessage = read_item(raw)?;
                phase = message.phase.filter(|phase| !phase.is_empty()).map(Cow::Owned);
                for part in message.content.into_iter().flatten() {
                    said.refused |= part.get("type").and_then(Value::as_str) == Some("refusal");
                    answer::push_part(&mut said.content, part)?;
                }
            }
            "function_call" => {
                let AnswerCall { call_id, name, arguments } = read_item(raw)?;
                let call = Call { id: call_id, name, arguments };
                let changed = (&state.names, &state.shapes);
                answer::push_call(&mut said.content, call, changed, state.calls, end.is_limit())?;
            }
            "reasoning" => reasoning.extend(Some(read_item(raw)?).filter(Reasoning::is_whole)),
            kind => {
                let kind = one_line(kind);
                return Err(malformed_response(format!(
                    "the provider's answer holds an item of the unknown type `{kind}`"
                )));
            }
        }
        if let Some(extras) = said.content.get_mut(before).and_then(extras_mut) {
            extras.meta = Carried::new(state, std::mem::take(&mut reasoning), phase).into_meta();
        }
    }
    Ok(said)
}

fn read_item<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Error> {
    serde_json::from_str(raw.get())
        .map_err(|e| malformed_response(format!("the provider's answer holds an odd item in `output`: {e}")))
}
