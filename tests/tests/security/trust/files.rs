//! The files that a config names, links to it, the user's own config, and names that a folder could take.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use understudy_tests::program::{Place, run};

use super::{asides, leaves, left, left_aside, model, request, sample, stranger};

/// The component of a built-in plugin.
fn component(name: &str) -> Vec<u8> {
    understudy_plugins::find(name).unwrap_or_else(|| panic!("no built-in `{name}`")).component()
}

/// Puts a file in its place at once.
fn put(place: &Place, name: &str, content: impl AsRef<[u8]>) {
    let beside = place.file("beside", content);
    fs::rename(beside, place.path().join(name)).unwrap_or_else(|e| panic!("{e}"));
}

/// Makes a folder; its path.
fn folder(place: &Place, name: &str) -> PathBuf {
    let path = place.path().join(name);
    fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{e}"));
    path
}

#[test]
fn a_component_a_key_and_the_lock_file_are_trusted_with_the_config_that_names_them() {
    let place = Place::new();
    let config = json!({
        "trust": ["cosign.pub"],
        "sampling": ["p", "./rule.wasm"],
        "plugins": { "p": { "component": "p.wasm" }, "ahead": { "component": "p.cwasm" } },
    });
    let _ = place.file("understudy.json", config.to_string());
    for name in ["p.wasm", "rule.wasm", "p.cwasm"] {
        put(&place, name, component("echo"));
    }
    put(&place, "cosign.pub", "a key");
    let shown = stranger(&place, &["trust"]).ok().stdout;
    for name in ["p.wasm", "rule.wasm", "p.cwasm", "cosign.pub"] {
        assert!(shown.contains(&format!("{name}` (sha256 ")), "{name}: {shown}");
    }
    assert_eq!(model(&sample(&place, &[]).ok()), "echo");
    for (name, before) in
        [("p.wasm", true), ("rule.wasm", true), ("p.cwasm", true), ("cosign.pub", true), ("understudy.lock", false)]
    {
        let path = place.path().join(name);
        let was = fs::read(&path).ok();
        assert_eq!(was.is_some(), before);
        put(&place, name, if name == "understudy.lock" { b"{}".to_vec() } else { component("extractive") });
        let line = left_aside(&sample(&place, &[]));
        assert!(line.contains(&format!("{name}`, which belongs to it, has changed since it was trusted")), "{line}");
        match was {
            Some(was) => put(&place, name, was),
            None => fs::remove_file(&path).unwrap_or_else(|e| panic!("{e}")),
        }
        assert_eq!(model(&sample(&place, &[]).ok()), "echo");
    }
}

#[test]
fn only_the_bytes_that_were_trusted_are_loaded_however_fast_they_are_swapped() {
    let place = Place::new();
    let _ = place
        .file("understudy.json", json!({ "sampling": "p", "plugins": { "p": { "component": "p.wasm" } } }).to_string());
    let (good, evil) = (component("echo"), component("extractive"));
    put(&place, "p.wasm", &good);
    let _ = stranger(&place, &["trust"]).ok();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                put(&place, "p.wasm", &evil);
                put(&place, "p.wasm", &good);
            }
        });
        for _ in 0..30 {
            let run = sample(&place, &[]);
            let loaded = run.status.success();
            // Before it was loaded, or while.
            let refused = run.stderr.contains("has changed since");
            assert!(loaded && model(&run) == "echo" || !loaded && refused, "{}{}", run.stdout, run.stderr);
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn only_the_text_that_was_trusted_is_used_however_fast_it_is_swapped() {
    let place = Place::new();
    let good = r#"{ "limits": { "retries": 1 } }"#.to_owned();
    let evil = json!({ "requestStateKey": { "command": leaves(&place, "pwned") } }).to_string();
    put(&place, "understudy.json", &good);
    let _ = stranger(&place, &["trust"]).ok();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                put(&place, "understudy.json", &evil);
                put(&place, "understudy.json", &good);
            }
        });
        for _ in 0..30 {
            let _ = stranger(&place, &["proxy", "--plugin", "echo", "--", "true"]);
            assert_eq!(left(&place), Vec::<PathBuf>::new());
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_folder_does_not_borrow_trust_by_a_link() {
    let place = Place::new();
    let (mine, theirs) = (folder(&place, "mine"), folder(&place, "theirs"));
    let _ = place.file("mine/understudy.json", r#"{ "sampling": "echo" }"#);
    let _ = stranger(&place, &["trust", "mine"]).ok();
    symlink(mine.join("understudy.json"), theirs.join("understudy.json")).unwrap_or_else(|e| panic!("{e}"));
    let within = |folder: &PathBuf| {
        let mut command = place.stranger(["sample", "--plugin", "extractive"]);
        command.current_dir(folder);
        run(command, &request()).ok()
    };
    assert!(asides(&within(&mine).stderr).is_empty());
    let _ = left_aside(&within(&theirs));
    // The same folder by another name is the same place.
    let link = place.path().join("link");
    symlink(&mine, &link).unwrap_or_else(|e| panic!("{e}"));
    assert!(asides(&within(&link).stderr).is_empty());
    // A link that was trusted is asked for anew once it leads elsewhere.
    let _ = stranger(&place, &["trust", "theirs"]).ok();
    assert!(asides(&within(&theirs).stderr).is_empty());
    let other = place.file("other.json", r#"{ "sampling": "openai" }"#);
    fs::remove_file(theirs.join("understudy.json")).unwrap_or_else(|e| panic!("{e}"));
    symlink(other, theirs.join("understudy.json")).unwrap_or_else(|e| panic!("{e}"));
    assert!(left_aside(&within(&theirs)).contains("has changed"));
}

#[test]
fn the_users_own_config_is_used_where_the_folders_is_left_aside() {
    let place = Place::new();
    let own = folder(&place, "understudy");
    let _ = place.file("understudy/understudy.json", r#"{ "sampling": "echo" }"#);
    let _ = place.file("understudy.json", r#"{ "sampling": "extractive" }"#);
    let run = sample(&place, &[]).ok();
    assert_eq!(model(&run), "echo");
    let _ = left_aside(&run);
    // In its own folder it is the user's as well.
    let mut command = place.stranger(["sample"]);
    command.current_dir(&own);
    let run = understudy_tests::program::run(command, &request()).ok();
    assert_eq!((model(&run), run.stderr.as_str()), ("echo".to_owned(), ""));
}

#[test]
fn a_config_of_the_users_that_others_can_write_is_left_aside() {
    let place = Place::new();
    let own = folder(&place, "understudy");
    let config = place.file("understudy/understudy.json", r#"{ "sampling": "echo" }"#);
    let mode = |path: &PathBuf, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap_or_else(|e| panic!("{e}"));
    };
    for (path, bits, good) in [(&config, 0o666, 0o644), (&own, 0o777, 0o755)] {
        mode(path, bits);
        let run = sample(&place, &[]);
        assert!(left_aside(&run).contains("others can write to"), "{}", run.stderr);
        assert_eq!(run.code(), 2);
        mode(path, good);
        assert_eq!(model(&sample(&place, &[]).ok()), "echo");
    }
    // What others have written meanwhile isn't what the user has seen.
    mode(&config, 0o666);
    let _ = stranger(&place, &["trust", "understudy"]).ok();
    assert_eq!(model(&sample(&place, &[]).ok()), "echo");
    let _ = place.file("understudy/understudy.json", r#"{ "sampling": "extractive" }"#);
    let _ = left_aside(&sample(&place, &[]));
}

#[test]
fn a_file_that_is_called_like_a_plugin_is_no_plugin() {
    let place = Place::new();
    for name in ["mine", "echo", "anthropic", "echo.wasm"] {
        put(&place, name, component("extractive"));
    }
    let run = sample(&place, &["--plugin", "mine"]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr.contains("no plugin is called `mine`"), "{}", run.stderr);
    assert!(run.stderr.contains("`./mine`"), "{}", run.stderr);
    assert_eq!(model(&sample(&place, &["--plugin", "echo"]).ok()), "echo");
    for name in ["./mine", "./echo", "echo.wasm"] {
        assert_eq!(model(&sample(&place, &["--plugin", name]).ok()), "extractive", "{name}");
    }
}

#[test]
fn what_the_users_config_names_by_a_path_is_beside_it() {
    let place = Place::new();
    let (own, project) = (folder(&place, "understudy"), folder(&place, "project"));
    let credential = json!({ "bearer": true, "command": ["./key"] });
    let config = json!({
        "sampling": "./p.wasm",
        "plugins": { "keyed": { "component": "builtin:openai", "endpoint": "http://127.0.0.1:1", "model": "m", "credential": credential } },
    });
    let _ = place.file("understudy/understudy.json", config.to_string());
    put(&place, "understudy/p.wasm", component("echo"));
    put(&place, "project/p.wasm", component("extractive"));
    for (folder, word) in [(&own, "mine"), (&project, "pwned")] {
        let mark = place.path().join(word);
        let script = folder.join("key");
        fs::write(&script, format!("#!/bin/sh\ntouch '{}'\necho key\n", mark.display()))
            .unwrap_or_else(|e| panic!("{e}"));
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap_or_else(|e| panic!("{e}"));
    }
    let within = |args: &[&str]| {
        let mut command = place.stranger(args);
        command.current_dir(&project);
        run(command, &request())
    };
    assert_eq!(model(&within(&["sample"]).ok()), "echo");
    let _ = within(&["sample", "--plugin", "keyed"]);
    assert!(place.path().join("mine").exists(), "the command beside the config is run");
    assert_eq!(left(&place), Vec::<PathBuf>::new());
}

#[test]
fn a_program_of_ours_is_not_taken_from_the_folder_whatever_the_path_says() {
    let place = Place::new();
    let credential = json!({ "bearer": true, "command": ["print-a-key"] });
    let plugin = json!({ "component": "builtin:openai", "endpoint": "http://127.0.0.1:1", "model": "m", "credential": credential });
    let _ = place.file("own.json", json!({ "plugins": { "keyed": plugin } }).to_string());
    let script =
        place.file("print-a-key", format!("#!/bin/sh\ntouch '{}'\necho key\n", place.path().join("pwned").display()));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap_or_else(|e| panic!("{e}"));
    for path in [".:/usr/bin:/bin", ":/usr/bin:/bin", "/usr/bin:/bin:", ".", ""] {
        let mut command = place.stranger(["sample", "--plugin", "keyed", "--config", "own.json"]);
        command.env("PATH", path);
        let run = run(command, &request());
        assert!(
            run.stderr.contains("`print-a-key`, which prints the credential, can't be run"),
            "{path}: {}",
            run.stderr
        );
        assert_eq!(left(&place), Vec::<PathBuf>::new(), "{path}");
    }
}

#[test]
fn dockers_config_is_not_the_folders() {
    let place = Place::new();
    let _ = place.file("config.json", json!({ "credsStore": "mine" }).to_string());
    let helper =
        place.file("docker-credential-mine", format!("#!/bin/sh\ntouch '{}'\n", place.path().join("pwned").display()));
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap_or_else(|e| panic!("{e}"));
    let pull = |docker: &str, path: &str| {
        let mut command = place.stranger(["plugin", "pull", "oci://127.0.0.1:1/a/b:1"]);
        command.env("DOCKER_CONFIG", docker).env("PATH", path);
        run(command, "")
    };
    for docker in [".", "", "./x"] {
        let run = pull(docker, "/usr/bin:/bin");
        assert!(run.stderr.contains("`DOCKER_CONFIG` is no absolute path"), "{docker}: {}", run.stderr);
    }
    let run = pull(&place.path().to_string_lossy(), ".:/usr/bin:/bin");
    assert!(run.stderr.contains("`PATH` has an entry that is no absolute path"), "{}", run.stderr);
    assert_eq!(left(&place), Vec::<PathBuf>::new());
}
