//! Answers, of which only some can be used.

use understudy_plugin::types::{
    Completion, ContentBlock, CreateMessageResult, Extras, Step, TextContent, ToolUseContent,
};

const NO_EXTRAS: Extras = Extras { meta: None, annotations: None, extensions: None };

/// A text.
pub(crate) fn block(text: String) -> ContentBlock {
    ContentBlock::Text(TextContent { text, extras: NO_EXTRAS })
}

/// The answer that consists of a text.
pub(crate) fn text(text: String) -> Step {
    done(vec![block(text)])
}

/// The answer that tells a value.
pub(crate) fn tell(value: &impl ToString) -> Step {
    text(value.to_string())
}

/// An answer of the model that this plugin has.
pub(crate) fn done(content: Vec<ContentBlock>) -> Step {
    end(content, "claimed")
}

/// An answer of a model.
pub(crate) fn end(content: Vec<ContentBlock>, model: &str) -> Step {
    let result =
        CreateMessageResult { content, model: model.to_owned(), stop_reason: Some("endTurn".to_owned()), meta: None };
    Step::Done(Completion { result, usage: None, extensions: String::new() })
}

pub(crate) fn with_meta(meta: &str) -> ContentBlock {
    let extras = Extras { meta: Some(meta.to_owned()), annotations: None, extensions: None };
    ContentBlock::Text(TextContent { text: "x".to_owned(), extras })
}

pub(crate) fn tool(name: &str) -> ContentBlock {
    ContentBlock::ToolUse(ToolUseContent {
        id: "1".to_owned(),
        name: name.to_owned(),
        input: "{}".to_owned(),
        extras: NO_EXTRAS,
    })
}
