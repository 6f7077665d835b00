//! The clients of the matrix (`tests/peers/MATRIX.md`): other people's SDKs, told what to do by lines of JSON.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::peers::{installed, node, workspace};
use crate::program::kill;

/// A client, connected.
#[derive(Debug)]
pub struct Client {
    /// `{"protocolVersion", "server", "era"}`
    pub connected: Value,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    last_id: u64,
}

/// The command of a client or a server of the matrix: `fastmcp_client`, `ts1_server` …
#[must_use]
pub fn command(peer: &str) -> Vec<String> {
    let sdk = peer.split('_').next().unwrap_or_default();
    let peers = workspace().join("tests/peers");
    let file = |folder: &str, ending: &str| {
        peers.join(folder).join(format!("matrix_{peer}.{ending}")).to_string_lossy().into_owned()
    };
    match sdk {
        "ts1" | "ts2" => vec![node(), file("node", "mjs")],
        "mcp2" | "fastmcp4" => vec![installed("fastmcp4/bin/python"), file("python", "py")],
        _ => vec![installed("fastmcp/bin/python"), file("python", "py")],
    }
}

impl Client {
    /// Starts a client and waits until it is connected.
    #[must_use]
    pub fn connect(peer: &str, args: &[&str]) -> Self {
        let whole = command(peer);
        let (program, first) = whole.split_first().unwrap_or_else(|| panic!("no command for {peer}"));
        let mut command = Command::new(program);
        command.args(first).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap_or_else(|| panic!("no stdout")));
        let (to_test, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let said = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
                if to_test.send(said).is_err() {
                    break;
                }
            }
        });
        let mut client = Self { connected: Value::Null, child, stdin, lines, last_id: 0 };
        let first = client.hear();
        client.connected = first["connected"].clone();
        assert!(client.connected.is_object(), "{peer} {args:?}: {first}");
        client
    }

    /// Has it do something, without waiting for it.
    pub fn tell(&mut self, what: &Value) {
        let stdin = self.stdin.as_mut().unwrap_or_else(|| panic!("stdin is closed"));
        writeln!(stdin, "{what}").and_then(|()| stdin.flush()).unwrap_or_else(|e| panic!("{e}"));
    }

    /// What it says next.
    #[must_use]
    pub fn hear(&mut self) -> Value {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("the client says nothing: {e}"))
    }

    /// Has it do something that has a result, and nothing else meanwhile.
    #[must_use]
    pub fn ask(&mut self, what: &Value) -> Value {
        self.tell(what);
        self.hear()
    }

    /// Has it call a tool; the result's text.
    #[must_use]
    pub fn call(&mut self, tool: &str, arguments: &Value) -> String {
        self.last_id += 1;
        let said = self.ask(&json!({ "op": "call", "id": self.last_id, "tool": tool, "arguments": arguments }));
        assert!(said["isError"] == false, "{tool}: {said}");
        said["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Its input ends; waits until it has disconnected.
    pub fn close(mut self) {
        self.stdin = None;
        let status = self.child.wait();
        assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{status:?}");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        kill(self.child.id());
        // It may have been waited for already.
        let _ = self.child.wait();
    }
}
