//! `understudy plugin check`: every planted fault is found, by the rule that it breaks, and what is sound passes.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use faults::Fault;
use serde_json::{Value, json};
use understudy_tests::guests;
use understudy_tests::peers::workspace;
use understudy_tests::program::{Place, Run, run_within};

/// The faults that the guest knows. Each is matched on below, so a fault without a test does not compile.
#[path = "../../guests/planted/src/faults.rs"]
#[expect(unreachable_pub, reason = "the guest has it so")]
mod faults;

/// A component with this fault.
fn planted(fault: Fault, place: &Place) -> PathBuf {
    place.file("planted.wasm", guests::planted(fault.word()))
}

/// What the kit says, and how the program ended.
fn checked(place: &Place, component: &Path, more: &[&str]) -> (Value, i32) {
    let component = component.to_string_lossy();
    let mut args = vec!["plugin", "check", &component, "--json"];
    args.extend(more);
    // Loops have a second of CPU time each, for which they wait long where others want the cores.
    let run = run_within(Duration::from_mins(10), place.understudy(args), "");
    let report = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", run.stdout, run.stderr));
    (report, run.code())
}

/// The rules that came out so.
fn rules(report: &Value, outcome: &str) -> Vec<String> {
    let rules = report["rules"].as_array().into_iter().flatten();
    let names = rules.filter(|rule| rule["outcome"] == outcome).map(|rule| rule["rule"].as_str().unwrap_or_default());
    names.map(str::to_owned).collect()
}

#[test]
fn every_planted_fault_is_found_by_the_rule_that_it_breaks() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("fixtures")).unwrap_or_else(|e| panic!("{e}"));
    let _ = place.file("fixtures/stream.json", stream_fixture().to_string());
    for fault in Fault::ALL {
        let (rule, said) = match fault {
            Fault::None => continue,
            Fault::OddDescription => ("describe", "`name` is empty"),
            Fault::TrapInDescribe => ("describe", "trapped in `describe`"),
            Fault::LoopInDescribe => ("describe", "1s of CPU time"),
            Fault::ChangingDescription => ("constant", "said something else"),
            Fault::TrapInStart => ("start", "request `image`: plugin `planted` trapped in `start`"),
            Fault::LoopInStart => {
                ("start", "request `systemPrompt`: plugin `planted` exceeded its limit in `start`: 1s of CPU")
            }
            Fault::FalseAccepts => {
                ("accepts", "request `image`: `describe` says that it accepts `image`, and it refused")
            }
            Fault::DropsSystemPrompt => {
                ("carries", "request `systemPrompt`: `systemPrompt` is neither sent nor refused")
            }
            Fault::DropsUnknownBlocks => ("carries", "the block `hologram` is neither sent nor refused"),
            Fault::SendsCredential => ("fetch", "the header `Authorization` is the host's to set"),
            Fault::NamesHost => ("fetch", "a plugin doesn't choose whom it talks to"),
            Fault::RandomInStart => ("pure", "request `text`: `start` made something else of it"),
            Fault::RandomInResume => ("pure", "`resume` failed otherwise the second time"),
            Fault::TrapInResume => ("resume", "answer `an empty body`: plugin `planted` trapped in `resume`"),
            Fault::IgnoresStatus => ("refusals", "answer `401 with a JSON error`: it was taken for an answer"),
            Fault::RefusalIsMalformed => ("refusals", "it must be `provider`, of the kind `unauthorized`, `forbidden`"),
            Fault::TakesAnything => ("malformed", "answer `an empty object`: it was taken for an answer"),
            Fault::EndlessStream => ("stream", "it wants more of a stream that has ended"),
            Fault::CountsEvents => ("fixtures", "`stream.json`: what comes of its stream depends on where it is cut"),
            Fault::EmptyMessage => ("messages", "the error's message is empty"),
            Fault::LongMessage => ("messages", "isn't one line of text"),
            Fault::EmptyModel => ("results", "the result's `model` is empty"),
            Fault::UnofferedTool => ("results", "which no answer to"),
            Fault::EatsMemory => ("limits", "of 1s, 256.0 MiB"),
        };
        let (report, code) = checked(&place, &planted(*fault, &place), &[]);
        assert_eq!((report["passed"].as_bool(), code), (Some(false), 1), "{fault:?}: {report:#}");
        let broken = rules(&report, "broken");
        assert!(broken.iter().any(|name| name == rule), "{fault:?}: {broken:?}: {report:#}");
        let finding = report["rules"].as_array().into_iter().flatten().find(|finding| finding["rule"] == rule);
        let finding = finding.cloned().unwrap_or_default();
        assert!(finding["said"].to_string().replace("\\\"", "\"").contains(said), "{fault:?}: {finding:#}");
        assert!(finding["remedy"].as_str().is_some_and(|remedy| remedy.len() > 20), "{finding:#}");
        // What a fault doesn't touch isn't blamed: no fault here breaks more than a few rules.
        assert!(broken.len() <= 4, "{fault:?}: {broken:?}");
    }
}

#[test]
fn a_sound_plugin_keeps_every_rule_and_what_is_not_its_own_fault_is_only_noted() {
    let place = Place::new();
    let (report, code) = checked(&place, &planted(Fault::None, &place), &[]);
    assert_eq!((report["passed"].as_bool(), code), (Some(true), 0), "{report:#}");
    assert_eq!(rules(&report, "noted"), ["fixtures"], "{report:#}");
    assert!(report["used"]["start"]["memoryBytes"].as_u64() > Some(65_536), "{report:#}");
    assert!(report["used"]["resume"]["cpuMs"].as_f64() > Some(0.0), "{report:#}");
    // An import that nobody serves traps when it is called, and this guest calls it only when asked.
    let (report, code) = checked(&place, &guests::write("faulty", place.path()), &[]);
    assert_eq!(rules(&report, "noted")[0], "imports", "{report:#}");
    assert!(report.to_string().contains("elsewhere:shell/commands"), "{report:#}");
    // It doesn't send what it is given, which is a fault, and the kit says so.
    assert_eq!((rules(&report, "broken").contains(&"carries".to_owned()), code), (true, 1), "{report:#}");
}

#[test]
fn what_is_no_plugin_breaks_the_first_rule_and_the_remedy_is_named() {
    let place = Place::new();
    let older = planted(Fault::None, &place);
    let mut bytes = std::fs::read(&older).unwrap_or_default();
    let old = b"understudy:plugin/provider@0.1.0";
    let finds: Vec<usize> = memchr::memmem::find_iter(&bytes, old).collect();
    for at in finds {
        bytes[at + old.len() - 3] = b'9';
    }
    let cases = [
        (place.file("no.wasm", "hello"), "doesn't begin as WebAssembly does"),
        (place.file("core.wasm", b"\0asm\x01\0\0\0"), "make a component of it"),
        (place.file("empty.wasm", b"\0asm\x0d\0\x01\0"), "it exports nothing"),
        (place.file("newer.wasm", bytes), "this host knows understudy:plugin/provider@0.1.0"),
    ];
    for (component, said) in cases {
        let (report, code) = checked(&place, &component, &[]);
        assert_eq!((rules(&report, "broken"), code), (vec!["world".to_owned()], 1), "{report:#}");
        assert!(report.to_string().contains(said), "{report:#}");
    }
    let config = json!({ "plugins": { "strict": { "component": planted(Fault::None, &place), "imports": "none" } } });
    let _ = place.file("understudy.json", config.to_string());
    let (report, code) = checked(&place, Path::new("strict"), &[]);
    assert_eq!((rules(&report, "broken"), code), (vec!["imports".to_owned()], 1), "{report:#}");
    for (args, code, said) in [
        (&["plugin", "check", "none.wasm"][..], 1, "can't read the component `none.wasm`"),
        (&["plugin", "check", "ehco"], 2, "did you mean `echo`?"),
        (&["plugin", "check", "echo", "--fixtures", "none"], 2, "`none` is not a folder"),
        (&["plugin", "check", "echo", "--update"], 2, "name one with `--fixtures DIR`"),
    ] {
        let run = place.run(args);
        assert_eq!((run.code(), run.stderr.contains(said)), (code, true), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn the_built_in_plugins_pass_with_all_their_fixtures() {
    let place = Place::new();
    for name in ["echo", "extractive", "anthropic", "openai", "gemini", "ollama"] {
        let fixtures = workspace().join("plugins").join(name).join("fixtures");
        let (report, code) = checked(&place, Path::new(name), &["--fixtures", &fixtures.to_string_lossy()]);
        assert_eq!((rules(&report, "broken"), code), (vec![], 0), "{name}: {report:#}");
        assert!(rules(&report, "kept").contains(&"fixtures".to_owned()), "{report:#}");
    }
}

/// A fixture for the planted guest.
fn fixture(path: &str) -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": "hi" } });
    let body = json!({ "model": "m", "most": 7, "system": null, "nonce": null, "version": null, "stop": [], "messages": [{ "by": "user", "said": ["hi"] }] });
    let headers = json!({ "content-type": "application/json", "accept": "application/json" });
    json!({
        "request": { "messages": [message], "maxTokens": 7 },
        "options": { "model": "m" },
        "exchanges": [{
            "request": { "method": "POST", "path": path, "headers": headers, "body": body },
            "response": { "status": 200, "body": { "text": "hello" } }
        }],
        "result": { "role": "assistant", "content": { "type": "text", "text": "hello" }, "model": "m" }
    })
}

/// A fixture for the planted guest whose answer is a stream.
fn stream_fixture() -> Value {
    let mut fixture = fixture("/ask");
    let many = json!(2_000_000);
    fixture["request"]["maxTokens"] = many.clone();
    let exchange = &mut fixture["exchanges"][0];
    exchange["request"]["body"]["most"] = many;
    exchange["request"]["framing"] = json!("lines");
    exchange["response"] = json!({ "status": 200, "events": [{ "data": "one" }, { "data": "two" }] });
    let fields = fixture.as_object_mut();
    fields.and_then(|fields| fields.remove("result"));
    fixture["error"] = json!({ "kind": "malformed-response", "message": "the stream held no text" });
    fixture
}

#[test]
fn doctor_says_which_rule_a_plugin_breaks() {
    let place = Place::new();
    let component = planted(Fault::NamesHost, &place);
    let plugin = json!({ "component": component, "endpoint": "http://127.0.0.1:9" });
    let _ = place.file("understudy.json", json!({ "sampling": "p", "plugins": { "p": plugin } }).to_string());
    let run = place.run(["doctor"]);
    assert_eq!(run.code(), 1, "{}", run.stdout);
    assert!(run.stdout.contains("`p` breaks the rule `fetch`"), "{}", run.stdout);
}

#[test]
fn the_authors_fixtures_are_run_and_can_be_written_anew() {
    let place = Place::new();
    let component = planted(Fault::None, &place);
    std::fs::create_dir(place.path().join("fixtures")).unwrap_or_else(|e| panic!("{e}"));
    let _ = place.file("fixtures/hi.json", fixture("/ask").to_string());
    let fixtures =
        |run: &Run| run.stdout.lines().find(|line| line.contains(" fixtures ")).unwrap_or_default().to_owned();
    let check = |more: &[&str]| {
        let component = component.to_string_lossy();
        place.run([&["plugin", "check", &component][..], more].concat())
    };
    assert!(fixtures(&check(&[]).ok()).starts_with("ok    fixtures   1 in "));
    let _ = place.file("fixtures/path.json", fixture("/other").to_string());
    let run = check(&[]);
    let said = r#"FAIL  fixtures   `path.json`: `exchanges[0].request.path`: expected "/other", got "/ask""#;
    assert_eq!((run.code(), fixtures(&run).as_str()), (1, said), "{}", run.stdout);
    assert!(fixtures(&check(&["--update"]).ok()).contains("2 in `"), "{}", run.stdout);
    assert!(fixtures(&check(&[]).ok()).contains("ok"), "{}", run.stdout);
    for (text, said) in [
        ("{", "it is not a JSON object"),
        (r#"{"reqest":{}}"#, "it has the key `reqest` (did you mean `request`?)"),
        (r#"{"request":{"messages":[],"maxTokens":1}}"#, "`messages` is empty"),
        (r#"{"options":{}}"#, "it has no `request`"),
    ] {
        let _ = place.file("fixtures/wrong.json", text);
        let run = check(&["--update"]);
        assert!(run.code() == 1 && fixtures(&run).contains(said), "{}", run.stdout);
    }
}

#[test]
fn a_handler_is_held_to_what_applies_to_it() {
    let place = Place::new();
    let (report, code) = checked(&place, &guests::write("handler", place.path()), &[]);
    assert_eq!((report["passed"].as_bool(), code), (Some(true), 0), "{report:#}");
    for rule in ["world", "imports", "describe", "constant", "limits"] {
        assert!(rules(&report, "kept").contains(&rule.to_owned()), "{rule}: {report:#}");
    }
    assert!(rules(&report, "skipped").contains(&"fixtures".to_owned()), "{report:#}");
}
