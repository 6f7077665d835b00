//! A provider's answers, to the plugins natively.
//!
//! An input is one answer: a byte that says how it is answered (the status, whether as a stream, how the stream is cut), a byte that
//! chooses the state which `start` handed over (one of those that the plugin's fixtures lead to), and the body. The messages of a stream
//! are divided by a byte that is none in UTF-8.
#![expect(clippy::indexing_slicing, reason = "an absent member of a JSON value is `null`")]

use std::sync::OnceLock;

use serde_json::Value;
use understudy_plugin::Provider;
use understudy_plugin::stream::{Event, Message, ResponseHead, StreamingProvider, StreamingStep};
use understudy_plugin::testing::{options, request, response};
use understudy_plugin::types::{Framing, Step};

use crate::{fixtures, seed};

const STATUSES: [u16; 8] = [200, 200, 200, 400, 401, 429, 500, 503];
const STREAMED: u8 = 0x08;
const AT_ONCE: u8 = 0x10;
const DIVIDER: u8 = 0xff;
const HEADERS: [(&str, &str); 2] = [("retry-after", "7"), ("content-type", "application/json")];

/// Hands an answer to the plugin. Any outcome will do, but there must be one.
pub fn resume<P: Provider + StreamingProvider>(plugin: &str, input: &[u8]) {
    let [how, which, body @ ..] = input else { return };
    let states = states::<P>(plugin);
    let Some(state) = states.get(usize::from(*which) % states.len().max(1)) else { return };
    let Some(code) = STATUSES.get(usize::from(how & 7)) else { return };
    if how & STREAMED == 0 {
        drop(P::resume(state.clone(), response(*code, &HEADERS, body)));
        return;
    }
    let opened = Event::Opened(ResponseHead { status: 200, headers: Vec::new() });
    let messages = body.split(|byte| *byte == DIVIDER).map(|data| {
        let data = String::from_utf8_lossy(data).into_owned();
        Event::Message(Message { name: None, data })
    });
    let events: Vec<Event> = std::iter::once(opened).chain(messages).chain([Event::Closed]).collect();
    let mut state = state.clone();
    for events in events.chunks(if how & AT_ONCE == 0 { 1 } else { usize::MAX }) {
        match P::next(state, events.to_vec()) {
            Ok(StreamingStep::More(more)) => state = more.state,
            _ => return,
        }
    }
}

/// The states that the plugin's fixtures lead to.
fn states<P: Provider>(plugin: &str) -> &'static [Vec<u8>] {
    static STATES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    STATES.get_or_init(|| {
        let mut states: Vec<Vec<u8>> = Vec::new();
        for (state, ..) in exchanges::<P>(plugin) {
            if !states.contains(&state) {
                states.push(state);
            }
        }
        assert!(!states.is_empty(), "no fixture leads to an exchange");
        states
    })
}

/// Seeds: the answers of the plugin's fixtures.
pub fn seeds<P: Provider>(plugin: &str) {
    let states = states::<P>(plugin);
    for (n, (state, framing, answer)) in exchanges::<P>(plugin).into_iter().enumerate() {
        let which = states.iter().position(|known| *known == state).unwrap_or_default();
        let code = answer["status"].as_u64().unwrap_or(200);
        let how = STATUSES.iter().position(|known| u64::from(*known) == code).unwrap_or_default();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned).into_bytes();
        let (how, body) = match (&answer["events"], framing) {
            (Value::Array(events), Framing::ServerSentEvents | Framing::Lines) => {
                let messages: Vec<Vec<u8>> = events.iter().map(|event| text(&event["data"])).collect();
                (usize::from(STREAMED | if n % 2 == 0 { AT_ONCE } else { 0 }), messages.join(&DIVIDER))
            }
            _ => (how, text(&answer["body"])),
        };
        let [how, which] = [how, which].map(|n| u8::try_from(n).unwrap_or_default());
        seed(&format!("fixture-{n}"), &[&[how, which], body.as_slice()].concat());
    }
}

/// The first exchange of each fixture: the state it hands over, the framing, and the answer.
fn exchanges<P: Provider>(plugin: &str) -> Vec<(Vec<u8>, Framing, Value)> {
    let exchange = |(_, fixture): (String, Value)| {
        let settings = fixture["options"].get("settings").cloned().unwrap_or_else(|| serde_json::json!({}));
        let options = options(fixture["options"]["model"].as_str().unwrap_or_default(), &settings);
        match P::start(request(&fixture["request"].to_string()), options) {
            Ok(Step::Fetch(fetch)) => Some((fetch.state, fetch.framing, fixture["exchanges"][0]["response"].clone())),
            _ => None,
        }
    };
    fixtures(plugin).into_iter().filter_map(exchange).collect()
}
