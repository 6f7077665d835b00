//! The answer.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use understudy_plugin::blocks::{NO_EXTRAS, cut, extras_mut, tool_uses};
use understudy_plugin::error::{malformed_response, provider};
use understudy_plugin::prefill::without_beginning;
use understudy_plugin::reason::in_mcp;
use understudy_plugin::text::one_line;
use understudy_plugin::types::{
    ContentBlock, CreateMessageResult, Error, HttpResponse, MediaContent, TextContent, ToolUseContent, Usage,
};
use understudy_plugin::{arguments, http};

use crate::thought::{self, Thought};
use crate::wire::{Answer, AnswerBlob, AnswerContent, AnswerFunctionCall, PromptFeedback};
use crate::{State, error};

/// Reads an answer whose status is 2xx.
pub(crate) fn read(state: &State, response: &HttpResponse) -> Result<(CreateMessageResult, Option<Usage>), Error> {
    let answer: Answer = http::json_body(response)?;
    if let Some(refusal) = &answer.error {
        return Err(error::of_body(refusal, response, &state.model));
    }
    let Some(candidate) = answer.candidates.and_then(|candidates| candidates.into_iter().next()) else {
        return Err(no_candidate(answer.prompt_feedback, response));
    };
    let finish = candidate.finish_reason.filter(|reason| !reason.is_empty());
    if candidate.content.is_none() && finish.is_none() {
        return Err(malformed_response("the provider's answer holds neither content nor a `finishReason`"));
    }
    let mut content = blocks(candidate.content, state)?;
    if content.is_empty()
        && let Some(reason) = finish.as_deref()
        && !matches!(reason, "STOP" | "MAX_TOKENS" | "CONTINUATION")
    {
        return Err(nothing(reason, candidate.finish_message.as_deref(), response.status));
    }
    let mut stop_reason = stop_reason(finish.as_deref(), &content);
    if let Some(beginning) = &state.beginning {
        without_beginning(&mut content, beginning);
    }
    if cut(&mut content, &state.stops) {
        stop_reason = Some("stopSequence".to_owned());
    }
    let model = answer.model_version.filter(|model| !model.is_empty()).unwrap_or_else(|| state.model.clone());
    Ok((CreateMessageResult { content, model, stop_reason, meta: None }, answer.usage_metadata.and_then(usage)))
}

fn no_candidate(feedback: Option<PromptFeedback>, response: &HttpResponse) -> Error {
    let Some(PromptFeedback { block_reason: Some(reason), block_reason_message }) = feedback else {
        let beginning = http::beginning(&response.body);
        return malformed_response(format!("the provider's answer holds no candidate; it begins with `{beginning}`"));
    };
    let more = block_reason_message.map(|message| format!(": {}", one_line(&message))).unwrap_or_default();
    let message = format!("the provider's filter refused the request (`{reason}`){more}");
    provider("content-filtered", response.status, message, None)
}

/// The error for an answer that holds nothing, and says why.
fn nothing(reason: &str, message: Option<&str>, status: u16) -> Error {
    let more = message.map(|message| format!(": {}", one_line(message))).unwrap_or_default();
    match reason {
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR"
        | "ESCALATION" => {
            let message = format!("the provider's filter left nothing of the answer (`{reason}`){more}");
            provider("content-filtered", status, message, None)
        }
        "PUP_LIMITED_DISABLED" => {
            provider("forbidden", status, format!("the provider has limited the account (`{reason}`){more}"), None)
        }
        _ => malformed_response(format!("the provider's answer ended with `{reason}` and holds nothing{more}")),
    }
}

/// Why the answer ended, in MCP's words. `CONTINUATION` is the limit of one exchange (`types.py`, `FinishReason`), less than
/// was asked for but a limit all the same.
fn stop_reason(finish: Option<&str>, content: &[ContentBlock]) -> Option<String> {
    match finish {
        Some("CONTINUATION") => Some("maxTokens".to_owned()),
        finish => in_mcp(finish, tool_uses(content).next().is_some()),
    }
}

/// The blocks that the model said, each with what must come back with it.
fn blocks<'a>(content: Option<AnswerContent<'a>>, state: &'a State) -> Result<Vec<ContentBlock>, Error> {
    let mut blocks: Vec<(ContentBlock, Thought)> = Vec::new();
    let mut between = Vec::new();
    let mut calls = state.calls;
    for raw in content.and_then(|content| content.parts).into_iter().flatten() {
        let part = AnswerPart::read(raw)?;
        let Some(block) = part.block(state, &blocks, &mut calls)? else {
            between.extend(thought::carried(raw));
            continue;
        };
        let signature = part.field(SIGNATURE)?;
        blocks.push((block, Thought::new(&state.model, signature, std::mem::take(&mut between))));
    }
    if let Some((_, last)) = blocks.last_mut() {
        last.after = between;
    }
    let with_meta = |(mut block, thought): (ContentBlock, Thought)| {
        if let Some(extras) = extras_mut(&mut block) {
            extras.meta = thought.into_meta();
        }
        block
    };
    Ok(blocks.into_iter().map(with_meta).collect())
}

/// What a part can hold that is no block: the model's work with Google's own tools.
const WORK: [&str; 4] = ["executableCode", "codeExecutionResult", "toolCall", "toolResponse"];

const SIGNATURE: &str = "thoughtSignature";

/// A part's fields, except those that are `null`.
pub(crate) struct AnswerPart<'a> {
    fields: BTreeMap<String, &'a RawValue>,
}

impl<'a> AnswerPart<'a> {
    pub(crate) fn read(raw: &'a RawValue) -> Result<Self, Error> {
        let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get())
            .map_err(|_| malformed_response("the provider's answer holds a part that is not an object"))?;
        fields.retain(|_, value| value.get() != "null");
        Ok(Self { fields })
    }

    pub(crate) fn field<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(value) = self.fields.get(name) else { return Ok(None) };
        serde_json::from_str(value.get())
            .map(Some)
            .map_err(|e| malformed_response(format!("the provider's answer holds a part whose `{name}` is odd: {e}")))
    }

    pub(crate) fn is_thought(&self) -> Result<bool, Error> {
        self.field::<bool>("thought").map(Option::unwrap_or_default)
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.fields.contains_key(SIGNATURE)
    }

    /// Whether this is text and nothing else.
    pub(crate) fn is_text(&self) -> bool {
        self.fields.keys().all(|key| matches!(key.as_str(), "text" | "thought" | SIGNATURE))
    }

    /// The block that this part is; none for a thought, for work, and for a part that says nothing.
    fn block(
        &self,
        state: &State,
        before: &[(ContentBlock, Thought)],
        calls: &mut usize,
    ) -> Result<Option<ContentBlock>, Error> {
        if self.is_thought()? || WORK.iter().any(|key| self.fields.contains_key(*key)) {
            return Ok(None);
        }
        if let Some(call) = self.field::<AnswerFunctionCall>("functionCall")? {
            let mut tool_use = tool_use(call, state)?;
            let is_taken = |id: &str| tool_uses(before.iter().map(|(block, _)| block)).any(|other| other.id == id);
            if tool_use.id.is_empty() || is_taken(&tool_use.id) {
                tool_use.id = format!("call_{calls}");
            }
            *calls += 1;
            return Ok(Some(ContentBlock::ToolUse(tool_use)));
        }
        if let Some(blob) = self.field::<AnswerBlob>("inlineData")? {
            return media(blob).map(Some);
        }
        match self.field::<String>("text")? {
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => Ok(Some(ContentBlock::Text(TextContent { text, extras: NO_EXTRAS }))),
            None => match self.fields.keys().find(|key| *key != "thought" && *key != SIGNATURE) {
                None => Ok(None),
                Some(key) => {
                    Err(malformed_response(format!("the provider's answer holds a part of the unknown type `{key}`")))
                }
            },
        }
    }
}

fn media(blob: AnswerBlob) -> Result<ContentBlock, Error> {
    let (Some(mime_type), Some(data)) = (blob.mime_type, blob.data) else {
        return Err(malformed_response("the provider's answer holds `inlineData` without its type or its data"));
    };
    let media = MediaContent { data: standard_alphabet(data), mime_type, extras: NO_EXTRAS };
    if media.mime_type.starts_with("image/") {
        Ok(ContentBlock::Image(media))
    } else if media.mime_type.starts_with("audio/") {
        Ok(ContentBlock::Audio(media))
    } else {
        let mime_type = one_line(&media.mime_type);
        Err(malformed_response(format!(
            "the provider's answer holds data of type `{mime_type}`, neither image nor audio"
        )))
    }
}

/// Base64 in the alphabet that MCP wants. Google's JSON may use the other (protobuf's JSON mapping allows both).
fn standard_alphabet(data: String) -> String {
    if data.contains(['-', '_']) { data.replace('-', "+").replace('_', "/") } else { data }
}

/// A tool call, with Google's id if there is one.
fn tool_use(call: AnswerFunctionCall, state: &State) -> Result<ToolUseContent, Error> {
    let Some(name) = call.name.filter(|name| !name.is_empty()) else {
        return Err(malformed_response("the provider's answer holds a function call without a name"));
    };
    if !state.tools {
        let name = one_line(&name);
        return Err(malformed_response(format!("the provider's answer calls the tool `{name}`, and none was offered")));
    }
    let Some(input) = arguments::read(call.args) else {
        let name = one_line(&name);
        return Err(malformed_response(format!("the arguments of the tool call `{name}` are not a JSON object")));
    };
    Ok(ToolUseContent { id: call.id.unwrap_or_default(), name: state.names.in_mcp(name), input, extras: NO_EXTRAS })
}

/// The tokens; the details are whatever else Google counts. The prompt's count includes cached tokens, but neither what
/// Google's own tools put in nor, on the other side, the thoughts (`types.py`, `GenerateContentResponseUsageMetadata`).
fn usage(usage: Value) -> Option<Usage> {
    let Value::Object(mut usage) = usage else { return None };
    let count = |key: &str| usage.get(key).and_then(Value::as_u64);
    let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (None, None) => None,
        _ => Some(a.unwrap_or_default().saturating_add(b.unwrap_or_default())),
    };
    let input_tokens = sum(count("promptTokenCount"), count("toolUsePromptTokenCount"));
    let output_tokens = sum(count("candidatesTokenCount"), count("thoughtsTokenCount"));
    let known = ["promptTokenCount", "candidatesTokenCount", "totalTokenCount"];
    usage.retain(|key, value| !known.contains(&key.as_str()) && !value.is_null());
    Some(Usage { input_tokens, output_tokens, details: Value::Object(usage).to_string() })
}
