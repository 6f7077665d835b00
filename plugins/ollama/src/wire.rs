//! The API's own structs, as they stand in the JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::settings::{KeepAlive, Think};

// ---------------------------------------------------------------- the request

#[derive(Serialize)]
pub(crate) struct Request<'a> {
    pub(crate) model: &'a str,
    pub(crate) messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tools: Vec<Tool<'a>>,
    pub(crate) stream: bool,
    pub(crate) options: Options<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) think: Option<Think>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keep_alive: Option<&'a KeepAlive>,
    /// The server's own (`api/types.go`); the packages don't have it yet.
    pub(crate) truncate: bool,
    #[serde(flatten)]
    pub(crate) extra: &'a BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
pub(crate) struct Options<'a> {
    pub(crate) num_predict: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stop: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) num_ctx: Option<u32>,
    #[serde(flatten)]
    pub(crate) extra: &'a BTreeMap<String, Box<RawValue>>,
}

#[derive(Default, Serialize)]
pub(crate) struct Message<'a> {
    /// `system`, `user`, `assistant` or `tool`.
    pub(crate) role: &'static str,
    #[serde(serialize_with = "understudy_plugin::json::text")]
    pub(crate) content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking: Option<Cow<'a, str>>,
    /// Base64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_name: Option<&'a str>,
    /// The server's own (`api/types.go`); the packages don't have it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct ToolCall<'a> {
    /// The server's own (`api/types.go`); the packages don't have it yet.
    pub(crate) id: &'a str,
    pub(crate) function: FunctionCall<'a>,
}

#[derive(Serialize)]
pub(crate) struct FunctionCall<'a> {
    pub(crate) name: &'a str,
    /// An object.
    pub(crate) arguments: &'a RawValue,
}

#[derive(Serialize)]
pub(crate) struct Tool<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) function: Function<'a>,
}

#[derive(Serialize)]
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<&'a str>,
    pub(crate) parameters: Cow<'a, RawValue>,
}

// ---------------------------------------------------------------- both ways

/// `_meta` of an answer's first block.
#[derive(Serialize, Deserialize)]
pub(crate) struct Meta<'a> {
    #[serde(borrow, rename = "understudy.ollama/thinking")]
    pub(crate) thinking: Thinking<'a>,
}

/// What the model thought before its answer.
#[derive(Serialize, Deserialize)]
pub(crate) struct Thinking<'a> {
    /// The model that was asked.
    #[serde(borrow)]
    pub(crate) model: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) text: Cow<'a, str>,
}

// ---------------------------------------------------------------- the answer

/// Every field may be missing or `null`.
#[derive(Deserialize)]
pub(crate) struct Answer<'a> {
    pub(crate) model: Option<String>,
    #[serde(borrow)]
    pub(crate) message: Option<AnswerMessage<'a>>,
    pub(crate) done: Option<bool>,
    pub(crate) done_reason: Option<String>,
    pub(crate) prompt_eval_count: Option<Value>,
    pub(crate) eval_count: Option<Value>,
    /// This and the following in nanoseconds.
    pub(crate) total_duration: Option<Value>,
    pub(crate) load_duration: Option<Value>,
    pub(crate) prompt_eval_duration: Option<Value>,
    pub(crate) eval_duration: Option<Value>,
    pub(crate) error: Option<Value>,
}

#[derive(Deserialize)]
pub(crate) struct AnswerMessage<'a> {
    pub(crate) content: Option<String>,
    pub(crate) thinking: Option<String>,
    /// Base64, without a type.
    pub(crate) images: Option<Vec<String>>,
    #[serde(borrow)]
    pub(crate) tool_calls: Option<Vec<AnswerToolCall<'a>>>,
}

#[derive(Deserialize)]
pub(crate) struct AnswerToolCall<'a> {
    pub(crate) id: Option<String>,
    #[serde(borrow)]
    pub(crate) function: Option<AnswerFunction<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct AnswerFunction<'a> {
    pub(crate) name: Option<String>,
    #[serde(borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
}
