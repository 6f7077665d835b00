//! The conversation.

use std::borrow::Cow;

use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses;
use understudy_plugin::error::{invalid_request, unknown_block, unsupported};
use understudy_plugin::media::kind;
use understudy_plugin::text::join;
use understudy_plugin::types::{
    ContentBlock, CreateMessageRequest, Error, Extras, MediaContent, Role, SamplingMessage, ToolUseContent,
};

use crate::wire::{FunctionCall, Message, Meta, ToolCall};
use crate::{THINKING, tool_result};

/// `model`: the one that is asked. `instructions`: what the system prompt says besides.
pub(crate) fn convert<'a>(
    request: &'a CreateMessageRequest,
    model: &str,
    instructions: Option<&'a str>,
) -> Result<Vec<Message<'a>>, Error> {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    let prompt = request.system_prompt.as_deref().filter(|prompt| instructions.is_none() || !prompt.is_empty());
    if prompt.is_some() || instructions.is_some() {
        let content = join(prompt.into_iter().chain(instructions).map(Cow::from).collect(), "\n\n");
        messages.push(Message { role: "system", content, ..Message::default() });
    }
    let mut last_calls: Vec<&ToolUseContent> = Vec::new();
    for (i, message) in request.messages.iter().enumerate() {
        let place = format!("messages[{i}]");
        match message.role {
            Role::User => user(message, &place, &last_calls, &mut messages)?,
            Role::Assistant => {
                messages.push(assistant(message, model, &place)?);
                last_calls = tool_uses(&message.content).collect();
            }
        }
    }
    Ok(messages)
}

/// One `tool` message for each tool result, in order; then what the user says, and the images of the tool results.
fn user<'a>(
    message: &'a SamplingMessage,
    place: &str,
    calls: &[&'a ToolUseContent],
    messages: &mut Vec<Message<'a>>,
) -> Result<(), Error> {
    let mut texts: Vec<Cow<str>> = Vec::new();
    let mut images = Vec::new();
    let mut results = 0;
    for (n, block) in message.content.iter().enumerate() {
        let place = format!("{place}.content[{n}]");
        match block {
            ContentBlock::Text(text) => texts.push(text.text.as_str().into()),
            ContentBlock::Image(media) => images.push(image(media, &place)?),
            ContentBlock::Audio(media) => return Err(audio(media, &place)),
            ContentBlock::ToolResult(result) => {
                results += 1;
                let id = &result.tool_use_id;
                let name = calls.iter().find(|call| call.id == *id).map(|call| call.name.as_str());
                let converted = tool_result::convert(result, &place)?;
                messages.push(Message {
                    role: "tool",
                    content: converted.text,
                    tool_name: name,
                    tool_call_id: Some(id),
                    ..Message::default()
                });
                if !converted.images.is_empty() {
                    let from = images.len() + 1;
                    images.extend(converted.images);
                    let numbers = if from == images.len() {
                        format!("Image {from} belongs")
                    } else {
                        format!("Images {from} to {} belong", images.len())
                    };
                    let name = name.unwrap_or_default();
                    texts.push(format!("{numbers} to the answer of the tool `{name}` (tool call `{id}`).").into());
                }
            }
            ContentBlock::ToolUse(_) => return Err(unsupported(format!("`{place}`: a tool_use in a user message"))),
            ContentBlock::Other(other) => return Err(unknown_block(&place, other)),
        }
    }
    if results == 0 || !images.is_empty() || !texts.is_empty() {
        messages.push(Message { role: "user", content: join(texts, "\n\n"), images, ..Message::default() });
    }
    Ok(())
}

fn assistant<'a>(message: &'a SamplingMessage, model: &str, place: &str) -> Result<Message<'a>, Error> {
    let mut texts: Vec<Cow<str>> = Vec::new();
    let mut tool_calls = Vec::new();
    let mut thinking = None;
    for (n, block) in message.content.iter().enumerate() {
        let place = format!("{place}.content[{n}]");
        let extras = match block {
            ContentBlock::Text(text) => {
                texts.push(text.text.as_str().into());
                &text.extras
            }
            ContentBlock::ToolUse(tool_use) => {
                let arguments: &RawValue = serde_json::from_str(&tool_use.input)
                    .map_err(|e| invalid_request(format!("`{place}`: `input` is not JSON: {e}")))?;
                let function = FunctionCall { name: &tool_use.name, arguments };
                tool_calls.push(ToolCall { id: &tool_use.id, function });
                &tool_use.extras
            }
            ContentBlock::Image(_) => {
                return Err(unsupported(format!(
                    "`{place}`: an image in an assistant message; models that Ollama runs see the user's only"
                )));
            }
            ContentBlock::Audio(media) => return Err(audio(media, &place)),
            ContentBlock::ToolResult(_) => {
                return Err(unsupported(format!("`{place}`: a tool_result in an assistant message")));
            }
            ContentBlock::Other(other) => return Err(unknown_block(&place, other)),
        };
        thinking = thinking.or_else(|| carried(extras, model));
    }
    // The pieces of an answer follow each other as they are.
    Ok(Message { role: "assistant", content: join(texts, ""), thinking, tool_calls, ..Message::default() })
}

/// What the model thought before an earlier answer. What another model thought is not for this one.
fn carried<'a>(extras: &'a Extras, model: &str) -> Option<Cow<'a, str>> {
    let meta = extras.meta.as_deref().filter(|meta| meta.contains(THINKING))?;
    let Meta { thinking } = serde_json::from_str(meta).ok()?;
    (thinking.model == model).then_some(thinking.text)
}

/// An image, of a type that the packages take for a file with one (`_types.py`, `Image`).
pub(crate) fn image<'a>(media: &'a MediaContent, place: &str) -> Result<&'a str, Error> {
    if is_image(&media.mime_type, &media.data) {
        return Ok(&media.data);
    }
    Err(unsupported(format!("`{place}`: an image of type `{}`; Ollama takes png, jpeg and webp", media.mime_type)))
}

/// Whether it is an image of a type that Ollama takes, by its first bytes or else its label.
pub(crate) fn is_image(mime_type: &str, base64: &str) -> bool {
    matches!(kind(mime_type, base64).as_str(), "image/png" | "image/jpeg" | "image/webp")
}

pub(crate) fn audio(media: &MediaContent, place: &str) -> Error {
    unsupported(format!("`{place}`: audio (`{}`); Ollama's API has no place for it", media.mime_type))
}
