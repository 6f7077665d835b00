//! What is to be done with a message, in the eras that have sessions.

use bytes::Bytes;

/// What is to be done with one message.
#[derive(Debug)]
pub(super) enum Action {
    /// Forward it as it is.
    Forward,
    /// Forward this line in its place.
    ForwardEdited(Bytes),
    /// Drop it; nobody waits for an answer.
    Drop,
    /// Answer it: a sampling request for the plugins.
    Sample {
        /// Its id, as spelt.
        id: Vec<u8>,
        /// Its parameters.
        params: Bytes,
        /// Whether the rate limit (`sampling.requestsPerMinute`) has counted it already.
        is_rate_counted: bool,
    },
    /// Ask the client, once the rate limit allows.
    AskClientLater {
        /// Its id, as spelt.
        id: Vec<u8>,
        /// Its parameters, as the server wrote them.
        params: Bytes,
        /// What the client gets.
        line: Bytes,
    },
    /// Answer a request about one of our tasks.
    AnswerTask {
        /// The request's id, as spelt.
        id: Vec<u8>,
        /// One that [`Tasks`](super::tasks::Tasks) knows.
        method: String,
        /// Its parameters.
        params: Bytes,
    },
    /// Answer it with an error.
    Reject {
        /// Its id, as spelt.
        id: Vec<u8>,
        /// The JSON-RPC code.
        code: i64,
        /// The message of the error.
        message: String,
    },
    /// The server has cancelled its request of this id; forward the message unless that request is being answered here.
    SamplingCancelled {
        /// The id, as spelt.
        id: Vec<u8>,
    },
    /// The client has cancelled a request of its own: forward the message, and cancel what the server asked in its course.
    CallCancelled {
        /// That request's id, as spelt.
        call: Vec<u8>,
        /// Whether the client had no other request in flight.
        alone: bool,
    },
    /// A batch that contains sampling requests: handle these one by one.
    SplitBatch {
        /// The other messages, to be forwarded as a batch.
        rest: Option<Bytes>,
        /// The sampling requests, each a line of its own.
        ours: Vec<Bytes>,
    },
}
