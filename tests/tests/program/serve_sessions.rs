//! Sessions over HTTP: which stream each message takes, what happens when a connection breaks, and how a session ends.
//!
//! The server is mostly `cat`: what the client posts comes back as the server's words.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Instant;

use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::http::Answer;
use understudy_tests::program::Place;
use understudy_tests::provider::{Provider, wait_for_hangup};
use understudy_tests::served::{Served, Session, initialize};
use understudy_tests::session::sampling;

const NEWEST: &str = "2025-11-25";

/// A request of the client's.
fn request(id: impl Into<Value>, method: &str) -> Value {
    let id: Value = id.into();
    json!({ "jsonrpc": "2.0", "id": id, "method": method })
}

/// The server's answer to it.
fn answer(id: impl Into<Value>) -> Value {
    let id: Value = id.into();
    json!({ "jsonrpc": "2.0", "id": id, "result": {} })
}

/// A notification; `cat` makes it the server's.
fn notification(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": method })
}

/// The method, or the id if it is an answer, of the next message.
fn next(stream: &mut Answer) -> String {
    let message = stream.hear().message();
    message["method"].as_str().map_or_else(|| format!("answer {}", message["id"]), str::to_owned)
}

#[test]
fn a_session_is_known_by_its_id_and_by_nothing_else() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    let session = served.session(NEWEST);
    assert!(session.id.len() >= 32 && session.id.bytes().all(|byte| byte.is_ascii_graphic()), "{}", session.id);
    let other = served.session(NEWEST);
    assert_ne!(session.id, other.id);
    let stranger = Session { id: "0".repeat(32), ..session.clone() };
    let nobody = Session { id: String::new(), ..session.clone() };
    for (client, status, said) in [(&stranger, 404, "session not found"), (&nobody, 400, "no session")] {
        let answers = [
            client.post(&request(1, "ping")),
            client.post(&notification("n")),
            client.listen(None),
            client.send("DELETE", &[], ""),
        ];
        for answer in answers {
            assert_eq!((answer.status, answer.header("content-type")), (status, "application/json"));
            let error = answer.json();
            assert!(error["error"]["message"].to_string().contains(said), "{error}");
        }
    }
    // A session of one server is none of another's.
    let elsewhere = Session { path: "/dog/mcp".to_owned(), ..session.clone() };
    assert_eq!(elsewhere.post(&request(1, "ping")).status, 404);

    let mut listening = session.listen(None);
    assert_eq!(session.send("DELETE", &[], "").status, 204);
    let _ = listening.event();
    assert_eq!(listening.event(), None, "its stream has ended");
    assert_eq!(session.post(&request(1, "ping")).status, 404);
    assert_eq!(session.send("DELETE", &[], "").status, 404);
    other.say(&notification("n"));
}

#[test]
fn only_revisions_that_there_are_may_be_named() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", NEWEST] {
        served.session(version).say(&notification("n"));
    }
    let session = Session { version: "1900-01-01".to_owned(), ..served.session(NEWEST) };
    for answer in [session.post(&request(1, "ping")), session.listen(None), session.send("DELETE", &[], "")] {
        assert_eq!(answer.status, 400);
        let error = answer.json();
        assert_eq!(
            (&error["error"]["code"], &error["error"]["data"]["requested"]),
            (&json!(-32022), &json!("1900-01-01"))
        );
        assert!(
            error["error"]["data"]["supported"].as_array().is_some_and(|all| all.contains(&json!(NEWEST))),
            "{error}"
        );
    }
    Session { version: String::new(), ..session }.say(&notification("n"));
}

#[test]
fn an_answer_that_comes_at_once_is_plain_json_whatever_its_spelling() {
    let place = Place::new();
    let script = r#"while read -r line; do printf '{ "id":7.0,\t"jsonrpc":"2.0","result":{"x":1e400} }\r\n'; done"#;
    let served =
        Served::start(&place, &json!({ "mcpServers": { "s": { "command": "bash", "args": ["-c", script] } } }));
    let first = served.send(
        "POST",
        "/s/mcp",
        &[],
        "{\"jsonrpc\":\"2.0\",\"id\":7.0,\n\"method\":\"initialize\",\"params\":{}}",
    );
    assert_eq!((first.status, first.header("content-type")), (200, "application/json"));
    let id = first.header("mcp-session-id").to_owned();
    let said = "{ \"id\":7.0,\t\"jsonrpc\":\"2.0\",\"result\":{\"x\":1e400} }";
    assert_eq!(first.text(), said);
    for accept in ["application/json, text/event-stream", "application/json", "*/*", ""] {
        let headers = [("mcp-session-id", id.as_str()), ("accept", accept)];
        let answer = served.send("POST", "/s/mcp", &headers, "{\"id\":7.0,\"method\":\"m\"}");
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{accept}");
        assert_eq!(answer.text(), said);
    }
}

#[test]
fn each_message_takes_the_stream_that_it_belongs_to() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    let session = served.session(NEWEST);
    // Nobody listens: it waits.
    session.say(&notification("early"));
    let mut first = session.post(&json!({"id": 1, "method": "first", "params": {"_meta": {"progressToken": "t"}}}));
    assert_eq!((next(&mut first), next(&mut first)), ("early".to_owned(), "first".to_owned()));
    // The newest request's stream takes what says nothing of itself.
    let mut second = session.post(&request("1", "second"));
    assert_eq!(next(&mut second), "second");
    session.say(&notification("anything"));
    assert_eq!(next(&mut second), "anything");
    // Progress goes where its token is.
    session.say(&json!({"method": "notifications/progress", "params": {"progressToken": "t", "progress": 1}}));
    assert_eq!(next(&mut first), "notifications/progress");
    // Once there is a stream for it, what says nothing of itself takes that.
    let mut listening = session.listen(None);
    session.say(&notification("more"));
    // It has a stream of its own, which nothing is said on.
    let _asked = session.post(&request("server's", "roots/list"));
    assert_eq!((next(&mut listening), next(&mut listening)), ("more".to_owned(), "roots/list".to_owned()));
    session.say(&json!({"method": "notifications/progress", "params": {"progressToken": "t", "progress": 2}}));
    // Answers go by the id as it is spelt, in whatever order.
    session.say(&answer("1"));
    session.say(&answer(1));
    assert_eq!((next(&mut second), second.event()), ("answer \"1\"".to_owned(), None));
    assert_eq!(next(&mut first), "notifications/progress");
    assert_eq!((next(&mut first), first.event()), ("answer 1".to_owned(), None));
    // Answers that nobody waits for go nowhere.
    session.say(&answer(1));
    session.say(&notification("last"));
    assert_eq!(next(&mut listening), "last");
}

#[test]
fn a_client_that_reads_no_streams_gets_its_answers_all_the_same() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    let session = served.session("2025-03-26");
    let plain =
        |session: &Session, body: &Value| session.send("POST", &[("accept", "application/json")], &body.to_string());
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| plain(&session, &request(1, "one")).json());
        let two =
            scope.spawn(|| plain(&session, &json!([request(2, "two"), notification("n"), request(3, "three")])).json());
        let mut listening = session.listen(None);
        let mut seen: Vec<String> = (0..4).map(|_| next(&mut listening)).collect();
        seen.sort();
        assert_eq!(seen, ["n", "one", "three", "two"]);
        session.say(&json!([answer(3), answer(1)]));
        session.say(&answer(2));
        (one.join().unwrap(), two.join().unwrap())
    });
    assert_eq!((one, two), (answer(1), json!([answer(3), answer(2)])));
}

#[test]
fn batches_are_for_the_revision_that_has_them() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    let session = served.session("2025-03-26");
    let mut both = session.post(&json!([request(1, "a"), notification("b"), request(2, "c")]));
    assert_eq!((next(&mut both), next(&mut both), next(&mut both)), ("a".to_owned(), "b".to_owned(), "c".to_owned()));
    session.say(&json!([answer(2), answer(1)]));
    assert_eq!((next(&mut both), next(&mut both), both.event()), ("answer 2".to_owned(), "answer 1".to_owned(), None));
    for wrong in [json!([]), json!([1]), json!([[request(1, "a")]]), json!([initialize("2025-03-26")])] {
        assert_eq!(session.post(&wrong).status, 400, "{wrong}");
    }
    let newer = served.session(NEWEST);
    let refused = newer.post(&json!([request(1, "a")])).json();
    assert!(refused["error"]["message"].to_string().contains("since 2025-06-18"), "{refused}");
}

#[test]
fn a_stream_that_broke_goes_on_where_it_was() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    let session = served.session(NEWEST);
    let mut asked = session.post(&request(1, "one"));
    // The first event carries nothing but an id to come back with.
    let first = asked.event().unwrap_or_default();
    assert_eq!((first.data.as_str(), first.retry), ("", Some(500)));
    let seen = asked.hear();
    assert_eq!(seen.message()["method"], "one");
    drop(asked);
    session.say(&notification("two"));
    // From before the message that was seen, and from behind it.
    let mut again = session.listen(first.id.as_deref());
    assert_eq!((next(&mut again), next(&mut again)), ("one".to_owned(), "two".to_owned()));
    let mut again = session.listen(seen.id.as_deref());
    let second = again.hear();
    assert_eq!(second.message()["method"], "two");
    drop(again);
    session.say(&answer(1));
    let mut again = session.listen(second.id.as_deref());
    let last = again.hear();
    assert_eq!((last.message(), again.event()), (answer(1), None));
    // There is no more, and that is said in the way that ends the client's attempts.
    for id in [last.id(), "77-1"] {
        assert_eq!(session.listen(Some(id)).status, 405, "{id}");
    }
    assert_eq!(session.listen(Some("nonsense")).status, 400);
    assert_eq!(served.session(NEWEST).listen(Some(last.id())).status, 405, "another session's");
}

#[test]
fn the_standalone_stream_is_one_whoever_reads_it() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    let session = served.session(NEWEST);
    let mut first = session.listen(None);
    let primed = first.event().unwrap_or_default();
    session.say(&notification("one"));
    let one = first.hear();
    // The connection may be dead without anybody knowing: whoever comes later is the client.
    let mut second = session.listen(Some(one.id()));
    assert_eq!(first.event(), None);
    session.say(&notification("two"));
    assert_eq!(next(&mut second), "two");
    let mut third = session.listen(primed.id.as_deref());
    assert_eq!((next(&mut third), next(&mut third)), ("one".to_owned(), "two".to_owned()));
    drop(third);
    session.say(&notification("three"));
    assert_eq!(next(&mut session.listen(None)), "three");
    // Older clients don't know what an event without data is.
    let older = served.session("2025-06-18");
    older.say(&notification("n"));
    assert_eq!(older.listen(None).event().map(|event| event.message()), Some(notification("n")));
}

#[test]
fn an_id_that_is_in_use_is_refused_and_the_first_request_goes_on() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    let session = served.session("2025-03-26");
    let mut first = session.post(&request(1, "one"));
    assert_eq!(next(&mut first), "one");
    for twice in [request(1, "again"), json!([request(2, "a"), request(2, "b")])] {
        let error = session.post(&twice).json();
        assert_eq!(error["error"]["code"], -32600, "{error}");
        assert!(error["error"]["message"].to_string().contains("not answered yet"), "{error}");
    }
    session.say(&answer(1));
    assert_eq!(next(&mut first), "answer 1");
    let mut again = session.post(&request(1, "anew"));
    assert_eq!(next(&mut again), "anew");
}

#[test]
fn two_sessions_see_nothing_of_each_other() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    let (one, two) = (served.session(NEWEST), served.session(NEWEST));
    let (mut of_one, mut of_two) = (one.post(&request(1, "one's")), two.post(&request(1, "two's")));
    let mut listening = two.listen(None);
    one.say(&notification("for one"));
    one.say(&answer(1));
    two.say(&notification("for two"));
    two.say(&answer(1));
    let all = |stream: &mut Answer| -> Vec<String> {
        std::iter::from_fn(|| stream.event()).filter(|event| !event.data.is_empty()).map(|event| event.data).collect()
    };
    let (of_one, of_two) = (all(&mut of_one).join("\n"), all(&mut of_two).join("\n"));
    assert!(of_one.contains("one's") && of_one.contains("for one") && !of_one.contains("two"), "{of_one}");
    assert!(of_two.contains("two's") && !of_two.contains("one"), "{of_two}");
    assert_eq!(next(&mut listening), "for two");
}

#[test]
fn what_waits_for_a_client_that_never_listens_is_bounded() {
    let place = Place::new();
    // The server says more than it may, then asks, then tells what became of that.
    let script = r#"read -r line; echo '{"id":0,"result":{"protocolVersion":"2025-11-25"}}'
        for i in $(seq 1000); do echo '{"method":"notifications/n"}'; done
        echo '{"id":"ask","method":"roots/list"}'
        while [ -z "$refused" ] || [ -z "$called" ]; do
            read -r line; case "$line" in *'"ask"'*) refused=$line ;; *'"call"'*) called=1 ;; esac
        done
        echo "{\"id\":1,\"result\":$refused}"; cat"#;
    let served =
        Served::start(&place, &json!({ "mcpServers": { "s": { "command": "bash", "args": ["-c", script] } } }));
    let begun = served.send("POST", "/s/mcp", &[("accept", "application/json")], &initialize(NEWEST).to_string());
    let headers = [("mcp-session-id", begun.header("mcp-session-id")), ("accept", "application/json")];
    let told = served.send("POST", "/s/mcp", &headers, &request(1, "call").to_string()).json();
    assert_eq!(told["result"]["id"], "ask", "{told}");
    assert!(told["result"]["error"]["message"].to_string().contains("doesn't read what it is asked"), "{told}");
}

#[test]
fn there_are_only_so_many_sessions_and_idle_ones_end() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({ "serve": { "sessions": 2, "idle": "2 s" } }));
    let (first, second) = (served.session(NEWEST), served.session(NEWEST));
    let mut listening = second.listen(None);
    let third = served.send("POST", "/cat/mcp", &[], &initialize(NEWEST).to_string());
    assert_eq!(third.status, 503);
    let error = third.json();
    assert!(error["error"]["message"].to_string().contains("the most that `serve.sessions` allows"), "{error}");
    // A client that is heard of keeps its session; one that isn't loses it, and makes room.
    let began = Instant::now();
    while served.send("POST", "/cat/mcp", &[], &initialize(NEWEST).to_string()).status == 503 {
        second.say(&notification("n"));
        assert!(began.elapsed() < PATIENCE, "the idle session doesn't end");
    }
    assert_eq!(first.post(&request(1, "ping")).status, 404);
    assert_eq!(next(&mut listening), "n");
}

#[test]
fn a_server_that_ends_takes_its_session_along() {
    let place = Place::new();
    let script = r#"read -r line; echo '{"id":0,"result":{"protocolVersion":"2025-11-25"}}'; read -r line"#;
    let config = json!({ "mcpServers": {
        "s": { "command": "bash", "args": ["-c", script] },
        "missing": { "command": "no-such-program" },
        "refuses": { "command": "bash", "args": ["-c", "read -r line; echo '{\"id\":0,\"error\":{\"code\":-1,\"message\":\"no\"}}'; cat"] },
    } });
    let served = Served::start(&place, &config);
    let begun = served.send("POST", "/s/mcp", &[], &initialize(NEWEST).to_string());
    let headers = [("mcp-session-id", begun.header("mcp-session-id"))];
    let error = served.send("POST", "/s/mcp", &headers, &request(1, "m").to_string()).json();
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("the server ended (exit status: 0) before it answered"), "{error}");
    let began = Instant::now();
    while served.send("POST", "/s/mcp", &headers, &request(1, "m").to_string()).status != 404 {
        assert!(began.elapsed() < PATIENCE, "the session doesn't end");
    }
    for (path, said) in [("/missing/mcp", "can't start the server `no-such-program`"), ("/refuses/mcp", "no")] {
        let answer = served.send("POST", path, &[], &initialize(NEWEST).to_string());
        assert_eq!((answer.status, answer.header("mcp-session-id")), (200, ""), "{path}");
        let error = answer.json();
        assert!(error["id"] == 0 && error["error"]["message"].to_string().contains(said), "{error}");
    }
}

#[test]
fn a_session_that_ends_while_the_provider_thinks_frees_everything() {
    let place = Place::new();
    let provider = Provider::start(|_, stream, _| wait_for_hangup(stream));
    let served = Served::cat(
        &place,
        &json!({
            "sampling": "o",
            "plugins": { "o": { "component": "builtin:openai", "model": "m", "endpoint": provider.url } },
        }),
    );
    let (session, other) = (served.session(NEWEST), served.session(NEWEST));
    // `cat` makes them the server's.
    let _asked = [
        session.post(&sampling("a", "slow")),
        session.post(&sampling("b", "slow")),
        other.post(&sampling("a", "slow")),
    ];
    provider.gate().wait_for(3);
    assert_eq!(session.send("DELETE", &[], "").status, 204);
    let began = Instant::now();
    while provider.gate().open() > 1 {
        assert!(began.elapsed() < PATIENCE, "the provider is still asked");
    }
    // The server takes one of its requests back.
    other.say(&json!({"method": "notifications/cancelled", "params": {"requestId": "a"}}));
    provider.gate().wait_for_silence();
}
