//! A user's refusal stands.

use serde_json::{Value, json};
use understudy_tests::peers::workspace;
use understudy_tests::program::Place;
use understudy_tests::session::{Session, sampling};

/// A client that can sample, in front of `cat`, which says whatever the client says.
fn session(place: &Place) -> Session {
    let mut session = Session::start(place, &["--plugin", "echo", "--requests-per-call", "1000"], &["cat"]);
    session.say(&json!({"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {"sampling": {}}}}));
    let _ = session.hear();
    session
}

/// What the server gets when the client answers its request with this error, as it is spelt.
fn answered(session: &mut Session, id: usize, error: &str) -> Value {
    session.say(&sampling(id, "the user's private text"));
    assert_eq!(session.hear()["method"], "sampling/createMessage");
    session.say_bytes(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}\n").as_bytes());
    session.hear()
}

/// Whether the plugin, which is `echo`, has answered.
fn is_plugins(answer: &Value) -> bool {
    answer["result"]["content"]["text"] == "the user's private text"
}

#[test]
fn what_published_clients_answer_calls_the_plugin_only_where_they_cannot_sample() {
    let table = std::fs::read_to_string(workspace().join("host/proxy/src/relay/refusal/clients.json"));
    let table: Vec<Value> = serde_json::from_str(&table.unwrap_or_default()).unwrap_or_default();
    assert!(table.len() > 40);
    let place = Place::new();
    let mut session = session(&place);
    for (id, case) in table.iter().enumerate() {
        let error = case["error"].to_string();
        let answer = answered(&mut session, id + 1, &error);
        if case["means"] == "cannot" {
            assert!(is_plugins(&answer), "{}: {answer}", case["client"]);
        } else {
            assert_eq!(answer["error"], case["error"], "{}: the server is told what the client said", case["client"]);
        }
    }
    let (.., stderr) = session.end();
    let unclear = stderr.matches("doesn't say that it can't sample").count();
    assert_eq!(unclear, 1, "said once: {stderr}");
    assert!(stderr.contains("`--mode always`"), "{stderr}");
}

#[test]
fn errors_that_are_no_proper_ones_are_understood_and_none_is_lost() {
    let place = Place::new();
    let mut session = session(&place);
    let cases = [
        (r#"{"code":"-32601","message":null}"#, true),
        (r#"{"code":-32601.0}"#, true),
        (r#"{"message":"Sampling not supported"}"#, true),
        (r#""sampling not supported""#, true),
        (r#"{"code":null,"message":null}"#, false),
        (r#"{"code":"SamplingRejected","message":"not supported here"}"#, true),
        (r#"{"code":-32601,"message":"Method not found","data":{"by":"the user"}}"#, false),
        (r#"{"code":-32601,"message":"\u0052ejected"}"#, false),
        (r#"{"code":-32601,"message":"Method not found"},"result":{"model":"m"}"#, false),
        ("{}", false),
        ("[]", false),
        ("true", false),
        ("null", false),
    ];
    for (id, (error, is_plugin)) in cases.into_iter().enumerate() {
        let answer = answered(&mut session, id + 1, error);
        assert_eq!(is_plugins(&answer), is_plugin, "{error}: {answer}");
        assert_eq!(answer["id"], id + 1, "{error}: {answer}");
    }
    session.say(&sampling(50, "the user's private text"));
    let _ = session.hear();
    let unreadable = b"{\"jsonrpc\":\"2.0\",\"id\":50,\"error\":{\"code\":1e999,\"message\":\"Method not found\"}}\n";
    session.say_bytes(unreadable);
    assert_eq!(session.line(), unreadable);
    // A result is an answer, whatever is in it; and so is a refusal that is one.
    for (id, result) in [json!({}), json!(null), json!({ "action": "decline" })].into_iter().enumerate() {
        session.say(&sampling(100 + id, "the user's private text"));
        let _ = session.hear();
        let said = json!({ "jsonrpc": "2.0", "id": 100 + id, "result": result });
        session.say(&said);
        assert_eq!(session.hear(), said);
    }
}

#[test]
fn a_refusal_in_a_batch_stands_too() {
    let place = Place::new();
    let mut session = session(&place);
    session.say(&sampling(1, "the user's private text"));
    let _ = session.hear();
    let batch = json!([{ "jsonrpc": "2.0", "id": 1, "error": { "code": -32000, "message": "The user has denied permission to call this method." } }]);
    session.say(&batch);
    assert_eq!(session.hear(), batch);
}
