//! What fixtures can't say.

use serde_json::json;
use understudy_plugin::Provider;
use understudy_plugin::stream::{Event, Message, ResponseHead, StreamingProvider, StreamingStep};
use understudy_plugin::testing::{
    check_damaged_answers, check_damaged_streams, check_settings_schema, check_streaming_fixtures, options, request,
    response,
};
use understudy_plugin::types::{Completion, ContentBlock, Error, Fetch, Role, Step};

use crate::settings::{SCHEMA, Settings};
use crate::{OpenAi, models};

#[test]
fn openai_keeps_to_its_fixtures() {
    check_streaming_fixtures::<OpenAi>("fixtures");
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

fn fetch(api: &str) -> Fetch {
    match OpenAi::start(request(REQUEST), options(models::DEFAULT, &json!({"api": api}))) {
        Ok(Step::Fetch(fetch)) => fetch,
        other => panic!("{other:?}"),
    }
}

fn answer(api: &str, body: impl Into<Vec<u8>>) -> Result<Completion, Error> {
    match OpenAi::resume(fetch(api).state, response(200, &[], body)) {
        Ok(Step::Done(completion)) => Ok(completion),
        Ok(Step::Fetch(fetch)) => panic!("{fetch:?}"),
        Err(error) => Err(error),
    }
}

const ANSWER: &str = r#"{"model": "m", "choices": [{"message": {"content": "So. ", "reasoning_content": "Hm.", "refusal": null,
    "tool_calls": [{"id": "b", "type": "function", "function": {"name": "t_1", "arguments": "{\"n\": 1e400, \"m\": 2.50}"}}]},
    "finish_reason": "tool_calls", "stop_reason": null}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}"#;

const RESPONSE: &str = r#"{"model": "m", "status": "completed", "error": null, "output": [
    {"type": "reasoning", "id": "rs", "summary": [{"n": 1.0}], "encrypted_content": "e", "status": null},
    {"type": "message", "phase": "commentary", "content": [{"type": "output_text", "text": "So. "}]},
    {"type": "function_call", "call_id": "b", "name": "t_1", "arguments": "{\"n\": 1e400, \"m\": 2.50}"}],
    "usage": {"input_tokens": 1, "output_tokens": 2}}"#;

const BOTH: [(&str, &str); 2] = [("chat", ANSWER), ("responses", RESPONSE)];

#[test]
fn numbers_keep_their_spelling_on_the_way_out() {
    for (api, own) in [
        ("chat", [r#""content":"{\"m\": 1.50}""#, r#""max_completion_tokens":100,"#]),
        ("responses", [r#""output":"{\"m\": 1.50}""#, r#""max_output_tokens":100,"#]),
    ] {
        let body = String::from_utf8_lossy(&fetch(api).request.body).into_owned();
        let both =
            [r#""arguments":"{\"n\": 100.0, \"big\": 12345678901234567890123}""#, r#"{"n": {"maximum": 1e400}}"#];
        for part in both.iter().chain(&own) {
            assert!(body.contains(part), "{part} is not in {body}");
        }
    }
}

#[test]
fn numbers_keep_their_spelling_on_the_way_in() {
    for (api, body) in BOTH {
        let content = answer(api, body).map(|completion| completion.result.content);
        let Ok([ContentBlock::Text(_), ContentBlock::ToolUse(tool_use)]) = content.as_deref() else {
            panic!("{content:?}")
        };
        assert_eq!(tool_use.input, r#"{"n": 1e400, "m": 2.50}"#);
        assert_eq!(tool_use.name, "t.1");
    }
}

#[test]
fn reasoning_goes_back_as_it_came() {
    let content = answer("responses", RESPONSE).map(|completion| completion.result.content).unwrap_or_default();
    let mut request = request(REQUEST);
    for message in request.messages.iter_mut().filter(|message| message.role == Role::Assistant) {
        message.content.clone_from(&content);
    }
    let Ok(Step::Fetch(fetch)) = OpenAi::start(request, options(models::DEFAULT, &json!({"api": "responses"}))) else {
        panic!("a request that fits is an exchange")
    };
    let body = String::from_utf8_lossy(&fetch.request.body).into_owned();
    let items = r#"{"type":"reasoning","id":"rs","summary":[{"n": 1.0}],"encrypted_content":"e"},{"type":"message","role":"assistant","content":"So. ","phase":"commentary"},{"type":"function_call","call_id":"b","#;
    assert!(body.contains(items), "{body}");
}

#[test]
fn a_body_that_is_not_utf_8_is_a_malformed_response() {
    for (api, body) in BOTH {
        let (before, after) = body.split_once("So. ").unwrap_or_default();
        let body = [before.as_bytes(), b"\xff\xfe", after.as_bytes()].concat();
        let error = answer(api, body.as_slice());
        assert!(matches!(error, Err(Error::MalformedResponse(_))), "{error:?}");
        let error = OpenAi::resume(fetch(api).state, response(500, &[], body));
        assert!(matches!(error, Err(Error::Provider(_))), "{error:?}");
    }
}

#[test]
fn no_answer_whatever_makes_it_panic() {
    for (api, body) in BOTH {
        check_damaged_answers::<OpenAi>(&fetch(api).state, &[body]);
    }
}

const CHUNKS: &[&str] = &[
    r#"{"model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "So. ", "reasoning_content": "Hm.", "refusal": null}}]}"#,
    r#"{"choices": [{"delta": {"content": [{"type": "text", "text": "So"}, {"type": "thinking"}], "reasoning": "a", "images": []}}]}"#,
    r#"{"choices": [{"delta": {"reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0, "id": null}]}}]}"#,
    r#"{"choices": [{"delta": {"reasoning_details": [{"type": "reasoning.text", "text": "b", "index": 0, "signature": "s"}]}}]}"#,
    r#"{"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "b", "function": {"name": "t_1", "arguments": "{\"n\": 1e"}}]}}]}"#,
    r#"{"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "400, \"m\": 2.50}"}}, {"id": "c"}]}}]}"#,
    r#"{"choices": [{"delta": {"tool_calls": [{"id": "c", "function": {"name": "t_1", "arguments": {"n": 1e400, "m": 2.50}}}]}}]}"#,
    r#"{"choices": [{"delta": {}, "finish_reason": "tool_calls", "stop_reason": null, "matched_stop": 7}], "usage": null}"#,
    r#"{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}"#,
    "[DONE]",
];

const EVENTS: &[&str] = &[
    r#"{"type": "response.created", "response": {"status": "in_progress", "output": []}}"#,
    r#"{"type": "response.output_text.delta", "delta": "So. ", "output_index": 0}"#,
    r#"{"type": "response.output_item.done", "item": {"type": "message", "content": [{"type": "output_text", "text": "So. "}]}}"#,
    r#"{"type": "response.output_item.done", "item": {"type": "function_call", "call_id": "b", "name": "t_1", "arguments": "{\"n\": 1e400, \"m\": 2.50}"}}"#,
    r#"{"type": "response.completed", "response": {"model": "m", "status": "completed", "output": [], "usage": {"input_tokens": 1}}}"#,
];

#[test]
fn numbers_keep_their_spelling_in_a_stream() {
    for (api, stream) in [("chat", CHUNKS), ("responses", EVENTS)] {
        let mut events = vec![Event::Opened(ResponseHead { status: 200, headers: Vec::new() })];
        events.extend(stream.iter().map(|&data| Event::Message(Message { name: None, data: data.to_owned() })));
        let step = OpenAi::next(fetch(api).state, events);
        let Ok(StreamingStep::Done(completion)) = step else { panic!("{step:?}") };
        let Some(ContentBlock::ToolUse(tool_use)) = completion.result.content.last() else {
            panic!("{:?}", completion.result.content)
        };
        assert_eq!(tool_use.input, r#"{"n": 1e400, "m": 2.50}"#);
        assert_eq!(tool_use.name, "t.1");
    }
}

#[test]
fn no_stream_whatever_makes_it_panic() {
    let error = r#"{"type": "error", "error": {"message": "no", "code": 503}}"#;
    for (api, stream) in [("chat", CHUNKS), ("responses", EVENTS)] {
        let failing = [stream.get(..3).unwrap_or_default(), &[error]].concat();
        check_damaged_streams::<OpenAi>(&fetch(api).state, &[stream, &failing]);
    }
}

#[test]
fn the_settings_schema_names_every_setting() {
    let Err(error) = Settings::parse(r#"{"?": 1}"#) else { panic!("an unknown key is accepted") };
    check_settings_schema(SCHEMA, &error);
}

#[test]
fn every_model_of_the_catalogue_takes_tools() {
    let description = OpenAi::describe();
    assert!(description.models.iter().any(|model| Some(&model.name) == description.default_model.as_ref()));
    for model in description.models {
        let facts = models::facts(&model.name);
        assert!(!facts.reasons || facts.can_do_without_reasoning, "{}", model.name);
        assert_eq!(facts.most_output.map(u64::from), model.max_output_tokens, "{}", model.name);
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
        assert!(models::facts(name).reasons, "{name}");
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
        assert!(!models::facts(name).reasons, "{name}");
    }
    for name in
        ["gpt-5.5-2026-04-23", "gpt-6-luna", "openai/gpt-5.6-terra", "openai/gpt-6-luna:nitro", "azure/GPT-6.1-Terra"]
    {
        assert!(models::facts(name).can_do_without_reasoning, "{name}");
    }
    for name in ["gpt-5", "gpt-5.1-codex", "gpt-5.2-pro", "gpt-6-astra", "gpt-6.1-sol", "o3"] {
        assert!(!models::facts(name).can_do_without_reasoning, "{name}");
    }
}
