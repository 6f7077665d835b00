//! The same for clients of 2026-07-28, which are asked by one more input request.

use serde_json::{Value, json};
use understudy::config::{ApprovePolicy, ApproveRule, EraChoice, Sampling};
use understudy_proxy::relay::Clients;
use understudy_tests::relayed::{Relayed, call};
use understudy_tests::session::sampling;

use super::{accept, policy, rule};

/// A relay between a client and a server of 2026-07-28, with a call of the client's at the server; its id there.
async fn modern(approve: ApproveRule, config: &Value, capabilities: &Value) -> (Relayed, Value) {
    let rule = Sampling { era: EraChoice::Client, ..rule(approve) };
    discovered(Relayed::with(config, rule, None).await, capabilities).await
}

/// The same, with this relay.
async fn discovered(mut relayed: Relayed, capabilities: &Value) -> (Relayed, Value) {
    relayed.client.say(&call(1, capabilities, &json!({}))).await;
    let probe = relayed.server.hear().await;
    assert_eq!(probe["method"], "server/discover");
    let result = json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {} });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": probe["id"], "result": result })).await;
    let asked = relayed.server.hear().await;
    (relayed, asked["id"].clone())
}

/// The server requires a completion, and its own question to the user; what the client gets.
async fn required(relayed: &mut Relayed, id: &Value, requests: &Value) -> Value {
    let result = json!({ "resultType": "input_required", "inputRequests": requests, "requestState": "the server's" });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": id, "result": result })).await;
    relayed.client.hear().await
}

fn completion(text: &str) -> Value {
    json!({ "method": "sampling/createMessage", "params": sampling(1, text)["params"] })
}

#[tokio::test]
async fn a_stateless_client_is_asked_by_one_more_input_request() {
    let elicits = json!({ "elicitation": {} });
    let (mut relayed, id) = modern(policy(ApprovePolicy::Ask), &json!({}), &elicits).await;
    let name = json!({ "method": "elicitation/create", "params": { "message": "name?", "requestedSchema": { "type": "object", "properties": {} } } });
    let left = required(&mut relayed, &id, &json!({ "c": completion("hello"), "n": name })).await;
    let requests = left["result"]["inputRequests"].as_object().unwrap();
    assert_eq!(requests.keys().collect::<Vec<_>>(), ["n", "understudy-approval"]);
    let message = requests["understudy-approval"]["params"]["message"].as_str().unwrap();
    assert!(message.contains("in the course of its tool `t`") && message.contains("> [user] hello"), "{message}");
    let state = left["result"]["requestState"].as_str().unwrap();
    assert!(!state.contains("hello"));
    let responses = json!({ "n": { "action": "accept", "content": {} }, "understudy-approval": accept() });
    let retry = json!({ "requestState": state, "inputResponses": responses });
    relayed.client.say(&call(2, &elicits, &retry)).await;
    let again = relayed.server.hear().await;
    let given = &again["params"]["inputResponses"];
    assert_eq!((&given["c"]["content"]["text"], &given["n"]["action"]), (&json!("hello"), &json!("accept")), "{again}");
    assert_eq!((given.as_object().unwrap().len(), &again["params"]["requestState"]), (2, &json!("the server's")));
    let result = json!({ "resultType": "complete", "content": [] });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": again["id"], "result": result })).await;
    assert_eq!(relayed.client.hear().await["id"], 2);
    // The same state opens nothing twice.
    relayed.client.say(&call(3, &elicits, &retry)).await;
    let error = relayed.client.hear().await;
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(3), &json!(-32602)), "{error}");
}

#[tokio::test]
async fn a_stateless_clients_no_ends_the_call() {
    let elicits = json!({ "elicitation": { "form": {} } });
    for (responses, said) in [
        (json!({ "understudy-approval": { "action": "decline" } }), "the user has refused it"),
        (json!({ "understudy-approval": { "action": "cancel" } }), "the user has closed the question"),
        (json!({ "understudy-approval": 7 }), "the client's answer is not valid"),
        (json!({}), "the client has made its call again without an answer"),
    ] {
        let (mut relayed, id) = modern(policy(ApprovePolicy::Ask), &json!({}), &elicits).await;
        let left = required(&mut relayed, &id, &json!({ "c": completion("hello") })).await;
        let retry = json!({ "requestState": left["result"]["requestState"], "inputResponses": responses });
        relayed.client.say(&call("again", &elicits, &retry)).await;
        let error = relayed.client.hear().await;
        assert_eq!((&error["id"], &error["error"]["code"]), (&json!("again"), &json!(-1)), "{error}");
        assert!(error["error"]["message"].as_str().unwrap().contains(said), "{error}");
    }
    let (mut relayed, id) = modern(policy(ApprovePolicy::Ask), &json!({}), &json!({})).await;
    let error = required(&mut relayed, &id, &json!({ "c": completion("hello") })).await;
    assert!(
        error["error"]["message"].as_str().unwrap().contains("does not declare `elicitation` with forms"),
        "{error}"
    );
}

#[tokio::test]
async fn several_completions_of_one_round_are_asked_about_one_after_the_other() {
    let elicits = json!({ "elicitation": {} });
    let (mut relayed, id) = modern(policy(ApprovePolicy::Ask), &json!({}), &elicits).await;
    let mut left = required(&mut relayed, &id, &json!({ "a": completion("one"), "b": completion("two") })).await;
    for n in 0..2 {
        let retry = json!({ "requestState": left["result"]["requestState"], "inputResponses": { "understudy-approval": accept() } });
        relayed.client.say(&call(10 + n, &elicits, &retry)).await;
        if n == 0 {
            left = relayed.client.hear().await;
            assert_eq!(left["id"], 10);
        }
    }
    let again = relayed.server.hear().await;
    let given = &again["params"]["inputResponses"];
    assert_eq!((&given["a"]["content"]["text"], &given["b"]["content"]["text"]), (&json!("one"), &json!("two")));
}

/// The first completion of a call of this id is asked about; the user allows it.
async fn allow_first(relayed: &mut Relayed, id: &Value, back: &Value) -> Value {
    let elicits = json!({ "elicitation": {} });
    let left = required(relayed, back, &json!({ "c": completion("hello") })).await;
    let yes = json!({ "understudy-approval": accept() });
    let retry = json!({ "requestState": left["result"]["requestState"], "inputResponses": yes });
    relayed.client.say(&call(id.clone(), &elicits, &retry)).await;
    let again = relayed.server.hear().await;
    assert_eq!(again["params"]["inputResponses"]["c"]["content"]["text"], "hello", "{again}");
    again["id"].clone()
}

#[tokio::test]
async fn a_yes_is_the_one_clients_and_never_that_of_another() {
    let elicits = json!({ "elicitation": {} });
    for (clients, is_asked_again) in [(Clients::One, false), (Clients::Several { told: true }, true)] {
        let rule = Sampling { era: EraChoice::Client, ..rule(policy(ApprovePolicy::Once)) };
        let relayed = Relayed::between(&json!({}), rule, None, clients).await;
        let (mut relayed, back) = discovered(relayed, &elicits).await;
        let _ = allow_first(&mut relayed, &json!(2), &back).await;
        relayed.client.say(&call(3, &elicits, &json!({}))).await;
        let back = relayed.server.hear().await["id"].clone();
        let result = json!({ "resultType": "input_required", "inputRequests": { "c": completion("again") } });
        relayed.server.say(&json!({ "jsonrpc": "2.0", "id": back, "result": result })).await;
        if is_asked_again {
            let left = relayed.client.hear().await;
            assert!(left["result"]["inputRequests"]["understudy-approval"].is_object(), "{left}");
        } else {
            let again = relayed.server.hear().await;
            assert_eq!(again["params"]["inputResponses"]["c"]["content"]["text"], "again", "{again}");
        }
    }
}

#[tokio::test]
async fn a_call_that_its_client_gives_up_keeps_no_other_from_being_asked_about() {
    let elicits = json!({ "elicitation": {} });
    let (mut relayed, id) = modern(policy(ApprovePolicy::Ask), &json!({}), &elicits).await;
    let left = required(&mut relayed, &id, &json!({ "c": completion("one") })).await;
    assert_eq!(left["id"], 1);
    // Nobody comes back to that one.
    relayed.client.say(&call(2, &elicits, &json!({}))).await;
    let id = relayed.server.hear().await["id"].clone();
    let left = required(&mut relayed, &id, &json!({ "c": completion("two") })).await;
    let message = left["result"]["inputRequests"]["understudy-approval"]["params"]["message"].as_str().unwrap();
    assert!(message.contains("> [user] two"), "{left}");
}

#[tokio::test]
async fn a_stateless_client_of_a_server_with_sessions_is_asked_by_an_input_request_too() {
    let elicits = json!({ "elicitation": {} });
    let mut relayed = Relayed::with(&json!({}), rule(policy(ApprovePolicy::Ask)), None).await;
    relayed.client.say(&call(1, &elicits, &json!({}))).await;
    let initialize = relayed.server.hear().await;
    let result =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "s", "version": "1" } });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": initialize["id"], "result": result })).await;
    assert_eq!(relayed.server.hear().await["method"], "notifications/initialized");
    let called = relayed.server.hear().await;
    relayed.server.say(&sampling("a", "hello")).await;
    let left = relayed.client.hear().await;
    let (key, asked) = left["result"]["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert!(asked["params"]["message"].as_str().unwrap().contains("> [user] hello"), "{asked}");
    let retry = json!({ "requestState": left["result"]["requestState"], "inputResponses": { key.as_str(): accept() } });
    relayed.client.say(&call(2, &elicits, &retry)).await;
    assert_eq!(relayed.server.hear().await["result"]["content"]["text"], "hello");
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": called["id"], "result": { "content": [] } })).await;
    assert_eq!(relayed.client.hear().await["id"], 2);
}

#[tokio::test]
async fn after_a_no_nothing_of_the_same_round_is_asked_about_or_paid_for() {
    let elicits = json!({ "elicitation": {} });
    let (mut relayed, id) = modern(policy(ApprovePolicy::Ask), &json!({}), &elicits).await;
    let left = required(&mut relayed, &id, &json!({ "a": completion("one"), "b": completion("two") })).await;
    let no = json!({ "understudy-approval": { "action": "decline" } });
    let retry = json!({ "requestState": left["result"]["requestState"], "inputResponses": no });
    relayed.client.say(&call(2, &elicits, &retry)).await;
    let error = relayed.client.hear().await;
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(2), &json!(-1)), "{error}");
}
