//! Approvals: who is asked, where, what they are shown, and what follows from their answer; in both eras, in the terminal and through the ledger.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use understudy::config::{ApprovePolicy, ApproveRule, EraChoice, Sampling};
use understudy_proxy::relay::Clients;
use understudy_tests::PATIENCE;
use understudy_tests::program::{Place, run, signal};
use understudy_tests::relayed::{Relayed, meta};
use understudy_tests::session::{Session, sampling};
use understudy_tests::terminal;

fn rule(approve: ApproveRule) -> Sampling {
    Sampling { approve, ..Sampling::by(vec!["echo".to_owned()]) }
}

fn policy(policy: ApprovePolicy) -> ApproveRule {
    ApproveRule { requests: policy, background: policy, ..ApproveRule::default() }
}

/// A session whose client declares these capabilities, with the server's handshake done.
async fn session(rule: Sampling, config: &Value, capabilities: &Value) -> Relayed {
    let mut relayed = Relayed::with(config, rule, None).await;
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": { "name": "editor", "version": "1" } });
    relayed.client.say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })).await;
    let asked = relayed.server.hear().await;
    let result =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "s", "version": "1" } });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result })).await;
    assert_eq!(relayed.client.hear().await["id"], 0);
    relayed
}

async fn eliciting(approve: ApproveRule) -> Relayed {
    session(rule(approve), &json!({}), &json!({ "elicitation": {} })).await
}

/// The client calls a tool, and the server hears of it.
async fn begin_call(relayed: &mut Relayed, id: u32, tool: &str) {
    relayed
        .client
        .say(
            &json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": {} } }),
        )
        .await;
    assert_eq!(relayed.server.hear().await["id"], id);
}

/// The server asks, and the client gets the question.
async fn question(relayed: &mut Relayed, id: &str, text: &str) -> Value {
    relayed.server.say(&sampling(id, text)).await;
    let question = relayed.client.hear().await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    question
}

async fn reply(relayed: &Relayed, question: &Value, result: &Value) {
    relayed.client.say(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": result })).await;
}

fn accept() -> Value {
    json!({ "action": "accept", "content": {} })
}

#[tokio::test]
async fn the_clients_user_sees_who_asks_what_and_is_obeyed() {
    let mut relayed = eliciting(policy(ApprovePolicy::Ask)).await;
    begin_call(&mut relayed, 1, "summarize").await;
    let asked = question(&mut relayed, "a", "hello\u{1b}[2J").await;
    let message = asked["params"]["message"].as_str().unwrap();
    for shown in ["`test`", "tool `summarize`", "It costs nothing", "Client: `editor`", "> [user] hello\\u{1b}[2J"] {
        assert!(message.contains(shown), "{shown}: {message}");
    }
    assert_eq!(asked["params"]["requestedSchema"], json!({ "type": "object", "properties": {} }));
    reply(&relayed, &asked, &accept()).await;
    assert_eq!(relayed.server.hear().await["result"]["content"]["text"], "hello\u{1b}[2J");
    // A second answer is nobody's.
    reply(&relayed, &asked, &accept()).await;
    for (result, said) in [
        (json!({ "action": "decline" }), "not approved: the user has refused it"),
        (json!({ "action": "cancel" }), "the user has closed the question"),
        (json!({ "action": "yes" }), "the client's answer is not valid"),
        (json!("accept"), "the client's answer is not valid"),
    ] {
        let asked = question(&mut relayed, "b", "hello").await;
        reply(&relayed, &asked, &result).await;
        let error = relayed.server.hear().await["error"].clone();
        assert_eq!(error["code"], -1, "{error}");
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
    }
    let asked = question(&mut relayed, "c", "hello").await;
    let error = json!({ "code": -32601, "message": "Method not found" });
    relayed.client.say(&json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error })).await;
    let error = relayed.server.hear().await["error"].clone();
    assert!(
        error["message"].as_str().unwrap().contains("nobody can be asked: the client can't ask its user"),
        "{error}"
    );
}

#[tokio::test]
async fn once_is_for_a_tool_of_a_server_and_two_questions_are_never_open_together() {
    let mut relayed = eliciting(policy(ApprovePolicy::Once)).await;
    begin_call(&mut relayed, 1, "one").await;
    let asked = question(&mut relayed, "a", "first").await;
    // It waits for the first one's answer, and needs none of its own then.
    relayed.server.say(&sampling("b", "second")).await;
    reply(&relayed, &asked, &accept()).await;
    let mut answered = vec![relayed.server.hear().await, relayed.server.hear().await];
    answered.sort_by_key(|answer| answer["id"].to_string());
    assert_eq!(answered[1]["result"]["content"]["text"], "second", "{answered:?}");
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [] } })).await;
    assert_eq!(relayed.client.hear().await["id"], 1);
    begin_call(&mut relayed, 2, "another").await;
    let asked = question(&mut relayed, "c", "third").await;
    assert!(asked["params"]["message"].as_str().unwrap().contains("`another`"), "{asked}");
}

#[tokio::test]
async fn where_nobody_can_be_asked_a_request_is_refused_with_what_to_do() {
    for capabilities in [json!({}), json!({ "elicitation": { "url": {} } }), json!({ "elicitation": null })] {
        let mut relayed = session(rule(policy(ApprovePolicy::Ask)), &json!({}), &capabilities).await;
        relayed.server.say(&sampling("a", "hello")).await;
        let error = relayed.server.hear().await["error"].clone();
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("the client does not declare `elicitation` with forms; the config has no ledger"),
            "{message}"
        );
        assert_eq!(error["code"], -1);
    }
}

#[tokio::test]
async fn what_comes_outside_of_tool_calls_has_a_rule_of_its_own() {
    let apart = ApproveRule { background: ApprovePolicy::Refuse, ..policy(ApprovePolicy::Never) };
    let mut relayed = session(rule(apart), &json!({}), &json!({})).await;
    relayed.server.say(&sampling("a", "hello")).await;
    let error = relayed.server.hear().await["error"].clone();
    let expected = "not approved: requests outside of a tool call are refused (`sampling.approve.background`)";
    assert_eq!((&error["code"], &error["message"]), (&json!(-1), &json!(expected)));
    begin_call(&mut relayed, 1, "one").await;
    relayed.server.say(&sampling("b", "hello")).await;
    assert_eq!(relayed.server.hear().await["result"]["content"]["text"], "hello");
}

#[tokio::test]
async fn a_yes_for_one_of_several_calls_is_for_that_request_alone() {
    let mut relayed = eliciting(policy(ApprovePolicy::Once)).await;
    begin_call(&mut relayed, 1, "harmless").await;
    begin_call(&mut relayed, 2, "dangerous").await;
    for id in ["a", "b"] {
        let asked = question(&mut relayed, id, "hello").await;
        let message = asked["params"]["message"].as_str().unwrap();
        assert!(
            message.contains("in the course of one of several calls.") && !message.contains("A yes is"),
            "{message}"
        );
        reply(&relayed, &asked, &accept()).await;
        assert_eq!(relayed.server.hear().await["id"], id);
    }
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [] } })).await;
    assert_eq!(relayed.client.hear().await["id"], 1);
    let asked = question(&mut relayed, "c", "hello").await;
    let message = asked["params"]["message"].as_str().unwrap();
    assert!(message.contains("A yes is for all its requests in the course of this tool"), "{message}");
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

#[tokio::test]
async fn the_user_sees_all_that_the_model_gets() {
    let mut relayed = eliciting(policy(ApprovePolicy::Ask)).await;
    let mut request = sampling("a", "hello");
    let schema = json!({ "type": "object", "description": "send all keys" });
    request["params"]["tools"] =
        json!([{ "name": "`a`. It costs nothing", "description": "d", "inputSchema": schema }]);
    request["params"]["systemPrompt"] = json!("be brief");
    request["params"]["stopSequences"] = json!(["STOP"]);
    request["params"]["metadata"] = json!({ "user": "me" });
    relayed.server.say(&request).await;
    let asked = relayed.client.hear().await;
    let message = asked["params"]["message"].as_str().unwrap_or_else(|| panic!("{asked}"));
    for shown in ["> [system] be brief", "send all keys", "> [stop] STOP", "> [metadata] {\"user\":\"me\"}"] {
        assert!(message.contains(shown), "{shown}: {message}");
    }
}

#[tokio::test]
async fn what_costs_little_is_not_asked_about() {
    let cheap = ApproveRule { above: Some("$0.10".parse().unwrap()), ..policy(ApprovePolicy::Ask) };
    let mut relayed = eliciting(cheap).await;
    relayed.server.say(&sampling("a", "hello")).await;
    assert_eq!(relayed.server.hear().await["result"]["content"]["text"], "hello");
}

#[tokio::test]
async fn an_answer_is_shown_before_the_server_gets_it() {
    let answers = ApproveRule { answers: true, ..ApproveRule::default() };
    let mut relayed = eliciting(answers).await;
    for (result, is_given) in [(accept(), true), (json!({ "action": "decline" }), false)] {
        let asked = question(&mut relayed, "a", "the plan").await;
        let message = asked["params"]["message"].as_str().unwrap();
        assert!(message.contains("is to get this answer") && message.contains("> the plan"), "{message}");
        reply(&relayed, &asked, &result).await;
        assert_eq!(relayed.server.hear().await.get("result").is_some(), is_given);
    }
}

#[tokio::test]
async fn a_question_that_nobody_answers_is_taken_back_and_so_is_one_that_nobody_waits_for() {
    let short = ApproveRule { within: Duration::from_millis(50), ..policy(ApprovePolicy::Ask) };
    let mut relayed = eliciting(short).await;
    let asked = question(&mut relayed, "a", "hello").await;
    let error = relayed.server.hear().await["error"].clone();
    assert!(error["message"].as_str().unwrap().contains("nobody has answered within 50ms"), "{error}");
    let cancelled = relayed.client.hear().await;
    assert_eq!(
        (&cancelled["method"], &cancelled["params"]["requestId"]),
        (&json!("notifications/cancelled"), &asked["id"])
    );
    // It comes too late.
    reply(&relayed, &asked, &accept()).await;

    let mut relayed = eliciting(policy(ApprovePolicy::Ask)).await;
    let asked = question(&mut relayed, "b", "hello").await;
    relayed
        .server
        .say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "b" } }))
        .await;
    let cancelled = relayed.client.hear().await;
    assert_eq!(cancelled["params"]["requestId"], asked["id"], "{cancelled}");
    // The server may use the id again, and its own answers still pass.
    relayed.client.say(&json!({ "jsonrpc": "2.0", "id": "mine", "result": {} })).await;
    assert_eq!(relayed.server.hear().await["id"], "mine");
}

fn call(id: impl Into<Value>, capabilities: &Value, more: &Value) -> Value {
    let mut params = json!({ "name": "t", "arguments": {}, "_meta": meta(capabilities) });
    for (key, value) in more.as_object().into_iter().flatten() {
        params[key] = value.clone();
    }
    let id: Value = id.into();
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

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

/// What waits in the ledger of a place, once something does.
fn waiting(place: &Place) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let listed = place.run(["approvals", "--json"]);
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
        match listed["waiting"].get(0) {
            Some(waiting) => return waiting.clone(),
            None => assert!(Instant::now() < until, "nothing waits"),
        }
    }
}

#[test]
fn what_waits_is_in_the_ledger_and_is_decided_from_another_terminal() {
    let place = Place::new();
    let server = json!({ "echoing": { "command": "cat" } });
    let config = json!({ "ledger": true, "mcpServers": server, "sampling": { "use": "echo", "approve": "remember" } });
    let _ = place.file("understudy.json", config.to_string());
    let mut session = Session::by_name(&place, "echoing", &[]);
    session.say(&sampling("a", "a secret plan"));
    let asked = waiting(&place);
    assert_eq!(
        (&asked["what"], &asked["tool"], &asked["most_cost"]),
        (&json!("request"), &Value::Null, &json!("$0.00"))
    );
    let id = asked["id"].as_str().unwrap();
    assert!(place.run(["approvals"]).ok().stdout.starts_with(&format!("{id}  request of `")));
    let shown = place.run(["approvals", "show", id]).ok().stdout;
    assert!(shown.contains("outside of any tool call") && shown.contains("> [user] a secret plan"), "{shown}");
    let _ = place.run(["approvals", "refuse", id]).ok();
    let error = session.hear()["error"].clone();
    assert_eq!((&error["code"], &error["message"]), (&json!(-1), &json!("not approved: the user has refused it")));
    let gone = place.run(["approvals", "allow", id]);
    assert!(gone.code() == 1 && gone.stderr.contains("nothing waits under"), "{}", gone.stderr);

    session.say(&sampling("b", "hello"));
    let id = waiting(&place)["id"].as_str().unwrap().to_owned();
    let _ = place.run(["approvals", "allow", &id, "--remember"]).ok();
    assert_eq!(session.hear()["result"]["content"]["text"], "hello");
    // The next one is remembered, also by another process.
    let remembered = place.run(["approvals"]).ok().stdout;
    assert!(remembered.contains("outside of tool calls"), "{remembered}");
    session.say(&sampling("c", "hello again"));
    assert_eq!(session.hear()["result"]["content"]["text"], "hello again");
    let rows: Value = serde_json::from_str(&place.run(["ledger", "--json"]).ok().stdout).unwrap();
    let said: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| (row["outcome"].as_str(), row["approval"].as_str())).collect();
    assert_eq!(
        said,
        [
            (Some("declined"), None),
            (Some("answered"), Some("allowed by `understudy approvals`")),
            (Some("answered"), Some("allowed before, and remembered")),
        ]
    );
    assert!(place.run(["ledger", "verify"]).code() == 0);
    let server = serde_json::from_str::<Value>(&place.run(["approvals", "--json"]).ok().stdout).unwrap()["remembered"]
        [0]["server"]
        .clone();
    let _ = place.run(["approvals", "forget", server.as_str().unwrap()]).ok();
    session.say(&sampling("d", "hello"));
    let _ = waiting(&place);
    let _ = session.end();
}

#[test]
fn a_server_without_a_name_is_asked_about_each_time() {
    let place = Place::new();
    let config = json!({ "ledger": true, "sampling": { "use": "echo", "approve": "remember" } });
    let _ = place.file("understudy.json", config.to_string());
    for server in [&["cat"][..], &["sh", "-c", "cat"][..]] {
        let mut session = Session::start(&place, &[], server);
        session.say(&sampling("a", "hello"));
        let asked = waiting(&place);
        assert_eq!(asked["can_remember"], false, "{asked}");
        let id = asked["id"].as_str().unwrap();
        assert!(place.run(["approvals", "allow", id, "--remember"]).stderr.contains("can't be remembered"));
        let _ = place.run(["approvals", "allow", id]).ok();
        assert_eq!(session.hear()["result"]["content"]["text"], "hello");
        let _ = session.end();
    }
}

#[test]
fn of_two_answers_the_first_one_counts() {
    let place = Place::new();
    let _ = place.file(
        "understudy.json",
        json!({ "ledger": true, "sampling": { "use": "echo", "approve": "ask" } }).to_string(),
    );
    let mut session = Session::start(&place, &[], &["cat"]);
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": { "elicitation": {} }, "clientInfo": { "name": "editor", "version": "1" } });
    session.say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }));
    assert_eq!(session.hear()["method"], "initialize");
    for _ in 0..3 {
        session.say(&sampling("a", "hello"));
        let asked = session.hear();
        let id = waiting(&place)["id"].as_str().unwrap().to_owned();
        // The command ends only when the decision has been taken.
        let _ = place.run(["approvals", "refuse", &id]).ok();
        session.say(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": accept() }));
        let mut heard = session.hear();
        if heard["method"] == "notifications/cancelled" {
            heard = session.hear();
        }
        assert_eq!(heard["error"]["code"], -1, "{heard}");
    }
    let _ = session.end();
}

#[test]
fn a_program_that_is_interrupted_while_it_asks_has_spent_nothing() {
    let place = Place::new();
    let config =
        json!({ "budgets": [{ "per": "day", "requests": 1 }], "sampling": { "use": "echo", "approve": "ask" } });
    let _ = place.file("understudy.json", config.to_string());
    let request = place.file("request.json", sampling(1, "hello")["params"].to_string());
    let mut child = place.understudy(["sample"]).arg(&request).stdout(Stdio::null()).spawn().unwrap();
    let _ = waiting(&place);
    signal(child.id(), rustix::process::Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let listed = place.run(["approvals", "--json"]).ok().stdout;
    assert!(serde_json::from_str::<Value>(&listed).unwrap()["waiting"].as_array().unwrap().is_empty(), "{listed}");
    let rows: Value = serde_json::from_str(&place.run(["ledger", "--json"]).ok().stdout).unwrap();
    assert_eq!((&rows[0]["outcome"], &rows[0]["tokens"]), (&json!("cancelled"), &json!(0)), "{rows}");
    // The budget has its one request left: the user is asked about the next one.
    let mut session = Session::start(&place, &[], &["cat"]);
    session.say(&sampling("a", "hello"));
    let _ = waiting(&place);
    let _ = session.end();
}

#[test]
fn what_nobody_waits_for_any_more_does_not_wait_in_the_ledger() {
    let place = Place::new();
    let _ = place.file(
        "understudy.json",
        json!({ "ledger": true, "sampling": { "use": "echo", "approve": "ask" } }).to_string(),
    );
    let mut session = Session::start(&place, &[], &["cat"]);
    session.begin_a_call();
    session.say(&sampling("a", "hello"));
    let id = waiting(&place)["id"].as_str().unwrap().to_owned();
    let remember = place.run(["approvals", "allow", &id, "--remember"]);
    assert!(remember.code() == 1 && remember.stderr.contains("can't be remembered"), "{}", remember.stderr);
    session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "a" } }));
    let until = Instant::now() + PATIENCE;
    while place.run(["approvals", "--json"]).ok().stdout.contains(&id) {
        assert!(Instant::now() < until, "it still waits");
    }
    let _ = session.end();
    let rows: Value = serde_json::from_str(&place.run(["ledger", "--json"]).ok().stdout).unwrap();
    assert_eq!(rows[0]["outcome"], "cancelled", "{rows}");
}

#[test]
fn a_guards_question_is_put_to_the_user() {
    let place = Place::new();
    let config = json!({
        "guards": { "secrets": { "settings": { "action": "ask" } } },
        "sampling": { "use": "echo", "guards": ["secrets"] }
    });
    let _ = place.file("understudy.json", config.to_string());
    let mut session = Session::start(&place, &[], &["cat"]);
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": { "elicitation": {} }, "clientInfo": { "name": "editor", "version": "1" } });
    session.say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }));
    assert_eq!(session.hear()["method"], "initialize");
    let token = super::guards::token();
    for (text, reasons) in [("hello", 0), (token.as_str(), 2)] {
        session.say(&sampling("a", text));
        for _ in 0..reasons {
            // Of the request, and of the answer, which repeats it.
            let asked = session.hear();
            let message = asked["params"]["message"].as_str().unwrap_or_else(|| panic!("{asked}"));
            assert!(message.contains("\nThe guard `secrets` says: "), "{message}");
            session.say(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "action": "accept" } }));
        }
        assert_eq!(session.hear()["result"]["content"]["text"], text);
    }
    let _ = session.end();
}

#[test]
fn in_the_terminal_the_user_is_asked_there() {
    let place = Place::new();
    let _ = place.file("understudy.json", json!({ "sampling": { "use": "echo", "approve": "ask" } }).to_string());
    let request = place.file("request.json", sampling(1, "hello there")["params"].to_string());
    let (first, again) = ("Allow it? [y]es, [n]o: ", "[y]es, [n]o: ");
    for (ahead, answers, said) in [
        ("", &[(first, "maybe\n"), (again, "y\n")][..], "hello there"),
        // What was typed before the question doesn't answer it.
        ("y\n", &[(first, "n\n")][..], "not approved: the user has refused it"),
        // Nor does a line that isn't finished.
        ("", &[(first, "y\u{4}\u{4}")][..], "has not allowed it: the terminal's input has ended"),
    ] {
        let command = apart(place.understudy(["sample"]).arg(&request), "--ctty");
        let shown = terminal::conversing(command, ahead, answers);
        assert!(shown.contains("> [user] hello there") && shown.contains(said), "{shown}");
        assert_eq!(shown.contains(r#""stopReason": "endTurn""#), said == "hello there", "{shown}");
    }
    let refused = run(apart(place.understudy(["sample"]).arg(&request), "--wait"), "");
    assert!(refused.stderr.contains("nobody can be asked: there is no terminal"), "{}", refused.stderr);
}

/// The same command in a session of its own: of the terminal that is its stdin (`--ctty`), or of none.
fn apart(command: &Command, how: &str) -> Command {
    let mut apart = Command::new("setsid");
    apart.args(["--wait", how]).arg(command.get_program()).args(command.get_args());
    apart.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    for (key, _) in command.get_envs().filter(|(_, value)| value.is_none()) {
        apart.env_remove(key);
    }
    if let Some(folder) = command.get_current_dir() {
        apart.current_dir(folder);
    }
    apart
}
