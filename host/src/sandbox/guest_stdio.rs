//! Captures a guest's stdout and stderr for the log, bounded by `limits.logLines` lines of 1,000 characters.
//!
//! Output is captured synchronously, within the guest's own call. WASI's streams over an asynchronous sink have a task of their own, which
//! wakes the guest's task for each line and is woken by it: guests that write much would keep all cores busy with that.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::text::one_line;

/// The longest line that is captured, in characters.
const LONGEST_LINE: usize = 1000;

/// The result of `check-write`, in bytes. Per WASI, writing more than that traps.
const MOST_AT_ONCE: usize = 64 * 1024;

/// The guest's stdout and stderr.
#[derive(Clone)]
pub(super) struct GuestOutput(Arc<Mutex<Captured>>);

struct Captured {
    bytes: Vec<u8>,
    /// The most bytes that are captured.
    most: usize,
    /// The lines that may still be captured: `limits.logLines` at first.
    left: usize,
    dropped: usize,
}

impl Captured {
    /// Captures as much as the bounds allow, and counts the rest.
    fn keep(&mut self, mut bytes: &[u8]) {
        while self.left > 0 && !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes);
            let (piece, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
            if self.bytes.len() + piece.len() > self.most {
                break;
            }
            self.bytes.extend_from_slice(piece);
            self.left -= usize::from(end.is_some());
            bytes = rest;
        }
        self.dropped = self.dropped.saturating_add(bytes.len());
    }
}

impl GuestOutput {
    pub(super) fn new(lines: u32) -> Self {
        let left = usize::try_from(lines).unwrap_or(usize::MAX);
        let most = left.saturating_mul(LONGEST_LINE);
        Self(Arc::new(Mutex::new(Captured { bytes: Vec::new(), most, left, dropped: 0 })))
    }

    /// The captured lines of a call that has ended.
    pub(super) fn take(&self) -> Vec<String> {
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = std::mem::take(&mut output.bytes);
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> =
            text.lines().map(|line| one_line(line, LONGEST_LINE)).filter(|line| !line.is_empty()).collect();
        if output.dropped > 0 {
            lines.push(format!("(and {} bytes more, beyond `limits.logLines`)", output.dropped));
        }
        lines
    }
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > MOST_AT_ONCE {
            return Err(StreamError::trap("it wrote more at once than `check-write` allows"));
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MOST_AT_ONCE)
    }
}

#[async_trait::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// For WASI 0.3, which no guest gets.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lines: u32, writes: &[&str]) -> Vec<String> {
        let output = GuestOutput::new(lines);
        for &bytes in writes {
            output.p2_stream().write(Bytes::copy_from_slice(bytes.as_bytes())).unwrap();
        }
        output.take()
    }

    #[test]
    fn lines_are_kept_as_many_as_may_be_and_the_rest_is_counted() {
        assert_eq!(kept(2, &["one\n", "\n", "three\n"]), ["one", "(and 6 bytes more, beyond `limits.logLines`)"]);
        assert_eq!(kept(2, &["one\ntwo\nthree"]), ["one", "two", "(and 5 bytes more, beyond `limits.logLines`)"]);
        assert_eq!(kept(0, &["one"]), ["(and 3 bytes more, beyond `limits.logLines`)"]);
        assert!(kept(5, &[]).is_empty());
    }

    #[test]
    fn a_stream_is_always_ready_and_what_is_written_is_kept_at_once() {
        let output = GuestOutput::new(10);
        let mut stream = output.p2_stream();
        for line in ["one\n", "two\n"] {
            assert!(stream.check_write().unwrap() > 0);
            stream.write(Bytes::from_static(line.as_bytes())).unwrap();
            stream.flush().unwrap();
        }
        assert!(stream.check_write().unwrap() > 0);
        assert_eq!(output.take(), ["one", "two"]);
    }

    #[test]
    fn a_guest_that_writes_more_at_once_than_allowed_traps() {
        let output = GuestOutput::new(10);
        let mut stream = output.p2_stream();
        let most = stream.check_write().unwrap();
        assert!(matches!(stream.write(vec![b'x'; most + 1].into()), Err(StreamError::Trap(_))));
        assert!(output.take().is_empty());
        stream.write(vec![b'x'; most].into()).unwrap();
    }

    #[test]
    fn a_line_may_come_in_pieces_and_need_not_end() {
        assert_eq!(kept(2, &["o", "n", "e\nt", "wo"]), ["one", "two"]);
    }

    #[test]
    fn a_line_is_kept_without_what_a_terminal_would_obey() {
        assert_eq!(kept(1, &["a\u{1b}[31mb\n"]).len(), 1);
        assert!(!kept(1, &["a\u{1b}[31mb\n"]).concat().contains('\u{1b}'));
    }

    #[test]
    fn what_never_ends_takes_no_more_memory_than_lines_would() {
        let piece = "x".repeat(400);
        let lines = kept(2, &[piece.as_str(); 9]);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].len() <= LONGEST_LINE + 10, "{}", lines[0].len());
        assert_eq!(lines[1], "(and 1600 bytes more, beyond `limits.logLines`)");
    }
}
