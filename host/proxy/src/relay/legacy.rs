//! The loops of the eras that have sessions (2024-11-05 to 2025-11-25): one for each direction, neither waits for the other.

mod silence;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use mcp::{code, error_line, result_line};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::action::Action;
use super::bridge::legacy_to_modern;
use super::closable_sender::ClosableSender;
use super::common::{Failure, Prelude, RelayOptions, create, next, refuse_length, report_garbage};
use super::discover;
use super::elicitation::{Answers, Elicitations};
use super::in_flight::InFlight;
use super::progress::Progress;
use super::session::RelaySession;
use super::tasks::{self, Tasks};
use crate::transport::{Duplex, Incoming, Message};
use silence::SilenceWatch;
use understudy::approval::{Approver, Ask};
use understudy::sampling::{SamplingParams, SamplingRequest, hop};

/// Yield to the scheduler after this many sampling requests read in a row without an empty channel. With fewer, yielding could wait until the
/// thread has nothing else to do.
const IN_A_ROW: usize = 8;

/// State that both loops share.
struct StatefulRelay {
    session: Arc<RelaySession>,
    answers: Arc<InFlight>,
    /// What the client's user is asked.
    elicitations: Arc<Elicitations>,
    /// How the user is asked, if not through the client.
    ask: Option<Arc<dyn Ask>>,
    tasks: Arc<Tasks>,
    /// The server's requests that have been begun since it had last said nothing.
    in_a_row: AtomicUsize,
    to_front: ClosableSender,
    to_back: ClosableSender,
    limit: usize,
}

/// Relays until both sides have closed their output.
pub(super) async fn run(
    front: Duplex,
    back: Duplex,
    session: RelaySession,
    (options, answers): (RelayOptions, Answers),
    prelude: Prelude,
) {
    let session = Arc::new(session);
    let to_front = ClosableSender::new(front.outgoing);
    let shared = Arc::new(StatefulRelay {
        tasks: Arc::clone(session.tasks()),
        session,
        answers: Arc::new(InFlight::default()),
        in_a_row: AtomicUsize::new(0),
        elicitations: Arc::new(Elicitations::new(to_front.clone(), answers)),
        ask: options.ask,
        to_front,
        to_back: ClosableSender::new(back.outgoing),
        limit: options.line,
    });
    let _end = CloseStateful(Arc::clone(&shared));
    let silent = SilenceWatch::of(&shared.session, &prelude);
    let forward = forward(prelude.by_front, front.incoming, Arc::clone(&shared));
    let forward = AbortOnDropHandle::new(tokio::spawn(forward));
    backward((prelude.by_back, prelude.garbled), back.incoming, silent, &shared).await;
    prelude.ended.cancel();
    // A server that says no more may still listen.
    let _ = forward.await;
}

/// Cancels the requests in flight when it is dropped.
struct CloseStateful(Arc<StatefulRelay>);

impl Drop for CloseStateful {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// From the client to the server.
async fn forward(first: Option<Incoming>, mut from_front: mpsc::Receiver<Incoming>, shared: Arc<StatefulRelay>) {
    let mut first = VecDeque::from_iter(first);
    while let Some(incoming) = next(&mut first, &mut from_front).await {
        if !shared.client_says(incoming).await {
            break;
        }
    }
    shared.client_is_gone().await;
    shared.to_back.close();
}

/// From the server to the client.
async fn backward(
    (mut said, mut garbled): (VecDeque<Incoming>, bool),
    mut from_back: mpsc::Receiver<Incoming>,
    mut silent: SilenceWatch,
    shared: &StatefulRelay,
) {
    loop {
        let incoming = tokio::select! {
            biased;
            incoming = next(&mut said, &mut from_back) => incoming,
            _ = silent.look.tick(), if silent.looks => {
                silent.ask(&shared.session, &shared.to_back).await;
                continue;
            }
        };
        let Some(incoming) = incoming else { break };
        if from_back.is_empty() {
            shared.in_a_row.store(0, Ordering::Relaxed);
        }
        let open = match incoming {
            Incoming::TooLong { head, bytes } => {
                refuse_length(shared.limit, "server", &head, bytes, &shared.to_back, &shared.to_front).await
            }
            Incoming::Message(message) if silent.asked && discover::is_answer(&message.line) => {
                silent.answered(&message.line, &shared.session, &shared.to_back, (&mut said, &mut from_back));
                true
            }
            Incoming::Message(message) => match shared.session.refused_initialize(&message.line) {
                None => {
                    report_garbage(&message.line, &mut garbled);
                    shared.server_says(message).await
                }
                // It may speak the modern era alone.
                Some(initialize) => {
                    let (to_front, to_back) = (&shared.to_front, &shared.to_back);
                    let from_back = (&mut said, &mut from_back);
                    legacy_to_modern::splice_if_modern(&initialize, to_front, to_back, from_back).await
                        || shared.server_says(message).await
                }
            },
        };
        if !open {
            break;
        }
    }
    shared.close();
    shared.to_front.close();
}

impl StatefulRelay {
    /// Cancels all requests in flight; the ids of those without an answer.
    fn close(&self) -> Vec<Vec<u8>> {
        self.tasks.close();
        self.answers.close()
    }

    /// Answers what is in flight with errors: without an answer the server would wait for as long as its own timer.
    async fn client_is_gone(&self) {
        let pending = self.close().into_iter().chain(self.session.forget_all());
        for id in pending {
            tracing::info!(request = %String::from_utf8_lossy(&id), "the client is gone: the request is answered with an error");
            let reason = "the client is gone, and its session ends: this is not answered any more";
            if !self.to_back.send(error_line(&id, code::INTERNAL_ERROR, reason)).await {
                return;
            }
        }
    }

    /// Handles one message of the client's; `false` if the server can't be reached any more.
    async fn client_says(&self, incoming: Incoming) -> bool {
        match incoming {
            Incoming::TooLong { head, bytes } => {
                refuse_length(self.limit, "client", &head, bytes, &self.to_front, &self.to_back).await
            }
            Incoming::Message(message) if self.elicitations.takes(&message.line) => true,
            Incoming::Message(message) => match self.session.client_says(&message.line) {
                Action::Forward => self.to_back.send(message).await,
                Action::ForwardEdited(line) => self.to_back.send(line).await,
                Action::Sample { id, params, is_rate_counted } => self.answer(id, params, None, is_rate_counted).await,
                Action::Reject { id, code, message } => self.to_back.send(error_line(&id, code, &message)).await,
                Action::CallCancelled { call, alone } => {
                    let open = self.to_back.send(message).await;
                    open && self.give_up(&call, alone).await
                }
                Action::SamplingCancelled { .. }
                | Action::SplitBatch { .. }
                | Action::AnswerTask { .. }
                | Action::AskClientLater { .. }
                | Action::Drop => true,
            },
        }
    }

    /// The client has cancelled a call: cancels what the server asked in its course, since not every server does so itself.
    async fn give_up(&self, call: &[u8], alone: bool) -> bool {
        for id in self.answers.cancel_of(call, alone) {
            tracing::info!(request = %String::from_utf8_lossy(&id), "the client cancelled the call that it belongs to");
            let reason = "the client has cancelled the call in whose course this was asked";
            if !self.to_back.send(error_line(&id, code::INTERNAL_ERROR, reason)).await {
                return false;
            }
        }
        true
    }

    /// Handles one message of the server's; `false` if the client can't be reached any more.
    async fn server_says(&self, message: Message) -> bool {
        let Message { line, related_request_id } = &message;
        match self.session.server_says(line, related_request_id.as_deref()) {
            Action::Forward => self.to_front.send(message).await,
            Action::ForwardEdited(line) => {
                self.to_front.send(Message { line, related_request_id: related_request_id.clone() }).await
            }
            // A server that no longer listens may still have something to say.
            Action::Sample { id, params, is_rate_counted } => {
                self.answer(id, params, related_request_id.clone(), is_rate_counted).await;
                if self.in_a_row.fetch_add(1, Ordering::Relaxed) % IN_A_ROW == IN_A_ROW - 1 {
                    tokio::task::yield_now().await;
                }
                true
            }
            Action::AskClientLater { id, params, line } => {
                let message = Message { line, related_request_id: related_request_id.clone() };
                self.ask_later(id, params, message).await;
                true
            }
            Action::AnswerTask { id, method, params } => {
                self.answer_of_task(id, method, params).await;
                true
            }
            Action::Reject { id, code, message } => {
                self.to_back.send(error_line(&id, code, &message)).await;
                true
            }
            Action::CallCancelled { .. } | Action::Drop => true,
            Action::SamplingCancelled { id } => {
                if self.answers.cancel(&id) {
                    // Its turn may have come in this moment.
                    self.session.forget(&id);
                    tracing::info!(request = %String::from_utf8_lossy(&id), "the server cancelled its sampling request");
                    true
                } else {
                    self.to_front.send(message).await
                }
            }
            Action::SplitBatch { rest, ours } => {
                let part = |line| Message { line, related_request_id: related_request_id.clone() };
                let mut open = true;
                if let Some(rest) = rest {
                    open = self.to_front.send(part(rest)).await;
                }
                for request in ours {
                    open &= Box::pin(self.server_says(part(request))).await;
                }
                open
            }
        }
    }

    /// Answers a sampling request beside the loops.
    async fn answer(
        &self,
        id: Vec<u8>,
        params: Bytes,
        related_request_id: Option<Bytes>,
        is_rate_counted: bool,
    ) -> bool {
        let Some(sampler) = self.session.sampler() else { return true };
        let sampler = Arc::clone(sampler);
        let shown = String::from_utf8_lossy(&id).into_owned();
        let wanted = if self.session.has_tasks() { tasks::wanted(&params) } else { None };
        let began = Instant::now();
        tracing::info!(target: "understudy::hop", request = shown, "the server asks for a completion ({} bytes)", params.len());
        let key = id.clone();
        let context = self.session.context(related_request_id.as_deref());
        let circumstances = self.session.circumstances(related_request_id.as_deref());
        let approver = sampler.asks_for_approval().then(|| self.approver(related_request_id.clone()));
        let (progress, telling) = Progress::of(&params, &self.to_back, self.session.heartbeat());
        let create = async move {
            let params = SamplingParams::Json(&params);
            let asked = SamplingRequest { params, context, progress, circumstances, approver, is_rate_counted };
            // All progress is told before the answer is given.
            let (outcome, ()) = tokio::join!(create(&sampler, asked, &shown), telling);
            if let Ok(result) = &outcome {
                hop!(shown, began, "the server gets its answer ({} bytes)", result.len());
            }
            outcome
        };
        if let Some(wanted) = wanted {
            let begun = wanted.and_then(|ttl| self.tasks.begin(ttl, create));
            return self.to_back.send(answer_line(&id, begun)).await;
        }
        // A box: it is large, and everything that it is handed to until it runs would move it.
        let to_back = self.to_back.clone();
        let answer = Box::pin(async move { (to_back, answer_line(&key, create.await).into()) });
        let begun = self.answers.begin(id.clone(), related_request_id, answer);
        begun || self.refuse_id(&id).await
    }

    /// Who can be asked whether a request may be answered that came in the course of this call.
    fn approver(&self, related_request_id: Option<Bytes>) -> Approver {
        match &self.ask {
            Some(ask) => Approver::new(Arc::clone(ask), Arc::clone(self.elicitations.session())),
            None => self.elicitations.approver(self.session.client_elicits(), related_request_id),
        }
    }

    /// What the server asks of its tasks, answered beside the loops too: a result may take its time.
    async fn answer_of_task(&self, id: Vec<u8>, method: String, params: Bytes) -> bool {
        let (tasks, key) = (Arc::clone(&self.tasks), id.clone());
        let to_back = self.to_back.clone();
        let answer = async move { (to_back, answer_line(&key, tasks.answer(&method, &params).await).into()) };
        let begun = self.answers.begin(id.clone(), None, answer);
        begun || self.refuse_id(&id).await
    }

    /// Asks the client when the request's turn has come.
    async fn ask_later(&self, id: Vec<u8>, params: Bytes, message: Message) -> bool {
        let Some(sampler) = self.session.sampler().cloned() else { return true };
        let (session, key, related_request_id) =
            (Arc::clone(&self.session), id.clone(), message.related_request_id.clone());
        let (to_front, to_back) = (self.to_front.clone(), self.to_back.clone());
        let asking = async move {
            let turn = sampler.wait_for_rate(params.len()).await.map_err(Failure::from);
            match turn.and_then(|()| session.goes_to_client(&key, &params)) {
                Ok(()) => (to_front, message),
                Err(failure) => (to_back, failure.line(&key).into()),
            }
        };
        let begun = self.answers.begin(id.clone(), related_request_id, asking);
        begun || self.refuse_id(&id).await
    }

    async fn refuse_id(&self, id: &[u8]) -> bool {
        self.to_back.send(error_line(id, code::INVALID_REQUEST, "a request with this id is still being answered")).await
    }
}

/// The response that an answer makes.
fn answer_line(id: &[u8], answer: Result<String, Failure>) -> Bytes {
    match answer {
        Ok(result) => result_line(id, &result),
        Err(failure) => failure.line(id),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::{Relay, RelayOptions};
    use super::*;
    use understudy::config::{Config, Sampling};
    use understudy::sampling::Sampler;

    #[tokio::test]
    async fn a_flood_of_requests_leaves_others_their_turn() {
        let config = Config::parse("{}", Path::new("a test")).unwrap();
        let rule = Sampling::by(Vec::new());
        let sampler = Sampler::new("a server", &rule, Vec::new(), Arc::default(), &config);
        let ((front, _client), (back, server)) = (Duplex::pair(), Duplex::pair());
        for id in 0..IN_A_ROW + 4 {
            let request = json!({ "jsonrpc": "2.0", "id": id, "method": "sampling/createMessage", "params": { "messages": [], "maxTokens": 1 } });
            server.outgoing.try_send(Incoming::Message(Bytes::from(format!("{request}\n")).into())).unwrap();
        }
        let waiting = || server.outgoing.max_capacity() - server.outgoing.capacity();
        let _relay = Relay::start(front, back, Some((rule, Arc::new(sampler))), RelayOptions::new(1 << 20));
        // This is somebody else, who comes next each time.
        let others_turn = async || tokio::spawn(async {}).await.unwrap();
        others_turn().await;
        assert_eq!(waiting(), 4);
    }
}
