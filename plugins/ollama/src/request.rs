//! The body: parameters and tools.

use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses_of;
use understudy_plugin::types::{self, CreateMessageRequest, Error, Fetch};
use understudy_plugin::{error, http, state};

use crate::settings::Settings;
use crate::wire::{Function, Options, Request, Tool};
use crate::{State, messages};

pub(crate) fn fetch(request: &CreateMessageRequest, model: &str, settings: &Settings) -> Result<Fetch, Error> {
    if model.is_empty() {
        return Err(error::invalid_request(
            "no model is chosen; name one that `ollama list` shows in the plugin's `model`",
        ));
    }
    let tools = tools(request)?;
    let state = State { model: model.to_owned(), tools: !tools.is_empty(), calls: tool_uses_of(request).count() };
    let body = Request {
        model,
        messages: messages::convert(request)?,
        tools,
        stream: false,
        options: Options {
            num_predict: request.max_tokens,
            temperature: request.temperature,
            stop: &request.stop_sequences,
            num_ctx: settings.num_ctx,
            extra: &settings.options,
        },
        think: settings.think(),
        format: settings.format.as_deref(),
        keep_alive: settings.keep_alive.as_ref(),
        truncate: settings.truncate,
        extra: &settings.extra,
    };
    http::post_json("/api/chat", &body, state::to_bytes(&state)?)
}

/// The tools that the model may use. The API has no field for the choice.
fn tools(request: &CreateMessageRequest) -> Result<Vec<Tool<'_>>, Error> {
    let tools = request.tools.as_deref().unwrap_or_default();
    match request.tool_choice.as_ref().and_then(|choice| choice.mode.as_deref()) {
        None | Some("auto") => {}
        Some("none") => return Ok(Vec::new()),
        Some(mode) => {
            return Err(error::unsupported(format!(
                "`toolChoice.mode`: `{mode}`; Ollama's API can offer tools, but not make a model use them"
            )));
        }
    }
    tools.iter().map(tool).collect()
}

fn tool(tool: &types::Tool) -> Result<Tool<'_>, Error> {
    let parameters: &RawValue = serde_json::from_str(&tool.input_schema).map_err(|e| {
        error::invalid_request(format!("the `inputSchema` of the tool `{}` is not JSON: {e}", tool.name))
    })?;
    let description = tool.description.as_deref().or(tool.title.as_deref());
    Ok(Tool { kind: "function", function: Function { name: &tool.name, description, parameters } })
}
