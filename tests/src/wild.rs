//! A provider that answers at `/honest` as it should, at once and by the thousand, and at `/hostile` in the way that the path or the prompt
//! asks for.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::arena::KEY;

macro_rules! mischief {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// A way for a provider to answer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mischief {
            $($(#[$doc])* $name,)*
        }

        impl Mischief {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What the prompt says.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

mischief! {
    /// One byte of the head after the other, and never the last.
    SlowHead = "slow head",
    /// A head without an end.
    EndlessHead = "endless head",
    /// A body without an end.
    EndlessBody = "endless body",
    /// A body that stops in the middle, the connection open.
    StalledBody = "stalled body",
    /// Less than was announced.
    ShortBody = "short body",
    /// More than was announced.
    LongBody = "long body",
    /// Two lengths that differ.
    TwoLengths = "two lengths",
    /// A gigabyte of zeros, compressed.
    GzipBomb = "gzip bomb",
    /// A redirect to the clouds' metadata.
    Redirect = "redirect",
    /// The credential, in four spellings.
    Echo = "echo the credential",
    /// The credential in an error.
    EchoInError = "echo the credential in an error",
    /// No HTTP.
    Garbage = "garbage",
    /// Nothing at all.
    Hangup = "hangup",
    /// An answer of JSON that is a million arrays deep.
    DeepJson = "deep json",
    /// An answer that is no UTF-8.
    InvalidUtf8 = "invalid utf-8",
    /// A status that doesn't exist.
    StrangeStatus = "strange status",
    /// `429`, and the advice to come back in a thousand years.
    RetryNever = "retry never",
    /// A stream that nobody asked for.
    Stream = "unasked stream",
    /// A thousand interim answers.
    Interim = "interim answers",
}

const ANSWER: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"fine"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#;

/// Starts it; its URL.
pub async fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|e| panic!("no port: {e}"));
    let url = listener.local_addr().map_or_else(|e| panic!("no address: {e}"), |address| format!("http://{address}"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    url
}

/// Connections that are open now, of all that were started.
#[must_use]
pub fn connections() -> usize {
    CONNECTIONS.load(Ordering::Relaxed)
}

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

struct Connection;

impl Connection {
    fn begin() -> Self {
        CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection. Whatever fails is the other side's affair.
async fn serve(stream: TcpStream) -> Option<()> {
    let _connection = Connection::begin();
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut path, mut length, mut line) = (String::new(), 0, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let text = line.trim_end();
            if path.is_empty() {
                text.split(' ').nth(1)?.clone_into(&mut path);
            } else if let Some((_, value)) =
                text.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            {
                length = value.trim().parse().ok()?;
            } else if text.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        if path.starts_with("/hostile") {
            let asked = String::from_utf8_lossy(&body);
            let mischief = Mischief::ALL.iter().rev().find(|mischief| asked.contains(mischief.word()))?;
            return answer(*mischief, stream.get_mut()).await;
        }
        stream.get_mut().write_all(&whole("200 OK", "", ANSWER.as_bytes())).await.ok()?;
    }
}

fn whole(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let written = write!(
        answer,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    assert!(written.is_ok());
    answer.extend_from_slice(body);
    answer
}

fn text(text: &str) -> Vec<u8> {
    let text = serde_json::Value::from(text).to_string();
    // The connection ends with it: who went on with it could be told so in the middle of the next request.
    whole("200 OK", "connection: close\r\n", ANSWER.replace("\"fine\"", &text).as_bytes())
}

async fn answer(mischief: Mischief, stream: &mut TcpStream) -> Option<()> {
    let head = |rest: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{rest}\r\n\r\n").into_bytes();
    let answer = match mischief {
        Mischief::SlowHead => {
            let mut beat = tokio::time::interval(Duration::from_millis(20));
            for byte in "HTTP/1.1 200 OK\r\nx-slow: ".bytes().chain(std::iter::repeat(b'x')) {
                beat.tick().await;
                stream.write_all(&[byte]).await.ok()?;
            }
            return None;
        }
        Mischief::EndlessHead => {
            return flood(stream, b"HTTP/1.1 200 OK\r\n", b"x-more: xxxxxxxxxxxxxxxxxxxxxxxxxx\r\n").await;
        }
        Mischief::EndlessBody => {
            let piece = [b"10000\r\n", vec![b' '; 0x10000].as_slice(), b"\r\n"].concat();
            return flood(stream, &head("transfer-encoding: chunked"), &piece).await;
        }
        Mischief::StalledBody => {
            stream.write_all(&head("content-length: 100")).await.ok()?;
            stream.write_all(b"{\"id\":").await.ok()?;
            // Until the other side has gone.
            return stream.read(&mut [0]).await.ok().map(|_| ());
        }
        Mischief::ShortBody => [head("content-length: 100"), b"{}".to_vec()].concat(),
        Mischief::LongBody => [head("content-length: 2"), ANSWER.as_bytes().to_vec()].concat(),
        Mischief::TwoLengths => [head("content-length: 2\r\ncontent-length: 200"), b"{}".to_vec()].concat(),
        Mischief::GzipBomb => {
            // 512 stored blocks of zeros would do as well; the point is the encoding, and that nobody opens it.
            let bomb = [b"\x1f\x8b\x08\0\0\0\0\0\0\x03".as_slice(), &[0xec; 1000]].concat();
            whole("200 OK", "content-encoding: gzip\r\n", &bomb)
        }
        Mischief::Redirect => {
            whole("307 Temporary Redirect", "location: http://169.254.169.254/latest/meta-data/\r\n", b"{}")
        }
        Mischief::Echo => text(&spellings()),
        Mischief::EchoInError => {
            let error = serde_json::json!({ "type": "error", "error": { "type": "authentication_error", "message": spellings() } });
            let header = format!("x-echo: {KEY}\r\nwww-authenticate: Bearer {KEY}\r\n");
            whole("401 Unauthorized", &header, error.to_string().as_bytes())
        }
        Mischief::Garbage => b"\0\x01\x02 SSH-2.0-none\r\n\r\n\r\n".to_vec(),
        Mischief::Hangup => Vec::new(),
        Mischief::DeepJson => whole("200 OK", "", &vec![b'['; 1_000_000]),
        Mischief::InvalidUtf8 => whole("200 OK", "", b"{\"id\":\"\xff\xfe\"}"),
        Mischief::StrangeStatus => whole("999 What", "", b"{}"),
        Mischief::RetryNever => whole("429 Too Many Requests", "retry-after: 31536000000\r\n", b"{}"),
        Mischief::Stream => {
            let event = b"event: message_start\ndata: {\"type\":\"message_start\"}\n\n".as_slice();
            let start = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".as_slice();
            [start, event].concat()
        }
        Mischief::Interim => {
            ["HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000).into_bytes(), whole("200 OK", "", ANSWER.as_bytes())]
                .concat()
        }
    };
    stream.write_all(&answer).await.ok()?;
    stream.shutdown().await.ok()
}

async fn flood(stream: &mut TcpStream, first: &[u8], piece: &[u8]) -> Option<()> {
    stream.write_all(first).await.ok()?;
    loop {
        stream.write_all(piece).await.ok()?;
    }
}

/// Every byte of a text, percent-encoded.
#[must_use]
pub fn in_percent(text: &str) -> String {
    text.bytes().flat_map(|byte| [b'%', digit(byte >> 4), digit(byte & 15)]).map(char::from).collect()
}

fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'A' - 10 + nibble }
}

/// The credential as it is, in base64 (by itself, and as a part of more), percent-encoded, and with JSON's escapes.
#[must_use]
pub fn spellings() -> String {
    let base64 = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let percent = in_percent(KEY);
    let parts = [
        base64(KEY),
        base64(&format!("x{KEY}")),
        base64(&format!("xy{KEY}")),
        base64(&format!("Bearer {KEY}, you said")),
    ];
    format!("{KEY} {} {percent} {}", parts.join(" "), KEY.replace('-', "%2D"))
}
