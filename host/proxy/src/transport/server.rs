//! A server: a child process, or one at a URL.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::mpsc;

use super::Duplex;
use super::child::{self, ChildProcess, Program};
use super::http_client::{self, ConnectionHandle, Remote};

/// How long the output of a server that has ended may take to end, and how long its end is waited for by who wants to name it.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// The signals for a server that doesn't end at the end of its input, one after the other.
pub const LAST_WORDS: [Signal; 2] = [Signal::TERM, Signal::KILL];

/// Where a server is.
#[derive(Debug, Clone)]
pub enum ServerAddress {
    /// It is a program, to be run as our child.
    Program(Program),
    /// It is at a URL.
    Remote(Remote),
}

/// A server that has been started, or is talked to.
#[derive(Debug)]
pub enum ServerConnection {
    /// A child process.
    Child(Box<Child>),
    /// A conversation over HTTP.
    Remote(ConnectionHandle),
}

/// A server that is a child process.
#[derive(Debug)]
pub struct Child {
    server: ChildProcess,
    program: Program,
    limit: usize,
    /// Those that have been started again in its place.
    again: Option<mpsc::UnboundedReceiver<ChildProcess>>,
}

impl ServerAddress {
    /// Starts the server, or begins to talk to it.
    ///
    /// # Errors
    /// If it can't be started. Whether a URL can be reached is seen with the first message.
    pub async fn start(self, limit: usize) -> io::Result<(Duplex, ServerConnection)> {
        match self {
            Self::Program(program) => {
                let (side, server) = child::start(program.clone(), limit).await?;
                Ok((side, ServerConnection::Child(Box::new(Child { server, program, limit, again: None }))))
            }
            Self::Remote(remote) => {
                let (side, connection) = http_client::connect(remote, limit)?;
                Ok((side, ServerConnection::Remote(connection)))
            }
        }
    }
}

/// The right to start a server again that has ended on its first message. Until it is dropped, the server's end isn't reported.
#[derive(Debug, Clone)]
pub struct Restart {
    program: Program,
    limit: usize,
    started: mpsc::UnboundedSender<ChildProcess>,
}

impl Restart {
    /// Starts it again.
    pub(crate) async fn start(self) -> io::Result<Duplex> {
        let (side, server) = child::start(self.program, self.limit).await?;
        // If nobody has the server before this one any more, this one ends here.
        let _ = self.started.send(server);
        Ok(side)
    }
}

impl ServerConnection {
    /// The right to start a program again; a server at a URL needs none.
    pub fn again(&mut self) -> Option<Restart> {
        let Self::Child(child) = self else { return None };
        let (started, receiver) = mpsc::unbounded_channel();
        child.again = Some(receiver);
        Some(Restart { program: child.program.clone(), limit: child.limit, started })
    }

    /// Waits for its end; a child's status.
    ///
    /// # Errors
    /// If the system won't tell.
    pub async fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        match self {
            Self::Child(child) => loop {
                let status = child.server.wait().await?;
                let started = match &mut child.again {
                    Some(again) => again.recv().await,
                    None => None,
                };
                match started {
                    Some(server) => child.server = server,
                    None => return Ok(Some(status)),
                }
            },
            Self::Remote(connection) => {
                connection.ended().await;
                Ok(None)
            }
        }
    }

    /// Forwards a signal. A conversation over HTTP is closed by the signals that end a process.
    pub fn signal(&self, signal: Signal) {
        match self {
            Self::Child(child) => child.server.signal(signal),
            Self::Remote(_) if [Signal::USR1, Signal::USR2].contains(&signal) => {}
            Self::Remote(connection) => connection.close(),
        }
    }

    /// Ends it as the specification says (stdio, "Shutdown"), its input having ended: wait for so long, ask to end, wait as long again, kill.
    pub async fn close(mut self, patience: Duration) {
        for signal in LAST_WORDS {
            if tokio::time::timeout(patience, self.ended()).await.is_ok() {
                return;
            }
            self.signal(signal);
        }
    }

    /// How the server ended, in words, or that it didn't.
    pub async fn exit_reason(&mut self) -> String {
        match tokio::time::timeout(PATIENCE, self.ended()).await {
            Ok(Ok(Some(status))) => format!("ended ({status})"),
            _ => "closed its output".to_owned(),
        }
    }
}
