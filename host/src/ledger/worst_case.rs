//! The most tokens that a request can hold, by its size.
//!
//! A token is never less than a byte of text: that is the bound for texts, tool schemas and arguments. A medium's tokens don't depend on its
//! bytes alone. An image is counted as 50,000, which is more than any of the built-in providers makes of one at its highest resolution, and
//! audio as one for each 16 bytes, which the most compressed speech (6 kbit/s) at 32 tokens a second stays below. What a provider adds by
//! itself (the frame of messages, a system prompt for tools) is 2,000 and 16 a message.

use crate::wit::understudy::plugin::types as wit;
use wit::{ContentBlock, ResourceContents, ToolResultBlock};

const IMAGE: u64 = 50_000;
const BYTES_OF_AUDIO: u64 = 16;
const FRAME: u64 = 2_000;
const MESSAGE_FRAME: u64 = 16;

/// At least so many tokens as the provider can count for the input.
pub(crate) fn input_tokens(request: &wit::CreateMessageRequest) -> u64 {
    let system = request.system_prompt.as_deref().map_or(0, text);
    let tools = request.tools.iter().flatten().map(|tool| {
        let description = tool.description.as_deref().map_or(0, text);
        text(&tool.name) + tool.title.as_deref().map_or(0, text) + description + text(&tool.input_schema)
    });
    let messages = request.messages.iter().map(|message| {
        MESSAGE_FRAME + message.content.iter().map(block).sum::<u64>() + message.extensions.as_deref().map_or(0, text)
    });
    FRAME + system + text(&request.extensions) + tools.sum::<u64>() + messages.sum::<u64>()
}

fn text(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX / 4)
}

fn audio(data: &str) -> u64 {
    1 + text(data) / BYTES_OF_AUDIO
}

fn block(block: &ContentBlock) -> u64 {
    match block {
        ContentBlock::Text(content) => text(&content.text),
        ContentBlock::Image(_) => IMAGE,
        ContentBlock::Audio(content) => audio(&content.data),
        ContentBlock::ToolUse(call) => text(&call.id) + text(&call.name) + text(&call.input),
        ContentBlock::ToolResult(result) => {
            let structured = result.structured_content.as_deref().map_or(0, text);
            text(&result.tool_use_id) + structured + result.content.iter().map(result_block).sum::<u64>()
        }
        ContentBlock::Other(other) => text(&other.block),
    }
}

fn result_block(block: &ToolResultBlock) -> u64 {
    match block {
        ToolResultBlock::Text(content) => text(&content.text),
        ToolResultBlock::Image(_) => IMAGE,
        ToolResultBlock::Audio(content) => audio(&content.data),
        ToolResultBlock::ResourceLink(link) => {
            let parts = [link.title.as_deref(), link.description.as_deref(), link.mime_type.as_deref()];
            text(&link.uri) + text(&link.name) + parts.into_iter().flatten().map(text).sum::<u64>()
        }
        // A blob may be an image, or anything else.
        ToolResultBlock::Resource(resource) => {
            let contents = match &resource.contents {
                ResourceContents::Text(contents) => text(contents),
                ResourceContents::Blob(blob) => text(blob).max(IMAGE),
            };
            text(&resource.uri) + contents
        }
        ToolResultBlock::Other(other) => text(&other.block),
    }
}
