//! A Unix socket in the place of a port.

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::program::{Place, kill, signal};
use understudy_tests::served::initialize;

use super::{status, wait_for};

/// What serves at a socket.
struct Serving {
    child: Child,
    said: Value,
}

impl Serving {
    fn start(place: &Place, args: &[&str]) -> Self {
        let mut command = place.understudy(["serve"].iter().chain(args));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("{e}"));
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap_or_else(|| panic!("no stdout"));
        let _ = std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line);
        let said = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: `{line}`"));
        Self { child, said }
    }

    fn end(&mut self) {
        signal(self.child.id(), Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        kill(self.child.id());
        let _ = self.child.wait();
    }
}

/// An `initialize` at a socket: all that comes back.
fn ask(path: &Path, headers: &str) -> String {
    let body = initialize("2025-11-25").to_string();
    let length = body.len();
    let accept = "accept: application/json, text/event-stream";
    let request = format!("POST /cat/mcp HTTP/1.1\r\n{headers}{accept}\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut stream = UnixStream::connect(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(request.as_bytes()))
        .unwrap_or_else(|e| panic!("{e}"));
    // The stream of a session may go on for ever.
    let (mut answer, mut piece, began) = (Vec::new(), [0; 4096], Instant::now());
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut piece).unwrap_or_else(|e| panic!("{e}"));
        assert!(read > 0 && began.elapsed() < PATIENCE, "it breaks off: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn place(serve: &Value) -> Place {
    let place = Place::new();
    let _ = place
        .file("understudy.json", json!({ "mcpServers": { "cat": { "command": "cat" } }, "serve": serve }).to_string());
    place
}

#[test]
fn a_unix_socket_lets_this_user_in_and_nobody_else() {
    let place = place(&json!({ "listen": "unix:run/socket" }));
    let path = place.path().join("run/socket");
    let mut serving = Serving::start(&place, &[]);
    let metadata = std::fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{e}"));
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(serving.said["endpoints"]["cat"], "http://localhost/cat/mcp", "{}", serving.said);
    assert!(
        serving.said["listening"].as_str().is_some_and(|url| url.starts_with("unix:/") && url.ends_with("/run/socket"))
    );
    assert_eq!(serving.said.get("token"), None, "nobody else can connect");
    assert_eq!(status(&ask(&path, "host: localhost\r\n")), Some(200));
    assert_eq!(status(&ask(&path, "host: evil.example\r\n")), Some(421));
    assert_eq!(status(&ask(&path, "host: localhost\r\norigin: http://localhost\r\n")), Some(403));
    // Another one can't take its place, nor one that it left behind keep it.
    let run = place.run(["serve"]);
    assert!(run.code() == 1 && run.stderr.contains("another process listens there"), "{}", run.stderr);
    assert_eq!(status(&ask(&path, "host: localhost\r\n")), Some(200));
    serving.end();
    assert!(!path.exists(), "it is gone with its process");
    drop(Serving::start(&place, &[]));
    assert!(path.exists(), "a killed process leaves it behind");
    let again = Serving::start(&place, &[]);
    assert_eq!(status(&ask(&path, "host: localhost\r\n")), Some(200));
    drop(again);
}

#[test]
fn a_unix_socket_with_a_token_wants_it() {
    let place = place(&json!({ "token": { "file": "token" } }));
    let _ = place.file("token", "of-my-own");
    let path = place.path().join("socket");
    let listen = format!("unix:{}", path.display());
    let _serving = Serving::start(&place, &["--listen", &listen]);
    assert_eq!(status(&ask(&path, "host: localhost\r\n")), Some(401));
    assert_eq!(status(&ask(&path, "host: localhost\r\nauthorization: Bearer of-my-own\r\n")), Some(200));
}

#[test]
fn no_socket_is_made_where_others_may_write_nor_over_what_is_no_socket() {
    let place = place(&json!({}));
    let refused = |path: &Path| {
        let run = place.run(["serve", "--listen", &format!("unix:{}", path.display())]);
        assert_eq!((run.code(), run.stdout.as_str()), (1, ""), "{}", run.stderr);
        run.stderr
    };
    let open = place.path().join("open");
    std::fs::create_dir(&open).unwrap_or_else(|e| panic!("{e}"));
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o1777)).unwrap_or_else(|e| panic!("{e}"));
    assert!(refused(&open.join("socket")).contains("others could replace it"));
    assert!(refused(&place.file("file", "mine")).contains("something is there that is no socket"));
    assert_eq!(std::fs::read(place.path().join("file")).ok().as_deref(), Some(&b"mine"[..]));
    let run = place.run(["serve", "--listen", "unix:"]);
    assert!(run.code() == 2 && run.stderr.contains("must have a path behind `unix:`"), "{}", run.stderr);
}

#[test]
fn connections_without_a_word_keep_nobody_out_of_a_socket() {
    let place = place(&json!({}));
    let path = place.path().join("socket");
    let _serving = Serving::start(&place, &["--listen", &format!("unix:{}", path.display())]);
    let silent: Vec<UnixStream> =
        (0..200).map(|_| UnixStream::connect(&path).unwrap_or_else(|e| panic!("{e}"))).collect();
    assert_eq!(status(&ask(&path, "host: localhost\r\n")), Some(200));
    let is_closed =
        |stream: &UnixStream| stream.set_nonblocking(true).is_ok() && matches!((&mut &*stream).read(&mut [0]), Ok(0));
    wait_for("the oldest are not closed", || silent.iter().filter(|stream| is_closed(stream)).count() >= 136);
}
