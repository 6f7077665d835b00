//! Images, audio and PDF: what the Gemini API takes of them.

use understudy_plugin::error::unsupported;
use understudy_plugin::text::mime_essence;
use understudy_plugin::types::{Error, MediaContent};

use crate::wire::Blob;

/// An image, of a type that Google's docs list ("Image understanding").
pub(crate) fn image<'a>(media: &'a MediaContent, place: &str) -> Result<Blob<'a>, Error> {
    image_type(&media.mime_type).map(|mime_type| Blob { mime_type, data: &media.data }).ok_or_else(|| {
        unsupported(format!(
            "`{place}`: an image of type `{}`; the Gemini API takes png, jpeg, webp, heic and heif",
            media.mime_type
        ))
    })
}

/// Audio, of a type that Google's docs list ("Audio understanding").
pub(crate) fn audio<'a>(media: &'a MediaContent, place: &str) -> Result<Blob<'a>, Error> {
    audio_type(&media.mime_type).map(|mime_type| Blob { mime_type, data: &media.data }).ok_or_else(|| {
        unsupported(format!(
            "`{place}`: audio of type `{}`; the Gemini API takes wav, mp3, aiff, aac, ogg and flac",
            media.mime_type
        ))
    })
}

/// The bytes of a resource: an image, audio, or a PDF.
pub(crate) fn blob<'a>(base64: &'a str, mime_type: Option<&str>, place: &str) -> Result<Blob<'a>, Error> {
    let kind = mime_type.unwrap_or_default();
    let pdf = || (mime_essence(kind) == PDF).then_some(PDF);
    let known = image_type(kind).or_else(|| audio_type(kind)).or_else(pdf);
    known.map(|mime_type| Blob { mime_type, data: base64 }).ok_or_else(|| {
        let of_type = mime_type.map_or_else(|| "without a type".to_owned(), |kind| format!("of type `{kind}`"));
        unsupported(format!(
            "`{place}`: a resource {of_type}, in bytes; the Gemini API takes images (png, jpeg, webp, heic, heif), audio (wav, mp3, aiff, aac, ogg, flac) and pdf"
        ))
    })
}

const PDF: &str = "application/pdf";

/// Whether it can be a part of a function's response (Google's docs, "Function calling", "Multimodal function responses").
pub(crate) fn nests(blob: &Blob) -> bool {
    matches!(blob.mime_type, "image/png" | "image/jpeg" | "image/webp" | PDF)
}

fn image_type(mime_type: &str) -> Option<&'static str> {
    Some(match mime_essence(mime_type).as_str() {
        "image/png" => "image/png",
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/webp" => "image/webp",
        "image/heic" => "image/heic",
        "image/heif" => "image/heif",
        _ => return None,
    })
}

fn audio_type(mime_type: &str) -> Option<&'static str> {
    Some(match mime_essence(mime_type).as_str() {
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "audio/wav",
        "audio/mp3" | "audio/mpeg" => "audio/mp3",
        "audio/aiff" | "audio/x-aiff" => "audio/aiff",
        "audio/aac" | "audio/x-aac" => "audio/aac",
        "audio/ogg" => "audio/ogg",
        "audio/flac" | "audio/x-flac" => "audio/flac",
        _ => return None,
    })
}
