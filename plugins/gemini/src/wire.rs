//! The API's own structs, as they stand in the JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

// ---------------------------------------------------------------- the request

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_instruction: Option<Content<'a>>,
    pub(crate) contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tools: Option<[Tool<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_config: Option<ToolConfig>,
    pub(crate) generation_config: GenerationConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) safety_settings: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(crate) extra: &'a BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
pub(crate) struct Content<'a> {
    /// `user` or `model`; absent for the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    pub(crate) parts: Vec<Part<'a>>,
}

impl Content<'_> {
    /// Whether it holds function responses.
    pub(crate) fn responds(&self) -> bool {
        self.parts.iter().any(|part| part.function_response.is_some())
    }

    /// Whether it holds function calls.
    pub(crate) fn calls(&self) -> bool {
        self.parts.iter().any(|part| part.function_call.is_some())
    }
}

/// One of the fields is there, besides the signature.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part<'a> {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "understudy_plugin::json::optional_text")]
    pub(crate) text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function_response: Option<FunctionResponse<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thought_signature: Option<Cow<'a, str>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) carried: Option<Carried<'a>>,
}

impl<'a> Part<'a> {
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    pub(crate) fn inline_data(blob: Blob<'a>) -> Self {
        Self { inline_data: Some(blob), ..Self::default() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Blob<'a> {
    pub(crate) mime_type: &'static str,
    /// Base64.
    pub(crate) data: &'a str,
}

#[derive(Serialize)]
pub(crate) struct FunctionCall<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) args: &'a RawValue,
}

#[derive(Serialize)]
pub(crate) struct FunctionResponse<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) response: Response<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<FunctionResponsePart<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FunctionResponsePart<'a> {
    pub(crate) inline_data: Blob<'a>,
}

/// A JSON object. "Use "output" key to specify function output and "error" key to specify error details (if any). If "output"
/// and "error" keys are not specified, then whole "response" is treated as function output" (`types.py`, `FunctionResponse`).
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Response<'a> {
    /// The tool's own object.
    Own(&'a RawValue),
    #[serde(rename_all = "camelCase")]
    Result {
        result: Said<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        structured_content: Option<&'a RawValue>,
    },
    #[serde(rename_all = "camelCase")]
    Error {
        error: Said<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        structured_content: Option<&'a RawValue>,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Said<'a> {
    Text(Cow<'a, str>),
    Json(&'a RawValue),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tool<'a> {
    pub(crate) function_declarations: Vec<FunctionDeclaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FunctionDeclaration<'a> {
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<&'a str>,
    /// Any JSON Schema; `parameters` takes a part of `OpenAPI`'s only.
    pub(crate) parameters_json_schema: Cow<'a, RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolConfig {
    pub(crate) function_calling_config: FunctionCallingConfig,
}

#[derive(Serialize)]
pub(crate) struct FunctionCallingConfig {
    /// `AUTO`, `ANY` or `NONE`.
    pub(crate) mode: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GenerationConfig<'a> {
    pub(crate) max_output_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking_config: Option<ThinkingConfig<'a>>,
    #[serde(flatten)]
    pub(crate) extra: &'a BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ThinkingConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking_level: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking_budget: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) include_thoughts: Option<bool>,
}

impl ThinkingConfig<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.thinking_level.is_none() && self.thinking_budget.is_none() && self.include_thoughts.is_none()
    }
}

// ---------------------------------------------------------------- both ways

/// A part that MCP has no block for: thoughts, and the work of Google's own tools.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Carried<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) inline_data: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) thought: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) thought_signature: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) executable_code: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) code_execution_result: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) tool_call: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) tool_response: Option<&'a RawValue>,
}

// ---------------------------------------------------------------- the answer

/// Every field may be missing or `null`. It is written too, when an answer has come in pieces.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer<'a> {
    #[serde(borrow)]
    pub(crate) candidates: Option<Vec<Candidate<'a>>>,
    pub(crate) prompt_feedback: Option<PromptFeedback>,
    pub(crate) usage_metadata: Option<Value>,
    pub(crate) model_version: Option<String>,
    pub(crate) error: Option<Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Candidate<'a> {
    #[serde(borrow)]
    pub(crate) content: Option<AnswerContent<'a>>,
    pub(crate) finish_reason: Option<String>,
    pub(crate) finish_message: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct AnswerContent<'a> {
    #[serde(borrow)]
    pub(crate) parts: Option<Vec<&'a RawValue>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PromptFeedback {
    pub(crate) block_reason: Option<String>,
    pub(crate) block_reason_message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnswerBlob {
    pub(crate) mime_type: Option<String>,
    pub(crate) data: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct AnswerFunctionCall<'a> {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    #[serde(borrow)]
    pub(crate) args: Option<&'a RawValue>,
}
