//! What `plugin new` makes, and what it says when it can't.
#![expect(clippy::panic, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use understudy_tests::peers::workspace;
use understudy_tests::program::{Place, run};

const LANGUAGES: [&str; 6] = ["rust", "typescript", "javascript", "python", "go", "c"];

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files that git knows in a folder of the workspace, relative to it, and those that it would take in.
fn known(folder: &str) -> BTreeSet<PathBuf> {
    let mut git = Command::new("git");
    git.current_dir(workspace().join(folder)).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = run(git, "").ok().stdout;
    let there = |path: &PathBuf| workspace().join(folder).join(path).is_file();
    listed.lines().map(PathBuf::from).filter(there).collect()
}

#[test]
fn a_new_plugin_has_every_file_of_its_example_the_contract_and_the_fixtures() {
    let place = Place::new();
    for language in LANGUAGES {
        let name = format!("in-{language}");
        let run = place.run(["plugin", "new", &name, "--lang", language]).ok();
        assert!(run.stderr.contains(&format!("cd {name} && make")), "{}", run.stderr);
        let folder = place.path().join(&name);
        let mut parts =
            vec![(format!("examples/plugins/{language}"), ""), ("examples/plugins/fixtures".to_owned(), "fixtures")];
        parts.push(("wit".to_owned(), "wit"));
        if language == "rust" {
            parts.push(("plugins/sdk".to_owned(), "sdk/understudy-plugin"));
            parts.push(("plugins/mcp-types".to_owned(), "sdk/understudy-mcp-types"));
        }
        for (from, to) in parts {
            let files = known(&from);
            assert!(files.len() >= 4, "{from}: {files:?}");
            for file in files {
                let made = folder.join(to).join(&file);
                assert!(made.is_file(), "{language}: {from}/{} is not in the template", file.display());
            }
        }
        let readme = read(&folder.join("README.md"));
        assert!(readme.starts_with(&format!("# {name}\n")) && readme.lines().count() <= 45, "{readme}");
    }
    let run = place.run(["plugin", "new", "mine", "--lang", "javascript", "--world", "handler"]).ok();
    assert!(run.stderr.contains("npm ci && npm run build"), "{}", run.stderr);
    let _ = place.run(["plugin", "new", "mine-too", "--lang", "rust", "--world", "handler"]).ok();
    for (example, folder) in [("javascript-handler", "mine"), ("rust-handler", "mine-too")] {
        for file in known(&format!("examples/plugins/{example}")) {
            assert!(place.path().join(folder).join(&file).is_file(), "{example}: {}", file.display());
        }
    }
    for (language, example) in [("rust", "rust-guard"), ("python", "python-guard")] {
        let name = format!("guard-in-{language}");
        let _ = place.run(["plugin", "new", &name, "--lang", language, "--world", "guard"]).ok();
        for (from, to) in [(example, ""), ("guard-fixtures", "fixtures")] {
            for file in known(&format!("examples/plugins/{from}")) {
                assert!(place.path().join(&name).join(to).join(&file).is_file(), "{from}: {}", file.display());
            }
        }
    }
    let package = read(&place.path().join("mine/package.json"));
    assert!(package.contains("--wit wit ") && package.contains("\"mine\""), "{package}");
}

#[test]
fn what_the_examples_refer_to_is_there_and_what_the_guest_crate_needs_is_said_once() {
    for language in LANGUAGES.into_iter().chain(["rust-handler", "rust-guard", "python-guard"]) {
        let folder = workspace().join("examples/plugins").join(language);
        for file in known(&format!("examples/plugins/{language}")) {
            let text = read(&folder.join(&file));
            let words = text.split(|c: char| c.is_whitespace() || "\"'`,()".contains(c));
            for path in words.filter(|word| word.starts_with("../")) {
                assert!(folder.join(path).exists(), "{language}/{}: `{path}`", file.display());
            }
        }
    }
    let workspace_manifest = read(&workspace().join("Cargo.toml"));
    let vendored = read(&workspace().join("host/src/authoring/template/sdk.toml"));
    for line in vendored.lines().filter(|line| line.contains(" = ") && !line.contains("understudy-")) {
        assert!(workspace_manifest.lines().any(|known| known == line), "the workspace's manifest has no line `{line}`");
    }
}

#[test]
fn what_cant_be_begun_is_refused_with_cause_and_remedy_and_nothing_is_left_behind() {
    let place = Place::new();
    let _ = place.file("taken", "");
    let cases: [(&[&str], &str); 9] = [
        (&["taken", "--lang", "rust"], "`taken` exists already; choose another name"),
        (
            &["My-Plugin", "--lang", "go"],
            "must begin with a letter from `a` to `z`; an example of one is `my-provider`",
        ),
        (&["my_plugin", "--lang", "go"], "may hold the letters from `a` to `z`, digits, and `-`"),
        (&["../x", "--lang", "go"], "must begin with a letter"),
        (&["test", "--lang", "rust"], "a compiler or a library has the name already"),
        (&["x", "--lang", "pyhton"], "there is no template for `pyhton` (did you mean `python`?); there are `rust`"),
        (
            &["x", "--lang", "go", "--world", "handlr"],
            "must be `provider`, `handler` or `guard` (did you mean `handler`?)",
        ),
        (
            &["x", "--lang", "go", "--world", "handler"],
            "no template for a handler in go, only in `rust` and `javascript`",
        ),
        (&["x", "--lang", "c", "--world", "guard"], "no template for a guard in c, only in `rust` and `python`"),
    ];
    for (args, said) in cases {
        let run = place.run([&["plugin", "new"][..], args].concat());
        assert_eq!((run.code(), run.stderr.contains(said)), (2, true), "{args:?}: {}", run.stderr);
    }
    let left: Vec<_> =
        std::fs::read_dir(place.path()).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["taken"]);
}

#[test]
fn what_no_component_can_be_made_of_is_named() {
    let place = Place::new();
    let _ = place.file("no.wasm", "hello");
    let _ = place.file("core.wasm", b"\0asm\x01\0\0\0");
    let wit = workspace().join("wit");
    let wit = wit.to_string_lossy();
    let cases: [(&[&str], &str); 5] = [
        (&["componentize", "none.wasm"], "`none.wasm`: No such file"),
        (&["componentize", "no.wasm"], "it is not a core module of WebAssembly"),
        (&["componentize", "core.wasm"], "can't read the contract in `wit`"),
        (&["componentize", "core.wasm", "--wit", &wit], "no component can be made of `core.wasm`"),
        (&["bindings", "go", "--wit", &wit, "--world", "nothing"], "can't read the contract in"),
    ];
    for (args, said) in cases {
        let run = place.run([&["plugin"][..], args].concat());
        assert_eq!((run.code(), run.stderr.contains(said)), (1, true), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn a_module_that_wants_no_older_wasi_becomes_a_component_whatever_revision_of_wasi_it_names() {
    let place = Place::new();
    let test = std::env::current_exe().unwrap_or_else(|e| panic!("where is this test? {e}"));
    let target = test.ancestors().nth(3).unwrap_or(&test);
    // What the build script of these tests has compiled: a guest with imports of its own, of WASI 0.2.0 among them.
    let module = target.join("guests/wasm32-unknown-unknown/guest/guest_faulty.wasm");
    let made = place.run(["plugin", "componentize", &module.to_string_lossy(), "--output", "faulty.wasm"]).ok();
    assert_eq!(made.stderr, "", "{}", made.stderr);
    let inspected = place.run(["plugin", "inspect", "./faulty.wasm"]).ok();
    assert!(inspected.stdout.contains("wasi:clocks/monotonic-clock@0.2.0"), "{}", inspected.stdout);
}
