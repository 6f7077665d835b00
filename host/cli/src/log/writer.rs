//! Lines on their way to stderr. The writer of a line never waits for a reader: many clients don't read the stderr of their servers,
//! and a pipe holds 64 KiB. Lines that don't get through are left out, and how many that were is said afterwards.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// So many bytes may wait.
const MOST: usize = 1 << 20;

/// So much is written at once: each time it is seen that somebody reads.
const PIECE: usize = 8 * 1024;

/// How long a line waits for room, once: a reader that is only slow gets all of them.
const ROOM: Duration = Duration::from_millis(20);

/// How long nothing may be read before what waits is given up at the end.
const LAST: Duration = Duration::from_millis(500);

/// The way to stderr.
#[derive(Debug)]
pub(super) struct Writer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines that are left out behind those.
    left_out: usize,
    is_writing: bool,
    /// Whether nothing has been read since there was no room.
    is_stuck: bool,
    /// How many pieces have been read.
    read: u64,
}

impl Writer {
    /// Writes from now on.
    pub(super) fn to(stderr: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        // Without a thread nothing is written, and nobody waits for it.
        let _ =
            thread::Builder::new().name("log".to_owned()).stack_size(256 * 1024).spawn(move || of_thread.write(stderr));
        Self(shared)
    }

    /// Adds a line.
    pub(super) fn add(&self, line: &[u8]) {
        let lacks_room = |state: &mut State| !state.waiting.is_empty() && state.waiting.len() + line.len() > MOST;
        let mut state = self.0.lock();
        if lacks_room(&mut state) && !state.is_stuck {
            let waited = self.0.changed.wait_timeout_while(state, ROOM, lacks_room);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.is_stuck = lacks_room(&mut state);
        }
        if lacks_room(&mut state) {
            state.left_out += 1;
            return;
        }
        state.waiting.extend_from_slice(line);
        self.0.changed.notify_all();
    }

    /// Waits until all is written, unless nobody reads it.
    pub(super) fn flush(&self) {
        let mut state = self.0.lock();
        let (mut read, mut until) = (state.read, Instant::now() + LAST);
        while state.is_writing || !state.waiting.is_empty() {
            if state.read != read {
                (read, until) = (state.read, Instant::now() + LAST);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: writes what comes.
    fn write(&self, mut stderr: impl Write) {
        let mut state = self.lock();
        loop {
            while state.waiting.is_empty() && state.left_out == 0 {
                state.is_writing = false;
                self.changed.notify_all();
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let mut text = std::mem::take(&mut state.waiting);
            let left_out = std::mem::take(&mut state.left_out);
            if left_out > 0 {
                text.extend_from_slice(
                    format!("[nobody read stderr: {left_out} lines of the log are left out]\n").as_bytes(),
                );
            }
            state.is_writing = true;
            drop(state);
            for piece in text.chunks(PIECE) {
                // A stderr that is gone takes nothing more, and that is as good.
                let _ = stderr.write_all(piece);
                let mut state = self.lock();
                (state.is_stuck, state.read) = (false, state.read + 1);
                self.changed.notify_all();
            }
            state = self.lock();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc;

    use super::*;

    /// How long a busy machine may take.
    const PATIENCE: Duration = Duration::from_mins(2);

    /// A reader that reads whenever the test does.
    struct Read(mpsc::SyncSender<Vec<u8>>);

    impl Write for Read {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_that_is_not_there_and_what_is_left_out_is_said() {
        let (reader, read) = mpsc::sync_channel(0);
        let writer = Writer::to(Read(reader));
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        // All of this returns, though nobody reads.
        (0..4 * MOST / line.len()).for_each(|_| writer.add(&line));
        writer.flush();
        let mut text = String::new();
        while !text.ends_with("lines of the log are left out]\n") {
            text.push_str(&String::from_utf8(read.recv_timeout(PATIENCE).unwrap()).unwrap());
        }
        assert!(text.starts_with("xxx") && text.contains("\n[nobody read stderr: "), "{text:.300}");
        // Now that somebody does, nothing is lost.
        writer.add(b"the last one\n");
        assert_eq!(read.recv_timeout(PATIENCE).unwrap(), b"the last one\n");
    }

    #[test]
    fn a_reader_gets_every_line_in_order() {
        let (reader, read) = mpsc::sync_channel(0);
        let writer = Writer::to(Read(reader));
        let reading = thread::spawn(move || {
            let mut text = Vec::new();
            while !text.ends_with(b"end\n") {
                text.extend(read.recv_timeout(PATIENCE).unwrap());
            }
            String::from_utf8(text).unwrap()
        });
        let numbers: Vec<String> = (0..50_000).map(|n: u32| n.to_string()).collect();
        for n in &numbers {
            writer.add(format!("{n}\n").as_bytes());
        }
        writer.add(b"end\n");
        writer.flush();
        assert_eq!(reading.join().unwrap(), format!("{}\nend\n", numbers.join("\n")));
    }
}
