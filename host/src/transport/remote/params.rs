//! Arguments that a server wants to see in headers: `x-mcp-header` in a tool's input schema, `Mcp-Param-*` in its calls.
//! Revision 2026-07-28, basic/transports/streamable-http, "Custom Headers from Tool Parameters".

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use crate::jsonrpc::Parts;
use crate::text::one_line;

const KEY: &str = "x-mcp-header";
const PREFIX: &str = "mcp-param-";

/// So many tools are remembered.
const MOST_TOOLS: usize = 16 * 1024;

/// The largest integer that all JSON readers agree on.
const SAFE: u64 = (1 << 53) - 1;

/// What is known of the server's tools.
#[derive(Debug, Default)]
pub(super) struct Tools(Mutex<HashMap<String, Mirrored>>);

/// The arguments of one tool that have a header; or why none of its calls may go out.
type Mirrored = Result<Vec<Argument>, String>;

/// An argument that has a header.
#[derive(Debug, PartialEq, Eq)]
struct Argument {
    path: Vec<String>,
    header: HeaderName,
}

impl Tools {
    /// Learns from the answer to `tools/list`; the cursor of its next page.
    pub(super) fn learn(&self, answer: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            #[serde(default)]
            tools: Vec<Value>,
            #[serde(default)]
            next_cursor: Option<String>,
        }
        let page: Page = serde_json::from_str(Parts::of(answer).ok()?.result?.get()).ok()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in &page.tools {
            let Some(name) = tool.get("name").and_then(Value::as_str) else { continue };
            let mirrored = mirrored(tool.get("inputSchema").unwrap_or(&Value::Null));
            if let Err(reason) = &mirrored {
                tracing::warn!("the tool `{}` can't be called over HTTP: {reason}", one_line(name, 100));
            }
            if known.len() < MOST_TOOLS || known.contains_key(name) {
                known.insert(name.to_owned(), mirrored);
            }
        }
        page.next_cursor.filter(|cursor| !cursor.is_empty())
    }

    /// Adds the headers of a call; or why it can't go out.
    pub(super) fn mirror(&self, tool: &str, arguments: &str, headers: &mut HeaderMap) -> Result<(), String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mirrored) = known.get(tool) else { return Ok(()) };
        let mirrored = mirrored.as_ref().map_err(|reason| {
            format!(
                "the server's definition of the tool `{}` breaks the protocol's rules: {reason}",
                one_line(tool, 100)
            )
        })?;
        if mirrored.is_empty() {
            return Ok(());
        }
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        for Argument { path, header } in mirrored {
            let value = path.iter().try_fold(&arguments, |value, key| value.get(key));
            if let Some(value) = value.and_then(spelt).and_then(|text| encoded(&text)) {
                headers.insert(header.clone(), value);
            }
        }
        Ok(())
    }
}

/// A value as a header has it; `None` for what has none there.
fn spelt(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) => Some(value.to_string()),
        Value::Number(number) => {
            let integer = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
            match integer {
                Some(integer) => (integer <= SAFE).then(|| number.to_string()),
                // `42.0` is an integer, too. Rust writes it as `42`.
                None => number.as_f64().map(|number| number.to_string()),
            }
        }
        _ => None,
    }
}

/// A text as a header's value: as it is if it can be, else in Base64.
pub(super) fn encoded(text: &str) -> Option<HeaderValue> {
    let is_plain = text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    let looks_encoded = text.starts_with("=?base64?") && text.ends_with("?=");
    if is_plain && !looks_encoded && !text.is_empty() && text.trim() == text {
        return HeaderValue::from_str(text).ok();
    }
    HeaderValue::try_from(format!("=?base64?{}?=", STANDARD.encode(text))).ok()
}

/// The arguments of a schema that have a header; or which rule it breaks.
fn mirrored(schema: &Value) -> Mirrored {
    let mut found = Vec::new();
    look(schema, &mut Vec::new(), &mut found)?;
    let mut seen = HashSet::new();
    match found.iter().find(|argument| !seen.insert(argument.header.clone())) {
        Some(twice) => Err(format!("two arguments have the `{KEY}` of `{}`", twice.header)),
        None => Ok(found),
    }
}

/// Looks through a schema. Its properties may have headers, and nothing else in it.
fn look(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Argument>) -> Result<(), String> {
    let Value::Object(schema) = schema else { return Ok(()) };
    if let Some(name) = schema.get(KEY) {
        let place = one_line(&path.join("."), 100);
        if path.is_empty() {
            return Err(format!("`{KEY}` stands at the top of its schema"));
        }
        // The official SDKs and their conformance suite let `number` pass, which the specification's text doesn't.
        let types = ["string", "integer", "boolean", "number"];
        if !schema.get("type").and_then(Value::as_str).is_some_and(|kind| types.contains(&kind)) {
            return Err(format!("`{place}` has an `{KEY}`, and is neither a string nor an integer nor a boolean"));
        }
        let header = name.as_str().filter(|name| !name.is_empty());
        let header = header.and_then(|name| HeaderName::try_from(format!("{PREFIX}{name}")).ok());
        let header = header.ok_or_else(|| format!("the `{KEY}` of `{place}` is not a header's name"))?;
        found.push(Argument { path: path.clone(), header });
    }
    for (key, value) in schema {
        match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    path.push(name.clone());
                    look(property, path, found)?;
                    path.pop();
                }
            }
            // Not schemas, whatever is in them.
            ("default" | "const" | "enum" | "examples" | KEY, _) => {}
            (other, value) if has_header(value) => {
                return Err(format!("`{KEY}` stands in `{}`, where it may not", one_line(other, 60)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether any schema in it has a header.
fn has_header(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| key == KEY || has_header(value)),
        Value::Array(items) => items.iter().any(has_header),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_encoded_as_the_specification_shows() {
        let shown = |text: &str| encoded(text).unwrap().to_str().unwrap().to_owned();
        assert_eq!(shown("us-west1"), "us-west1");
        assert_eq!(shown("Hello, 世界"), "=?base64?SGVsbG8sIOS4lueVjA==?=");
        assert_eq!(shown(" padded "), "=?base64?IHBhZGRlZCA=?=");
        assert_eq!(shown("line1\nline2"), "=?base64?bGluZTEKbGluZTI=?=");
        assert_eq!(shown("=?base64?literal?="), "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=");
        assert_eq!(shown(""), "=?base64??=");
    }

    #[test]
    fn a_call_has_the_headers_that_its_tools_schema_names() {
        let tools = Tools::default();
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "n": {"type": "integer", "x-mcp-header": "N"},
            "deep": {"type": "object", "properties": {"yes": {"type": "boolean", "x-mcp-header": "Yes"}}},
            "plain": {"type": "string", "default": {"x-mcp-header": "no"}},
        }});
        let page = json!({"id": 1, "result": {"tools": [{"name": "t", "inputSchema": schema}, {"name": 5}], "nextCursor": "more"}});
        assert_eq!(tools.learn(page.to_string().as_bytes()).as_deref(), Some("more"));
        let headers = |arguments: &str| {
            let mut headers = HeaderMap::new();
            tools.mirror("t", arguments, &mut headers).unwrap();
            let pairs = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
            let mut pairs: Vec<String> = pairs.collect();
            pairs.sort();
            pairs.join(", ")
        };
        assert_eq!(
            headers(r#"{"region": "eu", "n": 42.0, "deep": {"yes": true}, "plain": "x"}"#),
            "mcp-param-n: 42, mcp-param-region: eu, mcp-param-yes: true"
        );
        assert_eq!(headers(r#"{"region": null, "n": 9007199254740992, "deep": []}"#), "");
        assert_eq!(headers(r#"{"n": -7}"#), "mcp-param-n: -7");
        let mut none = HeaderMap::new();
        tools.mirror("unknown", "{}", &mut none).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn a_tool_that_breaks_the_rules_is_not_called() {
        let property = |property: Value| json!({"properties": {"a": property}});
        for schema in [
            property(json!({"type": "string", "x-mcp-header": ""})),
            property(json!({"type": "string", "x-mcp-header": "a b"})),
            property(json!({"type": "string", "x-mcp-header": 5})),
            property(json!({"type": "object", "x-mcp-header": "A"})),
            property(json!({"x-mcp-header": "A"})),
            property(json!({"type": "array", "items": {"type": "string", "x-mcp-header": "A"}})),
            json!({"x-mcp-header": "A", "type": "string"}),
            json!({"oneOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}}),
        ] {
            assert!(mirrored(&schema).is_err(), "{schema}");
        }
    }
}
