use std::collections::BTreeSet;
use std::fmt::Write;

use super::*;
use crate::models;
use crate::settings::SCHEMA;

fn name(origin: Option<&str>, model: &str) -> &'static str {
    Spoken::of(None, origin, model).dialect.name
}

#[test]
fn the_endpoint_tells_the_dialect_or_else_the_model() {
    for (origin, model, expected) in [
        (Some("https://api.openai.com"), "gpt-6-luna", "openai"),
        (Some("https://acme.openai.azure.com"), "chat-prod", "azure"),
        (Some("https://api.mistral.ai"), "ft:open-mistral-7b:x", "mistral"),
        (Some("https://codestral.mistral.ai"), "anything", "mistral"),
        (Some("https://notmistral.ai"), "m", "compatible"),
        (Some("https://api.groq.com"), "openai/gpt-oss-120b", "groq"),
        (Some("https://openrouter.ai"), "mistralai/mistral-large", "openrouter"),
        (Some("https://bedrock-runtime.us-east-1.amazonaws.com"), "openai.gpt-oss-120b-1:0", "bedrock"),
        (Some("https://generativelanguage.googleapis.com"), "gemini-3.8-flash", "gemini"),
        (Some("http://localhost:1234"), "qwen", "lmstudio"),
        (Some("http://127.0.0.1:4000"), "qwen", "litellm"),
        (Some("http://gpu.example:4000"), "qwen", "compatible"),
        (Some("http://127.0.0.1:8000"), "mistralai/Mistral-Small-3.2-24B", "mistral"),
        (None, "mistral-large-latest", "mistral"),
        (None, "deepseek-reasoner", "deepseek"),
        (None, "openai/gpt-6-luna:nitro", "openai"),
        (None, "gpt-oss-120b", "compatible"),
        (None, "m", "compatible"),
    ] {
        assert_eq!(name(origin, model), expected, "{origin:?} {model}");
    }
    let setting = Dialect::named("vllm");
    assert_eq!(Spoken::of(setting, Some("https://api.mistral.ai"), "gpt-5").dialect.name, "vllm");
}

#[test]
fn the_settings_schema_names_every_dialect() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let named = schema["properties"]["dialect"]["enum"].as_array().into_iter().flatten();
    let named: Vec<&str> = named.filter_map(serde_json::Value::as_str).collect();
    assert_eq!(named, TABLE.iter().map(|dialect| dialect.name).collect::<Vec<_>>());
    assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len());
}

fn listed(items: &[&str]) -> String {
    let items: Vec<String> = items.iter().map(|item| format!("`{item}`")).collect();
    if items.is_empty() { "–".to_owned() } else { items.join(", ") }
}

fn dialects() -> String {
    let mut table = String::from(
        "| `dialect` | server | host | tokens in a stream | ends with the assistant | ids | image in a tool result | `stopSequences` | hottest | reasoning goes back in | `metadata` | as of |\n|",
    );
    let _ = writeln!(table, "{}", " --- |".repeat(12));
    for dialect in TABLE {
        let prefill = match dialect.prefill {
            Prefill::Plain => "as it is",
            Prefill::Continue => "`continue_final_message`",
            Prefill::User => "the user asks to go on",
        };
        let fields = dialect.reasoning.iter().map(|field| match field {
            Field::ReasoningContent => "reasoning_content",
            Field::Reasoning => "reasoning",
            Field::ReasoningDetails => "reasoning_details",
            Field::ThinkingBlocks => "thinking_blocks",
        });
        let _ = writeln!(
            table,
            "| `{}` | [{}]({}) | {} | {} | {prefill} | {} | {} | {} | {} | {} | {} | {} |",
            dialect.name,
            dialect.title,
            dialect.source.split_whitespace().next().unwrap_or_default(),
            listed(dialect.hosts),
            if dialect.stream_options { "asked for" } else { "told unasked" },
            if dialect.ids.is_exact { "just 9" } else { "up to 64" },
            if dialect.images_in_tool_results { "there" } else { "in a user message" },
            if dialect.most_stops == usize::MAX { "any".to_owned() } else { dialect.most_stops.to_string() },
            dialect.hottest,
            listed(&fields.collect::<Vec<_>>()),
            listed(dialect.metadata),
            dialect.as_of,
        );
    }
    table
}

fn profiles() -> String {
    let mut table = String::from(
        "| models | reasons | can do without | takes `stop` | most tokens written | may end with the assistant | `required` | as of |\n|",
    );
    let _ = writeln!(table, "{}", " --- |".repeat(8));
    let yes = |is: bool| if is { "yes" } else { "no" };
    for row in models::TABLE {
        let facts = &row.facts;
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {} | [{}]({}) |",
            listed(row.models),
            yes(facts.reasons),
            yes(facts.reasons && facts.can_do_without_reasoning),
            yes(facts.takes_stop),
            facts.most_output.map_or_else(|| "–".to_owned(), |most| most.to_string()),
            yes(facts.takes_prefill),
            if facts.can_be_forced { "sent" } else { "told in the system prompt" },
            row.as_of,
            row.source,
        );
    }
    table
}

#[test]
fn the_docs_have_the_tables_that_the_plugin_goes_by() {
    const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/providers.md");
    let mut text = std::fs::read_to_string(DOCS).unwrap();
    let before = text.clone();
    for (name, table) in [("dialects", dialects()), ("openai's models", profiles())] {
        let (begin, end) = (format!("<!-- {name} -->\n"), "<!-- so far -->");
        let (head, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("no table of {name}"));
        let (_, tail) = rest.split_once(end).unwrap_or_else(|| panic!("the table of {name} doesn't end"));
        text = format!("{head}{begin}{table}{end}{tail}");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(DOCS, text).unwrap();
    } else {
        assert!(
            text == before,
            "docs/providers.md is not what the plugin goes by; `UPDATE_DOCS=1 cargo test --workspace -p understudy-plugin-openai --lib` writes it anew"
        );
    }
}
