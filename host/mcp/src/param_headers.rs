//! Tools' arguments in HTTP headers: `x-mcp-header` in an input schema, `Mcp-Param-*` in a call.
//!
//! Revision 2026-07-28, basic/transports/streamable-http, "Custom Headers from Tool Parameters" (SEP-2243). A client [encodes](Tools::headers) what
//! a server [checks](Tools::check), so both read schemas and values here:
//!
//! | an argument's value | header |
//! | --- | --- |
//! | absent, `null` | none; one that is sent is a mismatch |
//! | string, boolean | as it is, in Base64 where a header can't hold it |
//! | number | its digits; compared as a number |
//! | whole number beyond ±(2^53 - 1), array, object | none is sent or required; one that is sent must say the value's JSON |
//!
//! Only arguments of the types string, integer and boolean can have a header. A tool whose schema breaks the rules is invalid: a client doesn't
//! call it, and a server enforces none of its headers.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Number, Value};

use crate::header::PARAM_PREFIX;
use crate::message::Parts;

/// The key of a schema that names an argument's header.
pub const KEY: &str = "x-mcp-header";

/// The types whose values can have a header. Not `number`: two programs may write the same fraction differently.
const TYPES: [&str; 3] = ["string", "integer", "boolean"];

/// The most tools whose headers are remembered.
const MOST_TOOLS: usize = 16 * 1024;

/// The largest whole number that all readers of JSON agree on.
const SAFE: u64 = (1 << 53) - 1;

/// What stands around a text in Base64.
const BASE64: (&str, &str) = ("=?base64?", "?=");

/// An argument that has a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// The keys that lead to it.
    path: Vec<String>,
    /// The header's name, in lower case.
    header: String,
}

/// The tools of one server, as far as their arguments have headers.
#[derive(Debug, Default)]
pub struct Tools {
    /// The arguments with a header, or the rule that the schema breaks. A tool without either isn't remembered.
    known: HashMap<String, Result<Vec<Param>, String>>,
}

/// What an answer to `tools/list` told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// The cursor of the next page.
    pub next_cursor: Option<String>,
    /// The tools whose schema breaks a rule, and which.
    pub invalid: Vec<(String, String)>,
}

/// A header that doesn't say what the body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The header is missing; the body says this.
    Missing {
        /// Its name, in lower case.
        header: String,
        /// The value in the body.
        body: String,
    },
    /// The header says something else.
    Differs {
        /// Its name, in lower case.
        header: String,
        /// The header's value, decoded.
        said: String,
        /// The value in the body.
        body: String,
    },
    /// The body has no value for the header.
    Unexpected {
        /// Its name, in lower case.
        header: String,
    },
    /// The header can't be read.
    Malformed {
        /// Its name, in lower case.
        header: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Tools {
    /// Whether no tool is known that has headers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Learns from an answer to `tools/list`.
    pub fn learn(&mut self, answer: &[u8]) -> Learned {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            #[serde(default)]
            tools: Vec<Value>,
            #[serde(default)]
            next_cursor: Option<String>,
        }
        let page = Parts::of(answer).ok().and_then(|parts| serde_json::from_str::<Page>(parts.result?.get()).ok());
        let Some(page) = page else { return Learned::default() };
        let mut invalid = Vec::new();
        for tool in &page.tools {
            let Some(name) = tool.get("name").and_then(Value::as_str) else { continue };
            let params = collect(tool.get("inputSchema").unwrap_or(&Value::Null));
            if let Err(reason) = &params {
                invalid.push((name.to_owned(), reason.clone()));
            }
            if params.as_ref().is_ok_and(Vec::is_empty) {
                self.known.remove(name);
            } else if self.known.len() < MOST_TOOLS || self.known.contains_key(name) {
                self.known.insert(name.to_owned(), params);
            }
        }
        Learned { next_cursor: page.next_cursor.filter(|cursor| !cursor.is_empty()), invalid }
    }

    /// The headers of a call, names in lower case and values encoded.
    ///
    /// # Errors
    /// The rule that the tool's schema breaks: the call must not be sent.
    pub fn headers(&self, tool: &str, arguments: &str) -> Result<Vec<(String, String)>, String> {
        let Some(params) = self.known.get(tool) else { return Ok(Vec::new()) };
        let params = params.as_ref().map_err(String::clone)?;
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let headers = params.iter().filter_map(|param| {
            let text = spelled(param.value(&arguments)?)?;
            Some((param.header.clone(), encode(&text)))
        });
        Ok(headers.collect())
    }

    /// Checks the headers of a call against its arguments; `values` gives all values of the header of a name.
    ///
    /// # Errors
    /// The first header that doesn't say what the arguments say.
    pub fn check<'a, V: Iterator<Item = &'a [u8]>>(
        &self,
        tool: &str,
        arguments: &Value,
        values: impl Fn(&str) -> V,
    ) -> Result<(), Mismatch> {
        let Some(Ok(params)) = self.known.get(tool) else { return Ok(()) };
        for param in params {
            let header = &param.header;
            let said = decode(header, values(header))?;
            match (param.value(arguments), said) {
                (None, None) => {}
                (None, Some(_)) => return Err(Mismatch::Unexpected { header: header.clone() }),
                (Some(value), said) => check_value(header, value, said)?,
            }
        }
        Ok(())
    }
}

impl Param {
    /// The argument's value, if it has one.
    fn value<'a>(&self, arguments: &'a Value) -> Option<&'a Value> {
        let value = self.path.iter().try_fold(arguments, |value, key| value.get(key));
        value.filter(|value| !value.is_null())
    }
}

fn check_value(header: &str, value: &Value, said: Option<String>) -> Result<(), Mismatch> {
    let Some(text) = spelled(value) else {
        // A client that can't represent the value sends no header.
        return said.map_or(Ok(()), |said| compare(header, Some(said), &value.to_string()));
    };
    let is_same_number =
        |said: &String| value.is_number() && said.parse::<f64>().is_ok_and(|said| Some(said) == value.as_f64());
    if said.as_ref().is_some_and(is_same_number) { Ok(()) } else { compare(header, said, &text) }
}

/// Compares what a header says, decoded, with the body.
///
/// # Errors
/// If they differ, or the header is missing.
pub fn compare(header: &str, said: Option<String>, body: &str) -> Result<(), Mismatch> {
    match said {
        Some(said) if said == body => Ok(()),
        Some(said) => Err(Mismatch::Differs { header: header.to_owned(), said, body: body.to_owned() }),
        None => Err(Mismatch::Missing { header: header.to_owned(), body: body.to_owned() }),
    }
}

/// A value as a header says it; `None` if no header can represent it.
fn spelled(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) => Some(value.to_string()),
        Value::Number(number) => spelled_number(number),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is exact")]
fn spelled_number(number: &Number) -> Option<String> {
    if let Some(whole) = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64()) {
        return (whole <= SAFE).then(|| number.to_string());
    }
    // `42.0` is a whole number, too: Rust writes it as `42`.
    let number = number.as_f64().filter(|number| number.fract() != 0.0 || number.abs() <= SAFE as f64)?;
    Some(number.to_string())
}

/// A text as a header's value: as it is where a header can hold it, else in Base64.
#[must_use]
pub fn encode(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    let looks_encoded = text.starts_with(BASE64.0) && text.ends_with(BASE64.1);
    if is_plain && !looks_encoded && !text.is_empty() && text.trim() == text {
        return text.to_owned();
    }
    format!("{}{}{}", BASE64.0, STANDARD.encode(text), BASE64.1)
}

/// What a header says, decoded; `None` if it is absent. `values` are all of its values.
///
/// # Errors
/// If there are several, or the value can't be read.
pub fn decode<'a>(header: &str, mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<String>, Mismatch> {
    let Some(value) = values.next() else { return Ok(None) };
    let malformed = |why| Err(Mismatch::Malformed { header: header.to_owned(), why });
    if values.next().is_some() {
        return malformed("comes twice");
    }
    let is_plain = value.iter().all(|byte| *byte == b'\t' || (b' '..=b'~').contains(byte));
    let Some(text) = std::str::from_utf8(value).ok().filter(|_| is_plain) else {
        return malformed("holds characters that no header may");
    };
    let text = text.trim();
    let Some(encoded) = text.strip_prefix(BASE64.0).and_then(|rest| rest.strip_suffix(BASE64.1)) else {
        return Ok(Some(text.to_owned()));
    };
    let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map_or_else(|| malformed("is not the base64 of a text"), |text| Ok(Some(text)))
}

/// The arguments of a schema that have a header.
///
/// # Errors
/// The rule that the schema breaks.
pub fn collect(schema: &Value) -> Result<Vec<Param>, String> {
    let mut found = Vec::new();
    look(schema, &mut Vec::new(), &mut found)?;
    let mut seen = HashSet::new();
    match found.iter().find(|param| !seen.insert(param.header.clone())) {
        Some(twice) => Err(format!("two arguments have the `{KEY}` of `{}`", twice.header)),
        None => Ok(found),
    }
}

/// Looks through a schema. Its properties may have headers, and nothing else in it.
fn look(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Param>) -> Result<(), String> {
    let Value::Object(schema) = schema else { return Ok(()) };
    if let Some(name) = schema.get(KEY) {
        let place = path.join(".");
        if path.is_empty() {
            return Err(format!("`{KEY}` stands at the top of its schema"));
        }
        let kind = schema.get("type").and_then(Value::as_str);
        if !kind.is_some_and(|kind| TYPES.contains(&kind)) {
            return Err(format!("`{place}` has an `{KEY}`, and is neither a string nor an integer nor a boolean"));
        }
        let name = name.as_str().filter(|name| is_token(name));
        let name = name.ok_or_else(|| format!("the `{KEY}` of `{place}` is not a header's name"))?;
        found.push(Param { path: path.clone(), header: format!("{PARAM_PREFIX}{}", name.to_ascii_lowercase()) });
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
                return Err(format!("`{KEY}` stands in `{other}`, where it may not"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a text is a token of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_char)
}

/// Whether any schema in a value has a header.
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
    fn values_are_encoded_as_the_specification_shows_and_decoded_again() {
        for (text, shown) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("", "=?base64??="),
        ] {
            assert_eq!(encode(text), shown);
            assert_eq!(decode("h", std::iter::once(shown.as_bytes())), Ok(Some(text.to_owned())));
        }
        for wrong in ["=?base64?w6k?=", "=?base64?/w==?=", "é"] {
            assert!(decode("h", std::iter::once(wrong.as_bytes())).is_err(), "{wrong}");
        }
        assert!(decode("h", [&b"a"[..], b"a"].into_iter()).is_err());
        assert_eq!(decode("h", std::iter::empty()), Ok(None));
    }

    fn tools(schema: &Value) -> (Tools, Learned) {
        let mut tools = Tools::default();
        let page = json!({"id": 1, "result": {"tools": [{"name": "t", "inputSchema": schema}, {"name": 5}], "nextCursor": "more"}});
        let learned = tools.learn(page.to_string().as_bytes());
        (tools, learned)
    }

    fn headers(tools: &Tools, arguments: &str) -> String {
        let mut headers: Vec<String> =
            tools.headers("t", arguments).unwrap().iter().map(|(name, value)| format!("{name}: {value}")).collect();
        headers.sort();
        headers.join(", ")
    }

    #[test]
    fn a_call_has_the_headers_that_its_tools_schema_names() {
        let (tools, learned) = tools(&json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "n": {"type": "integer", "x-mcp-header": "N"},
            "deep": {"type": "object", "properties": {"yes": {"type": "boolean", "x-mcp-header": "Yes"}}},
            "plain": {"type": "string", "default": {"x-mcp-header": "no"}},
        }}));
        assert_eq!(learned, Learned { next_cursor: Some("more".to_owned()), invalid: Vec::new() });
        assert_eq!(
            headers(&tools, r#"{"region": "eu", "n": 42.0, "deep": {"yes": true}, "plain": "x"}"#),
            "mcp-param-n: 42, mcp-param-region: eu, mcp-param-yes: true"
        );
        assert_eq!(headers(&tools, r#"{"region": null, "n": 9007199254740992, "deep": []}"#), "");
        assert_eq!(headers(&tools, r#"{"n": -7}"#), "mcp-param-n: -7");
        assert_eq!(tools.headers("unknown", "{}"), Ok(Vec::new()));
    }

    #[test]
    fn what_a_client_sends_is_what_a_server_takes_and_nothing_else_is() {
        let (mut tools, _) = tools(&json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
        }}));
        for arguments in [
            json!({}),
            json!({"region": null, "deep": []}),
            json!({"region": "eu", "deep": {"n": 42.0}}),
            json!({"region": "é \n", "deep": {"n": -9_007_199_254_740_991_i64}}),
            json!({"region": ["eu"], "deep": {"n": {"x": 1}}}),
            json!({"region": true, "deep": {"n": 9_007_199_254_740_993_u64}}),
            json!({"region": 1.5, "deep": {"n": 1e300}}),
        ] {
            let sent = tools.headers("t", &arguments.to_string()).unwrap();
            let values = |name: &str| {
                let of_name = sent.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_bytes());
                of_name.collect::<Vec<_>>().into_iter()
            };
            assert_eq!(tools.check("t", &arguments, values), Ok(()), "{arguments}");
        }
        let check = |arguments: &Value, header: &'static str, said: &'static str| {
            tools.check("t", arguments, |name| (name == header).then_some(said.as_bytes()).into_iter())
        };
        for (arguments, header, said) in [
            (json!({"region": "eu"}), "", ""),
            (json!({"region": "eu"}), "mcp-param-region", "us"),
            (json!({}), "mcp-param-region", "us"),
            (json!({"deep": {"n": 42}}), "mcp-param-n", "43"),
            (json!({"deep": {"n": 9_007_199_254_740_993_u64}}), "mcp-param-n", "9007199254740992"),
            (json!({"region": ["eu"]}), "mcp-param-region", "eu"),
        ] {
            assert!(check(&arguments, header, said).is_err(), "{arguments} {header}: {said}");
        }
        for (arguments, header, said) in [
            (json!({"deep": {"n": 42}}), "mcp-param-n", "42.0"),
            (json!({"deep": {"n": 9_007_199_254_740_993_u64}}), "mcp-param-n", "9007199254740993"),
            (json!({"region": ["eu"]}), "mcp-param-region", "[\"eu\"]"),
            (json!({"other": 1}), "mcp-param-other", "x"),
        ] {
            assert_eq!(check(&arguments, header, said), Ok(()), "{arguments} {header}: {said}");
        }
        let none = json!({"id": 1, "result": {"tools": [{"name": "t", "inputSchema": {}}]}});
        tools.learn(none.to_string().as_bytes());
        assert!(tools.is_empty());
    }

    #[test]
    fn a_tool_that_breaks_the_rules_is_neither_called_nor_enforced() {
        let property = |property: Value| json!({"properties": {"a": property}});
        for schema in [
            property(json!({"type": "string", "x-mcp-header": ""})),
            property(json!({"type": "string", "x-mcp-header": "a b"})),
            property(json!({"type": "string", "x-mcp-header": 5})),
            property(json!({"type": "object", "x-mcp-header": "A"})),
            property(json!({"type": "number", "x-mcp-header": "A"})),
            property(json!({"type": ["integer", "null"], "x-mcp-header": "A"})),
            property(json!({"x-mcp-header": "A"})),
            property(json!({"type": "array", "items": {"type": "string", "x-mcp-header": "A"}})),
            json!({"x-mcp-header": "A", "type": "string"}),
            json!({"oneOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}}),
        ] {
            let (tools, learned) = tools(&schema);
            assert_eq!(learned.invalid.len(), 1, "{schema}");
            assert!(tools.headers("t", r#"{"a":"x"}"#).is_err(), "{schema}");
            assert_eq!(tools.check("t", &json!({"a": "x"}), |_| std::iter::empty()), Ok(()), "{schema}");
        }
    }
}
