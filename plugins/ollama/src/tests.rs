//! What fixtures can't say.

use serde_json::json;
use understudy_plugin::Provider;
use understudy_plugin::testing::{
    check_damaged_answers, check_fixtures, check_settings_schema, options, request, response,
};
use understudy_plugin::types::{Completion, ContentBlock, Error, Fetch, Step};

use crate::Ollama;
use crate::settings::{SCHEMA, Settings};

#[test]
fn ollama_keeps_to_its_fixtures() {
    check_fixtures::<Ollama>("fixtures");
}

const REQUEST: &str = r#"{
    "messages": [
        {"role": "user", "content": {"type": "text", "text": "Go"}},
        {"role": "assistant", "content": {"type": "tool_use", "id": "a", "name": "t", "input": {"n": 100.0, "big": 12345678901234567890123}}},
        {"role": "user", "content": {"type": "tool_result", "toolUseId": "a", "content": [], "structuredContent": {"m": 1.50}}}
    ],
    "maxTokens": 100.0,
    "tools": [{"name": "t", "inputSchema": {"type": "object", "properties": {"n": {"maximum": 1e400}}}}]
}"#;

fn fetch() -> Fetch {
    match Ollama::start(request(REQUEST), options("qwen3", &json!({"keepAlive": 1.5, "options": {"top_p": 0.90}}))) {
        Ok(Step::Fetch(fetch)) => fetch,
        other => panic!("{other:?}"),
    }
}

fn answer(body: impl Into<Vec<u8>>) -> Result<Completion, Error> {
    match Ollama::resume(fetch().state, response(200, &[], body)) {
        Ok(Step::Done(completion)) => Ok(completion),
        Ok(Step::Fetch(fetch)) => panic!("{fetch:?}"),
        Err(error) => Err(error),
    }
}

const ANSWER: &str = r#"{"model": "qwen3", "message": {"role": "assistant", "content": "So.", "thinking": "Hm.", "images": ["iVBORw0KGgo="],
    "tool_calls": [{"id": "b", "function": {"index": 0, "name": "t", "arguments": {"n": 1e400, "m": 2.50}}}]},
    "done": true, "done_reason": "stop", "prompt_eval_count": 18446744073709551615, "eval_count": 2, "total_duration": 3}"#;

#[test]
fn json_keeps_its_spelling_on_the_way_out() {
    let body = String::from_utf8_lossy(&fetch().request.body).into_owned();
    for part in [
        r#""arguments":{"n": 100.0, "big": 12345678901234567890123}"#,
        r#""content":"{\"m\": 1.50}""#,
        r#"{"n": {"maximum": 1e400}}"#,
        r#""num_predict":100,"#,
        r#""keep_alive":1.5,"#,
    ] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
}

#[test]
fn json_keeps_its_spelling_on_the_way_in() {
    let content = answer(ANSWER).map(|completion| completion.result.content);
    let Ok([ContentBlock::Text(text), ContentBlock::Image(_), ContentBlock::ToolUse(tool_use)]) = content.as_deref()
    else {
        panic!("{content:?}")
    };
    assert_eq!(tool_use.input, r#"{"n": 1e400, "m": 2.50}"#);
    assert_eq!(text.extras.meta.as_deref(), Some(r#"{"understudy.ollama/thinking":"Hm."}"#));
}

#[test]
fn a_body_that_is_not_utf_8_is_a_malformed_response() {
    let body = b"{\"message\": {\"content\": \"\xff\xfe\"}, \"done\": true}";
    let error = answer(body.as_slice());
    assert!(matches!(error, Err(Error::MalformedResponse(_))), "{error:?}");
    let error = Ollama::resume(fetch().state, response(500, &[], body.as_slice()));
    assert!(matches!(error, Err(Error::Provider(_))), "{error:?}");
}

#[test]
fn state_that_is_not_the_plugins_own_is_an_error() {
    let outcome = Ollama::resume(b"{}".to_vec(), response(200, &[], "{}"));
    assert!(matches!(outcome, Err(Error::Other(_))), "{outcome:?}");
}

#[test]
fn no_answer_whatever_makes_it_panic() {
    const REFUSAL: &str = r#"{"error": "model 'x' not found"}"#;
    check_damaged_answers::<Ollama>(&fetch().state, &[ANSWER, ANSWER, REFUSAL]);
}

#[test]
fn the_settings_schema_names_every_setting() {
    let Err(error) = Settings::parse(r#"{"?": 1}"#) else { panic!("an unknown key is accepted") };
    check_settings_schema(SCHEMA, &error);
}
