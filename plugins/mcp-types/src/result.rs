//! `CreateMessageResult`, and its shape for the asking server.

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::content::{Block, Extras, ResourceContents, Text};
use crate::object::{Json, OneOrMany};
use crate::request::ParseError;

/// The most bytes of a model's name or a stop reason.
const LONGEST_NAME: usize = 1000;

/// MCP's `CreateMessageResult`; its role is `assistant`.
#[derive(Debug, Clone)]
pub struct CreateMessageResult {
    /// `content`
    pub content: Vec<Block>,
    /// `model`
    pub model: String,
    /// `stopReason`
    pub stop_reason: Option<String>,
    /// `_meta`
    pub meta: Option<Json>,
}

/// A result as it is spelt.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyResult {
    content: Option<OneOrMany<Block>>,
    model: Option<String>,
    stop_reason: Option<String>,
    #[serde(rename = "_meta")]
    meta: Option<Json>,
}

/// A field that should hold JSON and doesn't.
#[derive(Debug, thiserror::Error)]
#[error("`{field}` is not {wanted}: {reason}")]
pub struct BadJson {
    pub(crate) field: &'static str,
    pub(crate) wanted: &'static str,
    pub(crate) reason: String,
}

/// Why an answer can't be handed to the asking server.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// The request had no `tools`, so its server can take one block only, and these can't be joined.
    #[error("the answer holds {blocks} blocks ({kinds}), and a request without `tools` can be answered with one only")]
    ManyBlocks {
        /// How many blocks.
        blocks: usize,
        /// Their types.
        kinds: String,
    },
    /// A block that no answer can hold.
    #[error("the answer holds a `{kind}` block, which no answer to {request} can hold")]
    ForbiddenBlock {
        /// The block's type.
        kind: String,
        /// What kind of request it was.
        request: &'static str,
    },
    /// A name that is none.
    #[error("the answer's `{field}` is no name: it holds {what}")]
    NotAName {
        /// `model` or `stopReason`.
        field: &'static str,
        /// What no name holds.
        what: &'static str,
    },
    /// A tool that was never offered.
    #[error("the answer asks for the tool `{name}`, which the request doesn't offer")]
    UnknownTool {
        /// The tool's name.
        name: String,
    },
}

impl CreateMessageResult {
    /// Gives the answer the shape that the asking server can take.
    ///
    /// Without `tools` in the request that is exactly one block: official server SDKs reject an array, and any `tool_use`.
    /// Texts are joined; no block at all becomes an empty text. With `tools` (their names), any number of blocks will do,
    /// and a `tool_use` must name one of them.
    ///
    /// # Errors
    /// If that can't be done without losing something.
    pub fn shape(mut self, tools: Option<&[String]>) -> Result<Self, ShapeError> {
        check_name("model", &self.model)?;
        check_name("stopReason", self.stop_reason.as_deref().unwrap_or("none"))?;
        for block in &self.content {
            match (block, tools) {
                (Block::Text(_) | Block::Image(_) | Block::Audio(_), _) => {}
                (Block::ToolUse(tool_use), Some(tools)) => {
                    if !tools.contains(&tool_use.name) {
                        return Err(ShapeError::UnknownTool { name: tool_use.name.clone() });
                    }
                }
                (block, tools) => {
                    let request = if tools.is_some() { "a sampling request" } else { "a request without `tools`" };
                    return Err(ShapeError::ForbiddenBlock { kind: block.kind().to_owned(), request });
                }
            }
        }
        if self.content.is_empty() {
            self.content.push(Block::Text(Text { text: String::new(), extras: Extras::default() }));
        }
        if tools.is_none() && self.content.len() > 1 {
            self.content = vec![join(self.content)?];
        }
        Ok(self)
    }

    /// Reads a result.
    ///
    /// # Errors
    /// What is missing or of the wrong type, with its path.
    pub fn from_json(text: &[u8]) -> Result<Self, ParseError> {
        let result: AnyResult = serde_json::from_slice(text).map_err(|e| ParseError::of(&e))?;
        Ok(Self {
            content: result.content.ok_or_else(|| ParseError::missing("content"))?.items,
            model: result.model.ok_or_else(|| ParseError::missing("model"))?,
            stop_reason: result.stop_reason,
            meta: result.meta,
        })
    }

    /// Its texts, one after the other.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|block| match block {
            Block::Text(text) => Some(text.text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// The result as JSON: one block is an object, several are an array.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Names are for logs and terminals too.
fn check_name(field: &'static str, name: &str) -> Result<(), ShapeError> {
    match name {
        name if name.chars().any(char::is_control) => Err(ShapeError::NotAName { field, what: "control characters" }),
        name if name.len() > LONGEST_NAME => Err(ShapeError::NotAName { field, what: "more than 1,000 bytes" }),
        _ => Ok(()),
    }
}

/// Joins texts into one; the first `_meta` and annotations stay.
fn join(blocks: Vec<Block>) -> Result<Block, ShapeError> {
    if !blocks.iter().all(|block| matches!(block, Block::Text(_))) {
        let kinds: Vec<_> = blocks.iter().map(Block::kind).collect();
        return Err(ShapeError::ManyBlocks { blocks: blocks.len(), kinds: kinds.join(", ") });
    }
    let mut joined = Text { text: String::new(), extras: Extras::default() };
    for block in blocks {
        if let Block::Text(text) = block {
            joined.text.push_str(&text.text);
            joined.extras.meta = joined.extras.meta.or(text.extras.meta);
            joined.extras.annotations = joined.extras.annotations.or(text.extras.annotations);
            joined.extras.extensions = joined.extras.extensions.or(text.extras.extensions);
        }
    }
    Ok(Block::Text(joined))
}

impl Serialize for CreateMessageResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", "assistant")?;
        match self.content.as_slice() {
            [one] => map.serialize_entry("content", one)?,
            many => map.serialize_entry("content", many)?,
        }
        map.serialize_entry("model", &self.model)?;
        entry(&mut map, "stopReason", self.stop_reason.as_ref())?;
        entry(&mut map, "_meta", self.meta.as_ref())?;
        map.end()
    }
}

fn entry<M: SerializeMap, T: Serialize>(map: &mut M, key: &str, value: Option<&T>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, value))
}

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Self::Other(other) = self {
            return other.block.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.kind())?;
        let extras = match self {
            Self::Text(text) => {
                map.serialize_entry("text", &text.text)?;
                &text.extras
            }
            Self::Image(media) | Self::Audio(media) => {
                map.serialize_entry("data", &media.data)?;
                map.serialize_entry("mimeType", &media.mime_type)?;
                &media.extras
            }
            Self::ToolUse(tool_use) => {
                map.serialize_entry("id", &tool_use.id)?;
                map.serialize_entry("name", &tool_use.name)?;
                map.serialize_entry("input", &tool_use.input)?;
                &tool_use.extras
            }
            Self::ToolResult(result) => {
                map.serialize_entry("toolUseId", &result.tool_use_id)?;
                map.serialize_entry("content", &result.content)?;
                entry(&mut map, "structuredContent", result.structured_content.as_ref())?;
                entry(&mut map, "isError", result.is_error.then_some(&true))?;
                &result.extras
            }
            Self::ResourceLink(link) => {
                map.serialize_entry("uri", &link.uri)?;
                map.serialize_entry("name", &link.name)?;
                entry(&mut map, "title", link.title.as_ref())?;
                entry(&mut map, "description", link.description.as_ref())?;
                entry(&mut map, "mimeType", link.mime_type.as_ref())?;
                entry(&mut map, "size", link.size.as_ref())?;
                &link.extras
            }
            Self::Resource(resource) => {
                let mut inner = serde_json::Map::new();
                inner.insert("uri".to_owned(), resource.uri.clone().into());
                if let Some(mime_type) = &resource.mime_type {
                    inner.insert("mimeType".to_owned(), mime_type.clone().into());
                }
                match &resource.contents {
                    ResourceContents::Text(text) => inner.insert("text".to_owned(), text.clone().into()),
                    ResourceContents::Blob(blob) => inner.insert("blob".to_owned(), blob.clone().into()),
                };
                map.serialize_entry("resource", &inner)?;
                &resource.extras
            }
            Self::Other(_) => return map.end(),
        };
        entry(&mut map, "annotations", extras.annotations.as_ref())?;
        entry(&mut map, "_meta", extras.meta.as_ref())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;
    use crate::content::{Media, ToolUse};

    fn text(text: &str) -> Block {
        Block::Text(Text { text: text.to_owned(), extras: Extras::default() })
    }

    fn tool_use(name: &str) -> Block {
        Block::ToolUse(ToolUse {
            id: "1".to_owned(),
            name: name.to_owned(),
            input: RawValue::from_string(r#"{"n":1.0}"#.to_owned()).unwrap(),
            extras: Extras::default(),
        })
    }

    fn shape(content: Vec<Block>, tools: Option<&[&str]>) -> Result<serde_json::Value, String> {
        let tools = tools.map(|tools| tools.iter().map(ToString::to_string).collect::<Vec<_>>());
        let result = CreateMessageResult { content, model: "m".to_owned(), stop_reason: None, meta: None };
        let shaped = result.shape(tools.as_deref()).map_err(|e| e.to_string())?;
        Ok(shaped.to_value()["content"].clone())
    }

    #[test]
    fn a_request_without_tools_gets_exactly_one_block() {
        assert_eq!(shape(vec![text("a"), text("b")], None).unwrap(), json!({"type": "text", "text": "ab"}));
        assert_eq!(shape(vec![], None).unwrap(), json!({"type": "text", "text": ""}));
        let image = Block::Image(Media {
            data: "AA==".to_owned(),
            mime_type: "image/png".to_owned(),
            extras: Extras::default(),
        });
        assert_eq!(
            shape(vec![text("a"), image], None).unwrap_err(),
            "the answer holds 2 blocks (text, image), and a request without `tools` can be answered with one only"
        );
        assert!(shape(vec![tool_use("t")], None).unwrap_err().contains("a request without `tools`"));
    }

    #[test]
    fn a_result_is_read_as_it_is_written() {
        let written = r#"{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"model":"m","stopReason":"endTurn"}"#;
        let result = CreateMessageResult::from_json(written.as_bytes()).unwrap();
        assert_eq!(result.text(), "ab");
        assert_eq!(serde_json::to_string(&result).unwrap(), written);
        assert_eq!(CreateMessageResult::from_json(br#"{"content":[]}"#).unwrap_err().to_string(), "`model` is missing");
    }

    #[test]
    fn names_are_names() {
        let named = |model: &str, stop_reason: Option<&str>| {
            let stop_reason = stop_reason.map(str::to_owned);
            let result =
                CreateMessageResult { content: vec![text("a")], model: model.to_owned(), stop_reason, meta: None };
            result.shape(None).map(|_| ()).map_err(|e| e.to_string())
        };
        assert_eq!(named("gpt-4.1 (März)", Some("endTurn")), Ok(()));
        let control = |field| Err(format!("the answer's `{field}` is no name: it holds control characters"));
        assert_eq!(named("a\u{1b}[31m", None), control("model"));
        assert_eq!(named("a", Some("end\nTurn")), control("stopReason"));
        assert!(named(&"a".repeat(1001), None).is_err_and(|reason| reason.ends_with("more than 1,000 bytes")));
    }

    #[test]
    fn a_request_with_tools_gets_only_tools_that_it_offered() {
        assert_eq!(
            shape(vec![text("a"), tool_use("t")], Some(&["t"])).unwrap(),
            json!([{"type": "text", "text": "a"}, {"type": "tool_use", "id": "1", "name": "t", "input": {"n": 1.0}}])
        );
        assert_eq!(
            shape(vec![tool_use("rm")], Some(&["t"])).unwrap_err(),
            "the answer asks for the tool `rm`, which the request doesn't offer"
        );
    }
}
