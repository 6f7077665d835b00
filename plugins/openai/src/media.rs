//! Images, audio and documents: what OpenAI's APIs take of them.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};
use understudy_plugin::error::unsupported;
use understudy_plugin::media::kind;
use understudy_plugin::types::{Error, MediaContent};

use crate::settings::Api;

/// What isn't text.
pub(crate) enum Media<'a> {
    Image(DataUrl<'a>),
    Audio { data: &'a str, format: &'static str },
    Document { name: Cow<'a, str>, data: DataUrl<'a> },
}

/// A `data:` URL, written into the body without a copy of its own.
pub(crate) struct DataUrl<'a> {
    pub(crate) mime_type: &'static str,
    pub(crate) base64: &'a str,
}

impl fmt::Display for DataUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "data:{};base64,{}", self.mime_type, self.base64)
    }
}

impl Serialize for DataUrl<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An image. OpenAI takes PNG, JPEG, WEBP and (not animated) GIF (developers.openai.com/api/docs/guides/images-vision).
pub(crate) fn image<'a>(media: &'a MediaContent, place: &str) -> Result<Media<'a>, Error> {
    image_type(&kind(&media.mime_type, &media.data))
        .map(|mime_type| Media::Image(DataUrl { mime_type, base64: &media.data }))
        .ok_or_else(|| {
            unsupported(format!(
                "`{place}`: an image of type `{}`; OpenAI's API takes jpeg, png, gif and webp",
                media.mime_type
            ))
        })
}

/// Audio. `input_audio.format` is `wav` or `mp3` (`types/chat/chat_completion_content_part_input_audio_param.py`); the
/// Responses API has no such part (`types/responses/response_input_message_content_list_param.py`).
pub(crate) fn audio<'a>(media: &'a MediaContent, place: &str, api: Api) -> Result<Media<'a>, Error> {
    let takes = match api {
        Api::Chat => "OpenAI's API takes wav and mp3",
        Api::Responses => "OpenAI's Responses API takes none (Chat Completions does, with a model that hears)",
    };
    audio_format(&kind(&media.mime_type, &media.data))
        .filter(|_| api == Api::Chat)
        .map(|format| Media::Audio { data: &media.data, format })
        .ok_or_else(|| unsupported(format!("`{place}`: audio of type `{}`; {takes}", media.mime_type)))
}

/// The bytes of a resource. "Chat Completions accepts only PDF files as `file` content parts"
/// (developers.openai.com/api/docs/guides/file-inputs).
pub(crate) fn blob<'a>(
    base64: &'a str,
    mime_type: Option<&str>,
    uri: &'a str,
    place: &str,
    api: Api,
) -> Result<Media<'a>, Error> {
    let kind = kind(mime_type.unwrap_or_default(), base64);
    if let Some(mime_type) = image_type(&kind) {
        return Ok(Media::Image(DataUrl { mime_type, base64 }));
    }
    if let Some(format) = audio_format(&kind).filter(|_| api == Api::Chat) {
        return Ok(Media::Audio { data: base64, format });
    }
    let takes = match api {
        Api::Chat => "OpenAI's API takes images (jpeg, png, gif, webp), audio (wav, mp3) and pdf",
        Api::Responses => {
            "OpenAI's Responses API takes images (jpeg, png, gif, webp), pdf, text, and documents of the usual offices"
        }
    };
    match document_type(&kind) {
        Some((mime_type, ending)) if api == Api::Responses || ending == ".pdf" => {
            Ok(Media::Document { name: file_name(uri, ending), data: DataUrl { mime_type, base64 } })
        }
        _ => {
            let of_type = mime_type.map_or_else(|| "without a type".to_owned(), |kind| format!("of type `{kind}`"));
            Err(unsupported(format!("`{place}`: a resource {of_type}, in bytes; {takes}")))
        }
    }
}

/// The last part of the address. The API goes by its ending, too.
fn file_name<'a>(uri: &'a str, ending: &str) -> Cow<'a, str> {
    match uri.rsplit('/').next() {
        None | Some("") => format!("document{ending}").into(),
        Some(name) if name.contains('.') => name.into(),
        Some(name) => format!("{name}{ending}").into(),
    }
}

fn image_type(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "image/jpeg" => "image/jpeg",
        "image/png" => "image/png",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        _ => return None,
    })
}

fn audio_format(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "audio/wav" => "wav",
        "audio/mpeg" => "mp3",
        _ => return None,
    })
}

/// A type of "Accepted file types" in the guide above, and the ending of such files.
fn document_type(kind: &str) -> Option<(&'static str, &'static str)> {
    const DOCUMENTS: [(&str, &str); 18] = [
        ("application/pdf", ".pdf"),
        ("text/plain", ".txt"),
        ("text/markdown", ".md"),
        ("application/json", ".json"),
        ("text/html", ".html"),
        ("text/xml", ".xml"),
        ("application/xml", ".xml"),
        ("application/msword", ".doc"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ".docx"),
        ("application/rtf", ".rtf"),
        ("text/rtf", ".rtf"),
        ("application/vnd.oasis.opendocument.text", ".odt"),
        ("application/vnd.ms-powerpoint", ".ppt"),
        ("application/vnd.openxmlformats-officedocument.presentationml.presentation", ".pptx"),
        ("text/csv", ".csv"),
        ("text/tab-separated-values", ".tsv"),
        ("application/vnd.ms-excel", ".xls"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx"),
    ];
    DOCUMENTS.into_iter().find(|(mime_type, _)| *mime_type == kind)
}
