//! Answers that come as a stream: in pieces, too slowly, too much, broken, endless; and the progress that the server sees.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::guests;
use understudy_tests::program::{Place, Run, run};
use understudy_tests::provider::{Gate, Provider, Request, begin, piece, respond, wait_for_hangup};
use understudy_tests::session::{Session, sampling};

const KEY: &str = "sk-understudy-test-0123456789";

/// A provider that streams: what it writes after the answer's head, and whether it ends the answer in good order.
fn streaming(
    content_type: &'static str,
    answer: impl Fn(&mut TcpStream, &Gate) -> bool + Send + Sync + 'static,
) -> Provider {
    Provider::start(move |_: &Request, stream, gate| {
        begin(stream, content_type);
        if answer(stream, gate) {
            piece(stream, b"");
        }
    })
}

/// The config for the streaming guest and this provider.
fn configured(place: &Place, provider: &Provider, limits: &Value) -> String {
    let guest = guests::write("streaming", place.path());
    let config = json!({ "limits": limits, "plugins": { "p": { "component": guest, "model": "m",
        "endpoint": provider.url, "credential": { "bearer": true, "file": place.file("key", KEY) } } } });
    place.file("understudy.json", config.to_string()).to_string_lossy().into_owned()
}

fn sample(place: &Place, provider: &Provider, text: &str, limits: &Value) -> Run {
    let config = configured(place, provider, limits);
    let command = place.understudy(["sample", "--plugin", "p", "--config", &config]);
    run(command, &sampling(1, text)["params"].to_string())
}

fn said(run: Run) -> String {
    let run = run.ok();
    let result: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
    result["content"]["text"].as_str().unwrap_or_else(|| panic!("{}", run.stdout)).to_owned()
}

/// The limits for one attempt: what is tried again is another test's.
fn once() -> Value {
    json!({ "retries": 0 })
}

#[test]
fn events_and_lines_reach_the_plugin_however_they_arrive() {
    let place = Place::new();
    let events = streaming("text/event-stream; charset=utf-8", |stream, _| {
        for part in ["event: a\nda", "ta: 1\n", "\n: nothing\n\ndata: 2\r\n\r", "\ndata: {\"x\":\ndata: 3}\n\n"] {
            piece(stream, part.as_bytes());
        }
        true
    });
    assert_eq!(said(sample(&place, &events, "events", &once())), "begun|200|a=1|=2|={\"x\":\n3}|closed");
    let seen = &events.seen()[0];
    assert_eq!(seen.headers["accept"], "text/event-stream");
    assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
    let lines = streaming("application/x-ndjson", |stream, _| {
        for part in ["{\"a\"", ":1}\r\n\n[2]\n", "3"] {
            piece(stream, part.as_bytes());
        }
        true
    });
    assert_eq!(said(sample(&place, &lines, "lines", &once())), "begun|200|={\"a\":1}|=[2]|=3|closed");
    assert_eq!(lines.seen()[0].headers["accept"], "application/x-ndjson");
}

#[test]
fn what_is_no_stream_is_handed_over_whole() {
    let place = Place::new();
    let json = Provider::answering("200 OK", "content-type: Application/JSON; charset=utf-8\r\n", "{\"whole\": 1}");
    assert_eq!(said(sample(&place, &json, "events", &once())), "resumed begun with 200: {\"whole\": 1}");
    // By their first byte, whatever they are called.
    for whole in ["{\"whole\": 1}", "\n <html>down</html>"] {
        let labelled = Provider::answering("200 OK", "content-type: text/event-stream\r\n", whole);
        let expected = format!("resumed begun with 200: {whole}");
        assert_eq!(said(sample(&place, &labelled, "events", &once())), expected);
    }
    let refusal = Provider::answering("400 Bad Request", "content-type: text/event-stream\r\n", "data: no\n\n");
    assert_eq!(said(sample(&place, &refusal, "events", &once())), "resumed begun with 400: data: no\n\n");
}

#[test]
fn a_stream_that_does_not_end_is_left_when_the_answer_is_there() {
    let place = Place::new();
    let provider = streaming("text/event-stream", |stream, _| {
        piece(stream, b"data: 1\n\ndata: done\n\ndata: 2\n\n");
        wait_for_hangup(stream);
        false
    });
    assert_eq!(said(sample(&place, &provider, "events", &once())), "begun|200|=1");
    provider.gate().wait_for_silence();
}

#[test]
fn a_stream_can_lead_to_another_exchange() {
    let place = Place::new();
    let turn = AtomicUsize::new(0);
    let provider = streaming("text/event-stream", move |stream, _| {
        piece(stream, if turn.fetch_add(1, Ordering::SeqCst) == 0 { b"data: again\n\n" } else { b"a line\n" });
        true
    });
    assert_eq!(said(sample(&place, &provider, "events", &once())), "begun|200|=a line|closed");
    assert_eq!(provider.seen().len(), 2);
}

#[test]
fn a_stream_that_breaks_is_tried_again_and_nothing_of_it_is_kept() {
    let place = Place::new();
    let turn = AtomicUsize::new(0);
    let provider = streaming("text/event-stream", move |stream, _| {
        let turn = turn.fetch_add(1, Ordering::SeqCst);
        piece(stream, format!("data: attempt {turn}\n\n").as_bytes());
        turn > 0
    });
    assert_eq!(said(sample(&place, &provider, "events", &json!({}))), "begun|200|=attempt 1|closed");
    assert_eq!(provider.seen().len(), 2);
}

#[test]
fn a_stream_that_always_breaks_is_an_error_and_never_half_an_answer() {
    let place = Place::new();
    for (text, written) in [("events", "data: half\n\n"), ("lines", "half\n"), ("events", "data: ha")] {
        let provider = streaming("text/event-stream", move |stream, _| {
            piece(stream, written.as_bytes());
            false
        });
        let run = sample(&place, &provider, text, &once());
        assert_eq!((run.code(), run.stdout.as_str()), (1, ""), "{}", run.stderr);
        assert!(run.stderr.contains("the answer broke off"), "{}", run.stderr);
    }
}

#[test]
fn a_stream_that_misbehaves_gives_one_clear_error() {
    let place = Place::new();
    let cases: [(&str, Vec<u8>, Value, &str); 7] = [
        ("events", b"data: trap\n\n".to_vec(), json!({}), "trapped in `next`: "),
        ("events", b"data: loop\n\n".to_vec(), json!({"cpu": "50 ms"}), "in `next`: 50ms of CPU time (`limits.cpu`)"),
        ("events", b"data: refuse\n\n".to_vec(), json!({}), "the provider says content-filtered, HTTP 200: no"),
        ("events", b"data: insatiable\n\n".to_vec(), json!({}), "it wants more of a stream that has ended"),
        ("events", b"data: state\n\n".to_vec(), json!({}), "bytes of a stream's state (`limits.state` and"),
        ("events", b"data: \xff\xfe\n\n".to_vec(), json!({}), "can't be read: "),
        ("lines", [b'x'; 5000].to_vec(), json!({"responseBody": "4 KiB"}), "larger than `limits.responseBody` allows"),
    ];
    for (text, written, mut limits, expected) in cases {
        let provider = streaming("text/event-stream", move |stream, _| {
            piece(stream, &written);
            true
        });
        limits["retries"] = json!(0);
        let run = sample(&place, &provider, text, &limits);
        assert_eq!(run.code(), 1, "{expected}: {}", run.stdout);
        assert!(run.stderr.contains(expected), "{expected}: {}", run.stderr);
    }
}

#[test]
fn an_endless_stream_ends_at_the_limits() {
    let place = Place::new();
    let flood = streaming("text/event-stream", |stream, _| {
        let many = "data: 0123456789\n\n".repeat(1000);
        // Until the other side has had enough.
        while std::io::Write::write_all(stream, format!("{:x}\r\n{many}\r\n", many.len()).as_bytes()).is_ok() {}
        false
    });
    let run = sample(&place, &flood, "events", &json!({"retries": 0, "responseBody": "1 MiB"}));
    assert!(run.stderr.contains("larger than `limits.responseBody` allows"), "{}", run.stderr);
    let silent = streaming("text/event-stream", |stream, _| {
        piece(stream, b"data: 1\n\n");
        wait_for_hangup(stream);
        false
    });
    let run = sample(&place, &silent, "events", &json!({"retries": 0, "deadline": "300 ms"}));
    assert!(run.stderr.contains("no answer within 300ms (`limits.deadline`)"), "{}", run.stderr);
    silent.gate().wait_for_silence();
}

#[test]
fn the_credential_is_cut_out_of_a_stream() {
    let place = Place::new();
    let provider = Provider::start(|request: &Request, stream, _| {
        begin(stream, "text/event-stream");
        let event = format!("data: you sent {}\n\n", request.headers["authorization"]);
        let (first, second) = event.split_at(30);
        piece(stream, first.as_bytes());
        piece(stream, second.as_bytes());
        piece(stream, b"");
    });
    let run = sample(&place, &provider, "events", &once()).ok();
    assert!(run.stdout.contains("you sent Bearer [credential]") && !run.stdout.contains(KEY), "{}", run.stdout);
}

/// A provider that streams what the test gives it, piece by piece, until the test ends it.
fn fed() -> (Provider, mpsc::Sender<Vec<u8>>) {
    let (to_stream, pieces) = mpsc::channel::<Vec<u8>>();
    let pieces = Mutex::new(pieces);
    let provider = streaming("text/event-stream", move |stream, _| {
        let pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(bytes) = pieces.recv_timeout(PATIENCE) {
            if bytes.is_empty() {
                return true;
            }
            if bytes == b"break" {
                return false;
            }
            piece(stream, &bytes);
        }
        false
    });
    (provider, to_stream)
}

fn feed(to: &mpsc::Sender<Vec<u8>>, text: &str) {
    to.send(text.as_bytes().to_vec()).unwrap_or_else(|e| panic!("{e}"));
}

fn wanting_progress(id: i64, token: &Value) -> Value {
    let mut request = sampling(id, "events");
    request["params"]["_meta"] = json!({ "progressToken": token });
    request
}

fn session(place: &Place, config: &str) -> Session {
    Session::start(place, &["--plugin", "p", "--config", config], &["cat"])
}

#[test]
fn a_server_that_wants_to_sees_the_text_before_the_answer_is_there() {
    let place = Place::new();
    let (provider, to_stream) = fed();
    let mut session = session(&place, &configured(&place, &provider, &json!({})));
    session.say(&wanting_progress(1, &json!("t-1")));
    feed(&to_stream, "data: To be\n\n");
    // The stream goes on only when its beginning has been seen.
    let progress = session.hear();
    assert_eq!(
        progress,
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "t-1", "progress": 5, "message": "To be"}})
    );
    feed(&to_stream, "data: or nöt\n\n");
    assert_eq!(session.hear()["params"], json!({"progressToken": "t-1", "progress": 11, "message": "or nöt"}));
    feed(&to_stream, "");
    let answer = session.hear();
    assert_eq!((&answer["id"], &answer["result"]["model"]), (&json!(1), &json!("streaming")), "{answer}");
    assert!(session.end().1.is_empty());
}

#[test]
fn progress_goes_on_rising_when_a_stream_breaks_and_begins_again() {
    let place = Place::new();
    let (provider, to_stream) = fed();
    let mut session = session(&place, &configured(&place, &provider, &json!({})));
    session.say(&wanting_progress(1, &json!(9)));
    feed(&to_stream, "data: half\n\n");
    assert_eq!(session.hear()["params"]["progress"], 4);
    feed(&to_stream, "break");
    feed(&to_stream, "data: whole\n\n");
    assert_eq!(session.hear()["params"]["progress"], 9);
    feed(&to_stream, "");
    assert_eq!(session.hear()["result"]["content"]["text"], "begun|200|=whole|closed");
}

#[test]
fn a_server_that_does_not_want_progress_gets_none() {
    let place = Place::new();
    let (provider, to_stream) = fed();
    let mut session = session(&place, &configured(&place, &provider, &json!({})));
    session.say(&sampling(1, "events"));
    feed(&to_stream, "data: To be\n\n");
    feed(&to_stream, "");
    assert_eq!(session.hear()["id"], 1);
    assert!(session.end().1.is_empty());
}

#[test]
fn cancelling_ends_a_stream_at_once() {
    let place = Place::new();
    let provider = streaming("text/event-stream", |stream, _| {
        piece(stream, b"data: 1\n\n");
        wait_for_hangup(stream);
        false
    });
    let mut session = session(&place, &configured(&place, &provider, &json!({})));
    session.begin_a_call();
    session.say(&wanting_progress(1, &json!(1)));
    assert_eq!(session.hear()["method"], "notifications/progress");
    session.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}));
    provider.gate().wait_for_silence();
    assert!(session.end().1.is_empty(), "a cancelled request gets no answer");
}

#[test]
fn a_limit_reached_while_streaming_is_typed_by_the_plugin() {
    let place = Place::new();
    let provider = Provider::start(|_: &Request, stream, _| respond(stream, "429 Too Many Requests", "", b""));
    let run = sample(&place, &provider, "events", &once());
    assert!(run.stderr.contains("the provider says rate-limited, HTTP 429: later"), "{}", run.stderr);
}
