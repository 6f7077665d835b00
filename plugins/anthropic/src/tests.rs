//! What fixtures can't say: bodies that aren't text, and anything at all for `resume`.

use understudy_plugin::Provider;
use understudy_plugin::stream::{Event, Message, ResponseHead, StreamingProvider, StreamingStep};
use understudy_plugin::testing::{
    check_damaged_answers, check_damaged_streams, check_documented, check_settings_schema, check_streaming_fixtures,
    options, request, response,
};
use understudy_plugin::types::{Error, Step};

use super::settings::Settings;
use super::{Anthropic, State};

const STATE: &[u8] =
    br#"{"model":"claude-test","tools":["look"],"names":{"read/file":"read_file"},"shapes":{},"stops":["\n"],
    "beginning":"a","prefix":7,"must_call":false}"#;

/// With all that a second try needs.
const FIRST: &[u8] = br#"{"model":"claude-test","tools":["look"],"names":{},"shapes":{"look":{"wrapper":"w"}},"stops":[],"prefix":7,
    "must_call":true,"first":{"streams":false,"thinking":true,"body":{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},
    {"role":"assistant","content":[{"type":"thinking","signature":"s"},{"type":"tool_use","id":"t","name":"look","input":{}}]}]}}}"#;

#[test]
fn the_documentation_has_the_models_profiles() {
    check_documented("../../docs/providers.md", "the models of anthropic", &crate::models::tests::table());
}

#[test]
fn anthropic_keeps_to_its_fixtures() {
    check_streaming_fixtures::<Anthropic>("fixtures");
}

#[test]
fn the_settings_schema_names_every_setting() {
    let Err(error) = Settings::parse(r#"{"nothing":1}"#) else {
        unreachable!("a key that isn't known must be refused")
    };
    check_settings_schema(&Anthropic::describe().settings_schema, &error);
}

#[test]
fn a_body_that_is_not_utf_8_is_a_malformed_response() {
    let body = b"{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"\xff\xfe\"}]}";
    let outcome = Anthropic::resume(STATE.to_vec(), response(200, &[], *body));
    assert!(matches!(outcome, Err(Error::MalformedResponse(_))), "{outcome:?}");
    let outcome = Anthropic::resume(STATE.to_vec(), response(500, &[], *body));
    assert!(matches!(outcome, Err(Error::Provider(_))), "{outcome:?}");
}

#[test]
fn state_that_is_not_the_plugins_own_is_an_error() {
    let outcome = Anthropic::resume(b"{}".to_vec(), response(200, &[], "{}"));
    assert!(matches!(outcome, Err(Error::Other(_))), "{outcome:?}");
}

#[test]
fn json_keeps_its_spelling_both_ways() -> Result<(), std::string::FromUtf8Error> {
    let asked = request(
        r#"{"maxTokens":9,"tools":[{"name":"look","inputSchema":{"type":"object","maximum":100.0}}],"messages":[
            {"role":"user","content":{"type":"text","text":"look"}},
            {"role":"assistant","content":{"type":"tool_use","id":"a","name":"look","input":{"n": 12345678901234567890123}}},
            {"role":"user","content":{"type":"tool_result","toolUseId":"a","content":[]}}]}"#,
    );
    let Ok(Step::Fetch(fetch)) = Anthropic::start(asked, options("claude-test", &serde_json::json!({}))) else {
        unreachable!("a request that fits is an exchange")
    };
    let body = String::from_utf8(fetch.request.body)?;
    assert!(body.contains(r#""input":{"n": 12345678901234567890123}"#), "{body}");
    assert!(body.contains(r#""input_schema":{"type":"object","maximum":100.0}"#), "{body}");

    let answer = r#"{"type":"message","content":[{"type":"thinking","thinking":"…","signature":"x","n":1.0},
        {"type":"tool_use","id":"b","name":"look","input":{"n": 1.0}}]}"#;
    let Ok(Step::Done(done)) = Anthropic::resume(fetch.state, response(200, &[], answer)) else {
        unreachable!("an answer that fits is a result")
    };
    let content = format!("{:?}", done.result.content);
    assert!(content.contains(r#"input: "{\"n\": 1.0}""#), "{content}");
    assert!(content.contains(r#"\"signature\":\"x\",\"n\":1.0"#), "{content}");
    Ok(())
}

#[test]
fn no_bytes_make_resume_panic() {
    let answer = r#"{"type":"message","role":"assistant","model":"m","stop_reason":"tool_use","content":[
        {"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"a\nb"},
        {"type":"tool_use","id":"i","name":"look","input":{"a":[1,2.5,"\ud83d\ude00"]}}],
        "usage":{"input_tokens":18446744073709551615,"cache_read_input_tokens":1,"output_tokens":2}}"#;
    check_damaged_answers::<Anthropic>(STATE, &[answer]);
    let text = r#"{"type":"message","content":[{"type":"text","text":"a "}],"stop_reason":"end_turn","usage":{"input_tokens":1}}"#;
    let refusal = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Invalid `signature` in `thinking` block"}}"#;
    check_damaged_answers::<Anthropic>(FIRST, &[answer, text, refusal]);
}

/// Every kind of block, numbers in odd spellings, and an error.
const EVENTS: [&str; 14] = [
    r#"{"type":"message_start","message":{"type":"message","model":"m","content":[],"usage":{"input_tokens":1,"n":1.0}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":"","n":1.0}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"…"}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a\nb"}}"#,
    r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"b","name":"look","input":{}}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"n\": 1."}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"0, \"m\": 12345678901234567890123}"}}"#,
    r#"{"type":"content_block_stop","index":2}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":18446744073709551615}}"#,
    r#"{"type":"message_stop"}"#,
    r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
];

#[test]
fn json_keeps_its_spelling_in_a_stream() {
    let mut events = vec![Event::Opened(ResponseHead { status: 200, headers: Vec::new() })];
    let mut state: State = serde_json::from_slice(STATE).unwrap_or_else(|e| unreachable!("{e}"));
    state.stops.clear();
    let state = serde_json::to_vec(&state).unwrap_or_default();
    events.extend(EVENTS.map(|data| Event::Message(Message { name: None, data: data.to_owned() })));
    let Ok(StreamingStep::Done(done)) = Anthropic::next(state, events) else {
        unreachable!("a stream that fits is a result")
    };
    let content = format!("{:?}", done.result.content);
    assert!(content.contains(r#"input: "{\"n\": 1.0, \"m\": 12345678901234567890123}""#), "{content}");
    assert!(content.contains(r#"\"n\":1.0,\"signature\":\"x\",\"thinking\":\"…\""#), "{content}");
    let details = done.usage.map(|usage| usage.details).unwrap_or_default();
    assert_eq!(details, r#"{"input_tokens":1,"n":1.0,"output_tokens":18446744073709551615}"#);
}

#[test]
fn no_stream_makes_next_panic() {
    let [begun @ .., _, error] = EVENTS;
    let failing = [&begun[..7], &[error]].concat();
    check_damaged_streams::<Anthropic>(STATE, &[&EVENTS, &failing]);
}
