//! The API's own structs, as they stand in the JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::media::DataUrl;

// ---------------------------------------------------------------- the request

#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub(super) model: &'a str,
    pub(super) messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_effort: Option<&'a str>,
    /// DeepSeek's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) random_seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stop: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_choice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_options: Option<StreamOptions>,
    /// vLLM's and SGLang's, together with the next one: the answer goes on from the last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) continue_final_message: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) add_generation_prompt: Option<bool>,
    #[serde(flatten)]
    pub(super) metadata: BTreeMap<String, &'a RawValue>,
    #[serde(flatten)]
    pub(super) extra: &'a BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
pub(super) struct Thinking {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
}

#[derive(Serialize)]
pub(super) struct StreamOptions {
    pub(super) include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum Message<'a> {
    System {
        #[serde(serialize_with = "understudy_plugin::json::text")]
        content: Cow<'a, str>,
    },
    Developer {
        #[serde(serialize_with = "understudy_plugin::json::text")]
        content: Cow<'a, str>,
    },
    User {
        content: Content<'a>,
    },
    Assistant {
        /// `null` beside tool calls: every server takes that, not every one takes it away.
        #[serde(serialize_with = "understudy_plugin::json::optional_text")]
        content: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall<'a>>,
        #[serde(flatten)]
        reasoning: Reasoning<&'a RawValue>,
    },
    Tool {
        tool_call_id: &'a str,
        content: Content<'a>,
    },
}

/// A user message's content, or a tool's. Text alone is a string, because not every server takes a list.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Content<'a> {
    Text(#[serde(serialize_with = "understudy_plugin::json::text")] Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

impl<'a> Content<'a> {
    pub(super) fn into_parts(self) -> Vec<Part<'a>> {
        match self {
            Self::Text(text) if text.is_empty() => Vec::new(),
            Self::Text(text) => vec![Part::Text { text }],
            Self::Parts(parts) => parts,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part<'a> {
    Text {
        #[serde(serialize_with = "understudy_plugin::json::text")]
        text: Cow<'a, str>,
    },
    ImageUrl {
        image_url: ImageUrl<'a>,
    },
    InputAudio {
        input_audio: InputAudio<'a>,
    },
    File {
        file: File<'a>,
    },
    /// Mistral's word for a document.
    DocumentUrl {
        document_url: DataUrl<'a>,
        document_name: Cow<'a, str>,
    },
}

#[derive(Serialize)]
pub(super) struct ImageUrl<'a> {
    pub(super) url: DataUrl<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum InputAudio<'a> {
    Object {
        data: &'a str,
        format: &'static str,
    },
    /// Mistral's.
    Plain(&'a str),
}

#[derive(Serialize)]
pub(super) struct File<'a> {
    pub(super) filename: Cow<'a, str>,
    pub(super) file_data: DataUrl<'a>,
}

#[derive(Serialize)]
pub(super) struct ToolCall<'a> {
    pub(super) id: &'a str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) function: FunctionCall<'a>,
    #[serde(flatten)]
    pub(super) extras: CallExtras<&'a RawValue>,
}

#[derive(Serialize)]
pub(super) struct FunctionCall<'a> {
    pub(super) name: &'a str,
    /// JSON, as a text.
    pub(super) arguments: Cow<'a, str>,
}

#[derive(Serialize)]
pub(super) struct Tool<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) function: Function<'a>,
}

#[derive(Serialize)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    pub(super) parameters: &'a RawValue,
}

/// What stands for the schema of a tool that isn't offered any more.
pub(super) fn no_parameters() -> &'static RawValue {
    const NONE: &str = r#"{"type":"object","properties":{}}"#;
    serde_json::from_str(NONE).unwrap_or(RawValue::NULL)
}

// ---------------------------------------------------------------- both ways

/// What compatible servers call a model's reasoning: `reasoning_content` (DeepSeek, llama.cpp), `reasoning` (vLLM,
/// Groq, OpenRouter), `reasoning_details` (OpenRouter: signed or encrypted pieces), `thinking_blocks` (LiteLLM: signed ones). OpenAI
/// itself has none of them.
#[expect(clippy::struct_field_names, reason = "the providers' own names")]
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reasoning<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_details: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking_blocks: Option<T>,
}

impl<T> Reasoning<T> {
    pub(super) const NONE: Self =
        Self { reasoning_content: None, reasoning: None, reasoning_details: None, thinking_blocks: None };

    pub(super) fn is_none(&self) -> bool {
        self.reasoning_content.is_none()
            && self.reasoning.is_none()
            && self.reasoning_details.is_none()
            && self.thinking_blocks.is_none()
    }
}

/// What servers add to a tool call and want back: Gemini's compatible endpoint a signature in `extra_content`, LiteLLM the same in
/// `provider_specific_fields`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CallExtras<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extra_content: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider_specific_fields: Option<T>,
}

impl<T> CallExtras<T> {
    pub(super) const NONE: Self = Self { extra_content: None, provider_specific_fields: None };

    pub(super) fn is_none(&self) -> bool {
        self.extra_content.is_none() && self.provider_specific_fields.is_none()
    }
}

// ---------------------------------------------------------------- the answer

/// Every field may be missing or `null`.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) model: Option<String>,
    pub(super) choices: Option<Vec<Choice>>,
    pub(super) usage: Option<Value>,
    /// OpenRouter's, with status 200.
    pub(super) error: Option<Value>,
    /// Groq's.
    pub(super) x_groq: Option<XGroq>,
}

/// What Groq adds: why a stream was stopped early, and what was used.
#[derive(Deserialize)]
pub(super) struct XGroq {
    pub(super) error: Option<Value>,
    pub(super) usage: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    pub(super) message: Option<AnswerMessage>,
    pub(super) finish_reason: Option<String>,
    /// vLLM's: the stop sequence that ended the answer, or a token's number.
    pub(super) stop_reason: Option<Value>,
    /// SGLang's word for the same.
    pub(super) matched_stop: Option<Value>,
    /// OpenRouter's.
    pub(super) error: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct AnswerMessage {
    /// A text, or with some servers a list of parts.
    pub(super) content: Option<Value>,
    pub(super) refusal: Option<String>,
    pub(super) tool_calls: Option<Vec<AnswerToolCall>>,
    /// What `tool_calls` was called before November 2023.
    pub(super) function_call: Option<AnswerFunction>,
    pub(super) audio: Option<IgnoredAny>,
    /// OpenRouter's and LiteLLM's, for models that draw.
    pub(super) images: Option<Vec<Value>>,
    pub(super) reasoning_content: Option<Box<RawValue>>,
    pub(super) reasoning: Option<Box<RawValue>>,
    pub(super) reasoning_details: Option<Box<RawValue>>,
    pub(super) thinking_blocks: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
pub(super) struct AnswerToolCall {
    pub(super) id: Option<String>,
    pub(super) function: Option<AnswerFunction>,
    pub(super) extra_content: Option<Box<RawValue>>,
    pub(super) provider_specific_fields: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
pub(super) struct AnswerFunction {
    pub(super) name: Option<String>,
    /// JSON as a text; with some servers the object itself.
    pub(super) arguments: Option<Box<RawValue>>,
}

/// A chunk of a streamed answer. Here too, every field may be missing or `null`.
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    pub(super) object: Option<String>,
    pub(super) model: Option<String>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<ChunkChoice<'a>>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    pub(super) x_groq: Option<XGroq>,
}

#[derive(Deserialize)]
pub(super) struct ChunkChoice<'a> {
    pub(super) index: Option<u64>,
    pub(super) delta: Option<Delta>,
    pub(super) finish_reason: Option<String>,
    pub(super) stop_reason: Option<Value>,
    pub(super) matched_stop: Option<Value>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    /// Moonshot's.
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

/// What a message gets more of.
#[derive(Deserialize)]
pub(super) struct Delta {
    pub(super) content: Option<DeltaContent>,
    pub(super) refusal: Option<String>,
    pub(super) tool_calls: Option<Vec<DeltaToolCall>>,
    pub(super) function_call: Option<AnswerFunction>,
    pub(super) audio: Option<IgnoredAny>,
    pub(super) images: Option<Vec<Value>>,
    pub(super) reasoning_content: Option<Value>,
    pub(super) reasoning: Option<Value>,
    pub(super) reasoning_details: Option<Value>,
    pub(super) thinking_blocks: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`content` is neither text nor parts")]
pub(super) enum DeltaContent {
    Text(String),
    /// Mistral's.
    Parts(Vec<Value>),
}

#[derive(Deserialize)]
pub(super) struct DeltaToolCall {
    /// Gemini's compatible endpoint has left it out, and has called every call's 0.
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) function: Option<AnswerFunction>,
    pub(super) extra_content: Option<Box<RawValue>>,
    pub(super) provider_specific_fields: Option<Box<RawValue>>,
}
