//! The channels of one side of the relay, and the messages that go through them.

use bytes::Bytes;
use mcp::Head;
use tokio::sync::mpsc;

/// The capacity of a channel, in messages. Small, so that a side that doesn't read slows its sender down, as a pipe would.
pub(crate) const QUEUE: usize = 16;

/// One side of the relay.
#[derive(Debug)]
pub struct Duplex {
    /// Messages from it. The channel's end is the end of its output.
    pub incoming: mpsc::Receiver<Incoming>,
    /// Messages to it, each with the end of its line. Dropping the sender closes its input.
    pub outgoing: mpsc::Sender<Message>,
}

/// A message, and the request that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The message, with the end of its line as it came.
    pub line: Bytes,
    /// The id, as spelt, of the client's request that the server's message belongs to, where the transport can tell (HTTP).
    pub related_request_id: Option<Bytes>,
}

impl From<Bytes> for Message {
    fn from(line: Bytes) -> Self {
        Self { line, related_request_id: None }
    }
}

/// A message from a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A message.
    Message(Message),
    /// A message that is longer than `limits.line`; its bytes were dropped.
    TooLong {
        /// What it was.
        head: Head,
        /// Its length.
        bytes: usize,
    },
}

impl Duplex {
    /// Two sides that are connected to each other.
    #[must_use]
    pub fn pair() -> (Duplex, DuplexPeer) {
        let (to_side, incoming) = mpsc::channel(QUEUE);
        let (outgoing, from_side) = mpsc::channel(QUEUE);
        (Duplex { incoming, outgoing }, DuplexPeer { incoming: from_side, outgoing: to_side })
    }
}

/// The other end of a side, for a peer in this process.
#[derive(Debug)]
pub struct DuplexPeer {
    /// Messages from the relay.
    pub incoming: mpsc::Receiver<Message>,
    /// Messages to the relay.
    pub outgoing: mpsc::Sender<Incoming>,
}
