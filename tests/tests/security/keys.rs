//! The user's key, in whatever spelling it comes back, and a plugin's own account.

use std::sync::{Mutex, PoisonError, mpsc};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::guests;
use understudy_tests::program::{Place, Run, run};
use understudy_tests::provider::{Provider, begin, piece, respond};
use understudy_tests::session::{Session, sampling};

/// One that the ordinary escapes of JSON, URLs and HTML change.
const KEY: &str = "sk-proj-Ab/dEf+0123456789_xyz==";

fn key_of(request: &understudy_tests::provider::Request) -> String {
    request.headers["authorization"].trim_start_matches("Bearer ").to_owned()
}

fn chunk(text: &str) -> Vec<u8> {
    let delta = json!({ "role": "assistant", "content": text });
    let chunk = json!({ "id": "x", "object": "chat.completion.chunk", "model": "m",
                        "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] });
    format!("data: {chunk}\n\n").into_bytes()
}

/// A provider that streams the key in pieces, as the last message's text says: `one`, `two`, `three` or `chars`; in `hex` also.
fn streaming() -> Provider {
    Provider::start(|request, stream, _| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let text = body["messages"][0]["content"].clone();
        let text = text.as_str().or(text[0]["text"].as_str()).unwrap_or_default().to_owned();
        let key = key_of(request);
        let key = if text.contains("hex") { hex::encode(key) } else { key };
        let size = match text.split(' ').next() {
            Some("one") => key.len(),
            Some("two") => key.len() / 2 + 1,
            Some("three") => key.len() / 3 + 1,
            _ => 1,
        };
        begin(stream, "text/event-stream");
        piece(stream, &chunk("the key is "));
        for part in key.as_bytes().chunks(size) {
            piece(stream, &chunk(&String::from_utf8_lossy(part)));
        }
        piece(stream, &chunk(", no more"));
        let end = json!({ "id": "x", "object": "chat.completion.chunk", "model": "m",
                          "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
        piece(stream, format!("data: {end}\n\ndata: [DONE]\n\n").as_bytes());
        piece(stream, b"");
    })
}

const PIECES: [&str; 8] = ["one", "two", "three", "chars", "one hex", "two hex", "three hex", "chars hex"];

fn openai(place: &Place, provider: &Provider) -> String {
    let plugin = json!({ "component": "builtin:openai", "model": "m", "endpoint": provider.url, "settings": { "stream": true },
                         "credential": { "bearer": true, "file": place.file("key", KEY) } });
    let config = json!({ "sampling": "p", "plugins": { "p": plugin } });
    place.file("understudy.json", config.to_string()).to_string_lossy().into_owned()
}

#[test]
fn a_key_that_comes_in_pieces_of_a_stream_is_not_in_the_answer() {
    let (place, provider) = (Place::new(), streaming());
    let config = openai(&place, &provider);
    for pieces in PIECES {
        let command = place.understudy(["sample", "--config", &config]);
        let answer = run(command, &sampling(1, pieces)["params"].to_string()).ok().stdout;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        assert_eq!(answer["content"]["text"], "the key is [credential], no more", "{pieces}");
    }
}

#[test]
fn a_key_that_comes_in_pieces_is_not_in_what_is_told_of_the_progress_either() {
    let place = Place::new();
    let (to_stream, pieces) = mpsc::channel::<String>();
    let pieces = Mutex::new(pieces);
    let provider = Provider::start(move |_, stream, _| {
        let pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
        begin(stream, "text/event-stream");
        while let Ok(text) = pieces.recv_timeout(PATIENCE) {
            if text.is_empty() {
                break;
            }
            piece(stream, &chunk(&text));
        }
        piece(stream, b"data: [DONE]\n\n");
        piece(stream, b"");
    });
    let config = openai(&place, &provider);
    let mut session = Session::start(&place, &["--plugin", "p", "--config", &config], &["cat"]);
    for (id, secret) in (1..).zip([KEY.to_owned(), hex::encode(KEY), BASE64_STANDARD.encode(KEY)]) {
        let mut request = sampling(id, "go on");
        request["params"]["_meta"] = json!({ "progressToken": id });
        session.say(&request);
        let feed = |text: &str| to_stream.send(text.to_owned()).unwrap_or_else(|e| panic!("{e}"));
        // Each goes out when the one before has been seen, and what may be the key's beginning not at all.
        feed("the key ");
        assert_eq!(session.hear()["params"]["message"], "the key ");
        feed(&format!("is {}", &secret[..8]));
        assert_eq!(session.hear()["params"]["message"], "is ");
        feed(&secret[8..20]);
        feed(&secret[20..]);
        let cut = session.hear();
        assert_eq!(cut["params"]["message"], "[credential]", "{cut}");
        feed(", no more");
        assert_eq!(session.hear()["params"]["message"], ", no more");
        feed("");
        assert_eq!(session.hear()["result"]["content"]["text"], "the key is [credential], no more");
    }
    assert!(session.end().1.is_empty());
}

/// Lets the handler make these requests; what came of each.
fn handled(place: &Place, plugin: &Value, requests: &[Value]) -> Run {
    let mut plugin = plugin.clone();
    plugin["component"] = json!(guests::write("handler", place.path()));
    let config = json!({ "sampling": "x", "limits": { "retries": 0 }, "plugins": { "x": plugin } });
    let config = place.file("understudy.json", config.to_string()).to_string_lossy().into_owned();
    let mut command = place.understudy(["sample", "--config", &config]);
    command.env("HANDLER_KEY", KEY);
    run(command, &sampling(1, &json!({ "requests": requests }).to_string())["params"].to_string())
}

fn came(run: Run) -> Vec<Value> {
    let run = run.ok();
    let result: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
    let text = result["content"]["text"].as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {}", run.stdout))
}

fn request(provider: &Provider, path: &str) -> Value {
    json!({ "authority": provider.url.trim_start_matches("http://"), "path": path })
}

/// Some characters in another way, and the others as they are.
fn special(text: &str, spelt: impl Fn(u8) -> String) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { spelt(byte) })
        .collect()
}

type Spelling = (&'static str, fn(&str) -> String);

/// How endpoints that repeat a key, and proxies before them, spell it.
const SPELLINGS: [Spelling; 20] = [
    ("as it is", str::to_owned),
    ("hexadecimal", |key| hex::encode(key)),
    ("upper hexadecimal", |key| hex::encode_upper(key)),
    ("hexadecimal bytes", |key| key.bytes().map(|byte| format!("{byte:02x}:")).collect()),
    ("Base64", |key| BASE64_STANDARD.encode(key)),
    ("Base64 of more", |key| BASE64_STANDARD.encode(format!("Authorization: Bearer {key}\r\n"))),
    ("Base64 twice", |key| BASE64_STANDARD.encode(BASE64_STANDARD.encode(format!("user:{key}")))),
    ("Base64 in lines", |key| {
        let text = BASE64_STANDARD.encode(format!("Received: from a client that said its key was this one: {key}"));
        format!("{}\r\n{}", &text[..76], &text[76..])
    }),
    ("HTML's numbers", |key| special(key, |byte| format!("&#{byte};"))),
    ("HTML's hexadecimal", |key| special(key, |byte| format!("&#x{byte:02X};"))),
    ("HTML's names", |key| key.replace('/', "&sol;").replace('=', "&equals;").replace('+', "&plus;")),
    ("a URL", |key| special(key, |byte| format!("%{byte:02X}"))),
    ("a URL in a URL", |key| special(key, |byte| format!("%25{byte:02X}"))),
    ("JSON", |key| key.replace('/', "\\/")),
    ("JSON in JSON", |key| key.replace('/', "\\\\\\/").replace('=', "\\\\u003d")),
    ("JSON's numbers in HTML", |key| special(key, |byte| format!("&#92;u{byte:04x}"))),
    ("quoted-printable", |key| format!("{}=\r\n{}", &key[..9], key[9..].replace('=', "=3D"))),
    ("C", |key| key.bytes().map(|byte| format!("\\x{byte:02x}")).collect()),
    ("a list of bytes", |key| key.bytes().map(|byte| format!("{byte}, ")).collect()),
    ("all but its last four", |key| format!("{}…", &key[..key.len() - 4])),
];

#[test]
fn a_guest_sees_the_key_in_no_spelling() {
    let place = Place::new();
    let provider = Provider::start(|request, stream, _| {
        let number: usize = request.line.split(['/', ' ']).nth(2).and_then(|n| n.parse().ok()).unwrap_or_default();
        let (_, spelt) = SPELLINGS[number];
        respond(
            stream,
            "200 OK",
            "content-type: text/plain\r\n",
            format!("a {} z", spelt(&key_of(request))).as_bytes(),
        );
    });
    let plugin = json!({ "allow": [provider.url], "credential": { "bearer": true, "env": "HANDLER_KEY" } });
    for part in 0..SPELLINGS.len().div_ceil(7) {
        let some: Vec<usize> = (part * 7..SPELLINGS.len().min(part * 7 + 7)).collect();
        let requests: Vec<Value> = some.iter().map(|n| request(&provider, &format!("/{n}"))).collect();
        for (number, came) in some.iter().zip(came(handled(&place, &plugin, &requests))) {
            let (name, body) = (SPELLINGS[*number].0, came["body"].as_str().unwrap_or_default());
            let is_cut = body.contains("[credential]") && body.starts_with("a ") && body.ends_with(" z");
            // What isn't the key's own may be left beside it.
            assert!(is_cut && body.len() < 170 && !body.contains(&KEY[8..20]), "{name}: {body}");
        }
    }
}

#[test]
fn a_key_in_a_headers_name_or_in_a_compressed_answer_does_not_reach_a_guest() {
    let place = Place::new();
    let echo = Provider::start(|request, stream, _| {
        let name = key_of(request).replace(['/', '+', '=', '_'], "-");
        let (key, hex) = (key_of(request), hex::encode(key_of(request)));
        respond(stream, "200 OK", &format!("x-{name}: a\r\nx-{hex}: b\r\nx-hex: {hex}\r\nx-plain: {key}\r\n"), b"");
    });
    let plugin = json!({ "allow": [echo.url], "credential": { "bearer": true, "env": "HANDLER_KEY" } });
    let came = came(handled(&place, &plugin, &[request(&echo, "/")])).remove(0);
    let headers = came["headers"].to_string();
    assert!(!headers.contains(&hex::encode(KEY)[8..]) && !headers.contains(KEY), "{headers}");
    assert_eq!(
        (&came["headers"]["x-hex"], &came["headers"]["x-plain"]),
        (&json!("[credential]"), &json!("[credential]"))
    );

    // A provider plugin, too.
    let zipped = Provider::answering(
        "200 OK",
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
        b"\x1f\x8b".to_vec(),
    );
    let config = openai(&place, &zipped);
    let run = run(place.understudy(["sample", "--config", &config]), &sampling(1, "x")["params"].to_string());
    assert!(run.stderr.contains("answers compressed, so that the credential can't be cut out"), "{}", run.stderr);
}

#[test]
fn a_plugin_brings_no_account_of_its_own() {
    let place = Place::new();
    let provider = Provider::answering("200 OK", "", "fine");
    let headers = [
        "x-api-key",
        "X_Api_Key",
        "api-key",
        "apikey",
        "x-goog-api-key",
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-auth-token",
        "ocp-apim-subscription-key",
        "x-amz-security-token",
        "helicone-auth",
        "cf-aig-authorization",
        "private-token",
        "x-my",
        "X_My",
        "range",
        "if-range",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-forwarded-for",
        "x-forwarded-host",
        "forwarded",
        "via",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
        "host",
        "connection",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "transfer-encoding",
    ];
    let queries = [
        "/q?k=own",
        "/q?K=own",
        "/q?%6b=own",
        "/q?%256B=own",
        "/q?a=b&k=own",
        "/q?a=b;k=own",
        "/q?k[]=own",
        "/q?k%5B%5D=own",
        "/q?+k=own",
        "/q;k=own",
        "/q?key=own",
        "/q?k%65y=own",
        "/q?api_key=own",
        "/q?apiKey=own",
        "/q?access_token=own",
        "/q?token=own",
        "/q?sig=own",
        "/q?X-Amz-Signature=own",
        "/q?x-amz-credential=own",
        "/q?k",
    ];
    let plugin = json!({ "allow": [
        { "origin": provider.url, "credential": { "query": "k", "env": "HANDLER_KEY" } },
        { "origin": "https://other.example", "credential": { "header": "X-My", "env": "HANDLER_KEY" } },
    ] });
    let all: Vec<Value> = headers
        .iter()
        .map(|name| {
            let mut request = request(&provider, "/");
            request["headers"] = json!({ *name: "own" });
            request
        })
        .collect();
    for (name, came) in headers.iter().zip(came(handled(&place, &plugin, &all))) {
        assert_eq!(came["error"], format!("header `{name}`: HeaderError::Forbidden"), "{name}");
    }
    for path in queries {
        let run = handled(&place, &plugin, &[request(&provider, path)]);
        let words = "is the host's to set: it may name an account, and `plugins.x` says in `credential` or `headers` whose that is";
        let is_refused = run.stdout.contains("HttpRequestDenied") && run.stderr.contains(words);
        assert!(is_refused, "{path}: {}{}", run.stdout, run.stderr);
    }
    assert!(provider.seen().is_empty(), "{:?}", provider.seen());

    // What names no account goes out, and the user's own key with it.
    let mut fine = request(&provider, "/q?alt=sse&pageToken=2&a=k");
    fine["headers"] =
        json!({ "anthropic-version": "1", "openai-beta": "a", "idempotency-key": "b", "user-agent": "c" });
    let came = came(handled(&place, &plugin, &[fine]));
    assert_eq!(came[0]["status"], 200, "{came:?}");
    let seen = provider.seen().remove(0);
    assert!(seen.line.starts_with("GET /q?alt=sse&pageToken=2&a=k&k=sk-proj-"), "{}", seen.line);
    assert_eq!((seen.headers["openai-beta"].as_str(), seen.headers["idempotency-key"].as_str()), ("a", "b"));
}
