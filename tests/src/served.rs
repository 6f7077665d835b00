//! A running `understudy serve`, and sessions with it.
//!
//! With `cat` as the server, whatever a client posts comes back as the server's words: so a test plays both.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::http::{Answer, send};
use crate::program::{Place, kill, signal};

/// A running `understudy serve`.
#[derive(Debug)]
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it said once it was ready.
    pub said: Value,
    child: Child,
    /// Behind a lock, so that threads can share the whole.
    stderr: Mutex<Receiver<String>>,
}

impl Served {
    /// Serves what a config says, on a free port.
    #[must_use]
    pub fn start(place: &Place, config: &Value) -> Self {
        Self::with(place, config, &[])
    }

    /// The same without a token, for clients that have nowhere to put one.
    #[must_use]
    pub fn open(place: &Place, config: &Value) -> Self {
        Self::with(place, config, &["--no-token"])
    }

    /// The same, with more arguments.
    #[must_use]
    pub fn with(place: &Place, config: &Value, args: &[&str]) -> Self {
        let file = place.file("understudy.json", config.to_string());
        let file = file.to_string_lossy();
        let usual = ["serve", "--listen", "127.0.0.1:0", "--config", &file];
        Self::run(place.understudy(usual.iter().chain(args)))
    }

    /// Serves `cat`, with more keys in the config.
    #[must_use]
    pub fn cat(place: &Place, more: &Value) -> Self {
        let mut config = json!({ "mcpServers": { "cat": { "command": "cat" } } });
        if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
            config.extend(more.clone());
        }
        Self::start(place, &config)
    }

    /// Runs a command that serves.
    #[must_use]
    pub fn run(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let (told, stderr) = mpsc::channel();
        let mut errors = child.stderr.take().unwrap_or_else(|| panic!("no stderr"));
        thread::spawn(move || {
            let mut text = Vec::new();
            // What could be read is what there is.
            let _ = errors.read_to_end(&mut text);
            let _ = told.send(String::from_utf8_lossy(&text).into_owned());
        });
        let mut line = String::new();
        let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        let address = said["listening"].as_str().and_then(|url| url.strip_prefix("http://")?.parse().ok());
        let address = address.unwrap_or_else(|| {
            kill(child.id());
            panic!("it said `{line}` ({read:?}): {}", stderr.recv_timeout(PATIENCE).unwrap_or_default())
        });
        Self { address, said, child, stderr: Mutex::new(stderr) }
    }

    /// The address of a server's endpoint.
    #[must_use]
    pub fn url(&self, server: &str) -> String {
        self.said["endpoints"][server].as_str().unwrap_or_else(|| panic!("no {server}: {}", self.said)).to_owned()
    }

    /// The token that it made, if it made one.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.said["token"].as_str()
    }

    /// Makes a request, with the token unless there is another one.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = self.token().map(|token| format!("Bearer {token}")).unwrap_or_default();
        let is_given = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let own = [("authorization", bearer.as_str())];
        let own = own.iter().filter(|_| !is_given);
        let all: Vec<(&str, &str)> = own.chain(headers).copied().collect();
        send(self.address, method, path, &all, body.as_bytes())
    }

    /// The process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, which: Signal) {
        signal(self.id(), which);
    }

    /// Waits for its end: how, and what was on stderr.
    #[must_use]
    pub fn end(mut self) -> (ExitStatus, String) {
        let stderr = self
            .stderr
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("it doesn't end"));
        let status = self.child.wait().unwrap_or_else(|e| panic!("{e}"));
        (status, stderr)
    }

    /// A session that has begun.
    #[must_use]
    pub fn session_at(&self, path: &str, id: &str, version: &str) -> Session<'_> {
        Session { served: self, path: path.to_owned(), id: id.to_owned(), version: version.to_owned() }
    }

    /// Begins a session with `cat`, of this revision.
    #[must_use]
    pub fn session(&self, version: &str) -> Session<'_> {
        let mut session = self.session_at("/cat/mcp", "", "");
        let mut answer = session.post(&initialize(version));
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
        answer.header("mcp-session-id").clone_into(&mut session.id);
        version.clone_into(&mut session.version);
        assert_eq!(answer.hear().message()["method"], "initialize");
        session.say(&json!({ "jsonrpc": "2.0", "id": 0, "result": { "protocolVersion": version } }));
        assert_eq!(answer.hear().message()["result"]["protocolVersion"], version);
        assert_eq!(answer.event(), None);
        session
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        kill(self.child.id());
        // It may have been waited for already.
        let _ = self.child.wait();
    }
}

/// `initialize`, as a client writes it.
#[must_use]
pub fn initialize(version: &str) -> Value {
    let params =
        json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "test", "version": "0" } });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })
}

/// A session with a server.
#[derive(Debug, Clone)]
pub struct Session<'a> {
    /// The program that it is a session of.
    pub served: &'a Served,
    /// The endpoint's path.
    pub path: String,
    /// The session's id; nothing, if there is none yet.
    pub id: String,
    /// The revision that the client names; nothing, if it names none.
    pub version: String,
}

impl Session<'_> {
    /// The client makes a request.
    #[must_use]
    pub fn send(&self, method: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let own = [("mcp-session-id", self.id.as_str()), ("mcp-protocol-version", self.version.as_str())];
        let is_given = |name: &str| headers.iter().any(|(given, _)| *given == name);
        let own = own.into_iter().filter(|(name, _)| !is_given(name));
        let all: Vec<(&str, &str)> = own.chain(headers.iter().copied()).collect();
        self.served.send(method, &self.path, &all, body)
    }

    /// The client posts a message.
    #[must_use]
    pub fn post(&self, message: &Value) -> Answer {
        self.send("POST", &[], &message.to_string())
    }

    /// The client posts what has no answer.
    pub fn say(&self, message: &Value) {
        let answer = self.post(message);
        let (status, text) = (answer.status, answer.text());
        assert_eq!(status, 202, "{text}");
    }

    /// The client listens, or comes back for the rest of a stream.
    #[must_use]
    pub fn listen(&self, last: Option<&str>) -> Answer {
        self.send("GET", &[("last-event-id", last.unwrap_or_default())], "")
    }
}
