//! Our own stdin and stdout: the client in front.
//!
//! Each has a thread of its own with plain blocking calls: what a client passes as stdin or stdout may be shared with
//! others, who would be surprised by a non-blocking file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Duplex, Incoming, Message, QUEUE, Splitter};

/// The client in front.
#[derive(Debug)]
pub struct Front {
    /// What it says, and is told.
    pub side: Duplex,
    /// Cancelled once it says no more.
    pub ended: CancellationToken,
    /// The thread that writes to it: once that ends, all that was sent is written.
    pub writer: JoinHandle<()>,
}

/// The front.
///
/// # Errors
/// If no thread can be started.
pub fn front(limit: usize) -> io::Result<Front> {
    let (to_relay, incoming) = mpsc::channel(QUEUE);
    let (outgoing, from_relay) = mpsc::channel(QUEUE);
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // Nobody else is to hold them: the client sees the end of what the server says when it ends, and nothing of ours goes there.
    let nowhere = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nowhere)?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    let ended = CancellationToken::new();
    let end = ended.clone().drop_guard();
    let reading = move || {
        let _end = end;
        read(stdin, limit, &to_relay);
    };
    thread::Builder::new().name("stdin".to_owned()).spawn(reading)?;
    let writer = thread::Builder::new().name("stdout".to_owned()).spawn(move || write(stdout, from_relay))?;
    Ok(Front { side: Duplex { incoming, outgoing }, ended, writer })
}

fn read(mut stdin: File, limit: usize, to_relay: &mpsc::Sender<Incoming>) {
    let mut splitter = Splitter::new(limit);
    let mut piece = vec![0; 64 * 1024];
    loop {
        match stdin.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => splitter.buffer().extend_from_slice(piece.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                tracing::warn!("reading from the client: {error}");
                break;
            }
        }
        while let Some(line) = splitter.next_line() {
            if to_relay.blocking_send(line).is_err() {
                return;
            }
        }
    }
    if let Some(rest) = splitter.rest() {
        // Nobody reads any more if this fails.
        let _ = to_relay.blocking_send(rest);
    }
}

fn write(mut stdout: File, mut from_relay: mpsc::Receiver<Message>) {
    while let Some(message) = from_relay.blocking_recv() {
        if let Err(error) = stdout.write_all(&message.line) {
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::warn!("writing to the client: {error}");
            }
            return;
        }
    }
}
