//! What to do with each message of the eras that have sessions (2024-11-05 to 2025-11-25).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcp::{Head, Kind, Parts, batch, cancelled_id, code, error_line, ids, method, notification, splice};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::allowance::Allowance;
use super::capabilities::{self, Declared};
use super::doings::Doings;
use super::refusal::{self, Meaning};
use super::tasks::{self, Tasks};
use super::verdict::Verdict;
use super::{Answering, Clients, lookalike, max_tokens};
use crate::config::{Attached, Mode};
use crate::sampling::{Context, Sampler};

/// So many requests of the client's that are going on are remembered. Beyond that nobody knows which of them is the only one.
const MOST_GOING: usize = 65_536;

/// One session between a client and a server.
pub(super) struct Session {
    answering: Answering,
    /// What the client declared, and what the server was told.
    declared: OnceLock<Told>,
    /// Sampling requests that the client is answering, by their ids: what they ask, in case it can't.
    with_client: Mutex<HashMap<Vec<u8>, WithClient>>,
    /// Those that are answered as tasks of ours.
    tasks: Arc<Tasks>,
    /// What the server may still ask.
    allowance: Option<Allowance>,
    /// Whether it has been said that a client's error wasn't taken for one of a client that can't.
    told_unclear: AtomicBool,
    /// Whether it has been said that something was taken for a disguised request.
    told_lookalike: AtomicBool,
    /// What the server is doing, where the config asks for it.
    doings: Option<Doings>,
    /// Whether that may be attached to what it asks.
    attaches: bool,
    /// The client's `initialize` as the server got it, until that has answered.
    initialize: Mutex<Option<Initialize>>,
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
struct Told {
    /// By the client.
    clients: Declared,
    /// To the server.
    all: Declared,
    /// Whether we have told the server that its requests may be answered as tasks. The client may have said so by itself.
    tasks: bool,
}

/// An `initialize` that is on its way.
struct Initialize {
    id: Vec<u8>,
    line: Bytes,
    since: Instant,
}

impl Session {
    pub(super) fn new(answering: Answering, clients: Clients) -> Self {
        let rule = answering.as_ref().map(|(rule, _)| rule);
        let attaches = rule.is_some_and(|rule| rule.context == Attached::ThisServer);
        let watches = attaches || rule.is_some_and(|rule| rule.tools.is_some());
        let doings = watches.then(|| Doings::of(clients));
        Self {
            allowance: answering.as_ref().map(|(rule, sampler)| Allowance::new(sampler.server(), rule)),
            told_unclear: AtomicBool::new(false),
            told_lookalike: AtomicBool::new(false),
            answering,
            declared: OnceLock::new(),
            with_client: Mutex::default(),
            tasks: Arc::default(),
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
        if head.is_request(method::INITIALIZE) {
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
            *self.initialize() = Some(Initialize { id, line: sent, since: Instant::now() });
            return edited.map_or(Verdict::Pass, Verdict::Replace);
        }
        match (head.kind(), head.id()) {
            (Kind::Response, Some(id)) => self.answer_of_client(line, id),
            (Kind::Request, Some(id)) => {
                self.begins(&head, id);
                Verdict::Pass
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
                Verdict::Pass
            }
            (Kind::Notification, _) if head.method() == Some(notification::CANCELLED) => {
                let Some(call) = cancelled_id(line) else { return Verdict::Pass };
                let mut going = self.going();
                let is_known = going.len() < MOST_GOING;
                let spelt = going.remove(ids::key(&call).as_ref());
                let alone = is_known && spelt.is_some() && going.is_empty();
                drop(going);
                let call = spelt.unwrap_or(call);
                self.ends(&call);
                Verdict::Cancelled { call, alone }
            }
            _ => Verdict::Pass,
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
    fn answer_of_client(&self, line: &Bytes, id: &[u8]) -> Verdict {
        let Some(WithClient { id: servers, params }) = self.take_from_client(id) else { return Verdict::Pass };
        let pass = || {
            if servers == id { Verdict::Pass } else { Verdict::Replace(splice::with_id(line, &servers)) }
        };
        // A result is the client's answer, whatever is in it; so is what can't be read.
        let Some(error) = Parts::of(line).ok().filter(|parts| parts.result.is_none()).and_then(|parts| parts.error)
        else {
            return pass();
        };
        let said = format!("{}, code {}", crate::text::one_line(&error.message, 200), error.code);
        match refusal::meaning(&error) {
            Meaning::Cannot => {
                tracing::info!("the client can't sample ({said}): the plugin answers");
                match self.while_a_tool_is_called(&servers) {
                    Some(refusal) => refusal,
                    None => Verdict::Answer { id: servers, params, is_rate_counted: true },
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
    fn while_a_tool_is_called(&self, id: &[u8]) -> Option<Verdict> {
        let tools = self.answering.as_ref().and_then(|(rule, _)| rule.tools.as_deref())?;
        let may_ask = self.doings.as_ref().is_some_and(|doings| doings.calls_one_of(tools));
        (!may_ask).then(|| Verdict::Refuse { id: id.to_vec(), code: code::INTERNAL_ERROR, message: only_while(tools) })
    }

    fn initialize(&self) -> MutexGuard<'_, Option<Initialize>> {
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

    /// A message of the server's.
    /// `about` is the client's request in whose course it is said, where that is known.
    pub(super) fn server_says(&self, line: &Bytes, about: Option<&[u8]>) -> Verdict {
        if self.answering.is_none() {
            return Verdict::Pass;
        }
        let head = Head::of(line);
        if let Some(line) = self.respelt(line, &head) {
            return match self.server_says(&line, about) {
                Verdict::Pass => Verdict::Replace(line),
                other => other,
            };
        }
        if let Some(doings) = &self.doings {
            doings.server_says(line, &head);
        }
        match head.kind() {
            Kind::Request if head.method() == Some(method::SAMPLING_CREATE_MESSAGE) => {
                self.sampling_request(line, &head, about)
            }
            _ if lookalike::is_one(line, &head) => self.lookalike(&head),
            Kind::Response => {
                if let Some(id) = head.id() {
                    self.answered(id);
                }
                Verdict::Pass
            }
            Kind::Request if self.has_tasks() && head.method().is_some_and(Tasks::knows) => self.task(line, &head),
            Kind::Notification if head.method() == Some(notification::CANCELLED) => self.cancelled(line),
            Kind::Batch => self.batch(line),
            _ => Verdict::Pass,
        }
    }

    /// The message with the ids of its answers as the client spells them, where the server gives them back in another way.
    fn respelt(&self, line: &Bytes, head: &Head) -> Option<Bytes> {
        let respelt = |line: &Bytes, head: &Head| {
            let id = head.id().filter(|_| head.kind() == Kind::Response)?;
            let going = self.going();
            let clients = going.get(ids::find(id, |key| going.contains_key(key))?.as_ref())?;
            // One with two ids can't be edited.
            (clients != id).then(|| splice::with_id(line, clients)).filter(|respelt| respelt != line)
        };
        if head.kind() != Kind::Batch {
            return respelt(line, head);
        }
        let elements = batch::messages(line, head);
        let respelt = elements.iter().filter_map(|(own, head)| Some((&own[..], respelt(own, head)?)));
        let respelt: Vec<(&[u8], Bytes)> = respelt.collect();
        (!respelt.is_empty()).then(|| splice::replace_each(line, respelt))
    }

    /// The server has answered a request of the client's.
    fn answered(&self, id: &[u8]) {
        self.going().remove(ids::key(id).as_ref());
        self.ends(id);
    }

    /// What could be taken for a sampling request, and is none.
    fn lookalike(&self, head: &Head) -> Verdict {
        let reason = "this is no valid JSON-RPC request, and could be taken for one of `sampling/createMessage`";
        if !self.told_lookalike.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the server wrote a message that is no valid request, and could be taken for one of `sampling/createMessage`: it is not passed on (said once)"
            );
        }
        match head.id() {
            // It is in a log that the server writes to stdout. The message itself comes by itself, and is the one to answer.
            _ if head.is_quoted() => Verdict::Drop,
            // The client waits for it.
            Some(id) if head.answers() => {
                self.answered(id);
                let reason = "the server's answer could be taken for a request of `sampling/createMessage`, and is not passed on";
                Verdict::Replace(error_line(id, code::INTERNAL_ERROR, reason))
            }
            Some(id) => Verdict::Refuse { id: id.to_vec(), code: code::INVALID_REQUEST, message: reason.to_owned() },
            None => Verdict::Drop,
        }
    }

    /// What the server asks of tasks, which may be ours. A client that has tasks of its own lists these.
    fn task(&self, line: &Bytes, head: &Head) -> Verdict {
        let params = Parts::of(line).ok().and_then(|parts| parts.params);
        let params = params.map_or_else(Bytes::new, |params| line.slice_ref(params.get().as_bytes()));
        if !self.has_own_tasks() && !self.tasks.has(&params) {
            return Verdict::Pass;
        }
        let (id, method) = (head.id().unwrap_or_default().to_vec(), head.method().unwrap_or_default().to_owned());
        Verdict::Task { id, method, params }
    }

    /// A request for a completion: held to the rule, whoever is to answer it.
    fn sampling_request(&self, line: &Bytes, head: &Head, about: Option<&[u8]>) -> Verdict {
        let id = head.id().unwrap_or_default().to_vec();
        let refuse = |code, message: String| Verdict::Refuse { id: id.clone(), code, message };
        let raw = match Parts::of(line) {
            Ok(parts) => parts.params,
            Err(error) => return refuse(code::PARSE_ERROR, format!("the request is not valid JSON: {error}")),
        };
        let Some(raw) = raw else {
            return refuse(code::INVALID_PARAMS, "invalid sampling request: `params` is missing".to_owned());
        };
        let Some((rule, sampler)) = &self.answering else { return Verdict::Pass };
        let params = line.slice_ref(raw.get().as_bytes());
        let Told { clients, all, .. } = self.declared.get().copied().unwrap_or_default();
        let needs = needs(&params);
        // Where we have declared tasks, they are ours, not the client's.
        let is_task = self.has_own_tasks() && tasks::wanted(&params).is_some();
        // Of a context that isn't declared to the server either, the client may know nothing and answer all the same.
        let can =
            (clients.parts.tools || !needs.tools) && (clients.parts.context || !all.parts.context || !needs.context);
        let is_clients = rule.mode == Mode::Fallback && clients.sampling && can && !is_task;
        if !is_clients && needs.tools && self.declared.get().is_some() && !all.parts.tools {
            let reason =
                "invalid sampling request: it uses `tools`, and `sampling.tools` was not declared in this session";
            return refuse(code::INVALID_PARAMS, reason.to_owned());
        }
        if let Some(refusal) = self.while_a_tool_is_called(&id) {
            return refusal;
        }
        if is_clients && lookalike::has_other_params(line) {
            return refuse(
                code::INVALID_REQUEST,
                "invalid sampling request: a member could be read as `params`, and isn't it".to_owned(),
            );
        }
        // What the plugin answers is held to the rest when it is read.
        let line = match is_clients.then(|| sampler.review(&params)) {
            None => line.clone(),
            Some(Ok(lowered)) => lowered.map_or_else(|| line.clone(), |lowered| max_tokens::lower(line, raw, lowered)),
            Some(Err(error)) => return refuse(error.code(), error.to_string()),
        };
        let charged =
            self.allowance.as_ref().map(|allowance| allowance.charge(about, needs.tools || has_results(&params)));
        if let Some(Err(reason)) = charged {
            return refuse(code::INTERNAL_ERROR, reason);
        }
        match is_clients {
            false => Verdict::Answer { id, params, is_rate_counted: false },
            true if sampler.try_rate() => match self.goes_to_client(&id, &params) {
                Ok(()) => Verdict::Replace(line),
                Err((code, reason)) => refuse(code, reason),
            },
            true => Verdict::Wait { id, params, line },
        }
    }

    /// The client answers it from now on, if it can.
    pub(super) fn goes_to_client(&self, id: &[u8], params: &Bytes) -> Result<(), (i64, String)> {
        let Some(sampler) = self.sampler() else { return Ok(()) };
        let mut with_client = self.with_client();
        let bytes = with_client.values().map(|asked| asked.params.len()).sum::<usize>();
        sampler
            .check_room(with_client.len() + 1, bytes + params.len())
            .map_err(|error| (error.code(), error.to_string()))?;
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

    fn cancelled(&self, line: &Bytes) -> Verdict {
        let Some(id) = cancelled_id(line) else { return Verdict::Pass };
        self.forget(&id);
        Verdict::Cancel { id }
    }

    /// A batch, in which revision 2025-03-26 allows requests: what is ours is taken out, the rest stays together.
    fn batch(&self, line: &Bytes) -> Verdict {
        let Some(elements) = batch::split(line) else {
            // Nobody knows what a lenient reader makes of it.
            return if lookalike::speaks_of_it(line) { self.lookalike(&Head::default()) } else { Verdict::Pass };
        };
        let (mut ours, mut others, mut dropped) = (Vec::new(), Vec::new(), false);
        for element in elements {
            let head = Head::of(&element);
            if head.kind() == Kind::Batch && lookalike::speaks_of_it(&element) {
                // There are no batches of batches.
                self.lookalike(&Head::default());
                dropped = true;
            } else if head.is_request(method::SAMPLING_CREATE_MESSAGE) || lookalike::is_one(&element, &head) {
                ours.push([&element[..], b"\n"].concat().into());
            } else {
                if let (Kind::Response, Some(id)) = (head.kind(), head.id()) {
                    self.answered(id);
                }
                others.push(element);
            }
        }
        if ours.is_empty() && !dropped {
            // At most it speaks of it.
            return Verdict::Pass;
        }
        let rest = (!others.is_empty()).then(|| batch::join_line(&others));
        Verdict::Apart { rest, ours }
    }
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

/// Whether results of tools are among its messages.
pub(super) fn has_results(params: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Params {
        messages: Vec<Message>,
    }
    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        content: serde_json::Value,
    }
    let is_result = |block: &serde_json::Value| block.get("type").is_some_and(|kind| kind == "tool_result");
    // Nearly all have neither the words nor anything that could be an escape in them.
    let may_have = memchr::memmem::find(params, b"tool_result").or_else(|| memchr::memmem::find(params, b"\\u00"));
    may_have.is_some_and(|_| {
        let messages = serde_json::from_slice::<Params>(params).map(|params| params.messages).unwrap_or_default();
        messages.iter().any(|message| match &message.content {
            serde_json::Value::Array(blocks) => blocks.iter().any(is_result),
            block => is_result(block),
        })
    })
}
