//! Hostile verdicts: whatever a guard makes of a request or an answer is refused, or as valid as what it was made of, and asks for no more.

use serde_json::Value;
use understudy::guards::{of_answer, of_request};
use understudy::wit::understudy::plugin::types as wit;
use understudy_mcp_types::{CreateMessageRequestParams, CreateMessageResult};

use crate::seed;

understudy_mcp_types::guard_conversions!(
    understudy::wit::understudy::plugin::types,
    understudy::wit::guard::exports::understudy::plugin::guard
);

/// A request with a block of each type, tools, and all parameters.
const PARAMS: &str = r#"{
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "hi", "_meta": {"a": 1}, "annotations": {"priority": 0.5}},
            {"type": "image", "data": "AAAA", "mimeType": "image/png"}, {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
            {"type": "hologram", "depth": 3}
        ]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "toolUseId": "1", "structuredContent": {"b": 2}, "content": [
            {"type": "text", "text": "x"}, {"type": "image", "data": "AAAA", "mimeType": "image/png"},
            {"type": "resource_link", "uri": "file:///a", "name": "a"},
            {"type": "resource", "resource": {"uri": "file:///b", "blob": "AAAA"}},
            {"type": "resource", "resource": {"uri": "file:///c", "text": "c"}}
        ]}]}
    ],
    "maxTokens": 100, "systemPrompt": "be brief", "includeContext": "none", "temperature": 0.5, "stopSequences": ["x"],
    "metadata": {"a": 1}, "_meta": {"b": 1}, "somethingNew": [1],
    "modelPreferences": {"hints": [{"name": "x"}], "costPriority": 0.1},
    "tools": [{"name": "t", "description": "d", "inputSchema": {"type": "object"}}, {"name": "u", "inputSchema": {"type": "object"}}],
    "toolChoice": {"mode": "required"}
}"#;

const RESULT: &str = r#"{"role": "assistant", "model": "m", "stopReason": "endTurn", "content": [
    {"type": "text", "text": "a"}, {"type": "image", "data": "AAAA", "mimeType": "image/png"},
    {"type": "tool_use", "id": "1", "name": "t", "input": {"a": 1}}
]}"#;

/// The input, taken piece by piece; zeros at its end.
struct Deeds<'a>(&'a [u8]);

impl Deeds<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn below(&mut self, below: usize) -> usize {
        usize::from(self.byte()) % below.max(1)
    }

    /// A text: one that means something somewhere, or the input's own.
    fn text(&mut self) -> String {
        let known = [
            "",
            "{}",
            "[]",
            "{",
            "null",
            "1",
            "{\"type\":\"hologram\"}",
            "{\"type\":1}",
            "auto",
            "any",
            "t",
            "u",
            "\"",
            "AAAA",
        ];
        if let Some(text) = known.get(self.below(known.len() + 4)) {
            return (*text).to_owned();
        }
        let length = self.below(12).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn option(&mut self) -> Option<String> {
        self.byte().is_multiple_of(2).then(|| self.text())
    }

    fn extras(&mut self) -> wit::Extras {
        wit::Extras { meta: self.option(), annotations: self.option(), extensions: self.option() }
    }

    fn block(&mut self) -> wit::ContentBlock {
        let media = |deeds: &mut Self| wit::MediaContent {
            data: deeds.text(),
            mime_type: deeds.text(),
            extras: deeds.extras(),
        };
        match self.below(6) {
            0 => wit::ContentBlock::Text(wit::TextContent { text: self.text(), extras: self.extras() }),
            1 => wit::ContentBlock::Image(media(self)),
            2 => wit::ContentBlock::Audio(media(self)),
            3 => wit::ContentBlock::ToolUse(wit::ToolUseContent {
                id: self.text(),
                name: self.text(),
                input: self.text(),
                extras: self.extras(),
            }),
            4 => wit::ContentBlock::ToolResult(wit::ToolResultContent {
                tool_use_id: self.text(),
                content: Vec::new(),
                structured_content: self.option(),
                is_error: true,
                extras: self.extras(),
            }),
            _ => wit::ContentBlock::Other(wit::OtherContent { kind: self.text(), block: self.text() }),
        }
    }

    /// Changes one thing of a block, or all of it.
    fn change(&mut self, block: &mut wit::ContentBlock) {
        if self.byte().is_multiple_of(4) {
            *block = self.block();
            return;
        }
        match block {
            wit::ContentBlock::Text(text) => text.text = self.text(),
            wit::ContentBlock::Image(media) | wit::ContentBlock::Audio(media) => match self.below(3) {
                0 => media.data = self.text(),
                1 => media.mime_type = self.text(),
                _ => media.extras = self.extras(),
            },
            wit::ContentBlock::ToolUse(call) => match self.below(4) {
                0 => call.id = self.text(),
                1 => call.name = self.text(),
                2 => call.input = self.text(),
                _ => call.extras = self.extras(),
            },
            wit::ContentBlock::ToolResult(result) => match self.below(6) {
                0 => result.tool_use_id = self.text(),
                1 => result.structured_content = self.option(),
                2 => drop(result.content.pop()),
                3 => {
                    let n = self.below(result.content.len());
                    let text = wit::TextContent { text: self.text(), extras: self.extras() };
                    if let Some(block) = result.content.get_mut(n) {
                        *block = wit::ToolResultBlock::Text(text);
                    }
                }
                4 => {
                    let n = self.below(result.content.len());
                    match result.content.get_mut(n) {
                        Some(wit::ToolResultBlock::Resource(resource)) => {
                            resource.contents = wit::ResourceContents::Blob(self.text());
                            resource.resource_meta = self.option();
                        }
                        Some(wit::ToolResultBlock::ResourceLink(link)) => link.uri = self.text(),
                        _ => {}
                    }
                }
                _ => result.extras = self.extras(),
            },
            wit::ContentBlock::Other(other) => match self.below(2) {
                0 => other.kind = self.text(),
                _ => other.block = self.text(),
            },
        }
    }

    fn request(&mut self, request: &mut wit::CreateMessageRequest) {
        match self.below(18) {
            0 => request.max_tokens = u32::from(self.byte()),
            1 => request.system_prompt = self.option(),
            2 => request.include_context = self.option(),
            3 => {
                request.temperature =
                    Some(f64::from_bits(u64::from_le_bytes([self.byte(), 0, 0, 0, 0, 0, self.byte(), self.byte()])));
            }
            4 => request.stop_sequences.push(self.text()),
            5 => request.metadata = self.option(),
            6 => request.meta = self.option(),
            7 => request.extensions = self.text(),
            8 => request.tools = None,
            9 => {
                if let Some(choice) = &mut request.tool_choice {
                    choice.mode = self.option();
                    choice.extensions = self.option();
                }
            }
            10 => {
                if let Some(preferences) = &mut request.model_preferences {
                    preferences.cost_priority = Some(f64::from(self.byte()) / 100.0);
                    preferences.extensions = self.option();
                    preferences.hints.push(wit::ModelHint { name: self.option(), extensions: self.option() });
                }
            }
            11 => drop(request.messages.pop()),
            12 => {
                let (n, content) = (self.below(request.messages.len()), self.block());
                if let Some(message) = request.messages.get_mut(n) {
                    message.content.push(content);
                }
            }
            13 => {
                let n = self.below(request.messages.len());
                if let Some(message) = request.messages.get_mut(n) {
                    message.meta = self.option();
                    message.extensions = self.option();
                }
            }
            14 => {
                let n = self.below(2);
                match (self.below(4), request.tools.as_mut()) {
                    (0, Some(tools)) if n < tools.len() => drop(tools.remove(n)),
                    (1, Some(tools)) => tools.reverse(),
                    (2, Some(tools)) => {
                        if let Some(tool) = tools.get_mut(n) {
                            tool.name = self.text();
                        }
                    }
                    (_, Some(tools)) => {
                        if let Some(tool) = tools.get_mut(n) {
                            tool.input_schema = self.text();
                            tool.output_schema = self.option();
                            tool.extras = self.extras();
                        }
                    }
                    (_, None) => {}
                }
            }
            _ => {
                let n = self.below(request.messages.len());
                if let Some(message) = request.messages.get_mut(n) {
                    let n = self.below(message.content.len());
                    if let Some(block) = message.content.get_mut(n) {
                        self.change(block);
                    }
                }
            }
        }
    }
}

fn parsed(json: &Value) -> Result<CreateMessageRequestParams, String> {
    let params = CreateMessageRequestParams::from_json(json.to_string().as_bytes()).map_err(|e| e.to_string())?;
    params.validate().map_err(|e| e.to_string())?;
    Ok(params)
}

/// Changes a request and an answer as the input says, and holds what the host lets through to what a guard may do.
pub fn judged(input: &[u8]) {
    let mut deeds = Deeds(input);
    let params =
        parsed(&serde_json::from_str(PARAMS).unwrap_or_else(|e| panic!("{e}"))).unwrap_or_else(|e| panic!("{e}"));
    let before = wit::CreateMessageRequest::from(params);
    let mut after = before.clone();
    for _ in 0..=deeds.below(4) {
        deeds.request(&mut after);
    }
    if let Err(reason) = of_request(&before, &after) {
        crate::check_words(&understudy::text::one_line(&reason, 500));
    } else {
        let json = request_json(&after);
        parsed(&json).unwrap_or_else(|e| panic!("{e}: {json}"));
        assert!(after.max_tokens <= before.max_tokens && after.messages.len() == before.messages.len());
        let names = |request: &wit::CreateMessageRequest| -> Vec<String> {
            request.tools.iter().flatten().map(|tool| tool.name.clone()).collect()
        };
        assert!(names(&after).iter().all(|name| names(&before).contains(name)));
    }
    let result = CreateMessageResult::from_json(RESULT.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    let before = wit::CreateMessageResult::from(result);
    let mut after = before.clone();
    match deeds.below(6) {
        0 => after.model = deeds.text(),
        1 => after.stop_reason = deeds.option(),
        2 => after.meta = deeds.option(),
        3 => drop(after.content.pop()),
        _ => {
            let n = deeds.below(after.content.len());
            if let Some(block) = after.content.get_mut(n) {
                deeds.change(block);
            }
        }
    }
    if of_answer(&before, &after).is_ok() {
        assert_eq!(after.model, before.model);
        let result = CreateMessageResult::try_from(after).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(result.content.len(), before.content.len());
    }
}

/// Seeds: each kind of change.
pub fn verdict_seeds() {
    for deed in 0..18_u8 {
        seed(&format!("change-{deed}"), &[0, deed, 1, 2, 3, 4, deed]);
    }
}
