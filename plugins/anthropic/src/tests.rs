//! What fixtures can't say: bodies that aren't text, and anything at all for `resume`.

use understudy_plugin::Provider;
use understudy_plugin::testing::{
    check_damaged_answers, check_fixtures, check_settings_schema, options, request, response,
};
use understudy_plugin::types::{Error, Step};

use super::Anthropic;
use super::settings::Settings;

const STATE: &[u8] = br#"{"model":"claude-test","tools":["look"],"names":{"read/file":"read_file"},"stops":["\n"]}"#;

#[test]
fn anthropic_keeps_to_its_fixtures() {
    check_fixtures::<Anthropic>("fixtures");
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
}
