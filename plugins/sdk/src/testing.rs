//! Fixtures: a conversion's cases as JSON files, run natively.
//!
//! A fixture is one conversation with the plugin:
//!
//! ```json
//! {
//!   "request":   { "messages": […], "maxTokens": 100 },
//!   "options":   { "model": "large-1", "settings": {} },
//!   "exchanges": [ {
//!     "request":  { "method": "POST", "path": "/v1/chat", "headers": { … }, "body": { … } },
//!     "response": { "status": 200, "headers": {}, "body": { … } }
//!   } ],
//!   "result":    { "role": "assistant", … },
//!   "usage":     { "input": 12, "output": 34, "details": {} },
//!   "error":     { "kind": "rate-limited", "status": 429, "message": "…", "retryAfterMs": 2000 }
//! }
//! ```
//!
//! `request` is MCP's `CreateMessageRequestParams`; a body that isn't JSON is a string. An exchange whose answer is wanted as a
//! stream has `"framing": "server-sent-events"` (or `"lines"`) in its request, and its response holds, in place of a body,
//! `"events": [ { "event": "delta", "data": { … } } ]`; data that isn't JSON is a string, and `"ends": false` says that the
//! stream doesn't end by itself. `"progress"` is the text that the stream showed on its way. Each fixture ends with `result` or
//! `error`. An error's `kind` is the variant's name, or for a provider's error its own kind. With `UPDATE_FIXTURES=1` in the
//! environment the expectations are written anew instead of compared: look at the difference before you commit it.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "this module is for tests: a panic is how they report")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Provider;
use crate::stream::{Event, Message, ResponseHead, StreamingProvider, StreamingStep};
use crate::types::{Completion, CreateMessageRequest, Error, Framing, Header, HttpResponse, Options, Step};

understudy_mcp_types::wit_conversions!(crate::types);
understudy_mcp_types::fixture_conversions!(crate::types);

/// An error as fixtures have it.
pub(crate) fn guest_error_json(error: &Error) -> Value {
    error_json(error)
}

/// MCP's `CreateMessageRequestParams` as a plugin gets them.
///
/// # Panics
/// If the text isn't a valid sampling request.
#[must_use]
pub fn request(params: &str) -> CreateMessageRequest {
    let params = understudy_mcp_types::CreateMessageRequestParams::from_json(params.as_bytes())
        .unwrap_or_else(|e| panic!("not a sampling request: {e}"));
    params.validate().unwrap_or_else(|e| panic!("not a valid sampling request: {e}"));
    params.into()
}

/// Options as the host would make them.
#[must_use]
pub fn options(model: &str, settings: &Value) -> Options {
    Options {
        model: model.to_owned(),
        request_id: "request-1".to_owned(),
        server: "server".to_owned(),
        settings: settings.to_string(),
        extensions: "{}".to_owned(),
    }
}

/// An answer as a plugin gets it.
#[must_use]
pub fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> HttpResponse {
    HttpResponse {
        status,
        headers: headers.iter().map(|(n, v)| Header { name: (*n).to_owned(), value: (*v).to_owned() }).collect(),
        body: body.into(),
        extensions: "{}".to_owned(),
    }
}

/// The result as the server would get it, with `tools` in its request.
///
/// # Panics
/// If a field that should hold JSON doesn't.
#[must_use]
pub fn result_json(completion: &Completion) -> Value {
    let result: Result<understudy_mcp_types::CreateMessageResult, _> = completion.result.clone().try_into();
    let result = result.unwrap_or_else(|e: understudy_mcp_types::BadJson| panic!("{e}"));
    result.to_value()
}

/// Runs every `*.json` in `folder` through the plugin.
///
/// # Panics
/// If one doesn't come out as it says, or there is none.
pub fn check_fixtures<P: Provider>(folder: impl AsRef<Path>) {
    check_all(folder.as_ref(), |fixture| run::<P>(fixture, &no_stream));
}

/// The same for a plugin that can stream. Each stream is handed over twice, message by message and all at once: what comes of
/// it must not depend on that.
///
/// # Panics
/// If one doesn't come out as it says, or there is none.
pub fn check_streaming_fixtures<P: Provider + StreamingProvider>(folder: impl AsRef<Path>) {
    check_all(folder.as_ref(), outcome::<P>);
}

/// A fixture with its expectations replaced by what really happens.
///
/// # Panics
/// If that depends on how a stream is cut, or the fixture is none.
#[must_use]
pub fn outcome<P: Provider + StreamingProvider>(fixture: &Value) -> Value {
    // Of the text, the last call shows none: how much there was before it does depend on the cut.
    let without_progress = |mut outcome: Value| {
        outcome.as_object_mut().and_then(|outcome| outcome.shift_remove("progress"));
        outcome
    };
    let all_at_once = run::<P>(fixture, &|state, events| play::<P>(state, events, usize::MAX));
    let one_by_one = run::<P>(fixture, &|state, events| play::<P>(state, events, 1));
    let (left, right) = (without_progress(one_by_one.clone()), without_progress(all_at_once));
    assert_eq!(left, right, "the outcome depends on where the stream was cut");
    one_by_one
}

/// Hands a stream over, so many events at a time: what came of it, and the text that it showed.
fn play<P: StreamingProvider>(mut state: Vec<u8>, events: &[Event], at_once: usize) -> (Outcome, String) {
    let mut progress = String::new();
    for events in events.chunks(at_once) {
        match P::next(state, events.to_vec()) {
            Ok(StreamingStep::More(more)) => {
                progress.push_str(&more.text);
                state = more.state;
            }
            Ok(StreamingStep::Done(completion)) => return (Some(Ok(Step::Done(completion))), progress),
            Ok(StreamingStep::Fetch(fetch)) => return (Some(Ok(Step::Fetch(fetch))), progress),
            Err(error) => return (Some(Err(error)), progress),
        }
    }
    (None, progress)
}

/// Hands a stream over: what came of it, and the text that it showed.
type Play<'a> = dyn Fn(Vec<u8>, &[Event]) -> (Outcome, String) + 'a;

/// What came of a stream: none if it goes on.
type Outcome = Option<Result<Step, Error>>;

fn no_stream(_: Vec<u8>, _: &[Event]) -> (Outcome, String) {
    panic!("the plugin asks for a stream: check it by `check_streaming_fixtures`")
}

pub(crate) fn check_all(folder: &Path, run: impl Fn(&Value) -> Value) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no fixture in {}", folder.display());
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let fixture: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let outcome = run(&fixture);
        if outcome == fixture {
            continue;
        }
        let written = format!("{outcome:#}\n");
        if update {
            std::fs::write(&file, written).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        } else {
            wrong.push(format!("{}:\n{}", file.display(), difference(&format!("{fixture:#}\n"), &written)));
        }
    }
    assert!(wrong.is_empty(), "fixtures that come out otherwise (- expected, + got):\n{}", wrong.join("\n"));
}

/// The fixture with its expectations replaced by what really happened.
fn run<P: Provider>(fixture: &Value, play: &Play) -> Value {
    let mut outcome = fixture.as_object().cloned().unwrap_or_default();
    for key in ["result", "usage", "error", "progress"] {
        outcome.remove(key);
    }
    let request = request(&fixture["request"].to_string());
    let settings = fixture["options"].get("settings").cloned().unwrap_or_else(|| json!({}));
    let options = options(fixture["options"]["model"].as_str().unwrap_or_default(), &settings);
    let planned = fixture["exchanges"].as_array().cloned().unwrap_or_default();
    let mut made = Vec::new();
    let mut step = P::start(request, options);
    loop {
        match step {
            Ok(Step::Fetch(fetch)) => {
                let Some(answer) = planned.get(made.len()).map(|exchange| exchange["response"].clone()) else {
                    made.push(json!({ "request": fetch_json(&fetch), "response": null }));
                    break;
                };
                made.push(json!({ "request": fetch_json(&fetch), "response": answer }));
                if fetch.framing == Framing::Whole || answer["events"].is_null() {
                    step = P::resume(fetch.state, answer_of(&answer));
                    continue;
                }
                let (came, progress) = play(fetch.state, &events_of(&answer));
                if !progress.is_empty() {
                    outcome.insert("progress".to_owned(), json!(progress));
                }
                match came {
                    Some(next) => step = next,
                    None => break,
                }
            }
            Ok(Step::Done(completion)) => {
                outcome.insert("result".to_owned(), result_json(&completion));
                if let Some(usage) = completion.usage {
                    let usage = usage_json(&usage).unwrap_or_else(|e| panic!("{e}"));
                    outcome.insert("usage".to_owned(), usage);
                }
                break;
            }
            Err(error) => {
                outcome.insert("error".to_owned(), error_json(&error));
                break;
            }
        }
    }
    if !made.is_empty() || fixture.get("exchanges").is_some() {
        outcome.insert("exchanges".to_owned(), Value::Array(made));
    }
    Value::Object(outcome)
}

/// Hands `resume` damaged bodies, with this state and with a damaged one; the damage is the same in every run. Any outcome
/// will do: that there is one is what is tested.
///
/// # Panics
/// If the plugin does.
pub fn check_damaged_answers<P: Provider>(state: &[u8], bodies: &[&str]) {
    let mut random = random();
    let headers = [("retry-after", "1e300"), ("x-ratelimit-reset-requests", "9e9h")];
    for _ in 0..20_000 {
        let mut body = bodies[random(bodies.len())].as_bytes().to_vec();
        let mut damaged = state.to_vec();
        for bytes in [&mut body, &mut damaged] {
            damage(bytes, &mut random);
        }
        let status = [200, 200, 400, 404, 429, 503][random(6)];
        drop(P::resume(damaged, response(status, &headers[random(3)..], body.clone())));
        drop(P::resume(state.to_vec(), response(status, &headers[random(3)..], body)));
    }
}

/// Numbers below what is asked, the same in every run: Knuth's MMIX generator.
fn random() -> impl FnMut(usize) -> usize {
    let mut seed = 1_u64;
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap_or(0) % below.max(1)
    }
}

/// Up to three pieces of JSON, or of something like it, where they don't belong; or an early end.
fn damage(bytes: &mut Vec<u8>, random: &mut impl FnMut(usize) -> usize) {
    let pieces: [&[u8]; 13] = [
        b"null",
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\xff",
        b"1e999",
        b"\\u0000",
        b"\"text\":\"\"",
        b"\"data:;base64,\"",
    ];
    for _ in 0..random(4) {
        let from = random(bytes.len());
        let to = (from + random(12)).min(bytes.len());
        match random(8) {
            0 => bytes.truncate(from),
            _ => drop(bytes.splice(from..to, pieces[random(pieces.len())].iter().copied())),
        }
    }
}

/// Hands `next` damaged streams, cut anywhere; the damage is the same in every run. Any outcome will do: that there is one is
/// what is tested. `state` is the plugin's own, from `start`; each stream is its messages' data, in order.
///
/// # Panics
/// If the plugin does.
pub fn check_damaged_streams<P: StreamingProvider>(state: &[u8], streams: &[&[&str]]) {
    let mut random = random();
    let opened = || Event::Opened(ResponseHead { status: 200, headers: Vec::new() });
    for _ in 0..5_000 {
        let stream = streams[random(streams.len())];
        let mut events = vec![opened()];
        for data in stream {
            let mut data = data.as_bytes().to_vec();
            if random(4) == 0 {
                damage(&mut data, &mut random);
            }
            let data = String::from_utf8_lossy(&data).into_owned();
            for _ in 0..[1, 1, 1, 1, 1, 1, 0, 2][random(8)] {
                events.push(Event::Message(Message { name: None, data: data.clone() }));
            }
        }
        events.push(Event::Closed);
        if random(8) == 0 {
            let at = random(events.len());
            events.insert(at, opened());
        }
        drop(play::<P>(state.to_vec(), &events, 1 + random(events.len())));
        let mut going = state.to_vec();
        while !events.is_empty() {
            let rest = events.split_off((1 + random(3)).min(events.len()));
            let Ok(StreamingStep::More(more)) = P::next(going, events) else { break };
            going = more.state;
            if random(8) == 0 {
                damage(&mut going, &mut random);
            }
            events = rest;
        }
    }
}

/// Checks that a settings schema has the keys that the plugin knows, by what it says of one that it doesn't know: the error
/// that `serde` makes under `deny_unknown_fields` lists them.
///
/// # Panics
/// If they are not the same.
pub fn check_settings_schema(schema: &str, of_unknown_key: &Error) {
    let schema: Value = serde_json::from_str(schema).unwrap_or_else(|e| panic!("the schema is not JSON: {e}"));
    let in_schema: BTreeSet<&str> = schema["properties"].as_object().into_iter().flatten().map(|(k, _)| &**k).collect();
    let Error::InvalidRequest(failure) = of_unknown_key else { panic!("an unknown key is {of_unknown_key:?}") };
    let expected = failure.message.split("expected one of").nth(1).unwrap_or_default();
    let known: BTreeSet<&str> = expected.split('`').skip(1).step_by(2).collect();
    assert_eq!(in_schema, known);
}

/// Checks that a document holds this text between `<!-- NAME -->` and `<!-- so far -->`. With `UPDATE_DOCS=1` in the environment
/// the text is written there instead.
///
/// # Panics
/// If it doesn't, or there is no such place.
pub fn check_documented(document: impl AsRef<Path>, name: &str, text: &str) {
    let path = document.as_ref();
    let whole = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (start, end) = (format!("<!-- {name} -->\n"), "<!-- so far -->");
    let place = whole.split_once(&start).and_then(|(before, rest)| Some((before, rest.split_once(end)?)));
    let Some((before, (documented, after))) = place else {
        panic!("{} has no `{}` with a `{end}` after it", path.display(), start.trim_end());
    };
    if documented == text {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_none() {
        let difference = difference(documented, text);
        panic!(
            "{}, `{name}`, is not what the table says; `UPDATE_DOCS=1` writes it anew:\n{difference}",
            path.display()
        );
    }
    let written = [before, &start, text, end, after].concat();
    std::fs::write(path, written).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// A stream, from its head to its end.
fn events_of(answer: &Value) -> Vec<Event> {
    let opened = Event::Opened(ResponseHead { status: answer_of(answer).status, headers: headers_of(answer) });
    let messages = answer["events"].as_array().into_iter().flatten().map(|event| {
        let data = match &event["data"] {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        Event::Message(Message { name: event["event"].as_str().map(str::to_owned), data })
    });
    let closed = (answer["ends"] != false).then_some(Event::Closed);
    std::iter::once(opened).chain(messages).chain(closed).collect()
}

/// The lines that differ, from the first to the last of them.
fn difference(expected: &str, got: &str) -> String {
    let (expected, got): (Vec<_>, Vec<_>) = (expected.lines().collect(), got.lines().collect());
    let same = expected.iter().zip(&got).take_while(|(a, b)| a == b).count();
    let rest = |lines: &[&str]| lines.len() - same;
    let tail = expected.iter().rev().zip(got.iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = tail.min(rest(&expected)).min(rest(&got));
    let part = |lines: &[&str], sign: char| {
        let part = lines.iter().skip(same).take(lines.len() - same - tail);
        part.fold(String::new(), |text, line| [text.as_str(), &sign.to_string(), " ", line, "\n"].concat())
    };
    format!("(from line {})\n{}{}", same + 1, part(&expected, '-'), part(&got, '+'))
}
