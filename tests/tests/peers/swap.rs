//! Plugins and configs that change while they are in use: swapped whole or not at all, and nobody who asks notices more than another answer.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::guests::planted;
use understudy_tests::program::{Place, by_shell, signal};
use understudy_tests::provider::{Provider, respond};
use understudy_tests::registry::Registry;
use understudy_tests::served::{self, Served};
use understudy_tests::session::{Session, sampling};

/// Requests in flight while plugins are swapped.
const AT_ONCE: u64 = 50;

/// How often a plugin is swapped: `SWAPS` says so, as in `make soak`.
fn swaps() -> usize {
    let said = std::env::var("SWAPS").ok();
    said.map_or(60, |said| said.parse().unwrap_or_else(|e| panic!("SWAPS={said}: {e}")))
}

/// What memory may have grown by: the allocator keeps some of what was used.
const SLACK: usize = 64 << 20;

/// How long the provider thinks: as long as many swaps take, so that what is in flight sees them.
const THOUGHT: Duration = Duration::from_millis(100);

/// A provider that answers with the version that asks.
fn provider() -> Provider {
    Provider::start(|request, stream, _| {
        std::thread::sleep(THOUGHT);
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        let answer = json!({ "text": asked["version"] }).to_string();
        respond(stream, "200 OK", "content-type: application/json\r\n", answer.as_bytes());
    })
}

/// A proxy in front of `cat`, whose log is a file.
struct Stage {
    place: Place,
    provider: Provider,
    log: PathBuf,
    /// How much of the log has been read.
    read: usize,
}

impl Stage {
    fn new() -> Self {
        let place = Place::new();
        let log = place.file("log", "");
        let stage = Self { provider: provider(), log, read: 0, place };
        stage.configure("plugin.wasm");
        stage
    }

    fn config(&self, component: &str) -> String {
        let limits = json!({ "cpu": "100 ms" });
        let plugin = json!({ "component": component, "endpoint": self.provider.url, "limits": limits });
        json!({ "mcpServers": { "cat": { "command": "cat" } }, "sampling": { "use": "p", "requestsPerCall": u32::MAX }, "plugins": { "p": plugin } })
            .to_string()
    }

    fn configure(&self, component: &str) {
        self.place("understudy.json", self.config(component).as_bytes());
    }

    /// Puts a file in its place, whole.
    fn place(&self, name: &str, content: &[u8]) {
        let beside = self.place.file(&format!("{name}.new"), content);
        std::fs::rename(beside, self.path(name)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn proxy(&self) -> Session {
        let understudy = self.place.understudy(["proxy", "-v", "--server", "cat"]);
        let command = by_shell(&format!("exec \"$0\" \"$@\" 2>>'{}'", self.log.display()), &understudy);
        Session::run(command, &[])
    }

    /// Waits until the log says this, behind where it was read up to.
    fn wait_for(&mut self, words: &str) {
        let began = Instant::now();
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap();
            if let Some(at) = log[self.read..].find(words) {
                self.read += at + words.len();
                return;
            }
            assert!(began.elapsed() < PATIENCE, "`{words}` is not in the log: {}", &log[self.read..]);
            // The processor is for those who are waited for.
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

/// The version that an answer is of; all of it.
fn version(answer: &Value) -> String {
    let version = answer["result"]["model"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(answer["result"]["content"]["text"], version, "it is of two versions");
    version.to_owned()
}

/// Keeps so many requests in flight until it is over; how many each version has answered.
fn ask(session: &mut Session, over: &AtomicBool) -> BTreeMap<String, u64> {
    let mut answers = BTreeMap::new();
    (0..AT_ONCE).for_each(|id| session.say(&sampling(id, "who are you?")));
    let (mut next, mut open) = (AT_ONCE, AT_ONCE);
    while open > 0 {
        *answers.entry(version(&session.hear())).or_default() += 1;
        if over.load(Ordering::Relaxed) {
            open -= 1;
        } else {
            session.say(&sampling(next, "who are you?"));
            next += 1;
        }
    }
    assert_eq!(answers.values().sum::<u64>(), next);
    answers
}

fn memory(process: u32) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * rustix::param::page_size()
}

/// What can be wrong with a new version, and what is said of it.
fn broken(which: usize) -> (Vec<u8>, &'static str) {
    let half = planted("none");
    let broken = [
        (b"not wasm at all".to_vec(), "doesn't begin as WebAssembly does"),
        (wat::parse_str("(component)").unwrap(), "is no sampling plugin"),
        (planted("trap in describe"), "trapped in `describe`"),
        (planted("changing description"), "breaks the rule `constant`"),
        (planted("names host"), "names a host"),
        (planted("loop in describe"), "CPU time"),
        (half[..half.len() / 2].to_vec(), "is not a WebAssembly component"),
    ];
    let count = broken.len();
    broken.into_iter().nth(which % count).unwrap()
}

#[test]
fn swaps_under_load_are_noticed_by_nobody_and_no_broken_version_serves() {
    let mut stage = Stage::new();
    stage.place("plugin.wasm", &planted("version 0"));
    let mut session = stage.proxy();
    // Once it answers, it listens to signals, too.
    assert_eq!(now(&mut session, u64::MAX), "version 0");
    let process = session.id();
    let over = AtomicBool::new(false);
    let (answers, grown) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&mut session, &over));
        let (mut before, mut good) = (0, 0);
        let swaps = swaps();
        for swap in 1..=swaps {
            let (component, said) = if swap % 10 == 0 {
                broken(swap / 10)
            } else {
                good += 1;
                (planted(&format!("version {}", good % 2)), "answers from now on")
            };
            stage.place("plugin.wasm", &component);
            signal(process, Signal::HUP);
            stage.wait_for(said);
            if swap == swaps / 5 {
                before = memory(process);
            }
        }
        let grown = memory(process).saturating_sub(before);
        over.store(true, Ordering::Relaxed);
        (asking.join().unwrap(), grown)
    });
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["version 0", "version 1"]);
    assert!(answers.values().all(|count| *count > AT_ONCE), "{answers:?}");
    assert!(grown < SLACK, "memory has grown by {grown} bytes");
}

/// The version that answers now.
fn now(session: &mut Session, id: u64) -> String {
    session.say(&sampling(id, "who are you?"));
    version(&session.hear())
}

#[test]
fn a_component_is_taken_up_however_it_comes() {
    let mut stage = Stage::new();
    stage.place("plugin.wasm", &planted("version 1"));
    let mut session = stage.proxy();
    assert_eq!(now(&mut session, 1), "version 1");
    // By a new file in its place.
    stage.place("plugin.wasm", &planted("version 2"));
    stage.wait_for("answers from now on");
    assert_eq!(now(&mut session, 2), "version 2");
    // Written in pieces: half of it is none.
    let third = planted("version 3");
    std::fs::write(stage.path("plugin.wasm"), &third[..third.len() / 2]).unwrap();
    stage.wait_for("is not taken up");
    assert_eq!(now(&mut session, 3), "version 2");
    std::fs::write(stage.path("plugin.wasm"), &third).unwrap();
    stage.wait_for("answers from now on");
    assert_eq!(now(&mut session, 4), "version 3");
    // Deleted.
    std::fs::remove_file(stage.path("plugin.wasm")).unwrap();
    stage.wait_for("is not taken up");
    assert_eq!(now(&mut session, 5), "version 3");
    // A link, which is turned as Kubernetes does.
    for (n, folder) in [(4, "a"), (5, "b")] {
        std::fs::create_dir(stage.path(folder)).unwrap();
        std::fs::write(stage.path(folder).join("plugin.wasm"), planted(&format!("version {n}"))).unwrap();
    }
    let beside = stage.path("turned");
    let turn = |to: &str, link: &Path| {
        std::os::unix::fs::symlink(to, &beside).unwrap();
        std::fs::rename(&beside, link).unwrap();
    };
    turn("a", &stage.path("data"));
    turn("data/plugin.wasm", &stage.path("plugin.wasm"));
    stage.wait_for("answers from now on");
    assert_eq!(now(&mut session, 6), "version 4");
    turn("b", &stage.path("data"));
    stage.wait_for("answers from now on");
    assert_eq!(now(&mut session, 7), "version 5");
}

#[test]
fn what_is_pulled_is_taken_up_too() {
    let registry = Registry::open();
    let reference = registry.reference("me/plugin:1");
    let mut stage = Stage::new();
    let push = |stage: &Stage, version: &str| {
        stage.place("plugin.wasm", &planted(version));
        let _ = stage.place.run(["plugin", "push", "./plugin.wasm", &reference]).ok();
    };
    push(&stage, "version 1");
    stage.configure(&reference);
    let _ = stage.place.run(["plugin", "pull"]).ok();
    let mut session = stage.proxy();
    assert_eq!(now(&mut session, 1), "version 1");
    push(&stage, "version 2");
    assert_eq!(now(&mut session, 2), "version 1");
    let _ = stage.place.run(["plugin", "pull", "--update"]).ok();
    stage.wait_for("answers from now on");
    assert_eq!(now(&mut session, 3), "version 2");
}

/// What a session over HTTP is answered.
fn answered(session: &served::Session) -> String {
    let mut answer = session.post(&sampling("who", "who are you?"));
    if answer.header("content-type") == "application/json" {
        return version(&answer.json());
    }
    version(&answer.hear().message())
}

#[test]
fn serve_changes_over_for_its_sessions_and_for_those_that_begin_later() {
    let stage = Stage::new();
    stage.place("plugin.wasm", &planted("version 1"));
    let config = stage.path("understudy.json");
    let config = config.to_string_lossy();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--config", &config];
    let served = Served::run(stage.place.understudy(serve));
    let session = served.session("2025-11-25");
    assert_eq!(answered(&session), "version 1");
    for (n, by_hand) in [(2, true), (3, false)] {
        stage.place("plugin.wasm", &planted(&format!("version {n}")));
        if by_hand {
            served.signal(Signal::HUP);
        }
        let began = Instant::now();
        while answered(&session) != format!("version {n}") {
            assert!(began.elapsed() < PATIENCE, "version {n} is not taken up");
        }
        assert_eq!(answered(&served.session("2025-11-25")), format!("version {n}"));
    }
}

#[test]
fn a_config_is_taken_up_whole_or_not_at_all() {
    let mut stage = Stage::new();
    stage.place("plugin.wasm", &planted("version 1"));
    stage.place("other.wasm", &planted("version 2"));
    let mut session = stage.proxy();
    assert_eq!(now(&mut session, 1), "version 1");
    stage.configure("other.wasm");
    stage.wait_for("answers from now on");
    assert_eq!(now(&mut session, 2), "version 2");
    for (config, said) in [
        ("{ \"plugins\": ".to_owned(), "is not valid JSON"),
        (stage.config("plugin.wasm").replace("\"100 ms\"", "\"fast\""), "plugins.p.limits.cpu"),
        (stage.config("missing.wasm"), "missing.wasm"),
    ] {
        stage.place("understudy.json", config.as_bytes());
        stage.wait_for("is not taken up");
        stage.wait_for(said);
        assert_eq!(now(&mut session, 3), "version 2", "{said}");
    }
    // What it named last is watched from now on.
    stage.configure("plugin.wasm");
    stage.wait_for("answers from now on");
    stage.place("plugin.wasm", &planted("version 3"));
    stage.wait_for("answers from now on");
    assert_eq!(now(&mut session, 4), "version 3");
}
