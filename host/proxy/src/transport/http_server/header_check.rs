//! Whether the headers of a request say what its body says (2026-07-28, basic/transports/streamable-http, "Server Validation").
//!
//! Intermediaries route by the headers and servers act by the body, so a request in which they differ is refused. A tool's schema says which of its
//! arguments stand in headers (`Mcp-Param-*`); the front learns the schemas from the answers to `tools/list` that pass through it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderValue, StatusCode};
use mcp::param_headers::{self, Mismatch, Tools, compare, decode};
use mcp::{Kind, Parts, code, header, meta, method};
use serde_json::Value;

use super::request_body::PostedMessage;
use super::response::{Refusal, refusal};
use understudy::text::one_line;

/// The tools that have been listed, as far as their arguments have headers.
#[derive(Debug, Default)]
pub(super) struct ListedTools(Mutex<Tools>);

/// Checks a request; what to answer if it is wrong. Notifications have no headers to check.
pub(super) fn check(headers: &HeaderMap, posted: &PostedMessage, listed_tools: &ListedTools) -> Result<(), Refusal> {
    if posted.head.kind() != Kind::Request {
        return Ok(());
    }
    let id = posted.head.id();
    let mismatch = |mismatch: Mismatch| {
        let reason = format!("header mismatch: {}", in_words(&mismatch));
        Box::new(refusal(StatusCode::BAD_REQUEST, id, code::HEADER_MISMATCH, &reason))
    };
    let missing = |key: &str| {
        let reason = format!("invalid params: `_meta` has no `{key}`");
        Box::new(refusal(StatusCode::BAD_REQUEST, id, code::INVALID_PARAMS, &reason))
    };
    let envelope = posted.envelope.as_ref();
    let Some(version) = envelope.and_then(|envelope| envelope.version.as_deref()) else {
        return Err(missing(meta::PROTOCOL_VERSION));
    };
    // That it says `null` is for the relay, which replaces it, or the server.
    if envelope.is_none_or(|envelope| envelope.capabilities.is_none()) {
        return Err(missing(meta::CLIENT_CAPABILITIES));
    }
    let equal = |name: &str, body: &str| {
        let said = decode(name, values(headers, name)).and_then(|said| compare(name, said, body));
        said.map_err(mismatch)
    };
    equal(header::PROTOCOL_VERSION, version)?;
    let method = posted.head.method().unwrap_or_default();
    equal(header::METHOD, method)?;
    let Some(key) = method::name_parameter(method) else { return Ok(()) };
    let params = Parts::of(&posted.line).ok().and_then(|parts| parts.params);
    let params: Value = params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default();
    // Without a name the request is wrong in another way, which the server will say.
    let Some(name) = params.get(key).and_then(Value::as_str) else { return Ok(()) };
    equal(header::NAME, name)?;
    if method == method::TOOLS_CALL {
        let arguments = params.get("arguments").unwrap_or(&Value::Null);
        listed_tools.lock().check(name, arguments, |name| values(headers, name)).map_err(mismatch)?;
    }
    Ok(())
}

/// All values of a header.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes)
}

/// What is wrong, for the client.
fn in_words(mismatch: &Mismatch) -> String {
    let shown = |name: &str| header::spelled(&one_line(name, 80));
    match mismatch {
        Mismatch::Missing { header, body } => {
            format!("the header `{}` is missing; it must say `{}`, as the body does", shown(header), one_line(body, 80))
        }
        Mismatch::Differs { header, said, body } => {
            format!(
                "the header `{}` says `{}`, and the body `{}`",
                shown(header),
                one_line(said, 80),
                one_line(body, 80)
            )
        }
        Mismatch::Unexpected { header } => {
            format!("the header `{}` says something, and the body nothing", shown(header))
        }
        Mismatch::Malformed { header, why } => format!("the header `{}` {why}", shown(header)),
    }
}

impl ListedTools {
    /// Learns from an answer to `tools/list`.
    pub(super) fn learn(&self, line: &[u8]) {
        let mut known = self.lock();
        // Nearly all servers have no such header: the search is cheaper than parsing.
        if !known.is_empty() || memchr::memmem::find(line, param_headers::KEY.as_bytes()).is_some() {
            known.learn(line);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tools> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn checked(
        listed_tools: &ListedTools,
        method: &str,
        params: Value,
        headers: &[(&'static str, &str)],
    ) -> Result<(), u16> {
        let mut params = params;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}
        });
        let line = Bytes::from(json!({"id": 1, "method": method, "params": params}).to_string());
        let posted = PostedMessage::new(line.clone(), mcp::Head::of(&line));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        check(&map, &posted, listed_tools).map_err(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn what_headers_must_say_is_what_the_body_says() {
        let listed_tools = ListedTools::default();
        let version = ("mcp-protocol-version", "2026-07-28");
        let of = |method: &str, params: Value, rest: &[(&'static str, &str)]| {
            checked(&listed_tools, method, params, &[&[version], rest].concat())
        };
        assert_eq!(of("tools/list", json!({}), &[("mcp-method", "tools/list")]), Ok(()));
        assert_eq!(of("tools/list", json!({}), &[]), Err(400));
        assert_eq!(of("tools/list", json!({}), &[("mcp-method", "tools/call")]), Err(400));
        assert_eq!(of("tools/list", json!({}), &[("mcp-method", "tools/list"), ("mcp-method", "x")]), Err(400));
        assert_eq!(checked(&listed_tools, "m", json!({}), &[("mcp-method", "m")]), Err(400));
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
        let listed_tools = ListedTools::default();
        let schema = json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
        }});
        let tools = json!({"id": 1, "result": {"tools": [{"name": "t", "inputSchema": schema}]}});
        listed_tools.learn(tools.to_string().as_bytes());
        let of = |arguments: Value, rest: &[(&'static str, &str)]| {
            let base = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "t")];
            checked(
                &listed_tools,
                "tools/call",
                json!({"name": "t", "arguments": arguments}),
                &[&base[..], rest].concat(),
            )
        };
        assert_eq!(of(json!({}), &[]), Ok(()));
        assert_eq!(of(json!({"region": null, "other": 1}), &[("mcp-param-other", "x")]), Ok(()));
        assert_eq!(of(json!({"region": "eu"}), &[("mcp-param-region", "eu")]), Ok(()));
        assert_eq!(of(json!({"region": "eu"}), &[]), Err(400));
        assert_eq!(of(json!({"region": "eu"}), &[("mcp-param-region", "us")]), Err(400));
        assert_eq!(of(json!({}), &[("mcp-param-region", "us")]), Err(400));
        assert_eq!(of(json!({"deep": {"n": 42}}), &[("mcp-param-n", "42.0")]), Ok(()));
        assert_eq!(of(json!({"deep": {"n": 42}}), &[("mcp-param-n", "43")]), Err(400));
        // A schema without headers, and one that breaks the rules.
        for schema in [json!({}), json!({"properties": {"region": {"type": "object", "x-mcp-header": "Region"}}})] {
            let tools = json!({"id": 1, "result": {"tools": [{"name": "t", "inputSchema": schema}]}});
            listed_tools.learn(tools.to_string().as_bytes());
            assert_eq!(of(json!({"region": "eu"}), &[]), Ok(()));
        }
    }
}
