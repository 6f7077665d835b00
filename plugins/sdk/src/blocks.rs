//! What plugins do with content blocks, whoever the provider is.

use crate::types::{ContentBlock, CreateMessageRequest, Extras, ToolUseContent};

/// Neither `_meta` nor anything else.
pub const NO_EXTRAS: Extras = Extras { meta: None, annotations: None, extensions: None };

/// What a block carries besides its own fields. None for a block of an unknown type.
#[must_use]
pub fn extras(block: &ContentBlock) -> Option<&Extras> {
    match block {
        ContentBlock::Text(text) => Some(&text.extras),
        ContentBlock::Image(media) | ContentBlock::Audio(media) => Some(&media.extras),
        ContentBlock::ToolUse(tool_use) => Some(&tool_use.extras),
        ContentBlock::ToolResult(result) => Some(&result.extras),
        ContentBlock::Other(_) => None,
    }
}

/// The same, to be changed.
pub fn extras_mut(block: &mut ContentBlock) -> Option<&mut Extras> {
    match block {
        ContentBlock::Text(text) => Some(&mut text.extras),
        ContentBlock::Image(media) | ContentBlock::Audio(media) => Some(&mut media.extras),
        ContentBlock::ToolUse(tool_use) => Some(&mut tool_use.extras),
        ContentBlock::ToolResult(result) => Some(&mut result.extras),
        ContentBlock::Other(_) => None,
    }
}

/// The tool uses among some blocks.
pub fn tool_uses<'a>(content: impl IntoIterator<Item = &'a ContentBlock>) -> impl Iterator<Item = &'a ToolUseContent> {
    content.into_iter().filter_map(|block| match block {
        ContentBlock::ToolUse(tool_use) => Some(tool_use),
        _ => None,
    })
}

/// The tool uses of the whole conversation.
pub fn tool_uses_of(request: &CreateMessageRequest) -> impl Iterator<Item = &ToolUseContent> {
    tool_uses(request.messages.iter().flat_map(|message| &message.content))
}

/// Ends an answer where a stop sequence first appears in one of its texts, for stop sequences that the provider can't be
/// told of. Whether it did.
pub fn cut(content: &mut Vec<ContentBlock>, stop_sequences: &[String]) -> bool {
    for (n, block) in content.iter_mut().enumerate() {
        let ContentBlock::Text(said) = block else { continue };
        let stops = stop_sequences.iter().filter(|stop| !stop.is_empty());
        if let Some(end) = stops.filter_map(|stop| said.text.find(stop.as_str())).min() {
            said.text.truncate(end);
            content.truncate(n + 1);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TextContent;

    #[test]
    fn an_answer_ends_at_the_first_stop_sequence() {
        let text = |text: &str| ContentBlock::Text(TextContent { text: text.to_owned(), extras: NO_EXTRAS });
        let stops = ["", "END", "ST"].map(str::to_owned);
        let mut content = vec![text("a"), text("b STOP END"), text("c")];
        assert!(cut(&mut content, &stops));
        let texts = content.iter().map(|block| match block {
            ContentBlock::Text(text) => text.text.as_str(),
            _ => "",
        });
        assert_eq!(texts.collect::<Vec<_>>(), ["a", "b "]);
        assert!(!cut(&mut content, &stops));
    }
}
