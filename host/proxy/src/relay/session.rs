//! What to do with each message of the eras that have sessions (2024-11-05 to 2025-11-25).

mod server_messages;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcp::{Head, Kind, Parts, batch, cancelled_id, code, ids, method, notification, splice};

use super::action::Action;
use super::activity::ServerActivity;
use super::allowance::Allowance;
use super::capabilities::{self, Declared, SamplingParts};
use super::common::{Clients, Failure, SamplingHandler};
use super::refusal::{self, Meaning};
use super::refused_requests::RefusedRequests;
use super::request_needs::only_while;
use super::tasks::Tasks;
use understudy::config::Attached;
use understudy::sampling::{Circumstances, Context, Sampler};

/// So many requests of the client's that are going on are remembered. Beyond that nobody knows which of them is the only one.
const MOST_GOING: usize = 65_536;

/// One session between a client and a server.
pub(super) struct RelaySession {
    answering: SamplingHandler,
    /// What the client declared, and what the server was told.
    declared: OnceLock<Negotiated>,
    /// Sampling requests that the client is answering, by their ids: what they ask, in case it can't.
    with_client: Mutex<HashMap<Vec<u8>, WithClient>>,
    /// Those that are answered as tasks of ours.
    tasks: Arc<Tasks>,
    /// Writes down what is refused here.
    refused: RefusedRequests,
    /// What the server may still ask.
    allowance: Option<Allowance>,
    /// Whether it has been said that a client's error wasn't taken for one of a client that can't.
    told_unclear: AtomicBool,
    /// Whether it has been said that something was taken for a disguised request.
    told_lookalike: AtomicBool,
    /// What the server is doing, where the config asks for it.
    activity: Option<ServerActivity>,
    /// Whether that may be attached to what it asks.
    attaches: bool,
    /// The client's `initialize` as the server got it, until that has answered.
    initialize: Mutex<Option<PendingInitialize>>,
    /// The client's requests that are going on, by their ids: how the client spells these.
    going: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

/// A sampling request that the client is answering.
#[derive(Debug)]
struct WithClient {
    /// Its id, as the server spells it.
    id: Vec<u8>,
    params: Bytes,
}

/// What was declared when the session began.
#[derive(Debug, Clone, Copy, Default)]
struct Negotiated {
    /// By the client.
    clients: Declared,
    /// To the server.
    all: Declared,
    /// Whether we have told the server that its requests may be answered as tasks. The client may have said so by itself.
    tasks: bool,
}

/// An `initialize` that is on its way.
struct PendingInitialize {
    id: Vec<u8>,
    line: Bytes,
    since: Instant,
}

impl RelaySession {
    pub(super) fn new(answering: SamplingHandler, clients: Clients) -> Self {
        let rule = answering.as_ref().map(|(rule, _)| rule);
        let attaches = rule.is_some_and(|rule| rule.context == Attached::ThisServer);
        let wants_circumstances = answering.as_ref().is_some_and(|(_, sampler)| sampler.wants_circumstances());
        let watches = attaches || wants_circumstances || rule.is_some_and(|rule| rule.tools.is_some());
        let activity = watches.then(|| ServerActivity::of(clients));
        Self {
            allowance: answering.as_ref().map(|(rule, sampler)| Allowance::new(sampler.server(), rule)),
            told_unclear: AtomicBool::new(false),
            told_lookalike: AtomicBool::new(false),
            answering,
            declared: OnceLock::new(),
            with_client: Mutex::default(),
            tasks: Arc::default(),
            refused: RefusedRequests::default(),
            activity,
            attaches,
            initialize: Mutex::default(),
            going: Mutex::default(),
        }
    }

    pub(super) fn sampler(&self) -> Option<&Arc<Sampler>> {
        self.answering.as_ref().map(|(_, sampler)| sampler)
    }

    /// Whether the client can ask its user something.
    pub(super) fn client_elicits(&self) -> bool {
        self.declared.get().is_some_and(|told| told.clients.elicitation)
    }

    /// How often a server is told that it is being answered.
    pub(super) fn heartbeat(&self) -> Option<Duration> {
        self.answering.as_ref().map(|(rule, _)| rule.heartbeat)
    }

    /// The sampling requests that are answered as tasks of ours.
    pub(super) fn tasks(&self) -> &Arc<Tasks> {
        &self.tasks
    }

    /// Whether the server was told that its requests may be answered as tasks, by us or by the client.
    pub(super) fn has_tasks(&self) -> bool {
        self.declared.get().is_some_and(|told| told.tasks || told.clients.tasks)
    }

    /// Whether all tasks are ours.
    fn has_own_tasks(&self) -> bool {
        self.declared.get().is_some_and(|told| told.tasks)
    }

    /// What the server may have attached to what it asks now, in the course of a call if the transport tells that.
    pub(super) fn context(&self, related_request_id: Option<&[u8]>) -> Option<Context> {
        self.activity.as_ref().filter(|_| self.attaches).map(|activity| activity.context(related_request_id))
    }

    /// In whose name, and in the course of which call, the server asks now; nothing where nobody wants to know it.
    pub(super) fn circumstances(&self, related_request_id: Option<&[u8]>) -> Circumstances {
        self.activity.as_ref().map(|activity| activity.circumstances(related_request_id)).unwrap_or_default()
    }

    /// A message of the client's.
    pub(super) fn client_says(&self, line: &Bytes) -> Action {
        let Some((rule, sampler)) = &self.answering else { return Action::Forward };
        let head = Head::of(line);
        if let Some(activity) = &self.activity {
            activity.client_says(line, &head);
        }
        if head.is_request(method::INITIALIZE) {
            let tools = rule.declare_tools && sampler.accepts_tools();
            let offer = SamplingParts { tools, context: self.attaches };
            let Some((clients, all, edited)) = capabilities::declare(line, offer) else { return Action::Forward };
            let with_tasks = Some(edited.as_ref().unwrap_or(line)).filter(|_| rule.declare_tasks);
            let with_tasks = with_tasks.and_then(capabilities::declare_tasks);
            // A second `initialize` in one session changes nothing.
            let _ = self.declared.set(Negotiated { clients, all, tasks: with_tasks.is_some() });
            let edited = with_tasks.or(edited);
            let sent = edited.clone().unwrap_or_else(|| line.clone());
            let id = head.id().unwrap_or_default().to_vec();
            *self.initialize() = Some(PendingInitialize { id, line: sent, since: Instant::now() });
            return edited.map_or(Action::Forward, Action::ForwardEdited);
        }
        match (head.kind(), head.id()) {
            (Kind::Response, Some(id)) => self.answer_of_client(line, id),
            (Kind::Request, Some(id)) => {
                self.begins(&head, id);
                Action::Forward
            }
            (Kind::Batch, _) => {
                for (_, head) in batch::messages(line, &head) {
                    match (head.kind(), head.id()) {
                        (Kind::Request, Some(id)) => self.begins(&head, id),
                        // Its answer stands, whatever it is.
                        (Kind::Response, Some(id)) => drop(self.take_from_client(id)),
                        _ => {}
                    }
                }
                Action::Forward
            }
            (Kind::Notification, _) if head.method() == Some(notification::CANCELLED) => {
                let Some(call) = cancelled_id(line) else { return Action::Forward };
                let mut going = self.going();
                let is_known = going.len() < MOST_GOING;
                let spelt = going.remove(ids::key(&call).as_ref());
                let alone = is_known && spelt.is_some() && going.is_empty();
                drop(going);
                let call = spelt.unwrap_or(call);
                self.ends(&call);
                Action::CallCancelled { call, alone }
            }
            _ => Action::Forward,
        }
    }

    /// A request of the client's begins.
    fn begins(&self, head: &Head, id: &[u8]) {
        if let Some(allowance) = &self.allowance {
            allowance.begins(head.method(), id);
        }
        let mut going = self.going();
        if going.len() < MOST_GOING {
            going.insert(ids::key(id).into_owned(), id.to_vec());
        }
    }

    /// A request of the client's has its answer, or is given up.
    fn ends(&self, id: &[u8]) {
        if let Some(allowance) = &self.allowance {
            allowance.ends(id);
        }
    }

    fn with_client(&self) -> MutexGuard<'_, HashMap<Vec<u8>, WithClient>> {
        self.with_client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the client has answered, however it spells the id.
    fn take_from_client(&self, id: &[u8]) -> Option<WithClient> {
        let mut with_client = self.with_client();
        let key = ids::find(id, |key| with_client.contains_key(key))?;
        with_client.remove(key.as_ref())
    }

    fn going(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Vec<u8>>> {
        self.going.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client's answer to a sampling request: an error that says that it can't calls the understudy.
    fn answer_of_client(&self, line: &Bytes, id: &[u8]) -> Action {
        let Some(WithClient { id: servers, params }) = self.take_from_client(id) else { return Action::Forward };
        let pass = || {
            if servers == id { Action::Forward } else { Action::ForwardEdited(splice::with_id(line, &servers)) }
        };
        // A result is the client's answer, whatever is in it; so is what can't be read.
        let Some(error) = Parts::of(line).ok().filter(|parts| parts.result.is_none()).and_then(|parts| parts.error)
        else {
            return pass();
        };
        let said = format!("{}, code {}", understudy::text::one_line(&error.message, 200), error.code);
        match refusal::meaning(&error) {
            Meaning::Cannot => {
                tracing::info!("the client can't sample ({said}): the plugin answers");
                match self.while_a_tool_is_called(&servers) {
                    Some(refusal) => refusal,
                    None => Action::Sample { id: servers, params, is_rate_counted: true },
                }
            }
            Meaning::Refused => {
                tracing::info!("the client has refused ({said}): the server is told so");
                pass()
            }
            Meaning::Unclear => {
                if self.told_unclear.swap(true, Ordering::Relaxed) {
                    tracing::info!(
                        "the client failed, and doesn't say that it can't sample ({said}): the server is told so"
                    );
                } else {
                    tracing::warn!(
                        "the client failed, and doesn't say that it can't sample ({said}): the server is told so, since it may be a refusal; \
                         with `--mode always` the plugin answers (said once)"
                    );
                }
                pass()
            }
        }
    }

    /// Why the server may not ask now, if it may ask only while certain tools are called.
    fn while_a_tool_is_called(&self, id: &[u8]) -> Option<Action> {
        let tools = self.answering.as_ref().and_then(|(rule, _)| rule.tools.as_deref())?;
        let may_ask = self.activity.as_ref().is_some_and(|activity| activity.calls_one_of(tools));
        (!may_ask).then(|| Action::Reject { id: id.to_vec(), code: code::INTERNAL_ERROR, message: only_while(tools) })
    }

    fn initialize(&self) -> MutexGuard<'_, Option<PendingInitialize>> {
        self.initialize.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client's `initialize`, if it has gone to the server and has no answer yet, and since when.
    pub(super) fn unanswered_initialize(&self) -> Option<(Bytes, Instant)> {
        self.initialize().as_ref().map(|waiting| (waiting.line.clone(), waiting.since))
    }

    /// The same, no longer waited for.
    pub(super) fn take_initialize(&self) -> Option<Bytes> {
        self.initialize().take().map(|waiting| waiting.line)
    }

    /// Whether the client has sent `initialize`.
    pub(super) fn has_begun(&self) -> bool {
        self.declared.get().is_some()
    }

    /// The client's `initialize`, if this is the server's refusal of it. Servers of the era without sessions refuse it with many codes.
    pub(super) fn refused_initialize(&self, line: &Bytes) -> Option<Bytes> {
        // Once it is answered, this is all that there is to look at.
        let mut waiting = self.initialize();
        let id = waiting.as_ref()?.id.as_slice();
        let head = Head::of(line);
        if head.kind() != Kind::Response || !head.id().is_some_and(|given| ids::same(given, id)) {
            return None;
        }
        let initialize = waiting.take()?.line;
        Parts::of(line).ok()?.error.map(|_| initialize)
    }

    /// The client answers it from now on, if it can.
    pub(super) fn goes_to_client(&self, id: &[u8], params: &Bytes) -> Result<(), Failure> {
        let Some(sampler) = self.sampler() else { return Ok(()) };
        let mut with_client = self.with_client();
        let bytes = with_client.values().map(|asked| asked.params.len()).sum::<usize>();
        sampler.check_room(with_client.len() + 1, bytes + params.len())?;
        with_client.insert(ids::key(id).into_owned(), WithClient { id: id.to_vec(), params: params.clone() });
        Ok(())
    }

    /// The server wants no answer of the client's any more.
    pub(super) fn forget(&self, id: &[u8]) {
        self.with_client().remove(ids::key(id).as_ref());
    }

    /// The client is gone; the ids of what it hasn't answered.
    pub(super) fn forget_all(&self) -> Vec<Vec<u8>> {
        self.with_client().drain().map(|(_, with_client)| with_client.id).collect()
    }
}
