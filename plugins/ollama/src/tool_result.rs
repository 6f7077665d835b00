//! A tool's answer as text, and the images of it.

use std::borrow::Cow;

use understudy_plugin::error::{unknown_block, unsupported};
use understudy_plugin::text::{is_json, join, resource_link};
use understudy_plugin::types::{Error, ResourceContents, ToolResultBlock, ToolResultContent};

use crate::messages::{audio, image, is_image};

pub(crate) struct ToolResult<'a> {
    pub(crate) text: Cow<'a, str>,
    /// Base64. Most templates show the model images of the user's messages only, so they stand there.
    pub(crate) images: Vec<&'a str>,
}

pub(crate) fn convert<'a>(result: &'a ToolResultContent, place: &str) -> Result<ToolResult<'a>, Error> {
    let mut texts: Vec<Cow<'a, str>> = Vec::new();
    let mut images = Vec::new();
    if result.is_error {
        texts.push("The tool failed:".into());
    }
    let mut is_said = false;
    for (i, block) in result.content.iter().enumerate() {
        let place = format!("{place}.content[{i}]");
        match block {
            ToolResultBlock::Text(text) => {
                is_said |= result.structured_content.as_deref().is_some_and(|json| is_json(&text.text, json));
                texts.push(text.text.as_str().into());
            }
            ToolResultBlock::Image(media) => {
                images.push(image(media, &place)?);
                texts.push("[an image; see the next user message]".into());
            }
            ToolResultBlock::Audio(media) => return Err(audio(media, &place)),
            ToolResultBlock::ResourceLink(link) => texts.push(resource_link(link).into()),
            ToolResultBlock::Resource(resource) => match &resource.contents {
                ResourceContents::Text(text) => texts.push(format!("Resource {}:\n{text}", resource.uri).into()),
                ResourceContents::Blob(base64) => {
                    images.push(blob(base64, resource.mime_type.as_deref(), &place)?);
                    texts.push(format!("[resource {}; see the next user message]", resource.uri).into());
                }
            },
            ToolResultBlock::Other(other) => return Err(unknown_block(&place, other)),
        }
    }
    if let Some(structured) = result.structured_content.as_deref().filter(|_| !is_said) {
        texts.push(structured.into());
    }
    Ok(ToolResult { text: join(texts, "\n"), images })
}

fn blob<'a>(base64: &'a str, mime_type: Option<&str>, place: &str) -> Result<&'a str, Error> {
    if is_image(mime_type.unwrap_or_default(), base64) {
        return Ok(base64);
    }
    let of_type = mime_type.map_or_else(|| "without a type".to_owned(), |kind| format!("of type `{kind}`"));
    Err(unsupported(format!("`{place}`: a resource {of_type}, in bytes; Ollama takes images (png, jpeg, webp)")))
}
