//! What to do with each message of the eras that have sessions (2024-11-05 to 2025-11-25).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::capabilities::{self, Declared};
use super::doings::Doings;
use super::era;
use super::tasks::{self, Tasks};
use super::verdict::Verdict;
use super::{Answering, Clients};
use crate::config::{Attached, Mode};
use crate::jsonrpc::{self, Head, Kind, Parts};
use crate::sampling::{Context, Sampler};

/// The method that all this is about.
pub(super) const CREATE_MESSAGE: &str = "sampling/createMessage";

/// "User rejected sampling request": an answer that stands.
const REJECTED: i64 = -1;

/// So many requests that the client is answering are remembered. Beyond that its answer stands, whatever it is.
const MOST_WITH_CLIENT: usize = 1024;

/// So many requests of the client's that are going on are remembered. Beyond that nobody knows which of them is the only one.
const MOST_GOING: usize = 65_536;

/// One session between a client and a server.
pub(super) struct Session {
    answering: Answering,
    /// What the client declared, and what the server was told.
    declared: OnceLock<Told>,
    /// Sampling requests that the client is answering: what they ask, in case it can't.
    with_client: Mutex<HashMap<Vec<u8>, Bytes>>,
    /// What the server is doing, where the config asks for it.
    doings: Option<Doings>,
    /// Whether that may be attached to what it asks.
    attaches: bool,
    /// The client's `initialize` as the server got it, until that has answered.
    initialize: Mutex<Option<Initialize>>,
    /// The client's requests that are going on, by their ids.
    going: Mutex<HashSet<Vec<u8>>>,
}

/// What was declared when the session began.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    /// By the client.
    clients: Declared,
    /// To the server.
    all: Declared,
    /// Whether the server was told that its requests may be answered as tasks.
    tasks: bool,
}

/// An `initialize` that is on its way.
struct Initialize {
    id: Vec<u8>,
    line: Bytes,
}

impl Session {
    pub(super) fn new(answering: Answering, clients: Clients) -> Self {
        let rule = answering.as_ref().map(|(rule, _)| rule);
        let attaches = rule.is_some_and(|rule| rule.context == Attached::ThisServer);
        let watches = attaches || rule.is_some_and(|rule| rule.tools.is_some());
        let doings = watches.then(|| Doings::of(clients));
        Self {
            answering,
            declared: OnceLock::new(),
            with_client: Mutex::default(),
            doings,
            attaches,
            initialize: Mutex::default(),
            going: Mutex::default(),
        }
    }

    pub(super) fn sampler(&self) -> Option<&Arc<Sampler>> {
        self.answering.as_ref().map(|(_, sampler)| sampler)
    }

    /// How often a server is told that it is being answered.
    pub(super) fn heartbeat(&self) -> Option<Duration> {
        self.answering.as_ref().map(|(rule, _)| rule.heartbeat)
    }

    /// Whether the server was told that its requests may be answered as tasks.
    pub(super) fn has_tasks(&self) -> bool {
        self.declared.get().is_some_and(|told| told.tasks)
    }

    /// What the server may have attached to what it asks now, in the course of a call if the transport tells that.
    pub(super) fn context(&self, about: Option<&[u8]>) -> Option<Context> {
        self.doings.as_ref().filter(|_| self.attaches).map(|doings| doings.context(about))
    }

    /// A message of the client's.
    pub(super) fn client_says(&self, line: &Bytes) -> Verdict {
        let Some((rule, sampler)) = &self.answering else { return Verdict::Pass };
        let head = Head::of(line);
        if let Some(doings) = &self.doings {
            doings.client_says(line, &head);
        }
        if head.is_request("initialize") {
            let tools = rule.declare_tools && sampler.accepts_tools();
            let offer = capabilities::Parts { tools, context: self.attaches };
            let Some((clients, all, edited)) = capabilities::declare(line, offer) else { return Verdict::Pass };
            let with_tasks = Some(edited.as_ref().unwrap_or(line)).filter(|_| rule.declare_tasks);
            let with_tasks = with_tasks.and_then(capabilities::declare_tasks);
            // A second `initialize` in one session changes nothing.
            let _ = self.declared.set(Told { clients, all, tasks: with_tasks.is_some() });
            let edited = with_tasks.or(edited);
            let sent = edited.clone().unwrap_or_else(|| line.clone());
            let id = head.id().unwrap_or_default().to_vec();
            *self.initialize.lock().unwrap_or_else(PoisonError::into_inner) = Some(Initialize { id, line: sent });
            return edited.map_or(Verdict::Pass, Verdict::Replace);
        }
        match (head.kind(), head.id()) {
            (Kind::Response, Some(id)) => self.answer_of_client(line, id),
            (Kind::Request, Some(id)) => {
                let mut going = self.going();
                if going.len() < MOST_GOING {
                    going.insert(id.to_vec());
                }
                Verdict::Pass
            }
            (Kind::Notification, _) if head.method() == Some("notifications/cancelled") => {
                let Some(call) = jsonrpc::cancelled(line) else { return Verdict::Pass };
                let mut going = self.going();
                let alone = going.len() < MOST_GOING && going.remove(&call) && going.is_empty();
                Verdict::Cancelled { call, alone }
            }
            _ => Verdict::Pass,
        }
    }

    fn going(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.going.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client's answer to a sampling request: an error that isn't a refusal calls the understudy.
    fn answer_of_client(&self, line: &Bytes, id: &[u8]) -> Verdict {
        let asked = self.with_client.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        let error = asked.as_ref().and_then(|_| Parts::of(line).ok()?.error);
        match (asked, error) {
            (Some(params), Some(error)) if error.code != REJECTED => {
                tracing::info!(
                    "the client couldn't answer ({}); the plugin does",
                    crate::text::one_line(&error.message, 200)
                );
                self.answer(id.to_vec(), params)
            }
            _ => Verdict::Pass,
        }
    }

    /// A sampling request is for us, if the server may ask now.
    fn answer(&self, id: Vec<u8>, params: Bytes) -> Verdict {
        let tools = self.answering.as_ref().and_then(|(rule, _)| rule.tools.as_deref());
        match tools {
            Some(tools) if !self.doings.as_ref().is_some_and(|doings| doings.calls_one_of(tools)) => {
                Verdict::Refuse { id, code: -32603, message: only_while(tools) }
            }
            _ => Verdict::Answer { id, params },
        }
    }

    /// The client's `initialize`, if this is the refusal of it by a server of the era without sessions.
    pub(super) fn refused_initialize(&self, line: &Bytes) -> Option<Bytes> {
        // Once it is answered, this is all that there is to look at.
        let mut waiting = self.initialize.lock().unwrap_or_else(PoisonError::into_inner);
        let id = waiting.as_ref()?.id.as_slice();
        let head = Head::of(line);
        if head.kind() != Kind::Response || head.id() != Some(id) {
            return None;
        }
        let initialize = waiting.take()?.line;
        era::is_modern(&Parts::of(line).ok()?.error?).then_some(initialize)
    }

    /// A message of the server's.
    pub(super) fn server_says(&self, line: &Bytes) -> Verdict {
        if self.answering.is_none() {
            return Verdict::Pass;
        }
        let head = Head::of(line);
        if let Some(doings) = &self.doings {
            doings.server_says(line, &head);
        }
        match head.kind() {
            Kind::Response => {
                if let Some(id) = head.id() {
                    self.going().remove(id);
                }
                Verdict::Pass
            }
            Kind::Request if head.method() == Some(CREATE_MESSAGE) => self.sampling_request(line, &head),
            Kind::Request if self.has_tasks() && head.method().is_some_and(Tasks::knows) => task(line, &head),
            Kind::Notification if head.method() == Some("notifications/cancelled") => self.cancelled(line),
            Kind::Batch if memchr::memmem::find(line, CREATE_MESSAGE.as_bytes()).is_some() => batch(line),
            _ => Verdict::Pass,
        }
    }

    fn sampling_request(&self, line: &Bytes, head: &Head) -> Verdict {
        let id = head.id().unwrap_or_default().to_vec();
        let refuse = |code, message: String| Verdict::Refuse { id: id.clone(), code, message };
        let params = match Parts::of(line) {
            Ok(parts) => parts.params.map_or_else(Bytes::new, |params| line.slice_ref(params.get().as_bytes())),
            Err(error) => return refuse(-32700, format!("the request is not valid JSON: {error}")),
        };
        if params.is_empty() {
            return refuse(-32602, "invalid sampling request: `params` is missing".to_owned());
        }
        let Told { clients, all, .. } = self.declared.get().copied().unwrap_or_default();
        let mode = self.answering.as_ref().map(|(rule, _)| rule.mode);
        let needs = needs(&params);
        // Tasks are ours, not the client's.
        let is_task = self.has_tasks() && tasks::wanted(&params).is_some();
        // Of a context that isn't declared to the server either, the client may know nothing and answer all the same.
        let can =
            (clients.parts.tools || !needs.tools) && (clients.parts.context || !all.parts.context || !needs.context);
        if mode == Some(Mode::Fallback) && clients.sampling && can && !is_task {
            let mut with_client = self.with_client.lock().unwrap_or_else(PoisonError::into_inner);
            if with_client.len() < MOST_WITH_CLIENT {
                with_client.insert(id, params);
            }
            return Verdict::Pass;
        }
        if needs.tools && self.declared.get().is_some() && !all.parts.tools {
            let reason =
                "invalid sampling request: it uses `tools`, and `sampling.tools` was not declared in this session";
            return refuse(-32602, reason.to_owned());
        }
        self.answer(id, params)
    }

    fn cancelled(&self, line: &Bytes) -> Verdict {
        let Some(id) = jsonrpc::cancelled(line) else { return Verdict::Pass };
        self.with_client.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        Verdict::Cancel { id }
    }
}

/// What the server asks of our tasks.
fn task(line: &Bytes, head: &Head) -> Verdict {
    let (id, method) = (head.id().unwrap_or_default().to_vec(), head.method().unwrap_or_default().to_owned());
    let params = Parts::of(line).ok().and_then(|parts| parts.params);
    let params = params.map_or_else(Bytes::new, |params| line.slice_ref(params.get().as_bytes()));
    Verdict::Task { id, method, params }
}

/// Why a server may not ask now.
pub(super) fn only_while(tools: &[String]) -> String {
    let tools = crate::text::list(tools.iter().map(String::as_str));
    format!("this server may ask only while one of its tools {tools} is being called (`sampling.tools`)")
}

/// The parts of sampling that a request uses.
pub(super) fn needs(params: &[u8]) -> capabilities::Parts {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Needs<'a> {
        #[serde(borrow, default)]
        tools: Option<&'a RawValue>,
        #[serde(borrow, default)]
        tool_choice: Option<&'a RawValue>,
        #[serde(borrow, default)]
        include_context: Option<&'a RawValue>,
    }
    let Ok(needs) = serde_json::from_slice::<Needs>(params) else { return capabilities::Parts::default() };
    capabilities::Parts {
        tools: needs.tools.is_some() || needs.tool_choice.is_some(),
        context: needs.include_context.is_some_and(|include| include.get() != "\"none\""),
    }
}

/// A batch, in which revision 2025-03-26 allows requests: what is ours is taken out, the rest stays together.
fn batch(line: &Bytes) -> Verdict {
    let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(line) else { return Verdict::Pass };
    let elements = elements.into_iter().map(RawValue::get);
    let is_ours = |element: &&str| Head::of(element.as_bytes()).is_request(CREATE_MESSAGE);
    let (ours, others): (Vec<&str>, Vec<&str>) = elements.partition(is_ours);
    if ours.is_empty() {
        // It only speaks of it.
        return Verdict::Pass;
    }
    let rest = (!others.is_empty()).then(|| Bytes::from(format!("[{}]\n", others.join(","))));
    let ours = ours.into_iter().map(|element| Bytes::from(format!("{element}\n"))).collect();
    Verdict::Apart { rest, ours }
}
