//! An MCP server over HTTP that does what a test wants.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::program::Place;
use crate::provider::{Provider, Request, begin, piece, respond};
use crate::session::Session;

/// What a test's server is asked: a message that was POSTed, or the method of another request as `method`.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The request.
    pub http: &'a Request,
    /// The message; null if there is none.
    pub message: Value,
}

impl Asked<'_> {
    /// The JSON-RPC method, or else the HTTP method.
    #[must_use]
    pub fn what(&self) -> &str {
        match self.message.get("method").and_then(Value::as_str) {
            Some(method) => method,
            None if self.message.is_object() => "response",
            None => self.http.line.split(' ').next().unwrap_or_default(),
        }
    }

    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.http.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The response to it with this result.
    #[must_use]
    pub fn result(&self, result: &Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": self.message["id"], "result": result })
    }
}

/// A server that does all by itself that `act` leaves alone (by returning `false`): it shakes hands in sessions `s1`, `s2` and on,
/// has no stream of its own, and lets sessions be ended.
#[must_use]
pub fn server(act: impl Fn(&Asked, &mut TcpStream) -> bool + Send + Sync + 'static) -> Provider {
    let sessions = AtomicUsize::new(0);
    Provider::start(move |http, stream, _| {
        let asked = Asked { http, message: serde_json::from_slice(&http.body).unwrap_or_default() };
        if act(&asked, stream) {
            return;
        }
        match asked.what() {
            "initialize" => {
                let session = format!("mcp-session-id: s{}\r\n", sessions.fetch_add(1, Ordering::SeqCst) + 1);
                let result = json!({
                    "protocolVersion": asked.message["params"]["protocolVersion"],
                    "capabilities": { "tools": {} },
                    "serverInfo": { "name": "scripted", "version": "1" },
                });
                answer(stream, "200 OK", &session, &asked.result(&result));
            }
            "GET" => respond(stream, "405 Method Not Allowed", "", b""),
            "DELETE" => respond(stream, "200 OK", "", b""),
            "ping" => answer(stream, "200 OK", "", &asked.result(&json!({}))),
            what if what == "response" || what.starts_with("notifications/") => {
                respond(stream, "202 Accepted", "", b"")
            }
            _ => respond(stream, "418 I'm a teapot", "", b"nobody taught me this"),
        }
    })
}

/// Answers with JSON.
pub fn answer(stream: &mut TcpStream, status: &str, headers: &str, message: &Value) {
    let headers = format!("content-type: application/json\r\n{headers}");
    respond(stream, status, &headers, message.to_string().as_bytes());
}

/// Begins to answer with a stream.
pub fn events(stream: &mut TcpStream) {
    begin(stream, "text/event-stream");
}

/// Writes a message into a stream.
pub fn event(stream: &mut TcpStream, head: &str, message: &Value) {
    piece(stream, format!("{head}data: {message}\n\n").as_bytes());
}

/// Ends a stream.
pub fn end(stream: &mut TcpStream) {
    piece(stream, b"");
}

/// A client's session through `understudy proxy --url`.
#[must_use]
pub fn session(place: &Place, url: &str, args: &[&str]) -> Session {
    Session::run(place.understudy(["proxy", "--url", url].iter().chain(args)), &[])
}

/// Shakes hands; what the server said of itself.
pub fn shake_hands(session: &mut Session) -> Value {
    session.say(&json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": { "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } },
    }));
    let answer = session.hear();
    session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    answer
}

/// A call of a tool.
#[must_use]
pub fn call(id: impl Into<Value>, tool: &str) -> Value {
    let id: Value = id.into();
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": {} } })
}
