//! The user is asked through the ledger, in the terminal, and by a guard.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::program::{Place, run, signal};
use understudy_tests::session::{Session, sampling};
use understudy_tests::terminal;

use super::accept;

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

/// A proxy in front of `cat`, whose client elicits.
fn eliciting_proxy(place: &Place) -> Session {
    let mut session = Session::start(place, &[], &["cat"]);
    session.initialize(&json!({ "elicitation": {} }));
    session
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
    let mut session = eliciting_proxy(&place);
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
    let mut session = eliciting_proxy(&place);
    let token = crate::guards::token();
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
