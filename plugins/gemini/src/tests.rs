//! What fixtures can't say.

use serde_json::json;
use understudy_plugin::Provider;
use understudy_plugin::stream::{Assemble, Event, Message, ResponseHead, StreamingProvider, StreamingStep, Taken};
use understudy_plugin::testing::{
    check_damaged_answers, check_damaged_streams, check_documented, check_settings_schema, check_streaming_fixtures,
    options, request, response,
};
use understudy_plugin::types::{Completion, ContentBlock, Error, Fetch, Step};

use crate::settings::{SCHEMA, Settings};
use crate::stream::Chunks;
use crate::{Gemini, models};

#[test]
fn the_documentation_has_the_models_profiles() {
    check_documented("../../docs/providers.md", "the models of gemini", &crate::models::tests::table());
}

#[test]
fn gemini_keeps_to_its_fixtures() {
    check_streaming_fixtures::<Gemini>("fixtures");
}

const REQUEST: &str = r#"{
    "messages": [
        {"role": "user", "content": {"type": "text", "text": "Go"}},
        {"role": "assistant", "content": {"type": "tool_use", "id": "a", "name": "t/1", "input": {"n": 100.0, "big": 12345678901234567890123},
            "_meta": {"understudy.google/thought": {"model": "gemini-3.5-flash-lite", "signature": "c2ln",
                "before": [{"text": "Hm.", "thought": true, "thoughtSignature": "YQ=="}]}}}},
        {"role": "user", "content": {"type": "tool_result", "toolUseId": "a", "content": [], "structuredContent": {"m": 1.50}}}
    ],
    "maxTokens": 100.0,
    "tools": [{"name": "t/1", "inputSchema": {"type": "object", "properties": {"n": {"maximum": 1e400}}}}]
}"#;

fn fetch() -> Fetch {
    match Gemini::start(request(REQUEST), options(models::DEFAULT, &json!({}))) {
        Ok(Step::Fetch(fetch)) => fetch,
        other => panic!("{other:?}"),
    }
}

fn answer(body: impl Into<Vec<u8>>) -> Result<Completion, Error> {
    match Gemini::resume(fetch().state, response(200, &[], body)) {
        Ok(Step::Done(completion)) => Ok(completion),
        Ok(Step::Fetch(fetch)) => panic!("{fetch:?}"),
        Err(error) => Err(error),
    }
}

const ANSWER: &str = r#"{"candidates": [{"content": {"role": "model", "parts": [
    {"text": "Hm.", "thought": true, "thoughtSignature": "YQ=="}, {"text": "So. "},
    {"functionCall": {"id": "b", "name": "t_1", "args": {"n": 1e400, "m": 2.50}}, "thoughtSignature": "Yg=="},
    {"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 18446744073709551615, "thoughtsTokenCount": 2}, "modelVersion": "m"}"#;

#[test]
fn json_keeps_its_spelling_on_the_way_out() {
    let body = String::from_utf8_lossy(&fetch().request.body).into_owned();
    for part in [
        r#""args":{"n": 100.0, "big": 12345678901234567890123}"#,
        r#""response":{"m": 1.50}"#,
        r#"{"n": {"maximum": 1e400}}"#,
        r#""maxOutputTokens":100,"#,
        r#"{"text":"Hm.","thought":true,"thoughtSignature":"YQ=="},{"functionCall":"#,
        r#""thoughtSignature":"c2ln"}"#,
    ] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
}

#[test]
fn json_keeps_its_spelling_on_the_way_in() {
    let content = answer(ANSWER).map(|completion| completion.result.content);
    let Ok([ContentBlock::Text(text), ContentBlock::ToolUse(tool_use), ContentBlock::Image(_)]) = content.as_deref()
    else {
        panic!("{content:?}")
    };
    assert_eq!(tool_use.input, r#"{"n": 1e400, "m": 2.50}"#);
    assert_eq!(tool_use.name, "t/1");
    let meta = text.extras.meta.as_deref().unwrap_or_default();
    assert!(meta.contains(r#""before":[{"text":"Hm.","thought":true,"thoughtSignature":"YQ=="}]"#), "{meta}");
}

/// `ANSWER` in chunks.
const CHUNKS: [&str; 5] = [
    r#"{"candidates": [{"content": {"role": "model", "parts": [{"text": "Hm.", "thought": true, "thoughtSignature": "YQ=="}]}}]}"#,
    r#"{"candidates": [{"content": {"parts": [{"text": "S"}]}}], "usageMetadata": {"promptTokenCount": 1}, "modelVersion": "m"}"#,
    r#"{"candidates": [{"content": {"parts": [{"text": "o. "}, {"text": ""}]}}]}"#,
    r#"{"candidates": [{"content": {"parts": [{"functionCall": {"id": "b", "name": "t_1", "args": {"n": 1e400, "m": 2.50}}, "thoughtSignature": "Yg=="}]}}]}"#,
    r#"{"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 18446744073709551615, "thoughtsTokenCount": 2}}"#,
];

#[test]
fn a_stream_gives_what_the_whole_answer_gives() {
    let opened = Event::Opened(ResponseHead { status: 200, headers: Vec::new() });
    let messages = CHUNKS.map(|data| Event::Message(Message { name: None, data: data.to_owned() }));
    let mut state = fetch().state;
    for event in [opened].into_iter().chain(messages) {
        let Ok(StreamingStep::More(more)) = Gemini::next(state, vec![event]) else { panic!("only the end ends it") };
        state = more.state;
    }
    let Ok(StreamingStep::Done(streamed)) = Gemini::next(state, vec![Event::Closed]) else { panic!("it is whole") };
    assert_eq!(Ok(streamed), answer(ANSWER));
}

#[test]
fn thoughts_that_need_not_go_back_are_not_kept() {
    let mut chunks = Chunks::default();
    for data in [
        r#"{"candidates": [{"content": {"parts": [{"text": "So."}, {"text": "Long thoughts.", "thought": true}]}}]}"#,
        r#"{"candidates": [{"content": {"parts": [{"text": "More of them.", "thought": true}, {"text": "Then."}]}}]}"#,
    ] {
        let taken = chunks.take(Message { name: None, data: data.to_owned() }, &mut String::new());
        assert_eq!(taken, Ok(Taken::Piece));
    }
    let state = json!(chunks);
    assert_eq!(state["pieces"], json!([{"Text": "So."}, "Thought", {"Text": "Then."}]));
}

#[test]
fn no_stream_whatever_makes_it_panic() {
    const REFUSED: [&str; 2] = [
        r#"{"candidates": [{"content": {"parts": [{"text": "So"}]}}]}"#,
        r#"{"error": {"code": 503, "message": "no"}}"#,
    ];
    const BLOCKED: [&str; 1] = [r#"{"promptFeedback": {"blockReason": "OTHER"}, "usageMetadata": {}}"#];
    check_damaged_streams::<Gemini>(&fetch().state, &[&CHUNKS, &CHUNKS, &REFUSED, &BLOCKED]);
}

#[test]
fn a_body_that_is_not_utf_8_is_a_malformed_response() {
    let body =
        b"{\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"\xff\xfe\"}]}, \"finishReason\": \"STOP\"}]}";
    let error = answer(body.as_slice());
    assert!(matches!(error, Err(Error::MalformedResponse(_))), "{error:?}");
    let error = Gemini::resume(fetch().state, response(500, &[], body.as_slice()));
    assert!(matches!(error, Err(Error::Provider(_))), "{error:?}");
}

#[test]
fn state_that_is_not_the_plugins_own_is_an_error() {
    let outcome = Gemini::resume(b"{}".to_vec(), response(200, &[], "{}"));
    assert!(matches!(outcome, Err(Error::Other(_))), "{outcome:?}");
}

#[test]
fn no_answer_whatever_makes_it_panic() {
    const REFUSAL: &str = r#"[{"error": {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED", "details":
        [{"violations": [{"quotaId": "PerDay", "quotaValue": "0"}]}, {"retryDelay": "34s"}]}}]"#;
    check_damaged_answers::<Gemini>(&fetch().state, &[ANSWER, ANSWER, REFUSAL]);
}

#[test]
fn the_settings_schema_names_every_setting() {
    let Err(error) = Settings::parse(r#"{"?": 1}"#) else { panic!("an unknown key is accepted") };
    check_settings_schema(SCHEMA, &error);
}
