//! `echo`: gives back the last user message's text. For tests, and for seeing that the wiring works.
//!
//! It keeps to the request like a model would: a word counts as a token for `maxTokens`, `stopSequences` end the text, and
//! with `toolChoice` `required` it asks for the first tool.

use understudy_plugin::types::{
    Completion, ContentBlock, CreateMessageRequest, CreateMessageResult, Description, Error, Extras, HttpResponse,
    Model, Options, Role, Step, TextContent, ToolUseContent, Usage,
};
use understudy_plugin::{Provider, error, export_provider};

/// The plugin.
#[derive(Debug)]
pub struct Echo;

export_provider!(Echo);

impl Provider for Echo {
    fn describe() -> Description {
        Description {
            name: "echo".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "gives back the last user message's text; needs no network and no key".to_owned(),
            accepts: ["image", "audio", "tools"].map(str::to_owned).to_vec(),
            models: vec![Model {
                name: "echo".to_owned(),
                families: Vec::new(),
                cost: 0.0,
                speed: 1.0,
                intelligence: 0.0,
                context_tokens: None,
                max_output_tokens: None,
                extensions: String::new(),
            }],
            default_model: Some("echo".to_owned()),
            endpoint: None,
            credential: None,
            settings_schema: r#"{"type":"object","additionalProperties":false}"#.to_owned(),
            extensions: String::new(),
        }
    }

    fn start(request: CreateMessageRequest, options: Options) -> Result<Step, Error> {
        let (content, stop_reason, words) = match forced_tool(&request) {
            Some(tool_use) => (tool_use, "toolUse", 0),
            None => answer(&request),
        };
        let model = if options.model.is_empty() { "echo".to_owned() } else { options.model };
        Ok(Step::Done(Completion {
            result: CreateMessageResult {
                content: vec![content],
                model,
                stop_reason: Some(stop_reason.to_owned()),
                meta: None,
            },
            usage: Some(Usage { input_tokens: None, output_tokens: Some(words), details: String::new() }),
            extensions: String::new(),
        }))
    }

    fn resume(_: Vec<u8>, _: HttpResponse) -> Result<Step, Error> {
        Err(error::other("`echo` asks for nothing, so there is nothing to resume"))
    }
}

const NO_EXTRAS: Extras = Extras { meta: None, annotations: None, extensions: None };

fn forced_tool(request: &CreateMessageRequest) -> Option<ContentBlock> {
    let required = request.tool_choice.as_ref()?.mode.as_deref() == Some("required");
    let tool = request.tools.as_ref()?.first().filter(|_| required)?;
    Some(ContentBlock::ToolUse(ToolUseContent {
        id: "call_0".to_owned(),
        name: tool.name.clone(),
        input: "{}".to_owned(),
        extras: NO_EXTRAS,
    }))
}

/// The text to give back, why it ends, and how many words it has.
fn answer(request: &CreateMessageRequest) -> (ContentBlock, &'static str, u64) {
    let text = last_user_text(request);
    let stop = request.stop_sequences.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop)).min();
    let (text, stopped) = match stop.and_then(|at| text.get(..at)) {
        Some(before) => (before, true),
        None => (text.as_str(), false),
    };
    let most = usize::try_from(request.max_tokens).unwrap_or(usize::MAX);
    let (text, stop_reason) = match end_of_word(text, most) {
        Some(cut) => (text.get(..cut).unwrap_or(text), "maxTokens"),
        None => (text, if stopped { "stopSequence" } else { "endTurn" }),
    };
    let words = text.split_whitespace().count() as u64;
    (ContentBlock::Text(TextContent { text: text.to_owned(), extras: NO_EXTRAS }), stop_reason, words)
}

fn last_user_text(request: &CreateMessageRequest) -> String {
    let Some(message) = request.messages.iter().rev().find(|message| message.role == Role::User) else {
        return String::new();
    };
    let parts: Vec<String> = message.content.iter().map(in_words).collect();
    parts.join("\n")
}

/// A block's text, or in brackets what it is.
fn in_words(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(media) => format!("[image {}]", media.mime_type),
        ContentBlock::Audio(media) => format!("[audio {}]", media.mime_type),
        ContentBlock::ToolUse(tool_use) => format!("[tool_use {}]", tool_use.name),
        ContentBlock::ToolResult(result) => format!("[tool_result {}]", result.tool_use_id),
        ContentBlock::Other(other) => format!("[{}]", other.kind),
    }
}

/// Where the `n`th word ends, if there are more than `n`.
fn end_of_word(text: &str, n: usize) -> Option<usize> {
    let mut words = text.split_whitespace();
    let last = words.by_ref().take(n).last()?;
    words.next()?;
    Some(last.as_ptr() as usize - text.as_ptr() as usize + last.len())
}

#[cfg(test)]
mod tests {
    use super::Echo;

    #[test]
    fn echo_keeps_to_its_fixtures() {
        understudy_plugin::testing::check_fixtures::<Echo>("fixtures");
    }
}
