//! A tool's answer as pieces: texts, and what isn't text, in order.

use std::borrow::Cow;

use understudy_plugin::error::unknown_block;
use understudy_plugin::text::{is_json, resource_link};
use understudy_plugin::types::{Error, ResourceContents, ToolResultBlock, ToolResultContent};

use crate::media::{self, Media};
use crate::settings::Api;

pub(crate) enum Piece<'a> {
    Text(Cow<'a, str>),
    Media {
        media: Media<'a>,
        /// Such as `an image`.
        called: Cow<'a, str>,
    },
}

pub(crate) fn pieces<'a>(result: &'a ToolResultContent, place: &str, api: Api) -> Result<Vec<Piece<'a>>, Error> {
    let mut pieces = Vec::with_capacity(result.content.len() + 2);
    if result.is_error {
        pieces.push(Piece::Text("The tool failed:".into()));
    }
    let structured = result.structured_content.as_deref();
    let mut is_said = false;
    for (i, block) in result.content.iter().enumerate() {
        let place = format!("{place}.content[{i}]");
        pieces.push(match block {
            ToolResultBlock::Text(text) => {
                is_said |= structured.is_some_and(|json| is_json(&text.text, json));
                Piece::Text(text.text.as_str().into())
            }
            ToolResultBlock::Image(image) => {
                Piece::Media { media: media::image(image, &place)?, called: "an image".into() }
            }
            ToolResultBlock::Audio(audio) => {
                Piece::Media { media: media::audio(audio, &place, api)?, called: "audio".into() }
            }
            ToolResultBlock::ResourceLink(link) => Piece::Text(resource_link(link).into()),
            ToolResultBlock::Resource(resource) => match &resource.contents {
                ResourceContents::Text(text) => Piece::Text(format!("Resource {}:\n{text}", resource.uri).into()),
                ResourceContents::Blob(base64) => Piece::Media {
                    media: media::blob(base64, resource.mime_type.as_deref(), &resource.uri, &place, api)?,
                    called: format!("resource {}", resource.uri).into(),
                },
            },
            ToolResultBlock::Other(other) => return Err(unknown_block(&place, other)),
        });
    }
    pieces.extend(structured.filter(|_| !is_said).map(|json| Piece::Text(json.into())));
    Ok(pieces)
}
