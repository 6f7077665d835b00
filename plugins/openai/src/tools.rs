//! Tools: what both APIs want said of them.

use serde_json::value::RawValue;
use understudy_plugin::error;
use understudy_plugin::names::{Names, Rule};
use understudy_plugin::types::{CreateMessageRequest, Error, Tool};

/// OpenAI: "Must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64"
/// (`types/shared_params/function_definition.py`). MCP also allows dots, and 128 characters.
const NAMES: Rule = Rule { begins: is_name_character, holds: is_name_character, longest: 64 };

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

pub(crate) fn names(request: &CreateMessageRequest) -> Names {
    Names::of(request, &NAMES)
}

pub(crate) fn are_offered(request: &CreateMessageRequest) -> bool {
    request.tools.as_ref().is_some_and(|tools| !tools.is_empty())
}

/// How they may be used: `tool_choice` is refused where there are none.
pub(crate) fn choice(request: &CreateMessageRequest) -> Option<&str> {
    request.tool_choice.as_ref().and_then(|choice| choice.mode.as_deref()).filter(|_| are_offered(request))
}

pub(crate) fn description(tool: &Tool) -> Option<&str> {
    tool.description.as_deref().or(tool.title.as_deref())
}

pub(crate) fn parameters(tool: &Tool) -> Result<&RawValue, Error> {
    serde_json::from_str(&tool.input_schema)
        .map_err(|e| error::invalid_request(format!("the `inputSchema` of the tool `{}` is not JSON: {e}", tool.name)))
}
