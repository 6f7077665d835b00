//! `CreateMessageRequestParams`, every revision's fields together.

use serde::de::{Deserialize, Deserializer, Error};

use crate::content::{Block, Extras, Text, is_object, size_of_json, size_of_text};
use crate::object::{Json, Numbered, OneOrMany, Whole, object};
use crate::surrogates;

/// Why a text is not a sampling request, or not the result of one.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct ParseError {
    reason: String,
}

impl ParseError {
    pub(crate) fn of(error: &serde_json::Error) -> Self {
        Self { reason: without_position(error) }
    }

    pub(crate) fn missing(field: &str) -> Self {
        Self { reason: format!("`{field}` is missing") }
    }
}

/// MCP's `CreateMessageRequestParams`.
#[derive(Debug, Clone)]
pub struct CreateMessageRequestParams {
    /// `messages`
    pub messages: Vec<Message>,
    /// `maxTokens`
    pub max_tokens: i128,
    /// `modelPreferences`
    pub model_preferences: Option<ModelPreferences>,
    /// `systemPrompt`
    pub system_prompt: Option<String>,
    /// `includeContext`, whatever it says
    pub include_context: Option<String>,
    /// `temperature`
    pub temperature: Option<f64>,
    /// `stopSequences`
    pub stop_sequences: Vec<String>,
    /// `metadata`
    pub metadata: Option<Json>,
    /// `tools`
    pub tools: Option<Vec<Tool>>,
    /// `toolChoice`
    pub tool_choice: Option<ToolChoice>,
    /// `_meta`
    pub meta: Option<Json>,
    /// Fields that are none of these (`task` among them), as one object.
    pub extensions: Option<Json>,
}

/// MCP's `Role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `user`
    User,
    /// `assistant`
    Assistant,
}

/// MCP's `SamplingMessage`.
#[derive(Debug, Clone)]
pub struct Message {
    /// `role`
    pub role: Role,
    /// `content`, one block or many
    pub content: Vec<Block>,
    /// `_meta`
    pub meta: Option<Json>,
    /// Unknown fields, as one object.
    pub extensions: Option<Json>,
}

/// MCP's `Tool`.
#[derive(Debug, Clone)]
pub struct Tool {
    /// `name`
    pub name: String,
    /// `title`
    pub title: Option<String>,
    /// `description`
    pub description: Option<String>,
    /// `inputSchema`
    pub input_schema: Json,
    /// `outputSchema`
    pub output_schema: Option<Json>,
    /// `_meta`, annotations and the like.
    pub extras: Extras,
}

/// MCP's `ToolChoice`.
#[derive(Debug, Clone)]
pub struct ToolChoice {
    /// `mode`
    pub mode: Option<String>,
    /// Unknown fields, as one object.
    pub extensions: Option<Json>,
}

/// MCP's `ModelPreferences`.
#[derive(Debug, Clone)]
pub struct ModelPreferences {
    /// `hints`
    pub hints: Vec<ModelHint>,
    /// `costPriority`
    pub cost_priority: Option<f64>,
    /// `speedPriority`
    pub speed_priority: Option<f64>,
    /// `intelligencePriority`
    pub intelligence_priority: Option<f64>,
    /// Unknown fields, as one object.
    pub extensions: Option<Json>,
}

/// MCP's `ModelHint`.
#[derive(Debug, Clone)]
pub struct ModelHint {
    /// `name`
    pub name: Option<String>,
    /// Unknown fields, as one object.
    pub extensions: Option<Json>,
}

object! {
    struct AnyParams {
        "messages" => messages: Numbered<Message>,
        "maxTokens" => max_tokens: Whole,
        "modelPreferences" => model_preferences: AnyPreferences,
        "systemPrompt" => system_prompt: String,
        "includeContext" => include_context: String,
        "temperature" => temperature: f64,
        "stopSequences" => stop_sequences: Vec<String>,
        "metadata" => metadata: Json,
        "tools" => tools: Numbered<Tool>,
        "toolChoice" => tool_choice: AnyToolChoice,
        "_meta" => meta: Json,
    }
}

object! {
    struct AnyMessage {
        "role" => role: String,
        "content" => content: OneOrMany<Block>,
        "_meta" => meta: Json,
    }
}

object! {
    struct AnyTool {
        "name" => name: String,
        "title" => title: String,
        "description" => description: String,
        "inputSchema" => input_schema: Json,
        "outputSchema" => output_schema: Json,
        "annotations" => annotations: Json,
        "_meta" => meta: Json,
    }
}

object! {
    struct AnyToolChoice {
        "mode" => mode: String,
    }
}

object! {
    struct AnyPreferences {
        "hints" => hints: Numbered<AnyHint>,
        "costPriority" => cost_priority: f64,
        "speedPriority" => speed_priority: f64,
        "intelligencePriority" => intelligence_priority: f64,
    }
}

object! {
    struct AnyHint {
        "name" => name: String,
    }
}

impl CreateMessageRequestParams {
    /// A request with one message of the user's.
    #[must_use]
    pub fn user(text: impl Into<String>, max_tokens: u32) -> Self {
        let text = Block::Text(Text { text: text.into(), extras: Extras::default() });
        let message = Message { role: Role::User, content: vec![text], meta: None, extensions: None };
        Self {
            messages: vec![message],
            max_tokens: max_tokens.into(),
            model_preferences: None,
            system_prompt: None,
            include_context: None,
            temperature: None,
            stop_sequences: Vec::new(),
            metadata: None,
            tools: None,
            tool_choice: None,
            meta: None,
            extensions: None,
        }
    }

    /// The size of its texts, media and JSON values, in bytes: a little less than its JSON has.
    #[must_use]
    pub fn size(&self) -> usize {
        let messages = self.messages.iter().map(|message| {
            let blocks: usize = message.content.iter().map(Block::size).sum();
            blocks + size_of_json([&message.meta, &message.extensions])
        });
        let tools = self.tools.iter().flatten().map(|tool| {
            let texts = tool.name.len() + size_of_text([&tool.title, &tool.description]);
            texts + tool.input_schema.get().len() + size_of_json([&tool.output_schema]) + tool.extras.size()
        });
        messages.sum::<usize>()
            + tools.sum::<usize>()
            + size_of_text([&self.system_prompt, &self.include_context])
            + self.stop_sequences.iter().map(String::len).sum::<usize>()
            + size_of_json([&self.metadata, &self.meta, &self.extensions])
    }

    /// Reads the `params` of a `sampling/createMessage`, of any revision.
    ///
    /// # Errors
    /// What is missing or of the wrong type, with its path (`messages: [2]: content: …`).
    pub fn from_json(text: &[u8]) -> Result<Self, ParseError> {
        // Half an emoji would be refused in a text, and passed on to the provider, which refuses it, in a schema or an input.
        let mended = std::str::from_utf8(text).map(surrogates::mended);
        let text = mended.as_ref().map_or(text, |mended| mended.as_bytes());
        let params: AnyParams = serde_json::from_slice(text).map_err(|e| ParseError::of(&e))?;
        let missing = ParseError::missing;
        Ok(Self {
            messages: params.messages.ok_or_else(|| missing("messages"))?.0,
            max_tokens: params.max_tokens.ok_or_else(|| missing("maxTokens"))?.0,
            model_preferences: params.model_preferences.map(Into::into),
            system_prompt: params.system_prompt,
            include_context: params.include_context,
            temperature: params.temperature,
            stop_sequences: params.stop_sequences.unwrap_or_default(),
            metadata: params.metadata,
            tools: params.tools.map(|Numbered(tools)| tools),
            tool_choice: params.tool_choice.map(|choice| ToolChoice { mode: choice.mode, extensions: choice.unknown }),
            meta: params.meta,
            extensions: params.unknown,
        })
    }
}

/// The error without the `at line 1 column 234`, which means nothing to the reader of a JSON-RPC error.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) if !error.is_syntax() && !error.is_eof() => text.get(..end).unwrap_or(&text).to_owned(),
        _ => text,
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let message = AnyMessage::deserialize(deserializer)?;
        let role = match message.role.as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some(other) => {
                return Err(D::Error::custom(format_args!("`role`: `{other}` is neither `user` nor `assistant`")));
            }
            None => return Err(D::Error::custom("a message needs `role`")),
        };
        let content = message.content.ok_or_else(|| D::Error::custom("a message needs `content`"))?;
        Ok(Self { role, content: content.items, meta: message.meta, extensions: message.unknown })
    }
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tool = AnyTool::deserialize(deserializer)?;
        Ok(Self {
            name: tool.name.ok_or_else(|| D::Error::custom("a tool needs `name`"))?,
            title: tool.title,
            description: tool.description,
            input_schema: tool
                .input_schema
                .filter(is_object)
                .ok_or_else(|| D::Error::custom("a tool needs `inputSchema`, an object"))?,
            output_schema: tool.output_schema,
            extras: Extras { meta: tool.meta, annotations: tool.annotations, extensions: tool.unknown },
        })
    }
}

impl From<AnyPreferences> for ModelPreferences {
    fn from(preferences: AnyPreferences) -> Self {
        let hints = preferences.hints.map(|Numbered(hints)| hints).unwrap_or_default();
        Self {
            hints: hints.into_iter().map(|hint| ModelHint { name: hint.name, extensions: hint.unknown }).collect(),
            cost_priority: preferences.cost_priority,
            speed_priority: preferences.speed_priority,
            intelligence_priority: preferences.intelligence_priority,
            extensions: preferences.unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CreateMessageRequestParams, String> {
        CreateMessageRequestParams::from_json(text.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn content_is_one_block_or_many() {
        let params = parse(
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"a"}},
                {"role":"user","content":[{"type":"text","text":"b"},{"data":"AA==","mimeType":"image/png","type":"image"}]}],"maxTokens":1}"#,
        )
        .unwrap();
        assert_eq!(params.messages[0].content.len(), 1);
        assert_eq!(params.messages[1].content.len(), 2);
    }

    #[test]
    fn whole_floats_are_whole_numbers() {
        assert_eq!(parse(r#"{"messages":[],"maxTokens":100.0}"#).unwrap().max_tokens, 100);
        assert_eq!(parse(r#"{"messages":[],"maxTokens":1e3}"#).unwrap().max_tokens, 1000);
        assert_eq!(
            parse(r#"{"messages":[],"maxTokens":1.5}"#).unwrap_err(),
            "`maxTokens`: `1.5` is not a whole number"
        );
    }

    #[test]
    fn unknown_fields_are_kept_as_they_are_spelt() {
        let params = parse(
            r#"{"messages":[{"role":"user","x":1.0,"content":{"type":"text","text":"a","y":{"z": 9007199254740993}}}],"maxTokens":1,
                "task":{"ttl":100.0},"new":null}"#,
        )
        .unwrap();
        assert_eq!(params.extensions.unwrap().get(), r#"{"task":{"ttl":100.0},"new":null}"#);
        assert_eq!(params.messages[0].extensions.as_ref().unwrap().get(), r#"{"x":1.0}"#);
        let Block::Text(text) = &params.messages[0].content[0] else { panic!() };
        assert_eq!(text.extras.extensions.as_ref().unwrap().get(), r#"{"y":{"z": 9007199254740993}}"#);
    }

    #[test]
    fn blocks_of_unknown_types_are_kept_whole() {
        let params = parse(
            r#"{"messages":[{"role":"user","content":[{"type":"video","data":"AA==","frames":[1,2]}]}],"maxTokens":1}"#,
        )
        .unwrap();
        let Block::Other(other) = &params.messages[0].content[0] else { panic!() };
        assert_eq!(other.block.get(), r#"{"type":"video","data":"AA==","frames":[1,2]}"#);
    }

    #[test]
    fn half_an_emoji_is_the_replacement_character_wherever_it_stands() {
        let params = parse(
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"party \ud83c"}},
                {"role":"assistant","content":{"type":"tool_use","id":"a","name":"t","input":{"q":"\udf89"}}}],"maxTokens":1,
                "systemPrompt":"\ud83d","tools":[{"name":"t","inputSchema":{"type":"object","description":"\ud83c\ud83c\udf89"}}]}"#,
        )
        .unwrap();
        let Block::Text(text) = &params.messages[0].content[0] else { panic!() };
        assert_eq!(text.text, "party \u{fffd}");
        let Block::ToolUse(tool_use) = &params.messages[1].content[0] else { panic!() };
        assert_eq!(tool_use.input.get(), "{\"q\":\"\u{fffd}\"}");
        assert_eq!(params.system_prompt.as_deref(), Some("\u{fffd}"));
        assert!(params.tools.unwrap()[0].input_schema.get().contains("\"\u{fffd}\\ud83c\\udf89\""));
    }

    #[test]
    fn a_size_is_that_of_the_texts_and_values() {
        let size = CreateMessageRequestParams::user("four", 1).size();
        assert_eq!(size, 4);
        let params = parse(
            r#"{"messages":[{"role":"user","content":[{"type":"image","data":"AAAA","mimeType":"image/png"},
                {"type":"tool_result","toolUseId":"ab","content":[{"type":"text","text":"xyz"}]}]}],"maxTokens":1,
                "systemPrompt":"be","tools":[{"name":"t","inputSchema":{}}]}"#,
        )
        .unwrap();
        assert_eq!(params.size(), 4 + 9 + 2 + 3 + 2 + 1 + 2);
    }

    #[test]
    fn errors_name_the_place() {
        let wrong = |text| parse(text).unwrap_err();
        assert_eq!(wrong(r#"{"maxTokens":1}"#), "`messages` is missing");
        assert_eq!(wrong(r#"{"messages":[]}"#), "`maxTokens` is missing");
        assert_eq!(
            wrong(
                r#"{"messages":[{"role":"user","content":{"type":"text","text":"a"}},{"role":"user","content":[{"type":"image","data":"AA=="}]}],"maxTokens":1}"#
            ),
            "`messages`: [1]: `content`: [0]: a `image` block needs `mimeType`"
        );
        assert_eq!(
            wrong(r#"{"messages":[{"role":"system","content":[]}],"maxTokens":1}"#),
            "`messages`: [0]: `role`: `system` is neither `user` nor `assistant`"
        );
    }
}
