//! One contestant at work.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use crate::contestants::Who;
use crate::place::Place;
use crate::process::memory;

/// The revision that proxies and servers are spoken to in.
pub(crate) const REVISION: &str = "2025-11-25";

/// How long anything may take.
const PATIENCE: Timespec = Timespec { tv_sec: 180, tv_nsec: 0 };

pub(crate) struct Peer {
    pub(crate) who: Who,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    log: PathBuf,
    calls: u64,
}

/// What the server says of its questions.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Report {
    pub(crate) n: u32,
    wrong: Option<String>,
    /// From the first question to the last answer, in ns.
    pub(crate) took: f64,
    /// From a question to its answer, in ns: the median.
    pub(crate) p50: f64,
    /// The same, which one in a hundred exceeds.
    pub(crate) p99: f64,
}

impl Peer {
    /// Starts it; with how long it took until the server's `initialize` was answered.
    pub(crate) fn start(place: &Place, who: Who, config: Option<&Path>) -> (Self, Duration) {
        let (mut command, log) = place.command(who, config);
        let began = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let stdin = child.stdin.take().expect("its input");
        let stdout = BufReader::with_capacity(1 << 16, child.stdout.take().expect("its output"));
        let mut peer = Self { who, child, stdin, stdout, log, calls: 0 };
        if who.is_proxy() {
            peer.say(&initialize().to_string());
        }
        let said = peer.hear();
        let took = began.elapsed();
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        let is_ready = if who.is_proxy() { said.get("result").is_some() } else { said.get("connected").is_some() };
        assert!(is_ready, "{}: {said}", peer.complaint());
        if who.is_proxy() {
            peer.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string());
        }
        (peer, took)
    }

    /// Has the server ask.
    pub(crate) fn ask(&mut self, n: u32, concurrency: u32, work: &Value) -> Report {
        let mut arguments = json!({ "n": n, "concurrency": concurrency });
        if let (Some(all), Some(work)) = (arguments.as_object_mut(), work.as_object()) {
            all.extend(work.clone());
        }
        let (text, _) = self.call("ask", &arguments);
        let report: Report =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}: {text}", self.complaint()));
        assert_eq!(report.wrong, None, "{}", self.complaint());
        report
    }

    /// Has the server send a text back; how long it took.
    pub(crate) fn echo(&mut self, text: &str) -> Duration {
        let (echoed, took) = self.call("echo", &json!({ "text": text }));
        assert_eq!(echoed, text, "{}", self.complaint());
        took
    }

    /// Calls a tool: its text, and how long it took.
    fn call(&mut self, tool: &str, arguments: &Value) -> (String, Duration) {
        self.calls += 1;
        let id = self.calls;
        let call = if self.who.is_proxy() {
            let params = json!({ "name": tool, "arguments": arguments });
            json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
        } else {
            json!({ "op": "call", "id": id, "tool": tool, "arguments": arguments })
        };
        let call = call.to_string();
        let began = Instant::now();
        self.say(&call);
        loop {
            let said = self.hear();
            let took = began.elapsed();
            let said: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{}: {e}", self.complaint()));
            if said.get("id") != Some(&json!(id)) {
                continue;
            }
            let text = if self.who.is_proxy() { said.pointer("/result/content/0/text") } else { said.get("text") };
            let text = text.and_then(Value::as_str).unwrap_or_else(|| panic!("{}: {said}", self.complaint()));
            return (text.to_owned(), took);
        }
    }

    fn say(&mut self, line: &str) {
        let said = self.stdin.write_all(format!("{line}\n").as_bytes());
        said.unwrap_or_else(|e| panic!("{}: {e}", self.complaint()));
    }

    fn hear(&mut self) -> String {
        if self.stdout.buffer().is_empty() {
            let ready = poll(&mut [PollFd::new(self.stdout.get_ref(), PollFlags::IN)], Some(&PATIENCE));
            assert_ne!(ready, Ok(0), "{}: it says nothing", self.complaint());
        }
        let mut line = String::new();
        let heard = self.stdout.read_line(&mut line);
        assert!(matches!(heard, Ok(1..)), "{}: it has gone: {heard:?}", self.complaint());
        line
    }

    /// Who it is, and the last it wrote to its log.
    fn complaint(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let last = String::from_utf8_lossy(log.get(log.len().saturating_sub(2000)..).unwrap_or_default()).into_owned();
        format!("{} ({last})", self.who.name())
    }

    /// Its resident memory in bytes, without its children's.
    pub(crate) fn memory(&self) -> f64 {
        memory(self.child.id())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It is gone either way; its server goes when its input ends.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What begins a session.
pub(crate) fn initialize() -> Value {
    let client = json!({ "name": "race", "version": "1" });
    let params = json!({ "protocolVersion": REVISION, "capabilities": {}, "clientInfo": client });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })
}
