//! Other people's clients, whose user is asked whether a server's request may be answered: in sessions, and in the era of 2026-07-28.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use serde_json::{Value, json};
use understudy_tests::matrix;
use understudy_tests::peers::{installed, node, node_script, python, script};
use understudy_tests::program::{Place, Run, binary, cache, run};

/// What the clients have the server ask.
const PROMPT: &str = "may I?";

const REFUSED: &str = "not approved: the user has refused it";
const CLOSED: &str = "the user was asked, and has not allowed it: the user has closed the question";
const CANT_ASK: &str = "nobody can be asked: the client can't ask its user: the window doesn't open";
const NOT_DECLARED: &str = "nobody can be asked: the client does not declare `elicitation` with forms";

/// A server of the matrix, and the one era that it speaks.
type Server<'a> = (&'a str, &'a str);

/// Every answer that a client can give in a session. Each one but the last is followed by a call that isn't concerned by it.
const IN_SESSIONS: [&str; 6] = ["decline", "accept", "cancel", "raise", "bare", "accept"];

/// The same in the era of 2026-07-28, where a client whose handler raises gives its call up, and answers nothing.
const BY_INPUT_REQUESTS: [&str; 6] = ["decline", "accept", "cancel", "raise", "bare", "accept"];

/// The command of a proxy in front of a server, for clients of this era.
fn proxy(place: &Place, era: &str, (server, server_era): Server) -> Vec<String> {
    let command = matrix::server(server, Some(server_era));
    let entry = json!({ "command": command.first(), "args": command.get(1..) });
    let mut sampling = json!({ "use": "echo", "approve": "ask" });
    if (era, server_era) == ("modern", "modern") {
        // Of a server that speaks both, this is the other era.
        sampling["era"] = json!("client");
    }
    let config = json!({ "mcpServers": { server: entry }, "sampling": sampling });
    let config = place.file("understudy.json", config.to_string()).to_string_lossy().into_owned();
    let understudy = binary("understudy").to_string_lossy().into_owned();
    [&understudy, "proxy", "--config", &config, "--server", server].map(str::to_owned).to_vec()
}

/// Runs a client whose user gives these answers; what it tells of each call.
fn calls(client: &str, era: &str, answers: &[&str], proxy: &[String]) -> Vec<Value> {
    let (program, script) = match client {
        "fastmcp" => (python(), script("approval_fastmcp_client.py")),
        "fastmcp4" => (installed("fastmcp4/bin/python"), script("approval_fastmcp_client.py")),
        _ => (node(), node_script(&format!("approval_{client}_client.mjs"))),
    };
    let mut command = Command::new(program);
    command.args([&script, "--era", era]).args(answers).arg("--").args(proxy);
    let run = run(command, "").ok();
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether the user was shown who asks what.
fn check_message(message: &Value, server: &str) {
    let message = message.as_str().unwrap_or_default();
    let begins = format!("The server `{server}` wants the model `echo` to answer, in the course of ");
    // A call that its client has given up without a word still goes on at a server with sessions.
    let whence = message.strip_prefix(&begins).unwrap_or_default();
    let is_known = whence.starts_with("its tool `ask`. ") || whence.starts_with("one of several calls. ");
    assert!(is_known, "{message}");
    assert!(message.ends_with(&format!("\n\nWhat it asks:\n> [user] {PROMPT}")), "{message}");
}

/// Whether a call ended as the user wanted.
fn check(said: &Value, server: &str) {
    let answer = said["answer"].as_str().unwrap_or_default();
    if said["era"] == "modern" && answer == "raise" {
        // Its own error; the proxy hears nothing of it.
        assert!(
            said["error"]["message"].is_string() && said["asked"].as_array().is_some_and(|asked| asked.len() == 1),
            "{said}"
        );
        return;
    }
    let reason = match answer {
        "decline" => Some(REFUSED),
        "cancel" => Some(CLOSED),
        "raise" => Some(CANT_ASK),
        "none" => Some(NOT_DECLARED),
        _ => None,
    };
    match reason {
        Some(reason) => {
            // The call fails, or the server makes a result of it.
            let failed = said["isError"] == true || said["error"]["code"] == -1;
            let told = [&said["text"], &said["error"]["message"]];
            let has_reason = told.iter().any(|told| told.as_str().is_some_and(|told| told.contains(reason)));
            assert!(failed && has_reason, "{said}");
        }
        None => assert_eq!((&said["text"], &said["isError"]), (&json!(PROMPT), &json!(false)), "{said}"),
    }
    let asked = said["asked"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(asked.len(), usize::from(answer != "none"), "{said}");
    for message in asked {
        check_message(message, server);
    }
}

/// A client of one era before these servers, with a user who can be asked and with one who can't.
fn asks(client: &str, era: &str, servers: &[Server]) {
    let answers = if era == "modern" { BY_INPUT_REQUESTS.as_slice() } else { IN_SESSIONS.as_slice() };
    for server in servers {
        eprintln!("{client} ({era}) before {server:?}");
        let place = Place::new();
        let proxy = proxy(&place, era, *server);
        for answers in [answers, &["none"]] {
            let said = calls(client, era, answers, &proxy);
            let given: Vec<&Value> = said.iter().map(|said| &said["answer"]).collect();
            assert_eq!(given, *answers, "{said:?}");
            for said in &said {
                assert_eq!(said["era"], era, "{said}");
                check(said, server.0);
            }
        }
    }
}

#[test]
fn fastmcp_3_asks_its_user() {
    asks("fastmcp", "legacy", &[("fastmcp", "legacy"), ("ts2", "modern")]);
}

#[test]
fn fastmcp_4_asks_its_user_in_sessions() {
    asks("fastmcp4", "legacy", &[("ts1", "legacy"), ("ts2", "modern")]);
}

#[test]
fn fastmcp_4_asks_its_user_by_input_requests() {
    asks("fastmcp4", "modern", &[("fastmcp4", "modern"), ("ts1", "legacy")]);
}

#[test]
fn typescript_1_asks_its_user() {
    asks("ts1", "legacy", &[("ts1", "legacy"), ("ts2", "modern")]);
}

#[test]
fn typescript_2_asks_its_user_in_sessions() {
    asks("ts2", "legacy", &[("ts1", "legacy"), ("ts2", "modern")]);
}

#[test]
fn typescript_2_asks_its_user_by_input_requests() {
    asks("ts2", "modern", &[("ts2", "modern"), ("mcp2", "modern"), ("ts1", "legacy")]);
}

/// A script that is the proxy: an argument that begins with dashes is the inspector's own.
fn wrapped(place: &Place, era: &str, server: Server) -> String {
    let proxy = proxy(place, era, server).join("' '");
    place.file("proxy.sh", format!("exec '{proxy}'\n")).to_string_lossy().into_owned()
}

/// An era, and a server that speaks it.
const OF_EACH_ERA: [(&str, Server); 2] = [("legacy", ("ts1", "legacy")), ("modern", ("ts2", "modern"))];

#[test]
fn the_inspectors_one_call_can_ask_nobody() {
    for (era, server) in OF_EACH_ERA {
        let place = Place::new();
        let mut command = Command::new(node());
        command.current_dir(place.path()).arg(installed("node/node_modules/.bin/mcp-inspector")).arg("--cli");
        command.args(["sh", &wrapped(&place, era, server), "--protocol-era", era, "--method", "tools/call"]);
        command.args(["--tool-name", "ask", "--tool-arg", &format!("prompt={PROMPT}")]);
        let run = run(command, "");
        assert!(!run.status.success(), "{}", run.stdout);
        let said = run.stdout + &run.stderr;
        assert!(said.contains(NOT_DECLARED), "{era}: {said}");
    }
}

/// The inspector's command line for connections that last. A process of its own holds them until this is dropped.
struct Connections {
    place: Place,
}

impl Connections {
    fn command(&self) -> Command {
        let mut command = Command::new(node());
        command.current_dir(self.place.path()).env("HOME", self.place.path()).env("XDG_CACHE_HOME", cache());
        command.env("MCP_INSPECTOR_DAEMON_DIR", self.place.path().join("daemon"));
        command.env("MCP_INSPECTOR_DAEMON_TOKEN", "0123456789".repeat(4)).env("MCP_INSPECTOR_SECRET_STORE", "memory");
        // A connection is named after its command.
        command.args([&installed("node/node_modules/.bin/mcpdo"), "--format", "json", "--connection", "sh"]);
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        let mut command = self.command();
        command.args(args);
        run(command, "")
    }

    /// Calls the tool.
    fn call(&self) -> Run {
        self.run(&["tools/call", "ask", &json!({ "prompt": PROMPT }).to_string()])
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // There is nothing to stop if nothing was connected.
        let _ = self.command().args(["daemon", "stop"]).output();
    }
}

#[test]
fn the_inspectors_connection_has_its_user_answer_by_another_command() {
    for (era, server) in OF_EACH_ERA {
        let connections = Connections { place: Place::new() };
        let script = wrapped(&connections.place, era, server);
        let _ = connections.run(&["connect", "--era", era, "sh", &script]).ok();
        for (answer, expected) in [("--decline", REFUSED), ("--cancel", CLOSED), ("{}", PROMPT)] {
            let pending: Value = serde_json::from_str(&connections.call().ok().stdout).unwrap();
            let pending = &pending["elicitationPending"];
            check_message(&pending["message"], server.0);
            let id = pending["elicitationId"].as_str().unwrap();
            let responded = connections.run(&["elicitation/respond", id, answer]);
            let said = responded.stdout + &responded.stderr;
            assert!(said.contains(expected), "{era} {answer}: {said}");
        }
        let _ = connections.run(&["disconnect", "sh"]).ok();
        let _ = connections.run(&["connect", "--era", era, "--elicit", "off", "sh", &script]).ok();
        let refused = connections.call();
        let said = refused.stdout + &refused.stderr;
        assert!(said.contains(NOT_DECLARED), "{era}: {said}");
    }
}
