//! The bridge from a client that has a session to a server of the modern era, which has none.
//!
//! It stands behind the relay, which takes it for a server of the client's era: each request gets the `_meta` that the modern era wants, what
//! the server requires becomes a request of the server's (sampling, elicitation, roots), and the call is made again with the answers.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `input_requests` | the input that the server requires, and the call made again |
//! | `subscriptions` | notifications |

mod input_requests;
mod subscriptions;

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use mcp::build::{cancelled_line, implementation};
use mcp::envelope::request_meta;
use mcp::{
    Head, Kind, Parts, RawObject, cancelled_id, code, error_line, ids, meta, method, notification, result_line,
    revision, splice,
};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::Open;
use crate::relay::capabilities::Declared;
use crate::relay::closable_sender::ClosableSender;
use crate::relay::common::next;
use crate::relay::discover;
use crate::relay::multi_round::{self, InputRequired, MultiRoundRequest};
use crate::transport::{Incoming, Message, QUEUE};

/// `_meta` of every request in the name of a client that has sent this `initialize`.
pub(crate) fn meta_of(initialize: &Bytes) -> RawObject {
    let params = Parts::of(initialize).ok().and_then(|parts| RawObject::of(parts.params?)).unwrap_or_default();
    request_meta(params.get("clientInfo"), params.get("capabilities"))
}

/// The server has refused the client's `initialize`. If it speaks the modern era, the bridge is put between it and the relay; whether it is. `early`
/// are the server's messages that were read and not relayed yet; those that come meanwhile are added.
pub(crate) async fn splice_if_modern(
    initialize: &Bytes,
    to_front: &ClosableSender,
    to_back: &ClosableSender,
    (early, from_back): (&mut VecDeque<Incoming>, &mut mpsc::Receiver<Incoming>),
) -> bool {
    let Some(sender) = to_back.sender() else { return false };
    match discover::discover(&sender, from_back, early, to_front, &meta_of(initialize)).await {
        Some(discovered) => splice(initialize, discovered, to_back, (early, from_back)),
        None => false,
    }
}

/// Puts the bridge between the relay and a server that has said this of itself; whether it is there. The server's messages in `early` go through it
/// first.
pub(crate) fn splice(
    initialize: &Bytes,
    discovered: RawObject,
    to_back: &ClosableSender,
    (early, from_back): (&mut VecDeque<Incoming>, &mut mpsc::Receiver<Incoming>),
) -> bool {
    let Some(sender) = to_back.sender() else { return false };
    let Some(params) = Parts::of(initialize).ok().and_then(|parts| RawObject::of(parts.params?)) else { return false };
    let meta = meta_of(initialize);
    let (to_relay, relays) = mpsc::channel(QUEUE);
    // Long, so that a relay that answers the server while it reads never waits for a bridge that waits for it.
    let (relay_says, from_relay) = mpsc::channel(64 * QUEUE);
    to_back.redirect(relay_says);
    let servers = (std::mem::take(early), std::mem::replace(from_back, relays));
    let bridge = LegacyToModern {
        to_relay,
        to_back: sender,
        meta,
        version: params.text("protocolVersion").unwrap_or_default(),
        discovered,
        level: None,
        subscribed: BTreeSet::new(),
        listening: None,
        calls: HashMap::new(),
        by_back: HashMap::new(),
        asked: HashMap::new(),
        made: 0,
    };
    tracing::info!(
        "the server speaks {} alone, and the client an earlier revision: bridging",
        revision::LATEST_STATELESS
    );
    tokio::spawn(bridge.run(Head::of(initialize).id().unwrap_or(b"null").to_vec(), from_relay, servers));
    true
}

struct LegacyToModern {
    to_relay: mpsc::Sender<Incoming>,
    to_back: mpsc::Sender<Message>,
    /// `_meta` of every request.
    meta: RawObject,
    /// The client's revision.
    version: String,
    /// What the server says of itself.
    discovered: RawObject,
    /// The level of log messages that the client set.
    level: Option<Box<RawValue>>,
    /// The resources that the client subscribed to.
    subscribed: BTreeSet<String>,
    /// The id of the request that brings notifications.
    listening: Option<Vec<u8>>,
    /// Calls that may take several rounds, by the client's ids.
    calls: HashMap<Vec<u8>, ModernCall>,
    /// The client's ids by those that we made the same call again under.
    by_back: HashMap<Vec<u8>, Vec<u8>>,
    /// What the client was asked in the server's name: by our id, the call and the server's key.
    asked: HashMap<Vec<u8>, (Vec<u8>, String)>,
    made: u64,
}

/// A call that is going on.
struct ModernCall {
    call: MultiRoundRequest,
    /// The id that the server knows it by, where that isn't the client's.
    back: Option<Vec<u8>>,
    /// How many answers are still missing.
    missing: usize,
    responses: RawObject,
    state: Option<Box<RawValue>>,
}

impl LegacyToModern {
    async fn run(
        mut self,
        id: Vec<u8>,
        mut from_relay: mpsc::Receiver<Message>,
        (mut early, mut from_back): (VecDeque<Incoming>, mpsc::Receiver<Incoming>),
    ) {
        let mut open = self.initialized(&id).await;
        while open.is_some() {
            open = tokio::select! {
                message = from_relay.recv() => match message {
                    Some(message) => self.client_says(message).await,
                    None => None,
                },
                incoming = next(&mut early, &mut from_back) => match incoming {
                    Some(Incoming::Message(message)) => self.server_says(message).await,
                    Some(Incoming::TooLong { head, bytes }) => self.too_long(head, bytes).await,
                    None => None,
                },
            };
        }
    }

    async fn send_to_client(&self, line: Bytes, related_request_id: Option<Bytes>) -> Open {
        self.to_relay.send(Incoming::Message(Message { line, related_request_id })).await.ok()
    }

    async fn send_to_server(&self, line: Bytes) -> Open {
        self.to_back.send(line.into()).await.ok()
    }

    fn new_id(&mut self) -> Vec<u8> {
        self.made += 1;
        multi_round::new_id(self.made)
    }

    /// The answer to `initialize`, made of what the server says of itself.
    async fn initialized(&self, id: &[u8]) -> Open {
        let known = revision::STATEFUL.contains(&self.version.as_str());
        let mut result = RawObject::default();
        result.put("protocolVersion", &if known { self.version.as_str() } else { revision::LATEST_STATEFUL });
        let none = || RawObject::default().raw();
        result.set("capabilities", self.discovered.get("capabilities").map_or_else(none, ToOwned::to_owned));
        let meta = self.discovered.object("_meta").unwrap_or_default();
        match meta.get(meta::SERVER_INFO) {
            Some(server) => result.set("serverInfo", server.to_owned()),
            None => result.put("serverInfo", &implementation("server", "0")),
        }
        if let Some(instructions) = self.discovered.get("instructions") {
            result.set("instructions", instructions.to_owned());
        }
        self.send_to_client(result_line(id, result.raw().get()), None).await
    }

    async fn client_says(&mut self, message: Message) -> Open {
        let head = Head::of(&message.line);
        match (head.kind(), head.method(), head.id()) {
            (Kind::Request, Some(method), Some(id)) => self.request(&message.line, &head, method, id).await,
            (Kind::Notification, Some(notification::INITIALIZED), _) => self.listen().await,
            (Kind::Notification, Some(notification::CANCELLED), _) => self.cancelled(&message.line).await,
            (Kind::Response, _, Some(id)) if self.asked.contains_key(id) => self.answered(&message.line, id).await,
            // This era asks for roots when it wants them, and has no responses of clients: this one is to what the client isn't asked any more.
            (Kind::Notification, Some(notification::ROOTS_LIST_CHANGED), _) | (Kind::Response, ..) => Some(()),
            _ => self.to_back.send(message).await.ok(),
        }
    }

    async fn request(&mut self, line: &Bytes, head: &Head, method: &str, id: &[u8]) -> Open {
        let params = || Parts::of(line).ok().and_then(|parts| RawObject::of(parts.params?)).unwrap_or_default();
        match method {
            method::INITIALIZE => self.initialized(id).await,
            method::PING => self.send_to_client(result_line(id, "{}"), None).await,
            method::LOGGING_SET_LEVEL => {
                self.level = params().remove("level");
                self.send_to_client(result_line(id, "{}"), None).await
            }
            method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => {
                let Some(uri) = params().text("uri") else {
                    return self
                        .send_to_client(error_line(id, code::INVALID_PARAMS, "`params.uri` is missing"), None)
                        .await;
                };
                if method == method::RESOURCES_SUBSCRIBE {
                    self.subscribed.insert(uri)
                } else {
                    self.subscribed.remove(&uri)
                };
                self.listen().await?;
                self.send_to_client(result_line(id, "{}"), None).await
            }
            _ => {
                let line = self.with_meta(line);
                if let Some((call, _)) = MultiRoundRequest::of(&line, head, Declared::default()) {
                    let going =
                        ModernCall { call, back: None, missing: 0, responses: RawObject::default(), state: None };
                    self.calls.insert(id.to_vec(), going);
                }
                self.send_to_server(line).await
            }
        }
    }

    /// The request with what this era wants of every one.
    fn with_meta(&self, line: &Bytes) -> Bytes {
        let Ok(parts) = Parts::of(line) else { return line.clone() };
        let mut meta = self.meta.clone();
        if let Some(level) = &self.level {
            meta.set(meta::LOG_LEVEL, level.clone());
        }
        let meta_json = meta.raw();
        let meta_json = meta_json.get();
        match parts.params.filter(|params| splice::is_object(params)) {
            None => {
                let params = format!("\"params\":{{\"_meta\":{meta_json}}},");
                // In front of the first member: every object of JSON-RPC has one.
                let start = line.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
                let (before, after) = line.split_at(start);
                [before, params.as_bytes(), after].concat().into()
            }
            Some(params) => {
                let own = RawObject::of(params).unwrap_or_default();
                match own.get("_meta").filter(|meta| splice::is_object(meta)) {
                    None => splice::insert(line, params, &format!("\"_meta\":{meta_json}")),
                    Some(own) => {
                        let mut all = RawObject::of(own).unwrap_or_default();
                        all.extend(meta);
                        let mut params = RawObject::of(params).unwrap_or_default();
                        params.set("_meta", all.raw());
                        splice::replace(line, parts.params.unwrap_or(own), params.raw().get().as_bytes())
                    }
                }
            }
        }
    }

    /// A cancellation of a request of ours.
    fn cancellation(&self, id: &[u8]) -> Bytes {
        cancelled_line(id, None, Some(&self.meta))
    }

    async fn cancelled(&mut self, line: &Bytes) -> Open {
        let Some(id) = cancelled_id(line) else { return Some(()) };
        let back = match self.end(&id).await? {
            // Between two rounds there is nothing to cancel.
            Some(going) if going.missing > 0 => return Some(()),
            Some(going) => going.back.unwrap_or(id),
            None => id,
        };
        self.send_to_server(self.cancellation(&back)).await
    }

    /// Forgets a call; what the client is still being asked for it is cancelled.
    async fn end(&mut self, id: &[u8]) -> Option<Option<ModernCall>> {
        let going = self.calls.remove(id);
        if let Some(back) = going.as_ref().and_then(|going| going.back.as_ref()) {
            self.by_back.remove(back);
        }
        let open: Vec<Vec<u8>> =
            self.asked.iter().filter(|(_, (call, _))| call == id).map(|(id, _)| id.clone()).collect();
        for asked in open {
            self.asked.remove(&asked);
            self.send_to_client(cancelled_line(&asked, None, None), None).await?;
        }
        Some(going)
    }

    /// Ends a call with an error.
    async fn fail(&mut self, id: &[u8], code: i64, reason: &str) -> Open {
        self.end(id).await?;
        self.send_to_client(error_line(id, code, reason), None).await
    }

    async fn server_says(&mut self, message: Message) -> Open {
        let head = Head::of(&message.line);
        match (head.kind(), head.method(), head.id()) {
            (Kind::Response, _, Some(id)) if self.listening.as_deref() == Some(id) => {
                self.listening = None;
                Some(())
            }
            (Kind::Response, _, Some(id)) => self.response(message.line, id).await,
            (Kind::Notification, Some(notification::SUBSCRIPTIONS_ACKNOWLEDGED | notification::CANCELLED), _) => {
                Some(())
            }
            _ => {
                let related_request_id = message.related_request_id.map(|related_request_id| {
                    self.by_back.get(related_request_id.as_ref()).map_or(related_request_id, |id| id.clone().into())
                });
                self.send_to_client(message.line, related_request_id).await
            }
        }
    }

    async fn response(&mut self, line: Bytes, id: &[u8]) -> Open {
        let own = || ids::find(id, |key| self.calls.contains_key(key)).map(std::borrow::Cow::into_owned);
        let front = self.by_back.remove(id).or_else(own).unwrap_or_else(|| id.to_vec());
        if !self.calls.contains_key(&front) {
            // The answer to a call that was made again and then cancelled is nobody's; what isn't tracked passes.
            return if front == id && !multi_round::is_ours(id) {
                self.send_to_client(line, None).await
            } else {
                Some(())
            };
        }
        match InputRequired::of(&line) {
            None => {
                self.calls.remove(&front);
                let line = if front == id { line } else { splice::with_id(&line, &front) };
                self.send_to_client(line, None).await
            }
            Some(Ok(required)) => self.required(&front, required).await,
            Some(Err(reason)) => {
                self.fail(
                    &front,
                    code::INTERNAL_ERROR,
                    &format!("the server asks for input that is not valid: {reason}"),
                )
                .await
            }
        }
    }

    async fn too_long(&mut self, head: Head, bytes: usize) -> Open {
        let head = match head.id().and_then(|id| self.by_back.remove(id)) {
            Some(front) => head.with_id(front),
            None => head,
        };
        if let Some(id) = head.id() {
            self.calls.remove(id);
        }
        self.to_relay.send(Incoming::TooLong { head, bytes }).await.ok()
    }
}
