//! The sandbox: a plugin that misbehaves costs itself its request, and nothing else.
#![expect(
    clippy::match_same_arms,
    clippy::indexing_slicing,
    reason = "a case stands beside its like, and a test may panic"
)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use faults::Fault;
use serde_json::{Value, json};
use understudy_tests::guests;
use understudy_tests::program::Place;
use understudy_tests::provider::{Provider, respond};
use understudy_tests::session::{Session, sampling};
use understudy_tests::terminal;
use wasm_encoder::{Component, ComponentSectionId, InstanceSection, ModuleArg, RawSection};
use wasmparser::{Parser, Payload};

/// The faults that the guest knows. What is asked here is matched on, so a fault without a test does not compile.
#[path = "../../guests/faulty/src/faults.rs"]
#[expect(unreachable_pub, dead_code, reason = "the guest has it so")]
mod faults;

/// A session with the faulty guest as plugin, limits lowered so that it needn't be waited for. A loop needs longer than its CPU time where others
/// want the cores, too.
fn session(place: &Place, endpoint: &str) -> Session {
    session_within(place, endpoint, "100 s")
}

/// The same, with this deadline.
fn session_within(place: &Place, endpoint: &str, deadline: &str) -> Session {
    let component = guests::write("faulty", place.path());
    let config = json!({
        "sampling": { "use": "faulty", "requestsPerCall": u32::MAX },
        "limits": { "cpu": "1 s", "memory": "64 MiB", "deadline": deadline, "logLines": 7 },
        "plugins": { "faulty": { "component": component, "endpoint": endpoint, "endpoints": { "other": endpoint } } }
    });
    let config = place.file(&format!("{deadline}.json"), config.to_string());
    Session::start(place, &["-v", "--config", &config.to_string_lossy()], &["cat"])
}

/// What the server is told when the plugin is asked this.
fn ask(session: &mut Session, fault: &str) -> Value {
    session.say(&sampling(1, fault));
    session.hear()
}

/// How a fault ends.
enum End {
    /// With an error that begins like this.
    Error(String),
    /// With an error that ends like this.
    ErrorEnding(&'static str),
    /// The same as `Error`, and the code says that the request was at fault.
    Invalid(&'static str),
    /// With this text as answer.
    Text(String),
    /// With a text that ends like this.
    TextEnding(&'static str),
}

/// What the plugin is asked, and how that ends.
#[expect(clippy::too_many_lines, reason = "a line or two for each fault")]
fn cases(fault: Fault) -> Vec<(String, End)> {
    let alone = |end| vec![(fault.word().to_owned(), end)];
    let each = |arguments: &[&str], reason: &str| {
        let case = |argument: &&str| (format!("{}: {argument}", fault.word()), End::Error(refused(reason)));
        arguments.iter().map(case).collect()
    };
    let trapped = |call: &str, reason: &str| End::Error(format!("plugin `faulty` trapped in `{call}`: {reason}"));
    let exceeded =
        |call: &str, limit: &str| End::Error(format!("plugin `faulty` exceeded its limit in `{call}`: {limit}"));
    let unusable = |reason: &str| End::Error(format!("plugin `faulty` gave an answer that can't be used: {reason}"));
    let text = |text: &str| End::Text(text.to_owned());
    let memory = format!("{} bytes of memory (`limits.memory`)", 64 << 20);
    match fault {
        Fault::None => alone(End::TextEnding("fine")),
        Fault::Trap => alone(trapped("start", "wasm `unreachable` instruction executed")),
        Fault::TrapInResume => alone(trapped("resume", "wasm `unreachable` instruction executed")),
        Fault::Exit => alone(trapped("start", "Exited with i32 exit status 0")),
        Fault::Loop => alone(exceeded("start", "1s of CPU time (`limits.cpu`)")),
        Fault::LoopInResume => alone(exceeded("resume", "1s of CPU time (`limits.cpu`)")),
        // The call's limit and the request's are the same moment: either may be noticed first.
        Fault::Block => alone(End::ErrorEnding("(`limits.deadline`)")),
        Fault::Recurse => alone(trapped("start", "call stack exhausted")),
        Fault::EatMemory => vec![
            ("eat memory".to_owned(), exceeded("start", &memory)),
            ("eat memory: 30".to_owned(), text("30")),
            ("eat memory: 65".to_owned(), exceeded("start", &memory)),
        ],
        Fault::FillMemory | Fault::CopyMemory => alone(exceeded("start", "1s of CPU time (`limits.cpu`)")),
        Fault::RandomBytes => vec![
            ("random bytes".to_owned(), exceeded("start", "1s of CPU time (`limits.cpu`)")),
            ("random bytes: 1025".to_owned(), trapped("start", "requested len 1049600 exceeds limit 1048576")),
        ],
        Fault::HugeAnswer => vec![
            ("huge answer".to_owned(), exceeded("start", &memory)),
            (
                "huge answer: 60".to_owned(),
                exceeded("start", "36700160 bytes handed over in one call (`limits.requestBody`"),
            ),
        ],
        Fault::StringBeyondMemory => alone(trapped("start", "string pointer/length out of bounds of memory")),
        Fault::InvalidUtf8 => alone(trapped("start", "invalid utf-8 sequence")),
        Fault::AliasedLists => alone(exceeded(
            "start",
            "36700160 bytes handed over in one call (`limits.requestBody`, `limits.responseBody`, `limits.state`)",
        )),
        Fault::GiantState => alone(exceeded("start", "1048576 bytes of state (`limits.state`)")),
        Fault::GiantBody => vec![
            ("giant body".to_owned(), exceeded("start", "33554432 bytes of HTTP request body (`limits.requestBody`)")),
            (
                "giant body: 40".to_owned(),
                exceeded("start", "36700160 bytes handed over in one call (`limits.requestBody`"),
            ),
        ],
        Fault::FetchForEver => alone(exceeded("resume", "8 HTTP requests for one answer (`limits.fetches`)")),
        Fault::DelayForEver => alone(End::Error("no answer within 5s (`limits.deadline`)".to_owned())),
        Fault::Stream => alone(End::Error(refused("it wants the answer as a stream"))),
        Fault::Path => each(
            &[
                "//evil.example/x",
                "http://evil.example/",
                "/a/../b",
                "/%2e%2e/b",
                "/a\r\nx: y",
                "/a b",
                "no-slash",
                "/a#b",
                "/\\evil.example",
            ],
            "",
        ),
        Fault::Endpoint => vec![
            ("endpoint: unknown".to_owned(), End::Error(refused("it names the endpoint `unknown`"))),
            ("endpoint: other".to_owned(), End::TextEnding("fine")),
        ],
        Fault::Header => {
            let own = [
                "host",
                "Authorization",
                "content-length",
                "Cookie",
                "transfer-encoding",
                "proxy-authorization",
                "connection",
            ];
            let mut cases: Vec<_> = each(&own, "the header `");
            cases.push(("header: a b".to_owned(), End::Error(refused("`a b` is not a header's name"))));
            cases.push(("header: x=a\r\ny: z".to_owned(), End::Error(refused("the header `x` holds characters"))));
            cases
        }
        Fault::LogFlood => alone(text("5000")),
        Fault::ClockAndRandom => alone(text("true")),
        Fault::Random => alone(End::TextEnding("")),
        Fault::Environment | Fault::Arguments | Fault::Files => alone(text("0")),
        Fault::Socket => alone(text("no socket: access-denied")),
        Fault::Resolve => alone(text("no address: permanent-resolver-failure")),
        Fault::Http => alone(trapped("start", "it called the import `wasi:http/outgoing-handler@0.2.0#handle`")),
        Fault::UnknownImport => alone(trapped("start", "it called the import `elsewhere:shell/commands#run`")),
        Fault::ForgedHandle => alone(trapped("start", "unknown handle index 4242")),
        Fault::Static => alone(text("0")),
        Fault::Options => alone(End::TextEnding(" }")),
        Fault::DumpMemory | Fault::DumpMemoryInResume => alone(End::TextEnding("fine")),
        Fault::ControlCharacters => alone(text("\u{1b}[31mred\u{7}\u{9b}0m")),
        Fault::ControlCharactersInModel => {
            alone(unusable("the answer's `model` is no name: it holds control characters"))
        }
        Fault::UnknownModel => alone(text("x")),
        Fault::UnofferedTool => alone(unusable("the answer holds a `tool_use` block")),
        Fault::BadMeta | Fault::ArrayMeta => alone(unusable("`_meta` is not a JSON object")),
        Fault::TwoTexts => alone(text("one two")),
        Fault::Error => alone(End::Invalid("plugin `faulty`: a remedy [31m in words")),
        Fault::Unsupported => alone(End::Invalid("plugin `faulty`: unsupported: this plugin carries nothing")),
    }
}

fn refused(reason: &str) -> String {
    format!("plugin `faulty` asked for an HTTP request that is refused: {reason}")
}

#[test]
fn each_fault_ends_as_it_should_and_the_next_request_is_served() {
    let place = Place::new();
    let provider = Provider::answering("200 OK", "", "fine");
    let mut patient = session(&place, &provider.url);
    let mut hurried = session_within(&place, &provider.url, "5 s");
    let cases = Fault::ALL.iter().flat_map(|fault| cases(*fault).into_iter().map(move |case| (fault, case)));
    for (fault, (asked, end)) in cases {
        let session = if matches!(fault, Fault::Block | Fault::DelayForEver) { &mut hurried } else { &mut patient };
        let answer = ask(session, &asked);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        let text = answer["result"]["content"]["text"].as_str();
        let shown = answer.to_string().chars().take(1000).collect::<String>();
        match &end {
            End::Error(reason) => {
                assert!(message.starts_with(reason.as_str()), "{asked:?}: {shown}");
                assert_eq!(answer["error"]["code"], -32603, "{asked:?}");
            }
            End::ErrorEnding(reason) => {
                assert!(message.ends_with(reason), "{asked:?}: {shown}");
                assert_eq!(answer["error"]["code"], -32603, "{asked:?}");
            }
            End::Invalid(reason) => {
                assert!(message.starts_with(reason), "{asked:?}: {shown}");
                assert_eq!(answer["error"]["code"], -32602, "{asked:?}");
            }
            End::Text(wanted) => assert_eq!(text, Some(wanted.as_str()), "{asked:?}: {shown}"),
            End::TextEnding(wanted) => assert!(text.is_some_and(|text| text.ends_with(wanted)), "{asked:?}: {shown}"),
        }
        assert!(!message.chars().any(char::is_control), "{message:?}");
        let next = ask(session, "none");
        assert!(next["result"]["content"]["text"].as_str().is_some_and(|text| text.ends_with("fine")), "{next}");
    }
    let _ = hurried.end();
    let (_, _, log) = patient.end();
    assert!(!log.contains('\u{1b}'), "control characters reach the log");
    let flood = log.lines().filter(|line| line.contains("log-flood") || line.contains("line ")).count();
    assert!((7..20).contains(&flood), "{flood} lines of the flood are in the log");
    assert!(log.contains("bytes more, beyond `limits.logLines`"), "{log}");
}

#[test]
fn what_is_refused_never_reaches_the_provider() {
    let place = Place::new();
    let provider = Provider::answering("200 OK", "", "fine");
    let mut session = session(&place, &provider.url);
    for (asked, _) in [Fault::Path, Fault::Header, Fault::GiantBody, Fault::GiantState].into_iter().flat_map(cases) {
        assert!(ask(&mut session, &asked)["error"].is_object(), "{asked:?}");
    }
    assert!(ask(&mut session, "endpoint: unknown")["error"].is_object());
    assert!(provider.seen().is_empty(), "{:?}", provider.seen());
    assert!(ask(&mut session, "endpoint: other")["result"].is_object());
    assert_eq!(provider.seen().len(), 1);
}

#[test]
fn nothing_is_left_of_one_call_for_the_next() {
    let place = Place::new();
    let mut session = session(&place, "http://127.0.0.1:1");
    let mut drawn = HashSet::new();
    for _ in 0..20 {
        assert_eq!(ask(&mut session, "static")["result"]["content"]["text"], "0");
        let random = ask(&mut session, "random")["result"]["content"]["text"].to_string();
        assert!(drawn.insert(random), "random numbers come again");
    }
}

#[test]
fn a_plugin_that_imports_more_than_it_needs_can_be_refused() {
    let place = Place::new();
    let component = guests::write("faulty", place.path());
    let strict = json!({ "plugins": { "p": { "component": component, "imports": "none" } } });
    let strict = place.file("strict.json", strict.to_string());
    let run = place.run(["plugin", "inspect", "p", "--config", &strict.to_string_lossy()]);
    assert!(run.stderr.contains("`p` imports") && run.stderr.contains("`elsewhere:shell/commands`"), "{}", run.stderr);
}

#[test]
fn a_guest_is_told_the_servers_name_and_its_settings() {
    let place = Place::new();
    let mut session = session(&place, "http://127.0.0.1:1");
    let options = ask(&mut session, "options");
    let options = options["result"]["content"]["text"].as_str().unwrap_or_default();
    assert!(options.contains("server: \"cat\"") && options.contains("settings: \"{}\""), "{options}");
}

#[test]
fn all_memories_and_tables_of_an_instance_count_together() {
    let place = Place::new();
    let faulty = guests::write("faulty", place.path());
    let fill = |place: &Place, component: &Path, asked: &str| {
        let config = json!({ "sampling": "p", "limits": { "memory": "64 MiB" }, "plugins": { "p": { "component": component } } });
        let config = place.file("understudy.json", config.to_string());
        let mut session = Session::start(place, &["--config", &config.to_string_lossy()], &["cat"]);
        ask(&mut session, asked)
    };
    assert_eq!(fill(&place, &faulty, "eat memory: 40")["result"]["content"]["text"], "40");
    // 40 memories of a megabyte beside the guest's own; a table of 4 million elements, 32 MiB.
    let memories = with_rooms(&faulty, "(memory 16)", 40);
    let table = with_rooms(&faulty, "(table 4194304 funcref)", 1);
    for (name, component) in [("memories", memories), ("table", table)] {
        let component = place.file(&format!("{name}.wasm"), component);
        assert_eq!(fill(&place, &component, "eat memory: 5")["result"]["content"]["text"], "5", "{name}");
        let answer = fill(&place, &component, "eat memory: 40");
        let limit = format!("plugin `p` exceeded its limit in `start`: {} bytes of memory (`limits.memory`)", 64 << 20);
        assert_eq!(answer["error"]["message"], limit, "{name}");
    }
    // More than there may be from the beginning.
    for (name, room, count) in [("m", "(memory 16)", 100), ("t", "(table 10000000 funcref)", 1)] {
        let component = place.file(&format!("{name}.wasm"), with_rooms(&faulty, room, count));
        let config = json!({ "plugins": { "p": { "component": component, "limits": { "memory": "64 MiB" } } } });
        let config = place.file("understudy.json", config.to_string());
        let run = place.run(["plugin", "inspect", "p", "--config", &config.to_string_lossy()]);
        assert!(run.stderr.contains("bytes of memory (`limits.memory`)"), "{name}: {}", run.stderr);
    }
}

/// The component with another module in it, of which so many instances are made.
fn with_rooms(component: &Path, room: &str, count: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(component).unwrap_or_default();
    let core = wat::parse_str(format!("(module {room})")).unwrap_or_default();
    // The index of a module is how many there were before it.
    let mut depth = 0;
    let mut modules = 0;
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload {
            Ok(Payload::Version { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth -= 1,
            Ok(Payload::ModuleSection { .. }) if depth == 1 => modules += 1,
            _ => {}
        }
    }
    let mut more = Component::new();
    more.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data: &core });
    let mut instances = InstanceSection::new();
    let none: [(&str, ModuleArg); 0] = [];
    for _ in 0..count {
        instances.instantiate(modules, none);
    }
    more.section(&instances);
    // Less the header: sections can be put behind one another.
    bytes.extend_from_slice(&more.finish()[8..]);
    bytes
}

#[test]
fn only_models_that_the_config_allows_are_asked_whatever_a_plugin_claims_to_have() {
    let place = Place::new();
    let component = guests::write("faulty", place.path());
    let plugin = json!({ "component": component, "models": ["honest"], "allowedModels": ["honest"] });
    let config = place.file("understudy.json", json!({ "sampling": "p", "plugins": { "p": plugin } }).to_string());
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    let mut request = sampling(1, "options");
    request["params"]["modelPreferences"] = json!({ "hints": [{ "name": "claimed" }], "intelligencePriority": 1 });
    session.say(&request);
    let options = session.hear()["result"]["content"]["text"].to_string();
    assert!(options.contains("model: \\\"honest\\\""), "{options}");
}

#[test]
fn control_characters_reach_a_server_as_json_and_a_terminal_as_text() {
    let place = Place::new();
    let component = guests::write("faulty", place.path());
    let mut session = session(&place, "http://127.0.0.1:1");
    session.say(&sampling(1, "control characters"));
    let line = session.line();
    assert!(line.iter().rev().skip(1).all(|byte| *byte >= 0x20), "{}", String::from_utf8_lossy(&line));
    let request = place.file("request.json", sampling(1, "control characters")["params"].to_string());
    let command = place.understudy(["sample", &request.to_string_lossy(), "--plugin", &component.to_string_lossy()]);
    let shown = terminal::run(command);
    assert!(shown.contains("red"), "{shown:?}");
    assert!(shown.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r')), "{shown:?}");
}

#[test]
fn a_looping_guest_does_not_hold_up_the_others() {
    let place = Place::new();
    let component = guests::write("faulty", place.path());
    let config = json!({ "sampling": "faulty", "limits": { "cpu": "20 s" }, "plugins": { "faulty": { "component": component } } });
    let config = place.file("understudy.json", config.to_string());
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    // More loops than the machine has cores, all with a long time to go.
    for id in 0..16 {
        session.say(&sampling(format!("loop {id}"), "loop"));
    }
    session.say(&sampling("honest", "static"));
    let first = session.hear();
    assert_eq!(first["id"], "honest", "{first}");
}

/// A file that is to be a plugin and isn't, and what the user is told.
fn not_loaded(place: &Place, name: &str, content: &[u8]) -> String {
    let path: PathBuf = place.file(name, content);
    let run = place.run(["sample", "--plugin", &path.to_string_lossy()]);
    assert_eq!((run.code(), run.stdout.as_str()), (1, ""), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    run.stderr
}

#[test]
fn a_file_that_is_no_plugin_is_refused_with_the_reason() {
    let place = Place::new();
    let wat = |text: &str| wat::parse_str(text).unwrap_or_default();
    let cases: [(&str, Vec<u8>, &str); 6] = [
        (
            "empty.wasm",
            Vec::new(),
            "`empty` is not a WebAssembly component: the file doesn't begin as WebAssembly does",
        ),
        ("text.wasm", b"#!/bin/sh\n".to_vec(), "the file doesn't begin as WebAssembly does"),
        ("core.wasm", wat("(module)"), "it is a core module; make a component of it"),
        ("nothing.wasm", wat("(component)"), "`nothing` is no sampling plugin: it exports nothing"),
        (
            "other.wasm",
            wat(
                "(component (component $c) (instance $i (instantiate $c)) (export \"wasi:cli/run@0.2.0\" (instance $i)))",
            ),
            "it exports `wasi:cli/run@0.2.0`, and neither `understudy:plugin/provider@0.1.0` nor",
        ),
        (
            "later.wasm",
            wat(
                "(component (component $c) (instance $i (instantiate $c)) (export \"understudy:plugin/provider@0.9.0\" (instance $i)))",
            ),
            "it exports `understudy:plugin/provider@0.9.0`, and this host knows understudy:plugin/provider@0.1.0",
        ),
    ];
    for (name, content, reason) in cases {
        let said = not_loaded(&place, name, &content);
        assert!(said.contains(reason), "{name}: {said}");
    }
    let mut cut = guests::GUESTS[0].component.to_vec();
    cut.truncate(cut.len() / 2);
    assert!(not_loaded(&place, "cut.wasm", &cut).contains("is not a WebAssembly component"));
    let missing = place.run(["sample", "--plugin", "./missing.wasm"]);
    assert!(missing.stderr.contains("can't read the component `./missing.wasm`"), "{}", missing.stderr);
}

#[test]
fn a_component_must_be_the_one_that_the_config_pins() {
    let place = Place::new();
    let component = guests::write("faulty", place.path());
    let config = json!({ "plugins": { "p": { "component": component, "sha256": "0".repeat(64) } } });
    let config = place.file("understudy.json", config.to_string());
    let run = place.run(["plugin", "inspect", "p", "--config", &config.to_string_lossy()]);
    assert_eq!(run.code(), 1);
    assert!(
        run.stderr.contains("has the SHA-256 digest") && run.stderr.contains("the config pins 0000"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_compiled_component_that_somebody_touched_is_compiled_again() {
    let place = Place::new();
    let cache = place.path().join("cache");
    let component = guests::write("faulty", place.path());
    let run = || {
        let mut command = place.understudy(["plugin", "inspect", &component.to_string_lossy()]);
        command.env("XDG_CACHE_HOME", &cache);
        understudy_tests::program::run(command, "")
    };
    assert!(!run().ok().stderr.contains("not used"));
    let artefact = find(&cache);
    let mut bytes = std::fs::read(&artefact).unwrap_or_default();
    assert!(!run().ok().stderr.contains("not used"));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    assert!(std::fs::write(&artefact, &bytes).is_ok());
    let said = run().ok().stderr;
    assert!(said.contains("its digest doesn't fit"), "{said}");
    // And it was mended.
    assert_eq!(run().ok().stderr, "");
}

/// The one file below a folder.
fn find(folder: &std::path::Path) -> PathBuf {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let path = entries.next().map(|entry| entry.path()).unwrap_or_default();
    if path.is_dir() { find(&path) } else { path }
}

#[test]
fn the_credential_is_nowhere_but_in_the_request_to_the_provider() {
    const KEY: &str = "sk-understudy-test-0123456789";
    let place = Place::new();
    let component = guests::write("faulty", place.path());
    let provider = Provider::start(|request, stream, _| {
        let key = request.headers.get("x-api-key").cloned().unwrap_or_default();
        let body = understudy_tests::wild::spellings();
        respond(stream, "200 OK", &format!("x-echo: {key}\r\n"), body.as_bytes());
    });
    let plugin = json!({
        "component": component, "endpoint": provider.url, "credential": { "header": "x-api-key", "env": "THE_KEY" }
    });
    let config = place.file("understudy.json", json!({ "sampling": "p", "plugins": { "p": plugin } }).to_string());
    let cache = place.path().join("cache").to_string_lossy().into_owned();
    let args = ["-vv", "--config", &config.to_string_lossy()];
    let env = [("THE_KEY", KEY), ("XDG_CACHE_HOME", cache.as_str()), ("UNDERSTUDY_LOG", "trace")];
    let mut session = Session::start_with(&place, &args, &["cat"], &env);
    let mut said = Vec::new();
    for fault in ["dump memory", "dump memory in resume", "none", "environment", "options", "error", "trap in resume"] {
        said.extend(ask(&mut session, fault).to_string().into_bytes());
    }
    let seen = provider.seen();
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert!(seen.iter().all(|request| request.headers["x-api-key"] == KEY));
    assert!(seen.iter().filter(|request| request.body.len() > 1 << 20).count() == 2, "no memory was dumped");
    said.extend(seen.into_iter().flat_map(|request| request.body));
    let (_, _, log) = session.end();
    assert!(log.len() > 1_000, "the log is too short to have all in it");
    said.extend(log.into_bytes());
    let mut files = 0;
    for_each_file(place.path(), &mut |bytes| {
        files += 1;
        said.extend(bytes);
    });
    assert!(files >= 3, "the component, its compiled form and the config are to be looked through");
    // The spellings that a guest could undo by itself.
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, KEY);
    let percent = understudy_tests::wild::in_percent(KEY);
    for spelling in [KEY, &base64, &percent, &KEY.replace('-', "%2D")] {
        assert!(memchr::memmem::find(&said, spelling.as_bytes()).is_none(), "`{spelling}` is somewhere");
    }
}

/// Hands over each file below a folder.
fn for_each_file(folder: &Path, seen: &mut dyn FnMut(Vec<u8>)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { for_each_file(&path, seen) } else { seen(std::fs::read(&path).unwrap_or_default()) }
    }
}
