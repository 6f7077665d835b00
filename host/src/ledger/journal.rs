//! The journal: the file to which all processes of a user append the steps of their requests, one line each.
//!
//! A step is done once its line is written. The line is in the system's hands then, and stays if the process is killed. The database gets all steps
//! a moment later, in [`apply`](super::apply); it says up to where it has them. Each process keeps the counters of its own budgets in memory, and
//! brings them up to date with the lines of the others before it appends its own: the file's lock makes that one step.
//!
//! A file that the database has wholly is begun anew. Its header names its generation, by which the others notice.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::counters::Counters;
use super::step::Step;
use crate::private;

/// What a header begins with: the file's kind and version.
const HEADER: &str = "understudy ledger journal 1 ";
/// The header's bytes: that, 16 digits, and the end of the line.
const HEADER_BYTES: usize = HEADER.len() + 17;
/// The bytes of a journal without steps.
pub(super) const EMPTY: u64 = HEADER_BYTES as u64;

/// So many bytes are read at a time, or a line if it is longer.
const CHUNK: u64 = 1 << 20;

/// A place in a journal: the file's generation, and the bytes before the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) generation: u64,
    pub(super) offset: u64,
}

/// Lines from some place on.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) steps: Vec<Step>,
    /// Where they end.
    pub(super) end: Position,
}

/// The journal of a ledger, for all tasks of this process.
#[derive(Debug)]
pub(super) struct Journal(Mutex<State>);

#[derive(Debug)]
struct State {
    storage: Storage,
    /// Up to where the counters are.
    read: Position,
    counters: Counters,
    /// Whether this process begins the file anew: nobody may append.
    is_held: bool,
}

#[derive(Debug)]
enum Storage {
    File(File),
    /// That of a ledger in memory.
    Memory(Vec<u8>),
}

/// A place in memory.
fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl Storage {
    fn len(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => {
                let found = rustix::fs::fstat(file)?;
                if found.st_nlink == 0 {
                    return Err(io::Error::other("it was removed while this process had it: start it again"));
                }
                Ok(found.st_size.cast_unsigned())
            }
            Self::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Fills the buffer with the bytes from a place on; how many there are.
    fn read_into(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset + filled as u64;
            let read = match self {
                Self::File(file) => file.read_at(rest, at),
                Self::Memory(bytes) => bytes.get(position(at)..).unwrap_or_default().read(rest),
            };
            match read {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// The bytes from a place on: so many, or up to the end.
    fn read(&self, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        let size = self.len()?.saturating_sub(offset).min(most);
        let mut bytes = vec![0; position(size)];
        let filled = self.read_into(offset, &mut bytes)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            // It was opened so that all goes to its end.
            Self::File(file) => file.write_all(bytes),
            Self::Memory(memory) => memory.write_all(bytes),
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.set_len(len),
            Self::Memory(memory) => {
                memory.truncate(position(len));
                Ok(())
            }
        }
    }

    /// Whether no other process has it; then none gets it until [`unlock`](Self::unlock).
    fn try_lock(&self) -> io::Result<bool> {
        match self {
            Self::File(file) => match file.try_lock() {
                Ok(()) => Ok(true),
                Err(std::fs::TryLockError::WouldBlock) => Ok(false),
                Err(std::fs::TryLockError::Error(error)) => Err(error),
            },
            Self::Memory(_) => Ok(true),
        }
    }

    fn unlock(&self) {
        if let Self::File(file) = self {
            // What can't be unlocked is so when the process ends.
            let _ = file.unlock();
        }
    }

    /// The generation that the header names; `None` for a file that is too short for one.
    fn generation(&self) -> io::Result<Option<u64>> {
        let mut header = [0; HEADER_BYTES];
        if self.read_into(0, &mut header)? < header.len() {
            return Ok(None);
        }
        let digits = header.strip_prefix(HEADER.as_bytes()).and_then(|rest| rest.strip_suffix(b"\n"));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let generation = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let foreign = || io::Error::other("it is no journal that this Understudy can read: move it away");
        generation.ok_or_else(foreign).map(Some)
    }

    /// Begins a file without lines.
    fn begin(&mut self) -> io::Result<Position> {
        let generation = fastrand::u64(..);
        self.truncate(0)?;
        self.append(format!("{HEADER}{generation:016x}\n").as_bytes())?;
        Ok(Position { generation, offset: EMPTY })
    }
}

impl Journal {
    /// The journal in this file, of which the database has so much; `None`: one in memory.
    pub(super) fn open(path: Option<&Path>, known: Position) -> io::Result<Self> {
        let storage = match path {
            Some(path) => Storage::File(private::open_to_append(path)?),
            None => Storage::Memory(Vec::new()),
        };
        // No file has it but by chance; then there is nothing to forget.
        let read = Position { generation: 0, offset: 0 };
        let journal = Self(Mutex::new(State { storage, read, counters: Counters::default(), is_held: false }));
        // Where the machine lost power, the file may have lost its end: lines in that place would be taken for those that the database has.
        if journal.state().is_shorter(known)?
            && let Some(hold) = journal.hold()?
            && journal.state().is_shorter(known)?
        {
            hold.begin_anew()?;
        }
        Ok(journal)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal for this task alone, with counters that are up to date; `None` while somebody else has it.
    pub(super) fn try_lock(&self) -> io::Result<Option<Locked<'_>>> {
        let state = self.state();
        if state.is_held || !state.storage.try_lock()? {
            return Ok(None);
        }
        let mut locked = Locked(state);
        locked.0.catch_up()?;
        Ok(Some(locked))
    }

    /// Where it ends; `None` if nobody has written yet.
    pub(super) fn end(&self) -> io::Result<Option<Position>> {
        let state = self.state();
        let (generation, offset) = (state.storage.generation()?, state.storage.len()?);
        Ok(generation.map(|generation| Position { generation, offset }))
    }

    /// Its bytes.
    pub(super) fn len(&self) -> io::Result<u64> {
        self.state().storage.len()
    }

    /// The steps from a place on, or from the beginning if the file is of another generation.
    pub(super) fn read(&self, from: Position) -> io::Result<Chunk> {
        let (bytes, end) = self.state().read_lines(from)?;
        Ok(Chunk { steps: lines(&bytes).filter_map(|(line, _)| parse(line)).collect(), end })
    }

    /// Takes up counters that were loaded for a place.
    pub(super) fn load(&self, at: Position, load: impl FnOnce(&mut Counters, u64)) {
        let state = &mut *self.state();
        if state.read.generation != at.generation {
            state.counters.clear();
            state.read = at;
        }
        // Lines after the place are read again, for these counters alone.
        state.read.offset = state.read.offset.min(at.offset);
        load(&mut state.counters, at.offset);
    }

    /// Keeps everybody from appending; `None` while somebody else has the journal.
    pub(super) fn hold(&self) -> io::Result<Option<Hold<'_>>> {
        let mut state = self.state();
        if state.is_held || !state.storage.try_lock()? {
            return Ok(None);
        }
        state.is_held = true;
        drop(state);
        Ok(Some(Hold(self)))
    }
}

impl State {
    fn is_shorter(&self, known: Position) -> io::Result<bool> {
        Ok(self.storage.generation()? == Some(known.generation) && self.storage.len()? < known.offset)
    }

    /// Whole lines from a place on, and where they end.
    fn read_lines(&self, from: Position) -> io::Result<(Vec<u8>, Position)> {
        loop {
            let Some(generation) = self.storage.generation()? else {
                // Nobody has written yet.
                return Ok((Vec::new(), from));
            };
            let offset = if from.generation == generation { from.offset } else { EMPTY };
            let mut most = CHUNK;
            let bytes = loop {
                let mut bytes = self.storage.read(offset, most)?;
                let is_all = (bytes.len() as u64) < most;
                let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
                if whole > 0 || is_all {
                    bytes.truncate(whole);
                    break bytes;
                }
                most *= 2;
            };
            // Somebody may just have begun it anew.
            if self.storage.generation()? == Some(generation) {
                let end = Position { generation, offset: offset + bytes.len() as u64 };
                return Ok((bytes, end));
            }
        }
    }

    /// Counts what other processes have appended.
    fn catch_up(&mut self) -> io::Result<()> {
        let len = self.storage.len()?;
        match self.storage.generation()? {
            Some(generation) if generation == self.read.generation && len >= self.read.offset => {}
            Some(generation) if generation != self.read.generation => {
                self.counters.clear();
                self.read = Position { generation, offset: EMPTY };
            }
            // It is new; or the machine lost power, and the file its end.
            _ => {
                self.counters.clear();
                self.read = self.storage.begin()?;
                return Ok(());
            }
        }
        if len == self.read.offset {
            return Ok(());
        }
        // Where there is nothing to count, only the end matters.
        if self.counters.is_empty() && self.storage.read(len - 1, 1)? == b"\n" {
            self.read.offset = len;
            return Ok(());
        }
        let begin = self.read.offset;
        let bytes = self.storage.read(begin, u64::MAX)?;
        for (line, end) in lines(&bytes) {
            self.read.offset = begin + end;
            if let Some(step) = parse(line) {
                self.counters.count(&step, self.read.offset);
            }
        }
        if self.read.offset < len {
            // A process ended while it wrote: its step was not done.
            self.storage.truncate(self.read.offset)?;
        }
        Ok(())
    }
}

/// The lines of a text that are whole, each with the number of bytes up to its end.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    let mut end = 0;
    bytes.split_inclusive(|byte| *byte == b'\n').filter_map(move |line| {
        end += line.len() as u64;
        Some((line.strip_suffix(b"\n")?, end))
    })
}

fn parse(line: &[u8]) -> Option<Step> {
    serde_json::from_slice(line)
        .inspect_err(|error| tracing::warn!("a line of the ledger's journal can't be read: {error}"))
        .ok()
}

/// The journal, for one task of one process.
#[derive(Debug)]
pub(super) struct Locked<'a>(MutexGuard<'a, State>);

impl Locked<'_> {
    pub(super) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Appends a step, and counts it. What can't be written wholly isn't written.
    pub(super) fn append(&mut self, step: &Step) -> io::Result<()> {
        let state = &mut *self.0;
        let mut line = serde_json::to_vec(step)?;
        line.push(b'\n');
        if let Err(error) = state.storage.append(&line) {
            let _ = state.storage.truncate(state.read.offset);
            return Err(error);
        }
        state.read.offset += line.len() as u64;
        state.counters.count(step, state.read.offset);
        Ok(())
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.storage.unlock();
    }
}

/// A journal to which nobody can append.
#[derive(Debug)]
pub(super) struct Hold<'a>(&'a Journal);

impl Hold<'_> {
    /// Begins the file anew.
    pub(super) fn begin_anew(&self) -> io::Result<()> {
        let state = &mut *self.0.state();
        state.counters.clear();
        state.read = state.storage.begin()?;
        Ok(())
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_held = false;
        state.storage.unlock();
    }
}
