//! Canonical requests: every type of content and every parameter that a server may send, each with what must not get lost.

use std::sync::Arc;

use serde_json::{Value, json};
use understudy_mcp_types::CreateMessageRequestParams;

use crate::wit::understudy::plugin::types as wit;

/// A request that every plugin must have an outcome for.
pub(super) struct Canonical {
    /// What it is about.
    pub(super) name: &'static str,
    /// The words of `accepts` that it takes to carry it.
    pub(super) needs: &'static [&'static str],
    /// Texts that must be found in what the plugin sends or remembers, and what they are.
    pub(super) marks: Vec<(&'static str, &'static str)>,
    /// The names of its tools, if it has any.
    pub(super) tools: Option<Vec<String>>,
    pub(super) request: Arc<wit::CreateMessageRequest>,
}

/// A PNG of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// A WAV of one sample.
const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA==";

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn user(content: &Value) -> Value {
    json!({ "role": "user", "content": content })
}

fn image() -> Value {
    json!({ "type": "image", "data": PNG, "mimeType": "image/png" })
}

fn audio() -> Value {
    json!({ "type": "audio", "data": WAV, "mimeType": "audio/wav" })
}

fn tool() -> Value {
    json!([{
        "name": "look_up", "description": "finds a larch",
        "inputSchema": { "type": "object", "properties": { "species": { "type": "string" } }, "required": ["species"] }
    }])
}

/// A conversation in which a tool was used, and answered with this.
fn tool_turn(answer: &Value) -> Value {
    let call = json!({ "type": "tool_use", "id": "call_7", "name": "look_up", "input": { "species": "hornbeam" } });
    let mut result = json!({ "type": "tool_result", "toolUseId": "call_7" });
    if let (Some(into), Some(from)) = (result.as_object_mut(), answer.as_object()) {
        into.extend(from.clone());
    }
    json!({
        "messages": [user(&text("ask")), { "role": "assistant", "content": [call] }, user(&json!([result]))],
        "maxTokens": 100, "tools": tool()
    })
}

/// The plainest request there is: what admission asks.
pub(super) fn probe() -> Option<Canonical> {
    let params = json!({ "messages": [user(&text("cedar"))], "maxTokens": 100 });
    canonical("text", &[], &[("the text", "cedar")], &params)
}

/// All of them, the plainest first.
pub(super) fn all() -> Vec<Canonical> {
    let mut all: Vec<Canonical> = probe().into_iter().collect();
    for (name, needs, marks, params) in cases() {
        all.extend(canonical(name, needs, marks, &params));
    }
    all
}

type Case = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)], Value);

fn cases() -> Vec<Case> {
    [conversations(), parameters(), content(), tools(), tool_results()].concat()
}

/// A request whose one message holds this.
fn plain(content: &Value) -> Value {
    json!({ "messages": [user(content)], "maxTokens": 100 })
}

/// The plainest request, and more.
fn with(more: Value) -> Value {
    let mut params = plain(&text("cedar"));
    if let (Some(into), Value::Object(from)) = (params.as_object_mut(), more) {
        into.extend(from);
    }
    params
}

fn conversations() -> Vec<Case> {
    let assistant = json!({ "role": "assistant", "content": text("beech") });
    let turns = json!([user(&text("cedar")), assistant, user(&json!([text("maple"), text("aspen")]))]);
    let prefill = json!([user(&text("cedar")), assistant]);
    vec![
        (
            "turns",
            &[],
            &[("the first text", "cedar"), ("the assistant's text", "beech"), ("the last text", "aspen")],
            json!({ "messages": turns, "maxTokens": 100 }),
        ),
        (
            "prefill",
            &[],
            &[("the text", "cedar"), ("the assistant's text", "beech")],
            json!({ "messages": prefill, "maxTokens": 100 }),
        ),
        ("no content", &[], &[], plain(&json!([]))),
        ("an empty text", &[], &[], plain(&text(""))),
        ("a long text", &[], &[], plain(&text(&"a cedar and a beech. ".repeat(12_000)))),
    ]
}

fn parameters() -> Vec<Case> {
    let others = json!({
        "temperature": 0.5, "metadata": { "user_id": "u" }, "includeContext": "thisServer", "_meta": { "progressToken": 1 },
        "modelPreferences": { "hints": [{ "name": "x" }], "costPriority": 0.1 }, "somethingNew": [1]
    });
    vec![
        ("systemPrompt", &[], &[("`systemPrompt`", "sequoia")], with(json!({ "systemPrompt": "sequoia" }))),
        ("stopSequences", &[], &[("`stopSequences`", "poplar")], with(json!({ "stopSequences": ["poplar"] }))),
        ("maxTokens", &[], &[("`maxTokens`", "321")], with(json!({ "maxTokens": 321 }))),
        ("maxTokens, very many", &[], &[], with(json!({ "maxTokens": 2_147_483_647 }))),
        ("other parameters", &[], &[], with(others)),
    ]
}

fn content() -> Vec<Case> {
    let odd = "cedar \u{0}\u{1}\u{7f} \u{202e} \\ \" </script> \u{1F333} e\u{301} \r\n";
    let marked =
        json!({ "type": "text", "text": "cedar", "_meta": { "a.b/c": 1 }, "annotations": { "priority": 0.5 } });
    vec![
        ("_meta and annotations", &[], &[("the text", "cedar")], plain(&marked)),
        ("odd characters", &[], &[("the text", "cedar")], plain(&text(odd))),
        ("image", &["image"], &[("the image", PNG)], plain(&json!([text("cedar"), image()]))),
        ("audio", &["audio"], &[("the audio", WAV)], plain(&json!([text("cedar"), audio()]))),
        (
            "a block of an unknown type",
            &[],
            &[("the block `hologram`", "hologram")],
            plain(&json!({ "type": "hologram", "depth": 3 })),
        ),
    ]
}

fn tools() -> Vec<Case> {
    vec![
        (
            "tools",
            &["tools"],
            &[("the tool's name", "look_up"), ("the tool's description", "larch"), ("the tool's schema", "species")],
            with(json!({ "tools": tool() })),
        ),
        (
            "toolChoice",
            &["tools"],
            &[("the tool's name", "look_up")],
            with(json!({ "tools": tool(), "toolChoice": { "mode": "required" } })),
        ),
        ("no tools offered", &[], &[("the text", "cedar")], with(json!({ "tools": [] }))),
        (
            "tool_use and tool_result",
            &["tools"],
            &[("the tool_use's input", "hornbeam"), ("the tool_result's text", "willow")],
            tool_turn(&json!({ "content": [text("willow")] })),
        ),
    ]
}

fn tool_results() -> Vec<Case> {
    let resource = json!({ "uri": "file:///rowan.txt", "mimeType": "text/plain", "text": "rowan" });
    let binary = json!({ "uri": "file:///b.bin", "blob": "AAAA" });
    let link = json!({ "type": "resource_link", "uri": "file:///alder.txt", "name": "alder" });
    let holding = |block: Value| tool_turn(&json!({ "content": [block] }));
    let resource_of = |resource: Value| holding(json!({ "type": "resource", "resource": resource }));
    vec![
        (
            "a tool_result that is an error",
            &["tools"],
            &[("the tool_result's text", "willow")],
            tool_turn(&json!({ "content": [text("willow")], "isError": true })),
        ),
        (
            "a tool_result with structuredContent",
            &["tools"],
            &[("`structuredContent`", "juniper")],
            tool_turn(&json!({ "content": [], "structuredContent": { "tree": "juniper" } })),
        ),
        ("a tool_result without content", &["tools"], &[], tool_turn(&json!({ "content": [] }))),
        ("a tool_result with an image", &[], &[("the image", PNG)], holding(image())),
        ("a tool_result with audio", &[], &[("the audio", WAV)], holding(audio())),
        ("a tool_result with a resource", &[], &[("the resource", "rowan")], resource_of(resource)),
        ("a tool_result with a binary resource", &[], &[("the resource", "AAAA")], resource_of(binary)),
        ("a tool_result with a resource_link", &[], &[("the link", "alder")], holding(link)),
    ]
}

/// None if the host itself would refuse it: a test sees to it that it never does.
fn canonical(
    name: &'static str,
    needs: &'static [&'static str],
    marks: &[(&'static str, &'static str)],
    params: &Value,
) -> Option<Canonical> {
    let params = CreateMessageRequestParams::from_json(params.to_string().as_bytes()).ok()?;
    params.validate().ok()?;
    let tools = params.tools.as_ref().map(|tools| tools.iter().map(|tool| tool.name.clone()).collect());
    Some(Canonical { name, needs, marks: marks.to_vec(), tools, request: Arc::new(params.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_canonical_request_is_one_that_the_host_lets_through() {
        assert_eq!(all().len(), cases().len() + 1);
    }
}
