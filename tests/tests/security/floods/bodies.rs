//! Bodies: of clients without the token, and of many clients at once.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;

use serde_json::json;
use understudy_tests::program::Place;
use understudy_tests::served::{Served, initialize};

use super::{ask, say, status, wait_for};

const MIB: usize = 1 << 20;

/// The memory that a process has, in bytes.
fn memory(served: &Served) -> usize {
    let said = std::fs::read_to_string(format!("/proc/{}/status", served.id())).unwrap_or_default();
    let line = said.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_else(|| panic!("no memory: {said}"));
    line.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).unwrap_or_default() * 1024
}

/// The head of a long body.
fn head(served: &Served, length: usize, more: &str) -> String {
    format!(
        "POST /cat/mcp HTTP/1.1\r\nhost: localhost\r\naccept: application/json, text/event-stream\r\ncontent-length: {length}\r\n\
         authorization: Bearer {}\r\n{more}\r\n",
        served.token().unwrap_or("none")
    )
}

/// Begins to send a long body, for as long as it is taken.
fn begin(served: &Served, length: usize, sent: usize) -> Sending {
    let stream = say(served.address, head(served, length, "").as_bytes());
    let mut writing = stream.try_clone().unwrap_or_else(|e| panic!("{e}"));
    let thread = std::thread::spawn(move || {
        let piece = vec![b'"'; 64 * 1024];
        let mut left = sent;
        while let Ok(written @ 1..) = writing.write(&piece[..left.min(piece.len())]) {
            left -= written;
        }
    });
    Sending { stream, thread: Some(thread) }
}

/// A body that is being sent. Dropping it cuts the connection.
struct Sending {
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Sending {
    /// Waits until all is sent, or nothing more is taken.
    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_else(|_| panic!("it could not be sent"));
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        self.end();
    }
}

#[test]
fn bodies_together_hold_no_more_than_the_total_and_it_is_given_back() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({ "limits": { "line": "32 MiB", "bodiesTotal": "64 MiB" } }));
    let session = served.session("2025-11-25");
    let mut listening = session.listen(None);
    let before = memory(&served);
    let held = || memory(&served).saturating_sub(before);
    let slow: Vec<Sending> = (0..8).map(|_| begin(&served, 32 * MIB, 30 * MIB)).collect();
    wait_for("they are not taken", || held() > 48 * MIB);
    // All others go on.
    for size in [10, 60_000, 100_000] {
        let text = "x".repeat(size);
        session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/n", "params": { "text": text } }));
        assert!(listening.hear().message()["params"]["text"] == text, "{size}");
        // Beside the bodies there are the buffers of their connections.
        assert!(held() < 80 * MIB, "{} MiB", held() / MIB);
    }
    drop(slow);
    wait_for("the memory isn't given back", || held() < 16 * MIB);
    let text = "x".repeat(8 * MIB);
    session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/n", "params": { "text": text } }));
    assert!(listening.hear().message()["params"]["text"] == text);
}

#[test]
fn a_body_that_could_never_be_held_is_refused() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({ "limits": { "line": "4 MiB", "bodiesTotal": "2 MiB" } }));
    let answer = ask(served.address, head(&served, 3 * MIB, "connection: close\r\n").as_bytes());
    assert_eq!(status(&answer), Some(413));
    assert!(answer.contains("`limits.bodiesTotal` allows (2097152 bytes)"), "{answer}");
}

#[test]
fn no_body_is_held_of_a_client_without_the_token() {
    let place = Place::new();
    let _ = place.file("token", "something");
    let served = Served::cat(&place, &json!({ "serve": { "token": { "file": "token" } } }));
    let before = memory(&served);
    let mut all: Vec<Sending> = (0..16).map(|_| begin(&served, 64 * MIB, 16 * MIB)).collect();
    for sending in &mut all {
        sending.end();
        // A connection on which a body is still coming may be cut before the answer is read.
        let mut answer = [0; 16];
        if sending.stream.read(&mut answer).is_ok_and(|read| read >= 12) {
            assert!(answer.starts_with(b"HTTP/1.1 401"), "{answer:?}");
        }
    }
    let held = memory(&served).saturating_sub(before);
    assert!(held < 8 * MIB, "{} MiB", held / MIB);
}

#[test]
fn a_body_is_asked_for_only_once_the_token_was_seen() {
    let place = Place::new();
    let served = Served::cat(&place, &json!({}));
    let expect = "expect: 100-continue\r\n";
    let with = head(&served, 1000, expect);
    let without = with.replace(served.token().unwrap_or_default(), "wrong");
    for (head, first) in [(with, "HTTP/1.1 100 "), (without, "HTTP/1.1 401 ")] {
        let mut stream = say(served.address, head.as_bytes());
        let mut answer = [0; 13];
        stream.read_exact(&mut answer).unwrap_or_else(|e| panic!("{first}: {e}"));
        assert_eq!(String::from_utf8_lossy(&answer), first);
    }
    // Whoever has said half of it goes on to be refused.
    let body = initialize("2025-11-25").to_string();
    let answer = served.send("POST", "/cat/mcp", &[("content-length", &body.len().to_string())], &body);
    assert_eq!(answer.status, 200);
}
