//! The mapping onto the contract's records.
//!
//! The records are generated twice, for the host and for guests, as different types with the same names: so the mapping is
//! a macro that takes the module they are in.

use serde_json::value::RawValue;

use crate::object::Json;
use crate::result::BadJson;

/// The JSON in a field that a plugin filled. An empty text is `None`.
///
/// # Errors
/// If it isn't a JSON object.
#[doc(hidden)]
pub fn object_from_plugin(field: &'static str, text: Option<String>) -> Result<Option<Json>, BadJson> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let bad = |reason: String| BadJson { field, wanted: "a JSON object", reason };
    let json = RawValue::from_string(text).map_err(|e| bad(e.to_string()))?;
    if crate::content::is_object(&json) {
        Ok(Some(json))
    } else {
        Err(bad(format!("it is `{}`", json.get().chars().take(40).collect::<String>())))
    }
}

/// The text of a JSON value.
#[doc(hidden)]
#[must_use]
pub fn text_of(json: Json) -> String {
    Box::<str>::from(json).into_string()
}

/// The largest `max-tokens` that crosses the contract.
#[doc(hidden)]
pub const MOST_TOKENS: u32 = i32::MAX as u32;

/// Implements `From<CreateMessageRequestParams>` for the contract's request, and `From` and `TryFrom` between
/// [`CreateMessageResult`](crate::CreateMessageResult) and the contract's result, for the records generated in the given module.
#[macro_export]
macro_rules! wit_conversions {
    ($($types:tt)+) => {
        const _: () = {
            use $($types)+ as w;
            use $crate as m;
            use $crate::__private::{object_from_plugin, text_of};

            fn extras(e: m::Extras) -> w::Extras {
                w::Extras {
                    meta: e.meta.map(text_of),
                    annotations: e.annotations.map(text_of),
                    extensions: e.extensions.map(text_of),
                }
            }

            fn text(t: m::Text) -> w::TextContent {
                w::TextContent { text: t.text, extras: extras(t.extras) }
            }

            fn media(x: m::Media) -> w::MediaContent {
                w::MediaContent { data: x.data, mime_type: x.mime_type, extras: extras(x.extras) }
            }

            fn other(block: m::Block) -> w::OtherContent {
                match block {
                    m::Block::Other(o) => w::OtherContent { kind: o.kind, block: text_of(o.block) },
                    block => w::OtherContent {
                        kind: block.kind().to_owned(),
                        block: $crate::__private::to_json(&block),
                    },
                }
            }

            fn block(block: m::Block) -> w::ContentBlock {
                match block {
                    m::Block::Text(t) => w::ContentBlock::Text(text(t)),
                    m::Block::Image(x) => w::ContentBlock::Image(media(x)),
                    m::Block::Audio(x) => w::ContentBlock::Audio(media(x)),
                    m::Block::ToolUse(t) => w::ContentBlock::ToolUse(w::ToolUseContent {
                        id: t.id,
                        name: t.name,
                        input: text_of(t.input),
                        extras: extras(t.extras),
                    }),
                    m::Block::ToolResult(t) => w::ContentBlock::ToolResult(w::ToolResultContent {
                        tool_use_id: t.tool_use_id,
                        content: t.content.into_iter().map(tool_result_block).collect(),
                        structured_content: t.structured_content.map(text_of),
                        is_error: t.is_error,
                        extras: extras(t.extras),
                    }),
                    b => w::ContentBlock::Other(other(b)),
                }
            }

            fn tool_result_block(block: m::Block) -> w::ToolResultBlock {
                match block {
                    m::Block::Text(t) => w::ToolResultBlock::Text(text(t)),
                    m::Block::Image(x) => w::ToolResultBlock::Image(media(x)),
                    m::Block::Audio(x) => w::ToolResultBlock::Audio(media(x)),
                    m::Block::ResourceLink(l) => w::ToolResultBlock::ResourceLink(w::ResourceLink {
                        uri: l.uri,
                        name: l.name,
                        title: l.title,
                        description: l.description,
                        mime_type: l.mime_type,
                        size: l.size,
                        extras: extras(l.extras),
                    }),
                    m::Block::Resource(r) => w::ToolResultBlock::Resource(w::EmbeddedResource {
                        uri: r.uri,
                        mime_type: r.mime_type,
                        contents: match r.contents {
                            m::ResourceContents::Text(t) => w::ResourceContents::Text(t),
                            m::ResourceContents::Blob(b) => w::ResourceContents::Blob(b),
                        },
                        resource_meta: r.resource_meta.map(text_of),
                        extras: extras(r.extras),
                    }),
                    b => w::ToolResultBlock::Other(other(b)),
                }
            }

            fn message(x: m::Message) -> w::SamplingMessage {
                w::SamplingMessage {
                    role: match x.role {
                        m::Role::User => w::Role::User,
                        m::Role::Assistant => w::Role::Assistant,
                    },
                    content: x.content.into_iter().map(block).collect(),
                    meta: x.meta.map(text_of),
                    extensions: x.extensions.map(text_of),
                }
            }

            fn tool(t: m::Tool) -> w::Tool {
                w::Tool {
                    name: t.name,
                    title: t.title,
                    description: t.description,
                    input_schema: text_of(t.input_schema),
                    output_schema: t.output_schema.map(text_of),
                    extras: extras(t.extras),
                }
            }

            fn preferences(p: m::ModelPreferences) -> w::ModelPreferences {
                w::ModelPreferences {
                    hints: p
                        .hints
                        .into_iter()
                        .map(|h| w::ModelHint { name: h.name, extensions: h.extensions.map(text_of) })
                        .collect(),
                    cost_priority: p.cost_priority,
                    speed_priority: p.speed_priority,
                    intelligence_priority: p.intelligence_priority,
                    extensions: p.extensions.map(text_of),
                }
            }

            impl From<m::CreateMessageRequestParams> for w::CreateMessageRequest {
                fn from(p: m::CreateMessageRequestParams) -> Self {
                    let most = $crate::__private::MOST_TOKENS;
                    w::CreateMessageRequest {
                        messages: p.messages.into_iter().map(message).collect(),
                        max_tokens: u32::try_from(p.max_tokens).unwrap_or(most).min(most),
                        model_preferences: p.model_preferences.map(preferences),
                        system_prompt: p.system_prompt,
                        include_context: p.include_context,
                        temperature: p.temperature,
                        stop_sequences: p.stop_sequences,
                        metadata: p.metadata.map(text_of),
                        tools: p.tools.map(|tools| tools.into_iter().map(tool).collect()),
                        tool_choice: p.tool_choice.map(|c| w::ToolChoice {
                            mode: c.mode,
                            extensions: c.extensions.map(text_of),
                        }),
                        meta: p.meta.map(text_of),
                        extensions: p.extensions.map_or_else(|| "{}".to_owned(), text_of),
                    }
                }
            }

            impl From<m::CreateMessageResult> for w::CreateMessageResult {
                fn from(r: m::CreateMessageResult) -> Self {
                    w::CreateMessageResult {
                        content: r.content.into_iter().map(block).collect(),
                        model: r.model,
                        stop_reason: r.stop_reason,
                        meta: r.meta.map(text_of),
                    }
                }
            }

            fn extras_back(e: w::Extras) -> Result<m::Extras, m::BadJson> {
                Ok(m::Extras {
                    meta: object_from_plugin("_meta", e.meta)?,
                    annotations: object_from_plugin("annotations", e.annotations)?,
                    extensions: None,
                })
            }

            fn media_back(x: w::MediaContent) -> Result<m::Media, m::BadJson> {
                Ok(m::Media { data: x.data, mime_type: x.mime_type, extras: extras_back(x.extras)? })
            }

            fn block_back(block: w::ContentBlock) -> Result<m::Block, m::BadJson> {
                Ok(match block {
                    w::ContentBlock::Text(t) => {
                        m::Block::Text(m::Text { text: t.text, extras: extras_back(t.extras)? })
                    }
                    w::ContentBlock::Image(x) => m::Block::Image(media_back(x)?),
                    w::ContentBlock::Audio(x) => m::Block::Audio(media_back(x)?),
                    w::ContentBlock::ToolUse(t) => m::Block::ToolUse(m::ToolUse {
                        id: t.id,
                        name: t.name,
                        input: match object_from_plugin("tool_use.input", Some(t.input))? {
                            Some(input) => input,
                            None => $crate::__private::empty_object(),
                        },
                        extras: extras_back(t.extras)?,
                    }),
                    w::ContentBlock::ToolResult(t) => m::Block::ToolResult(m::ToolResult {
                        tool_use_id: t.tool_use_id,
                        content: Vec::new(),
                        structured_content: None,
                        is_error: t.is_error,
                        extras: m::Extras::default(),
                    }),
                    w::ContentBlock::Other(o) => m::Block::Other(m::Other {
                        kind: o.kind,
                        block: object_from_plugin("content.block", Some(o.block))?
                            .unwrap_or_else($crate::__private::empty_object),
                    }),
                })
            }

            impl TryFrom<w::CreateMessageResult> for m::CreateMessageResult {
                type Error = m::BadJson;
                fn try_from(r: w::CreateMessageResult) -> Result<Self, m::BadJson> {
                    Ok(m::CreateMessageResult {
                        content: r.content.into_iter().map(block_back).collect::<Result<_, _>>()?,
                        model: r.model,
                        stop_reason: r.stop_reason,
                        meta: object_from_plugin("_meta", r.meta)?,
                    })
                }
            }
        };
    };
}

/// `{}`.
#[doc(hidden)]
#[must_use]
pub fn empty_object() -> Json {
    RawValue::from_string("{}".to_owned()).unwrap_or_default()
}

/// A block as JSON.
#[doc(hidden)]
#[must_use]
pub fn to_json(block: &crate::Block) -> String {
    serde_json::to_string(block).unwrap_or_default()
}
