//! A client's session through `understudy proxy`, line by line.
//!
//! With `cat` as the server, whatever the client says comes back as the server's words: so a test plays both.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::program::{Place, kill};

/// A running proxy.
#[derive(Debug)]
pub struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    stderr: Receiver<String>,
}

impl Session {
    /// Starts `understudy proxy ARGS… -- SERVER…`.
    #[must_use]
    pub fn start(place: &Place, args: &[&str], server: &[&str]) -> Self {
        Self::start_with(place, args, server, &[])
    }

    /// The same, with variables in its environment.
    #[must_use]
    pub fn start_with(place: &Place, args: &[&str], server: &[&str], env: &[(&str, &str)]) -> Self {
        let all = ["proxy"].iter().chain(args).chain(&["--"]).chain(server);
        Self::run(place.understudy(all), env)
    }

    /// Starts `understudy proxy --server NAME`, with variables in its environment.
    #[must_use]
    pub fn by_name(place: &Place, server: &str, env: &[(&str, &str)]) -> Self {
        Self::run(place.understudy(["proxy", "--server", server]), env)
    }

    /// Starts a command that is a proxy.
    #[must_use]
    pub fn run(mut command: Command, env: &[(&str, &str)]) -> Self {
        command.envs(env.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let stdin = child.stdin.take();
        let (to_test, lines) = mpsc::channel();
        let mut stdout = BufReader::new(child.stdout.take().unwrap_or_else(|| panic!("no stdout")));
        thread::spawn(move || {
            let mut line = Vec::new();
            while stdout.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                if to_test.send(std::mem::take(&mut line)).is_err() {
                    break;
                }
            }
        });
        let (said, stderr) = mpsc::channel();
        let mut errors = child.stderr.take().unwrap_or_else(|| panic!("no stderr"));
        thread::spawn(move || {
            let mut text = Vec::new();
            // What could be read is what there is.
            let _ = errors.read_to_end(&mut text);
            let _ = said.send(String::from_utf8_lossy(&text).into_owned());
        });
        Self { child, stdin, lines, stderr }
    }

    /// The proxy's process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The client says these bytes.
    pub fn say_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap_or_else(|| panic!("stdin is closed"));
        stdin.write_all(bytes).and_then(|()| stdin.flush()).unwrap_or_else(|e| panic!("writing to the proxy: {e}"));
    }

    /// A client with these capabilities shakes hands, with `cat` as the server. A server that leaves `initialize` unanswered is asked for its era after
    /// seconds, and `cat` would say that, too.
    pub fn initialize(&mut self, capabilities: &Value) {
        let client = json!({ "name": "editor", "version": "1" });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client });
        self.say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }));
        assert_eq!(self.hear()["method"], "initialize");
        let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "cat", "version": "1" } });
        self.say(&json!({ "jsonrpc": "2.0", "id": 0, "result": result }));
        assert_eq!(self.hear()["id"], 0);
    }

    /// A call of the client's goes on from now on. So with `cat` as the server a cancellation is the server's alone: of a call that is the
    /// only one the client's counts too, for what was asked in its course.
    pub fn begin_a_call(&mut self) {
        let call = json!({ "jsonrpc": "2.0", "id": "a call that goes on", "method": "tools/call" });
        self.say(&call);
        assert_eq!(self.hear(), call);
    }

    /// The client says this.
    pub fn say(&mut self, message: &Value) {
        self.say_bytes(format!("{message}\n").as_bytes());
    }

    /// The next line that the client is told, with its end.
    #[must_use]
    pub fn line(&mut self) -> Vec<u8> {
        let line = self.lines.recv_timeout(PATIENCE);
        line.unwrap_or_else(|e| {
            panic!("no line from the proxy: {e}; stderr: {}", self.stderr.try_recv().unwrap_or_default())
        })
    }

    /// The next message that the client is told.
    #[must_use]
    pub fn hear(&mut self) -> Value {
        let line = self.line();
        serde_json::from_slice(&line).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&line)))
    }

    /// Waits until the client is told that there is no more to come.
    pub fn wait_for_end_of_output(&mut self) {
        let end = self.lines.recv_timeout(PATIENCE);
        assert_eq!(end, Err(mpsc::RecvTimeoutError::Disconnected), "the output doesn't end");
    }

    /// The client's input ends.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits for the end: how, what else the client was told, and what was on stderr.
    #[must_use]
    pub fn end(mut self) -> (ExitStatus, Vec<Vec<u8>>, String) {
        self.end_input();
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            rest.push(line);
        }
        let stderr = self.stderr.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("the proxy doesn't end"));
        let status = self.child.wait().unwrap_or_else(|e| panic!("{e}"));
        (status, rest, stderr)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        kill(self.child.id());
        // It may have been waited for already.
        let _ = self.child.wait();
    }
}

/// A sampling request, as a server would write it.
#[must_use]
pub fn sampling(id: impl Into<Value>, text: &str) -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": text } });
    let id: Value = id.into();
    json!({ "jsonrpc": "2.0", "id": id, "method": "sampling/createMessage", "params": { "messages": [message], "maxTokens": 100 } })
}
