//! The server of the race: an MCP server on stdio that asks, and says itself how long the answers took.
//!
//! | tool | arguments | its text |
//! | --- | --- | --- |
//! | `ask` | `n`, `concurrency`, `text` and `image` (bytes), `latency` (ms) | `{"n", "wrong", "took", "p50", "p99"}`, times in ns; `wrong` is the first wrong answer |
//! | `echo` | `text` | that text |
//!
//! One thread that polls, with requests made in advance, a few microseconds each: it must not be what is measured.

mod pipe;
mod work;

use std::io;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use pipe::Pipe;
use work::{Ask, Work};

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call {
    name: String,
    arguments: Value,
}

fn main() -> io::Result<()> {
    let mut pipe = Pipe::open()?;
    let mut work = None;
    loop {
        while let Some(text) = pipe.next_line() {
            let mut out = Vec::new();
            hear(&text, &mut work, &mut out)?;
            pipe.say(&out);
        }
        if !pipe.wait()? {
            return Ok(());
        }
    }
}

/// Deals with a message; what is to be said goes to `out`.
fn hear(text: &[u8], work: &mut Option<Work>, out: &mut Vec<u8>) -> io::Result<()> {
    let line: Line = serde_json::from_slice(text)?;
    let (Some(id), Some(method)) = (line.id, line.method) else {
        // An answer, or a notification, of which none matters here.
        if line.id.is_some()
            && let Some(asking) = work
            && let Some(report) = asking.take(line.id, line.result, text, out)
        {
            respond(out, asking.call(), &content(&report));
            *work = None;
        }
        return Ok(());
    };
    let params = line.params.map_or("{}", RawValue::get);
    match method {
        "initialize" => {
            let info = json!({ "name": "race", "version": env!("CARGO_PKG_VERSION") });
            let result =
                json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} }, "serverInfo": info });
            respond(out, id.get(), &result);
        }
        "tools/list" => {
            let tool = |name| json!({ "name": name, "inputSchema": { "type": "object" } });
            respond(out, id.get(), &json!({ "tools": [tool("ask"), tool("echo")] }));
        }
        "tools/call" => {
            let Call { name, arguments } = serde_json::from_str(params)?;
            if name == "ask" {
                *work = Some(Work::begin(id.get(), serde_json::from_value::<Ask>(arguments)?, out));
            } else {
                let text = arguments.get("text").and_then(Value::as_str).unwrap_or_default();
                respond(out, id.get(), &content(text));
            }
        }
        "ping" => respond(out, id.get(), &json!({})),
        _ => {
            let error = json!({ "code": -32601, "message": "not a method of this server" });
            out.extend(format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{error}}}\n", id.get()).bytes());
        }
    }
    Ok(())
}

fn content(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

fn respond(out: &mut Vec<u8>, id: &str, result: &Value) {
    out.extend(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n").bytes());
}
