//! A proxy that runs: what changes under it is taken up once it is trusted, and not before.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::guests::planted;
use understudy_tests::program::{Place, by_shell, signal};
use understudy_tests::provider::{Provider, respond};
use understudy_tests::session::{Session, sampling};

use super::{leaves, left, stranger};

/// A provider that answers with its own name.
fn provider(name: &'static str) -> Provider {
    Provider::start(move |_, stream, _| {
        let answer = json!({
            "id": "m", "type": "message", "role": "assistant", "model": name, "stop_reason": "end_turn",
            "content": [{ "type": "text", "text": name }], "usage": { "input_tokens": 1, "output_tokens": 1 },
        });
        respond(stream, "200 OK", "content-type: application/json\r\n", answer.to_string().as_bytes());
    })
}

/// A folder with a config, and a proxy in it whose log is a file.
struct Project {
    place: Place,
    log: PathBuf,
    read: usize,
}

impl Project {
    fn new(config: &Value) -> Self {
        let place = Place::new();
        let log = place.file("log", "");
        let project = Self { place, log, read: 0 };
        project.put("understudy.json", config.to_string());
        project
    }

    /// Puts a file in its place, whole.
    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let beside = self.place.file(&format!("{name}.new"), content);
        std::fs::rename(beside, self.place.path().join(name)).unwrap_or_else(|e| panic!("{e}"));
    }

    fn trust(&self) {
        let _ = stranger(&self.place, &["trust"]).ok();
    }

    /// Starts a proxy in front of `cat`, without a word of which config.
    fn proxy(&self, args: &[&str]) -> Session {
        let understudy = self.place.stranger(["proxy"].iter().chain(args).chain(&["--", "cat"]));
        let command = by_shell(&format!("exec \"$0\" \"$@\" 2>>'{}'", self.log.display()), &understudy);
        Session::run(command, &[("ANTHROPIC_API_KEY", super::KEY)])
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Waits until the log says this, behind where it was read up to; the line.
    fn wait_for(&mut self, words: &str) -> String {
        let began = Instant::now();
        loop {
            let log = self.log();
            let unread = &log[self.read..];
            if let Some(line) = unread.split_inclusive('\n').find(|line| line.contains(words) && line.ends_with('\n')) {
                let end = unread.find(line).unwrap_or_default() + line.len();
                self.read += end;
                return line.to_owned();
            }
            assert!(began.elapsed() < PATIENCE, "`{words}` is not in the log: {unread}");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

/// Who answers now.
fn who(session: &mut Session, id: u64) -> String {
    session.say(&sampling(id, "who are you?"));
    let answer = session.hear();
    answer["result"]["model"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// A config by which a provider gets the key.
fn at(provider: &Provider) -> Value {
    let credential = json!({ "header": "x-api-key", "env": "ANTHROPIC_API_KEY" });
    let plugin = json!({ "endpoint": provider.url, "credential": credential, "model": "claude-x" });
    json!({ "sampling": { "use": "anthropic", "mode": "always", "requestsPerCall": u32::MAX }, "plugins": { "anthropic": plugin } })
}

#[test]
fn a_config_that_is_swapped_under_a_proxy_gets_no_key_until_it_is_trusted() {
    let (good, evil) = (provider("good"), provider("evil"));
    let mut project = Project::new(&at(&good));
    project.trust();
    let mut session = project.proxy(&[]);
    assert_eq!(who(&mut session, 1), "good");
    let mut swapped = at(&evil);
    swapped["requestStateKey"] = json!({ "command": leaves(&project.place, "pwned") });
    project.put("understudy.json", swapped.to_string());
    let line = project.wait_for("is left aside");
    for part in [
        "is not taken up, and the configuration before it stays in use",
        "it has changed since it was trusted",
        "would run 1 command (`sh`)",
        "set the endpoint of `anthropic`",
        "`understudy trust",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(who(&mut session, 2), "good");
    // Not by hand, either.
    signal(session.id(), Signal::HUP);
    let _ = project.wait_for("is left aside");
    assert_eq!((who(&mut session, 3), evil.seen().len()), ("good".to_owned(), 0));
    // Gone, it makes room for no other.
    std::fs::remove_file(project.place.path().join("understudy.json")).unwrap_or_else(|e| panic!("{e}"));
    let _ = project.wait_for("is gone");
    assert_eq!(who(&mut session, 4), "good");
    project.put("understudy.json", swapped.to_string());
    let _ = project.wait_for("is left aside");
    // Once it is trusted it is taken up, without a new start.
    project.trust();
    let began = Instant::now();
    while who(&mut session, 5) != "evil" {
        assert!(began.elapsed() < PATIENCE, "{}", project.log());
    }
    assert_eq!(left(&project.place), Vec::<PathBuf>::new());
    // Each change was one line.
    assert_eq!(project.log().matches("is left aside").count(), 3, "{}", project.log());
}

#[test]
fn a_config_that_is_trusted_while_a_proxy_runs_is_taken_up() {
    let good = provider("good");
    let mut project = Project::new(&at(&good));
    let mut session = project.proxy(&[]);
    let _ = project.wait_for("is left aside");
    // Nobody answers, so `cat` gives back what is asked.
    session.say(&sampling(1, "who are you?"));
    assert_eq!(session.hear()["method"], "sampling/createMessage");
    // What isn't trusted may change as it likes.
    project.put("understudy.json", json!({ "sampling": "echo" }).to_string());
    assert!(project.wait_for("is left aside").contains("it is not trusted"));
    project.put("understudy.json", at(&good).to_string());
    let _ = project.wait_for("is left aside");
    project.trust();
    assert!(project.wait_for("the config is").contains("this folder's, which you trust"));
    drop(session);
    let mut session = project.proxy(&[]);
    assert_eq!(who(&mut session, 1), "good");
}

#[test]
fn a_component_that_is_swapped_under_a_proxy_is_not_taken_up_until_it_is_trusted() {
    let answers = Provider::start(|request, stream, _| {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        respond(
            stream,
            "200 OK",
            "content-type: application/json\r\n",
            json!({ "text": asked["version"] }).to_string().as_bytes(),
        );
    });
    let plugin = json!({ "component": "plugin.wasm", "endpoint": answers.url });
    let mut project =
        Project::new(&json!({ "sampling": { "use": "p", "mode": "always" }, "plugins": { "p": plugin } }));
    project.put("plugin.wasm", planted("version 1"));
    project.trust();
    let mut session = project.proxy(&[]);
    assert_eq!(who(&mut session, 1), "version 1");
    project.put("plugin.wasm", planted("version 2"));
    let line = project.wait_for("is not taken up");
    assert!(line.contains("plugin.wasm`, which belongs to it, has changed since it was trusted"), "{line}");
    assert_eq!(who(&mut session, 2), "version 1");
    // A third one, at once behind the second.
    project.put("plugin.wasm", planted("version 3"));
    project.trust();
    let _ = project.wait_for("answers from now on");
    assert_eq!(who(&mut session, 3), "version 3");
    // A lock file that wasn't there belongs to the config as well.
    project.put("understudy.lock", "{}");
    assert!(project.wait_for("is not taken up").contains("understudy.lock`, which belongs to it, has changed"));
    assert_eq!(who(&mut session, 4), "version 3");
}
