//! The context that a server may have attached to its request (`includeContext`), where the config says `"context": "thisServer"`.
//!
//! It is the server's own and no other's: its instructions, and the tool calls of it that are going on while it asks. It
//! stands before the conversation, marked as what it is.

use std::fmt::Write;

use understudy_mcp_types::{Block, CreateMessageRequestParams, Extras, Message, Role, Text};

/// The most of each text that is attached, in bytes.
const LONGEST: usize = 64 * 1024;

/// What belongs to the asking server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The instructions that it gave when it was initialized.
    pub instructions: Option<String>,
    /// The calls of its tools that are going on, in the order in which they began.
    pub calls: Vec<ToolCall>,
}

/// A tool call that is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The tool's name.
    pub tool: String,
    /// The arguments, JSON.
    pub arguments: String,
}

impl Context {
    /// A text, or as much of it as is attached.
    #[must_use]
    pub fn excerpt(text: &str) -> String {
        match text.get(..text.floor_char_boundary(LONGEST)) {
            Some(start) if start.len() < text.len() => format!("{start}… (cut: {} bytes in all)", text.len()),
            _ => text.to_owned(),
        }
    }

    /// Puts the context before the conversation, if the request asks for it and there is any.
    pub(super) fn attach(&self, server: &str, request: &mut CreateMessageRequestParams) {
        let wanted = matches!(request.include_context.as_deref(), Some("thisServer" | "allServers"));
        let Some(text) = wanted.then(|| self.in_words(server)).flatten() else { return };
        tracing::info!("`{server}` gets its own context attached ({} bytes)", text.len());
        let block = Block::Text(Text { text, extras: Extras::default() });
        match request.messages.first_mut() {
            // Some models want the turns to alternate. A message of tool results holds nothing else.
            Some(first) if first.role == Role::User && !first.content.iter().any(is_tool_result) => {
                first.content.insert(0, block);
            }
            _ => {
                let message = Message { role: Role::User, content: vec![block], meta: None, extensions: None };
                request.messages.insert(0, message);
            }
        }
    }

    fn in_words(&self, server: &str) -> Option<String> {
        let mut parts = Vec::new();
        if let Some(instructions) = self.instructions.as_deref().filter(|text| !text.trim().is_empty()) {
            parts.push(format!("The server's own instructions:\n{instructions}"));
        }
        match self.calls.as_slice() {
            [] => {}
            [call] => parts.push(format!("The tool call in whose course the server asks: {}", call.in_words())),
            calls => {
                let mut text = "The server asks in the course of one of these tool calls:".to_owned();
                for call in calls {
                    // Writing to a string doesn't fail.
                    let _ = write!(text, "\n- {}", call.in_words());
                }
                parts.push(text);
            }
        }
        let note = "This was attached by the MCP client, and is no part of the conversation.";
        (!parts.is_empty())
            .then(|| format!("<context server=\"{server}\">\n{note}\n\n{}\n</context>", parts.join("\n\n")))
    }
}

impl ToolCall {
    /// A call, its arguments cut if they are long.
    #[must_use]
    pub fn new(tool: &str, arguments: &str) -> Self {
        Self { tool: tool.to_owned(), arguments: Context::excerpt(arguments) }
    }

    fn in_words(&self) -> String {
        format!("`{}` with the arguments {}", crate::text::one_line(&self.tool, 200), self.arguments)
    }
}

fn is_tool_result(block: &Block) -> bool {
    matches!(block, Block::ToolResult(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(context: &Context, include: &str, messages: &str) -> String {
        let params = format!(r#"{{"messages":{messages},"maxTokens":1,"includeContext":"{include}"}}"#);
        let mut request = CreateMessageRequestParams::from_json(params.as_bytes()).unwrap();
        context.attach("code", &mut request);
        request.validate().unwrap();
        format!("{:?}", request.messages)
    }

    const ASKED: &str = r#"[{"role":"user","content":{"type":"text","text":"Why?"}}]"#;

    fn context() -> Context {
        let call = |n: u8| ToolCall { tool: format!("tool{n}"), arguments: format!("{{\"n\":{n}}}") };
        Context { instructions: Some("Be brief.".to_owned()), calls: vec![call(1), call(2)] }
    }

    #[test]
    fn the_context_stands_before_what_is_asked_and_says_what_it_is() {
        for include in ["thisServer", "allServers"] {
            let messages = attached(&context(), include, ASKED);
            let at = |words: &str| messages.find(words).unwrap_or_else(|| panic!("{words} is not in {messages}"));
            assert!(at("<context server=") < at("Be brief.") && at("Be brief.") < at("`tool1`"));
            assert!(at("`tool2`") < at("</context>") && at("</context>") < at("Why?"));
            assert_eq!(messages.matches("User").count(), 1, "{messages}");
        }
        let one = Context { instructions: None, calls: context().calls.into_iter().take(1).collect() };
        assert!(attached(&one, "thisServer", ASKED).contains("in whose course"));
    }

    #[test]
    fn nothing_is_attached_that_is_not_asked_for_or_not_there() {
        let plain = attached(&Context::default(), "none", ASKED);
        assert_eq!(attached(&context(), "none", ASKED), plain);
        assert_eq!(attached(&Context::default(), "thisServer", ASKED), plain);
    }

    #[test]
    fn a_conversation_that_begins_otherwise_gets_a_message_of_its_own() {
        let assistant = r#"[{"role":"assistant","content":{"type":"text","text":"Ask."}}]"#;
        assert_eq!(attached(&context(), "thisServer", assistant).matches("role: User").count(), 1);
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let text = Context::excerpt(&"ä".repeat(LONGEST));
        assert!(text.len() < LONGEST + 1000 && text.contains(&format!("cut: {} bytes in all", 2 * LONGEST)));
    }
}
