//! The token that is wanted of everybody.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};
use understudy_tests::program::Place;
use understudy_tests::served::{Served, initialize};

fn config(serve: &Value) -> Value {
    json!({ "mcpServers": { "cat": { "command": "cat" } }, "serve": serve })
}

/// The status of an `initialize`, and whether a session has begun.
fn begin(served: &Served, headers: &[(&str, &str)]) -> (u16, bool) {
    let answer = served.send("POST", "/cat/mcp", headers, &initialize("2025-11-25").to_string());
    (answer.status, !answer.header("mcp-session-id").is_empty())
}

#[test]
fn a_server_on_loopback_wants_a_token_that_it_makes_and_keeps() {
    let place = Place::new();
    let token = |served: &Served| served.token().map(str::to_owned).unwrap_or_default();
    let first = Served::cat(&place, &json!({}));
    let made = token(&first);
    assert!(
        made.len() == 43 && made.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
        "{made}"
    );
    assert_eq!(begin(&first, &[("authorization", "")]), (401, false));
    assert_eq!(begin(&first, &[("authorization", &format!("Bearer {}", &made[1..]))]), (401, false));
    assert_eq!(begin(&first, &[]), (200, true));
    let file = place.path().join("understudy/serve-token");
    let mode = |path| std::fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777).ok();
    assert_eq!((mode(file.as_path()), mode(&place.path().join("understudy"))), (Some(0o600), Some(0o700)));
    first.signal(Signal::TERM);
    let url = first.url("cat");
    let (_, stderr) = first.end();
    let line = format!("understudy tools --url {url} --header 'Authorization: Bearer {made}'");
    assert!(stderr.contains(&line) && stderr.contains("--new-token"), "{stderr}");

    let second = Served::cat(&place, &json!({}));
    assert_eq!(token(&second), made, "clients have it in their settings");
    let third = Served::with(&place, &config(&json!({})), &["--new-token"]);
    assert_ne!(token(&third), made);
    assert_eq!(begin(&third, &[("authorization", &format!("Bearer {made}"))]).0, 401);
    // What others could have read is no secret.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap_or_else(|e| panic!("{e}"));
    assert_ne!(token(&Served::cat(&place, &json!({}))), token(&third));
}

#[test]
fn the_line_on_stderr_works_as_it_stands() {
    let place = Place::new();
    let script = r#"while read -r line; do
        id=${line#*\"id\":}; id=${id%%,*}
        case "$line" in
            *'"initialize"'*) echo '{"id":'"$id"',"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}}' ;;
            *'"tools/list"'*) echo '{"id":'"$id"',"result":{"tools":[{"name":"only","inputSchema":{"type":"object"}}]}}' ;;
        esac
        done"#;
    let served = Served::start(
        &place,
        &json!({ "mcpServers": { "s": { "command": "bash", "args": [place.file("server.sh", script)] } } }),
    );
    let header = format!("Authorization: Bearer {}", served.token().unwrap_or_default());
    let run = place.run(["tools", "--url", &served.url("s"), "--header", &header]);
    assert!(run.code() == 0 && run.stdout.contains("only"), "{}{}", run.stdout, run.stderr);
    let run = place.run(["tools", "--url", &served.url("s")]);
    assert!(run.code() == 1 && run.stderr.contains("401"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn two_that_start_at_once_agree_on_the_token() {
    let place = Place::new();
    let _ = place.file("understudy.json", config(&json!({})).to_string());
    let start = || Served::run(place.understudy(["serve", "--listen", "127.0.0.1:0"]));
    let all: Vec<Served> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        started.into_iter().map(|one| one.join().unwrap_or_else(|_| panic!("it doesn't start"))).collect()
    });
    assert!(all.iter().all(|served| served.token().is_some() && served.token() == all[0].token()));
}

#[test]
fn a_token_is_there_where_none_can_be_kept() {
    let place = Place::new();
    let _ = place.file("understudy.json", config(&json!({})).to_string());
    let mut command = place.understudy(["serve", "--listen", "127.0.0.1:0"]);
    command.env("XDG_STATE_HOME", place.file("no-folder", ""));
    let served = Served::run(command);
    assert_eq!((begin(&served, &[("authorization", "")]).0, begin(&served, &[]).0), (401, 200));
    served.signal(Signal::TERM);
    let (_, stderr) = served.end();
    assert!(stderr.contains("the token is not kept"), "{stderr}");
}

#[test]
fn no_token_is_wanted_only_where_that_was_asked_for_and_only_on_this_machine() {
    let place = Place::new();
    for served in [
        Served::with(&place, &config(&json!({})), &["--no-token"]),
        Served::start(&place, &config(&json!({ "token": false }))),
    ] {
        assert_eq!((served.token(), begin(&served, &[])), (None, (200, true)));
        assert_eq!(begin(&served, &[("host", "evil.example")]).0, 421);
        assert_eq!(begin(&served, &[("origin", "http://evil.example")]).0, 403);
    }
    let from_env = json!({ "token": { "env": "SOME_TOKEN" } });
    for (serve, args, said) in [
        (json!({}), &["--no-token", "--listen", "0.0.0.0:0"][..], "`--no-token` doesn't go with this address"),
        (json!({}), &["--no-token", "--listen", "[::]:0"], "can be reached from other machines"),
        (json!({}), &["--new-token", "--listen", "0.0.0.0:0"], "`serve.token` is missing"),
        (from_env.clone(), &["--no-token", "--listen", "192.0.2.1:0"], "`--no-token` doesn't go with this address"),
        (from_env, &["--new-token"], "the config names another, in `serve.token`"),
        (json!({ "token": false, "listen": "0.0.0.0:0" }), &[], "`serve.token` is `false`"),
        (json!({ "token": false }), &["--new-token"], "the config wants none"),
        (json!({ "token": true }), &[], "`serve.token` must be an object, or `false`"),
        (json!({}), &["--no-token", "--new-token"], "cannot be used with"),
    ] {
        let _ = place.file("understudy.json", config(&serve).to_string());
        let mut command: Command = place.understudy(["serve"].iter().chain(args));
        command.env("SOME_TOKEN", "something");
        let run = understudy_tests::program::run(command, "");
        assert!(
            run.code() == 2 && run.stdout.is_empty() && run.stderr.contains(said),
            "{serve} {args:?}: {}",
            run.stderr
        );
    }
}
