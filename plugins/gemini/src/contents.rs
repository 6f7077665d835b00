//! The conversation.

use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses;
use understudy_plugin::error::{invalid_request, unknown_block, unsupported};
use understudy_plugin::types::{
    ContentBlock, CreateMessageRequest, Error, Role, SamplingMessage, ToolResultContent, ToolUseContent,
};

use crate::thought::Thought;
use crate::wire::{Content, FunctionCall, Part};
use crate::{State, media, models, thought, tool_result};

pub(crate) fn convert<'a>(request: &'a CreateMessageRequest, state: &'a State) -> Result<Vec<Content<'a>>, Error> {
    let mut contents = Vec::with_capacity(request.messages.len());
    let mut last_calls: Vec<&ToolUseContent> = Vec::new();
    for (i, message) in request.messages.iter().enumerate() {
        let place = format!("messages[{i}]");
        let (role, turns) = match message.role {
            Role::User => ("user", user(message, &place, &last_calls, state)?),
            Role::Assistant => {
                last_calls = tool_uses(&message.content).collect();
                ("model", vec![model(message, &place, state)?])
            }
        };
        // The API refuses a content without parts.
        let turns = turns.into_iter().filter(|parts| !parts.is_empty());
        contents.extend(turns.map(|parts| Content { role: Some(role), parts }));
    }
    Ok(contents)
}

/// What the user says, and in a content of its own what of the tool results isn't part of them.
fn user<'a>(
    message: &'a SamplingMessage,
    place: &str,
    calls: &[&'a ToolUseContent],
    state: &'a State,
) -> Result<Vec<Vec<Part<'a>>>, Error> {
    let mut parts = Vec::new();
    let mut following = Vec::new();
    for (n, block) in message.content.iter().enumerate() {
        let place = format!("{place}.content[{n}]");
        match block {
            ContentBlock::Text(text) if text.text.is_empty() => {}
            ContentBlock::Text(text) => parts.push(Part::text(&text.text)),
            ContentBlock::Image(image) => parts.push(Part::inline_data(media::image(image, &place)?)),
            ContentBlock::Audio(audio) => parts.push(Part::inline_data(media::audio(audio, &place)?)),
            ContentBlock::ToolResult(result) => {
                let call = call_of(result, calls, &place)?;
                let name = state.names.on_the_wire(&call.name);
                let nests = models::is_three_or_newer(&state.model);
                let converted = tool_result::convert(result, name, nests, &place)?;
                parts.push(Part { function_response: Some(converted.response), ..Part::default() });
                if !converted.following.is_empty() {
                    let id = &result.tool_use_id;
                    let introduction = format!("This belongs to the answer of the tool `{name}` (tool call `{id}`):");
                    following.push(Part::text(introduction));
                    following.extend(converted.following.into_iter().map(Part::inline_data));
                }
            }
            ContentBlock::ToolUse(_) => return Err(unsupported(format!("`{place}`: a tool_use in a user message"))),
            ContentBlock::Other(other) => return Err(unknown_block(&place, other)),
        }
    }
    Ok(vec![parts, following])
}

/// The tool use that a result answers. Google wants its name.
fn call_of<'a>(
    result: &ToolResultContent,
    calls: &[&'a ToolUseContent],
    place: &str,
) -> Result<&'a ToolUseContent, Error> {
    calls.iter().find(|call| call.id == result.tool_use_id).copied().ok_or_else(|| {
        let id = &result.tool_use_id;
        invalid_request(format!("`{place}`: no tool_use in the message before has the id `{id}`"))
    })
}

fn model<'a>(message: &'a SamplingMessage, place: &str, state: &'a State) -> Result<Vec<Part<'a>>, Error> {
    let mut parts = Vec::new();
    for (n, block) in message.content.iter().enumerate() {
        let place = format!("{place}.content[{n}]");
        let (mut part, extras) = match block {
            ContentBlock::Text(text) => (Part::text(&text.text), &text.extras),
            ContentBlock::Image(image) => (Part::inline_data(media::image(image, &place)?), &image.extras),
            ContentBlock::Audio(audio) => (Part::inline_data(media::audio(audio, &place)?), &audio.extras),
            ContentBlock::ToolUse(tool_use) => {
                let args: &RawValue = serde_json::from_str(&tool_use.input)
                    .map_err(|e| invalid_request(format!("`{place}`: `input` is not JSON: {e}")))?;
                let name = state.names.on_the_wire(&tool_use.name);
                let function_call = Some(FunctionCall { id: &tool_use.id, name, args });
                (Part { function_call, ..Part::default() }, &tool_use.extras)
            }
            ContentBlock::ToolResult(_) => {
                return Err(unsupported(format!("`{place}`: a tool_result in an assistant message")));
            }
            ContentBlock::Other(other) => return Err(unknown_block(&place, other)),
        };
        let Thought { signature, before, after, .. } = Thought::of(extras, &state.model);
        part.thought_signature = signature;
        parts.extend(before.into_iter().map(thought::part));
        if part.text.as_deref() != Some("") || part.thought_signature.is_some() {
            parts.push(part);
        }
        parts.extend(after.into_iter().map(thought::part));
    }
    if models::is_three_or_newer(&state.model) {
        thought::mark_unsigned_call(&mut parts);
    }
    Ok(parts)
}
