//! The most tokens that a request can hold, by its size.
//!
//! A token is never less than a byte of text: that is the bound for texts, tool schemas and arguments. A medium's tokens don't depend on its
//! bytes alone. An image is counted as 50,000, which is more than any of the built-in providers makes of one at its highest resolution, and
//! audio as one for each 16 bytes, which the most compressed speech (6 kbit/s) at 32 tokens a second stays below. What a provider adds by
//! itself (the frame of messages, a system prompt for tools) is 2,000 and 16 a message.

use crate::wit::understudy::plugin::types as wit;
use wit::{ContentBlock, Extras, ResourceContents, ToolResultBlock};

const IMAGE: u64 = 50_000;
const BYTES_OF_AUDIO: u64 = 16;
const FRAME: u64 = 2_000;
const MESSAGE_FRAME: u64 = 16;

/// At least so many tokens as the provider can count for the input.
pub(crate) fn input_tokens(request: &wit::CreateMessageRequest) -> u64 {
    let system = request.system_prompt.as_deref().map_or(0, text);
    let tools = request.tools.iter().flatten().map(|tool| {
        let description = tool.description.as_deref().map_or(0, text);
        let schemas = text(&tool.input_schema) + tool.output_schema.as_deref().map_or(0, text);
        text(&tool.name) + tool.title.as_deref().map_or(0, text) + description + schemas + extras(&tool.extras)
    });
    let messages = request.messages.iter().map(|message| {
        let more = [&message.meta, &message.extensions].into_iter().flatten().map(|json| text(json)).sum::<u64>();
        MESSAGE_FRAME + message.content.iter().map(block).sum::<u64>() + more
    });
    FRAME + system + text(&request.extensions) + tools.sum::<u64>() + messages.sum::<u64>()
}

fn text(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX / 4)
}

/// What a block has besides. A plugin keeps there what its provider wants back, such as the model's reasoning.
fn extras(extras: &Extras) -> u64 {
    let Extras { meta, annotations, extensions } = extras;
    [meta, annotations, extensions].into_iter().flatten().map(|json| text(json)).sum()
}

fn audio(data: &str) -> u64 {
    1 + text(data) / BYTES_OF_AUDIO
}

fn block(block: &ContentBlock) -> u64 {
    match block {
        ContentBlock::Text(content) => text(&content.text) + extras(&content.extras),
        ContentBlock::Image(content) => IMAGE + extras(&content.extras),
        ContentBlock::Audio(content) => audio(&content.data) + extras(&content.extras),
        ContentBlock::ToolUse(call) => text(&call.id) + text(&call.name) + text(&call.input) + extras(&call.extras),
        ContentBlock::ToolResult(result) => {
            let structured = result.structured_content.as_deref().map_or(0, text);
            let blocks = result.content.iter().map(result_block).sum::<u64>();
            text(&result.tool_use_id) + structured + blocks + extras(&result.extras)
        }
        ContentBlock::Other(other) => text(&other.block),
    }
}

fn result_block(block: &ToolResultBlock) -> u64 {
    match block {
        ToolResultBlock::Text(content) => text(&content.text) + extras(&content.extras),
        ToolResultBlock::Image(content) => IMAGE + extras(&content.extras),
        ToolResultBlock::Audio(content) => audio(&content.data) + extras(&content.extras),
        ToolResultBlock::ResourceLink(link) => {
            let parts = [link.title.as_deref(), link.description.as_deref(), link.mime_type.as_deref()];
            let parts = parts.into_iter().flatten().map(text).sum::<u64>();
            text(&link.uri) + text(&link.name) + parts + extras(&link.extras)
        }
        // A blob may be an image, or anything else.
        ToolResultBlock::Resource(resource) => {
            let contents = match &resource.contents {
                ResourceContents::Text(contents) => text(contents),
                ResourceContents::Blob(blob) => text(blob).max(IMAGE),
            };
            text(&resource.uri) + contents + extras(&resource.extras)
        }
        ToolResultBlock::Other(other) => text(&other.block),
    }
}

#[cfg(test)]
mod tests {
    use understudy_mcp_types::CreateMessageRequestParams;

    use super::*;

    fn most(content: &str) -> u64 {
        let params = format!(r#"{{"messages":[{{"role":"user","content":{content}}}],"maxTokens":1}}"#);
        input_tokens(&CreateMessageRequestParams::from_json(params.as_bytes()).unwrap().into())
    }

    #[test]
    fn everything_that_a_provider_may_be_sent_counts() {
        let text = |more: &str| most(&format!(r#"{{"type":"text","text":"12345"{more}}}"#));
        let bare = text("");
        assert_eq!(bare, FRAME + MESSAGE_FRAME + 5 + 2);
        // What the model thought comes back in `_meta`, and is sent.
        let thought = "x".repeat(1000);
        assert!(text(&format!(r#","_meta":{{"a/b":"{thought}"}}"#)) >= bare + 1000);
        assert!(most(r#"{"type":"image","mimeType":"image/png","data":"AAAA"}"#) >= IMAGE);
        let audio = "A".repeat(16_000);
        assert!(most(&format!(r#"{{"type":"audio","mimeType":"audio/wav","data":"{audio}"}}"#)) >= 1000);
        let results = |more: &str| {
            most(&format!(
                r#"[{{"type":"tool_result","toolUseId":"1","content":[{{"type":"text","text":"{thought}"}}]{more}}}]"#
            ))
        };
        assert!(results("") >= 1000);
        assert!(results(&format!(r#","structuredContent":{{"a":"{thought}"}}"#)) >= results("") + 1000);
    }
}
