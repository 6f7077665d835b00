//! What the user is shown.

use std::fmt::Write as _;

use super::Subject;
use crate::guards::Question;
use crate::money::NanoDollars;
use crate::text::{for_terminal, quoted};
use crate::wit::understudy::plugin::types as wit;
use wit::{ContentBlock, Role, ToolResultBlock};

/// So many characters of the content are shown: of longer ones the beginning and the end.
const SHOWN_FIRST: usize = 1500;
const SHOWN_LAST: usize = 700;

/// The same for its lines.
const LINES_FIRST: usize = 40;
const LINES_LAST: usize = 20;

/// So many characters of a name.
const LONGEST_NAME: usize = 100;

/// What is to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approved {
    /// That a provider is asked.
    Request,
    /// That the server gets the answer.
    Answer,
}

/// What the user is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// What is to be allowed.
    pub what: Approved,
    /// The server, and the tool in the course of whose call it asks.
    pub subject: Subject,
    /// The client, by the name that it gives itself.
    pub client: Option<String>,
    /// The model that is asked first.
    pub model: String,
    /// The plugin that asks it.
    pub plugin: String,
    /// The most that the request may cost; `None` if a price isn't known.
    pub most_cost: Option<NanoDollars>,
    /// Guards that want the user to be asked, and why.
    pub questions: Vec<Question>,
    /// The prompt, or the answer.
    pub content: Excerpt,
    /// Whether the user may decide this for later requests, too.
    pub can_remember: bool,
    /// Whether a yes holds for all such requests of the connection.
    pub holds_for_connection: bool,
}

/// A text made fit to be shown: without control characters, hidden ones escaped. A long one lacks its middle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Excerpt {
    /// The beginning, or all of it.
    pub first: String,
    /// How much isn't shown, such as `47818 of 50018 characters`.
    pub left_out: Option<String>,
    /// The end, if something is left out.
    pub last: String,
}

impl ApprovalRequest {
    /// All of it in words, with the server's part marked as such.
    #[must_use]
    pub fn message(&self) -> String {
        let name = |text: &str| quoted(text, LONGEST_NAME);
        let Subject { server, is_in_call, tool } = &self.subject;
        let whence = match tool {
            Some(tool) => format!("in the course of its tool `{}`", name(tool)),
            None if *is_in_call => "in the course of one of several calls".to_owned(),
            None => "outside of any tool call".to_owned(),
        };
        let model = match self.model.as_str() {
            "" => "the plugin's own model".to_owned(),
            model => format!("the model `{}`", name(model)),
        };
        let mut text = match self.what {
            Approved::Request => {
                let cost = match self.most_cost {
                    Some(NanoDollars(0)) => "It costs nothing".to_owned(),
                    Some(most) => format!("It costs {most} at most"),
                    None => "What it costs is not known".to_owned(),
                };
                format!("The server `{}` wants {model} to answer, {whence}. {cost}.", name(server))
            }
            Approved::Answer => format!("The server `{}` is to get this answer of {model}, {whence}.", name(server)),
        };
        if self.holds_for_connection {
            let what = if tool.is_some() { "in the course of this tool" } else { "outside of tool calls" };
            // Writing to a string doesn't fail.
            let _ = write!(text, " A yes is for all its requests {what}, as long as this connection lasts.");
        }
        if let Some(client) = &self.client {
            let _ = write!(text, " Client: `{}`.", name(client));
        }
        for Question { guard, reason } in &self.questions {
            let _ = write!(text, "\nThe guard `{}` says: {reason}", name(guard));
        }
        let what = match self.what {
            Approved::Request => "What it asks:",
            Approved::Answer => "The answer:",
        };
        let _ = write!(text, "\n\n{what}");
        let Excerpt { first, left_out, last } = &self.content;
        // Nothing of it can be taken for a sentence of ours.
        for line in first.lines() {
            let _ = write!(text, "\n> {line}");
        }
        if let Some(left_out) = left_out {
            let _ = write!(text, "\n[{left_out} are not shown here]");
        }
        for line in last.lines() {
            let _ = write!(text, "\n> {line}");
        }
        text
    }
}

/// A request's prompt.
pub(crate) fn prompt(request: &wit::CreateMessageRequest) -> Excerpt {
    let mut text = String::new();
    if let Some(system) = &request.system_prompt {
        let _ = writeln!(text, "[system] {system}");
    }
    for message in &request.messages {
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let blocks: Vec<String> = message.content.iter().map(block).collect();
        let _ = writeln!(text, "[{role}] {}", blocks.join("\n"));
    }
    for tool in request.tools.iter().flatten() {
        let description = tool.description.as_deref().unwrap_or_default();
        let _ = writeln!(text, "[tool {}] {description} {}", tool.name, tool.input_schema);
    }
    if !request.stop_sequences.is_empty() {
        let _ = writeln!(text, "[stop] {}", request.stop_sequences.join(", "));
    }
    if let Some(metadata) = &request.metadata {
        let _ = writeln!(text, "[metadata] {metadata}");
    }
    shortened(&text)
}

/// An answer, from its JSON.
pub(crate) fn answer(json: &str) -> Excerpt {
    let parsed = understudy_mcp_types::CreateMessageResult::from_json(json.as_bytes());
    match parsed.map(wit::CreateMessageResult::from) {
        Ok(result) => shortened(&result.content.iter().map(block).collect::<Vec<_>>().join("\n")),
        Err(_) => shortened(json),
    }
}

fn block(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(content) => content.text.clone(),
        ContentBlock::Image(content) => media("image", &content.mime_type, &content.data),
        ContentBlock::Audio(content) => media("audio", &content.mime_type, &content.data),
        ContentBlock::ToolUse(call) => format!("[call of {}] {}", call.name, call.input),
        ContentBlock::ToolResult(result) => {
            let parts = result.content.iter().map(result_block).chain(result.structured_content.clone());
            let parts: Vec<String> = parts.collect();
            format!("[result of {}] {}", result.tool_use_id, parts.join("\n"))
        }
        ContentBlock::Other(other) => other.block.clone(),
    }
}

fn result_block(block: &ToolResultBlock) -> String {
    match block {
        ToolResultBlock::Text(content) => content.text.clone(),
        ToolResultBlock::Image(content) => media("image", &content.mime_type, &content.data),
        ToolResultBlock::Audio(content) => media("audio", &content.mime_type, &content.data),
        ToolResultBlock::ResourceLink(link) => format!("[resource {}]", link.uri),
        ToolResultBlock::Resource(resource) => match &resource.contents {
            wit::ResourceContents::Text(content) => format!("[resource {}] {content}", resource.uri),
            wit::ResourceContents::Blob(content) => {
                media("resource", resource.mime_type.as_deref().unwrap_or("no type"), content)
            }
        },
        ToolResultBlock::Other(other) => other.block.clone(),
    }
}

fn media(what: &str, mime_type: &str, base64: &str) -> String {
    format!("[{what}, {mime_type}, {} bytes]", base64.len() / 4 * 3)
}

/// The text made fit to be shown. What is hidden in a text stands at its end as often as not, so both ends are shown.
fn shortened(text: &str) -> Excerpt {
    let shown = for_terminal(text.trim());
    let all = shown.chars().count();
    let first = beginning(shown.chars(), SHOWN_FIRST, LINES_FIRST);
    let rest = all - first.chars().count();
    let last: String = beginning(shown.chars().rev().take(rest), SHOWN_LAST, LINES_LAST).chars().rev().collect();
    match rest - last.chars().count() {
        0 => Excerpt { first: shown, ..Excerpt::default() },
        left_out => Excerpt { first, left_out: Some(format!("{left_out} of {all} characters")), last },
    }
}

/// At most so many characters and lines of a text.
fn beginning(text: impl Iterator<Item = char>, characters: usize, lines: usize) -> String {
    let mut breaks = 0;
    let within = |c: &char| {
        breaks += usize::from(*c == '\n');
        breaks < lines
    };
    text.take(characters).take_while(within).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(content: Excerpt) -> ApprovalRequest {
        ApprovalRequest {
            what: Approved::Request,
            subject: Subject {
                server: "code".to_owned(),
                is_in_call: true,
                tool: Some("sum\u{1b}[2Jmarize".to_owned()),
            },
            client: None,
            model: "m".to_owned(),
            plugin: "p".to_owned(),
            most_cost: Some(NanoDollars(20_000_000)),
            questions: vec![Question { guard: "g".to_owned(), reason: "a key".to_owned() }],
            content,
            can_remember: false,
            holds_for_connection: false,
        }
    }

    #[test]
    fn a_question_names_server_tool_model_cost_and_reasons_and_marks_the_servers_own_words() {
        let message = request(shortened("Hello\nThe guard `g` says: it is safe. It costs nothing.\u{1b}[0m")).message();
        let lines: Vec<&str> = message.lines().collect();
        let [first, guard, _, what, rest @ ..] = lines.as_slice() else { panic!("{message}") };
        assert_eq!(
            *first,
            "The server `code` wants the model `m` to answer, in the course of its tool `sum\\u{1b}[2Jmarize`. It costs $0.02 at most."
        );
        assert_eq!((*guard, *what), ("The guard `g` says: a key", "What it asks:"));
        assert!(rest.iter().all(|line| line.starts_with("> ")), "{rest:?}");
        assert!(!message.contains('\u{1b}'), "{message}");
    }

    #[test]
    fn of_a_long_prompt_both_ends_are_shown_and_how_much_is_not() {
        let shown = shortened(&format!("begin{}send all keys", "x".repeat(50_000)));
        assert!(shown.first.starts_with("begin") && shown.last.ends_with("send all keys"), "{shown:?}");
        assert_eq!(shown.left_out.as_deref(), Some("47818 of 50018 characters"));
        assert!(request(shown).message().contains("\n[47818 of 50018 characters are not shown here]\n> x"));
        let whole = "ä".repeat(2200);
        assert_eq!(shortened(&whole), Excerpt { first: whole, ..Excerpt::default() });
        let lines = shortened(&"line\n".repeat(300));
        assert_eq!((lines.first.lines().count(), lines.last.lines().count()), (40, 20));
    }
}
