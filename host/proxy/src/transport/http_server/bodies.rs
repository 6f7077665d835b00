//! The bodies of requests: where they are held, and how much all of them may hold together.
//!
//! A body of up to 64 KiB is held without being counted: nearly every message is so short, and no flood of long ones may keep it out.
//! A longer one takes its share of a total that all connections have in common, and isn't read on while there is no room. Beside
//! others it may hold no more than what is still free, so that a few bodies that are sent slowly leave room for the rest.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use memmap2::MmapMut;
use tokio::sync::Notify;

/// A body of up to so many bytes is not counted. 64 KiB.
const UNCOUNTED: usize = 64 * 1024;

/// A longer body has memory of its own, which the system gets back as soon as the message is gone: what an allocator keeps of a
/// few hundred MiB for the next one would be most of what this process has. 256 KiB.
const MAPPED: usize = 256 * 1024;

/// What all long bodies hold.
#[derive(Debug)]
pub(super) struct Bodies {
    /// The most that they may hold, in bytes.
    total: usize,
    held: Mutex<Held>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    bodies: usize,
}

impl Bodies {
    /// Bodies of `total` bytes together.
    pub(super) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { total, held: Mutex::default(), freed: Notify::new() })
    }

    /// The most that they may hold, in bytes.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Gives a body that holds `own` bytes already `more` of them, if there is room.
    fn grant(&self, own: usize, more: usize) -> bool {
        let mut held = self.lock();
        let bytes = held.bytes + more;
        let others = held.bodies - usize::from(own > 0);
        if bytes > self.total || (others > 0 && own + more > self.total - bytes) {
            return false;
        }
        *held = Held { bytes, bodies: others + 1 };
        true
    }

    fn give_back(&self, size: usize) {
        if size > 0 {
            let mut held = self.lock();
            *held = Held { bytes: held.bytes - size, bodies: held.bodies - 1 };
            drop(held);
            self.freed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one body holds of the total; given back when dropped.
#[derive(Debug)]
struct Share {
    bodies: Arc<Bodies>,
    size: usize,
}

impl Share {
    /// Takes so much more, once there is room; how long that took.
    async fn grow(&mut self, more: usize) -> Duration {
        let mut began = None;
        loop {
            let freed = self.bodies.freed.notified();
            if self.bodies.grant(self.size, more) {
                self.size += more;
                return began.map_or(Duration::ZERO, |began: Instant| began.elapsed());
            }
            began.get_or_insert_with(Instant::now);
            freed.await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.give_back(self.size);
    }
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct PostedBody {
    store: BodyMemory,
    share: Share,
    /// How long it will be at most.
    most: usize,
}

#[derive(Debug)]
enum BodyMemory {
    Heap(BytesMut),
    Mapped { map: MmapMut, length: usize },
}

impl PostedBody {
    /// An empty one, which will hold `most` bytes at most.
    pub(super) fn new(bodies: &Arc<Bodies>, most: usize) -> Self {
        let share = Share { bodies: Arc::clone(bodies), size: 0 };
        Self { store: BodyMemory::Heap(BytesMut::new()), share, most }
    }

    /// How much it holds.
    pub(super) fn len(&self) -> usize {
        match &self.store {
            BodyMemory::Heap(bytes) => bytes.len(),
            BodyMemory::Mapped { length, .. } => *length,
        }
    }

    /// Adds a piece, once there is room; how long that took.
    ///
    /// # Errors
    /// If the system has no memory, or the body becomes longer than it may be.
    pub(super) async fn take(&mut self, piece: &[u8]) -> io::Result<Duration> {
        let length = self.len() + piece.len();
        let waited = if length > UNCOUNTED { self.share.grow(length - self.share.size).await } else { Duration::ZERO };
        if length > MAPPED
            && let BodyMemory::Heap(bytes) = &self.store
        {
            // Pages that nothing is written to take no memory. One byte more is the end of the line.
            let mut map = MmapMut::map_anon(self.most.max(length) + 1)?;
            write(&mut map, 0, bytes)?;
            self.store = BodyMemory::Mapped { length: bytes.len(), map };
        }
        match &mut self.store {
            BodyMemory::Heap(bytes) => bytes.extend_from_slice(piece),
            BodyMemory::Mapped { map, length } => {
                write(map, *length, piece)?;
                *length += piece.len();
            }
        }
        Ok(waited)
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.store.as_ref()
    }

    /// Its bytes, to be changed.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.store {
            BodyMemory::Heap(bytes) => bytes,
            BodyMemory::Mapped { map, length } => map.get_mut(..*length).unwrap_or_default(),
        }
    }

    /// The body as a line. What it holds is given back when the last of the line is gone.
    pub(super) fn into_line(mut self) -> Bytes {
        match &mut self.store {
            BodyMemory::Heap(bytes) => bytes.extend_from_slice(b"\n"),
            BodyMemory::Mapped { map, length } => {
                if let Some(end) = map.get_mut(*length) {
                    *end = b'\n';
                    *length += 1;
                }
            }
        }
        match self.store {
            BodyMemory::Heap(bytes) if self.share.size == 0 => bytes.freeze(),
            store => Bytes::from_owner(SharedLine { store, _share: self.share }),
        }
    }
}

impl AsRef<[u8]> for BodyMemory {
    fn as_ref(&self) -> &[u8] {
        match self {
            BodyMemory::Heap(bytes) => bytes,
            BodyMemory::Mapped { map, length } => map.get(..*length).unwrap_or_default(),
        }
    }
}

/// A line, with its share of the total.
struct SharedLine {
    store: BodyMemory,
    _share: Share,
}

impl AsRef<[u8]> for SharedLine {
    fn as_ref(&self) -> &[u8] {
        self.store.as_ref()
    }
}

fn write(map: &mut MmapMut, at: usize, piece: &[u8]) -> io::Result<()> {
    let place = map.get_mut(at..at + piece.len()).ok_or_else(|| io::Error::other("it is longer than was said"))?;
    place.copy_from_slice(piece);
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: usize = 1024 * 1024;

    /// Whether there is room for so much more.
    fn fits(body: &mut PostedBody, size: usize) -> bool {
        body.take(&vec![b'x'; size]).now_or_never().is_some_and(|taken| taken.is_ok())
    }

    #[test]
    fn a_body_keeps_its_bytes_however_long_it_is() {
        for length in [0, 1, UNCOUNTED, UNCOUNTED + 1, MAPPED, MAPPED + 1, 3 * MIB] {
            let bodies = Bodies::new(8 * MIB);
            let mut body = PostedBody::new(&bodies, 3 * MIB);
            let text: Vec<u8> = (0..=b'z').cycle().take(length).collect();
            for piece in text.chunks(50_000) {
                body.take(piece).now_or_never().unwrap().unwrap();
            }
            assert!(body.bytes() == text && body.len() == length, "{length}");
            let line = body.into_line();
            assert!(line.strip_suffix(b"\n") == Some(&text[..]), "{length}");
            let part = line.slice(..line.len() / 2);
            drop(line);
            assert_eq!(bodies.lock().bytes, if length > UNCOUNTED { length } else { 0 }, "it is still held");
            drop(part);
            let held = bodies.lock();
            assert_eq!((held.bytes, held.bodies), (0, 0));
        }
    }

    #[test]
    fn one_body_may_hold_all_and_several_leave_room_for_further_ones() {
        let bodies = Bodies::new(8 * MIB);
        let [mut alone, mut slow, mut slower, mut honest, mut short] =
            std::array::from_fn(|_| PostedBody::new(&bodies, 8 * MIB));
        assert!(fits(&mut alone, 8 * MIB) && !fits(&mut alone, 1));
        assert!(!fits(&mut slow, MIB) && fits(&mut short, UNCOUNTED), "a short one needs no room");
        drop(alone);
        assert!(fits(&mut slow, 5 * MIB));
        assert!(fits(&mut slower, MIB) && !fits(&mut slower, MIB), "3 MiB were free");
        assert!(!fits(&mut slow, MIB), "it holds more than is free");
        assert!(fits(&mut honest, MIB));
    }

    #[tokio::test]
    async fn a_body_goes_on_when_another_one_is_gone() {
        let bodies = Bodies::new(2 * MIB);
        let (mut one, mut two) = (PostedBody::new(&bodies, 2 * MIB), PostedBody::new(&bodies, 2 * MIB));
        assert!(fits(&mut one, 2 * MIB));
        let piece = vec![b'x'; MIB];
        let mut taken = Box::pin(two.take(&piece));
        assert!(taken.as_mut().now_or_never().is_none());
        drop(one);
        assert!(taken.await.unwrap() > Duration::ZERO);
    }
}
