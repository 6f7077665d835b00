//! Cutting a stream of bytes into lines, without copying them.

use bytes::{Bytes, BytesMut};
use mcp::Scanner;

use super::duplex::Incoming;

/// How much is read at once, at most, unless a line is longer; and at least.
const BLOCK: usize = 64 * 1024;
const LEAST: usize = 4 * 1024;

/// Takes bytes as they come and gives whole lines. A line keeps its end, whatever that is.
///
/// A line over the limit isn't held: it is scanned as it passes, so that the party that waits for an answer can be told.
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    searched: usize,
    too_long: Option<(Scanner, usize)>,
}

impl Splitter {
    /// For lines of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: BytesMut::new(), searched: 0, too_long: None }
    }

    /// Where to put what was read.
    pub fn buffer(&mut self) -> &mut BytesMut {
        // What is left of the memory that earlier lines share will do: a block for each read would be the most of reading short lines.
        if self.buffer.capacity() - self.buffer.len() < LEAST {
            self.buffer.reserve(BLOCK);
        }
        &mut self.buffer
    }

    /// The next whole line.
    pub fn next_line(&mut self) -> Option<Incoming> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(at) = memchr::memchr(b'\n', unsearched) else {
            self.searched = self.buffer.len();
            if self.too_long.is_some() || self.buffer.len() > self.limit {
                self.swallow();
            }
            return None;
        };
        let line = self.buffer.split_to(self.searched + at + 1);
        self.searched = 0;
        Some(self.line(line.freeze()))
    }

    /// What stands behind the last line end, once there is no more to come.
    pub fn rest(&mut self) -> Option<Incoming> {
        let rest = self.buffer.split().freeze();
        self.searched = 0;
        (!rest.is_empty() || self.too_long.is_some()).then(|| self.line(rest))
    }

    fn line(&mut self, line: Bytes) -> Incoming {
        if self.too_long.is_none() && line.len() <= self.limit {
            return Incoming::Message(line.into());
        }
        let (mut scanner, length) = self.too_long.take().unwrap_or_default();
        scanner.feed(&line);
        Incoming::TooLong { head: scanner.finish(), bytes: length + line.len() }
    }

    fn swallow(&mut self) {
        let (scanner, length) = self.too_long.get_or_insert_default();
        scanner.feed(&self.buffer);
        *length += self.buffer.len();
        self.buffer.clear();
        self.searched = 0;
    }
}

/// JSON as one line with its end: where there are line ends between its tokens, spaces stand in their place. A byte order mark is left out.
pub(super) fn line_of(mut json: Vec<u8>) -> Bytes {
    if json.starts_with("\u{feff}".as_bytes()) {
        json.drain(..'\u{feff}'.len_utf8());
    }
    for byte in &mut json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    json.push(b'\n');
    json.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(limit: usize, pieces: &[&str]) -> Vec<Incoming> {
        let mut splitter = Splitter::new(limit);
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.buffer().extend_from_slice(piece.as_bytes());
            while let Some(line) = splitter.next_line() {
                lines.push(line);
            }
        }
        lines.extend(splitter.rest());
        lines
    }

    fn message(text: &str) -> Incoming {
        Incoming::Message(Bytes::copy_from_slice(text.as_bytes()).into())
    }

    #[test]
    fn lines_keep_their_ends_however_they_arrive() {
        let expected = [message("a\r\n"), message("\n"), message("bc\n"), message("d")];
        assert_eq!(split(10, &["a\r\n\nbc\nd"]), expected);
        assert_eq!(split(10, &["a", "\r", "\n", "\nb", "c\n", "d"]), expected);
    }

    #[test]
    fn a_line_over_the_limit_is_named_and_the_next_one_is_whole() {
        let lines = split(20, &[r#"{"result":"xxxxxxxxx"#, "xxxxxxxxxxxxxxxxxx", "\",\"id\":7}\nnext\n"]);
        let [Incoming::TooLong { head, bytes }, next] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((head.id(), *bytes), (Some(&b"7"[..]), 48));
        assert_eq!(*next, message("next\n"));
        // In one piece, and without an end.
        assert!(matches!(split(3, &["12345\n"])[..], [Incoming::TooLong { bytes: 6, .. }]));
        assert!(matches!(split(3, &["1234", "5"])[..], [Incoming::TooLong { bytes: 5, .. }]));
    }
}
