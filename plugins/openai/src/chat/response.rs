//! The answer.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use understudy_plugin::blocks::{cut, extras_mut, tool_uses};
use understudy_plugin::error::malformed_response;
use understudy_plugin::http;
use understudy_plugin::types::{ContentBlock, CreateMessageResult, Error, HttpResponse, Usage};

use super::wire::{Answer, AnswerMessage, AnswerToolCall, Reasoning};
use super::{REASONING, State};
use crate::answer::{self, Call};

/// Reads an answer whose status is 2xx.
pub(super) fn read(state: State, response: &HttpResponse) -> Result<(CreateMessageResult, Option<Usage>), Error> {
    let answered: Answer = http::json_body(response)?;
    if let Some(error) = answered.error {
        return Err(crate::error::of_body(&error, response));
    }
    let choice = answered.choices.and_then(|choices| choices.into_iter().next()).ok_or_else(|| {
        let beginning = http::beginning(&response.body);
        malformed_response(format!("the provider's answer holds no choice; it begins with `{beginning}`"))
    })?;
    if let Some(error) = choice.error {
        return Err(crate::error::of_body(&error, response));
    }
    let message = choice.message.ok_or_else(|| malformed_response("the provider's answer holds no message"))?;

    let finish = Finish { reason: choice.finish_reason, stop: stop_of(choice.stop_reason, choice.matched_stop) };
    let refused = message.refusal.as_ref().is_some_and(|refusal| !refusal.is_empty());
    let (mut content, reasoning) = blocks(message, &finish, &state)?;
    if content.is_empty() && finish.reason.as_deref() == Some("content_filter") {
        return Err(answer::filtered(response.status));
    }
    let was_cut = state.cut && cut(&mut content, &state.stop);
    carry(reasoning, &mut content);
    let stop_reason =
        if was_cut { Some("stopSequence".to_owned()) } else { finish.in_mcp(&content, refused, &state.stop) };
    let model = answered.model.filter(|model| !model.is_empty()).unwrap_or(state.model);
    let usage = answered.usage.and_then(|usage| answer::usage(usage, "prompt_tokens", "completion_tokens"));
    Ok((CreateMessageResult { content, model, stop_reason, meta: None }, usage))
}

/// Why the answer ended, in the provider's words.
struct Finish {
    reason: Option<String>,
    /// The stop sequence, where the server tells.
    stop: Option<String>,
}

impl Finish {
    /// In MCP's words. `stop` is the end of the turn or a stop sequence, and OpenAI doesn't tell which; with some servers
    /// it also comes with tool calls. Other words stay as they are.
    fn in_mcp(self, content: &[ContentBlock], refused: bool, stop: &[String]) -> Option<String> {
        let calls = tool_uses(content).next().is_some();
        let word = match self.reason.as_deref() {
            Some("length") => "maxTokens",
            Some("stop" | "tool_calls" | "function_call") | None if calls => "toolUse",
            Some("stop") | None if refused => "refusal",
            Some("stop") if self.stop.is_some_and(|matched| stop.contains(&matched)) => "stopSequence",
            Some("stop") => "endTurn",
            _ => return self.reason,
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
fn blocks(
    message: AnswerMessage,
    finish: &Finish,
    state: &State,
) -> Result<(Vec<ContentBlock>, Reasoning<Box<RawValue>>), Error> {
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
    if let Some(refusal) = message.refusal {
        answer::push_text(&mut content, refusal);
    }
    for image in message.images.into_iter().flatten() {
        content.push(answer::image_block(&image)?);
    }
    let mut calls = message.tool_calls.unwrap_or_default();
    if calls.is_empty() {
        calls.extend(message.function_call.map(|function| AnswerToolCall { id: None, function: Some(function) }));
    }
    let is_cut = finish.reason.as_deref() == Some("length");
    for AnswerToolCall { id, function } in calls {
        let function = function
            .ok_or_else(|| malformed_response("the provider's answer holds a tool call without a `function`"))?;
        let call = Call { id, name: function.name, arguments: function.arguments.as_deref() };
        answer::push_call(&mut content, call, &state.names, state.calls, is_cut)?;
    }
    let reasoning = Reasoning {
        // With tools, DeepSeek wants every answer's back, an empty one too, and refuses the request otherwise
        // (its docs, as quoted in anomalyco/opencode#24722). Without them it has no use.
        reasoning_content: message.reasoning_content.filter(|_| state.tools),
        // OpenRouter says the same twice; the details are what must come back.
        reasoning: message.reasoning.filter(|_| state.tools && message.reasoning_details.is_none()),
        // OpenRouter: signed pieces, which must come back unchanged (openrouter.ai/docs/guides/best-practices/reasoning-tokens).
        reasoning_details: message.reasoning_details,
    };
    Ok((content, reasoning))
}

/// Puts the reasoning on the first block.
fn carry(reasoning: Reasoning<Box<RawValue>>, content: &mut [ContentBlock]) {
    if !reasoning.is_none()
        && let Some(extras) = content.first_mut().and_then(extras_mut)
    {
        extras.meta = serde_json::to_string(&BTreeMap::from([(REASONING, reasoning)])).ok();
    }
}
