//! Asking: so many questions, so many at once.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use race::{Question, answer};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// The arguments of `ask`.
#[derive(Deserialize)]
pub(crate) struct Ask {
    n: usize,
    concurrency: usize,
    text: usize,
    #[serde(default)]
    image: usize,
    #[serde(default)]
    latency: usize,
}

/// A call of `ask` at work.
pub(crate) struct Work {
    call: String,
    ask: Ask,
    /// The request, whose numbers are in the two places.
    request: Vec<u8>,
    places: [usize; 2],
    began: Instant,
    /// When each question was asked.
    asked: Vec<Instant>,
    times: Vec<Duration>,
    wrong: Option<String>,
}

/// The first question's number. All have eight digits, so one can be written over another.
const FIRST: usize = 10_000_000;

#[derive(Deserialize)]
struct Result<'a> {
    role: &'a str,
    model: &'a str,
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl Work {
    /// Asks the first questions.
    pub(crate) fn begin(call: &str, ask: Ask, out: &mut Vec<u8>) -> Self {
        let question = Question { number: FIRST, text: ask.text, image: ask.image, latency: ask.latency };
        let message = |content| json!({ "role": "user", "content": content });
        let image = json!({ "type": "image", "mimeType": "image/png", "data": question.image() });
        let image = (ask.image > 0).then(|| message(image));
        let text = message(json!({ "type": "text", "text": question.text() }));
        let messages: Vec<_> = image.into_iter().chain([text]).collect();
        let params = json!({ "messages": messages, "maxTokens": 100, "systemPrompt": "Be brief.", "temperature": 0.5 });
        let method = "sampling/createMessage";
        let request = format!("{{\"jsonrpc\":\"2.0\",\"id\":{FIRST},\"method\":\"{method}\",\"params\":{params}}}\n");
        let number = FIRST.to_string();
        let place = |after: &str| request.find(after).map_or(0, |at| at + after.len());
        let places = [place("\"id\":"), place("<<Q ")];
        let (asked, times) = (Vec::with_capacity(ask.n), Vec::with_capacity(ask.n));
        debug_assert!(places.iter().all(|at| request.get(*at..).is_some_and(|rest| rest.starts_with(&number))));
        let (call, request) = (call.to_owned(), request.into_bytes());
        let mut work = Self { call, ask, request, places, began: Instant::now(), asked, times, wrong: None };
        for _ in 0..work.ask.concurrency.min(work.ask.n) {
            work.ask_next(out);
        }
        work
    }

    /// The id of the call.
    pub(crate) fn call(&self) -> &str {
        &self.call
    }

    fn ask_next(&mut self, out: &mut Vec<u8>) {
        let number = (FIRST + self.asked.len()).to_string();
        for at in self.places {
            if let Some(place) = self.request.get_mut(at..at + number.len()) {
                place.copy_from_slice(number.as_bytes());
            }
        }
        out.extend_from_slice(&self.request);
        self.asked.push(Instant::now());
    }

    /// Takes an answer and asks the next question; the report when that was the last.
    pub(crate) fn take(
        &mut self,
        id: Option<&RawValue>,
        result: Option<&RawValue>,
        line: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<String> {
        let number: Option<usize> = id.and_then(|id| id.get().parse().ok());
        let asked = number.and_then(|number| self.asked.get(number.checked_sub(FIRST)?));
        self.times.push(asked.map_or(Duration::MAX, Instant::elapsed));
        let is_right = number.zip(result).is_some_and(|(number, result)| is_right(number, result.get()));
        if !is_right && self.wrong.is_none() {
            self.wrong = Some(String::from_utf8_lossy(line.get(..line.len().min(1000)).unwrap_or_default()).into());
        }
        if self.asked.len() < self.ask.n {
            self.ask_next(out);
        }
        (self.times.len() == self.ask.n).then(|| self.report())
    }

    fn report(&mut self) -> String {
        let took = self.began.elapsed();
        self.times.sort_unstable();
        let at = |share: usize| self.times.get((self.times.len() - 1) * share / 100).map(Duration::as_nanos);
        json!({ "n": self.ask.n, "wrong": self.wrong, "took": took.as_nanos(), "p50": at(50), "p99": at(99) })
            .to_string()
    }
}

fn is_right(number: usize, result: &str) -> bool {
    let Ok(Result { role, model, content }) = serde_json::from_str(result) else { return false };
    let content = content.get();
    let block = if content.starts_with('[') {
        serde_json::from_str::<[Block; 1]>(content).map(|[block]| block)
    } else {
        serde_json::from_str::<Block>(content)
    };
    let is_text = |block: Block| block.kind == "text" && block.text == answer(number);
    role == "assistant" && !model.is_empty() && block.is_ok_and(is_text)
}
