//! From Anthropic's answer to MCP's result.

use serde_json::value::RawValue;
use understudy_plugin::blocks::cut;
use understudy_plugin::types::{
    Completion, ContentBlock, CreateMessageResult, Error, Extras, HttpResponse, TextContent, ToolUseContent, Usage,
};
use understudy_plugin::{error, http};

use crate::State;
use crate::refusal;
use crate::wire;

/// The result, or why there is none.
pub(crate) fn completion(response: &HttpResponse, state: &State) -> Result<Completion, Error> {
    if !(200..300).contains(&response.status) {
        return Err(refusal::error(response, &state.model));
    }
    let body: &RawValue = http::json_body(response)?;
    let answer: wire::Answer = wire::object(body).map_err(|e| {
        let beginning = http::beginning(&response.body);
        error::malformed_response(format!("the answer is not a message: {e}; it begins with `{beginning}`"))
    })?;
    if answer.kind.as_deref() == Some("error") {
        return Err(refusal::error(response, &state.model));
    }
    let blocks = answer.content.ok_or_else(|| error::malformed_response("the answer has no `content`"))?;
    let is_cut = answer.stop_reason.as_deref() == Some("max_tokens");
    let (mut content, hidden) = content(&blocks, state, is_cut)?;
    let mut stop_reason = answer.stop_reason.map(stop_reason);
    if cut(&mut content, &state.stops) {
        stop_reason = Some("stopSequence".to_owned());
    }
    Ok(Completion {
        result: CreateMessageResult {
            content,
            model: answer.model.unwrap_or_else(|| state.model.clone()),
            stop_reason,
            meta: meta(hidden)?,
        },
        usage: answer.usage.map(usage),
        extensions: String::new(),
    })
}

/// The blocks that MCP knows. Every other one is put into the `_meta` of the block that it precedes, where `content::hidden`
/// finds it on the next turn; what precedes none is handed back for the result's own `_meta`. `is_cut`: whether `maxTokens`
/// ended the answer.
fn content<'a>(
    blocks: &[&'a RawValue],
    state: &State,
    is_cut: bool,
) -> Result<(Vec<ContentBlock>, Vec<&'a RawValue>), Error> {
    let mut content = Vec::with_capacity(blocks.len());
    let mut hidden = Vec::new();
    for (n, raw) in blocks.iter().enumerate() {
        let malformed = |e| error::malformed_response(format!("`content[{n}]` of the answer: {e}"));
        let block: wire::Kind = wire::object(raw).map_err(malformed)?;
        match block.kind.as_ref() {
            "text" => {
                let block: wire::AnswerText = wire::object(raw).map_err(malformed)?;
                let extras = extras(std::mem::take(&mut hidden))?;
                content.push(ContentBlock::Text(TextContent { text: block.text, extras }));
            }
            "tool_use" => {
                let mut block: wire::AnswerToolUse = wire::object(raw).map_err(malformed)?;
                block.name = state.names.in_mcp(block.name);
                check(n, &block, state, is_cut)?;
                content.push(ContentBlock::ToolUse(ToolUseContent {
                    id: block.id,
                    name: block.name,
                    input: block.input.get().to_owned(),
                    extras: extras(std::mem::take(&mut hidden))?,
                }));
            }
            _ => hidden.push(*raw),
        }
    }
    Ok((content, hidden))
}

fn check(n: usize, block: &wire::AnswerToolUse, state: &State, is_cut: bool) -> Result<(), Error> {
    let problem = if !state.tools.contains(&block.name) {
        "asks for a tool that the request doesn't offer"
    } else if block.input.get().starts_with('{') {
        return Ok(());
    } else if is_cut {
        "has an `input` that isn't an object: `maxTokens` ended the answer in its midst"
    } else {
        "has an `input` that isn't an object"
    };
    Err(error::malformed_response(format!("`content[{n}]` of the answer, a tool_use of `{}`, {problem}", block.name)))
}

fn extras(hidden: Vec<&RawValue>) -> Result<Extras, Error> {
    Ok(Extras { meta: meta(hidden)?, annotations: None, extensions: None })
}

fn meta(hidden: Vec<&RawValue>) -> Result<Option<String>, Error> {
    if hidden.is_empty() {
        return Ok(None);
    }
    let meta = serde_json::to_string(&wire::HiddenMeta { hidden: Some(hidden) });
    meta.map(Some).map_err(|e| error::other(format!("the answer's thinking can't be written as JSON: {e}")))
}

/// MCP's word, where one is true; else Anthropic's own (`refusal`, `pause_turn`).
fn stop_reason(reason: String) -> String {
    match reason.as_str() {
        "end_turn" => "endTurn".to_owned(),
        "stop_sequence" => "stopSequence".to_owned(),
        "max_tokens" | "model_context_window_exceeded" => "maxTokens".to_owned(),
        "tool_use" => "toolUse".to_owned(),
        _ => reason,
    }
}

/// Tokens. Anthropic counts what it reads from its cache and writes into it apart ("Prompt caching"); its own figures are the
/// details.
fn usage(raw: &RawValue) -> Usage {
    let figures: wire::Usage = wire::object(raw).unwrap_or_default();
    let cached = [figures.read_and_cached, figures.read_from_cache];
    let input = |tokens: u64| cached.iter().flatten().fold(tokens, |sum, tokens| sum.saturating_add(*tokens));
    Usage {
        input_tokens: figures.read.map(input),
        output_tokens: figures.written,
        details: if raw.get().starts_with('{') { raw.get().to_owned() } else { String::new() },
    }
}
