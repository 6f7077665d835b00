//! The 2026-07-28 era, message by message: what is answered, what is passed on and how, and what is refused.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use serde_json::{Value, json};
use understudy::config::{EraChoice, Mode, Sampling};
use understudy_proxy::relay::StateKey;
use understudy_tests::program::Place;
use understudy_tests::relayed::{Relayed, call, meta};
use understudy_tests::session::sampling;

/// A relay on whose back is a server of this era.
async fn modern(mode: Mode, first: &Value) -> (Relayed, Value) {
    begin(Relayed::new(mode).await, first).await
}

async fn begin(mut relayed: Relayed, first: &Value) -> (Relayed, Value) {
    relayed.client.say(first).await;
    // A session is asked for first; this server has none.
    let initialize = relayed.server.hear().await;
    assert_eq!(initialize["method"], "initialize");
    let refusal = json!({ "code": -32601, "message": "Method not found" });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": initialize["id"], "error": refusal })).await;
    let probe = relayed.server.hear().await;
    assert_eq!(probe["method"], "server/discover");
    let result = json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {} });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": probe["id"], "result": result })).await;
    let asked = relayed.server.hear().await;
    (relayed, asked)
}

fn asks(text: &str) -> Value {
    json!({ "method": "sampling/createMessage", "params": sampling(1, text)["params"] })
}

fn elicits() -> Value {
    json!({ "method": "elicitation/create", "params": { "mode": "form", "message": "your name?", "requestedSchema": { "type": "object", "properties": {} } } })
}

fn required(id: &Value, requests: &Value, state: Option<&str>) -> Value {
    let mut result = json!({ "resultType": "input_required", "inputRequests": requests });
    if let Some(state) = state {
        result["requestState"] = json!(state);
    }
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

#[tokio::test]
async fn a_budget_of_one_call_holds_over_its_rounds_and_its_refusal_says_so_in_data() {
    let place = Place::new();
    let path = place.path().join("own/ledger.db");
    let config = json!({ "ledger": { "path": path }, "budgets": [{ "per": "call", "requests": 1 }] });
    let relayed = Relayed::with(&config, Sampling::by(vec!["echo".to_owned()]), None).await;
    let (mut relayed, asked) = begin(relayed, &call(7, &json!({}), &json!({}))).await;
    relayed.server.say(&required(&asked["id"], &json!({ "one": asks("first") }), None)).await;
    let again = relayed.server.hear().await;
    assert_eq!(again["params"]["inputResponses"]["one"]["content"]["text"], "first");
    relayed.server.say(&required(&again["id"], &json!({ "two": asks("second") }), None)).await;
    let error = relayed.client.hear().await["error"].clone();
    assert!(
        error["message"].as_str().unwrap().contains("got none: the budget of 1 request a call (`budgets[0]`)"),
        "{error}"
    );
    assert_eq!((&error["data"]["of"], &error["data"]["left"]), (&json!("requests"), &json!("0 requests")));
    // Other calls have their own, also those that go on with a state that only their server knows.
    for (id, more) in [(8, json!({})), (9, json!({ "requestState": "x" })), (10, json!({ "requestState": "y" }))] {
        relayed.client.say(&call(id, &json!({}), &more)).await;
        let asked = relayed.server.hear().await;
        relayed.server.say(&required(&asked["id"], &json!({ "one": asks("third") }), None)).await;
        let again = relayed.server.hear().await;
        assert_eq!(again["params"]["inputResponses"]["one"]["content"]["text"], "third");
        let result = json!({ "resultType": "complete", "content": [] });
        relayed.server.say(&json!({ "jsonrpc": "2.0", "id": again["id"], "result": result })).await;
        assert_eq!(relayed.client.hear().await["id"], id);
    }
}

#[tokio::test]
async fn sampling_is_declared_in_each_request_and_every_other_byte_stays() {
    let (mut relayed, _) = modern(Mode::Fallback, &call(0, &json!({}), &json!({}))).await;
    let meta = r#"{"x": 1.0, "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities": {"roots":{} }}"#;
    let line = |capabilities: &str| {
        let meta = meta.replace("{\"roots\"", &format!("{{{capabilities}\"roots\""));
        format!(r#"{{ "id":"a","method":"tools/list", "params":{{"_meta":{meta},"cursor":"\u00e4"}},"jsonrpc":"2.0"}}"#)
    };
    relayed.client.say_line(&line("")).await;
    assert_eq!(relayed.server.line().await, line(r#""sampling":{"tools":{}},"#));
    let answer = r#"{"jsonrpc":"2.0","id":"a","result":{"resultType":"complete","tools":[ ],"n":1.0}}"#;
    relayed.server.say_line(answer).await;
    assert_eq!(relayed.client.line().await, answer);
}

#[tokio::test]
async fn what_a_server_asks_is_answered_and_the_call_made_again_with_its_state_byte_for_byte() {
    let (mut relayed, asked) = modern(Mode::Fallback, &call(7, &json!({}), &json!({}))).await;
    let state = "st\u{e4}te \"/\\";
    let requests = json!({ "one": asks("first"), "two": asks("second") });
    relayed.server.say(&required(&asked["id"], &requests, Some(state))).await;
    let again = relayed.server.hear().await;
    assert_ne!(again["id"], asked["id"], "a new id");
    assert_eq!(again["params"]["requestState"], state);
    assert_eq!(again["params"]["inputResponses"]["one"]["content"]["text"], "first");
    assert_eq!(again["params"]["inputResponses"]["two"]["content"]["text"], "second");
    for key in ["name", "arguments", "_meta"] {
        assert_eq!(again["params"][key], asked["params"][key], "{key}");
    }
    // Once more, without a state: then there is none in the request either.
    relayed.server.say(&required(&again["id"], &json!({ "three": asks("third") }), None)).await;
    let third = relayed.server.hear().await;
    assert!(third["params"].get("requestState").is_none(), "{third}");
    assert_eq!(third["params"]["inputResponses"].as_object().map(serde_json::Map::len), Some(1));
    relayed
        .server
        .say(&json!({ "jsonrpc": "2.0", "id": third["id"], "result": { "resultType": "complete", "content": [] } }))
        .await;
    assert_eq!(
        relayed.client.hear().await,
        json!({ "jsonrpc": "2.0", "id": 7, "result": { "resultType": "complete", "content": [] } })
    );
}

#[tokio::test]
async fn whoever_has_the_same_key_takes_up_what_another_has_begun() {
    let elicitation = json!({ "elicitation": { "form": {} } });
    let replica = async |secret: Option<&str>, first: &Value| {
        let rule = Sampling::by(vec!["echo".to_owned()]);
        let key = secret.map(|secret| StateKey::from_secret(secret).unwrap());
        begin(Relayed::by(rule, key).await, first).await
    };
    let secret = "a secret of thirty-two bytes, or more";
    let (mut first, asked) = replica(Some(secret), &call(1, &elicitation, &json!({}))).await;
    let requests = json!({ "name": elicits(), "text": asks("hello") });
    first.server.say(&required(&asked["id"], &requests, Some("the server's"))).await;
    let left = first.client.hear().await;
    let more = json!({ "inputResponses": { "name": { "action": "decline" } }, "requestState": left["result"]["requestState"] });
    let (_, again) = replica(Some(secret), &call(2, &elicitation, &more)).await;
    assert_eq!(again["params"]["inputResponses"]["text"]["content"]["text"], "hello");
    assert_eq!(again["params"]["requestState"], "the server's");
    let discover = call(3, &elicitation, &json!({}));
    for other in [Some("another secret of thirty-two bytes or more"), None] {
        let (mut other, _) = replica(other, &discover).await;
        other.client.say(&call(4, &elicitation, &more)).await;
        assert_eq!(other.client.hear().await["error"]["code"], -32602);
    }
}

#[tokio::test]
async fn what_is_not_ours_goes_to_the_client_and_comes_back_with_our_answers() {
    let elicitation = json!({ "elicitation": { "form": {} } });
    let (mut relayed, asked) = modern(Mode::Fallback, &call("a", &elicitation, &json!({}))).await;
    let requests = json!({ "name": elicits(), "text": asks("hello") });
    relayed.server.say(&required(&asked["id"], &requests, Some("the server's"))).await;
    let left = relayed.client.hear().await;
    assert_eq!(left["id"], "a");
    assert_eq!(left["result"]["inputRequests"], json!({ "name": elicits() }));
    let state = left["result"]["requestState"].as_str().unwrap_or_default().to_owned();
    assert!(!state.contains("hello") && !state.contains("server"), "{state}");
    let answer = json!({ "action": "accept", "content": { "name": "Ada" } });
    let retry = |state: &str, tool: &str| {
        let more = json!({ "inputResponses": { "name": answer }, "requestState": state, "name": tool });
        call("b", &elicitation, &more)
    };
    // Changed, and for another request.
    let mut changed = state.clone();
    changed.replace_range(40..41, if &state[40..41] == "A" { "B" } else { "A" });
    for bad in [retry(&changed, "t"), retry(&state, "other")] {
        relayed.client.say(&bad).await;
        let refused = relayed.client.hear().await;
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!("b"), &json!(-32602)), "{refused}");
    }
    relayed.client.say(&retry(&state, "t")).await;
    let again = relayed.server.hear().await;
    assert_eq!((&again["id"], &again["params"]["requestState"]), (&json!("b"), &json!("the server's")));
    assert_eq!(again["params"]["inputResponses"]["name"], answer);
    assert_eq!(again["params"]["inputResponses"]["text"]["content"]["text"], "hello");
}

#[tokio::test]
async fn a_state_of_the_servers_own_is_the_servers_affair() {
    let (_, asked) = modern(
        Mode::Fallback,
        &call(1, &json!({}), &json!({ "requestState": "the server's", "inputResponses": { "x": {} } })),
    )
    .await;
    assert_eq!(
        (&asked["params"]["requestState"], &asked["params"]["inputResponses"]),
        (&json!("the server's"), &json!({ "x": {} }))
    );
}

#[tokio::test]
async fn a_client_that_samples_answers_itself_unless_the_plugin_always_does() {
    let sampling = json!({ "sampling": {} });
    let (mut relayed, asked) = modern(Mode::Fallback, &call(1, &sampling, &json!({}))).await;
    let requires = required(&asked["id"], &json!({ "text": asks("hello") }), Some("s"));
    relayed.server.say(&requires).await;
    assert_eq!(relayed.client.hear().await, requires);
    // What it can't do is answered all the same.
    relayed.client.say(&call(2, &sampling, &json!({}))).await;
    let asked = relayed.server.hear().await;
    let mut tools = asks("hello");
    tools["params"]["tools"] = json!([]);
    relayed.server.say(&required(&asked["id"], &json!({ "text": tools }), None)).await;
    assert!(relayed.server.hear().await["params"]["inputResponses"]["text"].is_object());

    let (mut relayed, asked) = modern(Mode::Always, &call(1, &sampling, &json!({}))).await;
    relayed.server.say(&required(&asked["id"], &json!({ "text": asks("hello") }), None)).await;
    assert_eq!(relayed.server.hear().await["params"]["inputResponses"]["text"]["content"]["text"], "hello");
}

#[tokio::test]
async fn what_nobody_can_answer_and_what_never_ends_is_one_error() {
    let (mut relayed, asked) = modern(Mode::Fallback, &call(1, &json!({}), &json!({}))).await;
    relayed
        .server
        .say(&required(&asked["id"], &json!({ "x": { "method": "shell/run" }, "y": asks("hello") }), None))
        .await;
    let error = relayed.client.hear().await;
    assert_eq!(error["error"]["message"], "the server asks for `shell/run` (as `x`), which no client can answer");

    relayed.client.say(&call(2, &json!({}), &json!({}))).await;
    let asked = relayed.server.hear().await;
    relayed.server.say(&required(&asked["id"], &json!([1]), None)).await;
    let error = relayed.client.hear().await;
    assert_eq!(
        error["error"]["message"],
        "the server asks for input that is not valid: `inputRequests` is not an object"
    );

    let mut bad = asks("hello");
    bad["params"]["maxTokens"] = json!(0);
    relayed.client.say(&call(3, &json!({}), &json!({}))).await;
    let asked = relayed.server.hear().await;
    relayed.server.say(&required(&asked["id"], &json!({ "x": bad }), None)).await;
    let error = relayed.client.hear().await;
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(3), &json!(-32602)), "{error}");

    relayed.client.say(&call(4, &json!({}), &json!({}))).await;
    let mut rounds = 0;
    let error = loop {
        let asked = relayed.server.hear().await;
        rounds += 1;
        relayed.server.say(&required(&asked["id"], &json!({ "x": asks("again") }), Some("s"))).await;
        if rounds == 101 {
            break relayed.client.hear().await;
        }
    };
    let reason = "this server has asked for 100 completions in the course of one call, and gets no more (`sampling.requestsPerCall`)";
    assert_eq!(error["error"]["message"], reason);
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_by_the_id_that_the_server_knows() {
    let (mut relayed, asked) = modern(Mode::Fallback, &call("c", &json!({}), &json!({}))).await;
    relayed.server.say(&required(&asked["id"], &json!({ "x": asks("hello") }), None)).await;
    let again = relayed.server.hear().await;
    let cancelled =
        |id: &Value| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    relayed.client.say(&cancelled(&json!("c"))).await;
    assert_eq!(relayed.server.hear().await, cancelled(&again["id"]));
    // An answer that comes all the same is nobody's: the next thing that the client hears is something else.
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": again["id"], "result": { "resultType": "complete" } })).await;
    let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": 1, "progress": 1 } });
    relayed.server.say(&progress).await;
    assert_eq!(relayed.client.hear().await, progress);
}

#[tokio::test]
async fn parallel_requests_do_not_meet() {
    let (mut relayed, first) = modern(Mode::Fallback, &call(0, &json!({}), &json!({}))).await;
    let mut asked = vec![first];
    for n in 1..20 {
        relayed.client.say(&call(n, &json!({}), &json!({}))).await;
        asked.push(relayed.server.hear().await);
    }
    for request in asked.iter().rev() {
        let text = format!("for {}", request["id"]);
        relayed.server.say(&required(&request["id"], &json!({ "x": asks(&text) }), Some(&text))).await;
    }
    for _ in 0..20 {
        let again = relayed.server.hear().await;
        let text = again["params"]["requestState"].as_str().unwrap_or_default().to_owned();
        assert_eq!(again["params"]["inputResponses"]["x"]["content"]["text"], text.as_str());
        relayed
            .server
            .say(&json!({ "jsonrpc": "2.0", "id": again["id"], "result": { "resultType": "complete", "was": text } }))
            .await;
    }
    let mut seen: Vec<i64> = Vec::new();
    for _ in 0..20 {
        let answer = relayed.client.hear().await;
        assert_eq!(answer["result"]["was"], format!("for {}", answer["id"]));
        seen.extend(answer["id"].as_i64());
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}

/// A modern client before a server with sessions, which has been initialized.
async fn upgraded(capabilities: &Value) -> (Relayed, Value) {
    let mut relayed = Relayed::new(Mode::Fallback).await;
    relayed.client.say(&call("a", capabilities, &json!({}))).await;
    let initialize = relayed.server.hear().await;
    assert_eq!(initialize["method"], "initialize");
    assert_eq!(initialize["params"]["protocolVersion"], "2025-11-25");
    assert!(initialize["params"]["capabilities"]["sampling"].is_object(), "{initialize}");
    let result = json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {}, "logging": {}, "resources": { "subscribe": true } },
                         "serverInfo": { "name": "s", "version": "1" }, "instructions": "Be brief." });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": initialize["id"], "result": result })).await;
    assert_eq!(relayed.server.hear().await["method"], "notifications/initialized");
    let asked = relayed.server.hear().await;
    assert_eq!(asked["params"], json!({ "name": "t", "arguments": { "n": 1.0 } }));
    (relayed, asked)
}

#[tokio::test]
async fn a_legacy_servers_question_ends_a_round_and_the_retry_answers_it() {
    let elicitation = json!({ "elicitation": {} });
    let (mut relayed, asked) = upgraded(&elicitation).await;
    relayed
        .server
        .say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "elicitation/create", "params": elicits()["params"] }))
        .await;
    let left = relayed.client.hear().await;
    assert_eq!((&left["id"], &left["result"]["resultType"]), (&json!("a"), &json!("input_required")));
    let requests = left["result"]["inputRequests"].as_object().cloned().unwrap_or_default();
    let (key, request) = requests.into_iter().next().unwrap_or_else(|| panic!("{left}"));
    assert_eq!(request, elicits());
    // A second question while the call is parked, and sampling, which is answered here.
    relayed
        .server
        .say(&json!({ "jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": elicits()["params"] }))
        .await;
    relayed.server.say(&sampling(2, "hello")).await;
    assert_eq!(relayed.server.hear().await["result"]["content"]["text"], "hello");
    let answer = json!({ "action": "accept", "content": { "name": "Ada" } });
    let mut responses = json!({});
    responses[&key] = answer.clone();
    let more = json!({ "inputResponses": responses, "requestState": left["result"]["requestState"] });
    relayed.client.say(&call("b", &elicitation, &more)).await;
    assert_eq!(relayed.server.hear().await, json!({ "jsonrpc": "2.0", "id": 0, "result": answer }));
    let second = relayed.client.hear().await;
    assert_eq!((&second["id"], &second["result"]["resultType"]), (&json!("b"), &json!("input_required")));
    // The same state again is an error, and disturbs nothing.
    relayed.client.say(&call("x", &elicitation, &more)).await;
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "content": [] } })).await;
    let more = json!({ "inputResponses": {}, "requestState": second["result"]["requestState"] });
    let refused = relayed.client.hear().await;
    assert!(refused["id"] == "x", "{refused}");
    relayed.client.say(&call("c", &elicitation, &more)).await;
    let done = relayed.client.hear().await;
    assert!(done["id"] == "x" || done["id"] == "c", "{done}");
}

#[tokio::test]
async fn what_the_eras_have_in_different_places_is_translated() {
    let (mut relayed, asked) = upgraded(&json!({})).await;
    // Not declared by the client.
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": 5, "method": "elicitation/create", "params": {} })).await;
    assert_eq!(relayed.server.hear().await["error"]["message"], "the client has not declared `elicitation`");
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": 6, "method": "ping" })).await;
    assert_eq!(relayed.server.hear().await, json!({ "jsonrpc": "2.0", "id": 6, "result": {} }));
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "content": [], "n": 1.0 } })).await;
    assert_eq!(
        relayed.client.line().await,
        r#"{"jsonrpc":"2.0","id":"a","result":{"content":[],"n":1.0,"resultType":"complete"}}"#
    );

    let request = |id: &str, method: &str, more: Value| {
        let mut params = more;
        params["_meta"] = meta(&json!({}));
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    };
    relayed.client.say(&request("d", "server/discover", json!({}))).await;
    let discovered = relayed.client.hear().await["result"].clone();
    let schema = understudy_tests::schema::validator("2026-07-28", "DiscoverResult");
    assert!(schema.is_valid(&discovered), "{discovered}");
    assert_eq!(discovered["instructions"], "Be brief.");

    relayed
        .client
        .say(&request(
            "l",
            "subscriptions/listen",
            json!({ "notifications": { "toolsListChanged": true, "resourceSubscriptions": ["a:b"] } }),
        ))
        .await;
    let subscribe = relayed.server.hear().await;
    assert_eq!((&subscribe["method"], &subscribe["params"]["uri"]), (&json!("resources/subscribe"), &json!("a:b")));
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": subscribe["id"], "result": {} })).await;
    assert_eq!(relayed.client.hear().await["method"], "notifications/subscriptions/acknowledged");
    for (method, params) in
        [("notifications/tools/list_changed", json!({})), ("notifications/resources/updated", json!({ "uri": "a:b" }))]
    {
        relayed.server.say(&json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
        let told = relayed.client.hear().await;
        assert_eq!(
            (&told["method"], &told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"]),
            (&json!(method), &json!("l"))
        );
    }

    relayed.client.say(&request("m", "tools/list", json!({}))).await;
    let listed = relayed.server.hear().await;
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": listed["id"], "result": { "tools": [] } })).await;
    let listed = relayed.client.hear().await["result"].clone();
    assert!(understudy_tests::schema::validator("2026-07-28", "ListToolsResult").is_valid(&listed), "{listed}");

    let mut old = request("o", "tools/list", json!({}));
    old["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2027-01-01");
    relayed.client.say(&old).await;
    let refused = relayed.client.hear().await;
    assert!(
        understudy_tests::schema::validator("2026-07-28", "UnsupportedProtocolVersionError").is_valid(&refused),
        "{refused}"
    );
    relayed.client.say(&request("p", "ping", json!({}))).await;
    assert_eq!(relayed.client.hear().await["error"]["code"], -32601);
}

/// A server's answer to `initialize`, and to `server/discover`.
fn begun() -> Value {
    json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "s", "version": "1" } })
}

fn discovered() -> Value {
    json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {} })
}

#[tokio::test]
async fn a_rule_may_want_the_clients_era_of_a_server_that_speaks_both() {
    let rule = Sampling { era: EraChoice::Client, ..Sampling::by(vec!["echo".to_owned()]) };
    let mut relayed = Relayed::by(rule.clone(), None).await;
    relayed.client.say(&call(1, &json!({}), &json!({}))).await;
    let probe = relayed.server.hear().await;
    assert_eq!(probe["method"], "server/discover");
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": probe["id"], "result": discovered() })).await;
    let asked = relayed.server.hear().await;
    assert!(asked["params"]["_meta"].is_object(), "{asked}");
    // One that has no other gets a session all the same.
    let mut relayed = Relayed::by(rule, None).await;
    relayed.client.say(&call(1, &json!({}), &json!({}))).await;
    let probe = relayed.server.hear().await;
    let error = json!({ "code": -32601, "message": "Method not found" });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": probe["id"], "error": error })).await;
    assert_eq!(relayed.server.hear().await["method"], "initialize");
}

#[tokio::test]
async fn a_server_may_ask_before_it_has_answered_initialize() {
    let mut relayed = Relayed::new(Mode::Fallback).await;
    relayed.client.say(&call(1, &json!({}), &json!({}))).await;
    let initialize = relayed.server.hear().await;
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" })).await;
    assert_eq!(relayed.server.hear().await, json!({ "jsonrpc": "2.0", "id": "p", "result": {} }));
    relayed.server.say(&sampling(2, "early")).await;
    assert_eq!(relayed.server.hear().await["result"]["content"]["text"], "early");
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": initialize["id"], "result": begun() })).await;
    assert_eq!(relayed.server.hear().await["method"], "notifications/initialized");
    assert_eq!(relayed.server.hear().await["method"], "tools/call");
}

#[tokio::test]
async fn what_a_server_says_before_the_clients_first_message_chooses_no_era() {
    let notification =
        json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": "up" } });
    for early in ["ready", "", "{not json", &notification.to_string()] {
        let mut relayed = Relayed::new(Mode::Fallback).await;
        relayed.server.say_line(early).await;
        assert_eq!(relayed.client.line().await, early);
        let (mut relayed, asked) = begin(relayed, &call(1, &json!({}), &json!({}))).await;
        assert!(
            asked["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]["sampling"].is_object(),
            "{asked}"
        );
        let requests = json!({ "one": asks("hello") });
        relayed.server.say(&required(&asked["id"], &requests, None)).await;
        let again = relayed.server.hear().await;
        assert_eq!(again["params"]["inputResponses"]["one"]["content"]["text"], "hello");
    }
    // A request waits for the era, and is answered in it.
    let mut relayed = Relayed::new(Mode::Fallback).await;
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" })).await;
    relayed.client.say(&call(1, &json!({}), &json!({}))).await;
    let initialize = relayed.server.hear().await;
    assert_eq!(relayed.server.hear().await, json!({ "jsonrpc": "2.0", "id": "p", "result": {} }));
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": initialize["id"], "result": begun() })).await;
    assert_eq!(relayed.server.hear().await["method"], "notifications/initialized");
}

#[tokio::test]
async fn what_a_server_says_before_its_era_is_known_reaches_the_client_in_order() {
    let log = |n: usize| json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": n } });
    let refusal =
        |id: &Value| json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "no such method" } });
    // More than wait: the oldest are forwarded meanwhile.
    for (most, era) in [(3, EraChoice::Sessions), (75, EraChoice::Sessions), (75, EraChoice::Client)] {
        let rule = Sampling { mode: Mode::Fallback, era, ..Sampling::by(vec!["echo".to_owned()]) };
        let mut relayed = Relayed::by(rule, None).await;
        relayed.client.say(&call(1, &json!({}), &json!({}))).await;
        let mut probe = relayed.server.hear().await;
        let mut logs = 0..most;
        if era == EraChoice::Sessions {
            assert_eq!(probe["method"], "initialize");
            relayed.server.say(&log(logs.start)).await;
            logs.start += 1;
            relayed.server.say(&refusal(&probe["id"])).await;
            probe = relayed.server.hear().await;
        }
        assert_eq!(probe["method"], "server/discover");
        for n in logs {
            relayed.server.say(&log(n)).await;
        }
        relayed.server.say(&json!({ "jsonrpc": "2.0", "id": probe["id"], "result": discovered() })).await;
        assert_eq!(relayed.server.hear().await["method"], "tools/call");
        relayed.server.say(&log(most)).await;
        for n in 0..=most {
            assert_eq!(relayed.client.hear().await["params"]["data"], n);
        }
    }
    // A client with a session hears them after the answer to `initialize`, whichever that is.
    for speaks_stateless in [true, false] {
        let mut relayed = Relayed::new(Mode::Fallback).await;
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } });
        relayed.client.say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })).await;
        let initialize = relayed.server.hear().await;
        relayed.server.say(&refusal(&initialize["id"])).await;
        let probe = relayed.server.hear().await;
        relayed.server.say(&log(0)).await;
        let answer = json!({ "jsonrpc": "2.0", "id": probe["id"], "result": discovered() });
        relayed.server.say(&if speaks_stateless { answer } else { refusal(&probe["id"]) }).await;
        let answered = relayed.client.hear().await;
        assert_eq!((&answered["id"], answered["result"].is_object()), (&json!(0), speaks_stateless), "{answered}");
        assert_eq!(relayed.client.hear().await["params"]["data"], 0);
    }
}

#[tokio::test]
async fn a_server_without_sessions_refuses_initialize_in_whatever_code() {
    for code in [-32601, -32602, -32600, -32022, -32000, 0] {
        let mut relayed = Relayed::new(Mode::Fallback).await;
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } });
        relayed.client.say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })).await;
        let initialize = relayed.server.hear().await;
        let error = json!({ "code": code, "message": "no" });
        relayed.server.say(&json!({ "jsonrpc": "2.0", "id": initialize["id"], "error": error })).await;
        let probe = relayed.server.hear().await;
        assert_eq!(probe["method"], "server/discover", "{code}");
        relayed.server.say(&json!({ "jsonrpc": "2.0", "id": probe["id"], "result": discovered() })).await;
        assert_eq!(relayed.client.hear().await["result"]["protocolVersion"], "2025-06-18", "{code}");
    }
    // One that speaks neither is left with its own words.
    let mut relayed = Relayed::new(Mode::Fallback).await;
    relayed.client.say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {} })).await;
    let initialize = relayed.server.hear().await;
    let error = json!({ "code": -32602, "message": "its own words" });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": initialize["id"], "error": error })).await;
    let probe = relayed.server.hear().await;
    let unknown = json!({ "code": -32601, "message": "Method not found" });
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": probe["id"], "error": unknown })).await;
    assert_eq!(relayed.client.hear().await["error"], error);
}

#[tokio::test]
async fn a_modern_client_is_told_why_a_server_speaks_neither_era() {
    let mut relayed = Relayed::new(Mode::Fallback).await;
    relayed.client.say(&call("a", &json!({}), &json!({}))).await;
    for method in ["initialize", "server/discover"] {
        let asked = relayed.server.hear().await;
        assert_eq!(asked["method"], method);
        let error = json!({ "code": -32601, "message": "no such method" });
        relayed.server.say(&json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error })).await;
    }
    let told = relayed.client.hear().await;
    assert_eq!(told["id"], "a");
    assert_eq!(told["error"]["message"], "the server refused `initialize`: no such method (code -32601)");
}
