//! A tool's answer: an object, the parts that belong to it, and what must follow it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use understudy_plugin::error::{invalid_request, unknown_block};
use understudy_plugin::text::{is_json, join, resource_link};
use understudy_plugin::types::{Error, ResourceContents, ToolResultBlock, ToolResultContent};

use crate::media;
use crate::wire::{Blob, FunctionResponse, FunctionResponsePart, Response, Said};

pub(crate) struct ToolResult<'a> {
    pub(crate) response: FunctionResponse<'a>,
    /// What can't be a part of the response.
    pub(crate) following: Vec<Blob<'a>>,
}

/// `nests`: whether the model takes images and PDFs as parts of the response.
pub(crate) fn convert<'a>(
    result: &'a ToolResultContent,
    name: &'a str,
    nests: bool,
    place: &str,
) -> Result<ToolResult<'a>, Error> {
    let mut texts: Vec<Cow<'a, str>> = Vec::new();
    let mut parts = Vec::new();
    let mut following = Vec::new();
    let mut attach = |what: &str, blob: Blob<'a>| {
        if nests && media::nests(&blob) {
            parts.push(FunctionResponsePart { inline_data: blob });
            format!("[{what}; part {} of this response]", parts.len()).into()
        } else {
            following.push(blob);
            format!("[{what}; see the next message]").into()
        }
    };
    let structured = result.structured_content.as_deref();
    for (i, block) in result.content.iter().enumerate() {
        let place = format!("{place}.content[{i}]");
        match block {
            ToolResultBlock::Text(text) if structured.is_some_and(|json| is_json(&text.text, json)) => {}
            ToolResultBlock::Text(text) => texts.push(text.text.as_str().into()),
            ToolResultBlock::Image(image) => texts.push(attach("an image", media::image(image, &place)?)),
            ToolResultBlock::Audio(audio) => texts.push(attach("audio", media::audio(audio, &place)?)),
            ToolResultBlock::ResourceLink(link) => texts.push(resource_link(link).into()),
            ToolResultBlock::Resource(resource) => texts.push(match &resource.contents {
                ResourceContents::Text(text) => format!("Resource {}:\n{text}", resource.uri).into(),
                ResourceContents::Blob(base64) => {
                    let blob = media::blob(base64, resource.mime_type.as_deref(), &place)?;
                    attach(&format!("resource {}", resource.uri), blob)
                }
            }),
            ToolResultBlock::Other(other) => return Err(unknown_block(&place, other)),
        }
    }
    let structured: Option<&RawValue> = structured
        .map(serde_json::from_str)
        .transpose()
        .map_err(|e| invalid_request(format!("`{place}.structuredContent` is not JSON: {e}")))?;
    let response = FunctionResponse {
        id: &result.tool_use_id,
        name,
        response: response(texts, structured, result.is_error),
        parts,
    };
    Ok(ToolResult { response, following })
}

fn response<'a>(texts: Vec<Cow<'a, str>>, structured: Option<&'a RawValue>, is_error: bool) -> Response<'a> {
    let (said, structured_content) = match (structured, texts.is_empty()) {
        (Some(own), true) if !is_error && stands_alone(own) => return Response::Own(own),
        (Some(json), true) => (Said::Json(json), None),
        (None, true) if is_error => (Said::Text("the tool failed".into()), None),
        (structured, _) => (Said::Text(join(texts, "\n")), structured),
    };
    if is_error {
        Response::Error { error: said, structured_content }
    } else {
        Response::Result { result: said, structured_content }
    }
}

/// Whether this is an object, and none that Google would take for something else: `output` and `error` mean something.
fn stands_alone(json: &RawValue) -> bool {
    let object = serde_json::from_str::<BTreeMap<String, &RawValue>>(json.get());
    object.is_ok_and(|object| !object.contains_key("output") && !object.contains_key("error"))
}
