//! Guards, through the proxy: what they allow, change and deny, what becomes of those that fail, and what the user is told of them.
#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::guests;
use understudy_tests::program::{Place, run, signal};
use understudy_tests::provider::{Gate, Provider, Request, begin, piece};
use understudy_tests::session::{Session, sampling};

/// A config with these guards, in this order, and the plugin `echo`.
fn configured(place: &Place, guards: &[(&str, Value)]) -> PathBuf {
    let names: Vec<&str> = guards.iter().map(|(name, _)| *name).collect();
    let entries: serde_json::Map<String, Value> =
        guards.iter().map(|(name, entry)| ((*name).to_owned(), entry.clone())).collect();
    let rule = json!({ "use": "echo", "mode": "always", "guards": names });
    let config = json!({ "limits": { "cpu": "200 ms" }, "guards": entries, "sampling": rule });
    place.file("understudy.json", config.to_string())
}

/// The guest `guard` that does this.
fn doing(place: &Place, deed: &str, more: &Value) -> Value {
    let component = place.file("guard.wasm", guests::guard("version 1"));
    let mut entry = json!({ "component": component, "settings": { "do": deed } });
    for (key, value) in more.as_object().into_iter().flatten() {
        entry[key] = value.clone();
    }
    entry
}

fn session(place: &Place, guards: &[(&str, Value)]) -> Session {
    let config = configured(place, guards);
    Session::start(place, &["--config", &config.to_string_lossy()], &["cat"])
}

/// What a server gets that asks for this text.
fn asked(session: &mut Session, text: &str) -> Value {
    session.say(&sampling(1, text));
    session.hear()
}

/// What a server gets with one guard that does this.
fn guarded(deed: &str, more: &Value) -> Value {
    let place = Place::new();
    let guard = doing(&place, deed, more);
    asked(&mut session(&place, &[("mine", guard)]), "cedar")
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

fn refused(answer: &Value) -> (i64, &str) {
    let error = &answer["error"];
    (error["code"].as_i64().unwrap_or_default(), error["message"].as_str().unwrap_or_else(|| panic!("{answer}")))
}

const REQUEST: &str = r#"{"checks": ["request"]}"#;
const ANSWER: &str = r#"{"checks": ["answer"]}"#;

fn checking(what: &str) -> Value {
    serde_json::from_str(what).unwrap()
}

#[test]
fn a_guard_denies_a_request_or_its_answer_as_a_user_would() {
    assert_eq!(refused(&guarded("deny", &checking(REQUEST))), (-1, "denied by guard `mine`: no cedars here"));
    assert_eq!(refused(&guarded("deny", &checking(ANSWER))), (-1, "denied by guard `mine`: the answer is a cedar"));
    let long = guarded("deny at length", &json!({}));
    let (code, said) = refused(&long);
    assert!(code == -1 && said.starts_with("denied by guard `mine`: a [31mbxxx"), "{said}");
    assert!(said.chars().count() < 600 && !said.chars().any(char::is_control), "{said}");
    let none = guarded("deny without a reason", &json!({}));
    assert_eq!(refused(&none), (-1, "denied by guard `mine`: it gives no reason"));
}

#[test]
fn where_nobody_can_be_asked_a_question_denies() {
    for (checks, asked) in [(REQUEST, "is this a cedar?"), (ANSWER, "is this answer a cedar?")] {
        let answer = guarded("ask", &checking(checks));
        let (code, said) = refused(&answer);
        assert!(
            said.starts_with("not approved: the user must allow it, and nobody can be asked: the client does not"),
            "{said}"
        );
        assert!(code == -1 && said.ends_with(&format!("; the guard `mine` wants it: {asked}")), "{said}");
    }
}

#[test]
fn guards_run_in_order_each_on_what_the_one_before_left() {
    let place = Place::new();
    let stamp = doing(&place, "stamp", &checking(REQUEST));
    let other = place.file("other.wasm", guests::guard("version 2"));
    let other = json!({ "component": other, "settings": { "do": "stamp" }, "checks": ["request"] });
    let answer = asked(&mut session(&place, &[("b", stamp), ("a", other)]), "cedar");
    assert_eq!(text(&answer), "cedar [version 1] [version 2]");
    // Of one that denies, the next hears nothing.
    let deny = doing(&place, "deny", &json!({}));
    let trap = doing(&place, "trap", &json!({}));
    let answer = asked(&mut session(&place, &[("first", deny), ("second", trap)]), "cedar");
    assert_eq!(refused(&answer), (-1, "denied by guard `first`: no cedars here"));
}

#[test]
fn an_answer_is_changed_before_the_server_gets_it() {
    assert_eq!(text(&guarded("stamp", &checking(ANSWER))), "cedar [version 1]");
    assert_eq!(text(&guarded("lower", &checking(REQUEST))), "cedar");
}

#[test]
fn a_guard_that_fails_denies_unless_its_entry_says_otherwise() {
    for (deed, said) in [
        ("trap", "trapped in `request`"),
        ("loop", "exceeded its limit in `request`: 200ms of CPU time (`limits.cpu`)"),
        ("eat", "exceeded its limit in `request`"),
        ("error", "`settings.do` is an error"),
        ("raise", "gave an answer that can't be used: `max-tokens` was changed from"),
        ("add a message", "`messages` holds 2 of what were 1; their number must stay"),
        ("odd json", "`metadata` is not JSON any more"),
    ] {
        let answer = guarded(deed, &checking(REQUEST));
        let (code, message) = refused(&answer);
        assert!(code == -32603 && message.starts_with("denied because guard `mine` failed: "), "{deed}: {message}");
        assert!(message.contains(said), "{deed}: {message}");
        let allowed = guarded(deed, &json!({ "checks": ["request"], "onFailure": "allow" }));
        assert_eq!(text(&allowed), "cedar", "{deed}");
    }
    for (deed, said) in [
        ("trap", "trapped in `answer`"),
        ("raise", "`model` was changed, which a guard may not"),
        ("add a message", "`content` holds 2 of what were 1"),
        ("odd json", "`meta` is not JSON any more"),
    ] {
        let answer = guarded(deed, &checking(ANSWER));
        let (code, message) = refused(&answer);
        assert!(code == -32603 && message.contains(said), "{deed}: {message}");
        assert_eq!(text(&guarded(deed, &json!({ "checks": ["answer"], "onFailure": "allow" }))), "cedar", "{deed}");
    }
}

#[test]
fn a_guard_is_told_who_asks_and_who_answered() {
    let place = Place::new();
    let guard = doing(&place, "tell", &json!({}));
    let mut session = session(&place, &[("mine", guard)]);
    let client = json!({ "name": "an editor", "version": "1" });
    session.say(&json!({"id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client
    }}));
    let _ = session.hear();
    session.say(&json!({"id": 0, "result": {}}));
    let _ = session.hear();
    session.say(&json!({"id": 5, "method": "tools/call", "params": {"name": "judge", "arguments": {}}}));
    let _ = session.hear();
    let answer = asked(&mut session, "cedar");
    let told = text(&answer);
    for part in [
        "server: \"cat\"",
        "client: Some(\"an editor",
        "tool: Some(\"judge\")",
        "model: Some(\"echo\")",
        "plugin: Some(\"echo\")",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn no_text_reaches_the_server_before_the_guards_have_seen_the_answer() {
    let place = Place::new();
    let provider = Provider::start(|_: &Request, stream, _: &Gate| {
        begin(stream, "text/event-stream");
        for part in ["data: To be\n\n", "data: or not\n\n", ""] {
            piece(stream, part.as_bytes());
        }
    });
    let guest = guests::write("streaming", place.path());
    let guard = doing(&place, "deny", &checking(ANSWER));
    let config = json!({
        "guards": { "mine": guard },
        "plugins": { "p": { "component": guest, "model": "m", "endpoint": provider.url } },
        "sampling": { "use": "p", "mode": "always", "guards": ["mine"] }
    });
    let config = place.file("understudy.json", config.to_string());
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    let mut request = sampling(1, "events");
    request["params"]["_meta"] = json!({ "progressToken": "t" });
    session.say(&request);
    loop {
        let heard = session.hear();
        if heard["id"] == 1 {
            assert_eq!(refused(&heard), (-1, "denied by guard `mine`: the answer is a cedar"));
            break;
        }
        assert!(heard["params"]["message"].is_null(), "{heard}");
    }
}

/// A token of GitHub's that was revoked long ago, in two parts so that no scanner takes this file for a leak.
pub(super) fn token() -> String {
    ["ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17"].concat()
}

#[test]
fn the_built_in_guard_denies_and_redacts_secrets_without_quoting_them() {
    let place = Place::new();
    let asks = format!("why does {} not work?", token());
    let answer = asked(&mut session(&place, &[("secrets", json!({}))]), &asks);
    let said =
        "denied by guard `secrets`: it holds what looks like a secret (GitHub token in `messages[0].content[0].text`)";
    assert_eq!(refused(&answer), (-1, said));
    let redact = json!({ "settings": { "action": "redact" } });
    let answer = asked(&mut session(&place, &[("secrets", redact)]), &asks);
    assert_eq!(text(&answer), "why does [redacted: GitHub token] not work?");
    // As a built-in one without an entry, and in an answer: `echo` says it back.
    let config = json!({ "guards": { "secrets": { "checks": ["answer"] } }, "sampling": { "use": "echo", "guards": ["secrets"] } });
    let config = place.file("understudy.json", config.to_string());
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    let answer = asked(&mut session, &asks);
    assert_eq!(
        refused(&answer).1,
        "denied by guard `secrets`: it holds what looks like a secret (GitHub token in `content[0].text`)"
    );
    let (_, _, log) = session.end();
    assert!(!log.contains(&token()), "{log}");
}

#[test]
fn the_user_is_told_of_guards_and_of_what_is_wrong_with_them() {
    let place = Place::new();
    let guard = doing(&place, "allow", &json!({ "onFailure": "allow" }));
    let config = configured(&place, &[("mine", guard), ("secrets", json!({}))]);
    let listed = place.run(["plugin", "list"]).ok().stdout;
    assert!(listed.contains("secrets ") && listed.contains("; a guard") && listed.contains("mine "), "{listed}");
    let doctor = place.run(["doctor"]).ok().stdout;
    assert!(doctor.contains("guards\n") && doctor.contains("ok       `secrets`: finds API keys"), "{doctor}");
    assert!(doctor.contains("where it fails, requests go on unguarded (`onFailure` is `allow`)"), "{doctor}");
    let inspected = place.run(["plugin", "inspect", "mine", "--json"]).ok().stdout;
    let facts: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!((&facts["world"], &facts["onFailure"]), (&json!("guard"), &json!("allow")), "{facts:#}");
    drop(std::fs::remove_file(config));
    // A guard answers nothing, and a plugin guards nothing.
    let component = place.path().join("guard.wasm").to_string_lossy().into_owned();
    let sampled = run(place.understudy(["sample", "--plugin", &component]), &sampling(1, "x")["params"].to_string());
    assert!(
        sampled.stderr.contains("is a guard, which answers no request: write it into `guards`"),
        "{}",
        sampled.stderr
    );
    let echo = guests::write("streaming", place.path());
    let config = configured(&place, &[("mine", json!({ "component": echo }))]);
    let sampled = run(
        place.understudy(["sample", "--config", &config.to_string_lossy()]),
        &sampling(1, "x")["params"].to_string(),
    );
    assert!(
        sampled.stderr.contains("`mine` is no guard but a plugin (`provider, with streaming`)"),
        "{}",
        sampled.stderr
    );
}

#[test]
fn the_kit_checks_guards() {
    let place = Place::new();
    let component = place.file("guard.wasm", guests::guard("version 1")).to_string_lossy().into_owned();
    let check = |deed: &str| place.run(["plugin", "check", &component, "--set", &format!("do={deed}")]);
    let fine = check("lower").ok().stdout;
    assert!(fine.contains("ok    world      guard of understudy:plugin@0.1.0"), "{fine}");
    assert!(fine.contains("ok    results    it changes nothing that it may not"), "{fine}");
    for (deed, said) in [
        ("trap", "FAIL  start      request `text`"),
        ("raise", "FAIL  results    request `text`: it may not change this: `max-tokens`"),
        ("deny at length", "FAIL  messages   request `text`: the reason's message"),
        ("error", "FAIL  start      request `text`: no verdict but an error"),
    ] {
        let broken = check(deed);
        assert!(broken.code() != 0 && broken.stdout.contains(said), "{deed}: {}", broken.stdout);
    }
    let fixtures = place.path().join("fixtures");
    std::fs::create_dir(&fixtures).unwrap();
    let fixture = |verdict: &str| {
        let request = &sampling(1, "cedar")["params"];
        let fixture =
            json!({ "request": request, "settings": { "do": "deny" }, "verdict": verdict, "reason": "no cedars here" });
        std::fs::write(fixtures.join("deny.json"), fixture.to_string()).unwrap();
        place.run(["plugin", "check", &component])
    };
    assert!(fixture("deny").ok().stdout.contains("ok    fixtures   1 in"));
    let wrong = fixture("allow");
    assert!(wrong.stdout.contains("`deny.json`: `verdict`: expected \"allow\", got \"deny\""), "{}", wrong.stdout);
    let _ = place.run(["plugin", "check", &component, "--update"]).ok();
    assert!(place.run(["plugin", "check", &component]).ok().stdout.contains("ok    fixtures   1 in"));
    let secrets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/secrets/fixtures");
    let checked = place.run(["plugin", "check", "secrets", "--fixtures", &secrets.to_string_lossy()]).ok().stdout;
    assert!(checked.contains("keeps every rule that applies to it"), "{checked}");
}

/// Requests in flight while a guard is swapped, and swaps.
const AT_ONCE: u64 = 10;
const SWAPS: usize = 12;

#[test]
fn guards_are_swapped_under_load_whole_or_not_at_all() {
    let place = Place::new();
    let log = place.file("log", "");
    let put = |content: &[u8]| {
        let beside = place.file("guard.wasm.new", content);
        std::fs::rename(beside, place.path().join("guard.wasm")).unwrap();
    };
    put(&guests::guard("version 0"));
    let rule = json!({ "use": "echo", "mode": "always", "guards": ["g"], "requestsPerCall": u32::MAX });
    let guard = json!({ "component": "guard.wasm", "settings": { "do": "stamp", "only": "request" } });
    let config = json!({ "mcpServers": { "cat": { "command": "cat" } }, "guards": { "g": guard }, "sampling": rule });
    let _ = place.file("understudy.json", config.to_string());
    let understudy = place.understudy(["proxy", "-v", "--server", "cat"]);
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(format!("exec \"$0\" \"$@\" 2>>'{}'", log.display()));
    command.arg(understudy.get_program()).args(understudy.get_args()).current_dir(place.path());
    for (name, value) in understudy.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut session = Session::run(command, &[]);
    assert_eq!(text(&asked(&mut session, "x")), "x [version 0]");
    let (process, over) = (session.id(), AtomicBool::new(false));
    let answers = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut answers = [0_u64; 2];
            (0..AT_ONCE).for_each(|id| session.say(&sampling(id, "x")));
            let (mut next, mut open) = (AT_ONCE, AT_ONCE);
            while open > 0 {
                match text(&session.hear()) {
                    "x [version 0]" => answers[0] += 1,
                    "x [version 1]" => answers[1] += 1,
                    other => panic!("{other}"),
                }
                if over.load(Ordering::Relaxed) {
                    open -= 1;
                } else {
                    session.say(&sampling(next, "x"));
                    next += 1;
                }
            }
            answers
        });
        let mut read = 0;
        for swap in 1..=SWAPS {
            let (component, said) = match swap % 4 {
                0 => (guests::guard("trap in describe"), "is not taken up"),
                2 => (guests::planted("none"), "is no guard but a plugin"),
                n => (guests::guard(&format!("version {}", usize::from(n == 1))), "judges from now on"),
            };
            put(&component);
            signal(process, Signal::HUP);
            let began = Instant::now();
            loop {
                let log = std::fs::read_to_string(&log).unwrap();
                if let Some(at) = log[read..].find(said) {
                    read += at + said.len();
                    break;
                }
                assert!(began.elapsed() < PATIENCE, "`{said}` is not in the log: {}", &log[read..]);
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
        over.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    });
    assert!(answers.iter().all(|count| *count > 0), "{answers:?}");
}
