//! What fixtures can't say.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use understudy_plugin::Provider;
use understudy_plugin::testing::{check_fixtures, options, request, response};
use understudy_plugin::types::{Completion, ContentBlock, Error, Fetch, Step};

use crate::settings::{SCHEMA, Settings};
use crate::{OpenAi, models};

#[test]
fn openai_keeps_to_its_fixtures() {
    check_fixtures::<OpenAi>("fixtures");
}

const REQUEST: &str = r#"{
    "messages": [
        {"role": "user", "content": {"type": "text", "text": "Go"}},
        {"role": "assistant", "content": {"type": "tool_use", "id": "a", "name": "t.1", "input": {"n": 100.0, "big": 12345678901234567890123}}},
        {"role": "user", "content": {"type": "tool_result", "toolUseId": "a", "content": [], "structuredContent": {"m": 1.50}}}
    ],
    "maxTokens": 100.0,
    "stopSequences": ["END"],
    "tools": [{"name": "t.1", "inputSchema": {"type": "object", "properties": {"n": {"maximum": 1e400}}}}]
}"#;

fn fetch() -> Fetch {
    match OpenAi::start(request(REQUEST), options(models::DEFAULT, &json!({}))) {
        Ok(Step::Fetch(fetch)) => fetch,
        other => panic!("{other:?}"),
    }
}

fn answer(body: impl Into<Vec<u8>>) -> Result<Completion, Error> {
    match OpenAi::resume(fetch().state, response(200, &[], body)) {
        Ok(Step::Done(completion)) => Ok(completion),
        Ok(Step::Fetch(fetch)) => panic!("{fetch:?}"),
        Err(error) => Err(error),
    }
}

const ANSWER: &str = r#"{"model": "m", "choices": [{"message": {"content": "So. ", "reasoning_content": "Hm.", "refusal": null,
    "tool_calls": [{"id": "b", "type": "function", "function": {"name": "t_1", "arguments": "{\"n\": 1e400, \"m\": 2.50}"}}]},
    "finish_reason": "tool_calls", "stop_reason": null}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}"#;

#[test]
fn numbers_keep_their_spelling_on_the_way_out() {
    let body = String::from_utf8_lossy(&fetch().request.body).into_owned();
    for part in [
        r#""arguments":"{\"n\": 100.0, \"big\": 12345678901234567890123}""#,
        r#""content":"{\"m\": 1.50}""#,
        r#"{"n": {"maximum": 1e400}}"#,
        r#""max_completion_tokens":100,"#,
    ] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
}

#[test]
fn numbers_keep_their_spelling_on_the_way_in() {
    let content = answer(ANSWER).map(|completion| completion.result.content);
    let Ok([ContentBlock::Text(_), ContentBlock::ToolUse(tool_use)]) = content.as_deref() else {
        panic!("{content:?}")
    };
    assert_eq!(tool_use.input, r#"{"n": 1e400, "m": 2.50}"#);
    assert_eq!(tool_use.name, "t.1");
}

#[test]
fn a_body_that_is_not_utf_8_is_a_malformed_response() {
    let error = answer(b"{\"choices\": [{\"message\": {\"content\": \"\xff\xfe\"}}]}".as_slice());
    assert!(matches!(error, Err(Error::MalformedResponse(_))), "{error:?}");
    let state = fetch().state;
    let error = OpenAi::resume(state, response(500, &[], b"\xff\xfe".as_slice()));
    assert!(matches!(error, Err(Error::Provider(_))), "{error:?}");
}

#[test]
fn no_answer_whatever_makes_it_panic() {
    // Knuth's MMIX generator: the same bytes in every run.
    let mut seed = 1_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap_or(0) % below.max(1)
    };
    let pieces: [&[u8]; 12] =
        [b"null", b"\"", b"{", b"}", b"[", b"]", b",", b":", b"\xff", b"1e999", b"\\u0000", b"\"data:;base64,\""];
    for _ in 0..20_000 {
        let mut body = ANSWER.as_bytes().to_vec();
        let mut state = fetch_state();
        for bytes in [&mut body, &mut state] {
            for _ in 0..random(4) {
                let from = random(bytes.len());
                let to = (from + random(12)).min(bytes.len());
                let piece = pieces.get(random(pieces.len())).copied().unwrap_or_default();
                bytes.splice(from..to, piece.iter().copied());
            }
        }
        let status = [200, 200, 400, 429, 503].get(random(5)).copied().unwrap_or(200);
        // Any outcome will do: that there is one is what is tested.
        let _ = OpenAi::resume(state, response(status, &[("x-ratelimit-reset-requests", "9e9h")], body.clone()));
        let _ = OpenAi::resume(fetch_state(), response(status, &[("retry-after", "1e300")], body));
    }
}

fn fetch_state() -> Vec<u8> {
    br#"{"chat":{"model":"m","stop":["END"],"cut":true,"names":{"t.1":"t_1"},"tools":true,"calls":1}}"#.to_vec()
}

#[test]
fn the_state_is_as_the_tests_spell_it() {
    let state = |bytes: &[u8]| {
        serde_json::from_slice::<Value>(bytes).map(|state| state["chat"].as_object().map(serde_json::Map::len))
    };
    assert_eq!(state(&fetch().state).ok(), state(&fetch_state()).ok());
}

#[test]
fn the_settings_schema_names_every_setting() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap_or_default();
    let in_schema: BTreeSet<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let Err(Error::InvalidRequest(failure)) = Settings::parse(r#"{"?": 1}"#) else {
        panic!("an unknown key is accepted")
    };
    let expected = failure.message.split("expected one of").nth(1).unwrap_or_default();
    let in_struct: BTreeSet<&str> = expected.split('`').skip(1).step_by(2).collect();
    assert_eq!(in_schema, in_struct);
}

#[test]
fn every_model_of_the_catalogue_takes_tools() {
    let description = OpenAi::describe();
    assert!(description.models.iter().any(|model| Some(&model.name) == description.default_model.as_ref()));
    for model in description.models {
        assert!(!models::reasons(&model.name) || models::can_do_without_reasoning(&model.name), "{}", model.name);
        for figure in [model.cost, model.speed, model.intelligence] {
            assert!((0.0..=1.0).contains(&figure), "{}: {figure}", model.name);
        }
    }
}

#[test]
fn a_models_name_tells_whether_it_reasons() {
    for name in
        ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.4-nano", "gpt-6-luna", "openai/gpt-6.1-sol", "gpt-10"]
    {
        assert!(models::reasons(name), "{name}");
    }
    for name in [
        "gpt-4o",
        "gpt-4.1-mini",
        "gpt-3.5-turbo",
        "gpt-oss-120b",
        "gpt-audio-1.5",
        "olmo-2",
        "llama3",
        "qwen/qwen3-32b",
        "",
    ] {
        assert!(!models::reasons(name), "{name}");
    }
    for name in ["gpt-5.5-2026-04-23", "gpt-6-luna", "openai/gpt-5.6-terra"] {
        assert!(models::can_do_without_reasoning(name), "{name}");
    }
    for name in ["gpt-5", "gpt-5.1-codex", "gpt-5.2-pro", "gpt-6-astra", "gpt-6.1-sol", "o3"] {
        assert!(!models::can_do_without_reasoning(name), "{name}");
    }
}
