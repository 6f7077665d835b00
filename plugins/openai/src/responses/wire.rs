//! The API's own structs, as they stand in the JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use understudy_plugin::json::Text;

use crate::media::DataUrl;

// ---------------------------------------------------------------- the request

#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub(super) model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instructions: Option<Text<'a>>,
    pub(super) input: Vec<Item<'a>>,
    pub(super) max_output_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning: Option<ReasoningConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_p: Option<f64>,
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
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) include: &'static [&'static str],
    pub(super) store: bool,
    #[serde(flatten)]
    pub(super) metadata: BTreeMap<String, &'a RawValue>,
    #[serde(flatten)]
    pub(super) extra: &'a BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
pub(super) struct ReasoningConfig<'a> {
    pub(super) effort: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item<'a> {
    Message {
        role: &'static str,
        content: Content<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<Cow<'a, str>>,
    },
    Reasoning(Reasoning<'a>),
    FunctionCall {
        call_id: &'a str,
        name: &'a str,
        /// JSON, as a text.
        arguments: Cow<'a, str>,
    },
    FunctionCallOutput {
        call_id: &'a str,
        output: Content<'a>,
    },
}

/// What an assistant said is always a text: a list of parts would have to be one of output items, ids included
/// (`types/responses/response_output_message_param.py`).
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Content<'a> {
    Text(#[serde(serialize_with = "understudy_plugin::json::text")] Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type")]
pub(super) enum Part<'a> {
    #[serde(rename = "input_text")]
    Text {
        #[serde(serialize_with = "understudy_plugin::json::text")]
        text: Cow<'a, str>,
    },
    #[serde(rename = "input_image")]
    Image { image_url: DataUrl<'a>, detail: &'static str },
    #[serde(rename = "input_file")]
    File { filename: Cow<'a, str>, file_data: DataUrl<'a> },
}

#[derive(Serialize)]
pub(super) struct Tool<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    pub(super) parameters: &'a RawValue,
    /// By default the API makes every property of a schema required.
    pub(super) strict: bool,
}

// ---------------------------------------------------------------- both ways

/// A `reasoning` item, without its `type` and without its `status`, which the API gives and doesn't take
/// (BerriAI/litellm#13420).
#[derive(Serialize, Deserialize)]
pub(super) struct Reasoning<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "list")]
    pub(super) summary: Vec<&'a RawValue>,
    /// Plain reasoning, by compatible servers.
    #[serde(borrow, default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub(super) content: Vec<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) encrypted_content: Option<Cow<'a, str>>,
}

/// A list, or `null` for an empty one.
fn list<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'a RawValue>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

// ---------------------------------------------------------------- the answer

/// Every field may be missing or `null`. The items are read one by one, by their types.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    pub(super) model: Option<String>,
    pub(super) status: Option<String>,
    pub(super) error: Option<Value>,
    pub(super) incomplete_details: Option<IncompleteDetails>,
    #[serde(borrow)]
    pub(super) output: Option<Vec<&'a RawValue>>,
    pub(super) usage: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct IncompleteDetails {
    pub(super) reason: Option<String>,
}

/// Any item.
#[derive(Deserialize)]
pub(super) struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
}

/// A `message` item.
#[derive(Deserialize)]
pub(super) struct AnswerMessage {
    /// Parts.
    pub(super) content: Option<Vec<Value>>,
    pub(super) phase: Option<String>,
}

/// A `function_call` item.
#[derive(Deserialize)]
pub(super) struct AnswerCall<'a> {
    pub(super) call_id: Option<String>,
    pub(super) name: Option<String>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

/// Any event of a stream: `kind` tells which fields it has.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Cow<'a, str>>,
    /// The answer as far as it is there.
    #[serde(borrow)]
    pub(super) response: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) item: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) delta: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}
