//! Lines on stdin and stdout, without waiting for either alone.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;

use rustix::event::{PollFd, PollFlags, poll};

/// Our stdin and stdout.
pub(crate) struct Pipe {
    stdin: File,
    stdout: File,
    piece: Vec<u8>,
    heard: Vec<u8>,
    /// How far `heard` has been given out, and how far it has been searched for the end of a line.
    taken: usize,
    searched: usize,
    unsaid: Vec<u8>,
    /// How much of `unsaid` has been said: it is cleared at its end, since moving what is left of 100 MB after each write would take
    /// longer than saying it.
    said: usize,
}

impl Pipe {
    pub(crate) fn open() -> io::Result<Self> {
        let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        rustix::io::ioctl_fionbio(&stdin, true)?;
        rustix::io::ioctl_fionbio(&stdout, true)?;
        let (piece, heard, unsaid) = (vec![0; 1 << 18], Vec::new(), Vec::new());
        Ok(Self { stdin, stdout, piece, heard, taken: 0, searched: 0, unsaid, said: 0 })
    }

    /// A line that has arrived.
    pub(crate) fn next_line(&mut self) -> Option<Vec<u8>> {
        let unsearched = self.heard.get(self.searched..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', unsearched).map(|at| self.searched + at) else {
            self.heard.drain(..self.taken);
            (self.taken, self.searched) = (0, self.heard.len());
            return None;
        };
        let line = self.heard.get(self.taken..end).unwrap_or_default().to_vec();
        (self.taken, self.searched) = (end + 1, end + 1);
        Some(line)
    }

    /// Says it, when there is room.
    pub(crate) fn say(&mut self, text: &[u8]) {
        self.unsaid.extend_from_slice(text);
    }

    /// Says what is to be said and waits until more has arrived; false at the end of stdin.
    pub(crate) fn wait(&mut self) -> io::Result<bool> {
        loop {
            self.write()?;
            let room = if self.unsaid.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            let mut files =
                [PollFd::new(&self.stdin, PollFlags::IN), PollFd::from_borrowed_fd(self.stdout.as_fd(), room)];
            poll(&mut files, None)?;
            let [stdin, _] = &files;
            if stdin.revents().is_empty() {
                continue;
            }
            match self.stdin.read(&mut self.piece) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    self.heard.extend_from_slice(self.piece.get(..read).unwrap_or_default());
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while let Some(rest) = self.unsaid.get(self.said..).filter(|rest| !rest.is_empty()) {
            match self.stdout.write(rest) {
                Ok(more) => self.said += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.unsaid.clear();
        self.said = 0;
        Ok(())
    }
}
