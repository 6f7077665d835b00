//! What fixtures can't say.

use serde_json::json;
use understudy_plugin::Provider;
use understudy_plugin::stream::{Event, Message, ResponseHead, StreamingProvider, StreamingStep};
use understudy_plugin::testing::{
    check_damaged_answers, check_damaged_streams, check_documented, check_settings_schema, check_streaming_fixtures,
    options, request, response,
};
use understudy_plugin::types::{Completion, ContentBlock, Error, Fetch, Step};

use crate::Ollama;
use crate::settings::{SCHEMA, Settings};

#[test]
fn the_documentation_has_the_models_profiles() {
    check_documented("../../docs/providers.md", "the models of ollama", &crate::models::tests::table());
}

#[test]
fn ollama_keeps_to_its_fixtures() {
    check_streaming_fixtures::<Ollama>("fixtures");
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
    assert_eq!(text.extras.meta.as_deref(), Some(r#"{"understudy.ollama/thinking":{"model":"qwen3","text":"Hm."}}"#));
}

/// `ANSWER` in lines.
const LINES: [&str; 5] = [
    r#"{"model": "qwen3", "message": {"role": "assistant", "content": "", "thinking": "H"}, "done": false}"#,
    r#"{"model": "qwen3", "message": {"role": "assistant", "content": "S", "thinking": "m."}, "done": false}"#,
    r#"{"model": "qwen3", "message": {"role": "assistant", "content": "o.", "images": ["iVBORw0KGgo="]}, "done": false}"#,
    r#"{"model": "qwen3", "message": {"role": "assistant", "content": "",
        "tool_calls": [{"id": "b", "function": {"index": 0, "name": "t", "arguments": {"n": 1e400, "m": 2.50}}}]}, "done": false}"#,
    r#"{"model": "qwen3", "message": {"role": "assistant", "content": ""},
        "done": true, "done_reason": "stop", "prompt_eval_count": 18446744073709551615, "eval_count": 2, "total_duration": 3}"#,
];

#[test]
fn a_stream_gives_what_the_whole_answer_gives() {
    let opened = Event::Opened(ResponseHead { status: 200, headers: Vec::new() });
    let mut events = LINES.map(|data| Event::Message(Message { name: None, data: data.to_owned() })).to_vec();
    events.insert(0, opened);
    let last = events.split_off(events.len() - 1);
    let mut state = fetch().state;
    for event in events {
        let Ok(StreamingStep::More(more)) = Ollama::next(state, vec![event]) else { panic!("it has not ended") };
        state = more.state;
    }
    let Ok(StreamingStep::Done(streamed)) = Ollama::next(state, last) else { panic!("it has ended") };
    assert_eq!(Ok(streamed), answer(ANSWER));
}

#[test]
fn a_forced_call_keeps_its_numbers_spelling_and_is_read_in_any_order() {
    let required = REQUEST.replace("\"tools\":", "\"toolChoice\": {\"mode\": \"required\"}, \"tools\":");
    let Ok(Step::Fetch(fetch)) = Ollama::start(request(&required), options("qwen3", &json!({}))) else {
        panic!("a forced tool is refused")
    };
    let sent = String::from_utf8_lossy(&fetch.request.body).into_owned();
    assert!(
        sent.contains(r#""$defs":{"tool0":{"type": "object", "properties": {"n": {"maximum": 1e400}}}}"#),
        "{sent}"
    );
    let content = json!(r#" {"arguments": {"n": 1e400, "m": 2.50}, "name": "t"} "#);
    let body = format!(r#"{{"message": {{"content": {content}}}, "done": true, "done_reason": "stop"}}"#);
    let Ok(Step::Done(Completion { result, .. })) = Ollama::resume(fetch.state, response(200, &[], body)) else {
        panic!("the call is not read")
    };
    let [ContentBlock::ToolUse(call)] = result.content.as_slice() else { panic!("{result:?}") };
    assert_eq!((call.id.as_str(), call.name.as_str()), ("call_1", "t"));
    assert_eq!(call.input, r#"{"n": 1e400, "m": 2.50}"#);
}

#[test]
fn no_stream_whatever_makes_it_panic() {
    const REFUSED: [&str; 2] = [r#"{"message": {"content": "So"}, "done": false}"#, r#"{"error": "server busy"}"#];
    const CALL: [&str; 2] = [
        r#"{"message": {"content": "{\"name\": \"t\", "}, "done": false}"#,
        r#"{"message": {"content": "\"arguments\": {\"n\": 1}}"}, "done": true, "done_reason": "length"}"#,
    ];
    check_damaged_streams::<Ollama>(&fetch().state, &[&LINES, &LINES, &REFUSED]);
    let forced = br#"{"model": "m", "tools": true, "forced": ["t"], "calls": 0}"#;
    check_damaged_streams::<Ollama>(forced, &[&CALL]);
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
