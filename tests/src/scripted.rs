//! A server of either era, over any transport, whose words a test says one by one: for what must not depend on when a program gets its turn.
//!
//! It shakes hands by itself. Everything that it hears, the test hears, too.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::provider::{Provider, Request, piece, respond};

/// A kind of server: its era and its transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With sessions, on stdio.
    LegacyStdio,
    /// With sessions, over Streamable HTTP.
    LegacyHttp,
    /// With sessions, over HTTP+SSE.
    LegacySse,
    /// 2026-07-28, on stdio.
    ModernStdio,
    /// 2026-07-28, over Streamable HTTP.
    ModernHttp,
}

/// All kinds whose servers have sessions.
pub const LEGACY: [Kind; 3] = [Kind::LegacyStdio, Kind::LegacyHttp, Kind::LegacySse];
/// All kinds whose servers have none.
pub const MODERN: [Kind; 2] = [Kind::ModernStdio, Kind::ModernHttp];

impl Kind {
    fn is_modern(self) -> bool {
        MODERN.contains(&self)
    }

    /// Whether the transport tells in the course of which request a message is said.
    #[must_use]
    pub fn tells(self) -> bool {
        matches!(self, Self::LegacyHttp | Self::ModernHttp)
    }
}

/// What the server heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// In which process, or session; they are counted from 0.
    pub place: usize,
    /// The message.
    pub message: Value,
}

/// The server.
#[derive(Debug)]
pub struct Scripted {
    /// What it is.
    pub kind: Kind,
    /// Its entry in `mcpServers`.
    pub entry: Value,
    heard: Receiver<Heard>,
    ways: Arc<Ways>,
    asked: usize,
    _http: Option<Provider>,
}

/// The ways to the client.
#[derive(Debug, Default)]
struct Ways {
    open: Mutex<Open>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Open {
    /// The stream of each place.
    own: HashMap<usize, TcpStream>,
    /// The streams of requests, by place and id.
    posts: HashMap<(usize, String), TcpStream>,
    places: usize,
}

impl Ways {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_place(&self) -> usize {
        let mut open = self.lock();
        open.places += 1;
        open.places - 1
    }

    fn put(&self, place: usize, stream: TcpStream) {
        self.lock().own.insert(place, stream);
        self.changed.notify_all();
    }

    fn own(&self, place: usize) -> TcpStream {
        let waits = |open: &mut Open| !open.own.contains_key(&place);
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, waits);
        let (open, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let own = open.own.get(&place).and_then(|stream| stream.try_clone().ok());
        own.unwrap_or_else(|| panic!("the place {place} has no stream"))
    }
}

impl Scripted {
    /// Such a server; it is started when it is wanted.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let (sender, heard) = mpsc::channel();
        let ways = Arc::new(Ways::default());
        let (entry, http) = match kind {
            Kind::LegacyStdio | Kind::ModernStdio => (stdio(kind, &ways, sender), None),
            _ => {
                let shared = Arc::clone(&ways);
                let sender = Mutex::new(sender);
                let http = Provider::start(move |request, stream, _| {
                    let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    over_http(kind, request, stream, &shared, &sender);
                });
                let kind_of = if kind == Kind::LegacySse { "sse" } else { "http" };
                (json!({ "url": format!("{}/mcp", http.url), "type": kind_of }), Some(http))
            }
        };
        Self { kind, entry, heard, ways, asked: 0, _http: http }
    }

    /// The next message of this method, or the next response for `response`; others are passed over.
    #[must_use]
    pub fn hear(&self, method: &str) -> Heard {
        loop {
            let heard = self.heard.recv_timeout(PATIENCE);
            let heard = heard.unwrap_or_else(|e| panic!("{:?}: no `{method}` comes: {e}", self.kind));
            if heard.message["method"].as_str().unwrap_or("response") == method {
                return heard;
            }
        }
    }

    /// What has been heard and not looked at.
    #[must_use]
    pub fn heard(&self) -> Vec<Value> {
        self.heard.try_iter().map(|heard| heard.message).collect()
    }

    /// Says a message; where the transport can tell, in the course of this request.
    pub fn say(&self, place: usize, message: &Value, about: Option<&Value>) {
        let (mut stream, is_last) = match about.filter(|_| self.kind.tells()) {
            None => (self.ways.own(place), false),
            Some(about) => {
                let is_last = message["method"].is_null();
                let key = (place, about.to_string());
                let mut open = self.ways.lock();
                let stream = if is_last {
                    open.posts.remove(&key)
                } else {
                    open.posts.get(&key).and_then(|stream| stream.try_clone().ok())
                };
                (stream.unwrap_or_else(|| panic!("no request {about} is open")), is_last)
            }
        };
        match self.kind {
            Kind::LegacyStdio | Kind::ModernStdio => {
                let written = stream.write_all(format!("{message}\n").as_bytes());
                written.unwrap_or_else(|e| panic!("the program doesn't listen: {e}"));
            }
            _ => piece(&mut stream, format!("data: {message}\n\n").as_bytes()),
        }
        if is_last {
            piece(&mut stream, b"");
        }
    }

    /// Answers a request with a tool's text.
    pub fn answer(&self, heard: &Heard, text: &str) {
        self.result(heard, &json!({ "content": [{ "type": "text", "text": text }] }));
    }

    /// Answers a request.
    pub fn result(&self, heard: &Heard, result: &Value) {
        let id = &heard.message["id"];
        self.say(heard.place, &json!({ "jsonrpc": "2.0", "id": id, "result": result }), Some(id));
    }

    /// Asks something, in the course of a request if the transport can tell and one is named; an id for it.
    pub fn ask(&mut self, place: usize, method: &str, params: &Value, about: Option<&Value>) -> Value {
        self.asked += 1;
        let id = json!(format!("asked {}", self.asked));
        self.say(place, &json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }), about);
        id
    }

    /// The answer to what was asked under this id.
    #[must_use]
    pub fn answer_to(&self, id: &Value) -> Value {
        loop {
            let heard = self.hear("response").message;
            if heard["id"] == *id {
                return heard;
            }
        }
    }

    /// Waits until all that was said on the stream of this place has been dealt with.
    pub fn settle(&mut self, place: usize) {
        let id = self.ask(place, "ping", &json!({}), None);
        let _ = self.answer_to(&id);
    }
}

/// What the server answers by itself.
fn by_itself(kind: Kind, message: &Value) -> Option<Value> {
    let refuse = |error: Value| Some(json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }));
    let result = match message["method"].as_str()? {
        "initialize" if kind.is_modern() => {
            return refuse(
                json!({ "code": -32022, "message": "no such revision", "data": { "supported": ["2026-07-28"] } }),
            );
        }
        "initialize" => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": { "listChanged": true }, "resources": { "subscribe": true }, "logging": {}, "tasks": { "list": {} } },
            "serverInfo": { "name": "scripted", "version": "1" },
        }),
        "server/discover" if kind.is_modern() => json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": {}, "logging": {} },
            "ttlMs": 0, "cacheScope": "private",
        }),
        "server/discover" => return refuse(json!({ "code": -32601, "message": "Method not found" })),
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => json!({}),
        _ => return None,
    };
    Some(json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
}

/// A server on stdio: a program that carries everything to the test and back.
fn stdio(kind: Kind, ways: &Arc<Ways>, sender: Sender<Heard>) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|e| panic!("no port: {e}"));
    let port = listener.local_addr().map_or_else(|e| panic!("no address: {e}"), |address| address.port());
    let ways = Arc::clone(ways);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let place = ways.new_place();
            let Ok(mut writing) = stream.try_clone() else { continue };
            ways.put(place, stream.try_clone().unwrap_or_else(|e| panic!("{e}")));
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let message: Value = serde_json::from_str(&line).unwrap_or_default();
                    if let Some(answer) = by_itself(kind, &message) {
                        // The program may have ended.
                        let _ = writing.write_all(format!("{answer}\n").as_bytes());
                    }
                    // Nor may the test listen any more.
                    let _ = sender.send(Heard { place, message });
                }
            });
        }
    });
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3 & exec cat >&3");
    json!({ "command": "bash", "args": ["-c", script] })
}

/// Begins a stream on a connection that isn't used again: one that is just being closed would cost the next request.
fn begin(stream: &mut TcpStream) {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    // Whoever asked may be gone.
    let _ = stream.write_all(head.as_bytes());
}

/// A server at a URL.
fn over_http(kind: Kind, request: &Request, stream: &mut TcpStream, ways: &Ways, sender: &Sender<Heard>) {
    let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let target = request.line.split(' ').nth(1).unwrap_or_default();
    let session = request.headers.get("mcp-session-id").map(String::as_str);
    let session = session.or_else(|| target.split_once("?place=").map(|(_, place)| place));
    let session = session.and_then(|place| place.parse().ok());
    let is_old = kind == Kind::LegacySse;
    if request.line.starts_with("GET") && kind != Kind::ModernHttp {
        let place = session.unwrap_or_else(|| ways.new_place());
        begin(stream);
        if is_old {
            piece(stream, format!("event: endpoint\ndata: /messages?place={place}\n\n").as_bytes());
        }
        return ways.put(place, stream.try_clone().unwrap_or_else(|e| panic!("{e}")));
    }
    if !request.line.starts_with("POST") || (is_old && session.is_none()) {
        return respond(stream, "405 Method Not Allowed", "", b"");
    }
    let begins = message["method"] == "initialize" && kind == Kind::LegacyHttp;
    let place = if begins { ways.new_place() } else { session.unwrap_or(0) };
    let answer = by_itself(kind, &message);
    let is_held = answer.is_none() && message["method"].is_string() && !message["id"].is_null();
    if is_old {
        respond(stream, "202 Accepted", "", b"");
        if let Some(answer) = answer {
            piece(&mut ways.own(place), format!("data: {answer}\n\n").as_bytes());
        }
    } else if let Some(answer) = answer {
        let session = if begins { format!("mcp-session-id: {place}\r\n") } else { String::new() };
        let headers = format!("content-type: application/json\r\n{session}");
        respond(stream, "200 OK", &headers, answer.to_string().as_bytes());
    } else if is_held {
        begin(stream);
        let stream = stream.try_clone().unwrap_or_else(|e| panic!("{e}"));
        ways.lock().posts.insert((place, message["id"].to_string()), stream);
    } else {
        respond(stream, "202 Accepted", "", b"");
    }
    // The test may listen no more.
    let _ = sender.send(Heard { place, message });
}
