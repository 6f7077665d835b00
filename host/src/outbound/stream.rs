//! Responses that arrive in pieces: server-sent events, or lines.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use sse_stream::SseByteStream;
use tokio::time::Instant;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use super::redact::Redact;
use super::throttle::ReadThrottle;
use crate::error::Error;
use crate::wit::streaming::exports::understudy::plugin::streaming as wit;
use crate::wit::understudy::plugin::types;

/// How long events are gathered for one call of the guest: each call passes it the state so far.
const GATHER: Duration = Duration::from_millis(100);

/// The bytes of events after which a call is made.
const ENOUGH: usize = 256 * 1024;

/// A provider's response, the credential redacted.
#[derive(Debug)]
pub enum ProviderResponse {
    /// The whole response.
    Whole(types::HttpResponse),
    /// A response that is still arriving.
    Stream(EventStream),
}

impl ProviderResponse {
    /// Whether the provider says, by its status, that it hasn't done what it was asked.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Whole(response) if response.status >= 400)
    }
}

/// Whether a response is the stream that was asked for. An error isn't, and a server that doesn't stream answers in JSON.
pub(super) fn is_streamed(framing: types::Framing, response: &reqwest::Response) -> bool {
    let kind = response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = kind.is_some_and(|kind| {
        let essence = kind.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    });
    let comes_as_wanted = match framing {
        types::Framing::Whole => false,
        types::Framing::ServerSentEvents => !is_json,
        types::Framing::Lines => true,
    };
    comes_as_wanted && response.status().is_success()
}

/// The first bytes of a body that aren't white space, and those before them.
pub(super) async fn beginning(response: &mut reqwest::Response) -> Result<Bytes, reqwest::Error> {
    let mut begun = Bytes::new();
    while begun.trim_ascii_start().is_empty()
        && begun.len() < ENOUGH
        && let Some(more) = response.chunk().await?
    {
        begun = if begun.is_empty() { more } else { [begun, more].concat().into() };
    }
    Ok(begun)
}

/// Whether what begins so is no stream of events, whatever it is called: JSON, or a page of a proxy. The plugin gets it whole, and
/// can say what it is.
pub(super) fn is_whole(begun: &[u8]) -> bool {
    let begun = begun.strip_prefix(b"\xef\xbb\xbf").unwrap_or(begun).trim_ascii_start();
    matches!(begun.first(), Some(b'{' | b'[' | b'<'))
}

/// A successful response that is still arriving.
pub struct EventStream {
    /// The response's head, until the guest has got it.
    head: Option<wit::ResponseHead>,
    messages: Messages,
    redact: Redact,
    /// For errors.
    plugin: String,
    origin: String,
    most: usize,
}

type Messages = Pin<Box<dyn Stream<Item = Result<wit::Message, StreamError>> + Send>>;

/// Why a stream can't be read on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
    /// It is larger than the config allows.
    #[error("it is too large")]
    TooLarge,
    /// It is malformed.
    #[error("{0}")]
    Odd(String),
}

impl EventStream {
    /// The events of a body of at most `most` bytes.
    pub fn new(
        head: wit::ResponseHead,
        body: impl Stream<Item = Result<Bytes, StreamError>> + Send + 'static,
        is_lines: bool,
        redact: Redact,
        (plugin, origin, most): (String, String, usize),
    ) -> Self {
        let mut left = most;
        let body = body.map(move |piece| {
            let piece = piece?;
            left = left.checked_sub(piece.len()).ok_or(StreamError::TooLarge)?;
            Ok(piece)
        });
        let body = throttled(body);
        let messages: Messages = if is_lines { Box::pin(lines(body, most)) } else { Box::pin(server_sent(body)) };
        Self { head: Some(head), messages, redact, plugin, origin, most }
    }

    /// The events since the last call: at least one, and those that arrive within 100 ms of it, up to 256 KiB.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::ResponseTooLarge`] or [`Error::BadStream`].
    pub async fn next(&mut self) -> Result<Vec<wit::Event>, Error> {
        let mut events: Vec<wit::Event> = self.head.take().map(wit::Event::Opened).into_iter().collect();
        let mut size = 0;
        let mut until = None;
        while size < ENOUGH {
            let message = match until {
                None => self.messages.next().await,
                Some(until) => match tokio::time::timeout_at(until, self.messages.next()).await {
                    Ok(message) => message,
                    Err(_) => break,
                },
            };
            let Some(message) = message else {
                events.push(wit::Event::Closed);
                break;
            };
            let mut message = message.map_err(|failure| self.error(failure))?;
            message.name = message.name.map(|name| self.redact.part(name));
            message.data = self.redact.part(message.data);
            size += message.data.len();
            events.push(wit::Event::Message(message));
            until.get_or_insert_with(|| Instant::now() + GATHER);
        }
        Ok(events)
    }

    /// Whether nothing comes after this event.
    #[must_use]
    pub fn is_end(event: &wit::Event) -> bool {
        matches!(event, wit::Event::Closed)
    }

    fn error(&self, failure: StreamError) -> Error {
        let (plugin, origin) = (self.plugin.clone(), self.origin.clone());
        match failure {
            StreamError::Broken(reason) => {
                let reason = self.redact.words(format!("the answer broke off: {reason}"));
                Error::Unreachable { plugin, origin, reason, sent: true }
            }
            StreamError::TooLarge => Error::ResponseTooLarge { plugin, origin, most: self.most },
            StreamError::Odd(reason) => Error::BadStream { plugin, origin, reason: self.redact.words(reason) },
        }
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The pieces, throttled.
fn throttled(
    pieces: impl Stream<Item = Result<Bytes, StreamError>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, StreamError>> + Send {
    futures_util::stream::unfold((Box::pin(pieces), ReadThrottle::default()), async |(mut pieces, mut throttle)| {
        let piece = pieces.next().await?;
        throttle.pass(piece.as_ref().map_or(0, Bytes::len)).await;
        Some((piece, (pieces, throttle)))
    })
}

/// `text/event-stream`, as the HTML standard defines it. Events without data are skipped, and so is one that the end of the stream cuts off.
fn server_sent(
    body: impl Stream<Item = Result<Bytes, StreamError>> + Send + 'static,
) -> impl Stream<Item = Result<wit::Message, StreamError>> + Send {
    SseByteStream::new(body.boxed()).filter_map(async |event| match event {
        Ok(event) => event.data.map(|data| Ok(wit::Message { name: event.event, data })),
        Err(sse_stream::Error::Body(cause)) => Some(Err(match cause.downcast() {
            Ok(failure) => *failure,
            Err(other) => StreamError::Broken(other.to_string()),
        })),
        Err(other) => Some(Err(StreamError::Odd(other.to_string()))),
    })
}

/// Lines; blank ones are none.
fn lines(
    body: impl Stream<Item = Result<Bytes, StreamError>> + Send + 'static,
    longest: usize,
) -> impl Stream<Item = Result<wit::Message, StreamError>> + Send {
    let reader = StreamReader::new(body.map_err(std::io::Error::other).boxed());
    let lines = FramedRead::new(reader, LinesCodec::new_with_max_length(longest));
    lines.filter_map(async |line| match line {
        Ok(line) if line.trim().is_empty() => None,
        Ok(data) => Some(Ok(wit::Message { name: None, data })),
        Err(LinesCodecError::MaxLineLengthExceeded) => Some(Err(StreamError::TooLarge)),
        Err(LinesCodecError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
            Some(Err(StreamError::Odd(error.to_string())))
        }
        Err(LinesCodecError::Io(error)) => Some(Err(match error.downcast::<StreamError>() {
            Ok(failure) => failure,
            Err(other) => StreamError::Broken(other.to_string()),
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_pages_are_no_streams_whatever_they_are_called() {
        for whole in [r#"{"a": 1}"#, "\u{feff}\n [1]", "<html>"] {
            assert!(is_whole(whole.as_bytes()), "{whole}");
        }
        for stream in ["data: {}", "\u{feff}: hi", "", "event: x", "\n\ndata: []"] {
            assert!(!is_whole(stream.as_bytes()), "{stream}");
        }
    }

    fn events(pieces: Vec<Result<&'static str, StreamError>>, is_lines: bool, most: usize) -> EventStream {
        let pieces: Vec<Result<Bytes, StreamError>> =
            pieces.into_iter().map(|piece| piece.map(|text| Bytes::from_static(text.as_bytes()))).collect();
        let head = wit::ResponseHead { status: 200, headers: Vec::new() };
        let place = ("p".to_owned(), "http://o".to_owned(), most);
        EventStream::new(head, futures_util::stream::iter(pieces), is_lines, Redact::default(), place)
    }

    async fn said(mut events: EventStream) -> Result<String, Error> {
        let mut said = String::new();
        loop {
            for event in events.next().await? {
                match event {
                    wit::Event::Opened(head) => said.push_str(&head.status.to_string()),
                    wit::Event::Message(message) => {
                        said.extend(["|", &message.name.unwrap_or_default(), "=", &message.data]);
                    }
                    wit::Event::Closed => return Ok(said + "|closed"),
                }
            }
        }
    }

    #[tokio::test]
    async fn server_sent_events_are_read_however_they_are_cut() {
        let pieces = vec![
            Ok("\u{feff}: comment\r\nevent: a\r\nda"),
            Ok("ta: 1\r\ndata: 2\r\n\r"),
            Ok("\n\nid: 7\n\nretry: 1\n\ndata\n\ndata:x\n\ndata: cut"),
        ];
        assert_eq!(said(events(pieces, false, 1000)).await.unwrap(), "200|a=1\n2|=|=x|closed");
    }

    #[tokio::test]
    async fn lines_are_read_however_they_are_cut_and_the_last_needs_no_end() {
        let pieces = vec![Ok("{\"a\""), Ok(":1}\r\n\n  \n[2]\n"), Ok("3")];
        assert_eq!(said(events(pieces, true, 1000)).await.unwrap(), "200|={\"a\":1}|=[2]|=3|closed");
    }

    #[tokio::test]
    async fn a_stream_that_breaks_or_is_too_large_or_odd_says_so() {
        for is_lines in [false, true] {
            let broken = vec![Ok("data: 1\n\n"), Err(StreamError::Broken("reset".to_owned()))];
            let error = said(events(broken, is_lines, 1000)).await.unwrap_err();
            assert!(matches!(error, Error::Unreachable { .. }) && error.to_string().contains("reset"), "{error}");
            let large = vec![Ok("data: 1\n\n"), Ok("data: 2\n\n")];
            let error = said(events(large, is_lines, 12)).await.unwrap_err();
            assert!(matches!(error, Error::ResponseTooLarge { most: 12, .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn what_pours_in_is_taken_in_at_its_pace() {
        let piece = Bytes::from(vec![b' '; 1 << 20]);
        for is_lines in [false, true] {
            let piece = piece.clone();
            let pieces = futures_util::stream::iter((0..100).map(move |_| Ok(piece.clone())));
            let head = wit::ResponseHead { status: 200, headers: Vec::new() };
            let place = ("p".to_owned(), "o".to_owned(), 10 << 20);
            let mut events = EventStream::new(head, pieces, is_lines, Redact::default(), place);
            // All of it is available, and too much: without a throttle that would be seen at once.
            assert!(futures_util::poll!(std::pin::pin!(events.next())).is_pending(), "{is_lines}");
        }
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_an_error() {
        for is_lines in [false, true] {
            let head = wit::ResponseHead { status: 200, headers: Vec::new() };
            let body = futures_util::stream::iter([Ok(Bytes::from_static(b"data: \xff\xfe\n\n"))]);
            let place = ("p".to_owned(), "o".to_owned(), 100);
            let error = said(EventStream::new(head, body, is_lines, Redact::default(), place)).await.unwrap_err();
            assert!(matches!(error, Error::BadStream { .. }), "{is_lines} {error:?}");
        }
    }

    #[tokio::test]
    async fn a_credential_is_cut_out_of_an_events_name_too() {
        let head = wit::ResponseHead { status: 200, headers: Vec::new() };
        let body = futures_util::stream::iter([Ok(Bytes::from_static(b"event: sk-0123456789abcdef\ndata: x\n\n"))]);
        let secret = super::super::redact::Secret::new("sk-0123456789abcdef".to_owned());
        let redact = Redact::new(Some(std::sync::Arc::new(secret)));
        let events = EventStream::new(head, body, false, redact, ("p".to_owned(), "o".to_owned(), 100));
        assert_eq!(said(events).await.unwrap(), "200|[credential]=x|closed");
    }
}
