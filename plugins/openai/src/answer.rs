//! What both APIs' answers have in common.

use serde_json::Value;
use serde_json::value::RawValue;
use understudy_plugin::arguments;
use understudy_plugin::blocks::{NO_EXTRAS, tool_uses};
use understudy_plugin::error::{malformed_response, provider};
use understudy_plugin::names::Names;
use understudy_plugin::schema::Shapes;
use understudy_plugin::types::{ContentBlock, Error, MediaContent, TextContent, ToolUseContent, Usage};

pub(crate) fn push_text(content: &mut Vec<ContentBlock>, text: String) {
    if !text.is_empty() {
        content.push(ContentBlock::Text(TextContent { text, extras: NO_EXTRAS }));
    }
}

/// A part of a `content` that is a list. Mistral's reasoning models answer with `thinking` parts that are not for the reader.
pub(crate) fn push_part(content: &mut Vec<ContentBlock>, mut part: Value) -> Result<(), Error> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or("text").to_owned();
    let field = match kind.as_str() {
        "thinking" | "reasoning" => return Ok(()),
        "text" | "output_text" => "text",
        "refusal" => "refusal",
        "image_url" => {
            content.push(image_block(&part)?);
            return Ok(());
        }
        _ => {
            return Err(malformed_response(format!("the provider's answer holds a part of the unknown type `{kind}`")));
        }
    };
    match part.get_mut(field).map(Value::take) {
        Some(Value::String(text)) => push_text(content, text),
        _ => return Err(malformed_response(format!("the provider's answer holds a `{kind}` part without `{field}`"))),
    }
    Ok(())
}

/// `{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}`.
pub(crate) fn image_block(part: &Value) -> Result<ContentBlock, Error> {
    let url = part.pointer("/image_url/url").and_then(Value::as_str).unwrap_or_default();
    let (mime_type, data) =
        url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")).ok_or_else(|| {
            malformed_response("the provider's answer holds an image that is not a `data:` URL in base64")
        })?;
    Ok(ContentBlock::Image(MediaContent { data: data.to_owned(), mime_type: mime_type.to_owned(), extras: NO_EXTRAS }))
}

/// A tool call, as it came.
pub(crate) struct Call<'a> {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    /// JSON as a text; with some servers the object itself.
    pub(crate) arguments: Option<&'a RawValue>,
}

/// Adds a tool call. `earlier`: how many the conversation holds, which is the first number for an id that must be made.
/// `is_cut`: whether `maxTokens` ended the answer.
pub(crate) fn push_call(
    content: &mut Vec<ContentBlock>,
    call: Call,
    (names, shapes): (&Names, &Shapes),
    earlier: usize,
    is_cut: bool,
) -> Result<(), Error> {
    let name = call.name.ok_or_else(|| malformed_response("the provider's answer holds a tool call without a name"))?;
    let name = names.in_mcp(name);
    let Some(input) = arguments::read(call.arguments) else {
        let why = if is_cut { ": `maxTokens` ended the answer in their midst" } else { "" };
        return Err(malformed_response(format!("the arguments of the tool call `{name}` are not a JSON object{why}")));
    };
    let input = shapes.in_mcp(&name, input);
    let is_taken = |id: &String| tool_uses(&*content).any(|tool_use| tool_use.id == *id);
    let id = call.id.filter(|id| !id.is_empty() && !is_taken(id));
    let id = id.unwrap_or_else(|| format!("call_{}", earlier + tool_uses(&*content).count()));
    content.push(ContentBlock::ToolUse(ToolUseContent { id, name, input, extras: NO_EXTRAS }));
    Ok(())
}

/// The error for an answer of which the content filter left nothing.
pub(crate) fn filtered(status: u16) -> Error {
    provider("content-filtered", status, "the provider's content filter left nothing of the answer", None)
}

/// The tokens, by the names that the API has for them; the details are whatever else the provider counts.
pub(crate) fn usage(usage: Value, input: &str, output: &str) -> Option<Usage> {
    let Value::Object(mut usage) = usage else { return None };
    let mut take = |key: &str| usage.shift_remove(key).and_then(|n| n.as_u64());
    let (input_tokens, output_tokens) = (take(input), take(output));
    take("total_tokens");
    usage.retain(|_, value| !value.is_null());
    Some(Usage { input_tokens, output_tokens, details: Value::Object(usage).to_string() })
}

/// The text less the thinking that it begins with (`<think>…</think>`): a server without a parser for the model leaves it in
/// (lmstudio-ai/lmstudio-bug-tracker#1569). Of thinking that has no end, nothing is an answer.
/// `is_over`: whether no more of the text is to come.
pub(crate) fn without_thinking(text: &str, is_over: bool) -> &str {
    const BEGIN: &str = "<think>";
    let begun = text.trim_start();
    match begun.strip_prefix(BEGIN) {
        Some(thinking) => thinking.split_once("</think>").map_or("", |(_, answer)| answer.trim_start()),
        // It may still begin.
        None if !is_over && BEGIN.starts_with(begun) => "",
        None => text,
    }
}
