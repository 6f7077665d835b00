//! Any valid request, of any revision: each plugin converts it, or refuses it with a typed error.
//!
//! Requests are made at random, the same ones in every run (`PROPTEST_CASES` asks for more of them), and held against the
//! official schema of their revision first, so that what is tested is what servers may really send.

#![expect(
    clippy::print_stdout,
    clippy::struct_excessive_bools,
    reason = "a test may say what it saw; revisions differ in much"
)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::Union;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use understudy_plugin::Provider;
use understudy_plugin::testing::{options, request, response};
use understudy_plugin::types::{CreateMessageRequest, Error, Step};
use understudy_plugin_anthropic::Anthropic;
use understudy_plugin_echo::Echo;
use understudy_plugin_extractive::Extractive;
use understudy_plugin_gemini::Gemini;
use understudy_plugin_ollama::Ollama;
use understudy_plugin_openai::OpenAi;
use understudy_tests::schema::validator;

/// What sets the revisions apart, as far as sampling goes.
#[derive(Debug, Clone, Copy)]
struct Revision {
    name: &'static str,
    audio: bool,
    meta: bool,
    /// Tools, and several blocks in a message.
    tools: bool,
    /// Structured content that need not be an object. (That revision's schema takes neither fractions nor `null` in free-form JSON.)
    any_structure: bool,
}

const REVISIONS: [Revision; 5] = [
    Revision { name: "2024-11-05", audio: false, meta: false, tools: false, any_structure: false },
    Revision { name: "2025-03-26", audio: true, meta: false, tools: false, any_structure: false },
    Revision { name: "2025-06-18", audio: true, meta: true, tools: false, any_structure: false },
    Revision { name: "2025-11-25", audio: true, meta: true, tools: true, any_structure: false },
    Revision { name: "2026-07-28", audio: true, meta: true, tools: true, any_structure: true },
];

// ---------------------------------------------------------------- making requests

fn text() -> BoxedStrategy<String> {
    let odd =
        ["", " ", "\n\n", "\u{0}", "\u{feff}", "</context>", "{\"a\":1}", "\u{1f9d1}\u{200d}\u{1f680}", "e\u{301}"];
    prop_oneof![
        6 => "[a-zA-Z0-9 .,!?]{1,40}",
        2 => "\\PC{0,30}",
        1 => ".{0,20}",
        2 => prop::sample::select(odd.to_vec()).prop_map(str::to_owned),
        1 => "[a-z]{1,5}".prop_map(|word| format!("{word} ").repeat(500)),
    ]
    .boxed()
}

/// A name, mostly one that providers take.
fn name() -> BoxedStrategy<String> {
    prop_oneof![4 => "[a-z_]{1,12}", 2 => "[a-zA-Z0-9./:_-]{1,140}", 1 => "\\PC{0,20}"].boxed()
}

fn number(revision: Revision) -> BoxedStrategy<Value> {
    let whole = prop_oneof![any::<i32>().prop_map(Value::from), Just(json!(100.0)), Just(json!(u64::MAX))];
    if revision.any_structure {
        return whole.boxed();
    }
    prop_oneof![whole, (-1e9..1e9_f64).prop_map(Value::from)].boxed()
}

fn value(revision: Revision) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![any::<bool>().prop_map(Value::from), number(revision), text().prop_map(Value::from)];
    let leaf =
        if revision.any_structure { leaf.boxed() } else { prop_oneof![9 => leaf, 1 => Just(Value::Null)].boxed() };
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
    .boxed()
}

fn object(revision: Revision) -> BoxedStrategy<Value> {
    let members = prop::collection::vec((name(), value(revision)), 0..4);
    members.prop_map(|members| Value::Object(members.into_iter().collect())).boxed()
}

/// `_meta`, among it what looks like a plugin's own and isn't.
fn meta(revision: Revision) -> BoxedStrategy<Value> {
    let own = [
        "understudy.anthropic/thinking",
        "understudy.openai/reasoning",
        "understudy.gemini/thought",
        "understudy.ollama/thinking",
        "progressToken",
    ];
    let forged = (prop::sample::select(own.to_vec()), value(revision)).prop_map(|(key, value)| match (key, value) {
        ("progressToken", value) => json!({ key: value.to_string() }),
        (key, value) => json!({ key: value }),
    });
    prop_oneof![1 => object(revision), 1 => forged].boxed()
}

fn base64() -> BoxedStrategy<String> {
    prop_oneof!["([A-Za-z0-9+/]{4}){0,12}", Just("AA==".to_owned()), Just("AAA=".to_owned())].boxed()
}

/// An object with these members, those among them that are something.
fn with(members: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Value> {
    let (keys, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    let filled = move |values: Vec<Option<Value>>| {
        let members = keys.iter().zip(values).filter_map(|(key, value)| Some(((*key).to_owned(), value?)));
        Value::Object(members.collect::<Map<_, _>>())
    };
    values.prop_map(filled).boxed()
}

fn must<T: Into<Value> + std::fmt::Debug>(value: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Option<Value>> {
    value.prop_map(|value| Some(value.into())).boxed()
}

fn may<T: Into<Value> + std::fmt::Debug>(value: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Option<Value>> {
    prop::option::weighted(0.3, value).prop_map(|value| value.map(Into::into)).boxed()
}

fn may_if(allowed: bool, value: BoxedStrategy<Value>) -> BoxedStrategy<Option<Value>> {
    if allowed { may(value) } else { Just(None).boxed() }
}

fn annotations() -> BoxedStrategy<Value> {
    let audience = prop::sample::subsequence(vec!["user", "assistant"], 0..=2);
    with(vec![("audience", may(audience)), ("priority", may(0.0..=1.0_f64))])
}

fn media(kind: &'static str, types: Vec<&'static str>, revision: Revision) -> BoxedStrategy<Value> {
    with(vec![
        ("type", must(Just(kind))),
        ("data", must(base64())),
        ("mimeType", must(prop::sample::select(types))),
        ("annotations", may(annotations())),
        ("_meta", may_if(revision.meta, meta(revision))),
    ])
}

fn text_block(revision: Revision) -> BoxedStrategy<Value> {
    with(vec![
        ("type", must(Just("text"))),
        ("text", must(text())),
        ("annotations", may(annotations())),
        ("_meta", may_if(revision.meta, meta(revision))),
    ])
}

/// A block that either side may say in any revision that knows it.
fn plain_block(revision: Revision) -> BoxedStrategy<Value> {
    let images = vec!["image/png", "image/jpeg", "IMAGE/WEBP; q=1", "image/gif", "image/svg+xml", "image/x-odd", ""];
    let sounds = vec!["audio/wav", "audio/mpeg", "audio/mp3", "audio/ogg; codecs=opus", "audio/x-odd"];
    let mut kinds = vec![(6, text_block(revision)), (1, media("image", images, revision))];
    if revision.audio {
        kinds.push((1, media("audio", sounds, revision)));
    }
    Union::new_weighted(kinds).boxed()
}

/// A message's content: one block, or several where the revision allows it.
fn content(block: BoxedStrategy<Value>, revision: Revision) -> BoxedStrategy<Value> {
    if revision.tools {
        prop_oneof![2 => block.clone(), 1 => prop::collection::vec(block, 0..4).prop_map(Value::from)].boxed()
    } else {
        block
    }
}

fn message(role: &'static str, content: BoxedStrategy<Value>, revision: Revision) -> BoxedStrategy<Value> {
    let meta = may_if(revision.tools, meta(revision));
    with(vec![("role", must(Just(role))), ("content", must(content)), ("_meta", meta)])
}

/// A block of a tool's answer.
fn result_block(revision: Revision) -> BoxedStrategy<Value> {
    let uri = || prop_oneof![Just("file:///a.txt".to_owned()), Just("https://x.example/?q=ä".to_owned())];
    let kind = || prop::sample::select(vec!["text/plain", "image/png", "application/pdf", "application/octet-stream"]);
    let link = with(vec![
        ("type", must(Just("resource_link"))),
        ("uri", must(uri())),
        ("name", must(text())),
        ("title", may(text())),
        ("description", may(text())),
        ("mimeType", may(kind())),
        ("size", may(0..1_000_000_u32)),
    ]);
    let contents = |key, value: BoxedStrategy<String>| {
        let resource = with(vec![
            ("uri", must(uri())),
            ("mimeType", may(kind())),
            (key, must(value)),
            ("_meta", may(meta(revision))),
        ]);
        with(vec![("type", must(Just("resource"))), ("resource", must(resource)), ("annotations", may(annotations()))])
    };
    prop_oneof![3 => plain_block(revision), 1 => link, 1 => contents("text", text()), 1 => contents("blob", base64())]
        .boxed()
}

/// The model asks for tools, and they answer.
fn tool_turn(revision: Revision) -> BoxedStrategy<Vec<Value>> {
    let structure = if revision.any_structure { value(revision) } else { object(revision) };
    let call = (
        with(vec![
            ("type", must(Just("tool_use"))),
            ("name", must(name())),
            ("input", must(object(revision))),
            ("_meta", may(meta(revision))),
        ]),
        with(vec![
            ("type", must(Just("tool_result"))),
            ("content", must(prop::collection::vec(result_block(revision), 0..3))),
            ("structuredContent", may(structure)),
            ("isError", may(any::<bool>())),
            ("_meta", may(meta(revision))),
        ]),
    );
    let said = prop::collection::vec(text_block(revision), 0..2);
    (said, prop::collection::vec(call, 1..4), any::<u16>())
        .prop_map(|(mut said, calls, turn)| {
            let mut results = Vec::new();
            for (n, (mut call, mut result)) in calls.into_iter().enumerate() {
                let id = format!("call {turn}/{n}");
                call.as_object_mut().map(|call| call.insert("id".to_owned(), json!(id)));
                result.as_object_mut().map(|result| result.insert("toolUseId".to_owned(), json!(id)));
                said.push(call);
                results.push(result);
            }
            vec![json!({ "role": "assistant", "content": said }), json!({ "role": "user", "content": results })]
        })
        .boxed()
}

fn messages(revision: Revision) -> BoxedStrategy<Vec<Value>> {
    let says = |role| message(role, content(plain_block(revision), revision), revision).prop_map(|m| vec![m]).boxed();
    let mut turns = vec![(3, says("user")), (1, says("assistant"))];
    if revision.tools {
        turns.push((2, tool_turn(revision)));
    }
    prop::collection::vec(Union::new_weighted(turns), 1..5).prop_map(|turns| turns.concat()).boxed()
}

fn preferences() -> BoxedStrategy<Value> {
    let hint = with(vec![("name", may(text()))]);
    let share = || may(0.0..=1.0_f64);
    with(vec![
        ("hints", may(prop::collection::vec(hint, 0..3))),
        ("costPriority", share()),
        ("speedPriority", share()),
        ("intelligencePriority", share()),
    ])
}

/// Tools, each name once; and how they may be used.
fn tools(revision: Revision) -> BoxedStrategy<(Option<Value>, Option<Value>)> {
    let schema = object(revision).prop_map(|mut schema| {
        let reference = json!({ "$ref": "#/$defs/x" });
        if let Some(schema) = schema.as_object_mut() {
            for key in ["properties", "required", "$schema", "$defs"] {
                schema.remove(key);
            }
            schema.insert("type".to_owned(), json!("object"));
            schema.insert("properties".to_owned(), json!({ "p": reference }));
            schema.insert("$defs".to_owned(), json!({ "x": { "type": ["string", "null"], "maximum": 1e30 } }));
        }
        schema
    });
    let tool = with(vec![
        ("inputSchema", must(schema)),
        ("title", may(text())),
        ("description", may(text())),
        ("_meta", may(meta(revision))),
    ]);
    let named = (prop::collection::btree_set(name(), 0..4), prop::collection::vec(tool, 4)).prop_map(
        |(names, tools): (BTreeSet<String>, Vec<Value>)| {
            let named = names.into_iter().zip(tools).map(|(name, mut tool)| {
                tool.as_object_mut().map(|tool| tool.insert("name".to_owned(), json!(name)));
                tool
            });
            named.collect::<Vec<_>>()
        },
    );
    let mode = prop::sample::select(vec!["auto", "required", "none"]);
    let choice = with(vec![("mode", may(mode))]);
    (prop::option::of(named), may(choice))
        .prop_map(|(tools, choice)| {
            let choice = choice.filter(|choice| {
                // Nothing can be forced where nothing is offered.
                choice["mode"] != "required" || tools.as_ref().is_some_and(|tools| !tools.is_empty())
            });
            (tools.clone().map(Value::from), choice.filter(|_| tools.is_some()))
        })
        .boxed()
}

fn params(revision: Revision) -> BoxedStrategy<Value> {
    let most = prop_oneof![1..10_000_u64, 1..200_000_u64, Just(21_333), Just(u64::from(u32::MAX) * 4)];
    let most = (most, any::<bool>()).prop_map(|(n, float)| if float { json!(format!("{n}.0")) } else { json!(n) });
    let most = most.prop_map(|n| n.as_str().map_or(n.clone(), |text| serde_json::from_str(text).unwrap_or_default()));
    let plain = with(vec![
        ("messages", must(messages(revision))),
        ("maxTokens", must(most)),
        ("modelPreferences", may(preferences())),
        ("systemPrompt", may(text())),
        ("includeContext", may(prop::sample::select(vec!["none", "thisServer", "allServers"]))),
        ("temperature", may(0.0..2.0_f64)),
        ("stopSequences", may(prop::collection::vec(text(), 0..7))),
        ("metadata", may(object(revision))),
    ]);
    if !revision.tools {
        return plain;
    }
    (plain, tools(revision))
        .prop_map(|(mut params, (tools, choice))| {
            if let Some(params) = params.as_object_mut() {
                params.extend(tools.map(|tools| ("tools".to_owned(), tools)));
                params.extend(choice.map(|choice| ("toolChoice".to_owned(), choice)));
            }
            params
        })
        .boxed()
}

// ---------------------------------------------------------------- checking what comes of them

/// By plugin, how many requests were converted and how many refused.
type Tally = RefCell<BTreeMap<String, (u32, u32)>>;

/// Each plugin with the settings and models that make a difference.
fn outcomes(asked: &CreateMessageRequest, tally: &Tally) -> Result<(), TestCaseError> {
    let plain = json!({});
    let streamed = json!({ "stream": true });
    let responses = json!({ "api": "responses" });
    let streamed_responses = json!({ "api": "responses", "stream": true });
    let thinking = json!({ "thinking": { "type": "enabled", "budget_tokens": 2048 } });
    for settings in [&plain, &streamed, &thinking] {
        check::<Anthropic>(tally, asked, "claude-sonnet-4-6", settings)?;
    }
    check::<Anthropic>(tally, asked, "claude-opus-5-5", &plain)?;
    for settings in [&plain, &streamed, &responses, &streamed_responses] {
        check::<OpenAi>(tally, asked, "gpt-5.2", settings)?;
        check::<OpenAi>(tally, asked, "some-local-model", settings)?;
    }
    for settings in [&plain, &streamed] {
        check::<Gemini>(tally, asked, "gemini-3-pro-preview", settings)?;
        check::<Gemini>(tally, asked, "gemini-2.0-flash", settings)?;
        check::<Ollama>(tally, asked, "qwen3", settings)?;
    }
    check::<Echo>(tally, asked, "echo", &plain)?;
    check::<Extractive>(tally, asked, "extractive", &plain)
}

fn check<P: Provider>(
    tally: &Tally,
    asked: &CreateMessageRequest,
    model: &str,
    settings: &Value,
) -> Result<(), TestCaseError> {
    let name = P::describe().name;
    let outcome = P::start(asked.clone(), options(model, settings));
    let counts = &mut tally.borrow_mut();
    let counted = counts.entry(name.clone()).or_default();
    match &outcome {
        Ok(_) => counted.0 += 1,
        Err(_) => counted.1 += 1,
    }
    match outcome {
        Ok(Step::Done(done)) => {
            let whole = understudy_plugin::testing::result_json(&done);
            prop_assert!(whole.get("model").is_some_and(Value::is_string), "{name} {settings}: {whole}");
        }
        Ok(Step::Fetch(fetch)) => {
            let body: Result<Value, _> = serde_json::from_slice(&fetch.request.body);
            prop_assert!(body.is_ok_and(|body| body.is_object()), "{name} {settings}: the body is no JSON object");
            let path = &fetch.request.path;
            let is_path = path.starts_with('/') && !path.contains(|c: char| c.is_control() || c == ' ' || c == '#');
            prop_assert!(is_path && !path.contains("//") && !path.contains("/../"), "{name} {settings}: {path}");
            prop_assert!(fetch.state.len() < 1 << 20, "{name} {settings}: a state of {} bytes", fetch.state.len());
            // The plugin reads its own state back, and an answer that says nothing is no answer.
            let resumed = P::resume(fetch.state, response(200, &[], "{}"));
            prop_assert!(matches!(resumed, Err(Error::MalformedResponse(_))), "{name} {settings}: {resumed:?}");
        }
        Err(Error::InvalidRequest(failure) | Error::Unsupported(failure)) => {
            prop_assert!(!failure.message.is_empty(), "{name} {settings}: refused without a word");
        }
        Err(other) => prop_assert!(false, "{name} {settings}: {other:?}"),
    }
    Ok(())
}

#[test]
fn any_valid_request_of_any_revision_converts_or_is_refused_with_a_typed_error() {
    for revision in REVISIONS {
        let schema = validator(revision.name, "CreateMessageRequest");
        let config = Config { failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
        let tally = Tally::default();
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let outcome = TestRunner::new_with_rng(config, rng).run(&params(revision), |params| {
            let whole = json!({ "jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": params });
            let fits = schema.validate(&whole).map_err(|e| e.to_string());
            prop_assert!(fits.is_ok(), "the request is not valid after all: {fits:?}");
            outcomes(&request(&params.to_string()), &tally)
        });
        if let Err(failed) = outcome {
            unreachable!("{}: {failed}", revision.name);
        }
        // Refusing everything would be no conversion.
        for (plugin, (converted, refused)) in tally.borrow().iter() {
            println!("{}, {plugin}: {converted} converted, {refused} refused", revision.name);
            assert!(
                converted * 3 > *refused,
                "{}: {plugin} refused {refused}, and converted {converted}",
                revision.name
            );
        }
    }
}
