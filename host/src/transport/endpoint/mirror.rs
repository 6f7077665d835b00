//! Whether the headers of a request say what its body says (2026-07-28, Streamable HTTP, "Request Metadata").
//!
//! Others on the way route by the headers and servers act by the body, so a request in which they differ is refused. Which of a
//! tool's arguments stand in headers (`Mcp-Param-*`) its schema says; that is known here once the tool has been listed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::modern;
use super::posted::Posted;
use super::reply::{Refusal, refusal};
use crate::jsonrpc::{Kind, Parts};
use crate::text::one_line;

/// `HeaderMismatch`
const MISMATCH: i64 = -32020;

const VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";

/// The arguments that stand in headers, by tool: the path of each, and its header.
#[derive(Debug, Default)]
pub(super) struct Mirrored(Mutex<HashMap<String, Vec<Argument>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Argument {
    path: Vec<String>,
    header: String,
}

/// Checks a request; what to answer if it is wrong. Notifications have no headers to check.
pub(super) fn check(headers: &HeaderMap, posted: &Posted, mirrored: &Mirrored) -> Result<(), Refusal> {
    if posted.head.kind() != Kind::Request {
        return Ok(());
    }
    let id = posted.head.id();
    let mismatch = |reason: String| {
        Box::new(refusal(StatusCode::BAD_REQUEST, id, MISMATCH, &format!("header mismatch: {reason}")))
    };
    let missing = |key: &str| {
        let reason = format!("invalid params: `_meta` has no `io.modelcontextprotocol/{key}`");
        Box::new(refusal(StatusCode::BAD_REQUEST, id, -32602, &reason))
    };
    let Some(version) = modern::version(&posted.line) else { return Err(missing("protocolVersion")) };
    if !modern::has_capabilities(&posted.line) {
        return Err(missing("clientCapabilities"));
    }
    equal(headers, VERSION, &version).map_err(mismatch)?;
    let method = posted.head.method().unwrap_or_default();
    equal(headers, METHOD, method).map_err(mismatch)?;
    let key = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(()),
    };
    let params = Parts::of(&posted.line).ok().and_then(|parts| parts.params);
    let params: Value = params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default();
    // Without a name the request is wrong in another way, which the server will say.
    let Some(name) = params.get(key).and_then(Value::as_str) else { return Ok(()) };
    equal(headers, NAME, name).map_err(mismatch)?;
    if method == "tools/call" {
        let arguments = params.get("arguments").unwrap_or(&Value::Null);
        mirrored.check(headers, name, arguments).map_err(mismatch)?;
    }
    Ok(())
}

/// Whether a header says just this.
fn equal(headers: &HeaderMap, name: &str, body: &str) -> Result<(), String> {
    match said(headers, name)? {
        Some(said) if said == body => Ok(()),
        Some(said) => {
            Err(format!("the header `{name}` says `{}`, and the body `{}`", one_line(&said, 80), one_line(body, 80)))
        }
        None => Err(format!("the header `{name}` is missing; it must say `{}`, as the body does", one_line(body, 80))),
    }
}

/// What a header says, decoded.
fn said(headers: &HeaderMap, name: &str) -> Result<Option<String>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong = |what: &str| Err(format!("the header `{name}` {what}"));
    if values.next().is_some() {
        return wrong("comes twice");
    }
    let Ok(text) = value.to_str() else { return wrong("holds characters that no header may") };
    let text = text.trim();
    let Some(encoded) = text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Ok(Some(text.to_owned()));
    };
    let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map_or_else(|| wrong("is not the base64 of a text"), |text| Ok(Some(text)))
}

impl Mirrored {
    /// Learns from an answer to `tools/list`.
    pub(super) fn learn(&self, line: &[u8]) {
        #[derive(Deserialize)]
        struct Listed {
            #[serde(default)]
            tools: Vec<Tool>,
        }
        #[derive(Deserialize)]
        struct Tool {
            name: String,
            #[serde(rename = "inputSchema", default)]
            schema: Value,
        }
        let mut known = self.lock();
        if known.is_empty() && memchr::memmem::find(line, b"x-mcp-header").is_none() {
            return;
        }
        let listed = Parts::of(line).ok().and_then(|parts| serde_json::from_str::<Listed>(parts.result?.get()).ok());
        for tool in listed.into_iter().flat_map(|listed| listed.tools) {
            let mut arguments = Vec::new();
            collect(&tool.schema, &mut Vec::new(), &mut arguments);
            if arguments.is_empty() {
                known.remove(&tool.name);
            } else {
                known.insert(tool.name, arguments);
            }
        }
    }

    fn check(&self, headers: &HeaderMap, tool: &str, arguments: &Value) -> Result<(), String> {
        let known = self.lock();
        for argument in known.get(tool).into_iter().flatten() {
            let value = argument.path.iter().try_fold(arguments, |value, key| value.get(key));
            let name = format!("Mcp-Param-{}", argument.header);
            let expected = match value {
                None | Some(Value::Null) => {
                    if headers.contains_key(&name) {
                        return Err(format!("the header `{name}` says something, and the body nothing"));
                    }
                    continue;
                }
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            let is_number = value.is_some_and(Value::is_number);
            let same_number = |said: &str| is_number && said.parse::<f64>().ok() == expected.parse::<f64>().ok();
            if !said(headers, &name)?.is_some_and(|said| same_number(&said)) {
                equal(headers, &name, &expected)?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Argument>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The arguments of a schema that stand in headers: those that are reached by `properties` alone.
fn collect(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Argument>) {
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        path.push(name.clone());
        if let Some(header) = property.get("x-mcp-header").and_then(Value::as_str) {
            found.push(Argument { path: path.clone(), header: header.to_owned() });
        }
        collect(property, path, found);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::jsonrpc::Head;

    fn checked(mirrored: &Mirrored, method: &str, params: Value, headers: &[(&'static str, &str)]) -> Result<(), u16> {
        let mut params = params;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}
        });
        let line = Bytes::from(json!({"id": 1, "method": method, "params": params}).to_string());
        let posted = Posted { head: Head::of(&line), line };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        check(&map, &posted, mirrored).map_err(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn what_headers_must_say_is_what_the_body_says() {
        let mirrored = Mirrored::default();
        let version = ("mcp-protocol-version", "2026-07-28");
        let of = |method: &str, params: Value, rest: &[(&'static str, &str)]| {
            checked(&mirrored, method, params, &[&[version], rest].concat())
        };
        assert_eq!(of("tools/list", json!({}), &[("mcp-method", "tools/list")]), Ok(()));
        assert_eq!(of("tools/list", json!({}), &[]), Err(400));
        assert_eq!(of("tools/list", json!({}), &[("mcp-method", "tools/call")]), Err(400));
        assert_eq!(of("tools/list", json!({}), &[("mcp-method", "tools/list"), ("mcp-method", "x")]), Err(400));
        assert_eq!(checked(&mirrored, "m", json!({}), &[("mcp-method", "m")]), Err(400));
        let call = ("mcp-method", "tools/call");
        assert_eq!(of("tools/call", json!({"name": "a"}), &[call, ("mcp-name", "a")]), Ok(()));
        assert_eq!(of("tools/call", json!({"name": "a"}), &[call, ("mcp-name", "b")]), Err(400));
        assert_eq!(of("tools/call", json!({"name": "a"}), &[call]), Err(400));
        assert_eq!(of("tools/call", json!({"name": "é"}), &[call, ("mcp-name", "é")]), Err(400));
        assert_eq!(of("tools/call", json!({"name": "é"}), &[call, ("mcp-name", "=?base64?w6k=?=")]), Ok(()));
        assert_eq!(of("tools/call", json!({"name": "é"}), &[call, ("mcp-name", "=?base64?w6k?=")]), Err(400));
        let read = ("mcp-method", "resources/read");
        assert_eq!(of("resources/read", json!({"uri": "x://y"}), &[read, ("mcp-name", "x://y")]), Ok(()));
    }

    #[test]
    fn arguments_that_a_listed_tool_wants_in_headers_are_checked_too() {
        let mirrored = Mirrored::default();
        let schema = json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
            "list": {"items": {"properties": {"no": {"x-mcp-header": "No"}}}},
        }});
        let tools = json!({"id": 1, "result": {"tools": [{"name": "t", "inputSchema": schema}]}});
        mirrored.learn(tools.to_string().as_bytes());
        let of = |arguments: Value, rest: &[(&'static str, &str)]| {
            let base = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "t")];
            checked(&mirrored, "tools/call", json!({"name": "t", "arguments": arguments}), &[&base[..], rest].concat())
        };
        assert_eq!(of(json!({}), &[]), Ok(()));
        assert_eq!(of(json!({"region": null, "other": 1}), &[("mcp-param-other", "x")]), Ok(()));
        assert_eq!(of(json!({"region": "eu"}), &[("mcp-param-region", "eu")]), Ok(()));
        assert_eq!(of(json!({"region": "eu"}), &[]), Err(400));
        assert_eq!(of(json!({"region": "eu"}), &[("mcp-param-region", "us")]), Err(400));
        assert_eq!(of(json!({}), &[("mcp-param-region", "us")]), Err(400));
        assert_eq!(of(json!({"deep": {"n": 42}}), &[("mcp-param-n", "42.0")]), Ok(()));
        assert_eq!(of(json!({"deep": {"n": 42}}), &[("mcp-param-n", "43")]), Err(400));
        let tools = json!({"id": 1, "result": {"tools": [{"name": "t", "inputSchema": {}}]}});
        mirrored.learn(tools.to_string().as_bytes());
        assert_eq!(of(json!({"region": "eu"}), &[]), Ok(()));
    }
}
