//! Who may come in at `serve`, and how much they may hold.

mod bodies;
mod connections;
mod heads;
mod sessions;
mod socket;
mod token;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use understudy_tests::PATIENCE;

/// Connects, and says something.
fn say(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap_or_else(|e| panic!("{address}: {e}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap_or_else(|e| panic!("{e}"));
    stream.write_all(bytes).unwrap_or_else(|e| panic!("{address}: {e}"));
    stream
}

/// Says something; all that comes back until the connection is closed.
fn ask(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = say(address, bytes);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    // A server that has refused a request may cut the connection before it has read all of it.
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer; none if there is no answer.
fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
}

/// Waits until something holds.
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}
