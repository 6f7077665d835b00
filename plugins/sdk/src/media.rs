//! What images, audio and documents are: by their label, and by their first bytes, which tell better.

use crate::text::mime_essence;

/// The MIME type of some bytes in base64: what their beginning shows if that is of the labelled sort (an image under an image's label),
/// else the label, without parameters, in its usual spelling (`image/jpeg` of `image/pjpeg`).
#[must_use]
pub fn kind(label: &str, base64: &str) -> String {
    let label = usual(&mime_essence(label)).to_owned();
    let sort = |kind: &str| kind.split('/').next().unwrap_or_default().to_owned();
    match by_bytes(base64) {
        Some(shown) if sort(shown) == sort(&label) || is_vague(&label) => refined(shown, &label).to_owned(),
        _ => label,
    }
}

/// Labels that say nothing of what is in it.
fn is_vague(label: &str) -> bool {
    matches!(label, "" | "application/octet-stream" | "binary/octet-stream" | "image/*" | "audio/*" | "*/*")
}

/// Ogg and MP4 hold audio of several sorts, of which the label may say more.
fn refined<'a>(shown: &'a str, label: &'a str) -> &'a str {
    let says_more = match shown {
        "audio/ogg" => label == "audio/opus",
        "audio/mp4" => label == "audio/aac",
        _ => false,
    };
    if says_more { label } else { shown }
}

/// The usual spelling of a type that has several.
fn usual(kind: &str) -> &str {
    match kind {
        "image/jpg" | "image/pjpeg" | "image/x-jpeg" | "image/jpe" | "image/jfif" => "image/jpeg",
        "image/x-png" | "image/apng" => "image/png",
        "image/x-webp" => "image/webp",
        "image/x-gif" => "image/gif",
        "image/x-bmp" | "image/x-ms-bmp" => "image/bmp",
        "audio/mp3" | "audio/x-mp3" | "audio/mpeg3" | "audio/x-mpeg" | "audio/x-mpeg-3" | "audio/mpg" => "audio/mpeg",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" | "audio/x-pn-wav" => "audio/wav",
        "audio/x-m4a" | "audio/m4a" | "audio/mp4a-latm" => "audio/mp4",
        "audio/x-flac" => "audio/flac",
        "audio/x-aac" | "audio/aacp" => "audio/aac",
        "audio/x-aiff" => "audio/aiff",
        "audio/x-ogg" | "application/ogg" | "audio/vorbis" => "audio/ogg",
        "application/x-pdf" => "application/pdf",
        kind => kind,
    }
}

/// What the first bytes show.
fn by_bytes(base64: &str) -> Option<&'static str> {
    let bytes = beginning(base64);
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    let holds = |at: usize, magic: &[u8]| bytes.get(at..at + magic.len()) == Some(magic);
    Some(match () {
        () if begins(b"\x89PNG\r\n\x1a\n") => "image/png",
        () if begins(b"\xff\xd8\xff") => "image/jpeg",
        () if begins(b"GIF87a") || begins(b"GIF89a") => "image/gif",
        () if begins(b"RIFF") && holds(8, b"WEBP") => "image/webp",
        () if begins(b"RIFF") && holds(8, b"WAVE") => "audio/wav",
        () if begins(b"%PDF-") => "application/pdf",
        () if begins(b"OggS") => "audio/ogg",
        () if begins(b"fLaC") => "audio/flac",
        () if begins(b"FORM") && (holds(8, b"AIFF") || holds(8, b"AIFC")) => "audio/aiff",
        () if holds(4, b"ftypM4A") => "audio/mp4",
        () if holds(4, b"ftypavif") => "image/avif",
        () if holds(4, b"ftyphei") || holds(4, b"ftypmif1") => "image/heic",
        () if begins(b"ID3") || begins(b"\xff\xfb") || begins(b"\xff\xf3") || begins(b"\xff\xf2") => "audio/mpeg",
        () if begins(b"\xff\xf1") || begins(b"\xff\xf9") => "audio/aac",
        () => return None,
    })
}

/// The first twelve bytes, or as many as there are.
fn beginning(base64: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in base64.bytes().take(16) {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        held = (held << 6) | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.extend(u8::try_from((held >> bits) & 0xff));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_better_than_the_label() {
        for (label, base64, expected) in [
            ("image/jpeg", "iVBORw0KGgoAAAANSUhEUg==", "image/png"),
            ("image/png", "/9j/4AAQSkZJRgABAQ==", "image/jpeg"),
            ("image/png", "R0lGODlhAQABAAAAACw=", "image/gif"),
            ("image/png", "UklGRiQAAABXRUJQVlA4", "image/webp"),
            ("audio/mpeg", "UklGRiQAAABXQVZFZm10", "audio/wav"),
            ("audio/wav", "SUQzBAAAAAAAI1RTU0U=", "audio/mpeg"),
            ("audio/ogg", "T2dnUwACAAAAAAAAAAA=", "audio/ogg"),
            ("audio/opus", "T2dnUwACAAAAAAAAAAA=", "audio/opus"),
            ("", "JVBERi0xLjcKJQ==", "application/pdf"),
            ("application/octet-stream", "iVBORw0KGgoAAAANSUhEUg==", "image/png"),
            // Of another sort: what the block is decides.
            ("image/png", "JVBERi0xLjcKJQ==", "image/png"),
            ("text/plain", "iVBORw0KGgoAAAANSUhEUg==", "text/plain"),
            ("Image/PJPEG; q=1", "AAAA", "image/jpeg"),
            ("image/x-png", "", "image/png"),
            ("audio/x-mp3", "AAAA", "audio/mpeg"),
            ("audio/x-m4a", "AAAA", "audio/mp4"),
            ("video/mp4", "AAAA", "video/mp4"),
        ] {
            assert_eq!(kind(label, base64), expected, "{label} {base64}");
        }
    }
}
