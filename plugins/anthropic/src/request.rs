//! From MCP's request to Anthropic's.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses_of;
use understudy_plugin::names::{Names, Rule};
use understudy_plugin::stream::{by_default, streamed};
use understudy_plugin::types::{CreateMessageRequest, Error, Fetch, Framing, Options, Role, SamplingMessage, Tool};
use understudy_plugin::{error, http, state};

use crate::State;
use crate::content;
use crate::models;
use crate::settings::{Settings, thinks};
use crate::wire::{Block, Content, Message, Metadata, OutputConfig, Request, Tool as WireTool, ToolChoice};

/// Tool names are 1 to 128 letters, digits, `_` and `-`; MCP's hold dots and slashes besides.
const NAMES: Rule = Rule { begins: is_name_character, holds: is_name_character, longest: 128 };

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// The exchange that asks for the answer.
pub(crate) fn fetch(request: &CreateMessageRequest, options: &Options) -> Result<Fetch, Error> {
    if options.model.is_empty() {
        return Err(error::invalid_request("no model is named: set the plugin's `model`, such as `claude-sonnet-4-6`"));
    }
    let settings = Settings::parse(&options.settings)?;
    let (stop_sequences, own_stops) = stop_sequences(request);
    let offered = request.tools.as_deref().unwrap_or_default();
    let names = Names::of(request, &NAMES);
    let (tools, tool_choice) = tools(request, offered, &names)?;
    let max_tokens = request.max_tokens.min(models::most_tokens(&options.model));
    let forces_tool = tool_choice.as_ref().is_some_and(|choice| choice.kind == "any");
    let messages = messages(&request.messages, &names)?;
    let thinking = settings.thinking_for(max_tokens, forces_tool, begun_without_thinking(&messages))?;
    let streams = settings.stream.unwrap_or_else(|| by_default(request));
    let body = Request {
        model: &options.model,
        max_tokens,
        system: request.system_prompt.as_deref().filter(|prompt| !is_blank(prompt)),
        messages,
        tools,
        tool_choice,
        temperature: temperature(request.temperature, thinks(thinking), &settings, &options.model)?,
        top_p: settings.top_p,
        top_k: settings.top_k,
        stop_sequences,
        thinking,
        output_config: settings.effort.as_deref().map(|effort| OutputConfig { effort }),
        metadata: request.metadata.as_deref().and_then(|metadata| serde_json::from_str::<Metadata>(metadata).ok()),
        service_tier: settings.service_tier.as_deref(),
        stream: streams,
        extra: &settings.extra,
    };
    let mut fetch = http::post_json("/v1/messages", &body, Vec::new())?;
    let tools = offered.iter().map(|tool| tool.name.clone()).collect();
    fetch.state = state::to_bytes(&State { model: options.model.clone(), tools, names, stops: own_stops })?;
    fetch.request.headers.push(http::header("anthropic-version", "2023-06-01"));
    Ok(if streams { streamed(fetch, Framing::ServerSentEvents) } else { fetch })
}

/// Whether the API would refuse this as a text: "text content blocks must contain non-whitespace text".
pub(crate) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// MCP leaves the range open and Anthropic's ends at 1: more is taken as 1, the most random there is. It is left out where
/// the API refuses it whatever its value: of newer models, while thinking ("Extended thinking"), and together with `top_p`.
fn temperature(asked: Option<f64>, thinks: bool, settings: &Settings, model: &str) -> Result<Option<f64>, Error> {
    let Some(temperature) = asked else { return Ok(None) };
    if temperature < 0.0 {
        return Err(error::invalid_request(format!("`temperature` is {temperature}: Anthropic's lowest is 0")));
    }
    let taken = !thinks && settings.top_p.is_none() && models::takes_temperature(model);
    Ok(taken.then_some(temperature.min(1.0)))
}

/// The stop sequences for the API, and those for this plugin: the API refuses one of white space alone ("each stop sequence
/// must contain non-whitespace"), so the answer is cut there afterwards. An empty one means nothing.
fn stop_sequences(request: &CreateMessageRequest) -> (Vec<&str>, Vec<String>) {
    let all = request.stop_sequences.iter().filter(|stop| !stop.is_empty());
    let (own, sent): (Vec<&String>, Vec<&String>) = all.partition(|stop| is_blank(stop));
    (sent.into_iter().map(String::as_str).collect(), own.into_iter().cloned().collect())
}

/// The tools, and how they may be used.
///
/// A conversation that holds tool uses needs `tools` ("Requests which include `tool_use` or `tool_result` blocks must define
/// tools"), and MCP's last round often has none: then those that were used are named again, not to be used.
fn tools<'a>(
    request: &'a CreateMessageRequest,
    offered: &'a [Tool],
    names: &'a Names,
) -> Result<(Vec<WireTool<'a>>, Option<ToolChoice>), Error> {
    if offered.is_empty() {
        let schema: &RawValue = content::json("a schema", r#"{"type":"object"}"#)?;
        let used: BTreeSet<&str> = tool_uses_of(request).map(|tool_use| names.on_the_wire(&tool_use.name)).collect();
        let tool = |name| WireTool { name, description: None, input_schema: schema };
        let tools: Vec<_> = used.into_iter().map(tool).collect();
        let choice = (!tools.is_empty()).then_some(ToolChoice { kind: "none" });
        return Ok((tools, choice));
    }
    let mode = request.tool_choice.as_ref().and_then(|choice| choice.mode.as_deref());
    let kind = match mode {
        None => None,
        Some("auto") => Some("auto"),
        Some("required") => Some("any"),
        Some("none") => Some("none"),
        Some(other) => return Err(error::unsupported(format!("Anthropic has no tool choice like `{other}`"))),
    };
    let tools = offered.iter().enumerate().map(|(i, tool)| offer(i, tool, names)).collect::<Result<_, _>>()?;
    Ok((tools, kind.map(|kind| ToolChoice { kind })))
}

fn offer<'a>(i: usize, tool: &'a Tool, names: &'a Names) -> Result<WireTool<'a>, Error> {
    Ok(WireTool {
        name: names.on_the_wire(&tool.name),
        description: tool.description.as_deref().or(tool.title.as_deref()),
        input_schema: content::json(&format!("tools[{i}].inputSchema"), &tool.input_schema)?,
    })
}

fn messages<'a>(messages: &'a [SamplingMessage], names: &'a Names) -> Result<Vec<Message<'a>>, Error> {
    let mut list = Vec::with_capacity(messages.len());
    for (i, message) in messages.iter().enumerate() {
        let content = blocks(i, message, names)?;
        match (message.role, content.is_empty()) {
            (Role::User, false) => list.push(Message { role: "user", content }),
            (Role::Assistant, false) => list.push(Message { role: "assistant", content }),
            // An answer can be empty (all its tokens went into thinking), and comes back so; the API refuses it.
            (Role::Assistant, true) => {}
            (Role::User, true) => {
                return Err(error::invalid_request(format!(
                    "`messages[{i}]` holds no text but white space, and Anthropic refuses an empty message"
                )));
            }
        }
    }
    match list.last_mut() {
        None => Err(error::invalid_request("every message is empty, and Anthropic needs one that isn't")),
        Some(message) => {
            trim_prefill(message);
            Ok(list)
        }
    }
}

/// The blocks of a message. Blank texts are left out, for the API refuses them; so is thinking that no block follows.
fn blocks<'a>(i: usize, message: &'a SamplingMessage, names: &'a Names) -> Result<Vec<Content<'a>>, Error> {
    let mut list = Vec::with_capacity(message.content.len());
    for (n, block) in message.content.iter().enumerate() {
        let place = format!("messages[{i}].content[{n}]");
        if message.role == Role::Assistant {
            list.extend(content::hidden(&place, block)?.into_iter().map(Content::Hidden));
        }
        list.extend(content::block(&place, block, names)?.map(Content::Block));
    }
    while matches!(list.last(), Some(Content::Hidden(_))) {
        list.pop();
    }
    Ok(list)
}

/// Whether the conversation ends within a turn of the model's, in tool results or in the beginning of an answer, that thinking
/// doesn't precede ("a final `assistant` message must start with a thinking block").
fn begun_without_thinking(messages: &[Message<'_>]) -> bool {
    let within = messages.last().is_some_and(|last| {
        let results = |content: &Content| matches!(content, Content::Block(Block::ToolResult { .. }));
        last.role == "assistant" || last.content.iter().any(results)
    });
    let turn = messages.iter().rev().find(|message| message.role == "assistant");
    within && turn.is_some_and(|turn| !matches!(turn.content.first(), Some(Content::Hidden(_))))
}

/// An answer begun by the server must not end in white space ("final assistant content cannot end with trailing
/// whitespace").
fn trim_prefill(message: &mut Message<'_>) {
    if let ("assistant", Some(Content::Block(Block::Text { text }))) = (message.role, message.content.last_mut()) {
        match text {
            Cow::Borrowed(text) => *text = text.trim_end(),
            Cow::Owned(text) => text.truncate(text.trim_end().len()),
        }
    }
}
