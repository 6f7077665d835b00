//! The answer.

use serde_json::{Map, Value};
use understudy_plugin::blocks::{NO_EXTRAS, extras_mut, tool_uses};
use understudy_plugin::error::{malformed_response, provider};
use understudy_plugin::reason::{Reason, in_mcp};
use understudy_plugin::text::{one_line, take_thinking};
use understudy_plugin::types::{
    ContentBlock, CreateMessageResult, Error, HttpResponse, MediaContent, TextContent, ToolUseContent, Usage,
};
use understudy_plugin::{arguments, http};

use crate::wire::{Answer, AnswerMessage, AnswerToolCall, Meta, Thinking};
use crate::{State, error, forced};

/// Reads an answer whose status is 2xx.
pub(crate) fn read(state: &State, response: &HttpResponse) -> Result<(CreateMessageResult, Option<Usage>), Error> {
    let mut answer: Answer = http::json_body(response)?;
    if let Some(refusal) = &answer.error {
        return Err(error::of_body(refusal, response, &state.model));
    }
    if answer.done == Some(false) {
        return Err(malformed_response("the provider's answer is only the beginning of one (`done` is false)"));
    }
    let Some(message) = answer.message.take() else {
        let beginning = http::beginning(&response.body);
        return Err(malformed_response(format!(
            "the provider's answer holds no `message`; it begins with `{beginning}`"
        )));
    };
    let reason = answer.done_reason.take().filter(|reason| !reason.is_empty());
    if let Some(reason @ ("load" | "unload")) = reason.as_deref() {
        return Err(malformed_response(format!("the provider has not answered: `done_reason` is `{reason}`")));
    }
    if let Some(failed) = reason.as_deref().filter(|reason| Reason::of(reason) == Reason::Failed) {
        let message = format!("the provider broke the answer off: its `done_reason` is `{failed}`");
        return Err(provider("unavailable", response.status, message, None));
    }
    let is_cut = reason.as_deref().is_some_and(|reason| Reason::of(reason) == Reason::MaxTokens);
    let content = blocks(message, state, is_cut)?;
    let stop_reason = in_mcp(reason.as_deref(), tool_uses(&content).next().is_some());
    let usage = usage(&answer);
    let model = answer.model.filter(|model| !model.is_empty()).unwrap_or_else(|| state.model.clone());
    Ok((CreateMessageResult { content, model, stop_reason, meta: None }, usage))
}

/// The blocks that the model said; what it thought is on the first. `is_cut`: whether `maxTokens` ended the answer.
fn blocks(message: AnswerMessage, state: &State, is_cut: bool) -> Result<Vec<ContentBlock>, Error> {
    let mut content = Vec::new();
    let calls = message.tool_calls.unwrap_or_default();
    let mut text = message.content.unwrap_or_default();
    let thinking = message.thinking.filter(|thinking| !thinking.is_empty()).or_else(|| take_thinking(&mut text));
    if let (Some(names), true) = (&state.forced, calls.is_empty()) {
        let id = format!("call_{}", state.calls);
        content.push(ContentBlock::ToolUse(ToolUseContent { id, ..forced::read(&text, names, is_cut)? }));
    } else if !text.is_empty() {
        content.push(ContentBlock::Text(TextContent { text, extras: NO_EXTRAS }));
    }
    for data in message.images.into_iter().flatten() {
        content.push(image(data)?);
    }
    for (n, call) in calls.into_iter().enumerate() {
        let mut tool_use = tool_use(call, state)?;
        let is_taken = |id: &str| tool_uses(&content).any(|other| other.id == id);
        if tool_use.id.is_empty() || is_taken(&tool_use.id) {
            tool_use.id = format!("call_{}", state.calls + n);
        }
        content.push(ContentBlock::ToolUse(tool_use));
    }
    if let Some(text) = thinking
        && let Some(extras) = content.first_mut().and_then(extras_mut)
    {
        let thinking = Thinking { model: state.model.as_str().into(), text: text.into() };
        extras.meta = serde_json::to_string(&Meta { thinking }).ok();
    }
    Ok(content)
}

/// An image that the model drew. Its type is not said, but its first bytes tell.
fn image(data: String) -> Result<ContentBlock, Error> {
    let kinds = [("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("UklGR", "image/webp")];
    let Some((_, mime_type)) = kinds.iter().find(|(beginning, _)| data.starts_with(beginning)) else {
        return Err(malformed_response("the provider's answer holds an image that is neither png, jpeg nor webp"));
    };
    Ok(ContentBlock::Image(MediaContent { data, mime_type: (*mime_type).to_owned(), extras: NO_EXTRAS }))
}

/// A tool call, with the provider's id if there is one.
fn tool_use(call: AnswerToolCall, state: &State) -> Result<ToolUseContent, Error> {
    let function = call
        .function
        .ok_or_else(|| malformed_response("the provider's answer holds a tool call without a `function`"))?;
    let Some(name) = function.name.filter(|name| !name.is_empty()) else {
        return Err(malformed_response("the provider's answer holds a tool call without a name"));
    };
    if !state.tools {
        let name = one_line(&name);
        return Err(malformed_response(format!("the provider's answer calls the tool `{name}`, and none was offered")));
    }
    let Some(input) = arguments::read(function.arguments) else {
        let name = one_line(&name);
        return Err(malformed_response(format!("the arguments of the tool call `{name}` are not a JSON object")));
    };
    Ok(ToolUseContent { id: call.id.unwrap_or_default(), name, input, extras: NO_EXTRAS })
}

/// The tokens; the details are the times, in nanoseconds.
fn usage(answer: &Answer) -> Option<Usage> {
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_u64);
    let times = [
        ("total_duration", &answer.total_duration),
        ("load_duration", &answer.load_duration),
        ("prompt_eval_duration", &answer.prompt_eval_duration),
        ("eval_duration", &answer.eval_duration),
    ];
    let details: Map<String, Value> =
        times.into_iter().filter_map(|(key, time)| Some((key.to_owned(), number(time)?.into()))).collect();
    let (input_tokens, output_tokens) = (number(&answer.prompt_eval_count), number(&answer.eval_count));
    let is_empty = input_tokens.is_none() && output_tokens.is_none() && details.is_empty();
    (!is_empty).then(|| Usage { input_tokens, output_tokens, details: Value::Object(details).to_string() })
}
