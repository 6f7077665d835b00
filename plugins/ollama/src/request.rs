//! The body: parameters and tools.

use std::borrow::Cow;

use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses_of;
use understudy_plugin::types::{self, CreateMessageRequest, Error, Fetch, Framing};
use understudy_plugin::{error, http, schema, state, stops, stream};

use crate::forced::Forced;
use crate::settings::Settings;
use crate::wire::{Function, Options, Request, Tool};
use crate::{State, messages};

pub(crate) fn fetch(request: &CreateMessageRequest, model: &str, settings: &Settings) -> Result<Fetch, Error> {
    if model.is_empty() {
        return Err(error::invalid_request(
            "no model is chosen; name one that `ollama list` shows in the plugin's `model`",
        ));
    }
    let (tools, forced) = tools(request)?;
    let streams = settings.stream.unwrap_or_else(|| stream::by_default(request));
    let body = Request {
        model,
        messages: messages::convert(request, model, forced.as_ref().map(|forced| forced.instructions.as_str()))?,
        tools,
        stream: streams,
        options: Options {
            num_predict: request.max_tokens,
            temperature: request.temperature,
            stop: stops::split(request, usize::MAX, |_| true).sent,
            num_ctx: settings.num_ctx,
            extra: &settings.options,
        },
        think: settings.think(model),
        format: forced.as_ref().map(|forced| &*forced.format).or(settings.format.as_deref()),
        keep_alive: settings.keep_alive.as_ref(),
        truncate: settings.truncate,
        extra: &settings.extra,
    };
    let mut fetch = http::post_json("/api/chat", &body, Vec::new())?;
    let state = State {
        model: model.to_owned(),
        tools: !body.tools.is_empty() || forced.is_some(),
        forced: forced.as_ref().map(|forced| forced.names.clone()),
        calls: tool_uses_of(request).count(),
    };
    fetch.state = state::to_bytes(&state)?;
    Ok(stream::streamed(fetch, if streams { Framing::Lines } else { Framing::Whole }))
}

/// The tools that the model may use, or those of which it must use one. The API has no field for the choice.
fn tools(request: &CreateMessageRequest) -> Result<(Vec<Tool<'_>>, Option<Forced>), Error> {
    let tools = request.tools.as_deref().unwrap_or_default();
    match request.tool_choice.as_ref().and_then(|choice| choice.mode.as_deref()) {
        None | Some("auto") => {
            let schemas = schema::fit(tools, &SCHEMAS)?.schemas;
            Ok((tools.iter().zip(schemas).map(tool).collect(), None))
        }
        Some("none") => Ok((Vec::new(), None)),
        Some("required") => Ok((Vec::new(), Some(Forced::among(tools)?))),
        Some(mode) => {
            Err(error::unsupported(format!("`toolChoice.mode`: `{mode}` is none of auto, required and none")))
        }
    }
}

/// The server reads schemas into types of its own (`api/types.go`, `ToolProperty`), and refuses what they have no place for, such as a
/// property that is `true`.
const SCHEMAS: schema::Rule = schema::Rule { is_modern: true, ..schema::Rule::ANY };

fn tool<'a>((tool, parameters): (&'a types::Tool, Cow<'a, RawValue>)) -> Tool<'a> {
    let description = tool.description.as_deref().or(tool.title.as_deref());
    Tool { kind: "function", function: Function { name: &tool.name, description, parameters } }
}
