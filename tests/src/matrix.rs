//! Real clients in front, real servers behind (`tests/peers`), and a scripted LLM: the parts of the matrix of eras and transports.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::peers::{installed, script, workspace};
use crate::program::{binary, kill};
use crate::provider::{Provider, begin, piece, respond, wait_for_hangup};

/// A language's interpreter and a script of `tests/peers`.
fn run(name: &str) -> Vec<String> {
    let node = || installed("node/node_modules/.bin/node");
    let in_node =
        |file: &str| vec![node(), workspace().join("tests/peers/node").join(file).to_string_lossy().into_owned()];
    let python = |env: &str, file: &str| vec![installed(&format!("{env}/bin/python")), script(file)];
    match name {
        "ts1 client" => in_node("matrix_ts1_client.mjs"),
        "ts2 client" => in_node("matrix_ts2_client.mjs"),
        "ts1 server" => in_node("matrix_ts1_server.mjs"),
        "ts2 server" => in_node("matrix_ts2_server.mjs"),
        "sse server" => in_node("matrix_sse_server.mjs"),
        "rmcp client" | "rmcp server" => {
            vec![binary(&format!("matrix-{}", name.replace(' ', "-"))).to_string_lossy().into_owned()]
        }
        "mcp2 client" | "fastmcp4 client" | "mcp2 server" | "fastmcp4 server" => {
            python("fastmcp4", &format!("matrix_{}.py", name.replace(' ', "_")))
        }
        _ => python("fastmcp", &format!("matrix_{}.py", name.replace(' ', "_"))),
    }
}

/// A server's command on stdio; of an SDK that speaks both eras, in one of them.
#[must_use]
pub fn server(name: &str, era: Option<&str>) -> Vec<String> {
    let mut command = run(&format!("{name} server"));
    command.extend(["--transport", "stdio"].map(str::to_owned));
    command.extend(
        era.filter(|_| ["ts2", "rmcp"].contains(&name))
            .into_iter()
            .flat_map(|era| ["--era".to_owned(), era.to_owned()]),
    );
    command
}

/// A running server on HTTP; it lives as long as this.
#[derive(Debug)]
pub struct HttpServer {
    child: Child,
    /// Where it is.
    pub url: String,
}

impl HttpServer {
    /// Starts one.
    #[must_use]
    pub fn start(name: &str, args: &[&str]) -> Self {
        let command = run(&format!("{name} server"));
        let (program, rest) = command.split_first().unwrap_or_else(|| panic!("no command"));
        let mut command = Command::new(program);
        command.args(rest);
        if name != "sse" {
            command.args(["--transport", "http"]);
        }
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap_or_else(|| panic!("no stdout"));
        let read = BufReader::new(stdout).read_line(&mut line);
        let said: Value = read.ok().and_then(|_| serde_json::from_str(&line).ok()).unwrap_or_default();
        let (Some(port), path) = (said["port"].as_u64(), said["path"].as_str().unwrap_or("/mcp")) else {
            panic!("{command:?} said `{line}`")
        };
        Self { child, url: format!("http://127.0.0.1:{port}{path}") }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        kill(self.child.id());
        // It may have been waited for already.
        let _ = self.child.wait();
    }
}

/// A client at work.
#[derive(Debug)]
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// Answers that came before they were waited for.
    early: HashMap<String, Value>,
    /// What it said when it was connected.
    pub connected: Value,
}

impl Client {
    /// Starts one: `towards` is `--url URL` or `-- COMMAND…`.
    #[must_use]
    pub fn start(name: &str, args: &[&str], towards: &[String], env: &[(&str, &str)]) -> Self {
        let command = run(&format!("{name} client"));
        let (program, rest) = command.split_first().unwrap_or_else(|| panic!("no command"));
        let mut command = Command::new(program);
        command.args(rest).args(args).args(towards).envs(env.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap_or_else(|| panic!("no stdout")));
        let (to_test, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(said) = serde_json::from_str(&line) else { continue };
                if to_test.send(said).is_err() {
                    break;
                }
            }
        });
        let mut client = Self { child, stdin, lines, early: HashMap::new(), connected: Value::Null };
        let said = client.hear();
        client.connected = said["connected"].clone();
        assert!(client.connected.is_object(), "{command:?}: {said}");
        client
    }

    /// What it says next.
    #[must_use]
    pub fn hear(&mut self) -> Value {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("the client says nothing: {e}"))
    }

    /// Has it do something.
    pub fn say(&mut self, op: &Value) {
        let stdin = self.stdin.as_mut().unwrap_or_else(|| panic!("stdin is closed"));
        let written = stdin.write_all(format!("{op}\n").as_bytes()).and_then(|()| stdin.flush());
        written.unwrap_or_else(|e| panic!("writing to the client: {e}"));
    }

    /// Begins a call.
    pub fn begin(&mut self, id: &str, tool: &str, arguments: &Value) {
        self.say(&json!({ "op": "call", "id": id, "tool": tool, "arguments": arguments }));
    }

    /// Waits for the end of a call.
    #[must_use]
    pub fn end_of(&mut self, id: &str) -> Value {
        if let Some(said) = self.early.remove(id) {
            return said;
        }
        loop {
            let said = self.hear();
            match said["id"].as_str() {
                Some(own) if own == id => return said,
                Some(own) => drop(self.early.insert(own.to_owned(), said)),
                None => {}
            }
        }
    }

    /// Calls a tool; its text.
    #[must_use]
    pub fn call(&mut self, tool: &str, arguments: &Value) -> String {
        self.begin(tool, tool, arguments);
        let said = self.end_of(tool);
        assert_eq!(said["isError"], false, "{tool}: {said}");
        said["text"].as_str().unwrap_or_else(|| panic!("{tool}: {said}")).to_owned()
    }

    /// Its input ends; waits until it has disconnected.
    pub fn close(mut self) {
        self.stdin = None;
        let status = self.child.wait();
        assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{status:?}");
    }

    /// Does something else; what comes of it.
    #[must_use]
    pub fn does(&mut self, op: &Value) -> Value {
        self.say(op);
        self.hear()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stdin = None;
        kill(self.child.id());
        // It may have been waited for already.
        let _ = self.child.wait();
    }
}

/// An LLM behind OpenAI's chat completions: it echoes the last user's text, calls a tool once if one is offered, and thinks for ever
/// about `hang`.
#[must_use]
pub fn llm() -> Provider {
    Provider::start(|request, stream, _| {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let messages = asked["messages"].as_array().cloned().unwrap_or_default();
        let text = |message: &Value| match &message["content"] {
            Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" "),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        let last = messages.last().cloned().unwrap_or_default();
        let users = messages.iter().rev().find(|message| message["role"] == "user").map(text).unwrap_or_default();
        if users == "hang" {
            return wait_for_hangup(stream);
        }
        let tools = asked["tools"].as_array().is_some_and(|tools| !tools.is_empty());
        let message = if last["role"] == "tool" {
            json!({ "role": "assistant", "content": format!("the sum is {}", text(&last)) })
        } else if tools {
            let function = json!({ "name": "add", "arguments": "{\"a\": 2, \"b\": 3}" });
            json!({ "role": "assistant", "content": null, "tool_calls": [{ "id": "call_1", "type": "function", "function": function }] })
        } else {
            json!({ "role": "assistant", "content": users })
        };
        let reason = if message["tool_calls"].is_array() { "tool_calls" } else { "stop" };
        if asked["stream"] == true {
            return streamed(stream, message, reason);
        }
        let body = json!({ "id": "c", "object": "chat.completion", "created": 1, "model": "m",
                           "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
                           "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 } });
        respond(stream, "200 OK", "content-type: application/json\r\n", body.to_string().as_bytes());
    })
}

/// The same answer as a stream of two events: servers that gave a `progressToken` get it so.
fn streamed(stream: &mut std::net::TcpStream, mut delta: Value, reason: &str) {
    for (n, call) in delta["tool_calls"].as_array_mut().into_iter().flatten().enumerate() {
        call["index"] = json!(n);
    }
    let event = |choice: Value| {
        let chunk =
            json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice] });
        format!("data: {chunk}\n\n")
    };
    begin(stream, "text/event-stream");
    piece(stream, event(json!({ "index": 0, "delta": delta, "finish_reason": null })).as_bytes());
    piece(stream, event(json!({ "index": 0, "delta": {}, "finish_reason": reason })).as_bytes());
    piece(stream, b"data: [DONE]\n\n");
    piece(stream, b"");
}
