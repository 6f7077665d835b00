//! A provider's stream, as the host reads it.
//!
//! An input is a byte that says what it is (events or lines, and whether more than the config allows), a byte that says how it is cut, and
//! the stream.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use tokio::runtime::Runtime;
use understudy::error::Error;
use understudy::outbound::redact::{Redact, Secret};
use understudy::outbound::{EventStream, StreamError};
use understudy::wit::streaming::exports::understudy::plugin::streaming as wit;

use crate::seed;

const LINES: u8 = 0x01;
const SMALL: u8 = 0x02;
const SECRET: &str = "sk-understudy-fuzz-0123456789";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(crate::runtime);

/// An event: its name and its data.
type Message = (Option<String>, String);

/// Reads a stream in one piece, byte by byte, and cut somehow: it is the same each time, and what a second reader reads.
pub fn read(input: &[u8]) {
    let [what, cut, body @ ..] = input else { return };
    let is_lines = what & LINES != 0;
    let most = if what & SMALL != 0 { 64 } else { 1 << 20 };
    let whole = events(body, usize::MAX, is_lines, most);
    let pieces = [events(body, 1, is_lines, most), events(body, 1 + usize::from(*cut), is_lines, most)];
    if body.len() > most {
        for outcome in pieces.iter().chain([&whole]) {
            assert!(matches!(outcome, Err(Error::ResponseTooLarge { .. } | Error::BadStream { .. })), "{outcome:?}");
        }
        return;
    }
    for piecemeal in pieces {
        assert_eq!(format!("{piecemeal:?}"), format!("{whole:?}"));
    }
    let expected = if is_lines { lines(body) } else { std::str::from_utf8(body).ok().map(server_sent) };
    match (whole, expected) {
        (Ok(events), Some(expected)) => assert_eq!(events, expected),
        (Err(error @ Error::BadStream { .. }), None) => crate::check_words(&error.to_string()),
        // A text that isn't one may stand where nobody reads it: in a comment, say.
        (Ok(_), None) if !is_lines => {}
        (outcome, expected) => panic!("{outcome:?}, and not {expected:?}"),
    }
}

/// What the host reads.
fn events(body: &[u8], size: usize, is_lines: bool, most: usize) -> Result<Vec<Message>, Error> {
    let pieces: Vec<Result<Bytes, StreamError>> =
        body.chunks(size.min(body.len().max(1))).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let head = wit::ResponseHead { status: 200, headers: Vec::new() };
    let redact = Redact::new(Some(Arc::new(Secret::new(SECRET.to_owned()))));
    let place = ("p".to_owned(), "http://o".to_owned(), most);
    let mut events = EventStream::new(head, futures_util::stream::iter(pieces), is_lines, redact, place);
    let mut messages = Vec::new();
    RUNTIME.block_on(async {
        let mut is_open = false;
        loop {
            let arrived = events.next().await?;
            assert!(!arrived.is_empty());
            for event in arrived {
                match event {
                    wit::Event::Opened(_) => assert!(!std::mem::replace(&mut is_open, true), "opened twice"),
                    wit::Event::Message(message) => {
                        assert!(
                            is_open && message.name.as_ref().is_none_or(|name| !is_lines && !name.contains(SECRET))
                        );
                        assert!(!message.data.contains(SECRET));
                        messages.push((message.name, message.data));
                    }
                    wit::Event::Closed => return Ok(messages),
                }
            }
        }
    })
}

/// Lines that aren't blank, if all are text.
fn lines(body: &[u8]) -> Option<Vec<Message>> {
    let lines = std::str::from_utf8(body).ok()?.split('\n');
    let lines = lines.map(|line| line.strip_suffix('\r').unwrap_or(line)).filter(|line| !line.trim().is_empty());
    Some(lines.map(|line| (None, redacted(line))).collect())
}

/// Server-sent events as the HTML standard says, but for `id` and `retry`, which nobody here needs.
fn server_sent(body: &str) -> Vec<Message> {
    let body = body.strip_prefix('\u{feff}').unwrap_or(body).replace("\r\n", "\n").replace('\r', "\n");
    let mut messages = Vec::new();
    let (mut name, mut data): (Option<String>, Option<String>) = (None, None);
    // What stands behind the last line end is no line.
    for line in body.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if line.is_empty() {
            messages.extend(data.take().map(|data| (name.take(), redacted(&data))));
            name = None;
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = Some(redacted(value)),
            "data" => data = Some(data.map_or_else(|| value.to_owned(), |data| format!("{data}\n{value}"))),
            _ => {}
        }
    }
    messages
}

fn redacted(text: &str) -> String {
    let secret = Secret::new(SECRET.to_owned());
    String::from_utf8_lossy(&secret.redact(text.as_bytes().to_vec())).into_owned()
}

/// Seeds: streams as providers write them.
pub fn seeds() {
    let sent = "\u{feff}: hello\r\nevent: delta\r\ndata: {\"a\":1}\r\ndata: 2\r\n\r\nid: 7\nretry: 10\n\ndata\n\ndata:x\r\rdata: cut";
    let echoed = format!("event: {SECRET}\ndata: {SECRET}\n\n");
    let lines = format!("{{\"a\":\r\n\n  \n{SECRET}\n\"last\"");
    for (name, what, body) in
        [("events", 0, sent), ("echoed", 0, &echoed), ("large", SMALL, sent), ("lines", LINES, &lines)]
    {
        seed(name, &[&[what, 3], body.as_bytes()].concat());
    }
}
