//! What goes back over HTTP.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::{ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderName, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use mcp::build::error_line_with_data;
use mcp::{code, error_line};
use serde_json::Value;

/// A stream that has nothing to say says so this often: proxies cut connections that look dead, and a write is how we learn
/// that one is.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer.
pub(super) type Response = http::Response<Body>;

/// An answer that refuses something.
pub(super) type Refusal = Box<Response>;

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    with(status, Empty::new().boxed_unsync())
}

/// A JSON-RPC message, or several.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response {
    let mut response = with(status, Full::new(body).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A few words.
pub(super) fn text(status: StatusCode, text: &'static str) -> Response {
    let mut response = with(status, Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Why a request is refused, as a JSON-RPC error. `id` is the request's, as spelt, if it is known.
pub(super) fn refusal(status: StatusCode, id: Option<&[u8]>, code: i64, reason: &str) -> Response {
    without_line_end(status, &error_line(id.unwrap_or(b"null"), code, reason))
}

/// The same, with `data`.
pub(super) fn refusal_with_data(
    status: StatusCode,
    id: Option<&[u8]>,
    code: i64,
    reason: &str,
    data: &Value,
) -> Response {
    without_line_end(status, &error_line_with_data(id.unwrap_or(b"null"), code, reason, data))
}

fn without_line_end(status: StatusCode, line: &Bytes) -> Response {
    json(status, line.slice_ref(line.trim_ascii_end()))
}

/// The method isn't one of these.
pub(super) fn not_allowed(allowed: &'static str, reason: &str) -> Response {
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, None, code::INVALID_REQUEST, reason);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The body is compressed.
pub(super) fn not_understood(coding: &str) -> Response {
    let reason = format!("the body is compressed (`Content-Encoding: {coding}`); send it as it is");
    let mut response = refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, code::PARSE_ERROR, &reason);
    response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    response
}

/// A stream of events.
pub(super) fn events(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let frames = events.map(|event| Ok::<_, Infallible>(Frame::data(event)));
    let mut response = with(StatusCode::OK, StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Asks nginx and its like to hand each event on at once.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// An event with a message.
pub(super) fn event(id: Option<&str>, line: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(line.len() + 64);
    event.put_slice(b"event: message\n");
    if let Some(id) = id {
        event.put_slice(format!("id: {id}\n").as_bytes());
    }
    event.put_slice(b"data: ");
    event.put_slice(line);
    event.put_slice(b"\n\n");
    event.freeze()
}

/// An event without a message, from which a client can go on if the connection breaks, `retry` after that.
pub(super) fn priming(id: &str, retry: Duration) -> Bytes {
    format!("id: {id}\nretry: {}\ndata: \n\n", retry.as_millis()).into()
}

/// A comment.
pub(super) fn keep_alive() -> Bytes {
    Bytes::from_static(b":\n\n")
}

fn with(status: StatusCode, body: Body) -> Response {
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    response
}
