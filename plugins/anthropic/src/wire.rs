//! What goes over the wire: Anthropic's Messages API, version 2023-06-01, as far as this plugin speaks it.
//!
//! Everything borrows: an image's base64 is copied once, into the body. JSON that MCP hands through (tool arguments, schemas)
//! is spliced in as it is spelt.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::{Error as _, IgnoredAny};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use understudy_plugin::json::Text;

/// The body of `POST /v1/messages`.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) model: &'a str,
    pub(crate) max_tokens: u32,
    pub(crate) system: Option<Cow<'a, str>>,
    pub(crate) messages: Vec<Message<'a>>,
    pub(crate) tools: Vec<Tool<'a>>,
    pub(crate) tool_choice: Option<ToolChoice>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_k: Option<u64>,
    pub(crate) stop_sequences: Vec<&'a str>,
    pub(crate) thinking: Option<&'a RawValue>,
    pub(crate) output_config: Option<OutputConfig<'a>>,
    pub(crate) metadata: Option<Metadata<'a>>,
    pub(crate) service_tier: Option<&'a str>,
    pub(crate) stream: bool,
    /// The user's own fields: each takes the place of ours, and `null` leaves it out.
    pub(crate) extra: &'a BTreeMap<String, Box<RawValue>>,
}

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = Body { map: serializer.serialize_map(None)?, extra: self.extra };
        body.field("model", Some(self.model))?;
        body.field("max_tokens", Some(self.max_tokens))?;
        body.field("system", self.system.as_deref().map(Text))?;
        body.field("messages", Some(&self.messages))?;
        body.field("tools", Some(&self.tools).filter(|tools| !tools.is_empty()))?;
        body.field("tool_choice", self.tool_choice.as_ref())?;
        body.field("temperature", self.temperature)?;
        body.field("top_p", self.top_p)?;
        body.field("top_k", self.top_k)?;
        body.field("stop_sequences", Some(&self.stop_sequences).filter(|stops| !stops.is_empty()))?;
        body.field("thinking", self.thinking)?;
        body.field("output_config", self.output_config.as_ref())?;
        body.field("metadata", self.metadata.as_ref())?;
        body.field("service_tier", self.service_tier)?;
        body.field("stream", self.stream.then_some(true))?;
        for (key, value) in self.extra.iter().filter(|(_, value)| value.get() != "null") {
            body.map.serialize_entry(key, value)?;
        }
        body.map.end()
    }
}

struct Body<'a, M> {
    map: M,
    extra: &'a BTreeMap<String, Box<RawValue>>,
}

impl<M: SerializeMap> Body<'_, M> {
    fn field(&mut self, key: &str, value: Option<impl Serialize>) -> Result<(), M::Error> {
        match value {
            Some(value) if !self.extra.contains_key(key) => self.map.serialize_entry(key, &value),
            _ => Ok(()),
        }
    }
}

/// A message of the conversation.
#[derive(Debug, Serialize)]
pub(crate) struct Message<'a> {
    pub(crate) role: &'static str,
    pub(crate) content: Vec<Content<'a>>,
}

impl Message<'_> {
    /// Whether thinking goes back in it.
    pub(crate) fn thinks(&self) -> bool {
        self.content.iter().any(|content| matches!(content, Content::Hidden(raw) if is_thinking(raw)))
    }
}

/// A block of ours, or one of Anthropic's own that comes back as it was.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Content<'a> {
    Block(Block<'a>),
    Hidden(&'a RawValue),
}

/// A content block.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Block<'a> {
    Text {
        #[serde(serialize_with = "understudy_plugin::json::text")]
        text: Cow<'a, str>,
    },
    Image {
        source: Source<'a>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Cow<'a, RawValue>,
    },
    ToolResult {
        tool_use_id: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

impl<'a> Block<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text { text: Cow::Borrowed(text) }
    }
}

/// Where an image's or a document's data is.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Source<'a> {
    Base64 {
        media_type: &'static str,
        data: &'a str,
    },
    Text {
        media_type: &'static str,
        #[serde(serialize_with = "understudy_plugin::json::text")]
        data: &'a str,
    },
}

/// A tool that the model may use.
#[derive(Debug, Serialize)]
pub(crate) struct Tool<'a> {
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<&'a str>,
    pub(crate) input_schema: Cow<'a, RawValue>,
}

/// A link, spelt as MCP spells it: the API has no block for an address that isn't to be fetched, so it becomes a text.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "resource_link", rename_all = "camelCase")]
pub(crate) struct Link<'a> {
    pub(crate) uri: &'a str,
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mime_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
}

/// How the model may use the tools: `auto`, `any` or `none`.
#[derive(Debug, Serialize)]
pub(crate) struct ToolChoice {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}

/// `output_config`
#[derive(Debug, Serialize)]
pub(crate) struct OutputConfig<'a> {
    pub(crate) effort: &'a str,
}

/// `metadata`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Metadata<'a> {
    #[serde(borrow)]
    pub(crate) user_id: Cow<'a, str>,
}

/// `_meta` of a block that blocks precede which MCP doesn't know: thinking above all.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HiddenMeta<'a> {
    #[serde(borrow, rename = "understudy.anthropic/thinking")]
    pub(crate) hidden: Hidden<'a>,
}

/// The blocks that stood before one that MCP has, and what they are good for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hidden<'a> {
    /// The model that was asked.
    #[serde(borrow)]
    pub(crate) model: Cow<'a, str>,
    /// The digest of all that was sent before them (`binding`), if the model binds its thinking to that.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) blocks: Vec<&'a RawValue>,
}

/// The answer, `Message` in Anthropic's terms. Its blocks are read one by one, by their types.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) content: Option<Vec<&'a RawValue>>,
    pub(crate) model: Option<String>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) stop_details: Option<StopDetails>,
    #[serde(borrow)]
    pub(crate) usage: Option<&'a RawValue>,
}

/// Why the model refused.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StopDetails {
    pub(crate) explanation: Option<String>,
}

/// Reads an object, and nothing but an object: serde would take a list for a struct, too.
pub(crate) fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, serde_json::Error> {
    if raw.get().starts_with('{') {
        serde_json::from_str(raw.get())
    } else {
        Err(serde_json::Error::custom("not an object"))
    }
}

/// The data of a stream's event. One without a type isn't Anthropic's: the error of a gateway, perhaps.
#[derive(Debug, Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Option<Cow<'a, str>>,
    error: Option<IgnoredAny>,
    message: Option<IgnoredAny>,
    detail: Option<IgnoredAny>,
}

impl Event<'_> {
    /// Whether an event without a type tells of an error.
    pub(crate) fn fails(&self) -> bool {
        self.error.is_some() || self.message.is_some() || self.detail.is_some()
    }
}

/// Any object with a `type`.
#[derive(Debug, Deserialize)]
pub(crate) struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
}

/// Whether this is an object of that type.
pub(crate) fn is_of_kind(raw: &RawValue, kind: &str) -> bool {
    object::<Kind>(raw).is_ok_and(|object| object.kind == kind)
}

/// Whether this is a block of thinking.
pub(crate) fn is_thinking(raw: &RawValue) -> bool {
    object::<Kind>(raw).is_ok_and(|block| matches!(block.kind.as_ref(), "thinking" | "redacted_thinking"))
}

/// A `text` block of the answer.
#[derive(Debug, Deserialize)]
pub(crate) struct AnswerText {
    pub(crate) text: String,
}

/// A `tool_use` block of the answer.
#[derive(Debug, Deserialize)]
pub(crate) struct AnswerToolUse<'a> {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(borrow)]
    pub(crate) input: Option<&'a RawValue>,
}

/// The figures of `usage` that count. What is cached is not in `input_tokens`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Usage {
    #[serde(rename = "input_tokens")]
    pub(crate) read: Option<u64>,
    #[serde(rename = "cache_creation_input_tokens")]
    pub(crate) read_and_cached: Option<u64>,
    #[serde(rename = "cache_read_input_tokens")]
    pub(crate) read_from_cache: Option<u64>,
    #[serde(rename = "output_tokens")]
    pub(crate) written: Option<u64>,
}

/// `message_start`, the first event of a stream.
#[derive(Debug, Deserialize)]
pub(crate) struct MessageStart<'a> {
    #[serde(borrow)]
    pub(crate) message: Answer<'a>,
}

/// `content_block_start`
#[derive(Debug, Deserialize)]
pub(crate) struct BlockStart<'a> {
    pub(crate) index: u64,
    #[serde(borrow)]
    pub(crate) content_block: &'a RawValue,
}

/// `content_block_delta`
#[derive(Debug, Deserialize)]
pub(crate) struct BlockDelta {
    pub(crate) index: u64,
    pub(crate) delta: Delta,
}

/// What a block gets more of. A type that isn't known is an error: it could be text.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "these are the names on the wire")]
pub(crate) enum Delta {
    TextDelta { text: String },
    InputJsonDelta { partial_json: String },
    ThinkingDelta { thinking: String },
    SignatureDelta { signature: String },
    CitationsDelta,
}

/// `message_delta`
#[derive(Debug, Deserialize)]
pub(crate) struct MessageDelta<'a> {
    pub(crate) delta: Option<End>,
    #[serde(borrow)]
    pub(crate) usage: Option<&'a RawValue>,
}

/// `delta` of a [`MessageDelta`].
#[derive(Debug, Deserialize)]
pub(crate) struct End {
    pub(crate) stop_reason: Option<String>,
    pub(crate) stop_details: Option<StopDetails>,
}
