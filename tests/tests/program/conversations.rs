//! Random conversations of twenty rounds, answered by the strict stand-ins, with the model and the provider changed in between:
//! no request is refused, no tool call is lost, and each tool's result reaches its call.
//!
//! The same conversations in every run. `CONVERSATIONS` asks for more of them, `SEED` for one.
#![expect(clippy::indexing_slicing, reason = "that is how a test reports")]

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};
use understudy_plugin::Provider;
use understudy_plugin_anthropic::Anthropic;
use understudy_plugin_gemini::Gemini;
use understudy_plugin_openai::OpenAi;
use understudy_standins::openai_chat::Dialect;
use understudy_standins::{Body, Called, Request, Said};
use understudy_tests::conversation::{Conversation, blocks, mark, uses};
use understudy_tests::standin::{Exchange, calls, exchange, offered};

const ROUNDS: usize = 20;

/// Who answers.
#[derive(Debug, Clone)]
struct Who {
    plugin: &'static str,
    model: String,
    settings: Value,
    dialect: Dialect,
}

/// Every model of every catalogue, the Responses API and some models that the catalogues have replaced.
fn everybody() -> Vec<Who> {
    let who =
        |plugin, model: &str, settings: Value, dialect| Who { plugin, model: model.to_owned(), settings, dialect };
    let mut list = Vec::new();
    for model in Anthropic::describe().models {
        list.push(who("anthropic", &model.name, json!({}), Dialect::OpenAi));
    }
    for model in ["claude-opus-4-8", "claude-sonnet-5", "claude-fable-5-1", "anthropic/claude-opus-5.5"] {
        list.push(who("anthropic", model, json!({}), Dialect::OpenAi));
    }
    list.push(who(
        "anthropic",
        "claude-haiku-4-5",
        json!({ "thinking": { "type": "enabled", "budget_tokens": 2048 } }),
        Dialect::OpenAi,
    ));
    list.push(who("anthropic", "claude-sonnet-4-6", json!({ "thinking": { "type": "adaptive" } }), Dialect::OpenAi));
    for model in OpenAi::describe().models {
        list.push(who("openai", &model.name, json!({}), Dialect::OpenAi));
        if !model.name.contains("audio") {
            list.push(who("openai", &model.name, json!({ "api": "responses" }), Dialect::OpenAi));
        }
    }
    list.push(who("openai", "gpt-6.1-sol", json!({ "api": "responses" }), Dialect::OpenAi));
    list.push(who("openai", "gpt-4.1", json!({ "stream": true }), Dialect::OpenAi));
    for model in Gemini::describe().models {
        list.push(who("gemini", &model.name, json!({}), Dialect::OpenAi));
    }
    for model in ["gemini-2.5-flash", "gemini-3.1-pro-preview"] {
        list.push(who("gemini", model, json!({ "stream": true }), Dialect::OpenAi));
    }
    for model in ["qwen3", "llama3.3", "gpt-oss:20b"] {
        list.push(who("ollama", model, json!({}), Dialect::OpenAi));
    }
    list.extend(compatible());
    list
}

/// Servers of Chat Completions that aren't OpenAI's.
fn compatible() -> Vec<Who> {
    Dialect::ALL
        .into_iter()
        .filter(|(dialect, _)| !matches!(dialect, Dialect::OpenAi))
        .map(|(dialect, model)| Who {
            plugin: "openai",
            model: model.to_owned(),
            settings: json!({ "dialect": dialect.name() }),
            dialect,
        })
        .collect()
}

/// JSON without the names of its members, which a provider may not take as they are, and with numbers as they compare.
fn bare(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.values().map(bare).collect(),
        Value::Array(items) => items.iter().map(bare).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

/// Whether the arguments on the wire are those of MCP, but for the names of members; a schema with a combinator at its top may go out one
/// property further down.
fn are_alike(wire: &Value, mcp: &Value) -> bool {
    let inner = wire.get("arguments").filter(|_| wire.as_object().is_some_and(|members| members.len() == 1));
    bare(wire) == bare(mcp) || inner.is_some_and(|inner| bare(inner) == bare(mcp))
}

/// What went wrong with a request's way to the provider.
fn history_problem(plugin: &str, messages: &Value, request: &Request) -> Option<String> {
    let list = messages.as_array().map(Vec::as_slice).unwrap_or_default();
    let expected: Vec<Value> = list.iter().flat_map(uses).collect();
    let arrived: Vec<Called> = calls(plugin, request);
    if expected.len() != arrived.len() {
        return Some(format!("{} tool calls of {} arrived", arrived.len(), expected.len()));
    }
    expected.iter().zip(&arrived).find_map(|(call, arrived)| {
        // Within the provider's JSON the text may be spelled with escapes.
        let mark = json!(mark(call)).to_string();
        let result = arrived.result.clone().unwrap_or_default().replace('\\', "");
        let is_same = are_alike(&arrived.input, &call["input"]);
        let has_result = result.contains(mark.trim_matches('"').replace('\\', "").as_str());
        (!is_same || !has_result).then(|| format!("{call} arrived as {arrived:?}"))
    })
}

/// What went wrong with the answer's way back.
fn answer_problem(who: &Who, params: &Value, request: &Request, said: &Said, result: &Value) -> Option<String> {
    let came = uses(result);
    let names = offered(who.plugin, request);
    let tools: Vec<&Value> = params["tools"].as_array().into_iter().flatten().collect();
    // Where a tool can't be forced, the answer's text is the call.
    let mut calls = said.calls.clone();
    let text_call = said.text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let is_forced = params["toolChoice"]["mode"] == "required" && calls.is_empty();
    if let (Some(call), true) = (text_call.filter(|call| call["arguments"].is_object()), is_forced) {
        calls = vec![(call["name"].as_str().unwrap_or_default().to_owned(), call["arguments"].clone())];
    }
    if came.len() != calls.len() {
        return Some(format!("{} tool calls of {} came back", came.len(), calls.len()));
    }
    if !came.is_empty() && result["stopReason"] != "toolUse" {
        return Some(format!("`stopReason` is {}", result["stopReason"]));
    }
    for (call, (name, input)) in came.iter().zip(&calls) {
        let tool = names.iter().position(|offered| offered == name).and_then(|n| tools.get(n));
        let tool = tool.or_else(|| tools.iter().find(|tool| tool["name"] == **name));
        if tool.is_none_or(|tool| tool["name"] != call["name"]) || !are_alike(input, &call["input"]) {
            return Some(format!("the call of `{name}` with {input} came back as {call}"));
        }
        let schema = tool.map(|tool| &tool["inputSchema"]);
        let taken = schema
            .and_then(|schema| jsonschema::validator_for(schema).ok())
            .is_none_or(|schema| schema.is_valid(&call["input"]));
        if !taken {
            return Some(format!(
                "{} doesn't fit the server's schema {}",
                call["input"],
                schema.unwrap_or(&Value::Null)
            ));
        }
    }
    let texts: String = blocks(result).iter().filter_map(|block| block["text"].as_str()).collect();
    // Where the server has begun the answer, what the model says again of the beginning is taken off.
    let is_begun =
        params["messages"].as_array().and_then(|all| all.last()).is_some_and(|last| last["role"] == "assistant");
    let is_there = |text: &str| texts.contains(text) || (is_begun && text.trim_end().ends_with(texts.trim()));
    let missing = said.text.as_ref().filter(|text| calls.is_empty() && !is_there(text));
    missing.map(|text| format!("{text:?} came back as {texts:?}"))
}

/// What became of all rounds: answers, and errors by their kind.
type Counts = BTreeMap<String, usize>;

/// Plays a conversation; what went wrong in it, if anything did.
fn play(seed: u64, who: &[Who], counts: &mut Counts) -> Vec<String> {
    let mut random = Rng::with_seed(seed);
    let mut conversation = Conversation::begin(&mut random);
    let mut problems = Vec::new();
    let mut current = who.first().cloned();
    for round in 0..ROUNDS {
        if round == 0 || random.u8(..3) > 0 {
            current = random.choice(who).cloned();
        }
        let Some(who) = &current else { return vec!["nobody answers".to_owned()] };
        let before = conversation.clone();
        conversation.go_on(&mut random);
        let params = conversation.params(&mut random);
        let Exchange { asked, outcome } =
            exchange(who.plugin, &who.model, &who.settings, &params, who.dialect, Some(random.u64(..)));
        let mut problem = asked.iter().find_map(|(request, response)| match (&response.body, response.is_refusal()) {
            (Body::Whole(body), true) if number("SEED").is_some() => {
                Some(format!("refused: {body} to {:#}", request.body))
            }
            (Body::Whole(body), true) => Some(format!("refused: {body}")),
            _ => None,
        });
        if let Some((request, response)) = asked.last().filter(|_| problem.is_none()) {
            problem = history_problem(who.plugin, &params["messages"], request).or_else(|| {
                outcome["result"]
                    .is_object()
                    .then(|| answer_problem(who, &params, request, &response.said, &outcome["result"]))
                    .flatten()
            });
        }
        let kind = outcome["error"]["kind"].as_str().unwrap_or("answered").to_owned();
        if problem.is_none() && !matches!(kind.as_str(), "answered" | "unsupported") {
            problem = Some(format!("{kind}: {}", outcome["error"]["message"]));
        }
        *counts.entry(format!("{} {kind}", who.plugin)).or_default() += 1;
        if let Some(problem) = problem {
            problems.push(format!(
                "SEED={seed} round {round}, {} {} {} {:?}: {problem}",
                who.plugin, who.model, who.settings, who.dialect
            ));
        }
        if outcome["result"].is_object() {
            let result = &outcome["result"];
            conversation.messages.push(json!({ "role": "assistant", "content": blocks(result) }));
        } else {
            conversation = before;
        }
    }
    problems
}

/// The first problem of each kind, and how many there are: those are of one kind whose words begin alike, whatever the numbers.
fn kinds(problems: &[String]) -> Vec<(&str, usize)> {
    let mut kinds: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for problem in problems {
        let (who, what) = problem.split_once(": ").unwrap_or_default();
        let plugin = who.split(' ').nth(3).unwrap_or_default();
        let words: String = what.chars().filter(char::is_ascii_alphabetic).take(90).collect();
        kinds.entry(format!("{plugin} {words}")).or_insert((problem, 0)).1 += 1;
    }
    kinds.into_values().collect()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

#[test]
fn no_request_of_a_conversation_is_refused_and_no_tool_call_is_lost() {
    let who = everybody();
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CONVERSATIONS").unwrap_or(60),
    };
    let mut counts = Counts::new();
    let problems: Vec<String> = seeds.flat_map(|seed| play(seed, &who, &mut counts)).collect();
    let shown: Vec<String> =
        kinds(&problems).into_iter().map(|(problem, n)| format!("{n} times as {problem}")).collect();
    assert!(problems.is_empty(), "{} rounds went wrong ({counts:?}):\n{}", problems.len(), shown.join("\n"));
    let all: usize = counts.values().sum();
    let answered: usize = counts.iter().filter(|(kind, _)| kind.ends_with(" answered")).map(|(_, n)| n).sum();
    assert!(answered * 10 > all * 8 || all < 100, "a plugin that refuses a lot passes nothing on: {counts:?}");
}
