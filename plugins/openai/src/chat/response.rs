//! The answer.

use serde_json::Value;
use serde_json::value::RawValue;
use understudy_plugin::error::{malformed_response, provider};
use understudy_plugin::http;
use understudy_plugin::types::{
    ContentBlock, CreateMessageResult, Error, Extras, HttpResponse, MediaContent, TextContent, ToolUseContent, Usage,
};

use super::wire::{Answer, AnswerFunction, AnswerMessage, AnswerToolCall, Reasoning};
use super::{REASONING, State};

const NO_EXTRAS: Extras = Extras { meta: None, annotations: None, extensions: None };

/// Reads an answer whose status is 2xx.
pub(super) fn read(state: State, response: &HttpResponse) -> Result<(CreateMessageResult, Option<Usage>), Error> {
    let answer: Answer = http::json_body(response)?;
    if let Some(error) = answer.error {
        return Err(crate::error::of_body(&error, response));
    }
    let choice = answer.choices.and_then(|choices| choices.into_iter().next()).ok_or_else(|| {
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
        let message = "the provider's content filter left nothing of the answer";
        return Err(provider("content-filtered", response.status, message, None));
    }
    let was_cut = state.cut && cut(&mut content, &state.stop);
    carry(reasoning, &mut content);
    let stop_reason =
        if was_cut { Some("stopSequence".to_owned()) } else { finish.in_mcp(&content, refused, &state.stop) };
    let model = answer.model.filter(|model| !model.is_empty()).unwrap_or(state.model);
    Ok((CreateMessageResult { content, model, stop_reason, meta: None }, answer.usage.and_then(usage)))
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
        let calls = content.iter().any(|block| matches!(block, ContentBlock::ToolUse(_)));
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
        Some(Value::String(said)) => push_text(&mut content, said),
        Some(Value::Array(parts)) => parts.into_iter().try_for_each(|part| push_part(&mut content, part))?,
        Some(_) => {
            return Err(malformed_response("the provider's answer has a `content` that is neither text nor parts"));
        }
    }
    if let Some(refusal) = message.refusal {
        push_text(&mut content, refusal);
    }
    for image in message.images.into_iter().flatten() {
        content.push(image_block(&image)?);
    }
    let mut calls = message.tool_calls.unwrap_or_default();
    if calls.is_empty() {
        calls.extend(message.function_call.map(|function| AnswerToolCall { id: None, function: Some(function) }));
    }
    let before = content.len();
    for AnswerToolCall { id, function } in calls {
        let made = content.len() - before;
        let function = function
            .ok_or_else(|| malformed_response("the provider's answer holds a tool call without a `function`"))?;
        let mut tool_use = tool_use(function, finish, state)?;
        tool_use.id = id
            .filter(|id| !id.is_empty() && !has_call(&content, id))
            .unwrap_or_else(|| format!("call_{}", state.calls + made));
        content.push(ContentBlock::ToolUse(tool_use));
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

fn push_text(content: &mut Vec<ContentBlock>, text: String) {
    if !text.is_empty() {
        content.push(ContentBlock::Text(TextContent { text, extras: NO_EXTRAS }));
    }
}

/// A part of a `content` that is a list: Mistral's reasoning models answer so, with `thinking` parts that are not for the
/// reader.
fn push_part(content: &mut Vec<ContentBlock>, mut part: Value) -> Result<(), Error> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or("text").to_owned();
    let field = match kind.as_str() {
        "thinking" | "reasoning" => return Ok(()),
        "text" | "output_text" => "text",
        "refusal" => "refusal",
        "image_url" => {
            content.push(image_block(&part)?);
            return Ok(());
        }
        _ => {
            return Err(malformed_response(format!("the provider's answer holds a part of the unknown type `{kind}`")));
        }
    };
    match part.get_mut(field).map(Value::take) {
        Some(Value::String(text)) => push_text(content, text),
        _ => return Err(malformed_response(format!("the provider's answer holds a `{kind}` part without `{field}`"))),
    }
    Ok(())
}

/// `{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}`.
fn image_block(part: &Value) -> Result<ContentBlock, Error> {
    let url = part.pointer("/image_url/url").and_then(Value::as_str).unwrap_or_default();
    let (mime_type, data) =
        url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")).ok_or_else(|| {
            malformed_response("the provider's answer holds an image that is not a `data:` URL in base64")
        })?;
    Ok(ContentBlock::Image(MediaContent { data: data.to_owned(), mime_type: mime_type.to_owned(), extras: NO_EXTRAS }))
}

fn has_call(content: &[ContentBlock], id: &str) -> bool {
    content.iter().any(|block| matches!(block, ContentBlock::ToolUse(tool_use) if tool_use.id == id))
}

/// A tool call, without its id.
fn tool_use(function: AnswerFunction, finish: &Finish, state: &State) -> Result<ToolUseContent, Error> {
    let name =
        function.name.ok_or_else(|| malformed_response("the provider's answer holds a tool call without a name"))?;
    let name = state.names.in_mcp(name);
    let Some(input) = arguments(function.arguments) else {
        let cut = finish.reason.as_deref() == Some("length");
        let why = if cut { ": `maxTokens` ended the answer in their midst" } else { "" };
        return Err(malformed_response(format!("the arguments of the tool call `{name}` are not a JSON object{why}")));
    };
    Ok(ToolUseContent { id: String::new(), name, input, extras: NO_EXTRAS })
}

/// The arguments' text, numbers spelt as they are; `None` if they are not an object. Nothing stands for `{}`.
fn arguments(arguments: Option<Box<RawValue>>) -> Option<String> {
    let Some(raw) = arguments else { return Some("{}".to_owned()) };
    let text = if raw.get().starts_with('"') { serde_json::from_str(raw.get()).ok()? } else { raw.get().to_owned() };
    if text.trim().is_empty() {
        return Some("{}".to_owned());
    }
    let is_object = text.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(&text).is_ok();
    is_object.then_some(text)
}

/// Ends the answer where the first stop sequence appears, for models that can't be told to.
fn cut(content: &mut Vec<ContentBlock>, stop: &[String]) -> bool {
    for (i, block) in content.iter_mut().enumerate() {
        let ContentBlock::Text(said) = block else { continue };
        let end = stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| said.text.find(stop)).min();
        if let Some(end) = end {
            said.text.truncate(end);
            content.truncate(i + 1);
            return true;
        }
    }
    false
}

/// Puts the reasoning on the first block.
fn carry(reasoning: Reasoning<Box<RawValue>>, content: &mut [ContentBlock]) {
    let extras = match content.first_mut() {
        Some(ContentBlock::Text(text)) => &mut text.extras,
        Some(ContentBlock::Image(media) | ContentBlock::Audio(media)) => &mut media.extras,
        Some(ContentBlock::ToolUse(tool_use)) => &mut tool_use.extras,
        Some(ContentBlock::ToolResult(_) | ContentBlock::Other(_)) | None => return,
    };
    if !reasoning.is_none() {
        extras.meta = serde_json::to_string(&std::collections::BTreeMap::from([(REASONING, reasoning)])).ok();
    }
}

/// The tokens; the details are whatever else the provider counts.
fn usage(usage: Value) -> Option<Usage> {
    let Value::Object(mut usage) = usage else { return None };
    let mut take = |key: &str| usage.shift_remove(key).and_then(|n| n.as_u64());
    let (input_tokens, output_tokens) = (take("prompt_tokens"), take("completion_tokens"));
    take("total_tokens");
    usage.retain(|_, value| !value.is_null());
    Some(Usage { input_tokens, output_tokens, details: Value::Object(usage).to_string() })
}
