//! From Anthropic's answer to MCP's result.

use serde_json::value::RawValue;
use understudy_plugin::blocks::{NO_EXTRAS, cut, extras_mut, tool_uses};
use understudy_plugin::ids::Ids;
use understudy_plugin::prefill::without_beginning;
use understudy_plugin::reason::{Reason, in_mcp};
use understudy_plugin::refusal::is_error;
use understudy_plugin::text::one_line;
use understudy_plugin::types::{
    Completion, ContentBlock, CreateMessageResult, Error, HttpResponse, Role, TextContent, ToolUseContent, Usage,
};
use understudy_plugin::{arguments, error, http};

use crate::binding::Digest;
use crate::content::{self, Mapped};
use crate::wire::{self, Hidden, StopDetails};
use crate::{State, refusal};

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
    let Some(blocks) = answer.content else {
        // The error of a gateway, with a status of success.
        let is_refusal = serde_json::from_str(body.get()).is_ok_and(|body| is_error(&body, &["content"]));
        return Err(if is_refusal {
            refusal::error(response, &state.model)
        } else {
            error::malformed_response("the answer has no `content`")
        });
    };
    let reason = answer.stop_reason.as_deref();
    if let Some(failed) = reason.filter(|reason| Reason::of(reason) == Reason::Failed) {
        let message = format!("the provider broke the answer off: its `stop_reason` is `{failed}`");
        return Err(error::provider("unavailable", response.status, message, None));
    }
    let is_cut = reason.is_some_and(|reason| Reason::of(reason) == Reason::MaxTokens);
    let (mut content, hidden) = content(&blocks, state, is_cut)?;
    if content.is_empty() && reason.is_some_and(|reason| Reason::of(reason) == Reason::Filter) {
        return Err(nothing_left(reason.unwrap_or_default(), answer.stop_details, response.status));
    }
    let mut stop_reason = in_mcp(reason, tool_uses(&content).next().is_some());
    if let Some(beginning) = &state.beginning {
        without_beginning(&mut content, beginning);
    }
    if cut(&mut content, &state.stops) {
        stop_reason = Some("stopSequence".to_owned());
    }
    let meta = meta(hidden, None, state)?;
    let model = answer.model.unwrap_or_else(|| state.model.clone());
    Ok(Completion {
        result: CreateMessageResult { content, model, stop_reason, meta },
        usage: answer.usage.map(usage),
        extensions: String::new(),
    })
}

/// The error for an answer of which a filter left nothing.
fn nothing_left(reason: &str, details: Option<StopDetails>, status: u16) -> Error {
    let more = details.and_then(|details| details.explanation).map(|more| format!(": {}", one_line(&more)));
    let more = more.unwrap_or_default();
    let message = format!("the provider's filter left nothing of the answer (`{reason}`){more}");
    error::provider("content-filtered", status, message, None)
}

/// The blocks that MCP knows. Every other one is put into the `_meta` of the block that it precedes, where `content::hidden`
/// finds it on the next turn; what precedes none is handed back for the result's own `_meta`. `is_cut`: whether `maxTokens`
/// ended the answer.
fn content<'a>(
    blocks: &[&'a RawValue],
    state: &State,
    is_cut: bool,
) -> Result<(Vec<ContentBlock>, Vec<&'a RawValue>), Error> {
    let ids = Ids::default();
    let mapped = Mapped { names: &state.names, ids: &ids, shapes: &state.shapes };
    let mut content = Vec::with_capacity(blocks.len());
    let mut hidden = Vec::new();
    // What the next block is bound to.
    let mut prefix = state.prefix.map(|prefix| prefix.and("assistant")).transpose()?;
    for (n, raw) in blocks.iter().enumerate() {
        let malformed = |e| error::malformed_response(format!("`content[{n}]` of the answer: {e}"));
        let block: wire::Kind = wire::object(raw).map_err(malformed)?;
        let mut block = match block.kind.as_ref() {
            "text" => {
                let block: wire::AnswerText = wire::object(raw).map_err(malformed)?;
                ContentBlock::Text(TextContent { text: block.text, extras: NO_EXTRAS })
            }
            "tool_use" => {
                let block: wire::AnswerToolUse = wire::object(raw).map_err(malformed)?;
                ContentBlock::ToolUse(tool_use(n, block, &content, state, is_cut)?)
            }
            _ => {
                hidden.push(*raw);
                continue;
            }
        };
        let before = prefix;
        if let Some(before) = before {
            let thought = hidden.iter().try_fold(before, |prefix, raw: &&RawValue| prefix.and(*raw))?;
            prefix = Some(match content::block("", 0, Role::Assistant, &block, mapped)? {
                Some(block) => thought.and(&block)?,
                None => thought,
            });
        }
        if let Some(extras) = extras_mut(&mut block) {
            extras.meta = meta(std::mem::take(&mut hidden), before, state)?;
        }
        content.push(block);
    }
    Ok((content, hidden))
}

/// Block `n`, a tool use.
fn tool_use(
    n: usize,
    block: wire::AnswerToolUse,
    before: &[ContentBlock],
    state: &State,
    is_cut: bool,
) -> Result<ToolUseContent, Error> {
    let name = state.names.in_mcp(block.name);
    let problem = |problem: &str| {
        error::malformed_response(format!(
            "`content[{n}]` of the answer, a tool_use of `{}`, {problem}",
            one_line(&name)
        ))
    };
    if !state.tools.contains(&name) {
        return Err(problem("asks for a tool that the request doesn't offer"));
    }
    let Some(input) = arguments::read(block.input) else {
        return Err(problem(if is_cut {
            "has an `input` that isn't an object: `maxTokens` ended the answer in its midst"
        } else {
            "has an `input` that isn't an object"
        }));
    };
    let is_taken = |id: &str| tool_uses(before).any(|other| other.id == id);
    let id = if block.id.is_empty() || is_taken(&block.id) { format!("{}_{n}", block.id) } else { block.id };
    let input = state.shapes.in_mcp(&name, input);
    Ok(ToolUseContent { id, name, input, extras: NO_EXTRAS })
}

/// The `_meta` for what stood before a block. `prefix`: the digest of all that stood before that.
fn meta(hidden: Vec<&RawValue>, prefix: Option<Digest>, state: &State) -> Result<Option<String>, Error> {
    if hidden.is_empty() {
        return Ok(None);
    }
    let prefix = prefix.map(|prefix| prefix.in_words().into());
    let hidden = Hidden { model: state.model.as_str().into(), prefix, blocks: hidden };
    let meta = serde_json::to_string(&wire::HiddenMeta { hidden });
    meta.map(Some).map_err(|e| error::other(format!("the answer's thinking can't be written as JSON: {e}")))
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
