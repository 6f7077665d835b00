//! The bytes of media.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The type that the first bytes tell, if they do; an error if it isn't base64.
pub(crate) fn sniff(data: &str) -> Result<Option<&'static str>, ()> {
    let bytes = STANDARD.decode(data).map_err(|_| ())?;
    Ok(match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [b'%', b'P', b'D', b'F', ..] => Some("application/pdf"),
        _ => None,
    })
}

/// The type and the data of a `data:` URL.
pub(crate) fn data_url(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}
