//! Images, audio and files: what Chat Completions takes of them.

use understudy_plugin::error::unsupported;
use understudy_plugin::types::{Error, MediaContent};

use super::wire::{DataUrl, File, ImageUrl, InputAudio, Part};

/// An image. OpenAI takes PNG, JPEG, WEBP and (not animated) GIF (developers.openai.com/api/docs/guides/images-vision).
pub(super) fn image<'a>(media: &'a MediaContent, place: &str) -> Result<Part<'a>, Error> {
    image_part(&media.mime_type, &media.data).ok_or_else(|| {
        unsupported(format!(
            "`{place}`: an image of type `{}`; OpenAI's API takes jpeg, png, gif and webp",
            media.mime_type
        ))
    })
}

/// Audio. `input_audio.format` is `wav` or `mp3` (`types/chat/chat_completion_content_part_input_audio_param.py`).
pub(super) fn audio<'a>(media: &'a MediaContent, place: &str) -> Result<Part<'a>, Error> {
    audio_part(&media.mime_type, &media.data).ok_or_else(|| {
        unsupported(format!("`{place}`: audio of type `{}`; OpenAI's API takes wav and mp3", media.mime_type))
    })
}

/// The bytes of a resource: an image, audio, or a PDF.
pub(super) fn blob<'a>(base64: &'a str, mime_type: Option<&str>, uri: &'a str, place: &str) -> Result<Part<'a>, Error> {
    let kind = mime_type.unwrap_or_default();
    image_part(kind, base64).or_else(|| audio_part(kind, base64)).or_else(|| pdf_part(kind, base64, uri)).ok_or_else(|| {
        let of_type = mime_type.map_or_else(|| "without a type".to_owned(), |kind| format!("of type `{kind}`"));
        unsupported(format!(
            "`{place}`: a resource {of_type}, in bytes; OpenAI's API takes images (jpeg, png, gif, webp), audio (wav, mp3) and pdf"
        ))
    })
}

/// `image/png` of `Image/PNG; charset=binary`.
fn essence(mime_type: &str) -> String {
    mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn image_part<'a>(mime_type: &str, base64: &'a str) -> Option<Part<'a>> {
    let mime_type = match essence(mime_type).as_str() {
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/png" => "image/png",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        _ => return None,
    };
    Some(Part::ImageUrl { image_url: ImageUrl { url: DataUrl { mime_type, base64 } } })
}

fn audio_part<'a>(mime_type: &str, data: &'a str) -> Option<Part<'a>> {
    let format = match essence(mime_type).as_str() {
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        "audio/mpeg" | "audio/mp3" => "mp3",
        _ => return None,
    };
    Some(Part::InputAudio { input_audio: InputAudio { data, format } })
}

fn pdf_part<'a>(mime_type: &str, base64: &'a str, uri: &'a str) -> Option<Part<'a>> {
    let name = uri.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("document.pdf");
    (essence(mime_type) == "application/pdf").then_some(Part::File {
        file: File { filename: name, file_data: DataUrl { mime_type: "application/pdf", base64 } },
    })
}
