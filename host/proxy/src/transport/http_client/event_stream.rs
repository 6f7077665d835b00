//! Server-sent events: the messages of a stream, and what is needed to go on where it broke.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Response;
use reqwest::header::HeaderValue;
use sse_stream::{Error, Sse, SseByteStream};

use super::encoding;
use crate::transport::lines::line_of;

/// A stream of events.
pub(super) struct EventStream {
    stream: Pin<Box<dyn Stream<Item = Result<Sse, Error>> + Send>>,
    /// Where to resume it if it ends.
    pub(super) mark: ResumePoint,
    /// Whether anything has come.
    pub(super) is_alive: bool,
}

/// Resume point: last event id and retry delay.
#[derive(Debug, Clone, Default)]
pub(super) struct ResumePoint {
    /// The last event's id.
    pub(super) id: Option<HeaderValue>,
    /// How long the server wants to be left alone.
    pub(super) retry: Option<Duration>,
}

/// What an event says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerEvent {
    /// A message, as a line.
    Message(Bytes),
    /// Where messages go to, in the old transport.
    Endpoint(String),
}

/// Why a stream can't be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
    /// An event is larger than a message may be.
    #[error("an event is too large")]
    TooLong,
    /// It isn't what it should be.
    #[error("{0}")]
    Odd(String),
}

impl EventStream {
    /// The events of an answer, each no larger than `limit`; `mark` is where it goes on from. Or why they can't be read.
    pub(super) fn of(response: Response, limit: usize, mark: ResumePoint) -> Result<Self, String> {
        Ok(Self::new(encoding::pieces(response)?.map(|piece| piece.map_err(StreamError::Broken)), limit, mark))
    }

    fn new(
        body: impl Stream<Item = Result<Bytes, StreamError>> + Send + 'static,
        limit: usize,
        mark: ResumePoint,
    ) -> Self {
        let mut measure = Measure::default();
        let body = body.map(move |piece| {
            let piece = piece?;
            if measure.longest(&piece) > limit.saturating_add(ROOM) { Err(StreamError::TooLong) } else { Ok(piece) }
        });
        Self { stream: Box::pin(SseByteStream::new(body.boxed())), mark, is_alive: false }
    }

    /// The next message; `None` at the stream's end.
    pub(super) async fn next(&mut self) -> Option<Result<ServerEvent, StreamError>> {
        while let Some(event) = self.stream.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => return Some(Err(cut(error))),
            };
            self.is_alive = true;
            if let Some(id) = event.id {
                // An empty one takes the last one back.
                self.mark.id = HeaderValue::from_bytes(id.as_bytes()).ok().filter(|id| !id.is_empty());
            }
            if let Some(retry) = event.retry {
                self.mark.retry = Some(Duration::from_millis(retry));
            }
            let Some(data) = event.data.filter(|data| !data.trim().is_empty()) else { continue };
            match event.event.as_deref() {
                None | Some("" | "message") => return Some(Ok(ServerEvent::Message(line_of(data.into_bytes())))),
                Some("endpoint") => return Some(Ok(ServerEvent::Endpoint(data))),
                Some(_) => {}
            }
        }
        None
    }
}

/// What an event may hold beside its message.
const ROOM: usize = 16 * 1024;

fn cut(error: Error) -> StreamError {
    match error {
        Error::Body(cause) => match cause.downcast() {
            Ok(cut) => *cut,
            Err(other) => StreamError::Broken(other.to_string()),
        },
        other => StreamError::Odd(other.to_string()),
    }
}

/// How long the event is that is coming in. Comments, by which a server keeps a connection alive, are no part of it.
#[derive(Debug, Default)]
struct Measure {
    event: usize,
    line: usize,
    is_comment: bool,
    /// A line end of two bytes may be cut in two.
    ended_with_cr: bool,
}

impl Measure {
    /// Goes over a piece; the longest that an event has been in it.
    fn longest(&mut self, piece: &[u8]) -> usize {
        let mut longest = 0;
        let mut rest = piece;
        if std::mem::take(&mut self.ended_with_cr) {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(first) = rest.first() {
            if self.line == 0 {
                self.is_comment = *first == b':';
            }
            let end = memchr::memchr2(b'\n', b'\r', rest);
            let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
            self.line += part.len();
            if !self.is_comment {
                self.event += part.len();
                longest = longest.max(self.event);
            }
            let Some(end) = behind.first() else { break };
            if self.line == 0 {
                self.event = 0;
            }
            self.line = 0;
            rest = behind.get(1..).unwrap_or_default();
            if *end == b'\r' {
                self.ended_with_cr = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(pieces: &[&'static str], limit: usize) -> (Vec<String>, ResumePoint) {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        let mut events = EventStream::new(futures_util::stream::iter(pieces), limit, ResumePoint::default());
        let mut said = Vec::new();
        while let Some(event) = events.next().await {
            said.push(match event {
                Ok(ServerEvent::Message(line)) => String::from_utf8(line.to_vec()).unwrap(),
                Ok(ServerEvent::Endpoint(url)) => format!("-> {url}"),
                Err(cut) => format!("! {cut}"),
            });
        }
        (said, events.mark)
    }

    #[tokio::test]
    async fn messages_are_single_lines_and_marks_are_kept() {
        let pieces = [
            "id: 1\nretry: 300\ndata:\n\n: alive\n\nevent: endpoint\ndata: /m?s=1\n\n",
            "event: message\ndata: {\"a\":\ndata:  1}\nid: 2\n\nevent: ping\ndata: {}\n\ndata: {}",
        ];
        let (said, mark) = said(&pieces, 1000).await;
        assert_eq!(said, ["-> /m?s=1", "{\"a\":  1}\n"]);
        assert_eq!((mark.id.unwrap(), mark.retry), (HeaderValue::from_static("2"), Some(Duration::from_millis(300))));
    }

    #[tokio::test]
    async fn only_an_event_that_is_too_long_ends_the_stream() {
        let long = "x".repeat(ROOM + 100);
        let long: &'static str = Box::leak(long.into_boxed_str());
        let (lines, _) = said(&[":", long, "\n\ndata: {}\r", "\n\r\n:", long, "\n\ndata: []\n\n"], 10).await;
        assert_eq!(lines, ["{}\n", "[]\n"]);
        let (lines, _) = said(&["data: {}\n\ndata: ", long, "\n\ndata: {}\n\n"], 10).await;
        assert_eq!(lines, ["{}\n", "! an event is too large"]);
    }

    #[test]
    fn the_measure_is_the_same_however_the_stream_is_cut() {
        let text = b"data: 12345\r\n\r\n: comment\n\ndata: 1\ndata: 2\r\rdata: 123456789";
        let measured = |size: usize| {
            let mut measure = Measure::default();
            let longest = text.chunks(size).map(|piece| measure.longest(piece)).max();
            (longest, measure.event)
        };
        for size in 1..text.len() {
            assert_eq!(measured(size), (Some(15), 15), "{size}");
        }
    }
}
