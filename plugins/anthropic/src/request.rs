//! From MCP's request to Anthropic's.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses_of;
use understudy_plugin::forced::instruction;
use understudy_plugin::ids::{self, Ids};
use understudy_plugin::names::{Names, Rule};
use understudy_plugin::prefill::{self, GO_ON};
use understudy_plugin::schema::{self, Fitted};
use understudy_plugin::stream::{by_default, streamed};
use understudy_plugin::text::join;
use understudy_plugin::types::{CreateMessageRequest, Error, Fetch, Framing, Options, Role, SamplingMessage, Tool};
use understudy_plugin::{error, http, state, stops};

use crate::State;
use crate::again::First;
use crate::binding::Digest;
use crate::content::{self, Mapped};
use crate::models::Profile;
use crate::settings::{Settings, Thinking};
use crate::wire::{
    Block, Content, Message, Metadata, OutputConfig, Request, Tool as WireTool, ToolChoice, is_thinking,
};

/// Tool names are 1 to 128 letters, digits, `_` and `-`; MCP's hold dots and slashes besides.
const NAMES: Rule = Rule { begins: is_name_character, holds: is_name_character, longest: 128 };

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// Combinators at the top, forms of older drafts and other names of properties are refused ("`input_schema` does not support oneOf,
/// allOf, or anyOf at the top level"; "JSON schema is invalid. It must match JSON Schema draft 2020-12"; "Property keys should
/// match pattern '^[a-zA-Z0-9_.-]{1,64}$'").
const SCHEMAS: schema::Rule = schema::Rule {
    is_plain_at_top: true,
    is_modern: true,
    properties: Some(Rule { begins: is_property_character, holds: is_property_character, longest: 64 }),
    ..schema::Rule::ANY
};

fn is_property_character(c: char) -> bool {
    is_name_character(c) || c == '.'
}

/// The exchange that asks for the answer.
pub(crate) fn fetch(request: &CreateMessageRequest, options: &Options) -> Result<Fetch, Error> {
    if options.model.is_empty() {
        return Err(error::invalid_request("no model is named: set the plugin's `model`, such as `claude-sonnet-4-6`"));
    }
    let settings = Settings::parse(&options.settings)?;
    let profile = Profile::of(&options.model, &settings.profile);
    // "each stop sequence must contain non-whitespace"
    let stops = stops::split(request, usize::MAX, |stop| !is_blank(stop));
    let offered = request.tools.as_deref().unwrap_or_default();
    let names = Names::of(request, &NAMES);
    let ids = Ids::of(request, &ids::Rule::WORD);
    let Fitted { schemas, shapes } = schema::fit(offered, &SCHEMAS)?;
    let (tools, mut tool_choice) = tools(request, offered, schemas, &names)?;
    let forces_tool = tool_choice.as_ref().is_some_and(|choice| choice.kind == "any");
    let must_call = forces_tool && !profile.forced_tools;
    let mut system = request.system_prompt.as_deref().filter(|prompt| !is_blank(prompt)).map(Cow::Borrowed);
    if must_call {
        tool_choice = Some(ToolChoice { kind: "auto" });
        let tools: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
        let instruction = Cow::Owned(instruction(&tools));
        system = Some(join(system.into_iter().chain([instruction]).collect(), "\n\n"));
    }
    let prefix = profile.binds.then(|| settings.prefix(system.as_deref(), &tools)).transpose()?;
    let mapped = Mapped { names: &names, ids: &ids, shapes: &shapes };
    let mut messages = Messages { list: Vec::new(), model: &options.model, mapped, prefix };
    messages.add_all(&request.messages)?;
    let beginning = if profile.prefill { None } else { prefill::beginning(request) };
    if !profile.prefill && messages.list.last().is_some_and(|message| message.role == "assistant") {
        messages.add("user", vec![Content::Block(Block::text(GO_ON))])?;
    }
    let max_tokens = request.max_tokens.min(profile.most_tokens);
    let thinking = settings.thinking_for(
        &profile,
        max_tokens,
        forces_tool && !must_call,
        begun_without_thinking(&messages.list),
    )?;
    let streams = settings.stream.unwrap_or_else(|| by_default(request));
    let thinking_goes_back = messages.list.iter().any(Message::thinks);
    let prefix = messages.prefix;
    let body = Request {
        model: &options.model,
        max_tokens,
        system,
        messages: messages.list,
        tools,
        tool_choice,
        temperature: temperature(request.temperature, &thinking, &settings, &profile)?,
        top_p: settings.top_p.filter(|_| profile.sampling),
        // "`top_k` must be unset when thinking is enabled or in adaptive mode."
        top_k: settings.top_k.filter(|_| profile.sampling && !thinking.is_on()),
        stop_sequences: stops.sent,
        thinking: thinking.sent,
        output_config: thinking.effort.map(|effort| OutputConfig { effort }),
        metadata: request.metadata.as_deref().and_then(metadata),
        service_tier: settings.service_tier.as_deref(),
        stream: streams,
        extra: &settings.extra,
    };
    let mut fetch = post(&body, streams)?;
    let first = if thinking_goes_back || must_call {
        Some(First::keep(&fetch.request.body, streams, thinking_goes_back)?)
    } else {
        None
    };
    fetch.state = state::to_bytes(&State {
        model: options.model.clone(),
        tools: offered.iter().map(|tool| tool.name.clone()).collect(),
        names,
        shapes,
        stops: stops.cut,
        beginning,
        prefix,
        must_call,
        first,
        spent: None,
    })?;
    Ok(fetch)
}

/// The exchange of a body. Its state is still to be put in.
pub(crate) fn post(body: &impl Serialize, streams: bool) -> Result<Fetch, Error> {
    let mut fetch = http::post_json("/v1/messages", body, Vec::new())?;
    fetch.request.headers.push(http::header("anthropic-version", "2023-06-01"));
    Ok(if streams { streamed(fetch, Framing::ServerSentEvents) } else { fetch })
}

/// The one field that there is a place for, unless it is longer than the API takes ("at most 256 characters").
fn metadata(metadata: &str) -> Option<Metadata<'_>> {
    let read: Metadata = serde_json::from_str(metadata).ok()?;
    (read.user_id.chars().count() <= 256).then_some(read)
}

/// Whether the API would refuse this as a text: "text content blocks must contain non-whitespace text".
pub(crate) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// MCP leaves the range open and Anthropic's ends at 1: more is taken as 1, the most random there is. It is left out where
/// the API refuses it whatever its value: of newer models, while thinking ("Extended thinking"), and together with `top_p`.
fn temperature(
    asked: Option<f64>,
    thinking: &Thinking,
    settings: &Settings,
    profile: &Profile,
) -> Result<Option<f64>, Error> {
    let Some(temperature) = asked else { return Ok(None) };
    if temperature < 0.0 {
        return Err(error::invalid_request(format!("`temperature` is {temperature}: Anthropic's lowest is 0")));
    }
    let taken = !thinking.is_on() && settings.top_p.is_none() && profile.sampling;
    Ok(taken.then_some(temperature.min(1.0)))
}

/// The tools, and how they may be used.
///
/// A conversation that holds tool uses needs `tools` ("Requests which include `tool_use` or `tool_result` blocks must define
/// tools"), and MCP's last round often has none: then those that were used are named again, not to be used.
fn tools<'a>(
    request: &'a CreateMessageRequest,
    offered: &'a [Tool],
    schemas: Vec<Cow<'a, RawValue>>,
    names: &'a Names,
) -> Result<(Vec<WireTool<'a>>, Option<ToolChoice>), Error> {
    if offered.is_empty() {
        let schema: &RawValue = content::json("a schema", r#"{"type":"object"}"#)?;
        let used: BTreeSet<&str> = tool_uses_of(request).map(|tool_use| names.on_the_wire(&tool_use.name)).collect();
        let tool = |name| WireTool { name, description: None, input_schema: Cow::Borrowed(schema) };
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
    let tool = |(tool, input_schema): (&'a Tool, Cow<'a, RawValue>)| WireTool {
        name: names.on_the_wire(&tool.name),
        description: tool.description.as_deref().or(tool.title.as_deref()),
        input_schema,
    };
    let tools = offered.iter().zip(schemas).map(tool).collect();
    Ok((tools, kind.map(|kind| ToolChoice { kind })))
}

/// The conversation, as far as it has been converted.
struct Messages<'a> {
    list: Vec<Message<'a>>,
    /// The model that is asked.
    model: &'a str,
    mapped: Mapped<'a>,
    /// The digest of all that stands before the next message, for a model that binds its thinking to that.
    prefix: Option<Digest>,
}

impl<'a> Messages<'a> {
    fn add_all(&mut self, messages: &'a [SamplingMessage]) -> Result<(), Error> {
        for (i, message) in messages.iter().enumerate() {
            let mut content = self.content(i, message)?;
            if i + 1 == messages.len() && message.role == Role::Assistant {
                trim_prefill(&mut content);
            }
            match (message.role, content.is_empty()) {
                (Role::User, false) => self.add("user", content)?,
                (Role::Assistant, false) => self.add("assistant", content)?,
                // An answer can be empty (all its tokens went into thinking), and comes back so; the API refuses it.
                (Role::Assistant, true) => {}
                (Role::User, true) => {
                    return Err(error::invalid_request(format!(
                        "`messages[{i}]` holds no text but white space, and Anthropic refuses an empty message"
                    )));
                }
            }
        }
        if self.list.is_empty() {
            return Err(error::invalid_request("every message is empty, and Anthropic needs one that isn't"));
        }
        Ok(())
    }

    fn add(&mut self, role: &'static str, content: Vec<Content<'a>>) -> Result<(), Error> {
        if let Some(prefix) = self.prefix {
            self.prefix = Some(content.iter().try_fold(prefix.and(role)?, Digest::and)?);
        }
        self.list.push(Message { role, content });
        Ok(())
    }

    /// The blocks of a message. Blank texts are left out, for the API refuses them; so is thinking that no block follows,
    /// that another model thought, or that is bound to something else than what is sent before it.
    fn content(&self, i: usize, message: &'a SamplingMessage) -> Result<Vec<Content<'a>>, Error> {
        let mut list = Vec::with_capacity(message.content.len());
        let mut kept = 0;
        let mut prefix = match self.prefix {
            Some(prefix) if message.role == Role::Assistant => Some(prefix.and("assistant")?),
            _ => None,
        };
        for (n, block) in message.content.iter().enumerate() {
            let from = list.len();
            if message.role == Role::Assistant
                && let Some(hidden) = content::hidden(block).filter(|hidden| hidden.model == self.model)
            {
                let is_bound = prefix.is_none_or(|prefix| hidden.prefix.as_deref() == Some(&*prefix.in_words()));
                let back = hidden.blocks.into_iter().filter(|raw| is_bound || !is_thinking(raw));
                list.extend(back.map(Content::Hidden));
            }
            let place = format!("messages[{i}].content[{n}]");
            if let Some(block) = content::block(&place, i, message.role, block, self.mapped)? {
                list.push(Content::Block(block));
                kept = list.len();
            }
            if let Some(before) = prefix {
                prefix = Some(list.iter().skip(from).try_fold(before, Digest::and)?);
            }
        }
        list.truncate(kept);
        Ok(list)
    }
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
fn trim_prefill(content: &mut [Content<'_>]) {
    if let Some(Content::Block(Block::Text { text })) = content.last_mut() {
        match text {
            Cow::Borrowed(text) => *text = text.trim_end(),
            Cow::Owned(text) => text.truncate(text.trim_end().len()),
        }
    }
}
