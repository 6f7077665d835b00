//! Thinking blocks and what they are bound to.
//!
//! Rules from platform.claude.com/docs/en/build-with-claude/preserved-thinking and …/preserved-thinking/prefix-checks (2026-11): a block is bound to
//! `system`, `tools` and every earlier message; the check also fails if a thinking block between others was left out or moved. The
//! documentation says of blocks of another model that they are dropped; anthropics/anthropic-sdk-python#1598, vybestack/llxprt-code#2335 and
//! can1357/oh-my-pi#6379 report a 400, so it is one here.

use serde_json::{Value, json};

use super::models::{Model, own_name};
use crate::{Request, digest, list, text};

const OWN: &str = "standin";

/// A block that the model would begin its answer with.
pub(super) fn block(body: &Value) -> Value {
    let (prefix, last) = state(body, usize::MAX, 0);
    let model = own_name(text(&body["model"]));
    json!({ "type": "thinking", "thinking": "", "signature": format!("{OWN}:{model}:{prefix:x}:{last:x}") })
}

/// What precedes a place: the digest of all but thinking, and of the last signature.
fn state(body: &Value, message: usize, block: usize) -> (u64, u64) {
    let mut blocks = Vec::new();
    let mut last = 0;
    for (i, turn) in list(&body["messages"]).iter().enumerate() {
        for (j, content) in content(turn).into_iter().enumerate() {
            if (i, j) >= (message, block) {
                break;
            }
            if is_thinking(&content) {
                last = digest(signature(&content));
            } else {
                blocks.push(json!([turn["role"], content]));
            }
        }
    }
    (digest(&json!([body["system"], body["tools"], blocks])), last)
}

fn content(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        content => list(content).to_vec(),
    }
}

fn is_thinking(block: &Value) -> bool {
    matches!(text(&block["type"]), "thinking" | "redacted_thinking")
}

fn signature(block: &Value) -> &Value {
    if block["type"] == "thinking" { &block["signature"] } else { &block["data"] }
}

/// Why the thinking of the conversation is refused.
pub(super) fn refusal(request: &Request) -> Option<String> {
    let body = &request.body;
    let name = own_name(text(&body["model"]));
    let checks = Model::of(&name).is_some_and(|model| model.checks_prefixes());
    let drops = body["thinking"]["block_binding"]["prefix_mismatch_behavior"] == "drop_block";
    if !body["thinking"]["block_binding"].is_null() && !has_beta(request, "thinking-binding-controls-2026-08-01") {
        return Some("thinking.block_binding: Extra inputs are not permitted".to_owned());
    }
    for (i, message) in list(&body["messages"]).iter().enumerate() {
        for (j, block) in content(message).iter().enumerate().filter(|(_, block)| is_thinking(block)) {
            let place = format!("messages.{i}.content.{j}");
            if message["role"] != "assistant" {
                return Some(format!("{place}: `thinking` blocks are only permitted in `assistant` messages"));
            }
            let invalid = format!("{place}: Invalid `signature` in `thinking` block");
            let parts: Vec<&str> = text(signature(block)).split(':').collect();
            let [OWN, signer, prefix, before] = parts.as_slice() else {
                if request.recorded && !text(signature(block)).is_empty() {
                    continue;
                }
                return Some(invalid);
            };
            if *signer != name {
                return Some(invalid);
            }
            let (found, last) = state(body, i, j);
            let is_left_out = last != 0 && format!("{last:x}") != *before;
            if checks && !drops && (format!("{found:x}") != *prefix || is_left_out) {
                return Some(format!(
                    "{invalid}. The block is bound to a different conversation. Remove the block, or set \
                    `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\"."
                ));
            }
        }
    }
    None
}

fn has_beta(request: &Request, beta: &str) -> bool {
    request.headers.get("anthropic-beta").is_some_and(|list| list.split(',').any(|one| one.trim() == beta))
}
