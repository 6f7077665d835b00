//! Answers that come as a stream.
//!
//! A stream says the same as a whole answer, in pieces. So a plugin needs no second way to read answers: it puts the pieces
//! together into the body that a whole answer would have had ([`Assemble`]), and [`next`] hands that to
//! [`Provider::resume`].

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use crate::bindings::streaming::exports::understudy::plugin::streaming::{
    Event, Guest as StreamingProvider, Message, Progress, ResponseHead, StreamingStep,
};
use crate::error;
use crate::halves::Halves;
use crate::types::{CreateMessageRequest, Error, Fetch, Framing, Header, HttpResponse, Step};
use crate::{Provider, state};

/// An answer in the making. It crosses from one call to the next as JSON.
pub trait Assemble: Default + Serialize + DeserializeOwned {
    /// An answer that begins. `own` is the state that `start` handed over.
    ///
    /// # Errors
    /// `other` if that isn't the plugin's own.
    fn begin(_own: &RawValue) -> Result<Self, Error> {
        Ok(Self::default())
    }

    /// Takes in one message. What it adds to the answer's text goes into `text` too, for the asking server to see.
    ///
    /// # Errors
    /// `malformed-response` if it isn't what the provider's format says.
    fn take(&mut self, message: Message, text: &mut String) -> Result<Taken, Error>;

    /// Whether the answer is whole if the stream ends here.
    fn is_whole(&self) -> bool;

    /// The body that the whole answer would have had; or the body of a refusal, if that is what came.
    ///
    /// # Errors
    /// `malformed-response` if the pieces don't make an answer.
    fn body(self) -> Result<Vec<u8>, Error>;
}

/// What a message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A piece: more is to come.
    Piece,
    /// The last of it: whatever still comes is not read.
    Last,
}

/// `streaming.next` for a plugin whose state is JSON.
///
/// # Errors
/// What [`Assemble`] and `resume` say; `unavailable` (which is tried again) if the stream ends before the answer is whole.
#[expect(clippy::needless_pass_by_value, reason = "as the contract has it")]
pub fn next<P: Provider, A: Assemble>(state: Vec<u8>, events: Vec<Event>) -> Result<StreamingStep, Error> {
    let mut going = match events.first() {
        Some(Event::Opened(_)) => {
            let own: &RawValue = state::from_bytes(&state)?;
            let halves = Halves::default();
            Going { own: own.to_owned(), status: 0, headers: Vec::new(), so_far: A::begin(own)?, halves }
        }
        _ => state::from_bytes(&state)?,
    };
    let mut text = String::new();
    for event in events {
        match event {
            Event::Opened(head) => {
                going.status = head.status;
                going.headers = head.headers.into_iter().map(|header| (header.name, header.value)).collect();
            }
            Event::Message(message) => {
                if going.take(message, &mut text)? == Taken::Last {
                    return going.finish::<P>();
                }
            }
            Event::Closed if going.so_far.is_whole() => return going.finish::<P>(),
            Event::Closed => return Err(broken(going.status)),
        }
    }
    let text = going.halves.progress(text);
    Ok(StreamingStep::More(Progress { state: state::to_bytes(&going)?, text }))
}

/// The answer as it would have come whole, if the body that came whole is a stream: some servers stream what nobody asked to be
/// streamed, or call a stream `application/json`. None if it is no stream. `own` is the state that `start` handed over.
///
/// # Errors
/// What [`Assemble`] says; `unavailable` if the stream ends before the answer is whole.
pub fn assembled<A: Assemble>(own: &[u8], response: &HttpResponse) -> Result<Option<HttpResponse>, Error> {
    let Some(messages) = messages_of(response) else { return Ok(None) };
    let own: &RawValue = state::from_bytes(own)?;
    let (status, headers) = (response.status, response.headers.clone());
    let mut going =
        Going { own: own.to_owned(), status, headers: Vec::new(), so_far: A::begin(own)?, halves: Halves::default() };
    for message in messages {
        if going.take(message, &mut String::new())? == Taken::Last {
            return Ok(Some(HttpResponse { headers, ..going.whole()?.1 }));
        }
    }
    if !going.so_far.is_whole() {
        return Err(broken(status));
    }
    Ok(Some(HttpResponse { headers, ..going.whole()?.1 }))
}

/// The messages of a body that is a stream: server-sent events, or several lines of JSON.
fn messages_of(response: &HttpResponse) -> Option<Vec<Message>> {
    if !(200..=299).contains(&response.status) {
        return None;
    }
    let body = response.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&response.body).trim_ascii_start();
    if ["data:", "event:", "id:", "retry:", ":"].iter().any(|field| body.starts_with(field.as_bytes())) {
        return Some(server_sent(std::str::from_utf8(body).ok()?));
    }
    // Most answers are one line.
    let (first, rest) = body.split_at_checked(body.iter().position(|byte| *byte == b'\n')?)?;
    let is_object = first.starts_with(b"{") && serde_json::from_slice::<&RawValue>(first).is_ok();
    if rest.trim_ascii().is_empty() || !is_object {
        return None;
    }
    let lines = std::str::from_utf8(body).ok()?.lines().filter(|line| !line.trim().is_empty());
    Some(lines.map(|line| Message { name: None, data: line.to_owned() }).collect())
}

/// Server-sent events, as the HTML standard has them.
fn server_sent(body: &str) -> Vec<Message> {
    let mut messages = Vec::new();
    let (mut name, mut data) = (None, Vec::new());
    for line in body.lines().chain([""]) {
        if line.is_empty() {
            if !data.is_empty() {
                messages.push(Message { name: name.take(), data: data.join("\n") });
            }
            (name, data) = (None, Vec::new());
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => data.push(value),
            "event" => name = Some(value.to_owned()),
            _ => {}
        }
    }
    messages
}

/// Whether a message says nothing but that the connection lives.
fn is_keep_alive(message: &Message) -> bool {
    let name = message.name.as_deref().unwrap_or_default();
    matches!(name, "ping" | "heartbeat" | "keepalive" | "keep-alive" | "keep_alive")
        || matches!(message.data.trim(), "" | "null" | "{}" | "[]" | r#"{"type":"ping"}"# | r#"{"type": "ping"}"#)
}

/// What crosses from one `next` to the next.
#[derive(Serialize, Deserialize)]
struct Going<A> {
    /// The state that `start` handed over.
    own: Box<RawValue>,
    status: u16,
    headers: Vec<(String, String)>,
    so_far: A,
    /// Of characters that the provider cut in two.
    #[serde(default, skip_serializing_if = "Halves::is_none")]
    halves: Halves,
}

impl<A: Assemble> Going<A> {
    fn take(&mut self, mut message: Message, text: &mut String) -> Result<Taken, Error> {
        if message.data.starts_with('\u{feff}') {
            message.data.drain(..'\u{feff}'.len_utf8());
        }
        if is_keep_alive(&message) {
            return Ok(Taken::Piece);
        }
        // Chat Completions' end, which gateways send in other formats, too.
        if message.data.trim() == "[DONE]" && self.so_far.is_whole() {
            return Ok(Taken::Last);
        }
        self.halves.hide(&mut message.data);
        self.so_far.take(message, text)
    }

    /// The state that `start` handed over, and the answer as it would have come whole.
    fn whole(self) -> Result<(Vec<u8>, HttpResponse), Error> {
        let response = HttpResponse {
            status: self.status,
            headers: self.headers.into_iter().map(|(name, value)| Header { name, value }).collect(),
            body: self.halves.joined(self.so_far.body()?),
            extensions: "{}".to_owned(),
        };
        Ok((self.own.get().as_bytes().to_vec(), response))
    }

    fn finish<P: Provider>(self) -> Result<StreamingStep, Error> {
        let (own, response) = self.whole()?;
        Ok(match P::resume(own, response)? {
            Step::Done(completion) => StreamingStep::Done(completion),
            Step::Fetch(fetch) => StreamingStep::Fetch(fetch),
        })
    }
}

/// `unavailable`: the stream ended before the answer was whole.
#[must_use]
pub fn broken(status: u16) -> Error {
    error::provider("unavailable", status, "the stream ended before the answer was whole", None)
}

/// The JSON of a message. The type may borrow from it.
///
/// # Errors
/// `malformed-response`, saying what the message was instead.
pub fn json<'a, T: Deserialize<'a>>(message: &'a Message) -> Result<T, Error> {
    serde_json::from_str(&message.data).map_err(|e| {
        let beginning = crate::http::beginning(message.data.as_bytes());
        error::malformed_response(format!("a message of the stream is not what the format says: {e}: `{beginning}`"))
    })
}

/// The same exchange with its answer wanted as a stream. The body must ask for one in the provider's own way.
#[must_use]
pub fn streamed(mut fetch: Fetch, framing: Framing) -> Fetch {
    let accepted = match framing {
        Framing::Whole => "application/json",
        Framing::ServerSentEvents => "text/event-stream",
        Framing::Lines => "application/x-ndjson",
    };
    for header in fetch.request.headers.iter_mut().filter(|header| header.name == "accept") {
        accepted.clone_into(&mut header.value);
    }
    fetch.framing = framing;
    fetch
}

/// The most tokens that a plain request waits for: at 128,000 tokens an hour, that many take ten minutes. (Anthropic's own
/// packages refuse to wait for more than these without a stream: `_calculate_nonstreaming_timeout`.)
const MOST_FOR_A_PLAIN_REQUEST: u32 = 21_333;

/// Whether to stream where the user hasn't said: if the answer can be so long that a connection on which nothing moves would
/// be cut, or if the server wants to see progress (it gave a `progressToken`).
#[must_use]
pub fn by_default(request: &CreateMessageRequest) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        #[serde(default)]
        progress_token: Option<serde::de::IgnoredAny>,
    }
    let wants_progress = |meta: &String| serde_json::from_str::<Meta>(meta).is_ok_and(|m| m.progress_token.is_some());
    request.max_tokens > MOST_FOR_A_PLAIN_REQUEST || request.meta.as_ref().is_some_and(wants_progress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Completion, ContentBlock, CreateMessageResult, Description, HttpRequest, Options, TextContent};

    struct Plain;

    impl Provider for Plain {
        fn describe() -> Description {
            unreachable!("nobody asks")
        }

        fn start(_: CreateMessageRequest, _: Options) -> Result<Step, Error> {
            Err(error::other("nobody asks"))
        }

        fn resume(state: Vec<u8>, response: HttpResponse) -> Result<Step, Error> {
            let text = format!("{} {} {}", String::from_utf8_lossy(&state), response.status, {
                String::from_utf8_lossy(&response.body)
            });
            let text = ContentBlock::Text(TextContent { text, extras: crate::blocks::NO_EXTRAS });
            let result =
                CreateMessageResult { content: vec![text], model: String::new(), stop_reason: None, meta: None };
            Ok(Step::Done(Completion { result, usage: None, extensions: String::new() }))
        }
    }

    #[derive(Default, Serialize, Deserialize)]
    struct Letters(String);

    impl Assemble for Letters {
        fn take(&mut self, message: Message, text: &mut String) -> Result<Taken, Error> {
            if message.data == "end" {
                return Ok(Taken::Last);
            }
            self.0.push_str(&message.data);
            text.push_str(&message.data);
            Ok(Taken::Piece)
        }

        fn is_whole(&self) -> bool {
            self.0.ends_with('.')
        }

        fn body(self) -> Result<Vec<u8>, Error> {
            Ok(self.0.into_bytes())
        }
    }

    fn opened() -> Event {
        Event::Opened(ResponseHead { status: 206, headers: Vec::new() })
    }

    fn message(data: &str) -> Event {
        Event::Message(Message { name: None, data: data.to_owned() })
    }

    fn said(step: Result<StreamingStep, Error>) -> String {
        match step {
            Ok(StreamingStep::Done(done)) => format!("{:?}", done.result.content),
            Ok(StreamingStep::More(progress)) => format!("more: {}", progress.text),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn pieces_make_the_body_that_resume_reads() {
        let all = vec![opened(), message("a"), message("b"), message("end"), message("c")];
        assert!(said(next::<Plain, Letters>(b"[1]".to_vec(), all)).contains(r#"text: "[1] 206 ab""#));
        let Ok(StreamingStep::More(first)) = next::<Plain, Letters>(b"[1]".to_vec(), vec![opened(), message("a")])
        else {
            unreachable!("one piece is not the whole")
        };
        assert_eq!(first.text, "a");
        assert_eq!(said(next::<Plain, Letters>(first.state.clone(), vec![message("b")])), "more: b");
        let broken = next::<Plain, Letters>(first.state.clone(), vec![Event::Closed]);
        assert!(matches!(broken, Err(Error::Provider(ref e)) if e.kind == "unavailable"), "{broken:?}");
        let whole = next::<Plain, Letters>(first.state, vec![message("."), Event::Closed]);
        assert!(said(whole).contains(r#"text: "[1] 206 a.""#));
    }

    #[test]
    fn keep_alives_of_any_kind_are_no_pieces() {
        let named =
            |name: &str, data: &str| Event::Message(Message { name: Some(name.to_owned()), data: data.to_owned() });
        let mut events = vec![opened(), message("a")];
        events.extend(["", " ", "null", "{}", r#"{"type": "ping"}"#].map(message));
        events.extend([named("ping", ""), named("heartbeat", "x"), message("."), message("[DONE]"), message("b")]);
        assert!(said(next::<Plain, Letters>(b"1".to_vec(), events)).contains(r#"text: "1 206 a.""#));
    }

    #[test]
    fn a_character_that_comes_in_two_halves_is_one() {
        let halves = |second: &str| {
            let data = |half: &str| format!("\"{half}\"");
            vec![opened(), message(&data(r"party \ud83c")), message(&data(second)), message("end")]
        };
        // The messages' JSON is put together as it is: two texts, between them two quotation marks.
        let step = next::<Plain, Letters>(b"1".to_vec(), halves("x"));
        assert!(said(step).contains("party \u{fffd}"));
        let Ok(StreamingStep::More(first)) = next::<Plain, Letters>(b"1".to_vec(), vec![opened(), message(r"a\ud83c")])
        else {
            unreachable!("one piece is not the whole")
        };
        assert_eq!(first.text, "a");
        let Ok(StreamingStep::More(second)) = next::<Plain, Letters>(first.state, vec![message(r"\udf89b")]) else {
            unreachable!("two pieces are not the whole")
        };
        assert_eq!(second.text, "\u{1f389}b");
        assert!(said(next::<Plain, Letters>(second.state, vec![message("end")])).contains("1 206 a\u{1f389}b"));
    }

    #[test]
    fn a_stream_that_came_whole_is_put_together() {
        let whole = |status, body: &str| {
            let response = HttpResponse {
                status,
                headers: vec![crate::http::header("x", "y")],
                body: body.as_bytes().to_vec(),
                extensions: String::new(),
            };
            let assembled = assembled::<Letters>(b"1", &response);
            assembled.map(|whole| whole.map(|whole| String::from_utf8(whole.body).unwrap_or_default()))
        };
        let events = "\u{feff}: hi\r\n\r\nevent: x\r\ndata: a\r\n\r\ndata:b\ndata: c\n\ndata: end\n\ndata: d\n\n";
        assert_eq!(whole(200, events), Ok(Some("ab\nc".to_owned())));
        assert_eq!(whole(200, "data: a.\n"), Ok(Some("a.".to_owned())));
        assert!(matches!(whole(200, "data: a\n\n"), Err(Error::Provider(e)) if e.kind == "unavailable"));
        assert_eq!(whole(400, events), Ok(None));
        assert_eq!(whole(200, "{\"a\": 1}\n"), Ok(None));
        assert_eq!(whole(200, "{\"a\":\n1}\n"), Ok(None));
        assert_eq!(whole(200, "{\"a\": 1}\nend\n"), Ok(Some("{\"a\": 1}".to_owned())));
    }

    #[test]
    fn a_stream_is_wanted_for_long_answers_and_for_progress() {
        let request = |max_tokens, meta: Option<&str>| CreateMessageRequest {
            messages: Vec::new(),
            max_tokens,
            model_preferences: None,
            system_prompt: None,
            include_context: None,
            temperature: None,
            stop_sequences: Vec::new(),
            metadata: None,
            tools: None,
            tool_choice: None,
            meta: meta.map(str::to_owned),
            extensions: "{}".to_owned(),
        };
        assert!(!by_default(&request(21_333, None)));
        assert!(by_default(&request(21_334, None)));
        assert!(by_default(&request(1, Some(r#"{"progressToken": 0}"#))));
        assert!(!by_default(&request(1, Some(r#"{"other": {"progressToken": 1}}"#))));
    }

    #[test]
    fn the_stream_is_asked_for_in_the_header() {
        let request = HttpRequest {
            method: crate::types::HttpMethod::Post,
            endpoint: None,
            path: "/".to_owned(),
            headers: vec![crate::http::header("accept", "application/json")],
            body: Vec::new(),
            extensions: String::new(),
        };
        let fetch =
            Fetch { request, state: Vec::new(), framing: Framing::Whole, delay_ms: 0, extensions: String::new() };
        let fetch = streamed(fetch, Framing::ServerSentEvents);
        assert_eq!(fetch.framing, Framing::ServerSentEvents);
        assert_eq!(fetch.request.headers, [crate::http::header("accept", "text/event-stream")]);
    }
}
