//! Hundreds of servers behind one `serve`, with a session for each, so that all of them run.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use serde_json::{Map, Value, json};
use understudy_tests_http::{Answer, send};

use super::{Part, cells, count, opened, percentiles};
use crate::peer::{REVISION, initialize};
use crate::place::{Place, open_files};
use crate::process::{descriptors, memory};
use crate::svg::{Axis, Line, Panel};
use crate::table::Unit;

const SIZES: [u32; 3] = [1, 50, 500];

const ANSWERED: &str = "answered by a plugin";
const UNANSWERED: &str = "without a plugin";

/// Sessions that are begun at once.
const AT_ONCE: usize = 8;
/// Calls of a tool once all servers are up.
const CALLS: u32 = 1000;
/// Open files for each server at most, and others.
const FOR_EACH: u32 = 10;
const OTHERS: u32 = 100;

/// What was seen with as many servers.
struct Seen {
    kind: &'static str,
    servers: u32,
    /// From nothing until it listened, and until each server had answered `initialize` and, with a plugin, had an answer itself, in
    /// seconds.
    listening: f64,
    up: f64,
    /// Without sessions, and with all of them, in bytes.
    idle: f64,
    memory: f64,
    descriptors: Option<u32>,
    p50: f64,
    p99: f64,
}

pub(super) fn run(place: &Place) -> Part {
    let mut seen: Vec<Option<Seen>> = Vec::new();
    for kind in [ANSWERED, UNANSWERED] {
        seen.extend(SIZES.iter().map(|servers| measure(place, kind, *servers)));
    }
    let heading = cells([
        "servers",
        "their sampling",
        "start to listening",
        "start to all answering",
        "memory, no session",
        "memory, all answering",
        "descriptors",
        "`tools/call`: p50",
        "p99",
    ]);
    let all = [ANSWERED, UNANSWERED].into_iter().flat_map(|kind| SIZES.map(|servers| (kind, servers)));
    let rows = all.zip(&seen).map(|((kind, servers), seen)| row(kind, servers, seen.as_ref()));
    let lines = std::iter::once(heading).chain(rows).collect();
    let seen: Vec<Seen> = seen.into_iter().flatten().collect();
    Part {
        title: "Servers in `serve`: each with a session, so each a process",
        lines,
        note: format!(
            "Memory is Understudy's own resident memory. {AT_ONCE} sessions are begun at once; each server with a plugin asks once. The calls are of 1 KB, through one of the \
             sessions while all are there, each on a connection of its own; {CALLS} of them."
        ),
        panels: [
            panel("Resident memory, all servers answering", Unit::Bytes, &seen, |seen| seen.memory),
            panel("Start to all servers answering", Unit::Seconds, &seen, |seen| seen.up),
        ],
    }
}

fn row(kind: &str, servers: u32, seen: Option<&Seen>) -> Vec<String> {
    let Some(seen) = seen else {
        let needed = servers * FOR_EACH + OTHERS;
        let reason = format!("not measured: needs {needed} open files, may have {}", open_files());
        return cells([&count(servers), kind, &reason, "–", "–", "–", "–", "–", "–"]);
    };
    let [listening, up, p50, p99] = [seen.listening, seen.up, seen.p50, seen.p99].map(|time| Unit::Seconds.shown(time));
    let [idle, memory] = [seen.idle, seen.memory].map(|bytes| Unit::Bytes.shown(bytes));
    vec![count(servers), kind.to_owned(), listening, up, idle, memory, opened(seen.descriptors), p50, p99]
}

fn panel(title: &'static str, unit: Unit, seen: &[Seen], value: fn(&Seen) -> f64) -> Panel {
    let line = |kind: &'static str| {
        let of_it = seen.iter().filter(|seen| seen.kind == kind);
        Line { name: kind, points: of_it.map(|seen| (f64::from(seen.servers), value(seen))).collect() }
    };
    let across = Axis { name: "servers behind understudy serve", unit: Unit::Count };
    Panel { title, across, unit, lines: vec![line(ANSWERED), line(UNANSWERED)] }
}

/// Serves as many servers. None if too few files may be open.
fn measure(place: &Place, kind: &'static str, servers: u32) -> Option<Seen> {
    if open_files() < u64::from(servers * FOR_EACH + OTHERS) {
        return None;
    }
    let names: Vec<String> = (0..servers).map(|number| format!("server{number}")).collect();
    let server = json!({ "command": place.program("race-server") });
    let all: Map<String, Value> = names.iter().map(|name| (name.clone(), server.clone())).collect();
    let sampling = if kind == ANSWERED { json!("anthropic") } else { json!({ "mode": "off" }) };
    let config = place.file("serve.json", json!({ "mcpServers": all, "sampling": sampling }).to_string());
    let words = ["serve", "--no-token", "--listen", "127.0.0.1:0", "--config"].map(str::to_owned);
    let config = [config.to_string_lossy().into_owned()];
    let words: Vec<String> = std::iter::once(place.program("race-understudy")).chain(words).chain(config).collect();

    let began = Instant::now();
    let served = Served::start(place.run(&words));
    let listening = began.elapsed().as_secs_f64();
    let id = served.child.id();
    let idle = memory(id);
    let sessions = begin(served.address, &names, kind == ANSWERED);
    let up = began.elapsed().as_secs_f64();
    let (memory, descriptors) = (memory(id), descriptors(id));
    // The one that began first has waited longest.
    let session = sessions.first().expect("a session");
    let (p99, p50) = percentiles((0..CALLS).map(|number| echo(session, number)).collect());
    Some(Seen { kind, servers, listening, up, idle, memory, descriptors, p50, p99 })
}

/// A running `understudy serve`. Dropping it ends it.
struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    /// Starts it; it says where it listens.
    fn start(mut command: Command) -> Self {
        // That hundreds of servers have no plugin is as it should be.
        command.env("UNDERSTUDY_LOG", "error").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Understudy starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its address");
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        let address = said.get("listening").and_then(Value::as_str).and_then(|url| url.strip_prefix("http://"));
        let address = address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("it said `{line}`"));
        Self { child, address }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It is gone either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session with one of the servers.
struct Session {
    address: SocketAddr,
    path: String,
    id: String,
}

impl Session {
    fn post(&self, message: &Value) -> Answer {
        let revision = if self.id.is_empty() { "" } else { REVISION };
        let headers = [("mcp-session-id", self.id.as_str()), ("mcp-protocol-version", revision)];
        send(self.address, "POST", &self.path, &headers, message.to_string().as_bytes())
    }
}

/// Begins a session with each server, and has each ask if it gets an answer.
fn begin(address: SocketAddr, names: &[String], is_answered: bool) -> Vec<Session> {
    let share = names.len().div_ceil(AT_ONCE);
    let begin_all = |names: &[String]| names.iter().map(|name| session(address, name, is_answered)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let shares: Vec<_> = names.chunks(share).map(|names| scope.spawn(move || begin_all(names))).collect();
        shares.into_iter().flat_map(|share| share.join().expect("sessions")).collect()
    })
}

fn session(address: SocketAddr, name: &str, is_answered: bool) -> Session {
    let mut session = Session { address, path: format!("/{name}/mcp"), id: String::new() };
    let answer = session.post(&initialize());
    answer.header("mcp-session-id").clone_into(&mut session.id);
    let said = heard(answer);
    assert!(said.pointer("/result/serverInfo").is_some(), "{name}: {said}");
    let said = session.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    assert_eq!(said.status, 202, "{name}");
    if is_answered {
        let report = call(&session, 1, "ask", &json!({ "n": 1, "concurrency": 1, "text": 1000 }));
        let report: Value = serde_json::from_str(&report).unwrap_or(Value::String(report));
        assert_eq!(report.get("wrong"), Some(&Value::Null), "{name}: {report}");
    }
    session
}

/// Has the server send a text back; how long it took, in seconds.
fn echo(session: &Session, number: u32) -> f64 {
    let text = format!("{number:0>1000}");
    let began = Instant::now();
    let echoed = call(session, number + 2, "echo", &json!({ "text": text }));
    let took = began.elapsed().as_secs_f64();
    assert_eq!(echoed, text);
    took
}

/// Calls a tool: its text.
fn call(session: &Session, id: u32, tool: &str, arguments: &Value) -> String {
    let params = json!({ "name": tool, "arguments": arguments });
    let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
    let said = heard(session.post(&call));
    said.pointer("/result/content/0/text").and_then(Value::as_str).unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// The answer in what came of a request, which may be a stream.
fn heard(mut answer: Answer) -> Value {
    if answer.header("content-type") == "application/json" {
        return answer.json();
    }
    loop {
        let said = answer.hear().message();
        if said.get("method").is_none() {
            return said;
        }
    }
}
