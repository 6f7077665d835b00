//! A provider on loopback that does what a test wants.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::PATIENCE;

/// What arrived.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Method, path and version.
    pub line: String,
    /// The headers, names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// A provider; it lives as long as the test.
#[derive(Debug)]
pub struct Provider {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    gate: Arc<Gate>,
}

/// Connections that are open, and those that wait.
#[derive(Debug, Default)]
pub struct Gate {
    open: AtomicUsize,
    count: Mutex<usize>,
    changed: Condvar,
}

impl Gate {
    /// Waits until `n` requests are here.
    pub fn wait_for(&self, n: usize) {
        let count = self.lock();
        let waited = self.changed.wait_timeout_while(count, PATIENCE, |count| *count < n);
        let (count, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(*count >= n, "only {} of {n} requests came", *count);
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Waits until no connection is open.
    pub fn wait_for_silence(&self) {
        let count = self.lock();
        let waited = self.changed.wait_timeout_while(count, PATIENCE, |_| self.open() > 0);
        drop(waited);
        assert_eq!(self.open(), 0, "connections stay open");
    }

    fn arrived(&self) {
        *self.lock() += 1;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider {
    /// One that answers each request by `answer`, which writes to the connection what it likes. The connection closes after it.
    #[must_use]
    pub fn start(answer: impl Fn(&Request, &mut TcpStream, &Gate) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|e| panic!("no port: {e}"));
        let url =
            listener.local_addr().map_or_else(|e| panic!("no address: {e}"), |address| format!("http://{address}"));
        let (seen, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Gate::default()));
        let (list, shared, answer) = (Arc::clone(&seen), Arc::clone(&gate), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (list, gate, answer) = (Arc::clone(&list), Arc::clone(&shared), Arc::clone(&answer));
                thread::spawn(move || {
                    gate.open.fetch_add(1, Ordering::SeqCst);
                    serve(stream, &list, &gate, answer.as_ref());
                    gate.open.fetch_sub(1, Ordering::SeqCst);
                    gate.changed.notify_all();
                });
            }
        });
        Self { url, seen, gate }
    }

    /// One that answers every request with this.
    #[must_use]
    pub fn answering(status: &'static str, headers: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self::start(move |_, stream, _| respond(stream, status, headers, &body))
    }

    /// What has arrived so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its gate.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }
}

fn serve(
    mut stream: TcpStream,
    list: &Mutex<Vec<Request>>,
    gate: &Gate,
    answer: &(dyn Fn(&Request, &mut TcpStream, &Gate) + Send + Sync),
) {
    let Ok(reading) = stream.try_clone() else { return };
    let Some(request) = read(&mut BufReader::new(reading)) else { return };
    list.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    gate.arrived();
    answer(&request, &mut stream, gate);
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut request = Request::default();
    stream.read_line(&mut request.line).ok().filter(|n| *n > 0)?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = request.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// Writes an answer. Whoever asked may be gone.
pub fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).and_then(|()| stream.flush());
}

/// Begins an answer that comes in pieces.
pub fn begin(stream: &mut TcpStream, content_type: &str) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.flush());
}

/// Writes a piece of an answer; an empty one ends it.
pub fn piece(stream: &mut TcpStream, bytes: &[u8]) {
    let whole = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let _ = stream.write_all(&whole).and_then(|()| stream.flush());
}

/// Waits until the other side has closed the connection.
pub fn wait_for_hangup(stream: &mut TcpStream) {
    let mut byte = [0];
    while matches!(stream.read(&mut byte), Ok(n) if n > 0) {}
}
