//! The bridge from a client of the modern era, which has no session, to a server that wants one.
//!
//! It stands in front of the relay, which takes it for a client with a session: it initializes the server, takes the `_meta` of the modern era
//! off each request, and gives each result what that era wants. What the server asks the client for in the course of a call
//! (elicitation, roots) ends that round of it: the client gets `input_required`, the call is parked, and goes on with the client's retry.
//!
//! Where several clients share the server, it is told of none of them who it is, and what nothing assigns to a call reaches no client: on stdio and
//! HTTP+SSE that is all that the server asks.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `requests` | the client's requests |
//! | `input_required` | what the server asks in the course of a call |
//! | `subscriptions` | notifications |
//! | `log_level` | log lines, and the level that each call wants |

mod input_required;
mod log_level;
mod requests;
mod subscriptions;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcp::build::{cancelled_line, implementation, initialized_line};
use mcp::revision::LATEST_STATELESS;
use mcp::{
    COMPLETE, Head, Kind, Parts, RawObject, cancelled_id, code, error_line, meta, method, notification, request_line,
    result_line, revision, splice, with_id,
};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Open;
use crate::relay::action::Action;
use crate::relay::common::{Clients, Prelude, RelayOptions};
use crate::relay::elicitation::Answers;
use crate::relay::request_state::StateSealer;
use crate::relay::session::RelaySession;
use crate::relay::{discover, legacy, multi_round};
use crate::transport::{Duplex, Incoming, Message, QUEUE};
use understudy::sampling::Sampler;

/// Our id for `initialize`.
pub(crate) const INITIALIZE: &[u8] = b"\"understudy-initialize\"";

/// The capabilities of a client that a server asks by.
const ASKED: [&str; 3] = ["elicitation", "roots", "sampling"];

/// A client's notifications that belong to a session.
const SESSIONS: [&str; 3] = [notification::INITIALIZED, notification::PROGRESS, notification::ROOTS_LIST_CHANGED];

/// How long a parked call waits for its client, which is as long as a `requestState` is good for.
const PARKED: Duration = Duration::from_mins(10);

/// `initialize` in a modern client's name, as the server gets it.
pub(crate) fn initialize(session: &RelaySession, clients: Clients, meta: &RawObject) -> Bytes {
    let mut params = RawObject::default();
    params.put("protocolVersion", &revision::LATEST_STATEFUL);
    let object = |key| meta.get(key).filter(|value| splice::is_object(value)).map(ToOwned::to_owned);
    params.set("capabilities", declares(clients, object(meta::CLIENT_CAPABILITIES)));
    match object(meta::CLIENT_INFO).filter(|_| !clients.are_several()) {
        Some(client) => params.set("clientInfo", client),
        None => params.put("clientInfo", &implementation("understudy", env!("CARGO_PKG_VERSION"))),
    }
    let line = request_line(INITIALIZE, method::INITIALIZE, &params);
    match session.client_says(&line) {
        Action::ForwardEdited(line) => line,
        _ => line,
    }
}

/// What is declared to the server: what the first client has. Of several clients, only what each call can be held to.
fn declares(clients: Clients, capabilities: Option<Box<RawValue>>) -> Box<RawValue> {
    let none = || RawObject::default().raw();
    match clients {
        Clients::One => capabilities.unwrap_or_else(none),
        Clients::Several { told: false } => none(),
        Clients::Several { told: true } => {
            let all = capabilities.as_deref().and_then(RawObject::of).unwrap_or_default();
            let mut kept = RawObject::default();
            kept.extend(all.into_iter().filter(|(key, _)| ASKED.contains(&key.as_str())));
            kept.raw()
        }
    }
}

/// Relays for a modern client and a server that has begun a session, or is about to: its answer to [`initialize`] is among what it has said, or is
/// still to come.
pub(crate) async fn run(
    front: Duplex,
    back: Duplex,
    (session, sampler): (RelaySession, Arc<Sampler>),
    options: RelayOptions,
    (first, prelude): (Message, Prelude),
) {
    let (to_relay, relays) = mpsc::channel(QUEUE);
    // Long, so that a relay that answers the client while it reads never waits for a bridge that waits for it.
    let (relay_says, from_relay) = mpsc::channel(64 * QUEUE);
    let side = Duplex { incoming: relays, outgoing: relay_says };
    // A call is parked in this bridge alone, and another one has calls of the same ids: no other's states must open here.
    let seal = StateSealer::new(None, sampler.server());
    let clients = options.clients;
    let prelude = Prelude { by_front: None, ..prelude };
    let relay = legacy::run(side, back, session, (options, Answers::Perhaps), prelude);
    let _relay = AbortOnDropHandle::new(tokio::spawn(relay));
    let Some(seal) = seal else { return };
    let bridge = ModernToLegacy {
        to_front: front.outgoing,
        to_relay,
        server: RawObject::default(),
        seal,
        clients,
        hint: discover::EraHint::in_a_session(),
        level: None,
        calls: HashMap::new(),
        by_front: HashMap::new(),
        listening: HashMap::new(),
        ours: HashSet::new(),
        made: 0,
    };
    tracing::info!("the client speaks {LATEST_STATELESS}, and the server has sessions: bridging");
    bridge.run(front.incoming, from_relay, first).await;
}

struct ModernToLegacy {
    to_front: mpsc::Sender<Message>,
    to_relay: mpsc::Sender<Incoming>,
    /// What the server answered to `initialize`.
    server: RawObject,
    seal: StateSealer,
    clients: Clients,
    hint: discover::EraHint,
    /// The level of log messages that the server was told.
    level: Option<log_level::Level>,
    /// By the ids that the server knows them by.
    calls: HashMap<Vec<u8>, LegacyCall>,
    /// These ids, by the client's.
    by_front: HashMap<Vec<u8>, Vec<u8>>,
    /// The requests for notifications, by the client's ids, with what each wants.
    listening: HashMap<Vec<u8>, RawObject>,
    /// Requests of our own.
    ours: HashSet<Vec<u8>>,
    made: u64,
}

/// A request of the client's.
struct LegacyCall {
    /// The client's id for it; none while it is parked.
    front: Option<Vec<u8>>,
    method: String,
    binding: Vec<u8>,
    /// What the client declared with it.
    capabilities: RawObject,
    /// The least level of the log lines that it wants, if any.
    log: Option<log_level::Level>,
    /// The client's progress token: as the server knows it, and as the client's latest request has it.
    token: Option<Box<RawValue>>,
    newest_token: Option<Box<RawValue>>,
    /// What the server asked for, and the client hasn't been asked yet: the server's ids and the requests.
    waiting: VecDeque<(Vec<u8>, RawObject)>,
    /// What the client has been asked: the server's ids by our keys.
    asked: HashMap<String, Vec<u8>>,
    /// The answer, if it came while the call was parked.
    answer: Option<Bytes>,
    /// How often it was parked. The state of an earlier time opens no later one: its answers are to other questions.
    rounds: u32,
    parked: Option<Instant>,
}

impl ModernToLegacy {
    async fn run(
        mut self,
        mut from_front: mpsc::Receiver<Incoming>,
        mut from_relay: mpsc::Receiver<Message>,
        first: Message,
    ) {
        if let Err(reason) = self.initialized(&mut from_relay).await {
            let id = Head::of(&first.line).id().unwrap_or(b"null").to_vec();
            // The client has gone, if it can't be told.
            let _ = self.send_to_client(error_line(&id, code::INTERNAL_ERROR, &reason), None).await;
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
        // Client EOF closes the server's input; forward remaining output.
        self.to_relay = mpsc::channel(1).0;
        while let Some(message) = from_relay.recv().await {
            // There may be something that nobody can be told any more.
            let _ = self.server_says(message).await;
        }
    }

    async fn send_to_client(&self, line: Bytes, related_request_id: Option<Bytes>) -> Open {
        self.to_front.send(Message { line, related_request_id }).await.ok()
    }

    async fn send_to_server(&self, line: Bytes) -> Open {
        self.to_relay.send(Incoming::Message(line.into())).await.ok()
    }

    fn new_id(&mut self) -> Vec<u8> {
        self.made += 1;
        multi_round::new_id(self.made)
    }

    /// Waits for the server's answer to `initialize`, and says that the session has begun.
    async fn initialized(&mut self, from_relay: &mut mpsc::Receiver<Message>) -> Result<(), String> {
        let gone = || "the server has ended".to_owned();
        loop {
            let message = from_relay.recv().await.ok_or_else(gone)?;
            let head = Head::of(&message.line);
            if head.kind() != Kind::Response || head.id() != Some(INITIALIZE) {
                self.server_says(message).await.ok_or_else(gone)?;
                continue;
            }
            if let Some(why) = discover::initialize_refusal(&message.line) {
                return Err(why);
            }
            let parts = Parts::of(&message.line).ok();
            self.server = parts.and_then(|parts| RawObject::of(parts.result?)).unwrap_or_default();
            break;
        }
        self.send_to_server(initialized_line()).await.ok_or_else(gone)
    }

    async fn client_says(&mut self, message: Message) -> Open {
        let head = Head::of(&message.line);
        match (head.kind(), head.method(), head.id()) {
            (Kind::Request, Some(method), Some(id)) => self.request(&message.line, method, id).await,
            (Kind::Notification, Some(notification::CANCELLED), _) => self.cancelled(&message.line).await,
            // This era has none.
            (Kind::Response, ..) => Some(()),
            // Nor these, and one client's would be about what another is asked.
            (Kind::Notification, Some(method), _) if self.clients.are_several() && SESSIONS.contains(&method) => {
                Some(())
            }
            _ => self.send_to_server(message.line).await,
        }
    }

    /// Makes a request of our own, whose answer is of no interest.
    async fn ask(&mut self, method: &str, params: &RawObject) -> Open {
        let id = self.new_id();
        let line = request_line(&id, method, params);
        self.ours.insert(id);
        self.send_to_server(line).await
    }

    async fn cancelled(&mut self, line: &Bytes) -> Open {
        let Some(id) = cancelled_id(line) else { return Some(()) };
        if let Some(wanted) = self.listening.remove(&id) {
            let others: HashSet<String> = self.listening.values().flat_map(uris).collect();
            for uri in uris(&wanted).into_iter().filter(|uri| !others.contains(uri)) {
                let mut params = RawObject::default();
                params.put("uri", &uri);
                self.ask(method::RESOURCES_UNSUBSCRIBE, &params).await?;
            }
            return Some(());
        }
        let Some(own) = self.by_front.remove(&id) else { return Some(()) };
        self.calls.remove(&own);
        self.cancel(&own).await
    }

    async fn cancel(&self, own: &[u8]) -> Open {
        self.send_to_server(cancelled_line(own, None, None)).await
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
        let line = if let Some(mut result) = Parts::of(line).ok().and_then(|parts| RawObject::of(parts.result?)) {
            if result.get("resultType").is_none() {
                result.put("resultType", &COMPLETE);
            }
            let method = going.method.as_str();
            if method.ends_with(method::LIST_SUFFIX) || method == method::RESOURCES_READ {
                cacheable(&mut result);
            }
            result_line(&front, result.raw().get())
        } else {
            self.hint.warn_once(line);
            with_id(line, &front)
        };
        self.calls.remove(own);
        self.by_front.remove(&front);
        self.send_to_client(line, None).await
    }
}

/// Whether input may be required in the course of this request.
fn may_ask(going: &LegacyCall) -> bool {
    method::MULTI_ROUND.contains(&going.method.as_str())
}

/// Says how long the result may be kept: not at all, for an earlier revision says nothing of it.
fn cacheable(result: &mut RawObject) {
    result.put("ttlMs", &0);
    result.put("cacheScope", &"private");
}

fn uris(wanted: &RawObject) -> Vec<String> {
    let uris = wanted.get("resourceSubscriptions").and_then(|uris| serde_json::from_str(uris.get()).ok());
    uris.unwrap_or_default()
}

/// `_meta` of a notification on a stream that was asked for by the request with this id.
fn subscription(id: &[u8]) -> RawObject {
    let mut meta = RawObject::default();
    meta.set(
        meta::SUBSCRIPTION_ID,
        RawValue::from_string(String::from_utf8_lossy(id).into_owned()).unwrap_or_default(),
    );
    meta
}
