//! What fixtures can't say: bodies that aren't text, and anything at all for `resume`.

use std::collections::BTreeMap;

use understudy_plugin::Provider;
use understudy_plugin::testing::{check_fixtures, options, request, response};
use understudy_plugin::types::{Error, Step};

use super::Anthropic;

const STATE: &[u8] = br#"{"model":"claude-test","tools":["look"],"stops":["\n"]}"#;

#[test]
fn anthropic_keeps_to_its_fixtures() {
    check_fixtures::<Anthropic>("fixtures");
}

#[test]
fn the_settings_schema_names_every_setting() -> Result<(), serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Schema {
        properties: BTreeMap<String, serde_json::Value>,
    }
    let schema: Schema = serde_json::from_str(&Anthropic::describe().settings_schema)?;
    let Err(Error::InvalidRequest(unknown)) = super::settings::Settings::parse(r#"{"nothing":1}"#) else {
        unreachable!("a key that isn't known must be refused")
    };
    for name in schema.properties.keys() {
        assert!(unknown.message.contains(&format!("`{name}`")), "{name} is not in: {}", unknown.message);
    }
    assert_eq!(unknown.message.matches('`').count() / 2, schema.properties.len() + 1, "{}", unknown.message);
    Ok(())
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
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap_or_default() % below.max(1)
    };
    for status in [200, 400, 529].into_iter().cycle().take(30_000) {
        let mut body = answer.as_bytes().to_vec();
        for _ in 0..next(4) {
            let at = next(body.len());
            let end = (at + next(40)).min(body.len());
            let put = [b'{', b'"', 0xff, b'0', b'[', b'}', b'\\', b','].into_iter().skip(next(8)).take(next(3));
            match next(8) {
                0 => body.truncate(at),
                _ => drop(body.splice(at..end, put)),
            }
        }
        drop(Anthropic::resume(STATE.to_vec(), response(status, &[("retry-after", "-1e400")], body)));
    }
}
