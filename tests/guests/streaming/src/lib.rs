//! A plugin that streams: its answer is a list of what came. The first message's text names the framing (`events`, `lines`), and
//! some messages of the stream make it misbehave.
#![expect(clippy::panic, clippy::indexing_slicing, clippy::format_push_string, reason = "this plugin is for tests")]

use understudy_plugin::blocks::NO_EXTRAS;
use understudy_plugin::stream::{Event, Message, Progress, StreamingProvider, StreamingStep, streamed};
use understudy_plugin::types::{
    Completion, ContentBlock, CreateMessageRequest, CreateMessageResult, Description, Error, Fetch, Framing,
    HttpResponse, Options, Step, TextContent,
};
use understudy_plugin::{Provider, error, export_streaming_provider, http};

/// The plugin.
#[derive(Debug)]
pub struct Streaming;

export_streaming_provider!(Streaming);

impl Provider for Streaming {
    fn describe() -> Description {
        Description {
            name: "streaming".to_owned(),
            version: "0.0.0".to_owned(),
            summary: "streams, and misbehaves on request".to_owned(),
            accepts: Vec::new(),
            models: Vec::new(),
            default_model: None,
            endpoint: None,
            credential: None,
            settings_schema: "{}".to_owned(),
            extensions: String::new(),
        }
    }

    fn start(request: CreateMessageRequest, _: Options) -> Result<Step, Error> {
        let framing = match request.messages[0].content.first() {
            Some(ContentBlock::Text(text)) if text.text == "lines" => Framing::Lines,
            _ => Framing::ServerSentEvents,
        };
        Ok(fetch(framing)?.into())
    }

    fn resume(state: Vec<u8>, response: HttpResponse) -> Result<Step, Error> {
        if response.status == 429 {
            return Err(error::provider("rate-limited", 429, "later", None));
        }
        let body = String::from_utf8_lossy(&response.body);
        Ok(Step::Done(done(&format!("resumed {} with {}: {body}", String::from_utf8_lossy(&state), response.status))))
    }
}

impl StreamingProvider for Streaming {
    fn next(state: Vec<u8>, events: Vec<Event>) -> Result<StreamingStep, Error> {
        let mut said = String::from_utf8_lossy(&state).into_owned();
        let mut text = String::new();
        for event in events {
            match event {
                Event::Opened(head) => said.push_str(&format!("|{}", head.status)),
                Event::Closed if said.contains("insatiable") => said.push_str("|closed"),
                Event::Closed => return Ok(StreamingStep::Done(done(&(said + "|closed")))),
                Event::Message(Message { name, data }) => {
                    match data.as_str() {
                        "done" => return Ok(StreamingStep::Done(done(&said))),
                        "again" => return Ok(StreamingStep::Fetch(fetch(Framing::Lines)?)),
                        "trap" => panic!("the guest panics"),
                        "loop" => endless(),
                        "refuse" => return Err(error::provider("content-filtered", 200, "no", None)),
                        "state" => return Ok(more(vec![b'x'; 34 << 20], String::new())),
                        _ => {}
                    }
                    text.push_str(&data);
                    said.push_str(&format!("|{}={data}", name.unwrap_or_default()));
                }
            }
        }
        Ok(more(said.into_bytes(), text))
    }
}

fn more(state: Vec<u8>, text: String) -> StreamingStep {
    StreamingStep::More(Progress { state, text })
}

fn fetch(framing: Framing) -> Result<Fetch, Error> {
    Ok(streamed(http::post_json("/stream", &"body", b"begun".to_vec())?, framing))
}

fn done(text: &str) -> Completion {
    let text = ContentBlock::Text(TextContent { text: text.to_owned(), extras: NO_EXTRAS });
    let stop_reason = Some("endTurn".to_owned());
    Completion {
        result: CreateMessageResult { content: vec![text], model: "streaming".to_owned(), stop_reason, meta: None },
        usage: None,
        extensions: String::new(),
    }
}

fn endless() -> ! {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}
