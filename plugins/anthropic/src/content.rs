//! Content blocks, from MCP's to Anthropic's.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use understudy_plugin::blocks::extras;
use understudy_plugin::error;
use understudy_plugin::names::Names;
use understudy_plugin::text::{is_json, mime_essence};
use understudy_plugin::types::{
    ContentBlock, EmbeddedResource, Error, MediaContent, ResourceContents, ResourceLink, ToolResultBlock,
    ToolResultContent,
};

use crate::request::is_blank;
use crate::wire::{self, Block, HiddenMeta, Kind, Link, Source};

/// The longest title of a document ("Create a Message", `title`).
const LONGEST_TITLE: usize = 500;

/// JSON that the host handed over as a text.
pub(crate) fn json<'a>(place: &str, text: &'a str) -> Result<&'a RawValue, Error> {
    serde_json::from_str(text).map_err(|e| error::invalid_request(format!("`{place}` is not JSON: {e}")))
}

/// A block of a message; nothing for a blank text.
pub(crate) fn block<'a>(place: &str, block: &'a ContentBlock, names: &'a Names) -> Result<Option<Block<'a>>, Error> {
    Ok(Some(match block {
        ContentBlock::Text(text) if is_blank(&text.text) => return Ok(None),
        ContentBlock::Text(text) => Block::Text { text: Cow::Borrowed(&text.text) },
        ContentBlock::Image(media) => image(place, media)?,
        ContentBlock::Audio(media) => return Err(no_audio(place, media)),
        ContentBlock::ToolUse(tool_use) => Block::ToolUse {
            id: &tool_use.id,
            name: names.on_the_wire(&tool_use.name),
            input: json(&format!("{place}.input"), &tool_use.input)?,
        },
        ContentBlock::ToolResult(result) => tool_result(place, result)?,
        ContentBlock::Other(other) => return Err(unknown(place, &other.kind)),
    }))
}

/// The blocks that stood before this one when Anthropic gave it, as `response` put them into its `_meta`.
///
/// Only blocks that can have come from there, so none that MCP has a block for: those are the conversation's, and the host has
/// checked them.
pub(crate) fn hidden<'a>(place: &str, block: &'a ContentBlock) -> Result<Vec<&'a RawValue>, Error> {
    let Some(meta) = extras(block).and_then(|extras| extras.meta.as_deref()) else { return Ok(Vec::new()) };
    let is_hidden = |raw: &&RawValue| {
        wire::object::<Kind>(raw).is_ok_and(|block| {
            !matches!(block.kind.as_ref(), "text" | "image" | "document" | "search_result" | "tool_use" | "tool_result")
        })
    };
    let read: Result<HiddenMeta<'a>, _> = serde_json::from_str(meta);
    match read.map(|meta| meta.hidden.unwrap_or_default()) {
        Ok(hidden) if hidden.iter().all(is_hidden) => Ok(hidden),
        _ => Err(error::invalid_request(format!(
            "`{place}._meta`: `understudy.anthropic/thinking` must come back as it was, a list of thinking blocks"
        ))),
    }
}

fn tool_result<'a>(place: &str, result: &'a ToolResultContent) -> Result<Block<'a>, Error> {
    let mut content = Vec::with_capacity(result.content.len());
    for (n, inner) in result.content.iter().enumerate() {
        content.extend(tool_result_block(&format!("{place}.content[{n}]"), inner)?);
    }
    if let Some(structured) = result.structured_content.as_deref()
        && !holds(&result.content, structured)
    {
        content.push(Block::Text { text: Cow::Borrowed(structured) });
    }
    if content.is_empty() && result.is_error {
        // "content cannot be empty if `is_error` is true"
        content.push(Block::Text { text: Cow::Borrowed(r#"{"isError":true}"#) });
    }
    Ok(Block::ToolResult { tool_use_id: &result.tool_use_id, content, is_error: result.is_error })
}

/// Whether one of the texts is this JSON, as the specification recommends it should be ("Tools", "Structured content").
fn holds(content: &[ToolResultBlock], structured: &str) -> bool {
    content.iter().any(|block| matches!(block, ToolResultBlock::Text(text) if is_json(&text.text, structured)))
}

fn tool_result_block<'a>(place: &str, block: &'a ToolResultBlock) -> Result<Option<Block<'a>>, Error> {
    Ok(Some(match block {
        ToolResultBlock::Text(text) if is_blank(&text.text) => return Ok(None),
        ToolResultBlock::Text(text) => Block::Text { text: Cow::Borrowed(&text.text) },
        ToolResultBlock::Image(media) => image(place, media)?,
        ToolResultBlock::Audio(media) => return Err(no_audio(place, media)),
        ToolResultBlock::ResourceLink(link) => linked(link)?,
        ToolResultBlock::Resource(resource) => embedded(place, resource)?,
        ToolResultBlock::Other(other) => return Err(unknown(place, &other.kind)),
    }))
}

fn linked(link: &ResourceLink) -> Result<Block<'_>, Error> {
    described(&Link {
        uri: &link.uri,
        name: &link.name,
        title: link.title.as_deref(),
        description: link.description.as_deref(),
        mime_type: link.mime_type.as_deref(),
        size: link.size,
    })
}

fn described<'a>(value: &impl Serialize) -> Result<Block<'a>, Error> {
    let text = serde_json::to_string(value).map_err(|e| error::other(format!("a resource can't be described: {e}")))?;
    Ok(Block::Text { text: Cow::Owned(text) })
}

/// A text or a PDF becomes a document titled by its address, a picture an image.
fn embedded<'a>(place: &str, resource: &'a EmbeddedResource) -> Result<Block<'a>, Error> {
    let title = Some(resource.uri.as_str()).filter(|uri| (1..=LONGEST_TITLE).contains(&uri.chars().count()));
    let mime_type = resource.mime_type.as_deref();
    match &resource.contents {
        ResourceContents::Text(text) if is_blank(text) => {
            described(&json!({ "type": "resource", "resource": { "uri": resource.uri, "text": text } }))
        }
        ResourceContents::Text(text) => {
            Ok(Block::Document { source: Source::Text { media_type: "text/plain", data: text }, title })
        }
        ResourceContents::Blob(data) => {
            if let Some(media_type) = mime_type.and_then(image_type) {
                return Ok(Block::Image { source: Source::Base64 { media_type, data } });
            }
            if mime_type.is_some_and(|mime_type| mime_essence(mime_type) == "application/pdf") {
                return Ok(Block::Document { source: Source::Base64 { media_type: "application/pdf", data }, title });
            }
            Err(error::unsupported(format!(
                "`{place}`: Anthropic takes a resource that is text, a PDF or an image (jpeg, png, gif, webp), and `{}` has the type `{}`",
                resource.uri,
                mime_type.unwrap_or("unknown")
            )))
        }
    }
}

fn image<'a>(place: &str, media: &'a MediaContent) -> Result<Block<'a>, Error> {
    let media_type = image_type(&media.mime_type).ok_or_else(|| {
        error::unsupported(format!(
            "`{place}`: Anthropic takes images of the types jpeg, png, gif and webp, and this is `{}`",
            media.mime_type
        ))
    })?;
    Ok(Block::Image { source: Source::Base64 { media_type, data: &media.data } })
}

/// The type as Anthropic spells it, if it takes it (`Base64ImageSource`).
fn image_type(mime_type: &str) -> Option<&'static str> {
    Some(match mime_essence(mime_type).as_str() {
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/png" => "image/png",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        _ => return None,
    })
}

fn no_audio(place: &str, media: &MediaContent) -> Error {
    error::unsupported(format!("`{place}`: Anthropic takes no audio (this is `{}`)", media.mime_type))
}

fn unknown(place: &str, kind: &str) -> Error {
    error::unsupported(format!("`{place}`: this plugin knows no `{kind}` block"))
}
