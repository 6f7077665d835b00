//! The relay between a client (front) and a server (back): what is ours is answered here, all else passes through.
//!
//! Each direction has a loop of its own and never waits for the other. Sampling requests are answered beside the loops, as many
//! at once as the config allows, in whatever order they finish.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `legacy` | what to do with each message of the eras that have sessions |
//! | `capabilities` | declaring `sampling` in a client's `initialize` |
//! | `doings` | what the server is doing, for `includeContext` |
//! | `answers` | the sampling requests that are being answered |
//! | `progress` | telling the server how far an answer has come |

mod answers;
mod capabilities;
mod doings;
mod legacy;
mod progress;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::Sampling;
use crate::jsonrpc::{Head, Kind, error_line, result_line};
use crate::sampling::{Asked, Sampler, hop};
use crate::transport::{Incoming, Message, Side};
use answers::Answers;
use legacy::{Session, Verdict};
use progress::Progress;

/// Who answers sampling requests: the rule, and what carries it out. `None` passes everything through.
pub type Answering = Option<(Sampling, Arc<Sampler>)>;

/// A relay at work. Dropping it ends it, and whatever is being answered.
#[derive(Debug)]
pub struct Relay {
    answers: Arc<Answers>,
    forward: JoinHandle<()>,
    backward: JoinHandle<()>,
}

impl Relay {
    /// Begins to relay.
    ///
    /// The end of the client's input ends the server's. The end of the server's output ends what the client is told.
    #[must_use]
    pub fn start(front: Side, back: Side, answering: Answering, limit: usize) -> Self {
        let shared = Arc::new(Shared {
            session: Session::new(answering),
            answers: Arc::new(Answers::default()),
            to_front: Outlet::new(front.outgoing),
            to_back: Outlet::new(back.outgoing),
            limit,
            garbled: AtomicBool::new(false),
        });
        Self {
            answers: Arc::clone(&shared.answers),
            forward: tokio::spawn(forward(front.incoming, Arc::clone(&shared))),
            backward: tokio::spawn(backward(back.incoming, shared)),
        }
    }

    /// Waits until the server has said its last, and all of that is on its way to the client.
    pub async fn ended(&mut self) {
        // A loop that panicked has ended too.
        let _ = (&mut self.backward).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.forward.abort();
        self.backward.abort();
        self.answers.close();
    }
}

/// What both loops share.
struct Shared {
    session: Session,
    answers: Arc<Answers>,
    to_front: Outlet,
    to_back: Outlet,
    limit: usize,
    /// Whether a line that is no JSON-RPC has been reported already.
    garbled: AtomicBool,
}

/// From the client to the server.
async fn forward(mut from_front: mpsc::Receiver<Incoming>, shared: Arc<Shared>) {
    while let Some(incoming) = from_front.recv().await {
        let open = match incoming {
            Incoming::TooLong { head, bytes } => {
                shared.refuse_length("client", &head, bytes, &shared.to_front, &shared.to_back).await
            }
            Incoming::Message(message) => match shared.session.client_says(&message.line) {
                Verdict::Pass => shared.to_back.send(message).await,
                Verdict::Replace(line) => shared.to_back.send(line).await,
                Verdict::Answer { id, params } => shared.answer(id, params).await,
                Verdict::Refuse { id, code, message } => shared.to_back.send(error_line(&id, code, &message)).await,
                Verdict::Cancel { .. } | Verdict::Parts(_) => true,
            },
        };
        if !open {
            break;
        }
    }
    // Whatever is still being answered has nobody to go to.
    shared.answers.close();
    shared.to_back.close();
}

/// From the server to the client.
async fn backward(mut from_back: mpsc::Receiver<Incoming>, shared: Arc<Shared>) {
    while let Some(incoming) = from_back.recv().await {
        let open = match incoming {
            Incoming::TooLong { head, bytes } => {
                shared.refuse_length("server", &head, bytes, &shared.to_back, &shared.to_front).await
            }
            Incoming::Message(message) => shared.server_says(message).await,
        };
        if !open {
            break;
        }
    }
    shared.answers.close();
    shared.to_front.close();
}

impl Shared {
    /// Deals with one message of the server's; whether there is any use in reading on.
    async fn server_says(&self, message: Message) -> bool {
        let Message { line, about } = &message;
        match self.session.server_says(line) {
            Verdict::Pass => {
                self.report_garbage(line);
                self.to_front.send(message).await
            }
            Verdict::Replace(line) => self.to_front.send(Message { line, about: about.clone() }).await,
            Verdict::Answer { id, params } => self.answer(id, params).await,
            Verdict::Refuse { id, code, message } => self.to_back.send(error_line(&id, code, &message)).await,
            Verdict::Cancel { id } => {
                if self.answers.cancel(&id) {
                    tracing::info!(request = %String::from_utf8_lossy(&id), "the server cancelled its sampling request");
                    true
                } else {
                    self.to_front.send(message).await
                }
            }
            Verdict::Parts(parts) => {
                for line in parts {
                    let part = Message { line, about: about.clone() };
                    if !Box::pin(self.server_says(part)).await {
                        return false;
                    }
                }
                true
            }
        }
    }

    /// Answers a sampling request beside the loops.
    async fn answer(&self, id: Vec<u8>, params: Bytes) -> bool {
        let Some(sampler) = self.session.sampler() else { return true };
        let sampler = Arc::clone(sampler);
        let shown = String::from_utf8_lossy(&id).into_owned();
        let began = Instant::now();
        tracing::info!(target: "understudy::hop", request = shown, "the server asks for a completion ({} bytes)", params.len());
        let key = id.clone();
        let context = self.session.context();
        let (progress, telling) = Progress::of(&params, &self.to_back);
        let answer = async move {
            let asked = Asked { params: &params, context, progress };
            // A bug of ours must not leave the server waiting for ever.
            let answering = AssertUnwindSafe(sampler.create_message(asked)).catch_unwind();
            // All progress is told before the answer is given.
            let (outcome, ()) = tokio::join!(answering, telling);
            match outcome {
                Ok(Ok(result)) => {
                    hop!(shown, began, "the server gets its answer ({} bytes)", result.len());
                    result_line(&key, &result)
                }
                Ok(Err(error)) => {
                    tracing::warn!(request = shown, "{error}");
                    error_line(&key, error.code(), &error.to_string())
                }
                Err(_) => error_line(&key, -32603, "Understudy failed to answer; please report this as a bug of it"),
            }
        };
        if self.answers.begin(id.clone(), answer, self.to_back.clone()) {
            return true;
        }
        let reason = "a sampling request with this id is still being answered";
        self.to_back.send(error_line(&id, -32600, reason)).await
    }

    /// Tells whoever waits for an answer that a message was too long to be relayed.
    async fn refuse_length(&self, whose: &str, head: &Head, bytes: usize, sender: &Outlet, receiver: &Outlet) -> bool {
        let limit = self.limit;
        let reason =
            format!("a message of the {whose}'s holds {bytes} bytes, more than `limits.line` allows ({limit})");
        tracing::error!("{reason}; it is dropped");
        match (head.kind(), head.id()) {
            (Kind::Request, Some(id)) => sender.send(error_line(id, -32600, &reason)).await,
            (Kind::Response, Some(id)) => receiver.send(error_line(id, -32603, &reason)).await,
            _ => true,
        }
    }

    fn report_garbage(&self, line: &Bytes) {
        let first = line.iter().find(|byte| !byte.is_ascii_whitespace());
        let is_json = first.is_none_or(|byte| matches!(byte, b'{' | b'['));
        if !is_json && !self.garbled.swap(true, Ordering::Relaxed) {
            let start = String::from_utf8_lossy(line.get(..200).unwrap_or(line)).into_owned();
            tracing::warn!(
                "the server wrote something to stdout that is no JSON-RPC message: `{}`; it is passed on as it is (said once)",
                crate::text::one_line(&start, 80)
            );
        }
    }
}

/// The way to one side, until it is closed.
#[derive(Debug, Clone)]
struct Outlet(Arc<Mutex<Option<mpsc::Sender<Message>>>>);

impl Outlet {
    fn new(sender: mpsc::Sender<Message>) -> Self {
        Self(Arc::new(Mutex::new(Some(sender))))
    }

    /// Whether the message is on its way.
    async fn send(&self, message: impl Into<Message>) -> bool {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match sender {
            Some(sender) => sender.send(message.into()).await.is_ok(),
            None => false,
        }
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
