//! Content blocks.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use crate::object::{Json, Numbered, Whole, object};

/// One block of a message, of an answer, or of a tool's answer.
#[derive(Debug, Clone)]
pub enum Block {
    /// `text`
    Text(Text),
    /// `image`
    Image(Media),
    /// `audio`
    Audio(Media),
    /// `tool_use`
    ToolUse(ToolUse),
    /// `tool_result`
    ToolResult(ToolResult),
    /// `resource_link`
    ResourceLink(ResourceLink),
    /// `resource`
    Resource(EmbeddedResource),
    /// Any other type.
    Other(Other),
}

impl Block {
    /// The block's `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Text(_) => "text",
            Self::Image(_) => "image",
            Self::Audio(_) => "audio",
            Self::ToolUse(_) => "tool_use",
            Self::ToolResult(_) => "tool_result",
            Self::ResourceLink(_) => "resource_link",
            Self::Resource(_) => "resource",
            Self::Other(other) => &other.kind,
        }
    }
}

impl Block {
    /// The size of its texts, media and JSON values, in bytes.
    pub(crate) fn size(&self) -> usize {
        let (own, extras) = match self {
            Self::Text(text) => (text.text.len(), &text.extras),
            Self::Image(media) | Self::Audio(media) => (media.data.len() + media.mime_type.len(), &media.extras),
            Self::ToolUse(tool_use) => {
                (tool_use.id.len() + tool_use.name.len() + tool_use.input.get().len(), &tool_use.extras)
            }
            Self::ToolResult(result) => {
                let content: usize = result.content.iter().map(Self::size).sum();
                let own = result.tool_use_id.len() + content + size_of_json([&result.structured_content]);
                (own, &result.extras)
            }
            Self::ResourceLink(link) => {
                let texts = size_of_text([&link.title, &link.description, &link.mime_type]);
                (link.uri.len() + link.name.len() + texts, &link.extras)
            }
            Self::Resource(resource) => {
                let (ResourceContents::Text(contents) | ResourceContents::Blob(contents)) = &resource.contents;
                let own = resource.uri.len() + size_of_text([&resource.mime_type]) + contents.len();
                (own + size_of_json([&resource.resource_meta]), &resource.extras)
            }
            Self::Other(other) => return other.block.get().len(),
        };
        own + extras.size()
    }
}

/// The size of texts that may be absent, in bytes.
pub(crate) fn size_of_text<const N: usize>(texts: [&Option<String>; N]) -> usize {
    texts.into_iter().flatten().map(String::len).sum()
}

/// The size of JSON values that may be absent, in bytes.
pub(crate) fn size_of_json<const N: usize>(values: [&Option<Json>; N]) -> usize {
    values.into_iter().flatten().map(|value| value.get().len()).sum()
}

/// What any block or tool may carry besides its own fields.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// `_meta`
    pub meta: Option<Json>,
    /// `annotations`
    pub annotations: Option<Json>,
    /// Fields that no revision knows, as one object.
    pub extensions: Option<Json>,
}

impl Extras {
    pub(crate) fn size(&self) -> usize {
        size_of_json([&self.meta, &self.annotations, &self.extensions])
    }
}

/// A `text` block.
#[derive(Debug, Clone)]
pub struct Text {
    /// `text`
    pub text: String,
    /// `_meta` and the like.
    pub extras: Extras,
}

/// An `image` or `audio` block.
#[derive(Debug, Clone)]
pub struct Media {
    /// Base64.
    pub data: String,
    /// `mimeType`
    pub mime_type: String,
    /// `_meta` and the like.
    pub extras: Extras,
}

/// A `tool_use` block.
#[derive(Debug, Clone)]
pub struct ToolUse {
    /// `id`
    pub id: String,
    /// `name`
    pub name: String,
    /// `input`, an object.
    pub input: Json,
    /// `_meta` and the like.
    pub extras: Extras,
}

/// A `tool_result` block.
#[derive(Debug, Clone)]
pub struct ToolResult {
    /// `toolUseId`
    pub tool_use_id: String,
    /// `content`
    pub content: Vec<Block>,
    /// `structuredContent`
    pub structured_content: Option<Json>,
    /// `isError`
    pub is_error: bool,
    /// `_meta` and the like.
    pub extras: Extras,
}

/// A `resource_link` block.
#[derive(Debug, Clone)]
pub struct ResourceLink {
    /// `uri`
    pub uri: String,
    /// `name`
    pub name: String,
    /// `title`
    pub title: Option<String>,
    /// `description`
    pub description: Option<String>,
    /// `mimeType`
    pub mime_type: Option<String>,
    /// `size`, in bytes
    pub size: Option<u64>,
    /// `_meta` and the like.
    pub extras: Extras,
}

/// A `resource` block.
#[derive(Debug, Clone)]
pub struct EmbeddedResource {
    /// `resource.uri`
    pub uri: String,
    /// `resource.mimeType`
    pub mime_type: Option<String>,
    /// `resource.text` or `resource.blob`
    pub contents: ResourceContents,
    /// `resource._meta`
    pub resource_meta: Option<Json>,
    /// `_meta` and the like, of the block.
    pub extras: Extras,
}

/// The contents of an embedded resource.
#[derive(Debug, Clone)]
pub enum ResourceContents {
    /// `text`
    Text(String),
    /// `blob`, base64
    Blob(String),
}

/// A block of an unknown type.
#[derive(Debug, Clone)]
pub struct Other {
    /// The block's `type`.
    pub kind: String,
    /// The whole block.
    pub block: Json,
}

object! {
    /// Every field that any type of block has.
    struct AnyBlock {
        "type" => kind: String,
        "text" => text: String,
        "data" => data: String,
        "mimeType" => mime_type: String,
        "id" => id: String,
        "name" => name: String,
        "input" => input: Json,
        "toolUseId" => tool_use_id: String,
        "content" => content: Numbered<Block>,
        "structuredContent" => structured_content: Json,
        "isError" => is_error: bool,
        "uri" => uri: String,
        "title" => title: String,
        "description" => description: String,
        "size" => size: Whole,
        "resource" => resource: AnyResource,
        "annotations" => annotations: Json,
        "_meta" => meta: Json,
    }
}

object! {
    /// `resource` of an embedded resource.
    struct AnyResource {
        "uri" => uri: String,
        "mimeType" => mime_type: String,
        "text" => text: String,
        "blob" => blob: String,
        "_meta" => meta: Json,
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AnyBlock::deserialize(deserializer)?.into_block()
    }
}

fn required<T, E: Error>(value: Option<T>, kind: &str, field: &str) -> Result<T, E> {
    value.ok_or_else(|| E::custom(format_args!("a `{kind}` block needs `{field}`")))
}

impl AnyBlock {
    fn into_block<E: Error>(mut self) -> Result<Block, E> {
        let kind = self.kind.take().ok_or_else(|| E::custom("a content block needs `type`"))?;
        Ok(match kind.as_str() {
            "text" => Block::Text(Text { text: required(self.text.take(), &kind, "text")?, extras: self.extras() }),
            "image" => Block::Image(self.media(&kind)?),
            "audio" => Block::Audio(self.media(&kind)?),
            "tool_use" => Block::ToolUse(ToolUse {
                id: required(self.id.take(), &kind, "id")?,
                name: required(self.name.take(), &kind, "name")?,
                input: self
                    .input
                    .take()
                    .filter(is_object)
                    .ok_or_else(|| E::custom("a `tool_use` block needs `input`, an object"))?,
                extras: self.extras(),
            }),
            "tool_result" => Block::ToolResult(ToolResult {
                tool_use_id: required(self.tool_use_id.take(), &kind, "toolUseId")?,
                content: self.content.take().map(|Numbered(blocks)| blocks).unwrap_or_default(),
                structured_content: self.structured_content.take(),
                is_error: self.is_error.unwrap_or_default(),
                extras: self.extras(),
            }),
            "resource_link" => Block::ResourceLink(ResourceLink {
                uri: required(self.uri.take(), &kind, "uri")?,
                name: required(self.name.take(), &kind, "name")?,
                title: self.title.take(),
                description: self.description.take(),
                mime_type: self.mime_type.take(),
                size: self.size.and_then(|Whole(size)| u64::try_from(size).ok()),
                extras: self.extras(),
            }),
            "resource" => Block::Resource(self.resource(&kind)?),
            _ => Block::Other(Other { block: self.whole(&kind), kind }),
        })
    }

    fn media<E: Error>(&mut self, kind: &str) -> Result<Media, E> {
        Ok(Media {
            data: required(self.data.take(), kind, "data")?,
            mime_type: required(self.mime_type.take(), kind, "mimeType")?,
            extras: self.extras(),
        })
    }

    fn resource<E: Error>(&mut self, kind: &str) -> Result<EmbeddedResource, E> {
        let resource = required(self.resource.take(), kind, "resource")?;
        Ok(EmbeddedResource {
            uri: required(resource.uri, kind, "resource.uri")?,
            mime_type: resource.mime_type,
            contents: match (resource.text, resource.blob) {
                (Some(text), _) => ResourceContents::Text(text),
                (None, Some(blob)) => ResourceContents::Blob(blob),
                (None, None) => return Err(E::custom("a `resource` block needs `resource.text` or `resource.blob`")),
            },
            resource_meta: resource.meta,
            extras: self.extras(),
        })
    }

    fn extras(&mut self) -> Extras {
        Extras { meta: self.meta.take(), annotations: self.annotations.take(), extensions: self.unknown.take() }
    }

    /// A block of an unknown type, put together again. Fields whose names other types share come out as they came in.
    fn whole(&mut self, kind: &str) -> Json {
        let mut fields = serde_json::Map::new();
        fields.insert("type".to_owned(), kind.into());
        let texts = [
            ("text", self.text.take()),
            ("data", self.data.take()),
            ("mimeType", self.mime_type.take()),
            ("id", self.id.take()),
            ("name", self.name.take()),
            ("toolUseId", self.tool_use_id.take()),
            ("uri", self.uri.take()),
            ("title", self.title.take()),
            ("description", self.description.take()),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                fields.insert(key.to_owned(), text.into());
            }
        }
        let raws = [
            ("input", self.input.take()),
            ("structuredContent", self.structured_content.take()),
            ("annotations", self.annotations.take()),
            ("_meta", self.meta.take()),
        ];
        for (key, raw) in raws {
            if let Some(value) = raw.and_then(|raw| serde_json::from_str(raw.get()).ok()) {
                fields.insert(key.to_owned(), value);
            }
        }
        if let Some(unknown) = self.unknown.take()
            && let Ok(unknown) = serde_json::from_str::<serde_json::Map<_, _>>(unknown.get())
        {
            fields.extend(unknown);
        }
        RawValue::from_string(serde_json::Value::Object(fields).to_string()).unwrap_or_default()
    }
}

/// Whether a JSON text is an object.
pub(crate) fn is_object(json: &Json) -> bool {
    json.get().trim_start().starts_with('{')
}
