//! Revision 2026-07-28 over HTTP: every POST is a request of its own, and all clients share one side.
//!
//! Clients choose their ids and progress tokens without knowing of each other. On the way in each request gets a number that is
//! unique on the side, in the place of both; on the way out the client's own stand there again. No other byte changes.

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use mcp::{Kind, Parts, code, field, notification};

use super::backend::Backend;
use super::event_log::EventReader;
use super::header_check;
use super::multiplexer::PendingExchange;
use super::request_body::PostedMessage;
use super::response::{self, Response, empty, json, refusal};
use super::stateless_sides::StatelessSides;
use crate::transport::Incoming;
use understudy::text::one_line;

/// How long the first word is waited for before a stream is begun.
const GRACE: Duration = Duration::from_secs(15);

/// The endpoint at `/NAME/mcp`.
#[derive(Debug)]
pub(super) struct ServerEndpoint {
    pub(super) backend: Backend,
    pub(super) stateless: StatelessSides,
}

/// A message of a client's.
pub(super) async fn post(endpoint: &ServerEndpoint, headers: &HeaderMap, posted: PostedMessage) -> Response {
    let id = posted.head.id();
    match posted.head.kind() {
        Kind::Request | Kind::Notification => {}
        _ => {
            let reason = "the body must be one JSON-RPC request or notification";
            return refusal(StatusCode::BAD_REQUEST, id, code::INVALID_REQUEST, reason);
        }
    }
    if let Some(member) = field::ambiguous_member(&posted.line) {
        let reason = format!("the member `{}` comes twice, or with other letters' case", one_line(&member, 20));
        return refusal(StatusCode::BAD_REQUEST, id, code::INVALID_REQUEST, &reason);
    }
    if let Err(refusal) = header_check::check(headers, &posted, &endpoint.stateless.listed_tools) {
        return *refusal;
    }
    if endpoint.backend.shared.is_ending() {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, id, code::SERVER_ERROR, "Understudy is shutting down");
    }
    let side = match endpoint.stateless.side_for(&endpoint.backend, &posted).await {
        Ok(side) => side,
        Err(reason) => {
            tracing::error!("{reason}");
            return refusal(StatusCode::OK, id, code::INTERNAL_ERROR, &reason);
        }
    };
    let place = match side.relay() {
        Some(relay) => relay.reserve_owned().await.ok(),
        None => None,
    };
    let Some(place) = place else {
        return refusal(StatusCode::OK, id, code::INTERNAL_ERROR, "the server has just ended; try again");
    };
    if posted.head.kind() == Kind::Notification {
        // Its client's ids mean nothing to the server; closing the connection is how a request is cancelled.
        if posted.head.method() != Some(notification::CANCELLED) {
            place.send(Incoming::Message(posted.line.into()));
        }
        return empty(StatusCode::ACCEPTED);
    }
    let Some((going, reader, line)) = side.begin(&posted, || endpoint.backend.shared.requests.token()) else {
        let reason = "the server has just ended, or the request names its `id` twice";
        return refusal(StatusCode::OK, id, code::INTERNAL_ERROR, reason);
    };
    place.send(Incoming::Message(line.into()));
    let _ = tokio::time::timeout(GRACE, reader.wait()).await;
    match reader.log().only() {
        Some(answer) => json(status(&answer), answer),
        None => response::events(events(going, reader)),
    }
}

/// The status of an answer that is the first thing said.
fn status(answer: &[u8]) -> StatusCode {
    match Parts::of(answer).ok().and_then(|parts| parts.error).map(|error| error.code) {
        Some(code::UNSUPPORTED_PROTOCOL_VERSION..=code::HEADER_MISMATCH) => StatusCode::BAD_REQUEST,
        Some(code::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

/// The events of a request that is going on. When the client drops them, the request is cancelled.
fn events(going: PendingExchange, reader: EventReader) -> impl Stream<Item = Bytes> {
    futures_util::stream::unfold((going, reader), |(going, mut reader)| async {
        let event = match tokio::time::timeout(response::KEEP_ALIVE, reader.next()).await {
            Ok(Some((_, line))) => response::event(None, &line),
            Ok(None) => return None,
            Err(_) => response::keep_alive(),
        };
        Some((event, (going, reader)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_error_is_the_specifications() {
        let of =
            |code: i64| status(format!(r#"{{"id":1,"error":{{"code":{code},"message":""}}}}"#).as_bytes()).as_u16();
        assert_eq!([-32020, -32021, -32022, -32601, -32602, -32603, 0].map(of), [400, 400, 400, 404, 200, 200, 200]);
        assert_eq!(status(b"{\"id\":1,\"result\":{}}"), StatusCode::OK);
    }
}
