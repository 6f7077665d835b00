//! Content blocks, from MCP's to Anthropic's.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use understudy_plugin::blocks::extras;
use understudy_plugin::ids::Ids;
use understudy_plugin::names::Names;
use understudy_plugin::schema::Shapes;
use understudy_plugin::text::is_json;
use understudy_plugin::types::{
    ContentBlock, EmbeddedResource, Error, MediaContent, ResourceContents, ResourceLink, Role, ToolResultBlock,
    ToolResultContent,
};
use understudy_plugin::{error, media};

use crate::request::is_blank;
use crate::wire::{self, Block, Hidden, HiddenMeta, Kind, Link, Source};

/// The longest title of a document ("Create a Message", `title`).
const LONGEST_TITLE: usize = 500;

/// JSON that the host handed over as a text.
pub(crate) fn json<'a>(place: &str, text: &'a str) -> Result<&'a RawValue, Error> {
    serde_json::from_str(text).map_err(|e| error::invalid_request(format!("`{place}` is not JSON: {e}")))
}

fn input<'a>(place: &str, text: Cow<'a, str>) -> Result<Cow<'a, RawValue>, Error> {
    match text {
        Cow::Borrowed(text) => json(place, text).map(Cow::Borrowed),
        Cow::Owned(text) => RawValue::from_string(text)
            .map(Cow::Owned)
            .map_err(|e| error::invalid_request(format!("`{place}` is not JSON: {e}"))),
    }
}

/// What differs on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapped<'a> {
    pub(crate) names: &'a Names,
    pub(crate) ids: &'a Ids,
    pub(crate) shapes: &'a Shapes,
}

/// A block of message `i`; nothing for a blank text.
pub(crate) fn block<'a>(
    place: &str,
    i: usize,
    role: Role,
    block: &'a ContentBlock,
    mapped: Mapped<'a>,
) -> Result<Option<Block<'a>>, Error> {
    Ok(Some(match block {
        ContentBlock::Text(text) if is_blank(&text.text) => return Ok(None),
        ContentBlock::Text(text) => Block::text(&text.text),
        ContentBlock::Image(_) if role == Role::Assistant => {
            return Err(error::unsupported(format!(
                "`{place}`: an image in an assistant message; Anthropic takes images in the user's messages only"
            )));
        }
        ContentBlock::Image(media) => image(place, media)?,
        ContentBlock::Audio(media) => return Err(no_audio(place, media)),
        ContentBlock::ToolUse(tool_use) => Block::ToolUse {
            id: mapped.ids.on_the_wire(&tool_use.id, i),
            name: mapped.names.on_the_wire(&tool_use.name),
            input: input(&format!("{place}.input"), mapped.shapes.on_the_wire(&tool_use.name, &tool_use.input))?,
        },
        ContentBlock::ToolResult(result) => tool_result(place, mapped.ids.on_the_wire(&result.tool_use_id, i), result)?,
        ContentBlock::Other(other) => return Err(unknown(place, &other.kind)),
    }))
}

/// The blocks that stood before this one when Anthropic gave it, as `response` put them into its `_meta`.
///
/// Only what can have come from there, so no blocks that MCP has, too: those are the conversation's, and the host has
/// checked them. Anything else is left out, as thinking without which the conversation is whole.
pub(crate) fn hidden(block: &ContentBlock) -> Option<Hidden<'_>> {
    let meta = extras(block)?.meta.as_deref().filter(|meta| meta.contains("understudy.anthropic/thinking"))?;
    let HiddenMeta { hidden } = serde_json::from_str(meta).ok()?;
    let is_hidden = |raw: &&RawValue| {
        wire::object::<Kind>(raw).is_ok_and(|block| {
            !matches!(block.kind.as_ref(), "text" | "image" | "document" | "search_result" | "tool_use" | "tool_result")
        })
    };
    hidden.blocks.iter().all(is_hidden).then_some(hidden)
}

fn tool_result<'a>(place: &str, id: &'a str, result: &'a ToolResultContent) -> Result<Block<'a>, Error> {
    let mut content = Vec::with_capacity(result.content.len());
    for (n, inner) in result.content.iter().enumerate() {
        content.extend(tool_result_block(&format!("{place}.content[{n}]"), inner)?);
    }
    if let Some(structured) = result.structured_content.as_deref()
        && !holds(&result.content, structured)
    {
        content.push(Block::text(structured));
    }
    if content.is_empty() && result.is_error {
        // "content cannot be empty if `is_error` is true"
        content.push(Block::text(r#"{"isError":true}"#));
    }
    Ok(Block::ToolResult { tool_use_id: id, content, is_error: result.is_error })
}

/// Whether one of the texts is this JSON, as the specification recommends it should be ("Tools", "Structured content").
fn holds(content: &[ToolResultBlock], structured: &str) -> bool {
    content.iter().any(|block| matches!(block, ToolResultBlock::Text(text) if is_json(&text.text, structured)))
}

fn tool_result_block<'a>(place: &str, block: &'a ToolResultBlock) -> Result<Option<Block<'a>>, Error> {
    Ok(Some(match block {
        ToolResultBlock::Text(text) if is_blank(&text.text) => return Ok(None),
        ToolResultBlock::Text(text) => Block::text(&text.text),
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
            let kind = media::kind(mime_type.unwrap_or_default(), data);
            if let Some(media_type) = image_type(&kind) {
                return Ok(Block::Image { source: Source::Base64 { media_type, data } });
            }
            if kind == "application/pdf" {
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

fn image<'a>(place: &str, image: &'a MediaContent) -> Result<Block<'a>, Error> {
    let media_type = image_type(&media::kind(&image.mime_type, &image.data)).ok_or_else(|| {
        error::unsupported(format!(
            "`{place}`: Anthropic takes images of the types jpeg, png, gif and webp, and this is `{}`",
            image.mime_type
        ))
    })?;
    Ok(Block::Image { source: Source::Base64 { media_type, data: &image.data } })
}

/// The type, if Anthropic takes it (`Base64ImageSource`).
fn image_type(kind: &str) -> Option<&'static str> {
    ["image/jpeg", "image/png", "image/gif", "image/webp"].into_iter().find(|taken| *taken == kind)
}

fn no_audio(place: &str, media: &MediaContent) -> Error {
    error::unsupported(format!("`{place}`: Anthropic takes no audio (this is `{}`)", media.mime_type))
}

fn unknown(place: &str, kind: &str) -> Error {
    error::unsupported(format!("`{place}`: this plugin knows no `{kind}` block"))
}
