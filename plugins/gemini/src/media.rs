//! Images, audio and PDF: what the Gemini API takes of them.

use understudy_plugin::error::unsupported;
use understudy_plugin::media::kind;
use understudy_plugin::types::{Error, MediaContent};

use crate::wire::Blob;

/// An image, of a type that Google's docs list ("Image understanding").
pub(crate) fn image<'a>(media: &'a MediaContent, place: &str) -> Result<Blob<'a>, Error> {
    image_type(&kind(&media.mime_type, &media.data)).map(|mime_type| Blob { mime_type, data: &media.data }).ok_or_else(
        || {
            unsupported(format!(
                "`{place}`: an image of type `{}`; the Gemini API takes png, jpeg, webp, heic and heif",
                media.mime_type
            ))
        },
    )
}

/// Audio, of a type that Google's docs list ("Audio understanding").
pub(crate) fn audio<'a>(media: &'a MediaContent, place: &str) -> Result<Blob<'a>, Error> {
    audio_type(&kind(&media.mime_type, &media.data)).map(|mime_type| Blob { mime_type, data: &media.data }).ok_or_else(
        || {
            unsupported(format!(
                "`{place}`: audio of type `{}`; the Gemini API takes wav, mp3, aiff, aac, ogg and flac",
                media.mime_type
            ))
        },
    )
}

/// The bytes of a resource: an image, audio, or a PDF.
pub(crate) fn blob<'a>(base64: &'a str, mime_type: Option<&str>, place: &str) -> Result<Blob<'a>, Error> {
    let kind = kind(mime_type.unwrap_or_default(), base64);
    let pdf = || (kind == PDF).then_some(PDF);
    let known = image_type(&kind).or_else(|| audio_type(&kind)).or_else(pdf);
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

fn image_type(kind: &str) -> Option<&'static str> {
    ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"].into_iter().find(|taken| *taken == kind)
}

/// The type as Google spells it.
fn audio_type(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "audio/wav" => "audio/wav",
        "audio/mpeg" => "audio/mp3",
        "audio/aiff" => "audio/aiff",
        "audio/aac" => "audio/aac",
        "audio/ogg" => "audio/ogg",
        "audio/flac" => "audio/flac",
        _ => return None,
    })
}
