//! A plugin that misbehaves on request: the first message's text says how. One guest, every fault, a test for each.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "that is what this plugin is for")]

use std::sync::atomic::{AtomicU32, Ordering};

use understudy_plugin::types::{
    Completion, ContentBlock, CreateMessageRequest, CreateMessageResult, Description, Error, Extras, Fetch, Framing,
    HttpMethod, HttpRequest, HttpResponse, Options, Step, TextContent, ToolUseContent,
};
use understudy_plugin::{Provider, error, export_provider, http};

/// The plugin.
#[derive(Debug)]
pub struct Faulty;

export_provider!(Faulty);

/// What a guest can't keep from one call to the next.
static CALLS: AtomicU32 = AtomicU32::new(0);

impl Provider for Faulty {
    fn describe() -> Description {
        Description {
            name: "faulty".to_owned(),
            version: "0.0.0".to_owned(),
            summary: "misbehaves on request".to_owned(),
            accepts: vec!["tools".to_owned()],
            models: Vec::new(),
            default_model: None,
            endpoint: None,
            credential: None,
            settings_schema: "{}".to_owned(),
            extensions: String::new(),
        }
    }

    fn start(request: CreateMessageRequest, options: Options) -> Result<Step, Error> {
        let fault = match request.messages[0].content.first() {
            Some(ContentBlock::Text(text)) => text.text.clone(),
            _ => String::new(),
        };
        match fault.as_str() {
            "trap" => panic!("the guest panics"),
            "loop" => endless(),
            "recurse" => return Ok(text(&recurse(1).to_string())),
            "eat memory" => return Ok(text(&eat().to_string())),
            "error" => return Err(error::invalid_request("a remedy\u{1b}[31m\r\nin words")),
            "unsupported" => return Err(error::unsupported("this plugin carries nothing")),
            "static" => return Ok(text(&CALLS.fetch_add(1, Ordering::SeqCst).to_string())),
            "options" => return Ok(text(&format!("{options:?}"))),
            "bad meta" => return Ok(with_meta("{not json")),
            "array meta" => return Ok(with_meta("[\n\"\u{9b}31m\"]")),
            "unoffered tool" => return Ok(tool()),
            "two texts" => {
                let Step::Done(mut done) = text("one ") else { return Ok(text("")) };
                done.result.content.push(block("two"));
                return Ok(Step::Done(done));
            }
            "huge answer" => return Ok(text(&"x".repeat(200 << 20))),
            _ => {}
        }
        Ok(Step::Fetch(fetch(&fault)))
    }

    fn resume(state: Vec<u8>, response: HttpResponse) -> Result<Step, Error> {
        match String::from_utf8_lossy(&state).as_ref() {
            "loop in resume" => endless(),
            "trap in resume" => panic!("the guest panics later"),
            "fetch for ever" => return Ok(Step::Fetch(fetch("fetch for ever"))),
            _ => {}
        }
        let headers: Vec<String> = response.headers.iter().map(|h| format!("{}: {}", h.name, h.value)).collect();
        let body = String::from_utf8_lossy(&response.body);
        Ok(text(&format!("{}\n{}\n\n{body}", response.status, headers.join("\n"))))
    }
}

/// The exchange that a fault asks for.
fn fetch(fault: &str) -> Fetch {
    let mut fetch = Fetch {
        request: HttpRequest {
            method: HttpMethod::Post,
            endpoint: None,
            path: "/echo".to_owned(),
            headers: Vec::new(),
            body: b"body".to_vec(),
            extensions: String::new(),
        },
        state: fault.as_bytes().to_vec(),
        framing: Framing::Whole,
        delay_ms: 0,
        extensions: String::new(),
    };
    let (word, rest) = fault.split_once(' ').unwrap_or((fault, ""));
    match word {
        "path" => rest.clone_into(&mut fetch.request.path),
        "endpoint" => fetch.request.endpoint = Some(rest.to_owned()),
        "header" => {
            let (name, value) = rest.split_once('=').unwrap_or((rest, "x"));
            fetch.request.headers.push(http::header(name, value));
        }
        "state" => fetch.state = vec![0; 2 << 20],
        "body" => fetch.request.body = vec![b'x'; 40 << 20],
        "stream" => fetch.framing = Framing::ServerSentEvents,
        _ => {}
    }
    fetch
}

fn block(text: &str) -> ContentBlock {
    let extras = Extras { meta: None, annotations: None, extensions: None };
    ContentBlock::Text(TextContent { text: text.to_owned(), extras })
}

fn done(block: ContentBlock) -> Step {
    Step::Done(Completion {
        result: CreateMessageResult {
            content: vec![block],
            model: "faulty".to_owned(),
            stop_reason: Some("endTurn".to_owned()),
            meta: None,
        },
        usage: None,
        extensions: String::new(),
    })
}

fn text(text: &str) -> Step {
    done(block(text))
}

fn with_meta(meta: &str) -> Step {
    let extras = Extras { meta: Some(meta.to_owned()), annotations: None, extensions: None };
    done(ContentBlock::Text(TextContent { text: "x".to_owned(), extras }))
}

fn tool() -> Step {
    let extras = Extras { meta: None, annotations: None, extensions: None };
    done(ContentBlock::ToolUse(ToolUseContent {
        id: "1".to_owned(),
        name: "rm".to_owned(),
        input: "{}".to_owned(),
        extras,
    }))
}

fn endless() -> ! {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn recurse(n: u64) -> u64 {
    std::hint::black_box(recurse(std::hint::black_box(n + 1)) + n)
}

fn eat() -> usize {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        eaten.push(vec![1; 1 << 20]);
        if std::hint::black_box(&eaten).len() > 4000 {
            return eaten.len();
        }
    }
}
