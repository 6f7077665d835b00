//! What a child process inherits, and what of it reaches the terminal.

mod terminal;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use understudy::config::Config;
use understudy::sampling::ConfiguredPlugin;
use understudy::sandbox::Engine;
use understudy_tests::PATIENCE;
use understudy_tests::peers::workspace;
use understudy_tests::program::{Place, binary, cache, run};
use understudy_tests::provider::{Provider, respond};
use understudy_tests::session::Session;

/// What a variable holds: long enough for a key.
fn secret(name: &str) -> String {
    format!("secret-of-{name}-0123456789abcdef0123456789abcdef")
}

/// What is in Understudy's own environment. Each variable's value names it, but for those that hold the same secret.
fn environment() -> Vec<(&'static str, String)> {
    let names = [
        // Of built-in plugins, in each spelling.
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "OPENAI_API_KEY",
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "OLLAMA_API_KEY",
        // What the config below names.
        "PLUGIN_KEY",
        "ORIGIN_KEY",
        "CHOSEN_KEY",
        "SERVE_TOKEN",
        "STATE_KEY",
        "HEADER_PART",
        "URL_PART",
        "FIXED_HEADER",
        "GIVEN_TO_ANOTHER",
        "CLIENT_SECRET",
        "UNDERSTUDY_SECRET",
    ];
    let mut all: Vec<_> = names.map(|name| (name, secret(name))).to_vec();
    all.push(("COPY", format!("Bearer {}", secret("PLUGIN_KEY"))));
    all.push(("WHICH", "CHOSEN_KEY".to_owned()));
    all.push(("OTHER", "a value like any other".to_owned()));
    all
}

/// A config that names each kind of secret, and a command of its own for each kind that has one.
fn config(place: &Place) -> PathBuf {
    let bearer = |source: Value| json!({ "bearer": true, "env": source });
    let dump = |name: &str| json!({ "command": [dumper(place, name)] });
    let printed = |name: &str| json!({ "bearer": true, "command": [dumper(place, name)] });
    let config = json!({
        "mcpServers": {
            "one": { "command": "cat", "sampling": "anthropic" },
            "another": { "command": "cat", "env": { "KEY": "${GIVEN_TO_ANOTHER}" } },
            "far": { "url": "https://x.example/${URL_PART}/mcp", "headers": { "x-key": "Bearer ${env:HEADER_PART}" } },
        },
        "plugins": {
            "a": { "component": "builtin:openai", "model": "m", "credential": { "env": "PLUGIN_KEY" } },
            "b": { "component": "b.wasm", "allow": [{ "origin": "https://y.example", "credential": bearer("ORIGIN_KEY".into()) }] },
            "c": { "component": "c.wasm", "credential": bearer("${WHICH}".into()), "headers": { "x": "${FIXED_HEADER}" } },
            "printed": { "component": "builtin:openai", "model": "m", "endpoint": "http://127.0.0.1:1", "credential": printed("credential") },
        },
        "serve": { "token": { "env": "SERVE_TOKEN" } },
        "requestStateKey": { "env": "STATE_KEY" },
    });
    let _ = place.file("of-serve.json", with(&config, "serve", json!({ "token": dump("serve token") })));
    let _ = place.file("of-state.json", with(&config, "requestStateKey", dump("state key")));
    place.file("all.json", config.to_string())
}

/// The config with another value for a key. What was there before is still in a plugin's credential.
fn with(config: &Value, key: &str, value: Value) -> String {
    let mut config = config.clone();
    let (before, credentials) = (config[key].take(), &mut config["plugins"]);
    let env = before.pointer("/token/env").or(before.get("env")).cloned();
    credentials["before"] = json!({ "component": "b.wasm", "credential": { "bearer": true, "env": env } });
    config[key] = value;
    config.to_string()
}

/// A program that keeps what it was started with, and fails; its path.
fn dumper(place: &Place, name: &str) -> String {
    let file = format!("dump {name}").replace(' ', "-");
    script(place, &file, name)
}

fn script(place: &Place, file: &str, name: &str) -> String {
    let kept = place.path().join(name);
    let text = format!(
        "#!/bin/sh\ncat /proc/$$/environ /proc/$$/cmdline > '{0}.part'\nmv '{0}.part' '{0}'\nexit 1\n",
        kept.display()
    );
    let path = place.file(file, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap_or_else(|e| panic!("{e}"));
    path.to_string_lossy().into_owned()
}

/// What a program was started with, once it is there.
fn dumped(place: &Place, name: &str) -> String {
    let (path, began) = (place.path().join(name), Instant::now());
    loop {
        match fs::read(&path) {
            Ok(bytes) => return String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) => assert!(began.elapsed() < PATIENCE, "`{name}` wasn't started: {e}"),
        }
        std::thread::yield_now();
    }
}

/// Understudy, with all that is secret in its environment.
fn understudy(place: &Place, args: &[&str]) -> Command {
    let mut command = place.understudy(args);
    let path = std::env::var("PATH").unwrap_or_default();
    command.envs(environment()).env("PATH", format!("{}:{path}", place.path().display()));
    command
}

/// The variables of ours whose values can be found in what a child was started with.
fn found(started_with: &str) -> Vec<&'static str> {
    let is_there = |(_, value): &(&str, String)| started_with.contains(value.as_str());
    environment().into_iter().filter(is_there).map(|(name, _)| name).collect()
}

fn environ(process: u32) -> String {
    let read = |what: &str| fs::read(format!("/proc/{process}/{what}")).unwrap_or_else(|e| panic!("{what}: {e}"));
    String::from_utf8_lossy(&[read("environ"), read("cmdline")].concat()).into_owned()
}

/// The processes that a process has started: what each is called, and its id.
fn children(parent: u32) -> Vec<(String, u32)> {
    let entries = fs::read_dir("/proc").unwrap_or_else(|e| panic!("{e}")).flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let child = |id: u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (start, rest) = stat.rsplit_once(") ")?;
        let is_child = rest.split(' ').nth(1)?.parse() == Ok(parent);
        is_child.then(|| (start.split_once('(').unwrap_or_default().1.to_owned(), id))
    };
    let mut all: Vec<_> = ids.filter_map(child).collect();
    all.sort();
    all
}

#[test]
fn a_server_and_its_guard_have_no_secret() {
    let place = Place::new();
    let config = config(&place);
    let command = understudy(&place, &["proxy", "--server", "one", "--config", &config.to_string_lossy()]);
    let mut session = Session::run(command, &[]);
    // Once it answers, it is there, and so is its guard.
    session.say(&json!({ "id": 1, "method": "ping" }));
    let _ = session.line();
    let children = children(session.id());
    let names: Vec<&str> = children.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["cat", "sh"]);
    // Keys that Understudy doesn't use here are a server's to inherit, as ever.
    let unused = ["GEMINI_API_KEY", "GOOGLE_API_KEY", "OLLAMA_API_KEY"];
    let others = ["GIVEN_TO_ANOTHER", "CLIENT_SECRET", "WHICH", "OTHER"];
    assert_eq!(found(&environ(children[0].1)), [&unused[..], &others].concat());
    let guard = fs::read(format!("/proc/{}/environ", children[1].1)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(String::from_utf8_lossy(&guard), "");
    assert_eq!(found(&environ(children[1].1)), Vec::<&str>::new());
}

#[test]
fn a_server_gets_what_its_own_block_names() {
    let place = Place::new();
    let env = json!({ "PLUGIN_KEY": "${PLUGIN_KEY}", "MINE": "${HEADER_PART}" });
    let server = json!({ "command": "cat", "env": env, "sampling": "a" });
    let plugin = json!({ "component": "builtin:openai", "model": "m", "credential": { "env": "PLUGIN_KEY" } });
    let config = json!({ "mcpServers": { "s": server }, "plugins": { "a": plugin } }).to_string();
    let config = place.file("own.json", config);
    let command = understudy(&place, &["proxy", "--server", "s", "--config", &config.to_string_lossy()]);
    let mut session = Session::run(command, &[]);
    session.say(&json!({ "id": 1, "method": "ping" }));
    let _ = session.line();
    let (_, server) = children(session.id()).remove(0);
    let environ = environ(server);
    for (name, of) in [("PLUGIN_KEY", "PLUGIN_KEY"), ("MINE", "HEADER_PART")] {
        assert!(environ.contains(&format!("{name}={}", secret(of))), "{environ:?}");
    }
    assert!(!environ.contains("COPY="), "{environ:?}");
}

#[test]
fn no_child_inherits_a_file_that_understudy_was_started_with() {
    let place = Place::new();
    let key = place.file("key", "a secret");
    let mut command = Command::new("sh");
    let script = "exec 7<\"$KEY\" 8<&7; exec \"$0\" \"$@\"";
    command.args(["-c", script]).arg(binary("understudy")).args(["proxy", "--plugin", "echo", "--", "cat"]);
    command.current_dir(place.path()).env("KEY", &key).env("XDG_CACHE_HOME", cache());
    let mut session = Session::run(command, &[]);
    session.say(&json!({ "id": 1, "method": "ping" }));
    let _ = session.line();
    let open = |process: u32| {
        let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap_or_else(|e| panic!("{e}")).flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    // Understudy itself still has them.
    assert!(open(session.id()).contains(&"7".to_owned()));
    for (name, process) in children(session.id()) {
        assert_eq!(open(process), ["0", "1", "2"], "{name}");
    }
}

/// What no command that prints a credential, no helper and no browser has.
fn assert_clean(started_with: &str, name: &str) {
    assert_eq!(found(started_with), ["CLIENT_SECRET", "WHICH", "OTHER"], "{name}");
}

#[test]
fn a_command_that_prints_a_secret_has_no_other() {
    let place = Place::new();
    let all = config(&place).to_string_lossy().into_owned();
    let beside = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    let request = place.file(
        "request.json",
        json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": "x" } }], "maxTokens": 1 })
            .to_string(),
    );
    let request = request.to_string_lossy();
    for (name, args) in [
        ("credential", vec!["sample", &request, "--plugin", "printed", "--config", &all]),
        ("state key", vec!["proxy", "--plugin", "echo", "--config", &beside("of-state.json"), "--", "cat"]),
        ("serve token", vec!["serve", "--listen", "127.0.0.1:0", "--config", &beside("of-serve.json")]),
    ] {
        let run = run(understudy(&place, &args), "");
        assert!(run.stderr.contains("failed (exit status: 1)"), "{name}: {}", run.stderr);
        assert_clean(&dumped(&place, name), name);
    }
}

#[test]
fn a_credential_helper_of_dockers_has_no_secret() {
    let place = Place::new();
    let all = config(&place).to_string_lossy().into_owned();
    let _ = script(&place, "docker-credential-dump", "helper");
    for docker in [json!({ "credHelpers": { "127.0.0.1:1": "dump" } }), json!({ "credsStore": "dump" })] {
        let _ = place.file("config.json", docker.to_string());
        for config in [vec!["--config", &all], vec![]] {
            let args = [["plugin", "pull", "oci://127.0.0.1:1/x:1"].as_slice(), &config].concat();
            let run = run(understudy(&place, &args), "");
            assert!(
                run.stderr.contains("Docker's credential helper `docker-credential-dump` failed"),
                "{}",
                run.stderr
            );
            let started_with = dumped(&place, "helper");
            if config.is_empty() {
                // Without a config nobody knows what else is secret.
                let built_in = ["_API_KEY", "ANTHROPIC_AUTH_TOKEN", "UNDERSTUDY_SECRET"];
                let kept = found(&started_with);
                assert!(kept.iter().all(|name| !built_in.iter().any(|part| name.contains(part))), "{kept:?}");
            } else {
                assert_clean(&started_with, "helper");
            }
            fs::remove_file(place.path().join("helper")).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}

#[test]
fn the_browser_has_no_secret() {
    let place = Place::new();
    let all = config(&place).to_string_lossy().into_owned();
    for opener in ["xdg-open", "open"] {
        let _ = script(&place, opener, "browser");
    }
    let server = Provider::start(|request, stream, _| {
        let host = request.headers.get("host").cloned().unwrap_or_default();
        let url = format!("http://{host}");
        let metadata = json!({
            "issuer": url, "authorization_endpoint": format!("{url}/authorize"), "token_endpoint": format!("{url}/token"),
            "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
        });
        if request.line.starts_with("GET /.well-known/oauth-authorization-server") {
            respond(stream, "200 OK", "content-type: application/json\r\n", metadata.to_string().as_bytes());
        } else {
            respond(stream, "404 Not Found", "", b"");
        }
    });
    let client = ["--client-id", "c", "--client-secret", "CLIENT_SECRET", "--timeout", "1ms", "--config", &all];
    let args = [["auth", "--url", &server.url].as_slice(), &client].concat();
    let run = run(understudy(&place, &args), "");
    assert!(run.stderr.contains("no login within"), "{}", run.stderr);
    let started_with = dumped(&place, "browser");
    assert!(started_with.contains("/authorize?"), "{started_with:?}");
    assert_eq!(found(&started_with), ["WHICH", "OTHER"]);
}

/// The attack of the review: a server of the same unprivileged user looks into every process that it may look into.
#[test]
fn a_server_that_looks_into_its_users_other_processes_finds_no_key() {
    let place = Place::new();
    let unique = format!("sk-ant-{:032x}", fastrand::u128(..));
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    open(place.path(), 0o777).unwrap_or_else(|e| panic!("{e}"));
    let program = place.path().join("understudy");
    fs::copy(binary("understudy"), &program).unwrap_or_else(|e| panic!("{e}"));
    // What it is told comes after its guard is there.
    let look = "read go; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline >all 2>/dev/null; echo '{}'; cat";
    let mut command = Command::new(&program);
    command.current_dir(place.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", place.path()).env("ANTHROPIC_API_KEY", &unique);
    command.args(["proxy", "--plugin", "anthropic", "--", "sh", "-c", look]);
    if rustix::process::geteuid().is_root() {
        // Root may look everywhere.
        command.uid(65534).gid(65534);
    }
    command.env("OTHER", "a value like any other");
    let mut session = Session::run(command, &[]);
    session.say(&json!({ "method": "go" }));
    assert_eq!(session.line(), b"{}\n");
    let all = fs::read(place.path().join("all")).unwrap_or_else(|e| panic!("{e}"));
    let all = String::from_utf8_lossy(&all);
    assert!(all.contains("OTHER=a value like any other"), "it could look nowhere");
    assert!(!all.contains(&unique), "it has found the key");
}

#[test]
fn only_one_place_in_the_source_starts_programs() {
    let mut folders = ["host/src", "host/cli/src", "host/proxy/src"].map(|folder| workspace().join(folder)).to_vec();
    let mut offenders = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{e}")).flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            // The last two start a helper with all of our environment.
            let ways = ["Command::new", "posix_spawn", "get_credential(", "get_podman_credential("];
            if !path.ends_with("host/src/children.rs") && ways.iter().any(|way| text.contains(way)) {
                offenders.push(path);
            }
        }
    }
    assert!(offenders.is_empty(), "programs are started by `understudy::children` alone, and not in {offenders:?}");
}

#[tokio::test]
async fn the_variables_of_built_in_plugins_are_those_that_they_describe() {
    let engine = Engine::new(Some(cache())).unwrap_or_else(|e| panic!("{e}"));
    for built_in in understudy_plugins::BUILT_IN {
        let config = Config::default().plugin(built_in.name, |_| None).unwrap_or_else(|e| panic!("{e}"));
        let loaded = ConfiguredPlugin::load(&engine, &config, |_| None).await.unwrap_or_else(|e| panic!("{e}"));
        let described = loaded.plugin.description.credential.as_ref().and_then(|credential| credential.env.as_deref());
        assert_eq!(built_in.secrets.first().copied(), described, "{}: see plugins/bundle/build.rs", built_in.name);
    }
}
