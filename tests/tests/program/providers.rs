//! The table of `docs/providers.md`, made from the plugins' fixtures: what no fixture shows is not claimed.
//!
//! `UPDATE_DOCS=1` writes it anew.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "that is how a test reports")]

use std::fmt::Write;

use serde_json::Value;
use understudy_tests::peers::workspace;

/// The columns: a plugin's folder, and how its fixtures are told apart if it has several APIs.
const COLUMNS: [(&str, &str, Option<&str>); 5] = [
    ("`anthropic`", "anthropic", None),
    ("`openai`, Chat Completions", "openai", Some("chat")),
    ("`openai`, Responses", "openai", Some("responses")),
    ("`gemini`", "gemini", None),
    ("`ollama`", "ollama", None),
];

/// A fixture: one request and what came of it.
struct Case {
    request: Value,
    /// The bodies that went to the provider.
    bodies: Vec<Value>,
    /// What the provider's answers were asked to be.
    framings: Vec<String>,
    result: Value,
    usage: Value,
    error: Value,
}

type Shows = fn(&Case) -> bool;

/// What a server may say. A fixture shows it if it is in the request and the provider got it.
const ASKED: &[(&str, Shows)] = &[
    ("several blocks in one message", |c| c.messages().any(|m| blocks(m).len() > 1 && kinds(m).any(|k| k == "text"))),
    ("image: png", |c| c.media("image", "image/png")),
    ("image: jpeg", |c| c.media("image", "image/jpeg")),
    ("image: gif", |c| c.media("image", "image/gif")),
    ("image: webp", |c| c.media("image", "image/webp")),
    ("audio: wav", |c| c.media("audio", "audio/wav")),
    ("audio: mp3", |c| c.media("audio", "audio/mpeg") || c.media("audio", "audio/mp3")),
    ("audio: ogg, flac and others", |c| {
        ["audio/ogg", "audio/flac", "audio/aac", "audio/aiff", "audio/mp4"].iter().any(|kind| c.media("audio", kind))
    }),
    ("`systemPrompt`", |c| c.sent(&c.request["systemPrompt"])),
    ("`temperature`", |c| c.request["temperature"].is_number() && c.has_key("temperature")),
    ("`stopSequences`", |c| c.request["stopSequences"].as_array().is_some_and(|stops| !stops.is_empty())),
    ("`metadata`", |c| c.request["metadata"].as_object().is_some_and(|m| m.values().any(|value| c.sent(value)))),
    ("`tools`", |c| c.tools().any(|tool| c.sent(&tool["description"]))),
    ("`toolChoice`: `auto`", |c| c.request["toolChoice"]["mode"] == "auto"),
    ("`toolChoice`: `required`", |c| c.request["toolChoice"]["mode"] == "required"),
    ("`toolChoice`: `none`", |c| c.request["toolChoice"]["mode"] == "none"),
    ("parallel tool use in the conversation", |c| {
        c.messages().any(|message| kinds(message).filter(|kind| *kind == "tool_use").count() > 1)
    }),
    ("tool result: text", |c| c.in_results("text")),
    ("tool result: image", |c| c.in_results("image")),
    ("tool result: audio", |c| c.in_results("audio")),
    ("tool result: resource link", |c| c.in_results("resource_link")),
    ("tool result: embedded text", |c| c.embedded("text")),
    ("tool result: embedded PDF", |c| c.embedded_blob("application/pdf")),
    ("tool result: embedded image", |c| c.embedded_blob("image/")),
    ("tool result: `structuredContent`", |c| c.results().any(|result| !result["structuredContent"].is_null())),
    ("tool result: `isError`", |c| c.results().any(|result| result["isError"] == true)),
    ("the model's reasoning, given back on the next turn (in `_meta`)", |c| {
        let carried = |block: &Value| block["_meta"].as_object().is_some_and(|m| m.keys().any(|k| is_own(k)));
        c.messages().any(|message| blocks(message).iter().any(|block| carried(block)))
    }),
    ("the answer as a stream", |c| c.framings.iter().any(|framing| framing != "whole")),
];

/// What a provider may answer. A fixture shows it if it is in the result.
const ANSWERED: &[(&str, Shows)] = &[
    ("text", |c| c.says("text")),
    ("image", |c| c.says("image")),
    ("audio", |c| c.says("audio")),
    ("tool use", |c| c.says("tool_use")),
    ("parallel tool use", |c| kinds(&c.result).filter(|kind| *kind == "tool_use").count() > 1),
    ("reasoning, kept for the next turn (in `_meta`)", |c| {
        blocks(&c.result).iter().any(|block| block["_meta"].as_object().is_some_and(|m| m.keys().any(|k| is_own(k))))
    }),
    ("`stopReason`: `endTurn`", |c| c.result["stopReason"] == "endTurn"),
    ("`stopReason`: `stopSequence`", |c| c.result["stopReason"] == "stopSequence"),
    ("`stopReason`: `maxTokens`", |c| c.result["stopReason"] == "maxTokens"),
    ("`stopReason`: `toolUse`", |c| c.result["stopReason"] == "toolUse"),
    ("`stopReason`: a refusal or filter, in the provider's word", |c| {
        let known = ["endTurn", "stopSequence", "maxTokens", "toolUse"];
        c.result["stopReason"].as_str().is_some_and(|reason| !known.contains(&reason))
    }),
    ("tokens: read and written", |c| c.usage["input"].is_u64() && c.usage["output"].is_u64()),
    ("tokens: cached", |c| c.usage["details"].to_string().contains("cache")),
    ("tokens: reasoning", |c| {
        ["reasoning", "thoughts", "thinking"].iter().any(|word| c.usage["details"].to_string().contains(word))
    }),
    ("error: `rate-limited`, with the time to wait", |c| c.fails("rate-limited") && c.error["retryAfterMs"].is_u64()),
    ("error: `overloaded` or `unavailable`", |c| c.fails("overloaded") || c.fails("unavailable")),
    ("error: `unauthorized`", |c| c.fails("unauthorized")),
    ("error: `quota-exceeded`", |c| c.fails("quota-exceeded")),
    ("error: `not-found`", |c| c.fails("not-found")),
    ("error: `context-too-long`", |c| c.fails("context-too-long")),
    ("error: `content-filtered`", |c| c.fails("content-filtered")),
];

fn is_own(key: &str) -> bool {
    key.starts_with("understudy.")
}

/// A message's or a result's blocks: one or a list.
fn blocks(message: &Value) -> Vec<&Value> {
    match &message["content"] {
        Value::Array(blocks) => blocks.iter().collect(),
        Value::Null => Vec::new(),
        block => vec![block],
    }
}

fn kinds(message: &Value) -> impl Iterator<Item = &str> {
    blocks(message).into_iter().filter_map(|block| block["type"].as_str())
}

impl Case {
    fn read(fixture: &Value) -> Self {
        let requests: Vec<&Value> =
            fixture["exchanges"].as_array().into_iter().flatten().map(|exchange| &exchange["request"]).collect();
        Self {
            request: fixture["request"].clone(),
            bodies: requests.iter().map(|request| request["body"].clone()).collect(),
            framings: requests.iter().map(|r| r["framing"].as_str().unwrap_or("whole").to_owned()).collect(),
            result: fixture["result"].clone(),
            usage: fixture["usage"].clone(),
            error: fixture["error"].clone(),
        }
    }

    fn is_answered(&self) -> bool {
        self.result.is_object()
    }

    fn is_refused(&self) -> bool {
        self.error["kind"] == "unsupported"
    }

    fn messages(&self) -> impl Iterator<Item = &Value> {
        self.request["messages"].as_array().into_iter().flatten()
    }

    fn tools(&self) -> impl Iterator<Item = &Value> {
        self.request["tools"].as_array().into_iter().flatten()
    }

    fn results(&self) -> impl Iterator<Item = &Value> {
        self.messages().flat_map(blocks).filter(|block| block["type"] == "tool_result")
    }

    fn media(&self, kind: &str, mime_type: &str) -> bool {
        self.messages().flat_map(blocks).any(|block| block["type"] == kind && block["mimeType"] == mime_type)
    }

    fn in_results(&self, kind: &str) -> bool {
        self.results().any(|result| kinds(result).any(|found| found == kind))
    }

    fn embedded(&self, field: &str) -> bool {
        self.results().flat_map(blocks).any(|block| block["resource"][field].is_string())
    }

    fn embedded_blob(&self, mime_type: &str) -> bool {
        self.results().flat_map(blocks).any(|block| {
            let resource = &block["resource"];
            resource["blob"].is_string() && resource["mimeType"].as_str().is_some_and(|m| m.starts_with(mime_type))
        })
    }

    /// Whether a text of the request stands in what went to the provider; or, if nothing went, whether it is in the request.
    fn sent(&self, value: &Value) -> bool {
        let Some(text) = value.as_str().filter(|text| !text.is_empty()) else { return false };
        let escaped = Value::from(text).to_string();
        let spelt = escaped.trim_matches('"');
        self.bodies.is_empty() || self.bodies.iter().any(|body| body.to_string().contains(spelt))
    }

    fn has_key(&self, key: &str) -> bool {
        self.bodies.is_empty() || self.bodies.iter().any(|body| body.to_string().contains(&format!("\"{key}\":")))
    }

    fn says(&self, kind: &str) -> bool {
        kinds(&self.result).any(|found| found == kind)
    }

    fn fails(&self, kind: &str) -> bool {
        self.error["kind"] == kind
    }
}

fn cases(folder: &str, api: Option<&str>) -> Vec<Case> {
    let folder = workspace().join("plugins").join(folder).join("fixtures");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let fixture: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", entry.path().display()));
        let is = fixture["options"]["settings"]["api"].as_str().unwrap_or("chat");
        if api.is_none_or(|api| api == is) {
            cases.push(Case::read(&fixture));
        }
    }
    cases
}

fn table() -> String {
    let columns: Vec<Vec<Case>> = COLUMNS.iter().map(|(_, folder, api)| cases(folder, *api)).collect();
    let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    let mut table = String::new();
    let head = |table: &mut String, first: &str| {
        let _ = writeln!(table, "| {first} | {} |\n|{}", names.join(" | "), " --- |".repeat(names.len() + 1));
    };
    head(&mut table, "asked");
    for (feature, shows) in ASKED {
        let cell = |cases: &Vec<Case>| {
            let shown = || cases.iter().filter(|case| shows(case));
            if shown().any(Case::is_answered) {
                "yes"
            } else if shown().any(Case::is_refused) {
                "refused"
            } else {
                "–"
            }
        };
        let _ = writeln!(table, "| {feature} | {} |", columns.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    table.push('\n');
    head(&mut table, "answered");
    for (feature, shows) in ANSWERED {
        let cell = |cases: &Vec<Case>| if cases.iter().any(shows) { "yes" } else { "–" };
        let _ = writeln!(table, "| {feature} | {} |", columns.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    table
}

#[test]
fn the_table_of_providers_and_features_is_what_the_fixtures_show() {
    let path = workspace().join("docs/providers.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (before, rest) = text.split_once("<!-- from the fixtures -->\n").unwrap_or_else(|| panic!("no table"));
    let (found, after) = rest.split_once("<!-- so far -->").unwrap_or_else(|| panic!("the table doesn't end"));
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{before}<!-- from the fixtures -->\n{table}<!-- so far -->{after}");
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    } else {
        assert!(
            found == table,
            "docs/providers.md is not what the fixtures show; `UPDATE_DOCS=1 cargo test --workspace --test program providers` writes it anew:\n{table}"
        );
    }
}
