//! A tool's answer as text, and what of it isn't text.
//!
//! A `tool` message holds text only (`types/chat/chat_completion_tool_message_param.py`). What isn't text stands in a
//! user message that follows, and the text says so in its place.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;
use understudy_plugin::error::unsupported;
use understudy_plugin::types::{Error, ResourceContents, ResourceLink, ToolResultBlock, ToolResultContent};

use super::media;
use super::wire::Part;

pub(super) struct ToolResult<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) media: Vec<Part<'a>>,
}

pub(super) fn convert<'a>(result: &'a ToolResultContent, place: &str) -> Result<ToolResult<'a>, Error> {
    let mut texts: Vec<Cow<'a, str>> = Vec::new();
    let mut parts = Vec::new();
    if result.is_error {
        texts.push("The tool failed:".into());
    }
    for (i, block) in result.content.iter().enumerate() {
        let place = format!("{place}.content[{i}]");
        match block {
            ToolResultBlock::Text(text) => texts.push(text.text.as_str().into()),
            ToolResultBlock::Image(image) => {
                parts.push(media::image(image, &place)?);
                texts.push("[an image; see the next user message]".into());
            }
            ToolResultBlock::Audio(audio) => {
                parts.push(media::audio(audio, &place)?);
                texts.push("[audio; see the next user message]".into());
            }
            ToolResultBlock::ResourceLink(link) => texts.push(in_words(link).into()),
            ToolResultBlock::Resource(resource) => match &resource.contents {
                ResourceContents::Text(text) => texts.push(format!("Resource {}:\n{text}", resource.uri).into()),
                ResourceContents::Blob(base64) => {
                    parts.push(media::blob(base64, resource.mime_type.as_deref(), &resource.uri, &place)?);
                    texts.push(format!("[resource {}; see the next user message]", resource.uri).into());
                }
            },
            ToolResultBlock::Other(other) => {
                return Err(unsupported(format!("`{place}`: a block of the unknown type `{}`", other.kind)));
            }
        }
    }
    if let Some(structured) = &result.structured_content
        && !is_said(structured, &result.content)
    {
        texts.push(structured.as_str().into());
    }
    Ok(ToolResult { text: join(texts, "\n"), media: parts })
}

/// Texts joined; a single one isn't copied.
pub(super) fn join<'a>(texts: Vec<Cow<'a, str>>, separator: &str) -> Cow<'a, str> {
    let mut texts = texts.into_iter();
    let first = texts.next().unwrap_or_default();
    texts.fold(first, |mut joined, text| {
        let all = joined.to_mut();
        all.push_str(separator);
        all.push_str(&text);
        joined
    })
}

/// Whether one of the texts is the structured answer, as MCP recommends ("SHOULD also return the serialized JSON in a
/// `TextContent` block").
fn is_said(structured: &str, content: &[ToolResultBlock]) -> bool {
    let texts = content.iter().filter_map(|block| match block {
        ToolResultBlock::Text(text) => Some(text.text.trim()),
        _ => None,
    });
    let mut value: Option<Value> = None;
    texts.into_iter().any(|text| {
        if text == structured.trim() {
            return true;
        }
        let Ok(said) = serde_json::from_str::<Value>(text) else { return false };
        let value = value.get_or_insert_with(|| serde_json::from_str(structured).unwrap_or_default());
        said == *value
    })
}

fn in_words(link: &ResourceLink) -> String {
    let mut text = format!("Resource link {} (name: {}", link.uri, link.name);
    let mut add = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            // Writing to a string doesn't fail.
            let _ = write!(text, ", {key}: {value}");
        }
    };
    add("title", link.title.as_deref());
    add("type", link.mime_type.as_deref());
    add("bytes", link.size.map(|size| size.to_string()).as_deref());
    add("description", link.description.as_deref());
    text.push(')');
    text
}
