//! A server that wants OAuth: FastMCP with its authorization server, and a login that is made, renewed and lost.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use understudy_tests::http::{Answer, send};
use understudy_tests::peers::{Listening, python, script};
use understudy_tests::program::{Place, Run};
use url::Url;

fn server() -> Listening {
    Listening::start(&python(), &[&script("oauth_server.py"), "--until-stdin-closes"])
}

fn address(url: &Url) -> SocketAddr {
    url.socket_addrs(|| None).unwrap().remove(0)
}

/// What a browser does with a link.
fn get(url: &Url) -> Answer {
    send(address(url), "GET", &format!("{}?{}", url.path(), url.query().unwrap_or_default()), &[], b"")
}

fn post(server: &Listening, path: &str) {
    let url = Url::parse(&server.url).unwrap();
    assert_eq!(send(address(&url), "POST", path, &[], b"").status, 200);
}

fn ask(place: &Place, url: &str, more: &[&str]) -> Run {
    let args = ["call", "--url", url, "--plugin", "echo", "ask", "prompt=who goes there?"];
    place.run(more.iter().chain(&args))
}

/// Logs in as a user does, who says yes; what was said on stderr.
fn log_in(place: &Place, url: &str) -> String {
    let mut auth = place.understudy(["auth", "--url", url, "--no-browser", "-vv"]);
    let mut child = auth.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let link = loop {
        let start = said.len();
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
        let line = said[start..].trim();
        if line.starts_with("http://") {
            break Url::parse(line).unwrap();
        }
    };
    let granted = get(&link);
    assert_eq!(granted.status, 302);
    let back = Url::parse(granted.header("location")).unwrap();
    // What isn't the answer changes nothing.
    let mut other = back.clone();
    other.set_path("/favicon.ico");
    assert_eq!(get(&other).status, 404);
    let page = get(&back);
    assert_eq!(page.status, 200);
    assert!(page.text().contains("see the terminal"));
    stderr.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    said
}

fn logins(place: &Place) -> Vec<PathBuf> {
    let folder = place.path().join("understudy/logins");
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

/// The tokens that are kept.
fn tokens(place: &Place) -> [String; 2] {
    let text = std::fs::read_to_string(&logins(place)[0]).unwrap();
    let login: Value = serde_json::from_str(&text).unwrap();
    ["access_token", "refresh_token"].map(|token| {
        let token = login.pointer(&format!("/credentials/token_response/{token}"));
        token.and_then(Value::as_str).unwrap().to_owned()
    })
}

#[test]
fn a_login_is_made_used_renewed_and_lost() {
    let (server, place) = (server(), Place::new());
    let url = format!("{}/mcp", server.url);
    let refused = ask(&place, &url, &[]);
    assert!(!refused.status.success() && refused.stderr.contains("`understudy auth`"), "{}", refused.stderr);

    let said = log_in(&place, &url);
    let first = tokens(&place);
    assert_eq!(std::fs::metadata(&logins(&place)[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let answered = ask(&place, &url, &["-vv"]).ok();
    assert!(answered.stdout.contains("who goes there?"), "{}", answered.stdout);

    post(&server, "/expire");
    let renewed = ask(&place, &url, &["-vv"]).ok();
    let second = tokens(&place);
    assert_ne!(first, second);
    for log in [&said, &answered.stderr, &renewed.stderr] {
        assert!(!log.contains(&first[0]) && !log.contains(&first[1]), "a token is in the log: {log}");
        assert!(!log.contains(&second[0]) && !log.contains(&second[1]), "a token is in the log: {log}");
    }

    post(&server, "/revoke");
    let lost = ask(&place, &url, &[]);
    assert!(!lost.status.success() && lost.stderr.contains("can't be renewed"), "{}", lost.stderr);
    assert!(lost.stderr.contains("`understudy auth`"), "{}", lost.stderr);

    let _ = log_in(&place, &url);
    let _ = ask(&place, &url, &[]).ok();
    let forget = ["auth", "--url", &url, "--forget"];
    assert!(place.run(forget).ok().stderr.contains("no longer logged in"));
    assert!(place.run(forget).ok().stderr.contains("there was no login"));
    assert!(logins(&place).is_empty());
    assert!(!ask(&place, &url, &[]).status.success());
}

#[test]
fn a_login_that_expires_under_many_calls_is_renewed_once_for_all_of_them() {
    let (server, place) = (server(), Place::new());
    let url = format!("{}/mcp", server.url);
    let _ = log_in(&place, &url);
    for _ in 0..3 {
        post(&server, "/expire");
        std::thread::scope(|scope| {
            let calls = [(); 4].map(|()| scope.spawn(|| ask(&place, &url, &[])));
            for call in calls {
                let _ = call.join().unwrap().ok();
            }
        });
    }
}

#[test]
fn what_cannot_be_logged_in_at_says_why() {
    let place = Place::new();
    let config = serde_json::json!({ "mcpServers": {
        "local": { "command": "cat" },
        "open": { "url": "http://127.0.0.1:9/mcp", "headers": { "Authorization": "Bearer x" } },
        "closed": { "url": "http://127.0.0.1:9/mcp" }
    } });
    let config = place.file("understudy.json", config.to_string());
    let config = config.to_string_lossy();
    for (server, said, code) in [
        ("local", "is a command", 2),
        ("open", "`Authorization` already", 2),
        ("closed", "no login can be begun at `http://127.0.0.1:9/mcp`", 1),
        ("unknown", "no server `unknown`", 2),
    ] {
        let run = place.run(["--config", &config, "auth", server, "--no-browser"]);
        assert_eq!(run.code(), code, "{}", run.stderr);
        assert!(run.stderr.contains(said), "{server}: {}", run.stderr);
    }
    assert!(place.run(["auth", "--url", "ftp://x"]).stderr.contains("`--url` begins with `ftp:`"));
}
