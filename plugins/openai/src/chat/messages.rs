//! The conversation.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses;
use understudy_plugin::error::{unknown_block, unsupported};
use understudy_plugin::names::Names;
use understudy_plugin::text::join;
use understudy_plugin::types::{
    ContentBlock, CreateMessageRequest, Error, Extras, Role, SamplingMessage, ToolResultContent, ToolUseContent,
};

use super::REASONING;
use super::wire::{Content, File, FunctionCall, ImageUrl, InputAudio, Message, Part, Reasoning, ToolCall};
use crate::media::{self, Media};
use crate::settings::{Api, SystemRole};
use crate::tool_result::{self, Piece};

pub(super) fn convert<'a>(
    request: &'a CreateMessageRequest,
    names: &'a Names,
    system_role: Option<SystemRole>,
) -> Result<Vec<Message<'a>>, Error> {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if let Some(content) = request.system_prompt.as_deref() {
        messages.push(match system_role {
            None | Some(SystemRole::System) => Message::System { content },
            Some(SystemRole::Developer) => Message::Developer { content },
        });
    }
    let mut last_calls: Vec<&ToolUseContent> = Vec::new();
    for (i, message) in request.messages.iter().enumerate() {
        let place = format!("messages[{i}]");
        match message.role {
            Role::User => user(message, &place, &last_calls, &mut messages)?,
            Role::Assistant => {
                messages.push(assistant(message, &place, names)?);
                last_calls = tool_uses(&message.content).collect();
            }
        }
    }
    Ok(messages)
}

/// One `tool` message for each tool result, at once after the assistant's and in order; then what the user says, and what
/// of the tool results isn't text.
fn user<'a>(
    message: &'a SamplingMessage,
    place: &str,
    calls: &[&ToolUseContent],
    messages: &mut Vec<Message<'a>>,
) -> Result<(), Error> {
    let mut parts = Vec::new();
    let mut results = 0;
    for (n, block) in message.content.iter().enumerate() {
        let place = format!("{place}.content[{n}]");
        match block {
            ContentBlock::Text(text) => parts.push(Part::Text { text: text.text.as_str().into() }),
            ContentBlock::Image(image) => parts.push(media::image(image, &place)?.into()),
            ContentBlock::Audio(audio) => parts.push(media::audio(audio, &place, Api::Chat)?.into()),
            ContentBlock::ToolResult(result) => {
                results += 1;
                let (content, media) = tool_result(result, &place)?;
                messages.push(Message::Tool { tool_call_id: &result.tool_use_id, content });
                if !media.is_empty() {
                    parts.push(Part::Text { text: introduction(result, calls).into() });
                    parts.extend(media);
                }
            }
            ContentBlock::ToolUse(_) => return Err(unsupported(format!("`{place}`: a tool_use in a user message"))),
            ContentBlock::Other(other) => return Err(unknown_block(&place, other)),
        }
    }
    if results == 0 || !parts.is_empty() {
        messages.push(Message::User { content: content(parts) });
    }
    Ok(())
}

/// A tool's answer as text, and what of it isn't text: a `tool` message holds text only
/// (`types/chat/chat_completion_tool_message_param.py`). The rest stands in a user message that follows, and the text says so
/// in its place.
fn tool_result<'a>(result: &'a ToolResultContent, place: &str) -> Result<(Cow<'a, str>, Vec<Part<'a>>), Error> {
    let mut texts = Vec::new();
    let mut parts = Vec::new();
    for piece in tool_result::pieces(result, place, Api::Chat)? {
        match piece {
            Piece::Text(text) => texts.push(text),
            Piece::Media { media, called } => {
                parts.push(media.into());
                texts.push(format!("[{called}; see the next user message]").into());
            }
        }
    }
    Ok((join(texts, "\n"), parts))
}

impl<'a> From<Media<'a>> for Part<'a> {
    fn from(media: Media<'a>) -> Self {
        match media {
            Media::Image(url) => Self::ImageUrl { image_url: ImageUrl { url } },
            Media::Audio { data, format } => Self::InputAudio { input_audio: InputAudio { data, format } },
            Media::Document { name, data } => Self::File { file: File { filename: name, file_data: data } },
        }
    }
}

/// Tells the model what the image that follows belongs to. The name is there because models don't see every id.
fn introduction(result: &ToolResultContent, calls: &[&ToolUseContent]) -> String {
    let id = &result.tool_use_id;
    match calls.iter().find(|call| call.id == *id) {
        Some(call) => format!("This belongs to the answer of the tool `{}` (tool call `{id}`):", call.name),
        None => format!("This belongs to the answer of the tool call `{id}`:"),
    }
}

/// Text alone becomes one string, its blocks as paragraphs.
fn content(parts: Vec<Part>) -> Content {
    if !parts.iter().all(|part| matches!(part, Part::Text { .. })) {
        return Content::Parts(parts);
    }
    let texts = parts.into_iter().filter_map(|part| match part {
        Part::Text { text } => Some(text),
        _ => None,
    });
    Content::Text(join(texts.collect(), "\n\n"))
}

fn assistant<'a>(message: &'a SamplingMessage, place: &str, names: &'a Names) -> Result<Message<'a>, Error> {
    let mut texts: Vec<Cow<'a, str>> = Vec::new();
    let mut tool_calls = Vec::new();
    let mut reasoning = Reasoning::NONE;
    for (n, block) in message.content.iter().enumerate() {
        let place = format!("{place}.content[{n}]");
        let cannot = |what: &str| {
            unsupported(format!("`{place}`: {what} in an assistant message; Chat Completions takes text there"))
        };
        let extras = match block {
            ContentBlock::Text(text) => {
                texts.push(text.text.as_str().into());
                &text.extras
            }
            ContentBlock::ToolUse(tool_use) => {
                tool_calls.push(ToolCall {
                    id: &tool_use.id,
                    kind: "function",
                    function: FunctionCall { name: names.on_the_wire(&tool_use.name), arguments: &tool_use.input },
                });
                &tool_use.extras
            }
            ContentBlock::Image(_) => return Err(cannot("an image")),
            ContentBlock::Audio(_) => return Err(cannot("audio")),
            ContentBlock::ToolResult(_) => return Err(cannot("a tool_result")),
            ContentBlock::Other(other) => return Err(unknown_block(&place, other)),
        };
        if reasoning.is_none() {
            reasoning = carried(extras);
        }
    }
    // The pieces of an answer follow each other as they are.
    let content = (!texts.is_empty() || tool_calls.is_empty()).then(|| join(texts, ""));
    Ok(Message::Assistant { content, tool_calls, reasoning })
}

/// The reasoning that an earlier answer of this plugin carried. Whatever the server made of it, it can fill these fields
/// only.
fn carried(extras: &Extras) -> Reasoning<&RawValue> {
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow, rename = "understudy.openai/reasoning")]
        reasoning: Option<Reasoning<&'a RawValue>>,
    }
    let meta = extras.meta.as_deref().filter(|meta| meta.contains(REASONING));
    let meta = meta.and_then(|meta| serde_json::from_str::<Meta>(meta).ok());
    meta.and_then(|meta| meta.reasoning).unwrap_or(Reasoning::NONE)
}
