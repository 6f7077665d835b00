//! What becomes of a message, in the eras that have sessions.

use bytes::Bytes;

/// What is to be done with a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It goes on as it is.
    Pass,
    /// This goes on in its place.
    Replace(Bytes),
    /// It isn't passed on, and there is nobody to be told.
    Drop,
    /// It is a sampling request for us.
    Answer {
        /// Its id, as spelt.
        id: Vec<u8>,
        /// Its parameters.
        params: Bytes,
        /// Whether it has had its turn (`sampling.requestsPerMinute`).
        is_rate_counted: bool,
    },
    /// It is a sampling request for the client, when its turn has come.
    Wait {
        /// Its id, as spelt.
        id: Vec<u8>,
        /// Its parameters, as the server wrote them.
        params: Bytes,
        /// What the client gets.
        line: Bytes,
    },
    /// The server asks for one of our tasks.
    Task {
        /// The request's id, as spelt.
        id: Vec<u8>,
        /// One that [`Tasks`](super::tasks::Tasks) knows.
        method: String,
        /// Its parameters.
        params: Bytes,
    },
    /// It is a sampling request that can't be answered.
    Refuse {
        /// Its id, as spelt.
        id: Vec<u8>,
        /// The JSON-RPC code.
        code: i64,
        /// Why.
        message: String,
    },
    /// The server no longer wants the answer to its request of this id, if that is ours.
    Cancel {
        /// The id, as spelt.
        id: Vec<u8>,
    },
    /// The client no longer wants the answer to its own request. It goes on as it is.
    Cancelled {
        /// That request's id, as spelt.
        call: Vec<u8>,
        /// Whether no other request of the client's was going on.
        alone: bool,
    },
    /// It is a batch with something of ours in it.
    Apart {
        /// What goes on, a batch too.
        rest: Option<Bytes>,
        /// The sampling requests, each a line of its own.
        ours: Vec<Bytes>,
    },
}
