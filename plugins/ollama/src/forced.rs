//! A tool that must be called (`toolChoice` `required`).
//!
//! The API has no field for that, but it can keep an answer to a JSON Schema. So the tools are described in the system prompt
//! instead of offered, `format` is the schema of a call of one of them, and the answer's text is that call.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use understudy_plugin::blocks::NO_EXTRAS;
use understudy_plugin::error::{invalid_request, malformed_response, other};
use understudy_plugin::http;
use understudy_plugin::text::one_line;
use understudy_plugin::types::{Error, Tool, ToolUseContent};

pub(crate) struct Forced {
    /// The JSON Schema of a call.
    pub(crate) format: Box<RawValue>,
    /// For the system prompt.
    pub(crate) instructions: String,
    /// The tools' names.
    pub(crate) names: Vec<String>,
}

impl Forced {
    /// A call of one of these tools.
    pub(crate) fn among(tools: &[Tool]) -> Result<Self, Error> {
        let mut instructions =
            "Answer with one JSON object and nothing else: {\"name\": …, \"arguments\": …}, which calls exactly one of the following tools. \
            `name` is the tool's name, and `arguments` an object that fits the tool's schema."
                .to_owned();
        let mut schemas = BTreeMap::new();
        let mut calls = Vec::new();
        for (n, tool) in tools.iter().enumerate() {
            let key = format!("tool{n}");
            let place = format!("#/$defs/{key}");
            let schema = RawValue::from_string(moved(&tool.input_schema, &place)).map_err(|e| {
                invalid_request(format!("the `inputSchema` of the tool `{}` is not JSON: {e}", tool.name))
            })?;
            schemas.insert(key, schema);
            calls.push(CallSchema::of(&tool.name, place));
            // Writing to a string doesn't fail.
            let _ = write!(instructions, "\n\nTool: {}", tool.name);
            if let Some(description) = tool.description.as_deref().or(tool.title.as_deref()) {
                let _ = write!(instructions, "\nDescription: {description}");
            }
            let _ = write!(instructions, "\nSchema of the arguments: {}", tool.input_schema.trim());
        }
        let Some(last) = calls.pop() else {
            return Err(invalid_request("`toolChoice.mode` is `required`, but `tools` offers none"));
        };
        let calls = if calls.is_empty() {
            Calls::One(last)
        } else {
            calls.push(last);
            Calls::Any { any_of: calls }
        };
        let format = to_raw_value(&Format { calls, schemas })
            .map_err(|e| other(format!("the schema of a tool call can't be written as JSON: {e}")))?;
        let names = tools.iter().map(|tool| tool.name.clone()).collect();
        Ok(Self { format, instructions, names })
    }
}

#[derive(Serialize)]
struct Format<'a> {
    #[serde(flatten)]
    calls: Calls<'a>,
    /// The tools' schemas.
    #[serde(rename = "$defs")]
    schemas: BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Calls<'a> {
    One(CallSchema<'a>),
    Any {
        #[serde(rename = "anyOf")]
        any_of: Vec<CallSchema<'a>>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallSchema<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    properties: Properties<'a>,
    required: [&'static str; 2],
    additional_properties: bool,
}

/// In the order in which the model is to write them.
#[derive(Serialize)]
struct Properties<'a> {
    name: Name<'a>,
    arguments: Reference,
}

#[derive(Serialize)]
struct Name<'a> {
    #[serde(rename = "const")]
    is: &'a str,
}

#[derive(Serialize)]
struct Reference {
    #[serde(rename = "$ref")]
    to: String,
}

impl<'a> CallSchema<'a> {
    fn of(name: &'a str, schema: String) -> Self {
        Self {
            kind: "object",
            properties: Properties { name: Name { is: name }, arguments: Reference { to: schema } },
            required: ["name", "arguments"],
            additional_properties: false,
        }
    }
}

/// A schema with its references to itself as they must be where it isn't the root any more. All else keeps its spelling and its
/// order, which is the order in which the model writes the arguments.
fn moved(schema: &str, place: &str) -> String {
    let mut moved = String::with_capacity(schema.len() + 64);
    let mut rest = schema;
    while let Some((before, key, after)) = split_at_string(rest) {
        moved.push_str(before);
        moved.push_str(key);
        rest = after;
        if key != "\"$ref\"" {
            continue;
        }
        let Some((colon, target, after)) = split_at_string(rest).filter(|(colon, ..)| colon.trim() == ":") else {
            continue;
        };
        moved.push_str(colon);
        match target.strip_prefix("\"#").filter(|path| path.starts_with(['"', '/'])) {
            // Nothing in the place must be escaped.
            Some(path) => moved.extend(["\"", place, path]),
            None => moved.push_str(target),
        }
        rest = after;
    }
    moved.push_str(rest);
    moved
}

/// What stands before the first string of a JSON text, the string with its quotes, and what follows.
fn split_at_string(json: &str) -> Option<(&str, &str, &str)> {
    let start = json.find('"')?;
    let (before, from) = json.split_at_checked(start)?;
    let mut is_escaped = true; // the quote that opens it
    let end = from.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })?;
    let (string, after) = from.split_at_checked(end + 1)?;
    Some((before, string, after))
}

/// The call that an answer's text is. Its id is still to be made. `is_cut`: whether `maxTokens` ended the answer.
pub(crate) fn read(text: &str, names: &[String], is_cut: bool) -> Result<ToolUseContent, Error> {
    #[derive(Deserialize)]
    struct Call<'a> {
        name: String,
        #[serde(borrow)]
        arguments: &'a RawValue,
    }
    let call: Option<Call> =
        Some(text.trim()).filter(|t| t.starts_with('{')).and_then(|t| serde_json::from_str(t).ok());
    let Some(Call { name, arguments }) = call.filter(|call| call.arguments.get().starts_with('{')) else {
        let why = if is_cut { ": `maxTokens` ended the answer in its midst" } else { "" };
        let beginning = http::beginning(text.as_bytes());
        return Err(malformed_response(format!(
            "the provider's answer is not the tool call that the server wants{why}; it begins with `{beginning}`"
        )));
    };
    if !names.contains(&name) {
        let name = one_line(&name);
        return Err(malformed_response(format!(
            "the provider's answer calls the tool `{name}`, which was not offered"
        )));
    }
    Ok(ToolUseContent { id: String::new(), name, input: arguments.get().to_owned(), extras: NO_EXTRAS })
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn references_go_with_the_schema() {
        let cases = [
            (r##"{"$ref": "#"}"##, r##"{"$ref": "#/$defs/t"}"##),
            (r##"{"$ref":"#/$defs/X","n":1.50}"##, r##"{"$ref":"#/$defs/t/$defs/X","n":1.50}"##),
            (r##"[{"$ref" : "#/definitions/X"}, 1e400]"##, r##"[{"$ref" : "#/$defs/t/definitions/X"}, 1e400]"##),
            // Not to the schema itself.
            (r#"{"$ref": "https://a/b#/c"}"#, r#"{"$ref": "https://a/b#/c"}"#),
            (r##"{"$ref": "#anchor"}"##, r##"{"$ref": "#anchor"}"##),
            // No references.
            (r##"{"$ref": {"const": "#"}}"##, r##"{"$ref": {"const": "#"}}"##),
            (
                r##"{"enum": ["$ref", "#/x", "\"$ref\": \"#\"", "\\"]}"##,
                r##"{"enum": ["$ref", "#/x", "\"$ref\": \"#\"", "\\"]}"##,
            ),
            // No JSON.
            (r#"{"$ref"#, r#"{"$ref"#),
            (r#"{"$ref": "#, r#"{"$ref": "#),
            (r#""\"#, r#""\"#),
        ];
        for (schema, expected) in cases {
            assert_eq!(moved(schema, "#/$defs/t"), expected);
        }
    }
}
