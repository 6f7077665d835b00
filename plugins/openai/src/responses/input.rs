//! The conversation, as input items.

use std::borrow::Cow;

use understudy_plugin::error::{unknown_block, unsupported};
use understudy_plugin::ids::Ids;
use understudy_plugin::text::join;
use understudy_plugin::types::{ContentBlock, CreateMessageRequest, Error, Role, SamplingMessage, ToolResultContent};

use super::State;
use super::reasoning::Carried;
use super::wire::{Content, Item, Part};
use crate::media::{self, Media};
use crate::settings::Api;
use crate::tool_result::{self, Piece};

pub(super) fn convert<'a>(
    request: &'a CreateMessageRequest,
    state: &'a State,
    ids: &'a Ids,
) -> Result<Vec<Item<'a>>, Error> {
    let mut items = Vec::with_capacity(request.messages.len());
    for (i, message) in request.messages.iter().enumerate() {
        match message.role {
            Role::User => user(message, i, ids, &mut items)?,
            Role::Assistant => items.extend(assistant(message, i, state, ids)?),
        }
    }
    Ok(items)
}

/// One output for each tool result, then what the user says.
fn user<'a>(message: &'a SamplingMessage, number: usize, ids: &'a Ids, items: &mut Vec<Item<'a>>) -> Result<(), Error> {
    let mut parts = Vec::new();
    let mut results = 0;
    for (n, block) in message.content.iter().enumerate() {
        let place = format!("messages[{number}].content[{n}]");
        match block {
            ContentBlock::Text(text) => parts.push(Part::Text { text: text.text.as_str().into() }),
            ContentBlock::Image(image) => parts.push(part(media::image(image, &place)?, &place)?),
            ContentBlock::Audio(audio) => parts.push(part(media::audio(audio, &place, Api::Responses)?, &place)?),
            ContentBlock::ToolResult(result) => {
                results += 1;
                let call_id = ids.on_the_wire(&result.tool_use_id, number);
                items.push(Item::FunctionCallOutput { call_id, output: output(result, &place)? });
            }
            ContentBlock::ToolUse(_) => return Err(unsupported(format!("`{place}`: a tool_use in a user message"))),
            ContentBlock::Other(other) => return Err(unknown_block(&place, other)),
        }
    }
    if results == 0 || !parts.is_empty() {
        let content = if parts.is_empty() { Content::Text("".into()) } else { Content::Parts(parts) };
        items.push(Item::Message { role: "user", content, phase: None });
    }
    Ok(())
}

/// A tool's answer: one text, or a list of parts if something of it isn't text.
fn output<'a>(result: &'a ToolResultContent, place: &str) -> Result<Content<'a>, Error> {
    let pieces = tool_result::pieces(result, place, Api::Responses)?;
    if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
        let texts = pieces.into_iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text),
            Piece::Media { .. } => None,
        });
        return Ok(Content::Text(join(texts.collect(), "\n")));
    }
    let mut parts = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            Piece::Text(text) => parts.push(Part::Text { text }),
            Piece::Media { media, called } => {
                // An image doesn't say which resource it is.
                if called.starts_with("resource ") {
                    parts.push(Part::Text { text: format!("[{called}]").into() });
                }
                parts.push(part(media, place)?);
            }
        }
    }
    Ok(Content::Parts(parts))
}

fn part<'a>(media: Media<'a>, place: &str) -> Result<Part<'a>, Error> {
    match media {
        Media::Image(image_url) => Ok(Part::Image { image_url, detail: "auto" }),
        Media::Document { name, data } => Ok(Part::File { filename: name, file_data: data }),
        Media::Audio { format, .. } => Err(unsupported(format!("`{place}`: {format} audio"))),
    }
}

fn assistant<'a>(
    message: &'a SamplingMessage,
    number: usize,
    state: &'a State,
    ids: &'a Ids,
) -> Result<Vec<Item<'a>>, Error> {
    let mut items: Vec<Item<'a>> = Vec::new();
    for (n, block) in message.content.iter().enumerate() {
        let place = format!("messages[{number}].content[{n}]");
        let cannot = |what: &str| {
            unsupported(format!("`{place}`: {what} in an assistant message; the Responses API takes text there"))
        };
        match block {
            ContentBlock::Text(text) => {
                let mut carried = Carried::of(&text.extras);
                items.extend(carried.take(state).into_iter().map(Item::Reasoning));
                push_text(&mut items, &text.text, carried.phase);
            }
            ContentBlock::ToolUse(tool_use) => {
                let reasoning = Carried::of(&tool_use.extras).take(state);
                items.extend(reasoning.into_iter().map(Item::Reasoning));
                items.push(Item::FunctionCall {
                    call_id: ids.on_the_wire(&tool_use.id, number),
                    name: state.names.on_the_wire(&tool_use.name),
                    arguments: state.shapes.on_the_wire(&tool_use.name, &tool_use.input),
                });
            }
            ContentBlock::Image(_) => return Err(cannot("an image")),
            ContentBlock::Audio(_) => return Err(cannot("audio")),
            ContentBlock::ToolResult(_) => return Err(cannot("a tool_result")),
            ContentBlock::Other(other) => return Err(unknown_block(&place, other)),
        }
    }
    Ok(items)
}

/// The pieces of an answer follow each other as they are, in one message unless something came between them.
fn push_text<'a>(items: &mut Vec<Item<'a>>, text: &'a str, phase: Option<Cow<'a, str>>) {
    if phase.is_none()
        && let Some(Item::Message { content: Content::Text(said), .. }) = items.last_mut()
    {
        said.to_mut().push_str(text);
        return;
    }
    items.push(Item::Message { role: "assistant", content: Content::Text(text.into()), phase });
}
