//! What a client posts: one JSON-RPC message, made a line.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body as Incoming;
use mcp::{Envelope, Head, Kind, batch, code, notification, present};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::bodies::{Bodies, PostedBody};
use super::response::{Refusal, refusal};

/// How long a client may take for the next `LEAST` bytes of a body, or its end; and how long a body waits for room.
const PATIENCE: Duration = Duration::from_secs(30);

/// So much of a body comes within `PATIENCE`, or the body is given up: one byte now and then doesn't keep what it holds. 64 KiB.
const LEAST: usize = 64 * 1024;

/// A message that came by POST.
#[derive(Debug)]
pub(super) struct PostedMessage {
    /// The message, with the end of its line.
    pub(super) line: Bytes,
    /// What it is.
    pub(super) head: Head,
    /// What it says of itself, if it is of the stateless era.
    pub(super) envelope: Option<Envelope>,
}

impl PostedMessage {
    /// Reads a body of at most `limit` bytes.
    pub(super) async fn read(
        body: impl Incoming<Data = Bytes, Error: Display> + Unpin,
        limit: usize,
        bodies: &Arc<Bodies>,
    ) -> Result<Self, Refusal> {
        let line = line(whole(body, limit, bodies, PATIENCE).await?).map_err(|reason| {
            Box::new(refusal(
                StatusCode::BAD_REQUEST,
                None,
                code::PARSE_ERROR,
                &format!("the body is not valid JSON: {reason}"),
            ))
        })?;
        let head = Head::of(&line);
        if head.kind() == Kind::Other {
            let reason = "the body is no JSON-RPC message: it has neither `method` nor `result` nor `error`, or its `id` is neither a string nor a number";
            return Err(refusal(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, reason).into());
        }
        if is_without_id(&line, &head) {
            let reason = "the request's `id` is neither a string nor a number, so it can't be answered";
            return Err(refusal(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, reason).into());
        }
        Ok(Self::new(line, head))
    }

    pub(super) fn new(line: Bytes, head: Head) -> Self {
        let envelope = Envelope::of(&line);
        Self { line, head, envelope }
    }

    /// The messages in it: one, unless it is a batch.
    pub(super) fn messages(&self) -> Vec<(Bytes, Head)> {
        batch::messages(&self.line, &self.head)
    }
}

/// Whether a message is a request with an id that is none. A notification with `"id": null` is one by its method: some serializers write that.
fn is_without_id(line: &[u8], head: &Head) -> bool {
    #[derive(serde::Deserialize)]
    struct Identified<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        id: Option<&'a RawValue>,
    }
    let is_meant = || head.method().is_some_and(|method| !method.starts_with(notification::PREFIX));
    let has_id = || serde_json::from_slice::<Identified>(line).is_ok_and(|it| it.id.is_some());
    head.kind() == Kind::Notification && is_meant() && has_id()
}

async fn whole(
    mut body: impl Incoming<Data = Bytes, Error: Display> + Unpin,
    limit: usize,
    bodies: &Arc<Bodies>,
    patience: Duration,
) -> Result<PostedBody, Refusal> {
    let (most, key) = if bodies.total() < limit { (bodies.total(), "bodiesTotal") } else { (limit, "line") };
    let too_large = || {
        let reason = format!("the body holds more than `limits.{key}` allows ({most} bytes)");
        Box::new(refusal(StatusCode::PAYLOAD_TOO_LARGE, None, code::INVALID_REQUEST, &reason))
    };
    let size = body.size_hint();
    if size.lower() > most as u64 {
        return Err(too_large());
    }
    let mut whole = PostedBody::new(bodies, size.exact().and_then(|size| size.try_into().ok()).unwrap_or(most));
    let (mut due, mut came) = (Instant::now() + patience, 0);
    loop {
        let frame = match tokio::time::timeout_at(due, body.frame()).await {
            Ok(None) => return Ok(whole),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Err(refusal(
                    StatusCode::BAD_REQUEST,
                    None,
                    code::PARSE_ERROR,
                    &format!("the body breaks off: {error}"),
                )
                .into());
            }
            Err(_) => {
                let reason = format!("the body comes too slowly: {came} bytes in {patience:?}");
                return Err(refusal(StatusCode::REQUEST_TIMEOUT, None, code::PARSE_ERROR, &reason).into());
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > most - whole.len() {
            return Err(too_large());
        }
        // While there is no room the body isn't read on, and its client waits as it would for a full pipe.
        let waited = match tokio::time::timeout(patience, whole.take(&data)).await {
            Ok(Ok(waited)) => waited,
            Ok(Err(error)) => return Err(no_room(&format!("there is no memory for the body: {error}"))),
            Err(_) => {
                return Err(no_room(&format!(
                    "the bodies of all requests together hold what `limits.bodiesTotal` allows ({} bytes); try again",
                    bodies.total()
                )));
            }
        };
        due += waited;
        came += data.len();
        if came >= LEAST {
            (due, came) = (Instant::now() + patience, 0);
        }
    }
}

#[expect(clippy::unnecessary_box_returns, reason = "a refusal is a box everywhere")]
fn no_room(reason: &str) -> Refusal {
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, None, code::SERVER_ERROR, reason);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response.into()
}

/// A JSON text as one line, with its end. Line breaks inside are white space (in a string JSON has none): they become spaces,
/// and every other byte stays.
fn line(mut text: PostedBody) -> Result<Bytes, serde_json::Error> {
    let _: &RawValue = serde_json::from_slice(text.bytes())?;
    flatten(text.bytes_mut());
    Ok(text.into_line())
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
    use std::convert::Infallible;

    use futures_util::FutureExt;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    const PATIENT: Duration = Duration::from_mins(1);

    /// What becomes of a text.
    fn line_of(text: &[u8]) -> Result<Bytes, String> {
        let (bodies, body) = (Bodies::new(1024), Full::new(Bytes::copy_from_slice(text)));
        let read = whole(body, 1024, &bodies, PATIENT).now_or_never().unwrap();
        line(read.unwrap()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_posted_text_becomes_one_line_and_keeps_every_other_byte() {
        let text = "\n{ \"id\" : 1.0,\r\n\"x\":\"a\\nb é\" }\r\n";
        assert_eq!(line_of(text.as_bytes()).unwrap(), " { \"id\" : 1.0,  \"x\":\"a\\nb é\" }  \n");
        for broken in ["", "{", "{} {}", "{\"a\":\"\n\"}", "\u{feff}{}"] {
            assert!(line_of(broken.as_bytes()).is_err(), "{broken:?}");
        }
        assert!(line_of(b"{\"a\":\"\xff\"}").is_err());
    }

    #[tokio::test]
    async fn a_body_that_comes_byte_by_byte_is_given_up() {
        let bodies = Bodies::new(1 << 20);
        let drop_by_drop = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x"))), ()))
        });
        let slow = StreamBody::new(Box::pin(drop_by_drop));
        let refused = whole(slow, 1 << 20, &bodies, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn a_body_waits_for_room_and_not_for_ever() {
        let bodies = Bodies::new(1 << 20);
        let body = |size: usize| Full::new(Bytes::from(vec![b'1'; size]));
        let first = whole(body(1 << 20), 1 << 20, &bodies, PATIENT).await.unwrap();
        let refused = whole(body(1 << 20), 1 << 20, &bodies, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(
            (refused.status(), refused.headers()[RETRY_AFTER].as_bytes()),
            (StatusCode::SERVICE_UNAVAILABLE, &b"1"[..])
        );
        assert_eq!(whole(body(1000), 1 << 20, &bodies, PATIENT).await.unwrap().len(), 1000);
        drop(first);
        assert!(whole(body(1 << 20), 1 << 20, &bodies, PATIENT).await.is_ok());
        let refused = whole(body(1 + (1 << 20)), 2 << 20, &bodies, PATIENT).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn what_the_server_says_fits_into_one_line_of_an_event() {
        assert_eq!(flat(&Bytes::from_static(b"{\"a\":1}\r\n")), "{\"a\":1}");
        assert_eq!(flat(&Bytes::from_static(b"{\"a\":\r1,\n\"b\":2}\n")), "{\"a\": 1, \"b\":2}");
    }
}
