//! The conversation.

use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses;
use understudy_plugin::error::{invalid_request, unknown_block, unsupported};
use understudy_plugin::prefill::GO_ON;
use understudy_plugin::turns;
use understudy_plugin::types::{
    ContentBlock, CreateMessageRequest, Error, Role, SamplingMessage, ToolResultContent, ToolUseContent,
};

use crate::models::Profile;
use crate::thought::Thought;
use crate::wire::{Content, FunctionCall, Part};
use crate::{State, media, thought, tool_result};

/// Stands for what a server has trimmed before the model's first function call, which must follow on a user's turn.
const LEFT_OUT: &str = "(Earlier messages are left out.)";

/// What one role says is one content, however many messages say it: a function call that another of the model's contents
/// precedes is refused ("Please ensure that function call turn comes immediately after a user turn or after a function response
/// turn"). The tool results are a content of their own: with other parts beside them, they are refused, too.
pub(crate) fn convert<'a>(
    request: &'a CreateMessageRequest,
    state: &'a State,
    profile: &Profile,
) -> Result<Vec<Content<'a>>, Error> {
    let mut contents: Vec<Content> = Vec::with_capacity(request.messages.len());
    let mut last_calls: Vec<&ToolUseContent> = Vec::new();
    // The API refuses a content without parts.
    let mut add = |role: &'static str, mut parts: Vec<Part<'a>>| match contents.last_mut() {
        _ if parts.is_empty() => {}
        Some(last) if last.role == Some(role) && !last.responds() => last.parts.append(&mut parts),
        _ => contents.push(Content { role: Some(role), parts }),
    };
    for turn in turns::of(request) {
        match turn.role {
            Role::User => {
                let mut said = Said::default();
                for (i, message) in turn.numbered() {
                    user(message, &format!("messages[{i}]"), &last_calls, state, profile, &mut said)?;
                }
                add("user", said.responses);
                add("user", said.others);
            }
            Role::Assistant => {
                last_calls = tool_uses(turn.blocks()).collect();
                let mut parts = Vec::new();
                for (i, message) in turn.numbered() {
                    model(message, &format!("messages[{i}]"), state, &mut parts)?;
                }
                if profile.signs_calls {
                    thought::mark_unsigned_call(&mut parts);
                }
                add("model", parts);
            }
        }
    }
    if contents.first().is_some_and(|first| first.role == Some("model") && first.calls()) {
        contents.insert(0, Content { role: Some("user"), parts: vec![Part::text(LEFT_OUT)] });
    }
    if !profile.prefill && contents.last().is_some_and(|last| last.role == Some("model")) {
        contents.push(Content { role: Some("user"), parts: vec![Part::text(GO_ON)] });
    }
    Ok(contents)
}

/// What the user says: the tool results, and all else.
#[derive(Default)]
struct Said<'a> {
    responses: Vec<Part<'a>>,
    others: Vec<Part<'a>>,
}

fn user<'a>(
    message: &'a SamplingMessage,
    place: &str,
    calls: &[&'a ToolUseContent],
    state: &'a State,
    profile: &Profile,
    said: &mut Said<'a>,
) -> Result<(), Error> {
    for (n, block) in message.content.iter().enumerate() {
        let place = format!("{place}.content[{n}]");
        match block {
            ContentBlock::Text(text) if text.text.is_empty() => {}
            ContentBlock::Text(text) => said.others.push(Part::text(&text.text)),
            ContentBlock::Image(image) => said.others.push(Part::inline_data(media::image(image, &place)?)),
            ContentBlock::Audio(audio) => said.others.push(Part::inline_data(media::audio(audio, &place)?)),
            ContentBlock::ToolResult(result) => {
                let call = call_of(result, calls, &place)?;
                let name = state.names.on_the_wire(&call.name);
                let converted = tool_result::convert(result, name, profile.nests_media, &place)?;
                said.responses.push(Part { function_response: Some(converted.response), ..Part::default() });
                if !converted.following.is_empty() {
                    let id = &result.tool_use_id;
                    let introduction = format!("This belongs to the answer of the tool `{name}` (tool call `{id}`):");
                    said.others.push(Part::text(introduction));
                    said.others.extend(converted.following.into_iter().map(Part::inline_data));
                }
            }
            ContentBlock::ToolUse(_) => return Err(unsupported(format!("`{place}`: a tool_use in a user message"))),
            ContentBlock::Other(other) => return Err(unknown_block(&place, other)),
        }
    }
    Ok(())
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

fn model<'a>(
    message: &'a SamplingMessage,
    place: &str,
    state: &'a State,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), Error> {
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
    Ok(())
}
