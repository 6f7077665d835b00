//! A guard that does what its setting `do` says. A version stands in its data, where the tests write it: one guest, and a component for each.
#![expect(clippy::panic, reason = "this guard is for tests")]

use std::hint::black_box;

use serde::Deserialize;
use understudy_plugin::blocks::NO_EXTRAS;
use understudy_plugin::guard_texts::{in_answer, in_request};
use understudy_plugin::types::{ContentBlock, CreateMessageRequest, CreateMessageResult, Error, TextContent};
use understudy_plugin::verdict::{AnswerVerdict, Circumstances, GuardDescription, RequestVerdict};
use understudy_plugin::{Guard, error, export_guard, settings};

/// The guard.
#[derive(Debug)]
pub struct Tested;

export_guard!(Tested);

/// Where the version is written, after the equals sign.
static PLACE: [u8; 48] = *b"planted=none                                   .";

fn version() -> String {
    let place = String::from_utf8_lossy(black_box(&PLACE)).into_owned();
    place.trim_start_matches("planted=").trim_end_matches('.').trim_end().to_owned()
}

#[derive(Deserialize)]
struct Settings {
    #[serde(rename = "do", default)]
    deed: String,
    /// `request` or `answer`; both without.
    #[serde(default)]
    only: String,
}

impl Guard for Tested {
    fn describe() -> GuardDescription {
        assert!(version() != "trap in describe", "in describe");
        GuardDescription {
            name: "guard".to_owned(),
            version: version(),
            summary: "does what its settings say".to_owned(),
            checks: vec!["request".to_owned(), "answer".to_owned()],
            settings_schema: "{}".to_owned(),
            extensions: String::new(),
        }
    }

    fn request(
        mut request: CreateMessageRequest,
        told: Circumstances,
        settings: String,
    ) -> Result<RequestVerdict, Error> {
        let Settings { deed, only } = settings::parse(&settings)?;
        if only == "answer" {
            return Ok(RequestVerdict::Allow);
        }
        misbehave(&deed)?;
        match deed.as_str() {
            "deny" => return Ok(RequestVerdict::denied("no cedars here")),
            "deny at length" => return Ok(RequestVerdict::denied(format!("a\n\u{1b}[31mb{}", "x".repeat(10_000)))),
            "deny without a reason" => return Ok(RequestVerdict::denied(" ")),
            "ask" => return Ok(RequestVerdict::asked("is this a cedar?", None)),
            "raise" => request.max_tokens += 1,
            "add a message" => request.messages.extend(request.messages.clone()),
            "lower" => request.max_tokens = 1,
            "stamp" => drop(in_request(&mut request, |found| Some(format!("{} [{}]", found.text, version())))),
            "tell" => drop(in_request(&mut request, |_| Some(format!("{told:?}")))),
            "odd json" => request.metadata = Some("{".to_owned()),
            _ => return Ok(RequestVerdict::Allow),
        }
        Ok(RequestVerdict::AllowChanged(request))
    }

    fn answer(mut answer: CreateMessageResult, told: Circumstances, settings: String) -> Result<AnswerVerdict, Error> {
        let Settings { deed, only } = settings::parse(&settings)?;
        if only == "request" {
            return Ok(AnswerVerdict::Allow);
        }
        misbehave(&deed)?;
        match deed.as_str() {
            "deny" => return Ok(AnswerVerdict::denied("the answer is a cedar")),
            "ask" => return Ok(AnswerVerdict::asked("is this answer a cedar?", None)),
            "raise" => "another".clone_into(&mut answer.model),
            "add a message" => {
                answer.content.push(ContentBlock::Text(TextContent { text: "more".to_owned(), extras: NO_EXTRAS }));
            }
            "stamp" => drop(in_answer(&mut answer, |found| Some(format!("{} [{}]", found.text, version())))),
            "tell" => drop(in_answer(&mut answer, |_| Some(format!("{told:?}")))),
            "odd json" => answer.meta = Some("{".to_owned()),
            _ => return Ok(AnswerVerdict::Allow),
        }
        Ok(AnswerVerdict::AllowChanged(answer))
    }
}

/// What no guard should do.
fn misbehave(deed: &str) -> Result<(), Error> {
    match deed {
        "trap" => panic!("the guard panics"),
        "loop" => loop {
            black_box(0);
        },
        "eat" => drop(black_box(vec![1_u8; 300 << 20])),
        "error" => return Err(error::invalid_request("`settings.do` is an error")),
        _ => {}
    }
    Ok(())
}
