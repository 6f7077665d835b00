//! The provider of the race: Anthropic's Messages API and OpenAI's chat completions as far as it takes, on a port of loopback that is
//! told in the first line.
//!
//! One thread that polls, a few microseconds a request: it must not be what is measured. It ends when its stdin does.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use race::{Question, answer};
use serde_json::json;

const LISTENER: Token = Token(0);

/// Connections that may wait to be accepted. The usual 128 are passed when thousands come at once, and who is turned away tries again only
/// after a second.
const BACKLOG: i32 = 4096;

fn main() -> io::Result<()> {
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    rustix::net::listen(&listener, BACKLOG)?;
    writeln!(io::stdout(), "{}", json!({ "port": listener.local_addr()?.port() }))?;
    std::thread::spawn(|| {
        // Whatever it says, and however it ends.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0)
    });
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut provider = Provider::new(poll.registry().try_clone()?);
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, provider.until_due()) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => provider.accept(&listener)?,
                token => provider.serve(token),
            }
        }
        provider.say_what_is_due();
    }
}

struct Provider {
    registry: mio::Registry,
    connections: HashMap<Token, Connection>,
    next: usize,
    /// What is to be said later: when, to whom, how, to which question.
    waiting: BinaryHeap<Reverse<(Instant, Token, Api, usize)>>,
    piece: Vec<u8>,
}

/// Who it is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Api {
    Anthropic,
    OpenAi,
}

/// What isn't all of a question.
struct Garbled;

struct Connection {
    stream: TcpStream,
    said: Vec<u8>,
    unsaid: Vec<u8>,
}

impl Provider {
    fn new(registry: mio::Registry) -> Self {
        let piece = vec![0; 1 << 20];
        Self { registry, connections: HashMap::new(), next: 1, waiting: BinaryHeap::new(), piece }
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let (mut stream, _) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.next);
            self.next += 1;
            self.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            self.connections.insert(token, Connection { stream, said: Vec::new(), unsaid: Vec::new() });
        }
    }

    /// Reads what there is, and answers what is whole.
    fn serve(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let is_open = connection.read(&mut self.piece).and_then(|is_open| {
            while let Some(question) = connection.next_question()? {
                match question {
                    Ok((api, Question { number, latency: 0, .. })) => connection.say(&reply(api, number)),
                    Ok((api, Question { number, latency, .. })) => {
                        let due = Instant::now() + Duration::from_millis(latency as u64);
                        self.waiting.push(Reverse((due, token, api, number)));
                    }
                    Err(Garbled) => connection.say(&refusal()),
                }
            }
            connection.write()?;
            Ok(is_open)
        });
        if !is_open.unwrap_or_default() {
            self.connections.remove(&token);
        }
    }

    fn until_due(&self) -> Option<Duration> {
        self.waiting.peek().map(|Reverse((due, ..))| due.saturating_duration_since(Instant::now()))
    }

    fn say_what_is_due(&mut self) {
        while self.until_due().is_some_and(|left| left.is_zero()) {
            let Some(Reverse((_, token, api, number))) = self.waiting.pop() else { return };
            // Who has hung up wants no answer.
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            connection.say(&reply(api, number));
            if connection.write().is_err() {
                self.connections.remove(&token);
            }
        }
    }
}

impl Api {
    fn of(head: &[u8]) -> Option<Self> {
        let paths = [(Self::Anthropic, "POST /v1/messages "), (Self::OpenAi, "POST /v1/chat/completions ")];
        paths.into_iter().find_map(|(api, start)| head.starts_with(start.as_bytes()).then_some(api))
    }
}

impl Connection {
    /// Reads what has arrived; whether more may come.
    fn read(&mut self, piece: &mut [u8]) -> io::Result<bool> {
        loop {
            match self.stream.read(piece) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    self.said.extend_from_slice(piece.get(..read).unwrap_or_default());
                    // What fits with room to spare was all.
                    if read < piece.len() {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    /// The next request that is whole.
    fn next_question(&mut self) -> io::Result<Option<Result<(Api, Question), Garbled>>> {
        let Some(end) = memchr::memmem::find(&self.said, b"\r\n\r\n") else { return Ok(None) };
        let (head, body) = self.said.split_at(end + 4);
        let length = length(head).ok_or(ErrorKind::InvalidData)?;
        let Some(body) = body.get(..length) else { return Ok(None) };
        let question = Api::of(head).zip(Question::find(body)).ok_or(Garbled);
        self.said.drain(..end + 4 + length);
        Ok(Some(question))
    }

    fn say(&mut self, response: &[u8]) {
        self.unsaid.extend_from_slice(response);
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.unsaid.is_empty() {
            match self.stream.write(&self.unsaid) {
                Ok(written) => drop(self.unsaid.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The request's `content-length`.
fn length(head: &[u8]) -> Option<usize> {
    let name = b"content-length:";
    let is_it = |line: &&[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let line = head.split(|byte| *byte == b'\n').find(is_it)?;
    std::str::from_utf8(line.get(name.len()..)?).ok()?.trim().parse().ok()
}

fn reply(api: Api, number: usize) -> Vec<u8> {
    // As they write it; `json!` would be most of the work.
    let text = answer(number).replace('\n', "\\n");
    let body = match api {
        Api::Anthropic => format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":250,"output_tokens":25}}}}"#
        ),
        Api::OpenAi => format!(
            r#"{{"id":"c1","object":"chat.completion","created":1,"model":"gpt","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":250,"completion_tokens":25,"total_tokens":275}}}}"#
        ),
    };
    response("200 OK", &body)
}

fn refusal() -> Vec<u8> {
    let error = json!({ "type": "invalid_request_error", "message": "this is not all of a question of the race" });
    response("400 Bad Request", &json!({ "type": "error", "error": error }).to_string())
}

fn response(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}
