//! Two clients of one server: neither gets what is the other's.
//!
//! Both are of 2026-07-28, which has no sessions, unless a test says otherwise; both use the same ids and progress tokens. The server's words are the
//! test's (`scripted`), so that "late" is an order of messages and not a time.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::http::Answer;
use understudy_tests::matrix;
use understudy_tests::program::Place;
use understudy_tests::provider::Provider;
use understudy_tests::scripted::{Heard, Kind, LEGACY, MODERN, Scripted};
use understudy_tests::served::{Served, initialize};

const VERSION: &str = "2026-07-28";

/// A server, served.
struct Both {
    server: Scripted,
    served: Arc<Served>,
    _place: Place,
}

/// A request of a client's that goes on.
struct Asking(Receiver<Value>);

impl Asking {
    /// What the client gets next.
    fn hear(&self) -> Value {
        self.0.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("the client gets nothing: {e}"))
    }

    /// All that it gets until the end.
    fn all(&self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            match self.0.recv_timeout(PATIENCE) {
                Ok(message) => all.push(message),
                Err(mpsc::RecvTimeoutError::Disconnected) => return all,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end comes after {all:?}"),
            }
        }
    }

    /// The answer, which is all that it gets.
    fn only(&self) -> Value {
        let mut all = self.all();
        assert_eq!(all.len(), 1, "more than an answer: {all:?}");
        all.remove(0)
    }

    /// The text of a tool, which is all that it gets.
    fn text(&self) -> String {
        let answer = self.only();
        answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        // A client that still waits holds the other handle.
        self.served.signal(Signal::KILL);
    }
}

impl Both {
    fn of(kind: Kind) -> Self {
        Self::with(kind, &json!({}), &json!({ "sampling": "echo" }))
    }

    fn with(kind: Kind, entry: &Value, config: &Value) -> Self {
        let (server, place) = (Scripted::new(kind), Place::new());
        let mut config = config.clone();
        config["mcpServers"]["s"] = server.entry.clone();
        for (key, value) in entry.as_object().into_iter().flatten() {
            config["mcpServers"]["s"][key] = value.clone();
        }
        let served = Arc::new(Served::start(&place, &config));
        Self { server, served, _place: place }
    }

    /// A client asks; all its ids and tokens are the same.
    fn ask(&self, method: &str, params: Value) -> Asking {
        let message = request(method, params);
        let name = message["params"]["name"].as_str().unwrap_or_default().to_owned();
        let (served, method) = (Arc::clone(&self.served), method.to_owned());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let headers = [("mcp-protocol-version", VERSION), ("mcp-method", &method), ("mcp-name", &name)];
            read(served.send("POST", "/s/mcp", &headers, &message.to_string()), &sender);
        });
        Asking(receiver)
    }

    /// A client calls a tool, and the server has got that.
    fn call(&self, tool: &str, more: &Value) -> (Asking, Heard) {
        let asking = self.ask("tools/call", called(tool, more));
        let heard = self.server.hear("tools/call");
        assert_eq!(heard.message["params"]["name"], tool);
        (asking, heard)
    }
}

/// Reads an answer to its end, or until the test drops the receiver: then the client hangs up.
fn read(mut answer: Answer, sender: &Sender<Value>) {
    if answer.header("content-type") == "application/json" {
        return drop(sender.send(answer.json()));
    }
    while let Some(event) = answer.event() {
        if !event.data.is_empty() && sender.send(event.message()).is_err() {
            break;
        }
    }
}

fn request(method: &str, mut params: Value) -> Value {
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!(VERSION);
    if meta["io.modelcontextprotocol/clientCapabilities"].is_null() {
        meta["io.modelcontextprotocol/clientCapabilities"] =
            json!({ "elicitation": { "form": {} }, "roots": {}, "sampling": {} });
    }
    meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "the client's name", "version": "1" });
    meta["progressToken"] = json!("token");
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })
}

/// The parameters of a call; its arguments name the tool, so that one can see whose they are.
fn called(tool: &str, more: &Value) -> Value {
    let mut params = json!({ "name": tool, "arguments": { "secret": format!("{tool}'s secret") } });
    for (key, value) in more.as_object().into_iter().flatten() {
        params[key] = value.clone();
    }
    params
}

fn with_log(level: &str) -> Value {
    json!({ "_meta": { "io.modelcontextprotocol/logLevel": level } })
}

fn elicitation(text: &str) -> Value {
    json!({ "mode": "form", "message": text, "requestedSchema": { "type": "object", "properties": {} } })
}

fn sampling(context: bool) -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": "hello" } });
    let context = if context { "thisServer" } else { "none" };
    json!({ "messages": [message], "maxTokens": 100, "includeContext": context })
}

fn log(level: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": level, "data": "about somebody's arguments" } })
}

/// The one question that a client is asked, by our key, and the state for its retry.
fn asked(answer: &Value) -> (String, Value, Value) {
    let result = &answer["result"];
    assert_eq!(result["resultType"], "input_required", "{answer}");
    let requests = result["inputRequests"].as_object().cloned().unwrap_or_default();
    assert_eq!(requests.len(), 1, "{answer}");
    let (key, request) = requests.into_iter().next().unwrap_or_default();
    (key, request, result["requestState"].clone())
}

/// The parameters of a retry.
fn again(tool: &str, key: &str, typed: &str, state: &Value) -> Value {
    let answer = json!({ "action": "accept", "content": { "typed": typed } });
    called(tool, &json!({ "requestState": state, "inputResponses": { key: answer } }))
}

#[test]
fn what_a_server_asks_without_saying_for_whom_reaches_no_client() {
    for kind in LEGACY {
        let mut both = Both::of(kind);
        let refused = |both: &mut Both, place| {
            for (method, params) in
                [("elicitation/create", elicitation("the password of alice")), ("roots/list", json!({}))]
            {
                let id = both.server.ask(place, method, &params, None);
                let answer = both.server.answer_to(&id);
                assert_eq!(answer["error"]["code"], -32603, "{kind:?} {answer}");
                assert!(answer["error"]["message"].to_string().contains("clients"), "{kind:?} {answer}");
            }
            // Though the client could.
            let id = both.server.ask(place, "sampling/createMessage", &sampling(false), None);
            assert_eq!(both.server.answer_to(&id)["result"]["content"]["text"], "hello", "{kind:?}");
        };
        let (a, alice) = both.call("confirm", &json!({}));
        // Even one call that is the only one need not be why the server asks.
        refused(&mut both, alice.place);
        let (b, bob) = both.call("slow", &json!({}));
        refused(&mut both, alice.place);
        both.server.answer(&alice, "done");
        assert_eq!(a.text(), "done");
        // It comes late, and only the other's call is open.
        refused(&mut both, alice.place);
        both.server.answer(&bob, "slow, done");
        assert_eq!(b.text(), "slow, done", "{kind:?}");
        refused(&mut both, alice.place);
        // A client that hangs up leaves nothing to another one either.
        let (a, alice) = both.call("confirm", &json!({}));
        let (b, bob) = both.call("slow", &json!({}));
        hang_up(&both, a, &alice);
        refused(&mut both, alice.place);
        both.server.answer(&bob, "again");
        assert_eq!(b.text(), "again", "{kind:?}");
    }
}

/// A client hangs up while its request goes on, and the server has been told so.
fn hang_up(both: &Both, asking: Asking, heard: &Heard) {
    drop(asking);
    // Whoever reads a stream sees the end of its reader when there is something to read.
    let token = &heard.message["params"]["_meta"]["progressToken"];
    let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": token, "progress": 1 } });
    both.server.say(heard.place, &progress, Some(&heard.message["id"]));
    if both.server.kind != Kind::ModernHttp {
        let cancelled = both.server.hear("notifications/cancelled").message;
        assert_eq!(cancelled["params"]["requestId"], heard.message["id"]);
    }
}

#[test]
fn a_question_on_the_stream_of_a_call_reaches_its_client_and_the_answer_its_call() {
    let mut both = Both::of(Kind::LegacyHttp);
    let (a, alice) = both.call("confirm", &json!({}));
    let (b, bob) = both.call("slow", &json!({}));
    let id =
        both.server.ask(0, "elicitation/create", &elicitation("the password of alice"), Some(&alice.message["id"]));
    let (key, question, state) = asked(&a.only());
    assert_eq!(question["params"]["message"], "the password of alice");
    // Another request can't take it up, nor can what was changed.
    for other in
        [again("slow", &key, "mallory's", &state), again("confirm", &key, "mallory's", &json!("understudy-1.AAAA"))]
    {
        assert_eq!(both.ask("tools/call", other).only()["error"]["code"], -32602);
    }
    let a = both.ask("tools/call", again("confirm", &key, "alice's", &state));
    assert_eq!(both.server.answer_to(&id)["result"]["content"]["typed"], "alice's");
    // Once taken up, it can't be again; nor for the next question.
    assert_eq!(both.ask("tools/call", again("confirm", &key, "mallory's", &state)).only()["error"]["code"], -32602);
    let id = both.server.ask(0, "elicitation/create", &elicitation("and her account"), Some(&alice.message["id"]));
    let (key, _, second) = asked(&a.only());
    assert_eq!(both.ask("tools/call", again("confirm", &key, "mallory's", &state)).only()["error"]["code"], -32602);
    let a = both.ask("tools/call", again("confirm", &key, "4711", &second));
    assert_eq!(both.server.answer_to(&id)["result"]["content"]["typed"], "4711");
    both.server.answer(&alice, "confirmed");
    assert_eq!(a.text(), "confirmed");
    // Behind its answer a call's stream is nobody's.
    both.server.answer(&bob, "done");
    assert_eq!(b.text(), "done");
}

#[test]
fn a_state_of_another_run_takes_up_nobodys_call() {
    // With a key that outlives the process, a call of the same number and arguments may be another client's.
    let config =
        json!({ "sampling": "echo", "requestStateKey": { "command": ["echo", "0123456789abcdef0123456789abcdef"] } });
    let park = |both: &mut Both| {
        let (a, alice) = both.call("confirm", &json!({}));
        let id = both.server.ask(0, "elicitation/create", &elicitation("password?"), Some(&alice.message["id"]));
        (id, asked(&a.only()))
    };
    let (mut first, mut second) =
        (Both::with(Kind::LegacyHttp, &json!({}), &config), Both::with(Kind::LegacyHttp, &json!({}), &config));
    let (_, (key, _, old)) = park(&mut first);
    let (id, (_, _, new)) = park(&mut second);
    assert_eq!(second.ask("tools/call", again("confirm", &key, "another's", &old)).only()["error"]["code"], -32602);
    let _a = second.ask("tools/call", again("confirm", &key, "own", &new));
    assert_eq!(second.server.answer_to(&id)["result"]["content"]["typed"], "own");
}

#[test]
fn log_lines_reach_the_call_that_they_came_with_and_no_other() {
    for kind in LEGACY {
        let mut both = Both::of(kind);
        let (a, alice) = both.call("upload", &with_log("debug"));
        both.server.say(0, &log("error"), None);
        both.server.settle(0);
        let (b, bob) = both.call("slow", &with_log("error"));
        // Of the shared log each gets what its own request wants, whatever the others want.
        let level = both.server.heard().into_iter().find(|message| message["method"] == "logging/setLevel");
        assert_eq!(level, None, "{kind:?}: the level is lowered");
        both.server.say(0, &log("error"), None);
        both.server.settle(0);
        if kind.tells() {
            for (level, of) in [("debug", &alice), ("debug", &bob), ("critical", &bob)] {
                both.server.say(0, &log(level), Some(&of.message["id"]));
            }
        }
        both.server.answer(&alice, "done");
        let mut heard = a.all();
        let answer = heard.pop().unwrap_or_default();
        assert_eq!(answer["result"]["content"][0]["text"], "done", "{kind:?}");
        assert_eq!(heard, if kind.tells() { vec![log("debug")] } else { vec![] }, "{kind:?}");
        // Late, and only the other's call is open.
        both.server.say(0, &log("error"), None);
        both.server.settle(0);
        both.server.answer(&bob, "done");
        let mut heard = b.all();
        assert!(heard.pop().is_some_and(|answer| answer["result"].is_object()), "{kind:?}");
        assert_eq!(heard, if kind.tells() { vec![log("critical")] } else { vec![] }, "{kind:?}");
    }
}

#[test]
fn what_a_modern_server_says_reaches_the_request_that_it_names_and_no_other() {
    for kind in MODERN {
        let both = Both::of(kind);
        let (a, alice) = both.call("upload", &with_log("debug"));
        let (b, bob) = both.call("slow", &with_log("debug"));
        if kind == Kind::ModernStdio {
            both.server.say(0, &log("error"), None);
            both.server.say(0, &json!({ "jsonrpc": "2.0", "method": "notifications/x/unknown" }), None);
        } else {
            both.server.say(0, &log("error"), Some(&alice.message["id"]));
        }
        both.server.answer(&alice, "done");
        let mut heard = a.all();
        assert!(heard.pop().is_some_and(|answer| answer["result"]["content"][0]["text"] == "done"), "{kind:?}");
        assert_eq!(heard, if kind.tells() { vec![log("error")] } else { vec![] }, "{kind:?}");
        if kind == Kind::ModernStdio {
            both.server.say(0, &log("error"), None);
        }
        // What it requires goes to its own call.
        let question = json!({ "method": "elicitation/create", "params": elicitation("bob's password") });
        both.server.result(
            &bob,
            &json!({ "resultType": "input_required", "inputRequests": { "k": question }, "requestState": "s" }),
        );
        let (key, question, _) = asked(&b.only());
        assert_eq!((key.as_str(), &question["params"]["message"]), ("k", &json!("bob's password")), "{kind:?}");
    }
}

#[test]
fn progress_goes_by_a_token_that_nobody_can_guess_and_ends_with_the_answer() {
    for kind in LEGACY.into_iter().chain(MODERN) {
        let both = Both::of(kind);
        let (a, alice) = both.call("upload", &json!({}));
        let (b, bob) = both.call("slow", &json!({}));
        let token = |heard: &Heard| heard.message["params"]["_meta"]["progressToken"].clone();
        assert_ne!(token(&alice), token(&bob));
        let progress = |token: &Value, n: u32| json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": token, "progress": n } });
        let about = Some(&bob.message["id"]);
        // Also what comes on another's stream belongs to whose token it has.
        both.server.say(0, &progress(&token(&alice), 1), about);
        assert_eq!(a.hear(), progress(&json!("token"), 1), "{kind:?}");
        for foreign in [
            json!("token"),
            json!(1),
            json!(2),
            json!("1"),
            json!(1.0),
            json!("understudy-1"),
            alice.message["id"].clone(),
        ] {
            both.server.say(0, &progress(&foreign, 2), about);
        }
        both.server.answer(&alice, "done");
        assert_eq!(a.text(), "done", "{kind:?}");
        both.server.say(0, &progress(&token(&alice), 3), about);
        both.server.say(0, &progress(&token(&bob), 4), about);
        both.server.answer(&bob, "done");
        let mut heard = b.all();
        assert!(heard.pop().is_some_and(|answer| answer["result"].is_object()), "{kind:?}");
        assert_eq!(heard, [progress(&json!("token"), 4)], "{kind:?}");
    }
}

#[test]
fn a_client_cannot_claim_anothers_token_or_cancel_anothers_request_in_any_spelling() {
    for kind in LEGACY.into_iter().chain(MODERN) {
        let both = Both::of(kind);
        let (a, alice) = both.call("upload", &json!({}));
        let id = alice.message["id"].to_string();
        let id = if id.starts_with('"') { "1".to_owned() } else { id };
        let post = |body: &str, method: &str| {
            let headers = [("mcp-protocol-version", VERSION), ("mcp-method", method), ("mcp-name", "slow")];
            both.served.send("POST", "/s/mcp", &headers, body).status
        };
        for (cancel, status) in [
            (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":ID}}"#, 202),
            (r#"{"jsonrpc":"2.0","method":"notifications\/cancelled","params":{"requestId":ID}}"#, 202),
            (r#"{"jsonrpc":"2.0","\u006dethod":"notifications/c\u0061ncelled","params":{"requestId":"ID"}}"#, 202),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","method":"notifications/x","params":{"requestId":ID}}"#,
                400,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/x","Method":"notifications/cancelled","params":{"requestId":ID}}"#,
                400,
            ),
            (r#"[{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":ID}}]"#, 400),
            (r#"{"jsonrpc":"2.0","id":"asked 1","result":{}}"#, 400),
        ] {
            assert_eq!(post(&cancel.replace("ID", &id), ""), status, "{kind:?} {cancel}");
        }
        // The token that the other has, spelt so that it isn't found or stands there twice, is not what the server gets.
        let theirs = alice.message["params"]["_meta"]["progressToken"].clone();
        let own = request("tools/call", called("slow", &json!({}))).to_string();
        for spelt in [
            "\"progressToken\":1",
            "\"progress\\u0054oken\":1",
            "\"progressToken\":1,\"progressToken\":1",
            "\"PROGRESSTOKEN\":1",
        ] {
            let body = own.replace("\"progressToken\":\"token\"", spelt);
            assert_ne!(body, own);
            let served = Arc::clone(&both.served);
            thread::spawn(move || {
                let headers = [("mcp-protocol-version", VERSION), ("mcp-method", "tools/call"), ("mcp-name", "slow")];
                let _ = served.send("POST", "/s/mcp", &headers, &body).text();
            });
            let heard = both.server.hear("tools/call");
            assert!(!heard.message["params"]["_meta"].to_string().contains(&theirs.to_string()), "{kind:?}");
            both.server.answer(&heard, "done");
        }
        let seen = both.server.heard();
        assert!(!seen.iter().any(|message| message["method"] == "notifications/cancelled"), "{kind:?}: {seen:?}");
        both.server.answer(&alice, "done");
        assert_eq!(a.text(), "done", "{kind:?}");
    }
}

#[test]
fn a_client_that_hangs_up_cancels_its_own_request_alone() {
    for kind in LEGACY.into_iter().chain(MODERN) {
        let both = Both::of(kind);
        let (a, alice) = both.call("upload", &json!({}));
        let (b, bob) = both.call("slow", &json!({}));
        hang_up(&both, a, &alice);
        both.server.answer(&bob, "done");
        assert_eq!(b.text(), "done", "{kind:?}");
    }
}

#[test]
fn changes_go_to_those_who_listen_for_them() {
    for kind in LEGACY {
        let mut both = Both::of(kind);
        let listen = |wanted: Value| {
            let asking = both.ask("subscriptions/listen", json!({ "notifications": wanted }));
            assert_eq!(asking.hear()["method"], "notifications/subscriptions/acknowledged");
            asking
        };
        let a = listen(json!({ "resourceSubscriptions": ["x:alices", "x:both"] }));
        let b = listen(json!({ "resourceSubscriptions": ["x:bobs", "x:both"], "toolsListChanged": true }));
        let (call, called) = both.call("slow", &with_log("debug"));
        let updated = |uri: &str| json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": { "uri": uri } });
        let changed = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
        let unknown = json!({ "jsonrpc": "2.0", "method": "notifications/x/unknown", "params": { "secret": 1 } });
        for message in
            [&updated("x:alices"), &updated("x:bobs"), &unknown, &updated("x:neither"), &changed, &updated("x:both")]
        {
            both.server.say(called.place, message, None);
        }
        let told = |asking: &Asking| {
            let told = asking.hear();
            assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 7);
            told["params"]["uri"].as_str().or(told["method"].as_str()).unwrap_or_default().to_owned()
        };
        assert_eq!([told(&a), told(&a)], ["x:alices", "x:both"], "{kind:?}");
        assert_eq!(
            [told(&b), told(&b), told(&b)],
            ["x:bobs", "notifications/tools/list_changed", "x:both"],
            "{kind:?}"
        );
        both.server.settle(called.place);
        both.server.answer(&called, "done");
        assert_eq!(call.text(), "done", "{kind:?}: a call is told what nobody listens for");
        // One who goes ends what it alone listened to.
        drop(a);
        both.server.say(called.place, &updated("x:alices"), None);
        let ended = both.server.hear("resources/unsubscribe");
        assert_eq!(ended.message["params"]["uri"], "x:alices", "{kind:?}");
        both.server.say(called.place, &updated("x:both"), None);
        assert_eq!(told(&b), "x:both", "{kind:?}");
    }
}

#[test]
fn tasks_of_a_session_that_all_share_are_nobodys() {
    for kind in LEGACY {
        let both = Both::of(kind);
        for method in ["tasks/list", "tasks/get", "tasks/result", "tasks/cancel"] {
            let answer = both.ask(method, json!({ "taskId": "1" })).only();
            assert_eq!(answer["error"]["code"], -32601, "{kind:?} {method}: {answer}");
        }
        let answer = both.ask("tools/call", called("slow", &json!({ "task": {} }))).only();
        assert_eq!(answer["error"]["code"], -32601, "{kind:?}: {answer}");
        let discovered = both.ask("server/discover", json!({})).only();
        assert!(discovered["result"]["capabilities"]["tools"].is_object(), "{discovered}");
        assert!(discovered["result"]["capabilities"]["tasks"].is_null(), "{kind:?}: {discovered}");
    }
}

#[test]
fn a_shared_server_is_told_no_clients_name_and_no_session_changes_of_one_client() {
    for kind in LEGACY {
        let both = Both::of(kind);
        let (a, alice) = both.call("slow", &json!({}));
        both.server.answer(&alice, "done");
        assert_eq!(a.text(), "done");
        for method in ["notifications/initialized", "notifications/roots/list_changed", "notifications/progress"] {
            let message =
                json!({ "jsonrpc": "2.0", "method": method, "params": { "progressToken": "asked 1", "progress": 1 } });
            let headers = [("mcp-protocol-version", VERSION)];
            assert_eq!(both.served.send("POST", "/s/mcp", &headers, &message.to_string()).status, 202, "{method}");
        }
        for method in ["initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
            assert_eq!(
                both.ask(method, json!({ "level": "debug", "uri": "x:y" })).only()["error"]["code"],
                -32601,
                "{method}"
            );
        }
        let (_b, bob) = both.call("slow", &json!({}));
        assert_eq!(bob.message["params"]["name"], "slow");
    }
    // What it hears from the beginning on.
    let server = Both::of(Kind::LegacyStdio);
    let _call = server.ask("tools/call", called("slow", &json!({})));
    let began = server.server.hear("initialize").message;
    assert!(!began.to_string().contains("the client's name"), "{began}");
    let declared = &began["params"]["capabilities"];
    assert!(
        declared["sampling"].is_object() && declared["elicitation"].is_null() && declared["roots"].is_null(),
        "{began}"
    );
    let begun = server.server.hear("notifications/initialized").message;
    assert_eq!(begun["method"], "notifications/initialized");
}

#[test]
fn the_context_of_a_request_is_its_own_calls_and_never_anothers() {
    for kind in LEGACY.into_iter().chain(MODERN) {
        let llm = matrix::llm();
        let plugin = json!({ "component": "builtin:openai", "endpoint": llm.url, "model": "m" });
        let config = json!({ "sampling": { "use": "llm", "context": "thisServer" }, "plugins": { "llm": plugin } });
        let mut both = Both::with(kind, &json!({}), &config);
        let no_sampling = json!({ "_meta": { "io.modelcontextprotocol/clientCapabilities": {} } });
        let (_a, alice) = both.call("alice", &no_sampling);
        let (_b, bob) = both.call("bob", &no_sampling);
        let last = |llm: &Provider| {
            llm.seen().last().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).unwrap_or_default()
        };
        if MODERN.contains(&kind) {
            let asks = json!({ "method": "sampling/createMessage", "params": sampling(true) });
            both.server.result(&bob, &json!({ "resultType": "input_required", "inputRequests": { "k": asks } }));
            let answered = both.server.hear("tools/call").message;
            assert!(answered["params"]["inputResponses"]["k"].is_object(), "{kind:?} {answered}");
            assert!(last(&llm).contains("bob's secret") && !last(&llm).contains("alice's secret"), "{kind:?}");
            continue;
        }
        let mut ask = |about: Option<&Value>| {
            let id = both.server.ask(0, "sampling/createMessage", &sampling(true), about);
            assert_eq!(both.server.answer_to(&id)["error"], Value::Null, "{kind:?}");
            last(&llm)
        };
        let prompt = ask(None);
        assert!(!prompt.contains("secret"), "{kind:?}: {prompt}");
        if kind.tells() {
            let prompt = ask(Some(&bob.message["id"]));
            assert!(prompt.contains("bob's secret") && !prompt.contains("alice's secret"), "{kind:?}: {prompt}");
        }
        both.server.answer(&alice, "done");
        let id = both.server.ask(0, "sampling/createMessage", &sampling(true), None);
        let _ = both.server.answer_to(&id);
        assert!(!last(&llm).contains("secret"), "{kind:?}: it comes late, and only the other's call is open");
    }
}

#[test]
fn a_tool_that_may_ask_lends_that_to_no_other_clients_call() {
    for kind in LEGACY {
        let config = json!({ "sampling": { "use": "echo", "mode": "always", "tools": ["summarize"] } });
        let mut both = Both::with(kind, &json!({}), &config);
        let ask = |both: &mut Both| {
            let id = both.server.ask(0, "sampling/createMessage", &sampling(false), None);
            both.server.answer_to(&id)["error"]["code"].clone()
        };
        let (a, alice) = both.call("summarize", &json!({}));
        assert_eq!(ask(&mut both), Value::Null, "{kind:?}");
        let (b, bob) = both.call("slow", &json!({}));
        assert_eq!(ask(&mut both), -32603, "{kind:?}: it may be the other's call that asks");
        both.server.answer(&alice, "done");
        both.server.answer(&bob, "done");
        let _ = (a.text(), b.text());
        assert_eq!(ask(&mut both), -32603, "{kind:?}");
    }
}

#[test]
fn one_client_gets_all_that_is_said_while_its_call_is_the_only_one() {
    for kind in LEGACY {
        let mut both = Both::with(kind, &json!({ "clients": "one" }), &json!({ "sampling": "echo" }));
        let (_, first) = both.call("first", &json!({}));
        both.server.answer(&first, "done");
        let (a, call) = both.call("confirm", &with_log("info"));
        both.server.say(0, &log("info"), None);
        assert_eq!(a.hear(), log("info"), "{kind:?}");
        let id = both.server.ask(0, "elicitation/create", &elicitation("password?"), None);
        let (key, _, state) = asked(&a.hear());
        let a = both.ask("tools/call", again("confirm", &key, "secret", &state));
        assert_eq!(both.server.answer_to(&id)["result"]["content"]["typed"], "secret", "{kind:?}");
        let id = both.server.ask(0, "roots/list", &json!({}), None);
        let (key, _, state) = asked(&a.only());
        let roots = json!({ "requestState": state, "inputResponses": { key: { "roots": [] } } });
        let a = both.ask("tools/call", called("confirm", &roots));
        assert_eq!(both.server.answer_to(&id)["result"]["roots"], json!([]), "{kind:?}");
        // Progress of a call that was parked comes under the newest request's token.
        let token = &call.message["params"]["_meta"]["progressToken"];
        let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": token, "progress": 1 } });
        both.server.say(0, &progress, None);
        assert_eq!(a.hear()["params"]["progressToken"], "token", "{kind:?}");
        both.server.settle(0);
        both.server.answer(&call, "confirmed");
        assert_eq!(a.text(), "confirmed", "{kind:?}");
    }
}

#[test]
fn calls_apart_have_a_server_of_their_own_each() {
    for kind in LEGACY {
        let mut both = Both::with(kind, &json!({ "clients": "apart" }), &json!({ "sampling": "echo" }));
        let (a, alice) = both.call("confirm", &with_log("info"));
        let (b, bob) = both.call("slow", &with_log("info"));
        assert_ne!(alice.place, bob.place, "{kind:?}");
        let id = both.server.ask(alice.place, "elicitation/create", &elicitation("alice's password"), None);
        let (key, question, state) = asked(&a.only());
        assert_eq!(question["params"]["message"], "alice's password", "{kind:?}");
        both.server.say(bob.place, &log("info"), None);
        assert_eq!(b.hear(), log("info"), "{kind:?}");
        let changed = again("slow", &key, "mallory's", &state);
        assert_eq!(
            both.ask("tools/call", changed).only()["error"]["code"],
            -32602,
            "{kind:?}: it is another request's, and goes on waiting"
        );
        both.server.answer(&bob, "done");
        assert_eq!(b.text(), "done", "{kind:?}");
        let (c, carol) = both.call("confirm", &json!({}));
        let id_of_carol = both.server.ask(carol.place, "elicitation/create", &elicitation("carol's password"), None);
        let (key, _, carols) = asked(&c.only());
        let c = both.ask("tools/call", again("confirm", &key, "carol's", &carols));
        assert_eq!(both.server.answer_to(&id_of_carol)["result"]["content"]["typed"], "carol's", "{kind:?}");
        let a = both.ask("tools/call", again("confirm", &key, "alice's", &state));
        assert_eq!(both.server.answer_to(&id)["result"]["content"]["typed"], "alice's", "{kind:?}");
        both.server.answer(&carol, "for carol");
        both.server.answer(&alice, "for alice");
        assert_eq!((a.text(), c.text()), ("for alice".to_owned(), "for carol".to_owned()), "{kind:?}");
        // What isn't a call goes to one that is there for all, and nothing that this one asks reaches a client.
        let listing = both.ask("tools/list", json!({}));
        let listed = both.server.hear("tools/list");
        assert!(![alice.place, bob.place, carol.place].contains(&listed.place), "{kind:?}");
        let id = both.server.ask(listed.place, "elicitation/create", &elicitation("whose?"), None);
        assert_eq!(both.server.answer_to(&id)["error"]["code"], -32603, "{kind:?}");
        both.server.result(&listed, &json!({ "tools": [] }));
        assert!(listing.only()["result"]["tools"].is_array(), "{kind:?}");
    }
}

#[test]
fn sessions_of_earlier_revisions_have_a_server_each() {
    for kind in LEGACY.into_iter().chain(MODERN) {
        let mut both = Both::of(kind);
        let begin = || {
            let answer = both.served.send("POST", "/s/mcp", &[], &initialize("2025-11-25").to_string());
            let id = answer.header("mcp-session-id").to_owned();
            let _ = answer.text();
            let session = both.served.session_at("/s/mcp", &id, "2025-11-25");
            session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
            id
        };
        let (a, b) = (begin(), begin());
        // The scripted server tells requests by their ids where it has no sessions.
        let same = if kind == Kind::ModernHttp { 8 } else { 7 };
        let call = |id: &str, tool: &str, number: u32| {
            let params = json!({ "name": tool, "arguments": {} });
            let message = json!({ "jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params });
            let (served, id) = (Arc::clone(&both.served), id.to_owned());
            let (sender, receiver) = mpsc::channel();
            thread::spawn(move || {
                read(served.session_at("/s/mcp", &id, "2025-11-25").post(&message), &sender);
            });
            (Asking(receiver), both.server.hear("tools/call"))
        };
        let ((first, alice), (second, bob)) = (call(&a, "alice", 7), call(&b, "bob", same));
        if MODERN.contains(&kind) {
            let question = json!({ "method": "elicitation/create", "params": elicitation("alice's password") });
            both.server.result(&alice, &json!({ "resultType": "input_required", "inputRequests": { "k": question } }));
        } else {
            assert_ne!(alice.place, bob.place, "{kind:?}");
            let _ = both.server.ask(alice.place, "elicitation/create", &elicitation("alice's password"), None);
        }
        let told = first.hear();
        assert_eq!(told["params"]["message"], "alice's password", "{kind:?}: {told}");
        both.server.answer(&bob, "done");
        assert_eq!(second.text(), "done", "{kind:?}");
    }
}

/// A call that goes on in a game of many.
struct Played {
    client: Asking,
    heard: Heard,
    tool: String,
}

impl Played {
    /// What the client got: nothing of another call's.
    fn check(&self, got: &[Value], kind: Kind) {
        let got = Value::from(got.to_vec()).to_string();
        for other in got.split("secret of ").skip(1) {
            assert!(other.starts_with(&format!("{}.", self.tool)), "{kind:?}, {}: {got}", self.tool);
        }
    }
}

#[test]
fn whatever_the_order_nobody_gets_what_is_anothers() {
    for kind in LEGACY {
        let mut both = Both::of(kind);
        let mut random = fastrand::Rng::with_seed(7);
        let (mut open, mut over): (Vec<Played>, Vec<String>) = (Vec::new(), Vec::new());
        let mut begun = 0;
        for step in 0..300 {
            if open.len() < 2 || (open.len() < 5 && random.u8(..4) == 0) {
                begun += 1;
                let tool = format!("tool-{begun}");
                let (client, heard) = both.call(&tool, &with_log("debug"));
                open.push(Played { client, heard, tool });
            }
            let at = random.usize(..open.len());
            // Of a call that goes on, or of one that is over: the server is late.
            let tool = random.choice(&over).filter(|_| random.bool()).unwrap_or(&open[at].tool).clone();
            let (secret, own) = (format!("the secret of {tool}."), format!("the secret of {}.", open[at].tool));
            let id = open[at].heard.message["id"].clone();
            let text = |text: &str| json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "error", "data": text } });
            match random.u8(..7) {
                0 | 1 => {
                    let played = open.swap_remove(at);
                    both.server.answer(&played.heard, &own);
                    played.check(&played.client.all(), kind);
                    over.push(played.tool);
                }
                2 => both.server.say(0, &text(&secret), None),
                3 if kind.tells() => both.server.say(0, &text(&own), Some(&id)),
                4 => {
                    let method = if random.bool() { "elicitation/create" } else { "roots/list" };
                    let asked = both.server.ask(0, method, &elicitation(&secret), None);
                    assert_eq!(both.server.answer_to(&asked)["error"]["code"], -32603, "{kind:?}, step {step}");
                }
                5 if kind.tells() => {
                    let question = both.server.ask(0, "elicitation/create", &elicitation(&own), Some(&id));
                    let played = &mut open[at];
                    let got = played.client.all();
                    played.check(&got, kind);
                    let (key, _, state) = asked(&got[got.len() - 1]);
                    played.client = both.ask("tools/call", again(&played.tool, &key, &own, &state));
                    assert_eq!(both.server.answer_to(&question)["result"]["content"]["typed"], own.as_str());
                }
                6 => {
                    let played = open.swap_remove(at);
                    hang_up(&both, played.client, &played.heard);
                    over.push(played.tool);
                }
                _ => {
                    let token = &open[at].heard.message["params"]["_meta"]["progressToken"];
                    let params = json!({ "progressToken": token, "progress": step, "message": own });
                    both.server.say(
                        0,
                        &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }),
                        Some(&id),
                    );
                }
            }
        }
        for played in open {
            both.server.answer(&played.heard, "done");
            played.check(&played.client.all(), kind);
        }
    }
}
