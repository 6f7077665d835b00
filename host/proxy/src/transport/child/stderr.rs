//! What a server writes to stderr.
//!
//! Where our stderr is a file or a pipe (an editor's log), the server inherits it. Where it is a terminal, the server's goes through
//! a pipe and is shown as text: an escape sequence would otherwise change the terminal's title, its screen or its clipboard.
//! The server never waits for long for a terminal that takes nothing (`Ctrl-S`): what doesn't get through is left out, and
//! how much that was is said afterwards.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::ChildStderr;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use understudy::text::Terminal;

/// A line that isn't complete is shown in pieces of this many bytes, or when nothing has followed for `QUIET`.
const LONGEST: usize = 8 * 1024;
const QUIET: Duration = Duration::from_millis(50);
/// Pieces that may wait for a terminal.
const WAITING: usize = 32;
/// How long the terminal may take nothing before pieces are left out; and how long what a server has written may take to be shown
/// once it has ended, for somebody whom it left behind may hold its stderr open.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the stderr of a server is to be.
pub(super) fn of_child() -> Stdio {
    if io::stderr().is_terminal() { Stdio::piped() } else { Stdio::inherit() }
}

/// A server's stderr, as it is shown.
#[derive(Debug)]
pub(super) struct Shown {
    /// Heard when all is shown.
    end: Option<oneshot::Receiver<()>>,
}

impl Shown {
    /// Shows what the server writes on our stderr, from now on.
    pub(super) fn start(stderr: ChildStderr) -> io::Result<Self> {
        // Not by way of Rust's own handle: a thread that holds it while the terminal takes nothing keeps our log waiting.
        let terminal = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        Self::on(stderr, terminal)
    }

    fn on(stderr: impl AsyncRead + Unpin + Send + 'static, terminal: impl Write + Send + 'static) -> io::Result<Self> {
        let (pieces, waiting) = mpsc::channel(WAITING);
        let (all_shown, end) = oneshot::channel();
        let write = move || {
            // A terminal that is gone takes nothing more.
            let _ = write(terminal, waiting);
            // Nobody may wait for it any more.
            let _ = all_shown.send(());
        };
        thread::Builder::new().name("stderr".to_owned()).stack_size(256 * 1024).spawn(write)?;
        tokio::spawn(read(stderr, Pieces { to_terminal: pieces, left_out: 0 }));
        Ok(Self { end: Some(end) })
    }

    /// Waits until all is shown, but not for long.
    pub(super) async fn ended(&mut self) {
        if let Some(end) = &mut self.end {
            // It is over in any case.
            let _ = timeout(PATIENCE, end).await;
            self.end = None;
        }
    }
}

/// A piece of what the server wrote, and how many bytes before it were left out.
type Piece = (usize, Vec<u8>);

/// Pieces on their way to the terminal.
struct Pieces {
    to_terminal: mpsc::Sender<Piece>,
    left_out: usize,
}

impl Pieces {
    /// Hands a piece over; while the terminal takes nothing, without waiting for it.
    async fn add(&mut self, bytes: Vec<u8>) {
        let (length, piece) = (bytes.len(), (self.left_out, bytes));
        let sent = match self.left_out {
            0 => self.to_terminal.send_timeout(piece, PATIENCE).await.is_ok(),
            _ => self.to_terminal.try_send(piece).is_ok(),
        };
        self.left_out = if sent { 0 } else { self.left_out + length };
    }
}

/// Reads to the end: whole lines, as far as there are any.
async fn read(mut stderr: impl AsyncRead + Unpin, mut pieces: Pieces) {
    let mut buffer = Vec::new();
    loop {
        let is_begun = !buffer.is_empty();
        buffer.reserve(LONGEST);
        let more = stderr.read_buf(&mut buffer);
        let more = if is_begun { timeout(QUIET, more).await } else { Ok(more.await) };
        let ready = match more {
            // A prompt, perhaps.
            Err(_) => buffer.len(),
            // What can't be read is as good as the end.
            Ok(Err(_) | Ok(0)) => break,
            Ok(Ok(_)) => match memchr::memrchr(b'\n', &buffer) {
                Some(end) => end + 1,
                None if buffer.len() >= LONGEST => buffer.len(),
                None => 0,
            },
        };
        if ready > 0 {
            let rest = buffer.split_off(ready);
            pieces.add(std::mem::replace(&mut buffer, rest)).await;
        }
    }
    // Nobody waits for this any more.
    let _ = pieces.to_terminal.send((pieces.left_out, buffer)).await;
}

/// Shows what comes, as text.
fn write(mut terminal: impl Write, mut pieces: mpsc::Receiver<Piece>) -> io::Result<()> {
    let mut text = Terminal::default();
    while let Some((left_out, bytes)) = pieces.blocking_recv() {
        let mut shown = String::new();
        if left_out > 0 {
            shown = format!("\n[the terminal took nothing: {left_out} bytes of what the server wrote are left out]\n");
        }
        text.add(&bytes, &mut shown);
        terminal.write_all(shown.as_bytes())?;
    }
    let mut shown = String::new();
    text.end(&mut shown);
    terminal.write_all(shown.as_bytes())?;
    terminal.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;

    use tokio::io::AsyncWriteExt;

    use super::*;

    /// A terminal that takes something whenever the test does.
    struct Taken(blocking::SyncSender<String>);

    impl Write for Taken {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).map_err(io::Error::other)?;
            self.0.send(text).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_has_no_end_of_line_is_shown_too_and_nothing_is_left_out_in_the_end() {
        let (mut server, stderr) = tokio::io::duplex(64);
        let (terminal, shown) = blocking::sync_channel(100);
        let mut end = Shown::on(stderr, Taken(terminal)).unwrap();
        server.write_all(b"Password: ").await.unwrap();
        let (prompt, shown) = tokio::task::spawn_blocking(move || (shown.recv().unwrap(), shown)).await.unwrap();
        assert_eq!(prompt, "Password: ");
        server.write_all(b"\x1b]0;x\x07 and the rest").await.unwrap();
        drop(server);
        end.ended().await;
        assert_eq!(shown.iter().collect::<String>(), "\\u{1b}]0;x\\u{7} and the rest");
    }

    #[tokio::test]
    async fn a_server_never_waits_for_long_for_a_terminal_that_takes_nothing() {
        let (mut server, stderr) = tokio::io::duplex(LONGEST);
        let (terminal, shown) = blocking::sync_channel(0);
        let _end = Shown::on(stderr, Taken(terminal)).unwrap();
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        // Far more than may wait.
        for _ in 0..4 * WAITING * LONGEST / line.len() {
            server.write_all(&line).await.unwrap();
        }
        drop(server);
        let all = tokio::task::spawn_blocking(move || shown.iter().collect::<String>()).await.unwrap();
        assert!(all.starts_with("xxx"), "{}", &all[..100]);
        assert!(all.contains("[the terminal took nothing: "), "nothing is said of what is left out");
    }
}
