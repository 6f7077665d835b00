//! The rules that a request must meet (specification, "Sampling", "Message content and tool constraints").

use std::collections::HashSet;

use base64::engine::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::content::Block;
use crate::request::{CreateMessageRequestParams, Message, Role};

/// A broken rule, with the message that breaks it.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Invalid {
    reason: String,
}

fn invalid(reason: impl Into<String>) -> Invalid {
    Invalid { reason: reason.into() }
}

impl CreateMessageRequestParams {
    /// Checks every rule over the whole history.
    ///
    /// # Errors
    /// The first broken rule, naming the message (`messages[3]`) and the rule.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.messages.is_empty() {
            return Err(invalid("`messages` is empty: a completion needs at least one message"));
        }
        if self.max_tokens < 1 {
            return Err(invalid(format!("`maxTokens` is {}: it must be at least 1", self.max_tokens)));
        }
        self.check_numbers()?;
        self.check_tools()?;
        for (i, message) in self.messages.iter().enumerate() {
            check_blocks(i, message)?;
        }
        self.check_tool_turns()
    }

    fn check_numbers(&self) -> Result<(), Invalid> {
        if self.temperature.is_some_and(|t| !t.is_finite()) {
            return Err(invalid("`temperature` is not a finite number"));
        }
        let Some(preferences) = &self.model_preferences else { return Ok(()) };
        let priorities = [
            ("costPriority", preferences.cost_priority),
            ("speedPriority", preferences.speed_priority),
            ("intelligencePriority", preferences.intelligence_priority),
        ];
        for (name, priority) in priorities {
            if let Some(value) = priority
                && !(0.0..=1.0).contains(&value)
            {
                return Err(invalid(format!("`modelPreferences.{name}` is {value}: it must be between 0 and 1")));
            }
        }
        Ok(())
    }

    fn check_tools(&self) -> Result<(), Invalid> {
        let mut names = HashSet::new();
        for (i, tool) in self.tools.iter().flatten().enumerate() {
            if !names.insert(&tool.name) {
                return Err(invalid(format!("`tools[{i}]`: the name `{}` is used twice", tool.name)));
            }
        }
        match self.tool_choice.as_ref().and_then(|choice| choice.mode.as_deref()) {
            None | Some("auto" | "none") => Ok(()),
            Some("required") if !names.is_empty() => Ok(()),
            Some("required") => Err(invalid("`toolChoice.mode` is `required`, but `tools` offers none")),
            Some(mode) => {
                Err(invalid(format!("`toolChoice.mode` is `{mode}`: it must be `auto`, `required` or `none`")))
            }
        }
    }

    /// Every `tool_use` is answered at once, each by one `tool_result`, and there is no `tool_result` without its `tool_use`.
    fn check_tool_turns(&self) -> Result<(), Invalid> {
        let mut open: Vec<&str> = Vec::new();
        for (i, message) in self.messages.iter().enumerate() {
            let results: Vec<&str> = message
                .content
                .iter()
                .filter_map(|block| match block {
                    Block::ToolResult(result) => Some(result.tool_use_id.as_str()),
                    _ => None,
                })
                .collect();
            if let (Some(id), true) = (open.first(), results.is_empty()) {
                return Err(invalid(format!(
                    "`messages[{i}]`: the message before it holds the tool_use `{id}`, so it must be a user message made wholly of tool_results"
                )));
            }
            for (n, id) in results.iter().enumerate() {
                if results.iter().take(n).any(|other| other == id) {
                    return Err(invalid(format!("`messages[{i}]`: the tool_use `{id}` has two tool_results")));
                }
                if !open.contains(id) {
                    return Err(invalid(format!(
                        "`messages[{i}]`: the tool_result `{id}` answers no tool_use of the message before it"
                    )));
                }
            }
            if let Some(id) = open.iter().find(|id| !results.contains(id)) {
                return Err(invalid(format!("`messages[{i}]`: the tool_use `{id}` has no tool_result")));
            }
            open.clear();
            for block in &message.content {
                if let Block::ToolUse(tool_use) = block {
                    if open.contains(&tool_use.id.as_str()) {
                        return Err(invalid(format!("`messages[{i}]`: two tool_uses have the id `{}`", tool_use.id)));
                    }
                    open.push(&tool_use.id);
                }
            }
        }
        match open.first() {
            Some(id) => Err(invalid(format!(
                "`messages[{}]`: the tool_use `{id}` has no tool_result: a conversation can't end with it",
                self.messages.len() - 1
            ))),
            None => Ok(()),
        }
    }
}

fn check_blocks(i: usize, message: &Message) -> Result<(), Invalid> {
    let results = message.content.iter().filter(|block| matches!(block, Block::ToolResult(_))).count();
    for (n, block) in message.content.iter().enumerate() {
        let place = format!("messages[{i}].content[{n}]");
        match block {
            Block::ToolUse(_) if message.role != Role::Assistant => {
                return Err(invalid(format!("`{place}`: a tool_use must come from the assistant")));
            }
            Block::ToolResult(_) if message.role != Role::User => {
                return Err(invalid(format!("`{place}`: a tool_result must come from the user")));
            }
            Block::ToolResult(result) => {
                for (m, inner) in result.content.iter().enumerate() {
                    let place = format!("{place}.content[{m}]");
                    match inner {
                        Block::ToolUse(_) | Block::ToolResult(_) => {
                            return Err(invalid(format!(
                                "`{place}`: a tool_result can't hold a {}: only text, image, audio, resource_link and resource",
                                inner.kind()
                            )));
                        }
                        _ => check_base64(&place, inner)?,
                    }
                }
            }
            Block::ResourceLink(_) | Block::Resource(_) => {
                return Err(invalid(format!("`{place}`: a {} can stand inside a tool_result only", block.kind())));
            }
            _ => check_base64(&place, block)?,
        }
        if results > 0 && !matches!(block, Block::ToolResult(_)) {
            return Err(invalid(format!(
                "`{place}`: a user message with tool_results can hold nothing else, and this is a {}",
                block.kind()
            )));
        }
    }
    Ok(())
}

fn check_base64(place: &str, block: &Block) -> Result<(), Invalid> {
    let (field, data) = match block {
        Block::Image(media) | Block::Audio(media) => ("data", &media.data),
        Block::Resource(resource) => match &resource.contents {
            crate::content::ResourceContents::Blob(blob) => ("resource.blob", blob),
            crate::content::ResourceContents::Text(_) => return Ok(()),
        },
        _ => return Ok(()),
    };
    decodes(data).map_err(|e| invalid(format!("`{place}.{field}` is not base64: {e}{}", remedy(data))))
}

/// What to do about base64 of another kind.
fn remedy(data: &str) -> &'static str {
    if data.trim_start().starts_with("data:") {
        "; leave out the prefix `data:…;base64,`"
    } else if data.contains(['\n', '\r', ' ', '\t']) {
        "; write it without line breaks and spaces"
    } else if data.contains(['-', '_']) {
        "; write it in the standard alphabet, with `+` and `/` (not base64url)"
    } else if !data.len().is_multiple_of(4) {
        "; pad it with `=` to a multiple of four characters"
    } else {
        ""
    }
}

/// Whether base64 decodes, in pieces, so that a large image is not held twice.
fn decodes(data: &str) -> Result<(), base64::DecodeSliceError> {
    const PIECE: usize = 16 * 1024;
    let mut scratch = [0; PIECE / 4 * 3];
    let bytes = data.as_bytes();
    // Padding belongs into the last piece only, and that is what the decoder would say of a `=` anywhere else.
    for piece in bytes.chunks(PIECE) {
        let written = STANDARD.decode_slice(piece, &mut scratch)?;
        let last = piece.len() < PIECE || bytes.ends_with(piece);
        if !last && written < scratch.len() {
            return Err(base64::DecodeError::InvalidPadding.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(messages: &str) -> String {
        let text = format!(r#"{{"messages":{messages},"maxTokens":1}}"#);
        let params = CreateMessageRequestParams::from_json(text.as_bytes()).unwrap();
        params.validate().map_or_else(|e| e.to_string(), |()| "valid".to_owned())
    }

    const USE_A: &str = r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"t","input":{}}]}"#;
    const USE_AB: &str = r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"t","input":{}},{"type":"tool_use","id":"b","name":"t","input":{}}]}"#;
    const RESULT_A: &str = r#"{"role":"user","content":[{"type":"tool_result","toolUseId":"a","content":[]}]}"#;
    const TEXT: &str = r#"{"role":"user","content":{"type":"text","text":"hi"}}"#;

    #[test]
    fn a_tool_turn_that_is_whole_is_valid() {
        assert_eq!(check(&format!("[{TEXT},{USE_A},{RESULT_A}]")), "valid");
        assert_eq!(check(&format!("[{TEXT},{USE_A},{RESULT_A},{USE_A},{RESULT_A},{TEXT}]")), "valid");
    }

    #[test]
    fn a_tool_use_is_answered_at_once_and_wholly() {
        assert_eq!(
            check(&format!("[{USE_A},{TEXT},{RESULT_A}]")),
            "`messages[1]`: the message before it holds the tool_use `a`, so it must be a user message made wholly of tool_results"
        );
        assert_eq!(check(&format!("[{USE_AB},{RESULT_A}]")), "`messages[1]`: the tool_use `b` has no tool_result");
        assert_eq!(
            check(&format!("[{TEXT},{RESULT_A}]")),
            "`messages[1]`: the tool_result `a` answers no tool_use of the message before it"
        );
        assert_eq!(
            check(&format!("[{TEXT},{USE_A}]")),
            "`messages[1]`: the tool_use `a` has no tool_result: a conversation can't end with it"
        );
    }

    #[test]
    fn tool_results_stand_alone_and_come_from_the_user() {
        assert_eq!(
            check(&format!(
                r#"[{USE_A},{{"role":"user","content":[{{"type":"tool_result","toolUseId":"a","content":[]}},{{"type":"text","text":"x"}}]}}]"#
            )),
            "`messages[1].content[1]`: a user message with tool_results can hold nothing else, and this is a text"
        );
        assert_eq!(
            check(r#"[{"role":"user","content":[{"type":"tool_use","id":"a","name":"t","input":{}}]}]"#),
            "`messages[0].content[0]`: a tool_use must come from the assistant"
        );
        assert_eq!(
            check(r#"[{"role":"assistant","content":[{"type":"tool_result","toolUseId":"a","content":[]}]}]"#),
            "`messages[0].content[0]`: a tool_result must come from the user"
        );
    }

    #[test]
    fn base64_must_decode() {
        let image = |data: &str| {
            check(&format!(
                r#"[{{"role":"user","content":{{"type":"image","mimeType":"image/png","data":"{data}"}}}}]"#
            ))
        };
        assert_eq!(image("AAAA"), "valid");
        assert_eq!(image(&"AAAA".repeat(20_000)), "valid");
        assert_eq!(image(&"AAAA".repeat(4 * 1024)), "valid");
        assert!(image("AAA").starts_with("`messages[0].content[0].data` is not base64"));
        assert!(image("A*AA").starts_with("`messages[0].content[0].data` is not base64"));
        for (data, remedy) in [
            ("data:image/png;base64,AAAA", "leave out the prefix `data:…;base64,`"),
            ("AAAA\\nAAAA\\n", "write it without line breaks and spaces"),
            ("AA-_", "write it in the standard alphabet, with `+` and `/` (not base64url)"),
            ("AAA", "pad it with `=` to a multiple of four characters"),
        ] {
            assert!(image(data).ends_with(&format!("; {remedy}")), "{}", image(data));
        }
        // Padding in the middle, just where one piece ends.
        assert!(image(&format!("{}AAA={}", "AAAA".repeat(4 * 1024 - 1), "AAAA")).contains("not base64"));
    }

    #[test]
    fn numbers_are_in_range() {
        let check = |fields: &str| {
            let text = format!(r#"{{"messages":[{TEXT}],{fields}}}"#);
            CreateMessageRequestParams::from_json(text.as_bytes()).unwrap().validate().unwrap_err().to_string()
        };
        assert_eq!(check(r#""maxTokens":0"#), "`maxTokens` is 0: it must be at least 1");
        assert_eq!(
            check(r#""maxTokens":1,"modelPreferences":{"speedPriority":1.5}"#),
            "`modelPreferences.speedPriority` is 1.5: it must be between 0 and 1"
        );
        assert_eq!(
            check(r#""maxTokens":1,"toolChoice":{"mode":"required"}"#),
            "`toolChoice.mode` is `required`, but `tools` offers none"
        );
    }
}
