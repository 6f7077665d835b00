//! Tools: what both APIs want said of them.

use understudy_plugin::names::Rule;
use understudy_plugin::schema;
use understudy_plugin::types::{CreateMessageRequest, Tool};

use crate::models::Facts;

/// OpenAI: "Must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64"
/// (`types/shared_params/function_definition.py`). MCP also allows dots, and 128 characters.
pub(crate) const NAMES: Rule = Rule { begins: is_name_character, holds: is_name_character, longest: 64 };

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
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

/// What a schema may hold. OpenAI refuses the whole request for one that holds more (openai/openai-agents-python#449,
/// digitalocean-labs/mcp-digitalocean#265, langchain-ai/langchain#39271), and so do servers that keep to its rules.
pub(crate) fn schemas(facts: &Facts) -> schema::Rule {
    schema::Rule {
        needs_properties: true,
        needs_items: true,
        is_plain_at_top: true,
        is_modern: true,
        inlines: false,
        properties: facts.has_plain_properties.then_some(PROPERTIES),
    }
}

/// Anthropic's (anthropics/claude-code#34771).
const PROPERTIES: Rule = Rule { begins: |_| true, holds: is_property_character, longest: 64 };

fn is_property_character(c: char) -> bool {
    is_name_character(c) || c == '.'
}
