//! The body: parameters and tools.

use std::borrow::Cow;

use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses_of;
use understudy_plugin::names::{Names, Rule};
use understudy_plugin::types::{self, CreateMessageRequest, Error, Fetch, Framing};
use understudy_plugin::{error, http, prefill, schema, state, stops, stream};

use crate::models::Profile;
use crate::settings::Settings;
use crate::wire::{
    Content, FunctionCallingConfig, FunctionDeclaration, GenerationConfig, Part, Request, Tool, ToolConfig,
};
use crate::{State, contents, models};

/// "The set of character sequences (up to 5) that will stop output generation" (Google's docs, `GenerationConfig`).
const MOST_STOP_SEQUENCES: usize = 5;

/// "Must start with a letter or an underscore. Must be a-z, A-Z, 0-9, or contain underscores, dots, colons and dashes, with a
/// maximum length of 128" (`types.py`, `FunctionDeclaration`).
const NAMES: Rule = Rule {
    begins: |c| c.is_ascii_alphabetic() || c == '_',
    holds: |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-'),
    longest: 128,
};

pub(crate) fn fetch(request: &CreateMessageRequest, model: &str, settings: &Settings) -> Result<Fetch, Error> {
    let model = models::own_name(model);
    if model.is_empty() {
        return Err(error::invalid_request("no model is chosen; name one in the plugin's `model`"));
    }
    let profile = Profile::of(model, &settings.profile);
    let stops = stops::split(request, MOST_STOP_SEQUENCES, |_| true);
    let state = State {
        model: model.to_owned(),
        names: Names::of(request, &NAMES),
        tools: request.tools.as_ref().is_some_and(|tools| !tools.is_empty()),
        calls: tool_uses_of(request).count(),
        stops: stops.cut,
        beginning: if profile.prefill { None } else { prefill::beginning(request) },
    };
    let body = body(request, &state, settings, &profile, stops.sent)?;
    let streaming_path = settings.streaming_path(request, model)?;
    let framing = if streaming_path.is_some() { Framing::ServerSentEvents } else { Framing::Whole };
    let path = streaming_path.unwrap_or_else(|| settings.path(model));
    let mut fetch = http::post_json(path, &body, Vec::new())?;
    fetch.state = state::to_bytes(&state)?;
    Ok(stream::streamed(fetch, framing))
}

fn body<'a>(
    request: &'a CreateMessageRequest,
    state: &'a State,
    settings: &'a Settings,
    profile: &Profile,
    stop_sequences: Vec<&'a str>,
) -> Result<Request<'a>, Error> {
    let contents = contents::convert(request, state, profile)?;
    if contents.is_empty() {
        return Err(error::invalid_request(
            "the messages say nothing, and the Gemini API refuses a request without text",
        ));
    }
    let system = request.system_prompt.as_deref().filter(|prompt| !prompt.is_empty());
    Ok(Request {
        system_instruction: system.map(|prompt| Content { role: None, parts: vec![Part::text(prompt)] }),
        contents,
        tools: tools(request, state)?,
        tool_config: tool_config(request, state)?,
        generation_config: GenerationConfig {
            max_output_tokens: request.max_tokens.min(profile.most_tokens.unwrap_or(u32::MAX)),
            temperature: request.temperature,
            stop_sequences,
            top_p: settings.top_p,
            top_k: settings.top_k,
            seed: settings.seed,
            thinking_config: settings.thinking(profile),
            extra: &settings.generation_config,
        },
        safety_settings: settings.safety_settings.as_deref(),
        labels: settings.labels(request.metadata.as_deref()),
        extra: &settings.extra,
    })
}

/// Google takes any JSON Schema, but understands 2020-12's: of older drafts it would overlook `exclusiveMinimum: true`.
const SCHEMAS: schema::Rule = schema::Rule { is_modern: true, ..schema::Rule::ANY };

fn tools<'a>(request: &'a CreateMessageRequest, state: &'a State) -> Result<Option<[Tool<'a>; 1]>, Error> {
    let tools = request.tools.as_deref().unwrap_or_default();
    let declaration = |(tool, schema): (&'a types::Tool, Cow<'a, RawValue>)| FunctionDeclaration {
        name: state.names.on_the_wire(&tool.name),
        description: tool.description.as_deref().or(tool.title.as_deref()),
        parameters_json_schema: schema,
    };
    let function_declarations: Vec<_> =
        tools.iter().zip(schema::fit(tools, &SCHEMAS)?.schemas).map(declaration).collect();
    Ok((!function_declarations.is_empty()).then_some([Tool { function_declarations }]))
}

fn tool_config(request: &CreateMessageRequest, state: &State) -> Result<Option<ToolConfig>, Error> {
    let Some(mode) = request.tool_choice.as_ref().and_then(|choice| choice.mode.as_deref()).filter(|_| state.tools)
    else {
        return Ok(None);
    };
    let mode = match mode {
        "auto" => "AUTO",
        "required" => "ANY",
        "none" => "NONE",
        _ => return Err(error::unsupported(format!("`toolChoice.mode`: `{mode}` is none of auto, required and none"))),
    };
    Ok(Some(ToolConfig { function_calling_config: FunctionCallingConfig { mode } }))
}
