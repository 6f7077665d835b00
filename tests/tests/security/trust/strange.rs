//! Whatever lies in a folder by the config's name: nothing hangs, nothing fails, nothing reaches a terminal as it is.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use understudy::config::Effects;
use understudy_tests::program::{Place, run};
use understudy_tests::terminal;

use super::{asides, hostile, left, model, sample, stranger};

/// Whether a terminal shows the text as it is.
fn is_plain(text: &str) -> bool {
    let hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    !text.chars().any(|c| c.is_control() && c != '\n' || hidden(c))
}

#[test]
fn what_is_no_file_of_bounded_size_is_left_aside_at_once() {
    let cases: &[(&str, &dyn Fn(&PathBuf))] = &[
        ("it is not a file", &|path| fs::create_dir(path).unwrap_or_else(|e| panic!("{e}"))),
        ("it is not a file", &|path| {
            assert!(Command::new("mkfifo").arg(path).status().is_ok_and(|status| status.success()));
        }),
        ("it is not a file", &|path| drop(UnixListener::bind(path).unwrap_or_else(|e| panic!("{e}")))),
        ("it is not a file", &|path| symlink("/dev/zero", path).unwrap_or_else(|e| panic!("{e}"))),
        ("it can't be read", &|path| symlink("understudy.json", path).unwrap_or_else(|e| panic!("{e}"))),
        ("it has more than 4194304 bytes", &|path| {
            File::create(path).and_then(|file| file.set_len(1 << 40)).unwrap_or_else(|e| panic!("{e}"));
        }),
        ("it is not text", &|path| fs::write(path, b"{\"a\": \"\xff\"}").unwrap_or_else(|e| panic!("{e}"))),
        ("is not valid JSON", &|path| fs::write(path, "[".repeat(2_000_000)).unwrap_or_else(|e| panic!("{e}"))),
        ("is not valid JSON", &|path| fs::write(path, "{\"a\":".repeat(500_000)).unwrap_or_else(|e| panic!("{e}"))),
        ("it would do nothing", &|path| fs::write(path, "").unwrap_or_else(|e| panic!("{e}"))),
        ("it would do nothing", &|path| fs::write(path, "null").unwrap_or_else(|e| panic!("{e}"))),
    ];
    for (reason, make) in cases {
        let place = Place::new();
        make(&place.path().join("understudy.json"));
        let run = sample(&place, &["--plugin", "echo"]).ok();
        assert_eq!(model(&run), "echo");
        let lines = asides(&run.stderr);
        assert!(lines.len() == 1 && lines[0].contains(reason), "{reason}: {}", run.stderr);
        // Nor is it trusted.
        let run = stranger(&place, &["trust"]);
        assert_eq!(run.code(), 2, "{reason}: {}", run.stderr);
    }
    // A link that leads nowhere is no file.
    let place = Place::new();
    symlink("nowhere", place.path().join("understudy.json")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(sample(&place, &["--plugin", "echo"]).ok().stderr, "");
}

#[test]
fn a_component_that_is_no_file_is_never_waited_for() {
    let place = Place::new();
    let _ = place.file("understudy.json", json!({ "plugins": { "p": { "component": "p.wasm" } } }).to_string());
    let _ = stranger(&place, &["trust"]).ok();
    assert!(Command::new("mkfifo").arg(place.path().join("p.wasm")).status().is_ok_and(|status| status.success()));
    let run = sample(&place, &["--plugin", "echo"]).ok();
    assert!(
        asides(&run.stderr)[0].contains("p.wasm`, which belongs to it, can't be used: it is not a file"),
        "{}",
        run.stderr
    );
    let run = stranger(&place, &["trust"]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr.contains("it is not a file"), "{}", run.stderr);
}

#[test]
fn what_a_config_says_reaches_no_terminal_as_it_is() {
    let odd = "x\u{1b}]0;OWNED\u{7}\u{1b}[2J`; harmless\r\n\u{202e}\u{200b}\u{e0041}y";
    let place = Place::new();
    let config = json!({
        "requestStateKey": { "command": [odd, odd] },
        "mcpServers": { odd: { "command": odd, "args": [odd], "env": { odd: odd } }, "u": { "url": "http://x", "headers": { odd: odd } } },
        "plugins": { "p": { "component": odd, "endpoint": format!("http://{odd}"), "credential": { "bearer": true, "env": odd } } },
    });
    let _ = place.file("understudy.json", config.to_string());
    let run = sample(&place, &["--plugin", "echo"]).ok();
    assert!(is_plain(&run.stderr) && asides(&run.stderr).len() == 1, "{:?}", run.stderr);
    let run = stranger(&place, &["trust", "--show"]).ok();
    assert!(run.stdout.lines().count() > 5 && is_plain(&run.stdout) && is_plain(&run.stderr), "{:?}", run.stdout);
    let shown = terminal::run(place.stranger(["trust", "--show"]));
    assert!(is_plain(&shown.replace('\r', "")), "{shown:?}");
    // A folder has a name, too.
    let folder = place.path().join(odd.replace('/', ""));
    fs::create_dir(&folder).unwrap_or_else(|e| panic!("{e}"));
    fs::write(folder.join("understudy.json"), "{}").unwrap_or_else(|e| panic!("{e}"));
    let mut command = place.stranger(["trust", "--show"]);
    command.current_dir(&folder);
    let shown = understudy_tests::program::run(command, "").ok();
    assert!(is_plain(&shown.stdout) && is_plain(&shown.stderr), "{shown:?}");
}

#[test]
fn on_a_terminal_nothing_is_trusted_without_a_yes() {
    let place = Place::new();
    let _ = place.file("understudy.json", r#"{ "sampling": "echo" }"#);
    for (typed, args, trusted) in [
        ("n\n", &["trust"][..], false),
        ("\n", &["trust"], false),
        ("y\n", &["trust"], true),
        ("\n", &["trust", "--yes"], true),
    ] {
        let _ = stranger(&place, &["trust", "--remove"]).ok();
        let shown = terminal::answering(place.stranger(args), Some(typed));
        // What it would do stands before the question.
        let (before, _) = shown.split_once("[y/N]").unwrap_or((&shown, ""));
        assert!(before.contains("decide who answers"), "{shown}");
        assert_eq!(shown.contains("is trusted as it is now"), trusted, "{shown}");
        assert_eq!(asides(&sample(&place, &[]).stderr).is_empty(), trusted);
    }
}

/// Bytes made of a hostile config: pieces cut out, doubled, swapped for what parsers and terminals stumble over.
fn bytes(config: &Value) -> impl Strategy<Value = Vec<u8>> + use<> {
    let text = config.to_string().into_bytes();
    let length = text.len();
    let odd: Vec<&[u8]> = vec![
        b"\x1b[2J",
        b"\xff",
        b"\0",
        b"//",
        b"/*",
        b"\"",
        b"{",
        b"}",
        b",,",
        b"null",
        b"\xef\xbb\xbf",
        b"\\u001b",
        b"${A}",
        "\u{202e}".as_bytes(),
        b"",
    ];
    let edit = (0..length, 0..20usize, prop::sample::select(odd));
    prop::collection::vec(edit, 0..6).prop_map(move |edits| {
        let mut text = text.clone();
        for (at, cut, odd) in edits {
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, odd.iter().copied());
        }
        text
    })
}

#[test]
fn whatever_bytes_a_folder_brings_nothing_of_them_is_done() {
    let place = Place::new();
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[19; 32]));
    let outcome = runner.run(&bytes(&hostile(&place)), |bytes| {
        let _ = place.file("understudy.json", &bytes);
        // It reads the config, and looks for a server in it.
        let run = run(place.stranger(["auth", "s"]), "");
        prop_assert_eq!(run.code(), 2, "{}", run.stderr);
        prop_assert!(is_plain(&run.stderr), "{:?}", run.stderr);
        prop_assert_eq!(asides(&run.stderr).len(), 1, "{}", run.stderr);
        prop_assert!(run.stderr.len() < 10_000, "{}", run.stderr.len());
        prop_assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        prop_assert!(left(&place).is_empty());
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn whatever_a_config_is_made_of_what_is_said_of_it_is_fit_for_a_terminal() {
    let text = prop_oneof![
        "\\PC{0,12}",
        ".{0,12}",
        Just("./x.wasm".to_owned()),
        Just("${A:-b}".to_owned()),
        Just("\u{1b}[2J`".to_owned())
    ];
    let key = prop_oneof![
        text.clone(),
        prop::sample::select(vec![
            "mcpServers",
            "servers",
            "plugins",
            "sampling",
            "use",
            "command",
            "args",
            "env",
            "url",
            "headers",
            "component",
            "endpoint",
            "endpoints",
            "credential",
            "file",
            "allow",
            "origin",
            "serve",
            "token",
            "requestStateKey",
            "trust",
            "limits",
            "anthropic",
        ])
        .prop_map(str::to_owned)
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[19; 32]));
    let outcome = runner.run(&value, |config| {
        let effects = Effects::of(&config);
        for line in effects.in_full().chain([effects.in_short().as_str()]) {
            prop_assert!(is_plain(line) && !line.contains('\n'), "{line:?}");
        }
        prop_assert!(effects.in_short().chars().count() < 4000);
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}
