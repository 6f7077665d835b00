//! The conversation.

use std::borrow::Cow;

use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses;
use understudy_plugin::error::{unknown_block, unsupported};
use understudy_plugin::text::join;
use understudy_plugin::turns::{self, Turn};
use understudy_plugin::types::{
    ContentBlock, CreateMessageRequest, Error, Role, SamplingMessage, ToolResultContent, ToolUseContent,
};

use super::wire::{CallExtras, Content, File, FunctionCall, ImageUrl, InputAudio, Message, Part, Reasoning, ToolCall};
use super::{Fitted, State};
use crate::dialect::{Field, Prefill};
use crate::media::{self, Media};
use crate::settings::{Api, SystemRole};
use crate::tool_result::{self, Piece};

/// What the user says where a conversation ends with the assistant and the model doesn't go on by itself.
const GO_ON: &str = "Go on from exactly where your last message ends. Begin with what comes next: repeat nothing of it, and add no remark.";

/// What the system prompt says where a tool must be used and the model can't be made to.
const USE_A_TOOL: &str = "Answer by calling one of the tools: an answer without a tool call is not accepted.";

/// What stands for the signature of a call that has none (ai.google.dev/gemini-api/docs/thought-signatures).
const NO_SIGNATURE: &str = r#"{"google":{"thought_signature":"skip_thought_signature_validator"}}"#;

pub(super) fn convert<'a>(
    request: &'a CreateMessageRequest,
    state: &'a State,
    fitted: &'a Fitted<'a>,
    system_role: Option<SystemRole>,
) -> Result<Vec<Message<'a>>, Error> {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if let Some(content) = system(request, state.forced) {
        messages.push(match system_role {
            None | Some(SystemRole::System) => Message::System { content },
            Some(SystemRole::Developer) => Message::Developer { content },
        });
    }
    let mut last_calls: Vec<&ToolUseContent> = Vec::new();
    for turn in turns::of(request) {
        match turn.role {
            Role::User => user(&turn, &last_calls, fitted, &mut messages)?,
            Role::Assistant => {
                messages.push(assistant(&turn, state, fitted)?);
                last_calls = tool_uses(turn.blocks()).collect();
            }
        }
    }
    if fitted.prefill() == Prefill::User && matches!(messages.last(), Some(Message::Assistant { .. })) {
        messages.push(Message::User { content: Content::Text(GO_ON.into()) });
    }
    Ok(messages)
}

fn system(request: &CreateMessageRequest, is_forced: bool) -> Option<Cow<'_, str>> {
    let system = request.system_prompt.as_deref();
    match (system, is_forced) {
        (system, false) => system.map(Cow::Borrowed),
        (Some(system), true) if !system.trim().is_empty() => Some(format!("{system}\n\n{USE_A_TOOL}").into()),
        (_, true) => Some(USE_A_TOOL.into()),
    }
}

/// What the assistant says last, if the conversation ends with it.
pub(super) fn last_words(request: &CreateMessageRequest) -> Option<String> {
    let turn = turns::of(request).last().filter(|turn| turn.role == Role::Assistant)?;
    Some(said(&turn).into_owned())
}

/// One `tool` message for each tool result, at once after the assistant's and in order; then what the user says, and what
/// of the tool results can't stand in theirs.
fn user<'a>(
    turn: &Turn<'a>,
    calls: &[&ToolUseContent],
    fitted: &'a Fitted<'a>,
    messages: &mut Vec<Message<'a>>,
) -> Result<(), Error> {
    let mut parts = Vec::new();
    let mut results = 0;
    for (i, message) in turn.numbered() {
        for (n, block) in message.content.iter().enumerate() {
            let place = format!("messages[{i}].content[{n}]");
            match block {
                ContentBlock::Text(text) => parts.push(Part::Text { text: text.text.as_str().into() }),
                ContentBlock::Image(image) => {
                    parts.push(part(fitted.facts.perceived(media::image(image, &place)?, &place)?, fitted));
                }
                ContentBlock::Audio(audio) => {
                    let audio = media::audio(audio, &place, Api::Chat)?;
                    parts.push(part(fitted.facts.perceived(audio, &place)?, fitted));
                }
                ContentBlock::ToolResult(result) => {
                    results += 1;
                    let id = fitted.ids.on_the_wire(&result.tool_use_id, i);
                    let (content, media) = tool_result(result, &place, fitted)?;
                    messages.push(Message::Tool { tool_call_id: id, content });
                    if !media.is_empty() {
                        parts.push(Part::Text { text: introduction(result, id, calls).into() });
                        parts.extend(media);
                    }
                }
                ContentBlock::ToolUse(_) => {
                    return Err(unsupported(format!("`{place}`: a tool_use in a user message")));
                }
                ContentBlock::Other(other) => return Err(unknown_block(&place, other)),
            }
        }
    }
    match messages.last_mut() {
        Some(Message::Tool { content: answer, .. }) if results > 0 && !fitted.spoken.user_after_tool() => {
            let before = std::mem::replace(answer, Content::Parts(Vec::new()));
            *answer = content(before.into_parts().into_iter().chain(parts).collect());
        }
        _ if results == 0 || !parts.is_empty() => messages.push(Message::User { content: content(parts) }),
        _ => {}
    }
    Ok(())
}

/// A tool's answer, and what of it can't stand there: for most servers a `tool` message holds text only
/// (`types/chat/chat_completion_tool_message_param.py`). The rest stands in a user message that follows, and the text says so
/// in its place.
fn tool_result<'a>(
    result: &'a ToolResultContent,
    place: &str,
    fitted: &Fitted,
) -> Result<(Content<'a>, Vec<Part<'a>>), Error> {
    let pieces = tool_result::pieces(result, place, Api::Chat)?;
    for piece in &pieces {
        if let Piece::Media { media, .. } = piece {
            fitted.facts.can_perceive(media, place)?;
        }
    }
    let holds_media = pieces.iter().any(|piece| matches!(piece, Piece::Media { .. }));
    if holds_media && fitted.spoken.dialect.images_in_tool_results {
        let parts = pieces.into_iter().map(|piece| match piece {
            Piece::Text(text) => Part::Text { text },
            Piece::Media { media, .. } => part(media, fitted),
        });
        return Ok((Content::Parts(parts.collect()), Vec::new()));
    }
    let mut texts = Vec::new();
    let mut parts = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => texts.push(text),
            Piece::Media { media, called } => {
                parts.push(part(media, fitted));
                texts.push(format!("[{called}; see the next user message]").into());
            }
        }
    }
    Ok((Content::Text(join(texts, "\n")), parts))
}

fn part<'a>(media: Media<'a>, fitted: &Fitted) -> Part<'a> {
    match (media, fitted.spoken.has_plain_media()) {
        (Media::Image(url), _) => Part::ImageUrl { image_url: ImageUrl { url } },
        (Media::Audio { data, format }, false) => Part::InputAudio { input_audio: InputAudio::Object { data, format } },
        (Media::Audio { data, .. }, true) => Part::InputAudio { input_audio: InputAudio::Plain(data) },
        (Media::Document { name, data }, false) => Part::File { file: File { filename: name, file_data: data } },
        (Media::Document { name, data }, true) => Part::DocumentUrl { document_url: data, document_name: name },
    }
}

/// Tells the model what the image that follows belongs to. The name is there because models don't see every id.
fn introduction(result: &ToolResultContent, id: &str, calls: &[&ToolUseContent]) -> String {
    match calls.iter().find(|call| call.id == result.tool_use_id) {
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

/// The texts of a turn: the pieces of an answer follow each other as they are, answers as paragraphs.
fn said<'a>(turn: &Turn<'a>) -> Cow<'a, str> {
    let texts = |message: &'a SamplingMessage| {
        let texts = message.content.iter().filter_map(|block| match block {
            ContentBlock::Text(text) => Some(text.text.as_str().into()),
            _ => None,
        });
        join(texts.collect(), "")
    };
    join(turn.messages.iter().map(texts).filter(|text| !text.is_empty()).collect(), "\n\n")
}

fn assistant<'a>(turn: &Turn<'a>, state: &'a State, fitted: &'a Fitted<'a>) -> Result<Message<'a>, Error> {
    let mut tool_calls = Vec::new();
    let mut reasoning = None;
    for (i, message) in turn.numbered() {
        for (n, block) in message.content.iter().enumerate() {
            let place = format!("messages[{i}].content[{n}]");
            let cannot = |what: &str| {
                unsupported(format!("`{place}`: {what} in an assistant message; Chat Completions takes text there"))
            };
            let extras = match block {
                ContentBlock::Text(text) => &text.extras,
                ContentBlock::ToolUse(tool_use) => {
                    tool_calls.push(call(tool_use, i, state, fitted));
                    &tool_use.extras
                }
                ContentBlock::Image(_) => return Err(cannot("an image")),
                ContentBlock::Audio(_) => return Err(cannot("audio")),
                ContentBlock::ToolResult(_) => return Err(cannot("a tool_result")),
                ContentBlock::Other(other) => return Err(unknown_block(&place, other)),
            };
            reasoning = reasoning.or_else(|| state.source().reasoning(extras));
        }
    }
    if fitted.needs_signature()
        && let Some(first) = tool_calls.first_mut().filter(|first| first.extras.is_none())
    {
        first.extras.extra_content = serde_json::from_str(NO_SIGNATURE).ok();
    }
    let mut reasoning = taken(&reasoning.unwrap_or(Reasoning::NONE), fitted);
    if reasoning.is_none() && fitted.spoken.dialect.needs_reasoning && state.tools && !tool_calls.is_empty() {
        reasoning.reasoning_content = serde_json::from_str(r#""""#).ok();
    }
    let text = said(turn);
    let content = (!text.is_empty() || tool_calls.is_empty()).then_some(text);
    Ok(Message::Assistant { content, tool_calls, reasoning })
}

fn call<'a>(tool_use: &'a ToolUseContent, message: usize, state: &'a State, fitted: &'a Fitted<'a>) -> ToolCall<'a> {
    let extras = state.source().call(&tool_use.extras).filter(|_| fitted.takes_extras());
    ToolCall {
        id: fitted.ids.on_the_wire(&tool_use.id, message),
        kind: "function",
        function: FunctionCall {
            name: state.names.on_the_wire(&tool_use.name),
            arguments: state.shapes.on_the_wire(&tool_use.name, &tool_use.input),
        },
        extras: extras.unwrap_or(CallExtras::NONE),
    }
}

/// What the server takes of a model's reasoning.
fn taken<'a>(reasoning: &Reasoning<&'a RawValue>, fitted: &Fitted) -> Reasoning<&'a RawValue> {
    let takes = |field| move |_: &&RawValue| fitted.spoken.takes(field);
    Reasoning {
        reasoning_content: reasoning.reasoning_content.filter(takes(Field::ReasoningContent)),
        reasoning: reasoning.reasoning.filter(takes(Field::Reasoning)),
        reasoning_details: reasoning.reasoning_details.filter(takes(Field::ReasoningDetails)),
        thinking_blocks: reasoning.thinking_blocks.filter(takes(Field::ThinkingBlocks)),
    }
}
