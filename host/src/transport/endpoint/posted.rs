//! What a client posts: one JSON-RPC message, made a line.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use serde_json::value::RawValue;

use super::reply::{Refusal, refusal};
use crate::jsonrpc::{Head, Kind};

/// How long a client may take to send the next piece of a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message that came by POST.
#[derive(Debug)]
pub(super) struct Posted {
    /// The message, with the end of its line.
    pub(super) line: Bytes,
    /// What it is.
    pub(super) head: Head,
}

impl Posted {
    /// Reads a body of at most `limit` bytes.
    pub(super) async fn read(body: Incoming, limit: usize) -> Result<Self, Refusal> {
        let line = line(whole(body, limit).await?).map_err(|reason| {
            Box::new(refusal(StatusCode::BAD_REQUEST, None, -32700, &format!("the body is not valid JSON: {reason}")))
        })?;
        let head = Head::of(&line);
        if head.kind() == Kind::Other {
            let reason = "the body is no JSON-RPC message: it has neither `method` nor `result` nor `error`, or its `id` is neither a string nor a number";
            return Err(refusal(StatusCode::BAD_REQUEST, None, -32600, reason).into());
        }
        Ok(Self { line, head })
    }

    /// The messages in it: one, unless it is a batch.
    pub(super) fn messages(&self) -> Vec<(Bytes, Head)> {
        parts(&self.line, &self.head)
    }
}

/// The messages of a line: one, unless it is a batch.
pub(super) fn parts(line: &Bytes, head: &Head) -> Vec<(Bytes, Head)> {
    if head.kind() != Kind::Batch {
        return vec![(line.clone(), head.clone())];
    }
    let parts: Vec<&RawValue> = serde_json::from_slice(line).unwrap_or_default();
    let parts = parts.into_iter().map(|part| line.slice_ref(part.get().as_bytes()));
    parts.map(|part| (part.clone(), Head::of(&part))).collect()
}

async fn whole(mut body: Incoming, limit: usize) -> Result<BytesMut, Refusal> {
    let too_large = || {
        let reason = format!("the body holds more than `limits.line` allows ({limit} bytes)");
        Box::new(refusal(StatusCode::PAYLOAD_TOO_LARGE, None, -32600, &reason))
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    loop {
        let frame = match tokio::time::timeout(PATIENCE, body.frame()).await {
            Ok(None) => return Ok(whole),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Err(
                    refusal(StatusCode::BAD_REQUEST, None, -32700, &format!("the body breaks off: {error}")).into()
                );
            }
            Err(_) => {
                let reason = format!("nothing more of the body came for {PATIENCE:?}");
                return Err(refusal(StatusCode::REQUEST_TIMEOUT, None, -32700, &reason).into());
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
}

/// A JSON text as one line, with its end. Line breaks inside are white space (in a string JSON has none): they become spaces,
/// and every other byte stays.
fn line(mut text: BytesMut) -> Result<Bytes, serde_json::Error> {
    let _: &RawValue = serde_json::from_slice(&text)?;
    flatten(&mut text);
    text.extend_from_slice(b"\n");
    Ok(text.freeze())
}

/// A message of the server's without the end of its line, or any line break inside.
pub(super) fn flat(line: &Bytes) -> Bytes {
    let trimmed = line.slice_ref(line.trim_ascii());
    if memchr::memchr2(b'\n', b'\r', &trimmed).is_none() {
        return trimmed;
    }
    let mut flat = BytesMut::from(&trimmed[..]);
    flatten(&mut flat);
    flat.freeze()
}

fn flatten(line: &mut [u8]) {
    line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posted_text_becomes_one_line_and_keeps_every_other_byte() {
        let text = "\n{ \"id\" : 1.0,\r\n\"x\":\"a\\nb é\" }\r\n";
        assert_eq!(line(text.as_bytes().into()).unwrap(), " { \"id\" : 1.0,  \"x\":\"a\\nb é\" }  \n");
        for broken in ["", "{", "{} {}", "{\"a\":\"\n\"}", "\u{feff}{}"] {
            assert!(line(broken.as_bytes().into()).is_err(), "{broken:?}");
        }
        assert!(line(b"{\"a\":\"\xff\"}"[..].into()).is_err());
    }

    #[test]
    fn what_the_server_says_fits_into_one_line_of_an_event() {
        assert_eq!(flat(&Bytes::from_static(b"{\"a\":1}\r\n")), "{\"a\":1}");
        assert_eq!(flat(&Bytes::from_static(b"{\"a\":\r1,\n\"b\":2}\n")), "{\"a\": 1, \"b\":2}");
    }
}
