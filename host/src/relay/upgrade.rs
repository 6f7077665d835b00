//! The bridge from a client of the modern era, which has no session, to a server that wants one.
//!
//! It stands in front of the relay, which takes it for a client with a session: it initializes the server, takes the `_meta` of the modern era
//! off each request, and gives each result what that era wants. What the server asks the client for in the course of a call
//! (elicitation, roots) ends that round of it: the client gets `input_required`, the call is parked, and goes on with the client's retry.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::era::DISCOVER;
use super::members::Members;
use super::modern::{self, CAPABILITIES_KEY, CLIENT_KEY, OTHER_INPUTS, VERSION, VERSION_KEY};
use super::rounds::request;
use super::seal::{self, Remembered, Seal};
use super::session::CREATE_MESSAGE;
use super::{Spoken, edit, legacy, rounds};
use crate::config::Sampling;
use crate::jsonrpc::{self, Head, Kind, Parts, error_line, result_line};
use crate::sampling::Sampler;
use crate::text::one_line;
use crate::transport::{Incoming, Message, QUEUE, Side};

/// The revision that the server is asked for.
const LEGACY: &str = "2025-11-25";

/// Our id for `initialize`.
const INITIALIZE: &[u8] = b"\"understudy-initialize\"";

const LEVEL_KEY: &str = "io.modelcontextprotocol/logLevel";
const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";
const SERVER_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// How long a parked call waits for its client, which is as long as a `requestState` is good for.
const PARKED: Duration = Duration::from_mins(10);

/// Relays for a modern client and a server that has sessions.
pub(super) async fn run(front: Side, back: Side, by: (Sampling, Arc<Sampler>), limit: usize, first: Message) {
    let (to_relay, relays) = mpsc::channel(QUEUE);
    // Long, so that a relay that answers the client while it reads never waits for a bridge that waits for it.
    let (relay_says, from_relay) = mpsc::channel(64 * QUEUE);
    let side = Side { incoming: relays, outgoing: relay_says };
    let relay = legacy::run(side, back, Some(by), limit, Spoken::default());
    let _relay = AbortOnDropHandle::new(tokio::spawn(relay));
    let meta = modern::meta(&first.line).unwrap_or_default();
    let Some(seal) = Seal::new(None) else { return };
    let bridge = Bridge {
        to_front: front.outgoing,
        to_relay,
        server: Members::default(),
        seal,
        level: None,
        calls: HashMap::new(),
        by_front: HashMap::new(),
        listening: HashMap::new(),
        ours: HashSet::new(),
        made: 0,
    };
    tracing::info!("the client speaks {VERSION}, and the server an earlier revision: bridging");
    bridge.run(front.incoming, from_relay, &meta, first).await;
}

struct Bridge {
    to_front: mpsc::Sender<Message>,
    to_relay: mpsc::Sender<Incoming>,
    /// What the server answered to `initialize`.
    server: Members,
    seal: Seal,
    /// The level of log messages that the server was told, as spelt.
    level: Option<String>,
    /// By the ids that the server knows them by.
    calls: HashMap<Vec<u8>, Going>,
    /// These ids, by the client's.
    by_front: HashMap<Vec<u8>, Vec<u8>>,
    /// The requests for notifications, by the client's ids, with what each wants.
    listening: HashMap<Vec<u8>, Members>,
    /// Requests of our own.
    ours: HashSet<Vec<u8>>,
    made: u64,
}

/// A request of the client's.
struct Going {
    /// The client's id for it; none while it is parked.
    front: Option<Vec<u8>>,
    method: String,
    binding: Vec<u8>,
    /// What the client declared with it.
    capabilities: Members,
    wants_log: bool,
    /// What the server asked for, and the client hasn't been asked yet: the server's ids and the requests.
    waiting: VecDeque<(Vec<u8>, Members)>,
    /// What the client has been asked: the server's ids by our keys.
    asked: HashMap<String, Vec<u8>>,
    /// The answer, if it came while the call was parked.
    answer: Option<Bytes>,
    parked: Option<Instant>,
}

/// Whether the other side can still be told something.
type Open = Option<()>;

impl Bridge {
    async fn run(
        mut self,
        mut from_front: mpsc::Receiver<Incoming>,
        mut from_relay: mpsc::Receiver<Message>,
        meta: &Members,
        first: Message,
    ) {
        if let Err(reason) = self.initialize(meta, &mut from_relay).await {
            let id = Head::of(&first.line).id().unwrap_or(b"null").to_vec();
            // The client has gone, if it can't be told.
            let _ = self.tell(error_line(&id, -32603, &reason), None).await;
            return;
        }
        let mut open = self.client_says(first).await;
        let mut look = tokio::time::interval(Duration::from_secs(30));
        while open.is_some() {
            open = tokio::select! {
                incoming = from_front.recv() => match incoming {
                    Some(Incoming::Message(message)) => self.client_says(message).await,
                    Some(too_long) => self.to_relay.send(too_long).await.ok(),
                    None => break,
                },
                message = from_relay.recv() => match message {
                    Some(message) => self.server_says(message).await,
                    None => None,
                },
                _ = look.tick() => self.forget_parked().await,
            };
        }
        // The end of the client's input is that of the server's; what it has still to say is the client's.
        self.to_relay = mpsc::channel(1).0;
        while let Some(message) = from_relay.recv().await {
            // There may be something that nobody can be told any more.
            let _ = self.server_says(message).await;
        }
    }

    async fn tell(&self, line: Bytes, about: Option<Bytes>) -> Open {
        self.to_front.send(Message { line, about }).await.ok()
    }

    async fn say(&self, line: Bytes) -> Open {
        self.to_relay.send(Incoming::Message(line.into())).await.ok()
    }

    fn new_id(&mut self) -> Vec<u8> {
        self.made += 1;
        rounds::new_id(self.made)
    }

    /// Begins the session.
    async fn initialize(&mut self, meta: &Members, from_relay: &mut mpsc::Receiver<Message>) -> Result<(), String> {
        let gone = || "the server has ended".to_owned();
        let mut params = Members::default();
        params.put("protocolVersion", &LEGACY);
        let object = |key| meta.get(key).filter(|value| edit::is_object(value)).map(ToOwned::to_owned);
        params.set("capabilities", object(CAPABILITIES_KEY).unwrap_or_else(|| Members::default().raw()));
        match object(CLIENT_KEY) {
            Some(client) => params.set("clientInfo", client),
            None => params.put("clientInfo", &json!({ "name": "understudy", "version": env!("CARGO_PKG_VERSION") })),
        }
        self.say(request(INITIALIZE, "initialize", &params)).await.ok_or_else(gone)?;
        loop {
            let message = from_relay.recv().await.ok_or_else(gone)?;
            let head = Head::of(&message.line);
            if head.kind() != Kind::Response || head.id() != Some(INITIALIZE) {
                continue;
            }
            let parts = Parts::of(&message.line).map_err(|e| format!("the server's answer to `initialize`: {e}"))?;
            if let Some(error) = parts.error {
                let said = one_line(&error.message, 500);
                return Err(format!("the server refused `initialize`: {said} (code {})", error.code));
            }
            self.server = parts.result.and_then(Members::of).unwrap_or_default();
            break;
        }
        let line = Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
        self.say(line).await.ok_or_else(gone)
    }

    async fn client_says(&mut self, message: Message) -> Open {
        let head = Head::of(&message.line);
        match (head.kind(), head.method(), head.id()) {
            (Kind::Request, Some(method), Some(id)) => self.request(&message.line, method, id).await,
            (Kind::Notification, Some("notifications/cancelled"), _) => self.cancelled(&message.line).await,
            _ => self.say(message.line).await,
        }
    }

    async fn request(&mut self, line: &Bytes, method: &str, id: &[u8]) -> Open {
        let mut params = Parts::of(line).ok().and_then(|parts| Members::of(parts.params?)).unwrap_or_default();
        let mut meta = params.remove("_meta").as_deref().and_then(Members::of).unwrap_or_default();
        let version = meta.remove(VERSION_KEY).and_then(|version| serde_json::from_str::<String>(version.get()).ok());
        if version.as_deref() != Some(VERSION) {
            return self.tell(unsupported(id, version.as_deref().unwrap_or_default()), None).await;
        }
        if self.by_front.contains_key(id) || self.listening.contains_key(id) {
            return self.tell(error_line(id, -32600, "a request with this id is still going on"), None).await;
        }
        let capabilities = meta.remove(CAPABILITIES_KEY).as_deref().and_then(Members::of).unwrap_or_default();
        meta.remove(CLIENT_KEY);
        let level = meta.remove(LEVEL_KEY);
        match method {
            DISCOVER => return self.discovered(id).await,
            "subscriptions/listen" => return self.listen(id, &params).await,
            "initialize" | "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => {
                return self.tell(error_line(id, -32601, &format!("revision {VERSION} has no `{method}`")), None).await;
            }
            _ => {}
        }
        let responses = params.remove("inputResponses").as_deref().and_then(Members::of);
        let state = params.remove("requestState");
        let binding = seal::binding(method, &params);
        if responses.is_some() || state.is_some() {
            return self.goes_on(id, &binding, responses.unwrap_or_default(), state.as_deref()).await;
        }
        if let Some(level) = &level {
            self.log_at(level).await?;
        }
        if !meta.is_empty() {
            params.set("_meta", meta.raw());
        }
        let own = self.new_id();
        self.by_front.insert(id.to_vec(), own.clone());
        let line = request(&own, method, &params);
        let going = Going {
            front: Some(id.to_vec()),
            method: method.to_owned(),
            binding,
            capabilities,
            wants_log: level.is_some(),
            waiting: VecDeque::new(),
            asked: HashMap::new(),
            answer: None,
            parked: None,
        };
        self.calls.insert(own, going);
        self.say(line).await
    }

    /// What the server is, as this era tells it.
    async fn discovered(&self, id: &[u8]) -> Open {
        let mut result = Members::default();
        result.put("resultType", &"complete");
        result.put("supportedVersions", &[VERSION]);
        let capabilities = self.server.get("capabilities").map(ToOwned::to_owned);
        result.set("capabilities", capabilities.unwrap_or_else(|| Members::default().raw()));
        if let Some(instructions) = self.server.get("instructions") {
            result.set("instructions", instructions.to_owned());
        }
        cacheable(&mut result);
        if let Some(server) = self.server.get("serverInfo") {
            let mut meta = Members::default();
            meta.set(SERVER_KEY, server.to_owned());
            result.set("_meta", meta.raw());
        }
        self.tell(result_line(id, result.raw().get()), None).await
    }

    /// The server's log is set for all; a request that names no level gets none of it.
    async fn log_at(&mut self, level: &RawValue) -> Open {
        let has_log = self.server.object("capabilities").is_some_and(|has| has.get("logging").is_some());
        if !has_log || self.level.as_deref() == Some(level.get()) {
            return Some(());
        }
        self.level = Some(level.get().to_owned());
        let mut params = Members::default();
        params.set("level", level.to_owned());
        self.ask("logging/setLevel", &params).await
    }

    /// Makes a request of our own, whose answer is of no interest.
    async fn ask(&mut self, method: &str, params: &Members) -> Open {
        let id = self.new_id();
        let line = request(&id, method, params);
        self.ours.insert(id);
        self.say(line).await
    }

    /// The client wants notifications.
    async fn listen(&mut self, id: &[u8], params: &Members) -> Open {
        let wanted = params.object("notifications").unwrap_or_default();
        for uri in uris(&wanted) {
            let mut params = Members::default();
            params.put("uri", &uri);
            self.ask("resources/subscribe", &params).await?;
        }
        let mut params = Members::default();
        params.set("_meta", subscription(id).raw());
        params.set("notifications", wanted.raw());
        let line = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{}}}\n",
            params.raw().get()
        );
        self.listening.insert(id.to_vec(), wanted);
        self.tell(line.into(), Some(Bytes::copy_from_slice(id))).await
    }

    async fn cancelled(&mut self, line: &Bytes) -> Open {
        let Some(id) = jsonrpc::cancelled(line) else { return Some(()) };
        if let Some(wanted) = self.listening.remove(&id) {
            let others: HashSet<String> = self.listening.values().flat_map(uris).collect();
            for uri in uris(&wanted).into_iter().filter(|uri| !others.contains(uri)) {
                let mut params = Members::default();
                params.put("uri", &uri);
                self.ask("resources/unsubscribe", &params).await?;
            }
            return Some(());
        }
        let Some(own) = self.by_front.remove(&id) else { return Some(()) };
        self.calls.remove(&own);
        self.cancel(&own).await
    }

    async fn cancel(&self, own: &[u8]) -> Open {
        let id = String::from_utf8_lossy(own);
        let line = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{id}}}}}\n"
        );
        self.say(line.into()).await
    }

    /// A parked call goes on with what the client brings.
    async fn goes_on(&mut self, id: &[u8], binding: &[u8], responses: Members, state: Option<&RawValue>) -> Open {
        let state = state.and_then(|state| serde_json::from_str::<String>(state.get()).ok()).unwrap_or_default();
        let own = match self.seal.unseal(&state, binding) {
            Some(Ok(Remembered { state: Some(own), .. })) => own.get().as_bytes().to_vec(),
            Some(Err(reason)) => return self.tell(error_line(id, -32602, &reason.to_string()), None).await,
            _ => {
                let reason = "the `requestState` is not one that this server gave; make the request again without it";
                return self.tell(error_line(id, -32602, reason), None).await;
            }
        };
        let Some(going) = self.calls.get_mut(&own).filter(|going| going.front.is_none()) else {
            let reason = "the call that this `requestState` belongs to goes on already, or has ended; make the request again without it";
            return self.tell(error_line(id, -32602, reason), None).await;
        };
        going.front = Some(id.to_vec());
        going.parked = None;
        let answers: Vec<(Vec<u8>, Option<Box<RawValue>>)> =
            going.asked.drain().map(|(key, servers)| (servers, responses.get(&key).map(ToOwned::to_owned))).collect();
        let answer = going.answer.take();
        self.by_front.insert(id.to_vec(), own.clone());
        for (servers, answer) in answers {
            let line = match answer {
                Some(answer) => result_line(&servers, answer.get()),
                None => error_line(&servers, -32603, "the client has made the request again without an answer to this"),
            };
            self.say(line).await?;
        }
        match answer {
            Some(line) => self.answered(&own, &line).await,
            None => self.require(&own).await,
        }
    }

    async fn server_says(&mut self, message: Message) -> Open {
        let head = Head::of(&message.line);
        match (head.kind(), head.method(), head.id()) {
            (Kind::Response, _, Some(id)) if self.ours.remove(id) => Some(()),
            (Kind::Response, _, Some(id)) => self.answered(id, &message.line).await,
            (Kind::Request, Some(method), Some(id)) => self.asked(&message, method, id).await,
            (Kind::Notification, Some(method), _) => self.notified(&message, method).await,
            _ => Some(()),
        }
    }

    /// The answer to a call, with what this era wants of it.
    async fn answered(&mut self, own: &[u8], line: &Bytes) -> Open {
        let Some(going) = self.calls.get_mut(own) else { return Some(()) };
        let Some(front) = going.front.take() else {
            // The client will ask for it.
            going.answer = Some(line.clone());
            return Some(());
        };
        let line = match Parts::of(line).ok().and_then(|parts| Members::of(parts.result?)) {
            Some(mut result) => {
                if result.get("resultType").is_none() {
                    result.put("resultType", &"complete");
                }
                let method = going.method.as_str();
                if method.ends_with("/list") || method == "resources/read" {
                    cacheable(&mut result);
                }
                result_line(&front, result.raw().get())
            }
            None => edit::with_id(line, &front),
        };
        self.calls.remove(own);
        self.by_front.remove(&front);
        self.tell(line, None).await
    }

    /// The server asks for something that only the client can answer.
    async fn asked(&mut self, message: &Message, method: &str, id: &[u8]) -> Open {
        if method == "ping" {
            return self.say(result_line(id, "{}")).await;
        }
        if method != CREATE_MESSAGE && !OTHER_INPUTS.contains(&method) {
            return self.say(error_line(id, -32601, "the client has no such method")).await;
        }
        // The call that it belongs to, if the server tells; else the latest that the client waits for.
        let told = message.about.as_ref().map(|about| about.to_vec()).filter(|about| self.calls.contains_key(about));
        let latest = || {
            self.calls
                .iter()
                .filter(|(_, going)| may_ask(going))
                .max_by_key(|(own, going)| (going.front.is_some(), own.len(), (*own).clone()))
        };
        let Some(own) = told.or_else(|| latest().map(|(own, _)| own.clone())) else {
            let reason = format!("revision {VERSION}, which the client speaks, has no place for this outside a call");
            return self.say(error_line(id, -32603, &reason)).await;
        };
        let capability = method.split('/').next().unwrap_or(method);
        let Some(going) = self.calls.get_mut(&own) else { return Some(()) };
        if going.capabilities.get(capability).is_none() {
            let reason = format!("the client has not declared `{capability}`");
            return self.say(error_line(id, -32601, &reason)).await;
        }
        let mut input = Members::default();
        input.put("method", &method);
        if let Some(params) = Parts::of(&message.line).ok().and_then(|parts| parts.params) {
            input.set("params", params.to_owned());
        }
        going.waiting.push_back((id.to_vec(), input));
        self.require(&own).await
    }

    /// Asks the client for what the server waits for, which ends this round of the call.
    async fn require(&mut self, own: &[u8]) -> Open {
        let Some(going) = self.calls.get_mut(own) else { return Some(()) };
        if going.waiting.is_empty() || going.front.is_none() {
            return Some(());
        }
        let id = RawValue::from_string(String::from_utf8_lossy(own).into_owned()).unwrap_or_default();
        let remembered = Remembered::new(Some(id), Members::default(), 1);
        let (Some(state), Some(front)) = (self.seal.seal(&remembered, &going.binding), going.front.take()) else {
            return Some(());
        };
        let mut requests = Members::default();
        for (n, (servers, input)) in going.waiting.drain(..).enumerate() {
            let key = format!("input-{}", n + 1);
            requests.set(&key, input.raw());
            going.asked.insert(key, servers);
        }
        going.parked = Some(Instant::now());
        self.by_front.remove(&front);
        let mut result = Members::default();
        result.put("resultType", &"input_required");
        result.set("inputRequests", requests.raw());
        result.put("requestState", &state);
        self.tell(result_line(&front, result.raw().get()), None).await
    }

    async fn notified(&mut self, message: &Message, method: &str) -> Open {
        let kind = match method {
            "notifications/tools/list_changed" => Some("toolsListChanged"),
            "notifications/prompts/list_changed" => Some("promptsListChanged"),
            "notifications/resources/list_changed" => Some("resourcesListChanged"),
            "notifications/resources/updated" => None,
            "notifications/cancelled" => {
                self.withdrawn(&message.line);
                return Some(());
            }
            "notifications/message" if !self.calls.values().any(|going| going.wants_log) => return Some(()),
            _ => {
                let about = message.about.as_ref().and_then(|about| self.calls.get(about.as_ref())?.front.clone());
                return self.tell(message.line.clone(), about.map(Bytes::from)).await;
            }
        };
        let mut params = Parts::of(&message.line).ok().and_then(|parts| Members::of(parts.params?)).unwrap_or_default();
        let uri = params.text("uri").unwrap_or_default();
        let wants = |wanted: &Members| match kind {
            Some(kind) => wanted.get(kind).is_some_and(|wants| wants.get() == "true"),
            None => uris(wanted).contains(&uri),
        };
        let listeners: Vec<Vec<u8>> =
            self.listening.iter().filter(|(_, wanted)| wants(wanted)).map(|(id, _)| id.clone()).collect();
        for id in listeners {
            let mut meta = params.object("_meta").unwrap_or_default();
            meta.extend(subscription(&id));
            params.set("_meta", meta.raw());
            let method = serde_json::Value::from(method);
            let line = format!("{{\"jsonrpc\":\"2.0\",\"method\":{method},\"params\":{}}}\n", params.raw().get());
            self.tell(line.into(), Some(id.into())).await?;
        }
        Some(())
    }

    /// The server no longer wants what it asked for.
    fn withdrawn(&mut self, line: &Bytes) {
        if let Some(id) = jsonrpc::cancelled(line) {
            for going in self.calls.values_mut() {
                going.waiting.retain(|(servers, _)| *servers != id);
                going.asked.retain(|_, servers| *servers != id);
            }
        }
    }

    /// Cancels calls whose client never came back.
    async fn forget_parked(&mut self) -> Open {
        let is_old = |going: &Going| going.parked.is_some_and(|since| since.elapsed() > PARKED);
        let old: Vec<Vec<u8>> =
            self.calls.iter().filter(|(_, going)| is_old(going)).map(|(own, _)| own.clone()).collect();
        for own in old {
            self.calls.remove(&own);
            self.cancel(&own).await?;
        }
        Some(())
    }
}

/// Whether input may be required in the course of this request.
fn may_ask(going: &Going) -> bool {
    matches!(going.method.as_str(), "tools/call" | "prompts/get" | "resources/read")
}

/// Says how long the result may be kept: not at all, for an earlier revision says nothing of it.
fn cacheable(result: &mut Members) {
    result.put("ttlMs", &0);
    result.put("cacheScope", &"private");
}

fn uris(wanted: &Members) -> Vec<String> {
    let uris = wanted.get("resourceSubscriptions").and_then(|uris| serde_json::from_str(uris.get()).ok());
    uris.unwrap_or_default()
}

/// `_meta` of a notification on a stream that was asked for by the request with this id.
fn subscription(id: &[u8]) -> Members {
    let mut meta = Members::default();
    meta.set(SUBSCRIPTION_KEY, RawValue::from_string(String::from_utf8_lossy(id).into_owned()).unwrap_or_default());
    meta
}

/// The answer to a request of a revision that isn't this era's.
fn unsupported(id: &[u8], requested: &str) -> Bytes {
    let data = json!({ "supported": [VERSION], "requested": requested });
    let error = json!({ "code": -32022, "message": "unsupported protocol version", "data": data });
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{error}}}\n", String::from_utf8_lossy(id)).into()
}
