//! A client over HTTP that does what a test wants: any head, any body, and a connection that is cut where the test likes.
#![expect(clippy::panic, clippy::missing_panics_doc, reason = "this crate is for tests: a panic is how they report")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long anything may take before a test gives up. Not an expectation: it is long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// An answer whose body is still to be read. Dropping it cuts the connection.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: HashMap<String, String>,
    stream: BufReader<TcpStream>,
    /// What is left of the piece that is being read; `None` behind the last one.
    left: Option<u64>,
    chunked: bool,
}

/// A server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `id`
    pub id: Option<String>,
    /// `retry`
    pub retry: Option<u64>,
    /// `data`
    pub data: String,
}

impl Event {
    /// The message in it.
    #[must_use]
    pub fn message(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_else(|| panic!("no id: {self:?}"))
    }
}

/// Makes a request on a connection of its own. `headers` stand in the place of those that every client sends; one without a value
/// isn't sent at all.
#[must_use]
pub fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let host = address.to_string();
    let length = body.len().to_string();
    let usual = [
        ("host", host.as_str()),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
    ];
    let is_given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in usual.iter().filter(|(name, _)| !is_given(name)).chain(headers) {
        if !value.is_empty() {
            head.extend([name, ": ", value, "\r\n"]);
        }
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(address).unwrap_or_else(|e| panic!("{address}: {e}"));
    let patience = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_nodelay(true));
    // A server may have answered, and hung up, before it has read all of a body.
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    Answer::read(stream).unwrap_or_else(|e| panic!("{method} {path}: {e} ({patience:?}, {sent:?})"))
}

impl Answer {
    fn read(stream: TcpStream) -> std::io::Result<Self> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("no status: `{line}`")))?;
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let chunked = headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked");
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        Ok(Self { status, headers, stream, left: Some(if chunked { 0 } else { length }), chunked })
    }

    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The rest of the body.
    #[must_use]
    pub fn text(mut self) -> String {
        let mut text = String::new();
        self.read_to_string(&mut text).unwrap_or_else(|e| panic!("the body: {e}"));
        text
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(self) -> Value {
        let status = self.status;
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{status}, {e}: `{text}`"))
    }

    /// The next event; none if the stream has ended. Comments are passed over.
    #[must_use]
    pub fn event(&mut self) -> Option<Event> {
        let mut event = Event::default();
        let mut has_fields = false;
        loop {
            let line = self.body_line()?;
            let Some((field, value)) = line.split_once(':') else {
                if line.is_empty() && has_fields {
                    return Some(event);
                }
                continue;
            };
            let value = value.strip_prefix(' ').unwrap_or(value);
            has_fields |= !field.is_empty();
            match field {
                "id" => event.id = Some(value.to_owned()),
                "retry" => event.retry = value.parse().ok(),
                "data" => event.data.push_str(value),
                _ => {}
            }
        }
    }

    /// The next event with a message.
    #[must_use]
    pub fn hear(&mut self) -> Event {
        loop {
            let event = self.event().unwrap_or_else(|| panic!("the stream has ended"));
            if !event.data.is_empty() {
                return event;
            }
        }
    }

    fn body_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.read(&mut byte).unwrap_or_else(|e| panic!("the stream: {e}")) > 0 {
            if byte == *b"\n" {
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            line.extend_from_slice(&byte);
        }
        None
    }

    fn next_chunk(&mut self) -> std::io::Result<()> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if line.trim().is_empty() {
            // The end of the chunk before.
            line.clear();
            self.stream.read_line(&mut line)?;
        }
        let length = u64::from_str_radix(line.trim(), 16);
        let length = length.map_err(|_| std::io::Error::other(format!("the connection broke (`{line}`)")))?;
        self.left = Some(length).filter(|length| *length > 0);
        Ok(())
    }
}

impl Read for Answer {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        if self.chunked && self.left == Some(0) {
            self.next_chunk()?;
        }
        let Some(left) = self.left else { return Ok(0) };
        let read = Read::by_ref(&mut self.stream).take(left).read(to)?;
        self.left = Some(left - read as u64);
        if left == 0 {
            self.left = None;
        }
        Ok(read)
    }
}
