//! Connections: without a word, without the token, and more than there are descriptors for.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::json;
use understudy_tests::program::{Place, by_shell};
use understudy_tests::served::{Served, initialize};

use super::{say, wait_for};

/// As many as a login shell lets a program have open.
const USUAL: u32 = 1024;

/// Serves `cat` with a limit of open files, as a shell's `ulimit` sets it.
fn limited(place: &Place, ulimit: &str, args: &[&str]) -> Served {
    let _ = place.file("understudy.json", json!({ "mcpServers": { "cat": { "command": "cat" } } }).to_string());
    let whole = place.understudy(["serve", "--listen", "127.0.0.1:0"].iter().chain(args));
    Served::run(by_shell(&format!("ulimit {ulimit}; exec \"$0\" \"$@\""), &whole))
}

/// Lets this test have as many connections as it needs.
fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let now = getrlimit(Resource::Nofile).current;
    assert!(now.is_none_or(|now| now >= 4096), "4,096 open files are needed: `ulimit -n 4096` ({raised:?}, {now:?})");
}

fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).is_ok()
        && match (&mut &*stream).read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
}

/// An honest client begins a session.
fn is_welcome(served: &Served) {
    let answer = served.send("POST", "/cat/mcp", &[], &initialize("2025-11-25").to_string());
    assert_eq!(answer.status, 200);
    let session = [("mcp-session-id", answer.header("mcp-session-id"))];
    assert_eq!(served.send("DELETE", "/cat/mcp", &session, "").status, 204);
}

#[test]
fn a_thousand_silent_connections_keep_nobody_out() {
    raise_own_limit();
    let place = Place::new();
    let half = b"POST /cat/mcp HTTP/1.1\r\nhost: loc";
    let refused = b"GET /cat/mcp HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for (what, args, said) in [
        ("silent", &[][..], &b""[..]),
        ("silent, where no token is wanted", &["--no-token"], b""),
        ("half a head", &[], half),
        ("half a head, where no token is wanted", &["--no-token"], half),
        ("refused, and still there", &[], refused),
    ] {
        let served = limited(&place, &format!("-n {USUAL}"), args);
        let mut all = Vec::new();
        for _ in 0..11 {
            all.extend((0..100).map(|_| say(served.address, said)));
            is_welcome(&served);
        }
        wait_for(what, || all.iter().filter(|stream| !is_closed(stream)).count() <= 64);
        is_welcome(&served);
        served.signal(Signal::TERM);
        let (_, stderr) = served.end();
        assert_eq!(stderr.matches("are taken: the oldest are closed").count(), 1, "{what}: {stderr}");
        assert!(!stderr.contains("can't take a connection"), "{what}: {stderr}");
    }
}

#[test]
fn connections_that_rest_make_room_for_new_ones() {
    raise_own_limit();
    let place = Place::new();
    let served = limited(&place, "-n 256", &[]);
    let head = format!(
        "GET /x HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
        served.token().unwrap_or_default()
    );
    // Each has shown the token, has its answer, and stays.
    let resting: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = say(served.address, head.as_bytes());
            let read = stream.read(&mut [0; 1024]).unwrap_or_default();
            assert!(read > 0, "no answer");
            stream
        })
        .collect();
    is_welcome(&served);
    let mut last = &resting[299];
    assert!(last.write_all(head.as_bytes()).is_ok() && last.read(&mut [0; 1024]).is_ok_and(|read| read > 0));
    // 128 connections, 32 of them strangers.
    wait_for("the oldest are not closed", || resting.iter().filter(|stream| !is_closed(stream)).count() <= 96);
    assert!(is_closed(&resting[0]) && !is_closed(&resting[299]));
}

#[test]
fn those_that_are_busy_are_not_closed_for_new_ones() {
    raise_own_limit();
    let place = Place::new();
    let served = limited(&place, "-n 200", &[]);
    let session = served.session("2025-11-25");
    let mut listening = session.listen(None);
    let token = served.token().unwrap_or_default();
    let head = format!("GET /x HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
    let mut all = Vec::new();
    for _ in 0..300 {
        let mut stream = say(served.address, head.as_bytes());
        assert!(stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0));
        all.push(stream);
    }
    session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/still/there" }));
    assert_eq!(listening.hear().message()["method"], "notifications/still/there");
}

#[test]
fn it_goes_on_when_the_servers_have_taken_all_descriptors() {
    let place = Place::new();
    let served = limited(&place, "-n 80", &[]);
    let begin = || {
        let answer = served.send("POST", "/cat/mcp", &[], &initialize("2025-11-25").to_string());
        assert_eq!(answer.status, 200, "an answer comes all the same");
        let id = answer.header("mcp-session-id").to_owned();
        if id.is_empty() { Err(answer.text()) } else { Ok((id, answer)) }
    };
    let mut sessions = Vec::new();
    let reason = loop {
        match begin() {
            Ok(session) => sessions.push(session),
            Err(reason) => break reason,
        }
        assert!(sessions.len() < 80, "it has descriptors without end");
    };
    assert!(reason.contains("too many files are open") && reason.contains("`ulimit -H -n` allows 80"), "{reason}");
    // Connections are taken still, or closed for one another, but nobody waits for ever.
    let silent: Vec<TcpStream> = (0..100).map(|_| say(served.address, b"")).collect();
    for (id, _) in sessions.drain(..) {
        assert_eq!(served.send("DELETE", "/cat/mcp", &[("mcp-session-id", &id)], "").status, 204);
    }
    drop(silent);
    wait_for("no session begins again", || begin().is_ok());
}

#[test]
fn a_server_gets_the_limit_of_open_files_that_we_were_given() {
    let place = Place::new();
    let script = r#"read -r line; printf '{"id":0,"result":{"soft":"%s","hard":"%s"}}\n' "$(ulimit -S -n)" "$(ulimit -H -n)"; cat"#;
    let config = json!({ "mcpServers": { "s": { "command": "sh", "args": ["-c", script] } } });
    let _ = place.file("understudy.json", config.to_string());
    let whole = place.understudy(["serve", "--listen", "127.0.0.1:0"]);
    let served = Served::run(by_shell("ulimit -S -n 300; ulimit -H -n 2000; exec \"$0\" \"$@\"", &whole));
    let answer = served.send("POST", "/s/mcp", &[], &initialize("2025-11-25").to_string()).json();
    assert_eq!((&answer["result"]["soft"], &answer["result"]["hard"]), (&json!("300"), &json!("2000")), "{answer}");
    let own = std::fs::read_to_string(format!("/proc/{}/limits", served.id())).unwrap_or_default();
    let line = own.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    assert!(line.split_whitespace().nth(3) == Some("2000") || own.is_empty(), "{line}");
}
