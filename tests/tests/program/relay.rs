//! The relay: what isn't sampling passes through byte for byte; what is gets exactly one answer.
//!
//! The server is mostly `cat`: what the client says comes back as the server's words, so each line crosses in both
//! directions.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use understudy_tests::program::Place;
use understudy_tests::session::{Session, sampling};

#[test]
fn what_is_not_sampling_passes_through_byte_for_byte_in_order() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo"], &["cat"]);
    let big = format!("{{\"id\":\"big\",\"method\":\"m\",\"params\":\"{}\"}}\n", "é\\u0000".repeat(700_000));
    assert!(big.len() > 5_000_000);
    let lines = [
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"unknown/method\",\"params\":{\"x\":100.0,\"y\":9223372036854775808,\"z\":1e400}}\n",
        "  { \"unknown\" : [ 1 , 2 ] ,\t\"id\":\"s\" , \"result\" : { } }  \r\n",
        "{\"id\":9007199254740993,\"error\":{\"code\":-32000.0,\"message\":\"\\u00e9\"}}\n",
        "{\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1.50}}\n",
        "{\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"nobody's\"}}\n",
        "{\"id\":1,\"id\":2,\"method\":\"a\",\"method\":\"tools/call\"}\n",
        "[{\"id\":1,\"method\":\"ping\"}, {\"method\":\"x\"}]\n",
        "\n",
        "\r\n",
        "this is no JSON \u{1b}[31m\n",
        "{\"half\": \n",
        &big,
        "{\"id\":null,\"method\":\"sampling/createMessages\",\"params\":{}}\n",
        "{\"method\":\"notifications/message\",\"params\":{\"method\":\"sampling/createMessage\"}}\n",
        "the last line has no end",
    ];
    for line in lines {
        session.say_bytes(line.as_bytes());
    }
    session.say_bytes(b"");
    session.end_input();
    for line in lines {
        let heard = session.line();
        assert!(heard == line.as_bytes(), "{:.200} became {:.200}", line, String::from_utf8_lossy(&heard));
    }
    let (status, rest, stderr) = session.end();
    assert!(status.success() && rest.is_empty(), "{status} {rest:?}");
    assert!(stderr.contains("no JSON-RPC message: `this is no JSON [31m`"), "{stderr}");
}

#[test]
fn sampling_is_declared_and_answered_and_the_client_sees_none_of_it() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo"], &["cat"]);
    session.say_bytes(b"{\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"roots\":{}}}}\n");
    assert_eq!(
        session.line(),
        b"{\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"sampling\":{\"tools\":{}},\"roots\":{}}}}\n"
    );
    session.say(&sampling("a-1", "hello"));
    // `cat` gives the answer back, as a server wouldn't.
    assert_eq!(
        session.hear(),
        json!({"jsonrpc": "2.0", "id": "a-1", "result": {
            "role": "assistant", "content": {"type": "text", "text": "hello"}, "model": "echo", "stopReason": "endTurn"
        }})
    );
}

/// A request for context, and the text that the `echo` plugin was given.
fn echoed_with_context(session: &mut Session, id: u64, include: &str) -> String {
    let mut request = sampling(id, "hi");
    request["params"]["includeContext"] = json!(include);
    session.say(&request);
    let answer = session.hear();
    assert_eq!(answer["id"], id, "{answer}");
    answer["result"]["content"]["text"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_server_gets_its_own_context_where_the_config_allows_it() {
    let place = Place::new();
    let config = place.file("understudy.json", r#"{"sampling": {"use": "echo", "context": "thisServer"}}"#);
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    let pass = |session: &mut Session, message: &Value| {
        session.say(message);
        session.hear()
    };
    let initialize =
        json!({"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}}});
    let declared = pass(&mut session, &initialize);
    assert_eq!(declared["params"]["capabilities"]["sampling"], json!({"tools": {}, "context": {}}));
    // `cat` says back what a server would say.
    let _ = pass(&mut session, &json!({"id": 0, "result": {"instructions": "Be brief."}}));
    let call = json!({"id": 5, "method": "tools/call", "params": {"name": "judge", "arguments": {"play": "Hamlet"}}});
    let _ = pass(&mut session, &call);
    for (id, include) in [(1, "thisServer"), (2, "allServers")] {
        let said = echoed_with_context(&mut session, id, include);
        for part in
            ["<context server=\"cat\">", "Be brief.", "`judge` with the arguments {\"play\":\"Hamlet\"}", "\nhi"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert_eq!(echoed_with_context(&mut session, 3, "none"), "hi");
    let _ = pass(&mut session, &json!({"id": 5, "result": {"content": []}}));
    let said = echoed_with_context(&mut session, 4, "thisServer");
    assert!(said.contains("Be brief.") && !said.contains("judge"), "{said}");
}

#[test]
fn no_context_is_attached_unless_the_config_says_so() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo"], &["cat"]);
    session.say(
        &json!({"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}}}),
    );
    assert_eq!(session.hear()["params"]["capabilities"]["sampling"], json!({"tools": {}}));
    session.say(&json!({"id": 0, "result": {"instructions": "Be brief."}}));
    let _ = session.hear();
    assert_eq!(echoed_with_context(&mut session, 1, "thisServer"), "hi");
}

#[test]
fn a_server_asks_only_while_a_tool_is_called_that_may_lead_to_it() {
    let place = Place::new();
    let rule = r#"{"sampling": {"use": "echo", "tools": ["judge", "sum up"]}}"#;
    let config = place.file("understudy.json", rule);
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    let asked = |session: &mut Session, id: u64| {
        session.say(&sampling(id, "hi"));
        session.hear()
    };
    let call = |id: u64, tool: &str| json!({"id": id, "method": "tools/call", "params": {"name": tool}});
    let expected =
        "this server may ask only while one of its tools `judge`, `sum up` is being called (`sampling.tools`)";
    assert_eq!(asked(&mut session, 1)["error"]["message"], expected);
    session.say(&call(10, "other"));
    let _ = session.hear();
    assert_eq!(asked(&mut session, 2)["error"]["message"], expected);
    session.say(&call(11, "sum up"));
    let _ = session.hear();
    assert_eq!(asked(&mut session, 3)["result"]["content"]["text"], "hi");
    session.say(&json!({"id": 11, "result": {"content": []}}));
    let _ = session.hear();
    assert_eq!(asked(&mut session, 4)["error"]["message"], expected);
}

#[test]
fn a_server_that_asks_too_often_is_told_when_it_may_ask_again() {
    let place = Place::new();
    let rule = r#"{"sampling": {"use": "echo", "requestsPerMinute": 2}, "limits": {"deadline": "5 s"}}"#;
    let config = place.file("understudy.json", rule);
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    for id in 1..=2 {
        session.say(&sampling(id, "hi"));
        assert_eq!(session.hear()["result"]["content"]["text"], "hi");
    }
    session.say(&sampling(3, "hi"));
    let refused = session.hear();
    assert_eq!(refused["error"]["code"], -32603, "{refused}");
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("more than 2 times a minute (`sampling.requestsPerMinute`)"), "{message}");
}

#[test]
fn a_client_that_samples_without_context_leaves_requests_for_it_to_the_plugin() {
    let place = Place::new();
    let config = place.file("understudy.json", r#"{"sampling": {"use": "echo", "context": "thisServer"}}"#);
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    let capabilities = json!({"sampling": {}});
    session.say(&json!({"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": capabilities}}));
    let _ = session.hear();
    session.say(&json!({"id": 0, "result": {"instructions": "Be brief."}}));
    let _ = session.hear();
    assert!(echoed_with_context(&mut session, 1, "thisServer").contains("Be brief."));
    // What it can do is the client's to answer.
    session.say(&sampling(2, "hi"));
    assert_eq!(session.hear()["method"], "sampling/createMessage");
}

#[test]
fn an_id_keeps_its_spelling_in_the_answer() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo"], &["cat"]);
    for id in ["9223372036854775808", "1.50", "\"\\u0061\"", "-0"] {
        let request = sampling(0, "x").to_string().replace("\"id\":0", &format!("\"id\": {id} "));
        session.say_bytes(format!("{request}\n").as_bytes());
        let answer = String::from_utf8(session.line()).unwrap_or_default();
        assert!(answer.starts_with(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\"")), "{answer}");
    }
}

#[test]
fn a_request_that_breaks_a_rule_gets_one_error_that_names_it() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo"], &["cat"]);
    let text = json!({"role": "user", "content": {"type": "text", "text": "x"}});
    let tool_use = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {}}]});
    let cases = [
        (json!({"maxTokens": 1}), "`messages` is missing"),
        (json!({"messages": [text]}), "`maxTokens` is missing"),
        (json!({"messages": [], "maxTokens": 1}), "`messages` is empty"),
        (json!({"messages": [text], "maxTokens": 0}), "`maxTokens` is 0"),
        (
            json!({"messages": [tool_use, text], "maxTokens": 1}),
            "`messages[1]`: the message before it holds the tool_use `1`",
        ),
        (
            json!({"messages": [{"role": "user", "content": {"type": "image", "data": "*", "mimeType": "image/png"}}], "maxTokens": 1}),
            "`messages[0].content[0].data` is not base64",
        ),
        (json!({"messages": "x", "maxTokens": 1}), "`messages`: invalid type: string"),
        (json!([1]), "expected an object"),
    ];
    for (params, reason) in cases {
        session.say(&json!({"id": 1, "method": "sampling/createMessage", "params": params}));
        let answer = session.hear();
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.starts_with("invalid sampling request: ") && message.contains(reason), "{message}");
    }
    session.say_bytes(b"{\"id\":2,\"method\":\"sampling/createMessage\"}\n");
    assert_eq!(session.hear()["error"]["message"], "invalid sampling request: `params` is missing");
    session.say_bytes(b"{\"id\":3,\"method\":\"sampling/createMessage\",\"params\":{,}}\n");
    assert_eq!(session.hear()["error"]["code"], -32700);
}

#[test]
fn tools_that_were_not_declared_are_refused() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo"], &["cat"]);
    session.say(
        &json!({"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}}}),
    );
    assert_eq!(session.hear()["params"]["capabilities"], json!({"sampling": {}}));
    let mut request = sampling(1, "x");
    request["params"]["tools"] = json!([{"name": "t", "inputSchema": {"type": "object"}}]);
    session.say(&request);
    let answer = session.hear();
    assert_eq!(answer["error"]["code"], -32602);
    assert!(
        answer["error"]["message"].as_str().unwrap_or_default().contains("`sampling.tools` was not declared"),
        "{answer}"
    );
}

#[test]
fn a_batch_is_taken_apart_only_where_it_must_be() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo"], &["cat"]);
    let request = sampling(7, "in a batch");
    session
        .say_bytes(format!("[{{\"method\":\"a\",\"x\":1.0}},{request} , {{\"id\":1,\"result\":{{}}}}]\n").as_bytes());
    let mut heard = [session.line(), session.line()];
    heard.sort();
    assert_eq!(heard[0], b"[{\"method\":\"a\",\"x\":1.0},{\"id\":1,\"result\":{}}]\n");
    assert!(String::from_utf8_lossy(&heard[1]).contains("in a batch"));
}

#[test]
fn a_batch_that_only_speaks_of_sampling_passes_as_it_is() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo"], &["cat"]);
    let request = sampling(7, "in a batch");
    let speaks = "{\"method\":\"notifications/message\",\"params\":{\"data\":\"sampling/createMessage\"}}";
    let batch = format!("[ {speaks}, 1.0 ]\n");
    session.say_bytes(batch.as_bytes());
    assert_eq!(String::from_utf8_lossy(&session.line()), batch);
    // What is left of a batch may speak of it too. There are no batches of batches.
    session.say_bytes(format!("[{speaks},[{request}],{request}]\n").as_bytes());
    let mut heard = [session.line(), session.line()];
    heard.sort_by_key(|line| line.first() != Some(&b'['));
    assert_eq!(String::from_utf8_lossy(&heard[0]), format!("[{speaks}]\n"));
    assert!(String::from_utf8_lossy(&heard[1]).contains("\"result\""));
}

#[test]
fn a_sampling_request_of_a_batch_that_is_the_clients_to_answer_is_a_line_of_its_own() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo"], &["cat"]);
    session.say(&json!({"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-03-26", "capabilities": {"sampling": {}}}}));
    let _ = session.hear();
    let request = sampling(7, "for the client");
    session.say_bytes(format!("[{request},{request}]\n{{\"method\":\"next\"}}\n").as_bytes());
    for expected in [&request, &request, &json!({"method": "next"})] {
        assert_eq!(session.hear(), *expected);
    }
}

#[test]
fn a_server_that_no_longer_listens_is_heard_to_the_end() {
    let place = Place::new();
    // Once its input has ended it asks what would be refused, in three ways, and goes on.
    let late = r#"cat > /dev/null
        echo '{"id":1,"method":"sampling/createMessage"}'
        echo '[{"id":2,"method":"sampling/createMessage","params":{}},{"id":3,"method":"sampling/createMessage"}]'
        head -c 2000 /dev/zero | tr '\0' x | sed 's/^/{"id":4,"method":"/; s/$/"}/'; echo
        echo '{"id":5,"result":{}}'"#;
    let config = place.file("understudy.json", r#"{"limits": {"line": "1 KiB"}, "sampling": "echo"}"#);
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["sh", "-c", late]);
    session.end_input();
    let mut heard = session.line();
    if heard == b"\n" {
        heard = session.line();
    }
    assert_eq!(heard, b"{\"id\":5,\"result\":{}}\n");
}

#[test]
fn many_requests_at_once_are_each_answered_once() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo", "--requests-per-call", "500"], &["cat"]);
    for id in 0..500 {
        session.say(&sampling(id, &format!("text {id}")));
    }
    let mut seen = BTreeSet::new();
    for _ in 0..500 {
        let answer = session.hear();
        let id = answer["id"].as_u64().unwrap_or_default();
        assert_eq!(answer["result"]["content"]["text"], format!("text {id}"));
        assert!(seen.insert(id), "{id} was answered twice");
    }
}

#[test]
fn the_client_answers_first_in_fallback_mode_and_the_plugin_where_it_fails() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo"], &["cat"]);
    session.say(&json!({"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}}}}));
    assert_eq!(session.hear()["params"]["capabilities"]["sampling"], json!({"tools": {}}));
    // The client can sample: it is asked.
    session.say(&sampling(1, "for the client"));
    assert_eq!(session.hear()["method"], "sampling/createMessage");
    // Its answer goes to the server.
    session.say(&json!({"jsonrpc": "2.0", "id": 1, "result": {"model": "clients"}}));
    assert_eq!(session.hear()["result"]["model"], "clients");
    // It fails: the plugin answers instead.
    session.say(&sampling(2, "for the plugin"));
    assert_eq!(session.hear()["method"], "sampling/createMessage");
    session.say(&json!({"jsonrpc": "2.0", "id": 2, "error": {"code": -32601, "message": "no such method"}}));
    assert_eq!(session.hear()["result"]["content"]["text"], "for the plugin");
    // The user refuses: that stands.
    session.say(&sampling(3, "refused"));
    assert_eq!(session.hear()["method"], "sampling/createMessage");
    session
        .say(&json!({"jsonrpc": "2.0", "id": 3, "error": {"code": -1, "message": "User rejected sampling request"}}));
    assert_eq!(session.hear()["error"]["code"], -1);
    // It can't do tools: it isn't asked.
    let mut request = sampling(4, "with tools");
    request["params"]["tools"] = json!([{"name": "t", "inputSchema": {"type": "object"}}]);
    session.say(&request);
    assert_eq!(session.hear()["result"]["content"]["text"], "with tools");
}

#[test]
fn in_mode_always_the_plugin_answers_and_in_mode_off_nothing_is_touched() {
    let place = Place::new();
    let initialize = json!({"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {"sampling": {"tools": {}}}}});
    let mut always = Session::start(&place, &["--plugin", "echo", "--mode", "always"], &["cat"]);
    always.say(&initialize);
    assert_eq!(always.hear(), initialize);
    always.say(&sampling(1, "mine"));
    assert_eq!(always.hear()["result"]["content"]["text"], "mine");
    let mut off = Session::start(&place, &["--plugin", "echo", "--mode", "off"], &["cat"]);
    for message in [json!({"id": 0, "method": "initialize", "params": {"capabilities": {}}}), sampling(1, "x")] {
        off.say(&message);
        assert_eq!(off.hear(), message);
    }
}

#[test]
fn a_message_over_the_limit_is_answered_with_an_error_and_the_rest_goes_on() {
    let place = Place::new();
    let config = place.file("understudy.json", r#"{"limits": {"line": "1 MiB"}, "sampling": "echo"}"#);
    let mut session = Session::start(
        &place,
        &["--config", &config.to_string_lossy()],
        &[
            "sh",
            "-c",
            "head -c 3000000 /dev/zero | tr '\\0' x | sed 's/^/{\"result\":\"/; s/$/\",\"id\":\"late\"}/'; echo; echo '{\"method\":\"after\"}'; exec cat",
        ],
    );
    let error = session.hear();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!("late"), &json!(-32603)));
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("a message of the server's holds") && message.contains("`limits.line`"), "{message}");
    let mut next = session.line();
    if next == b"\n" {
        next = session.line();
    }
    assert_eq!(next, b"{\"method\":\"after\"}\n");
    // The client's own request that is too long is refused to the client.
    session.say_bytes(format!("{{\"id\":5,\"method\":\"big\",\"params\":\"{}\"}}\n", "y".repeat(2_000_000)).as_bytes());
    let error = session.hear();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(5), &json!(-32600)));
}

#[test]
fn an_id_that_is_in_use_is_refused_and_the_first_request_stands() {
    let place = Place::new();
    let provider = understudy_tests::provider::Provider::start(|_, stream, gate| {
        gate.wait_for(1);
        understudy_tests::provider::wait_for_hangup(stream);
    });
    let mut session =
        Session::start(&place, &["--plugin", "openai", "--model", "m", "--endpoint", &provider.url], &["cat"]);
    session.say(&sampling(1, "first"));
    provider.gate().wait_for(1);
    session.say(&sampling(1, "second"));
    let error: Value = session.hear();
    assert_eq!(error["error"]["code"], -32600);
    assert_eq!(provider.seen().len(), 1);
}

#[test]
fn a_cancelled_request_is_not_answered_and_its_connection_is_closed() {
    let place = Place::new();
    let provider = understudy_tests::provider::Provider::start(|_, stream, _| {
        understudy_tests::provider::wait_for_hangup(stream);
    });
    let mut session =
        Session::start(&place, &["--plugin", "openai", "--model", "m", "--endpoint", &provider.url], &["cat"]);
    session.begin_a_call();
    session.say(&sampling("c", "slow"));
    provider.gate().wait_for(1);
    session.say(&json!({"method": "notifications/cancelled", "params": {"requestId": "c"}}));
    provider.gate().wait_for_silence();
    // Neither the notice nor an answer reaches anybody: the next thing heard is what is said next.
    session.say(&json!({"method": "next"}));
    assert_eq!(session.hear(), json!({"method": "next"}));
}
