//! Conversations made up at random, as servers have them.

use fastrand::Rng;
use serde_json::{Value, json};

const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Schemas that servers really send, some of which providers refuse as they are.
fn schemas() -> Vec<Value> {
    vec![
        json!({ "type": "object" }),
        json!({ "type": "object", "properties": {} }),
        json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] }),
        json!({ "type": "object", "properties": { "list": { "type": "array" }, "n": { "type": "number" } }, "required": ["list"] }),
        json!({ "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": "integer" } }, "anyOf": [{ "required": ["a"] }, { "required": ["b"] }] }),
        json!({ "type": "object", "oneOf": [{ "properties": { "kind": { "const": "x" } }, "required": ["kind"] }, { "properties": { "id": { "type": "integer" } }, "required": ["id"] }] }),
        json!({ "type": "object", "allOf": [{ "properties": { "q": { "type": "string" } }, "required": ["q"] }] }),
        json!({ "type": "object", "properties": { "$filter": { "type": "string" }, "a b": { "type": "integer" }, "größe": { "type": "string" } }, "required": ["$filter", "a b"] }),
        json!({ "$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": { "pair": { "type": "array", "items": [{ "type": "string" }, { "type": "number" }] } }, "required": ["pair"] }),
        json!({ "$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "properties": { "n": { "type": "integer", "minimum": 0, "exclusiveMinimum": true } }, "required": ["n"] }),
        json!({ "type": "object", "properties": { "p": { "$ref": "#/$defs/Point" } }, "required": ["p"], "$defs": { "Point": { "type": "object", "properties": { "x": { "type": "number" } }, "required": ["x"] } } }),
        json!({ "type": "object", "properties": { "p": { "$ref": "#/definitions/P" } }, "definitions": { "P": { "type": ["string", "null"] } } }),
        json!({ "type": "object", "properties": { "free": { "type": "object" }, "any": true, "e": { "enum": ["a", 1, null] } }, "required": ["free"], "additionalProperties": false }),
        json!({ "type": "object", "properties": { "deep": { "type": "object", "properties": { "more": { "type": "array", "items": { "type": "object", "properties": { "x": { "anyOf": [{ "type": "string" }, { "type": "null" }] } } } } } } } }),
        json!({ "type": "object", "properties": { "long": { "type": "string", "description": "word ".repeat(300) } } }),
    ]
}

const NAMES: [&str; 8] = ["weather", "files.read", "files_read", "a/b", "get-it", "x2", "final_response", "Größe"];

/// A conversation as a server keeps it.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// MCP's messages.
    pub messages: Vec<Value>,
    tools: Vec<Value>,
    system: Option<String>,
}

fn text(said: &str) -> Value {
    json!({ "type": "text", "text": said })
}

fn user(content: &Value) -> Value {
    json!({ "role": "user", "content": content })
}

/// The blocks of a message.
#[must_use]
pub fn blocks(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::Array(blocks) => blocks.clone(),
        block => vec![block.clone()],
    }
}

/// The tool uses of a message.
#[must_use]
pub fn uses(message: &Value) -> Vec<Value> {
    blocks(message).into_iter().filter(|block| block["type"] == "tool_use").collect()
}

impl Conversation {
    /// One that begins here, or with a history from elsewhere.
    pub fn begin(random: &mut Rng) -> Self {
        let mut conversation = Self { messages: Vec::new(), tools: Vec::new(), system: None };
        if random.u8(..4) == 0 {
            conversation.messages = brought(random);
        }
        conversation
    }

    /// What the server adds before it asks, and what it changes in what it has.
    pub fn go_on(&mut self, random: &mut Rng) {
        let open = self.messages.last().map(uses).unwrap_or_default();
        if !open.is_empty() {
            self.messages.push(user(&open.iter().map(|call| result(call, random)).collect()));
        }
        let waits = open.is_empty() || self.messages.last().is_some_and(|last| last["role"] == "assistant");
        if waits || random.u8(..4) == 0 {
            for _ in 0..=usize::from(random.u8(..3) == 0) {
                self.messages.push(user(&text(
                    random.choice(["And then?", "  Go on.\n", "{", "Ünïcode \u{1f680}"]).unwrap_or("x"),
                )));
            }
        }
        if random.u8(..6) == 0 {
            self.messages
                .push(user(&json!([text("What is this?"), { "type": "image", "data": PNG, "mimeType": "image/png" }])));
        }
        if random.u8(..10) == 0 {
            self.messages.push(json!({ "role": "assistant", "content": text("{ ") }));
        }
        if random.u8(..4) == 0 || self.tools.is_empty() {
            self.choose_tools(random);
        }
        if random.u8(..5) == 0 {
            self.system =
                random.choice([None, Some(""), Some("Be brief."), Some("It is Tuesday.")]).flatten().map(str::to_owned);
        }
        if random.u8(..8) == 0 {
            self.trim(random);
        }
        if random.u8(..8) == 0 {
            self.forget_meta();
        }
    }

    fn choose_tools(&mut self, random: &mut Rng) {
        let schemas = schemas();
        let mut names = NAMES.map(str::to_owned).to_vec();
        names.push("long_".repeat(20));
        random.shuffle(&mut names);
        let schema = |random: &mut Rng| schemas.get(random.usize(..schemas.len())).cloned().unwrap_or_default();
        self.tools = names
            .into_iter()
            .take(random.usize(..4))
            .map(|name| json!({ "name": name, "description": "A tool", "inputSchema": schema(random) }))
            .collect();
    }

    /// Forgets the beginning, up to something that the user said.
    fn trim(&mut self, random: &mut Rng) {
        let said = |message: &Value| {
            message["role"] == "user" && blocks(message).iter().all(|block| block["type"] != "tool_result")
        };
        let starts: Vec<usize> = (0..self.messages.len()).filter(|n| self.messages.get(*n).is_some_and(said)).collect();
        if let Some(start) = random.choice(starts) {
            self.messages.drain(..start);
        }
    }

    /// As servers do whose types have no `_meta`.
    fn forget_meta(&mut self) {
        for message in &mut self.messages {
            for block in message["content"].as_array_mut().into_iter().flatten() {
                block.as_object_mut().and_then(|block| block.remove("_meta"));
            }
        }
    }

    /// The request that the server makes of it.
    pub fn params(&self, random: &mut Rng) -> Value {
        let mut params = json!({ "messages": self.messages, "maxTokens": 500 });
        if let Some(most) = random.choice([None, None, Some(1), Some(100), Some(30_000), Some(1_000_000)]).flatten() {
            params["maxTokens"] = json!(most);
        }
        if let Some(system) = &self.system {
            params["systemPrompt"] = json!(system);
        }
        if !self.tools.is_empty() && random.u8(..4) > 0 {
            params["tools"] = json!(self.tools);
            if let Some(mode) = random.choice([None, None, Some("auto"), Some("required"), Some("none")]).flatten() {
                params["toolChoice"] = json!({ "mode": mode });
            }
        }
        if random.u8(..4) == 0 {
            params["temperature"] = json!(random.choice([0.0, 0.7, 1.0, 2.0]).unwrap_or(0.0));
        }
        if random.u8(..5) == 0 {
            let stops = [
                json!(["\u{3}END"]),
                json!(["", "\n\u{3}"]),
                json!(["1\u{3}", "2\u{3}", "3\u{3}", "4\u{3}", "5\u{3}", "6\u{3}"]),
            ];
            params["stopSequences"] = random.choice(stops).unwrap_or_default();
        }
        if random.u8(..6) == 0 {
            params["_meta"] = json!({ "progressToken": 1 });
        }
        params
    }
}

/// A history that comes from elsewhere: ids in every form, several of them the same.
fn brought(random: &mut Rng) -> Vec<Value> {
    let ids = ["functions.get_weather:0", "call|x/1", "toolu_01ABC", "call_0", "a1B2c3D4e", "", "ünï", &"x".repeat(90)];
    let mut messages = vec![user(&text("Hello"))];
    for _ in 0..=random.usize(..3) {
        let id = random.choice(ids).unwrap_or("call_0");
        let (first, second) = (format!("{id}1"), format!("{id}2"));
        let call = |id: &str, name: &str| json!({ "type": "tool_use", "id": id, "name": name, "input": { "q": id } });
        let content = if random.bool() {
            json!([text("Let me look."), call(&first, "weather"), call(&second, "old.tool")])
        } else {
            json!([call(&first, "weather"), call(&second, "weather")])
        };
        let message = json!({ "role": "assistant", "content": content });
        let results: Value = uses(&message).iter().map(|call| result(call, random)).collect();
        messages.extend([message, user(&results)]);
        if random.bool() {
            messages.push(json!({ "role": "assistant", "content": text("Done.") }));
            messages.push(user(&text("Once more")));
        }
    }
    messages
}

/// What a tool says: by which call it was asked, so that it can be told where it arrives.
#[must_use]
pub fn mark(call: &Value) -> String {
    format!("the answer to {} of {}", call["name"].as_str().unwrap_or_default(), call["input"])
}

fn result(call: &Value, random: &mut Rng) -> Value {
    let mut content = vec![text(&mark(call))];
    if random.u8(..8) == 0 {
        content.push(json!({ "type": "image", "data": PNG, "mimeType": "image/png" }));
    }
    json!({ "type": "tool_result", "toolUseId": call["id"], "content": content, "isError": random.u8(..8) == 0 })
}
