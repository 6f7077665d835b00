//! The answer.

use serde_json::Value;
use serde_json::value::RawValue;
use understudy_plugin::blocks::{cut, extras_mut, tool_uses};
use understudy_plugin::error::{malformed_response, provider};
use understudy_plugin::reason::{self, Reason};
use understudy_plugin::text::one_line;
use understudy_plugin::types::{ContentBlock, CreateMessageResult, Error, HttpResponse, Usage};
use understudy_plugin::{http, refusal};

use super::State;
use super::wire::{self, Answer, AnswerMessage, AnswerToolCall, CallExtras, XGroq};
use crate::answer::{self, Call};

/// Reads an answer whose status is 2xx.
pub(super) fn read(state: State, response: &HttpResponse) -> Result<(CreateMessageResult, Option<Usage>), Error> {
    let answered: Answer = http::json_body(response)?;
    let of_groq = answered.x_groq.unwrap_or(XGroq { error: None, usage: None });
    if let Some(error) = answered.error.or(of_groq.error) {
        return Err(crate::error::of_body(&error, response));
    }
    let Some(choice) = answered.choices.and_then(|choices| choices.into_iter().next()) else {
        return Err(no_choice(response));
    };
    if let Some(error) = choice.error {
        return Err(crate::error::of_body(&error, response));
    }
    let message = choice.message.ok_or_else(|| malformed_response("the provider's answer holds no message"))?;

    let finish = Finish { word: choice.finish_reason, stop: stop_of(choice.stop_reason, choice.matched_stop) };
    finish.check(response.status)?;
    let refused = message.refusal.as_ref().is_some_and(|refusal| !refusal.is_empty());
    let Said { mut content, reasoning } = said(message, &finish, &state)?;
    if content.is_empty() && finish.reason() == Reason::Filter {
        return Err(answer::filtered(response.status));
    }
    let calls = tool_uses(&content).next().is_some();
    if state.forced && !calls && !matches!(finish.reason(), Reason::MaxTokens | Reason::Filter) {
        return Err(malformed_response(format!(
            "`toolChoice` is `required`, and the answer calls no tool (the model `{}` can't be made to, and was told to)",
            state.model
        )));
    }
    let was_cut = cut(&mut content, &state.cut);
    if let Some(extras) = content.first_mut().and_then(extras_mut)
        && !reasoning.is_none()
    {
        state.source().put_reasoning(extras, &reasoning);
    }
    let stop_reason =
        if was_cut { Some("stopSequence".to_owned()) } else { finish.in_mcp(calls, refused, &state.stop) };
    let usage = answered.usage.or(of_groq.usage);
    let usage = usage.and_then(|usage| answer::usage(usage, "prompt_tokens", "completion_tokens"));
    let model = answered.model.filter(|model| !model.is_empty()).unwrap_or(state.model);
    Ok((CreateMessageResult { content, model, stop_reason, meta: None }, usage))
}

/// What an answer without any choice is: an error with a status of success, or none of this API's.
fn no_choice(response: &HttpResponse) -> Error {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    if refusal::is_error(&body, &["choices"]) {
        return crate::error::of_body(&body, response);
    }
    let beginning = http::beginning(&response.body);
    malformed_response(format!("the provider's answer holds no choice; it begins with `{beginning}`"))
}

/// Why the answer ended, in the provider's words.
struct Finish {
    word: Option<String>,
    /// The stop sequence, where the server tells.
    stop: Option<String>,
}

impl Finish {
    fn reason(&self) -> Reason {
        Reason::of(self.word.as_deref().unwrap_or_default())
    }

    /// Refuses half an answer.
    fn check(&self, status: u16) -> Result<(), Error> {
        match (self.reason(), &self.word) {
            (Reason::Failed, Some(word)) => {
                let word = one_line(word);
                let message = format!("the provider broke the answer off: its `finish_reason` is `{word}`");
                Err(provider("unavailable", status, message, None))
            }
            _ => Ok(()),
        }
    }

    /// In MCP's words. `stop` is the end of the turn or a stop sequence, and OpenAI doesn't tell which.
    fn in_mcp(self, calls: bool, refused: bool, stop: &[String]) -> Option<String> {
        let word = match self.reason() {
            Reason::EndTurn | Reason::Unknown if refused && !calls => "refusal",
            Reason::EndTurn if !calls && self.stop.is_some_and(|matched| stop.contains(&matched)) => "stopSequence",
            _ => return reason::in_mcp(self.word.as_deref(), calls),
        };
        Some(word.to_owned())
    }
}

fn stop_of(stop_reason: Option<Value>, matched_stop: Option<Value>) -> Option<String> {
    [stop_reason, matched_stop].into_iter().flatten().find_map(|value| match value {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// The blocks that the model said, and the reasoning that must come back on the next turn.
struct Said {
    content: Vec<ContentBlock>,
    reasoning: wire::Reasoning<Box<RawValue>>,
}

fn said(message: AnswerMessage, finish: &Finish, state: &State) -> Result<Said, Error> {
    if message.audio.is_some() {
        return Err(malformed_response(
            "the provider's answer is audio, which this plugin doesn't read; take `modalities` out of `settings.extra`",
        ));
    }
    let mut content = Vec::new();
    match message.content {
        None => {}
        Some(Value::String(said)) => answer::push_text(&mut content, said),
        Some(Value::Array(parts)) => parts.into_iter().try_for_each(|part| answer::push_part(&mut content, part))?,
        Some(_) => {
            return Err(malformed_response("the provider's answer has a `content` that is neither text nor parts"));
        }
    }
    tidy_beginning(&mut content, state);
    if let Some(refusal) = message.refusal {
        answer::push_text(&mut content, refusal);
    }
    for image in message.images.into_iter().flatten() {
        content.push(answer::image_block(&image)?);
    }
    let mut calls = message.tool_calls.unwrap_or_default();
    if calls.is_empty() {
        let of_old = |function| AnswerToolCall {
            id: None,
            function: Some(function),
            extra_content: None,
            provider_specific_fields: None,
        };
        calls.extend(message.function_call.map(of_old));
    }
    let is_cut = finish.reason() == Reason::MaxTokens;
    for AnswerToolCall { id, function, extra_content, provider_specific_fields } in calls {
        let function = function
            .ok_or_else(|| malformed_response("the provider's answer holds a tool call without a `function`"))?;
        let call = Call { id, name: function.name, arguments: function.arguments.as_deref() };
        answer::push_call(&mut content, call, (&state.names, &state.shapes), state.calls, is_cut)?;
        let added = CallExtras { extra_content, provider_specific_fields };
        if let Some(extras) = content.last_mut().and_then(extras_mut)
            && !added.is_none()
        {
            state.source().put_call(extras, &added);
        }
    }
    let reasoning = wire::Reasoning {
        // With tools, DeepSeek wants every answer's back, an empty one too, and refuses the request otherwise
        // (its docs, as quoted in anomalyco/opencode#24722). Without them it has no use.
        reasoning_content: message.reasoning_content.filter(|_| state.tools),
        // OpenRouter says the same twice; the details are what must come back.
        reasoning: message.reasoning.filter(|_| state.tools && message.reasoning_details.is_none()),
        // OpenRouter: signed pieces, which must come back unchanged (openrouter.ai/docs/guides/best-practices/reasoning-tokens).
        reasoning_details: message.reasoning_details,
        thinking_blocks: message.thinking_blocks,
    };
    Ok(Said { content, reasoning })
}

/// Takes out of the answer's beginning what isn't part of it: thinking, and the end of the conversation said again.
fn tidy_beginning(content: &mut Vec<ContentBlock>, state: &State) {
    let Some(ContentBlock::Text(first)) = content.first_mut() else { return };
    if state.thinks {
        let answer = answer::without_thinking(&first.text, true);
        if answer.len() < first.text.len() {
            first.text = answer.to_owned();
        }
    }
    if let Some(prefix) = state.prefix.as_deref()
        && let Some(rest) = first.text.strip_prefix(prefix).filter(|_| says_again(prefix, &first.text))
    {
        first.text = rest.to_owned();
    }
    if first.text.is_empty() {
        content.remove(0);
    }
}

/// Whether a text that begins with the end of the conversation says that again: it is long enough to be no accident, or the text is JSON
/// by itself.
fn says_again(prefix: &str, text: &str) -> bool {
    prefix.trim().len() > 3 || serde_json::from_str::<&RawValue>(text).is_ok()
}
