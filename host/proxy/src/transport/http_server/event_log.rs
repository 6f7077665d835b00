//! One stream of server-sent events, as a log: what is said is kept until it has been read, and a while longer, so that a reader
//! whose connection broke goes on where it was.
//!
//! A log has one reader at a time. A new one takes the place of the one before it: a reader that comes back is the client, and the
//! connection that it had may be long dead without our knowing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

/// So many messages may wait in one stream for a reader …
const MOST_WAITING: usize = 1000;

/// … and so many bytes.
const MOST_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// So many bytes that have been read are kept for a reader that comes back; the last message in any case.
const MOST_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// What has been read is kept so long. A stream that has ended too.
pub(super) const KEPT: Duration = Duration::from_mins(1);

/// A stream of events.
#[derive(Debug)]
pub(super) struct EventLog {
    number: u64,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug)]
struct Inner {
    events: VecDeque<Event>,
    /// The position of the last event; positions begin at 1.
    last: u64,
    /// The position up to which everything has been read.
    read: u64,
    waiting: usize,
    waiting_bytes: usize,
    kept_bytes: usize,
    /// How many readers there have been; the last one counts.
    readers: u64,
    attached: bool,
    ended: bool,
    /// When the last reader came or went, or the stream ended.
    changed: Instant,
}

#[derive(Debug)]
struct Event {
    position: u64,
    line: Bytes,
    said: Instant,
}

impl EventLog {
    /// An empty one.
    pub(super) fn new(number: u64) -> Self {
        let inner = Inner {
            events: VecDeque::new(),
            last: 0,
            read: 0,
            waiting: 0,
            waiting_bytes: 0,
            kept_bytes: 0,
            readers: 0,
            attached: false,
            ended: false,
            changed: Instant::now(),
        };
        Self { number, inner: Mutex::new(inner), changed: Notify::new() }
    }

    /// Its number in the session.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Says something, however much waits already.
    pub(super) fn push(&self, line: Bytes) {
        self.lock().push(line);
        self.changed.notify_waiters();
    }

    /// Says something, unless too much waits already.
    pub(super) fn offer(&self, line: Bytes) -> bool {
        let mut inner = self.lock();
        let has_room = inner.waiting < MOST_WAITING && inner.waiting_bytes + line.len() <= MOST_WAITING_BYTES;
        if has_room {
            inner.push(line);
            self.changed.notify_waiters();
        }
        has_room
    }

    /// Says the last thing.
    pub(super) fn finish(&self, line: Bytes) {
        let mut inner = self.lock();
        inner.push(line);
        inner.end();
        self.changed.notify_waiters();
    }

    /// Nothing more will be said.
    pub(super) fn end(&self) {
        self.lock().end();
        self.changed.notify_waiters();
    }

    /// The only thing that was said, once no more will be.
    pub(super) fn only(&self) -> Option<Bytes> {
        let inner = self.lock();
        let only = inner.events.front().filter(|_| inner.ended && inner.last == 1)?;
        Some(only.line.clone())
    }

    /// Whether somebody reads it.
    pub(super) fn is_read(&self) -> bool {
        self.lock().attached
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Whether it has ended, and the time in which its reader may come back for the rest is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let inner = self.lock();
        inner.ended && !inner.attached && now.saturating_duration_since(inner.changed) > KEPT
    }

    /// Takes out what nobody has read.
    pub(super) fn take_waiting(&self) -> Vec<Bytes> {
        let mut inner = self.lock();
        let kept = inner.events.len() - inner.waiting;
        let waiting = inner.events.split_off(kept);
        (inner.waiting, inner.waiting_bytes, inner.read) = (0, 0, inner.last);
        waiting.into_iter().map(|event| event.line).collect()
    }

    /// A reader of what nobody has read yet.
    pub(super) fn reader(self: &Arc<Self>) -> EventReader {
        let read = self.lock().read;
        self.reader_after(read)
    }

    /// A reader of what stands behind a position (at most what has been read: nobody can know of more).
    pub(super) fn reader_after(self: &Arc<Self>, position: u64) -> EventReader {
        let mut inner = self.lock();
        inner.readers += 1;
        inner.attached = true;
        inner.changed = Instant::now();
        self.changed.notify_waiters();
        EventReader { log: Arc::clone(self), number: inner.readers, position: position.min(inner.read) }
    }

    /// Whether there is, or will be, anything behind a position.
    pub(super) fn has_more_than(&self, position: u64) -> bool {
        let inner = self.lock();
        !inner.ended || inner.last > position
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, line: Bytes) {
        self.last += 1;
        self.waiting += 1;
        self.waiting_bytes += line.len();
        self.events.push_back(Event { position: self.last, line, said: Instant::now() });
        self.trim();
    }

    fn end(&mut self) {
        self.ended = true;
        self.changed = Instant::now();
    }

    /// The first event behind a position; it counts as read from now on.
    fn read(&mut self, position: u64) -> Option<(u64, Bytes)> {
        let at = self.events.partition_point(|event| event.position <= position);
        let event = self.events.get(at)?;
        let (position, line) = (event.position, event.line.clone());
        if position > self.read {
            self.read = position;
            self.waiting -= 1;
            self.waiting_bytes -= line.len();
            self.kept_bytes += line.len();
            self.trim();
        }
        Some((position, line))
    }

    /// Forgets what has been read, where it is too old or too much.
    fn trim(&mut self) {
        while let Some(event) = self.events.front()
            && event.position <= self.read
            && event.position < self.last
            && (self.kept_bytes > MOST_KEPT_BYTES || event.said.elapsed() > KEPT)
        {
            self.kept_bytes -= event.line.len();
            self.events.pop_front();
        }
    }
}

/// The reader of a log.
#[derive(Debug)]
pub(super) struct EventReader {
    log: Arc<EventLog>,
    number: u64,
    position: u64,
}

impl EventReader {
    /// What it reads.
    pub(super) fn log(&self) -> &Arc<EventLog> {
        &self.log
    }

    /// Where it stands.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next event and its position; `None` when there is no more to come, or another reader has come.
    pub(super) async fn next(&mut self) -> Option<(u64, Bytes)> {
        self.wait().await;
        let mut inner = self.log.lock();
        if inner.readers != self.number {
            return None;
        }
        let (position, line) = inner.read(self.position)?;
        self.position = position;
        Some((position, line))
    }

    /// Waits until `next` has something to say.
    pub(super) async fn wait(&self) {
        loop {
            let changed = self.log.changed.notified();
            {
                let inner = self.log.lock();
                if inner.readers != self.number || inner.last > self.position || inner.ended {
                    return;
                }
            }
            changed.await;
        }
    }
}

impl Drop for EventReader {
    fn drop(&mut self) {
        let mut inner = self.log.lock();
        if inner.readers == self.number {
            inner.attached = false;
            inner.changed = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn line(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    /// What the reader can say at once.
    fn next(reader: &mut EventReader) -> Option<(u64, Bytes)> {
        reader.next().now_or_never().flatten()
    }

    #[test]
    fn whoever_comes_back_goes_on_where_it_was() {
        let log = Arc::new(EventLog::new(1));
        log.push(line("a"));
        let mut first = log.reader();
        assert_eq!(next(&mut first), Some((1, line("a"))));
        assert!(first.next().now_or_never().is_none(), "nothing is there, and more may come");
        log.push(line("b"));
        log.push(line("c"));
        assert_eq!(next(&mut first), Some((2, line("b"))));
        // The second was lost on the way; the first connection is not known to be dead.
        let mut second = log.reader_after(1);
        assert_eq!(first.next().now_or_never(), Some(None));
        drop(first);
        assert!(log.is_read(), "the first one's end is not the second one's");
        assert_eq!(next(&mut second), Some((2, line("b"))));
        assert_eq!(next(&mut second), Some((3, line("c"))));
        log.end();
        assert_eq!(second.next().now_or_never(), Some(None));
        assert!(log.has_more_than(2) && !log.has_more_than(3));
        drop(second);
        assert!(!log.is_read() && !log.is_over(Instant::now()) && log.is_over(Instant::now() + KEPT * 2));
    }

    #[test]
    fn a_reader_without_a_position_gets_what_nobody_has_read() {
        let log = Arc::new(EventLog::new(1));
        log.push(line("a"));
        let mut reader = log.reader();
        assert_eq!(next(&mut reader), Some((1, line("a"))));
        log.push(line("b"));
        drop(reader);
        log.push(line("c"));
        assert_eq!(log.take_waiting(), [line("b"), line("c")]);
        log.push(line("d"));
        let mut reader = log.reader();
        assert_eq!(next(&mut reader), Some((4, line("d"))));
        // Beyond what was ever said there is nothing, and a client that claims to have read it loses nothing.
        let mut reader = log.reader_after(99);
        log.push(line("e"));
        assert_eq!(next(&mut reader), Some((5, line("e"))));
    }

    #[test]
    fn what_waits_and_what_is_kept_is_bounded() {
        let log = Arc::new(EventLog::new(1));
        for _ in 0..MOST_WAITING {
            assert!(log.offer(line("x")));
        }
        assert!(!log.offer(line("x")));
        log.push(line("an answer"));
        assert_eq!(log.take_waiting().len(), MOST_WAITING + 1);
        let half = Bytes::from(vec![b'x'; MOST_WAITING_BYTES / 2 + 1]);
        assert!(log.offer(half.clone()) && !log.offer(half));
        let mut reader = log.reader();
        assert!(next(&mut reader).is_some());
        // It is more than is kept, but the last one.
        assert_eq!(log.lock().events.len(), 1);
        log.push(line("y"));
        assert_eq!(log.lock().events.len(), 1);
        assert_eq!(next(&mut reader).map(|(_, line)| line), Some(line("y")));
    }
}
