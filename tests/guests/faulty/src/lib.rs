//! A plugin that misbehaves on request: the first message's text says how (`Fault`). One guest, every fault, a test for each.

mod answer;
#[expect(unreachable_pub, reason = "the tests read the file, too")]
mod faults;
mod imports;
mod reach;
mod ruin;

use std::sync::atomic::{AtomicU32, Ordering};

use answer::{done, end, tell, text};
use faults::Fault;
use understudy_plugin::types::{
    ContentBlock, CreateMessageRequest, Description, Error, Fetch, Framing, HttpMethod, HttpRequest, HttpResponse,
    Model, Options, Step,
};
use understudy_plugin::{Provider, error, export_provider, http};

/// The plugin.
#[derive(Debug)]
pub struct Faulty;

export_provider!(Faulty);

/// What a guest can't keep from one call to the next.
static CALLS: AtomicU32 = AtomicU32::new(0);

const MIB: usize = 1 << 20;

impl Provider for Faulty {
    fn describe() -> Description {
        let model = Model {
            name: "claimed".to_owned(),
            families: vec!["claimed".to_owned()],
            cost: 0.0,
            speed: 0.0,
            intelligence: 0.0,
            context_tokens: None,
            max_output_tokens: None,
            extensions: String::new(),
        };
        Description {
            name: "faulty".to_owned(),
            version: "0.0.0".to_owned(),
            summary: "misbehaves on request".to_owned(),
            accepts: vec!["tools".to_owned()],
            models: vec![model],
            default_model: None,
            endpoint: None,
            credential: None,
            settings_schema: "{}".to_owned(),
            extensions: String::new(),
        }
    }

    fn start(request: CreateMessageRequest, options: Options) -> Result<Step, Error> {
        let asked = match request.messages.first().and_then(|message| message.content.first()) {
            Some(ContentBlock::Text(text)) => text.text.clone(),
            _ => String::new(),
        };
        let (fault, argument) = Fault::of(&asked);
        let number = argument.parse().ok();
        Ok(match fault {
            Fault::Trap => ruin::panics(),
            Fault::Loop => ruin::endless(),
            Fault::Recurse => tell(&ruin::recurse(1)),
            Fault::EatMemory => tell(&ruin::eat(number.unwrap_or(usize::MAX))),
            Fault::FillMemory => ruin::fill(),
            Fault::CopyMemory => ruin::copy(),
            Fault::RandomBytes => reach::random_bytes(number.unwrap_or(1024)),
            Fault::HugeAnswer => text("x".repeat(number.unwrap_or(200) * MIB)),
            Fault::StringBeyondMemory => text(ruin::string_beyond_memory()),
            Fault::InvalidUtf8 => text(ruin::invalid_utf8()),
            Fault::AliasedLists => {
                let mut fetch = fetch(fault);
                fetch.request.headers = ruin::aliased_headers();
                Step::Fetch(fetch)
            }
            Fault::Exit => reach::exit(),
            Fault::Block => reach::block(),
            Fault::LogFlood => tell(&reach::flood_log(5_000)),
            Fault::ClockAndRandom => tell(&reach::clock_and_random()),
            Fault::Random => tell(&reach::random()),
            Fault::Environment => tell(&reach::environment()),
            Fault::Arguments => tell(&reach::arguments()),
            Fault::Files => tell(&reach::folders()),
            Fault::Socket => text(reach::socket()),
            Fault::Resolve => text(reach::resolve()),
            Fault::Http => tell(&reach::http()),
            Fault::UnknownImport => text(reach::unknown_import()),
            Fault::ForgedHandle => reach::forged_handle(),
            Fault::Static => tell(&CALLS.fetch_add(1, Ordering::SeqCst)),
            Fault::Options => text(format!("{options:?}")),
            Fault::ControlCharacters => text("\u{1b}[31mred\u{7}\u{9b}0m".to_owned()),
            Fault::ControlCharactersInModel => end(vec![answer::block("x".to_owned())], "a\u{1b}[31m"),
            Fault::UnknownModel => end(vec![answer::block("x".to_owned())], "gpt-17-ultra"),
            Fault::UnofferedTool => done(vec![answer::tool("rm")]),
            Fault::BadMeta => done(vec![answer::with_meta("{not json")]),
            Fault::ArrayMeta => done(vec![answer::with_meta("[\n\"\u{9b}31m\"]")]),
            Fault::TwoTexts => done(vec![answer::block("one ".to_owned()), answer::block("two".to_owned())]),
            Fault::Error => return Err(error::invalid_request("a remedy\u{1b}[31m\r\nin words")),
            Fault::Unsupported => return Err(error::unsupported("this plugin carries nothing")),
            Fault::None
            | Fault::TrapInResume
            | Fault::LoopInResume
            | Fault::FetchForEver
            | Fault::DumpMemoryInResume => Step::Fetch(fetch(fault)),
            Fault::GiantState
            | Fault::GiantBody
            | Fault::DelayForEver
            | Fault::Stream
            | Fault::Path
            | Fault::Endpoint
            | Fault::Header
            | Fault::DumpMemory => Step::Fetch(bad_fetch(fault, argument)),
        })
    }

    fn resume(state: Vec<u8>, response: HttpResponse) -> Result<Step, Error> {
        let (fault, _) = Fault::of(std::str::from_utf8(&state).unwrap_or_default());
        let headers: Vec<String> = response.headers.iter().map(|h| format!("{}: {}", h.name, h.value)).collect();
        let body = String::from_utf8_lossy(&response.body);
        let told = text(format!("{}\n{}\n\n{body}", response.status, headers.join("\n")));
        Ok(match fault {
            Fault::LoopInResume => ruin::endless(),
            Fault::TrapInResume => ruin::panics(),
            Fault::FetchForEver => Step::Fetch(fetch(Fault::FetchForEver)),
            Fault::DumpMemoryInResume => {
                let mut fetch = fetch(Fault::None);
                fetch.request.body = ruin::memory();
                Step::Fetch(fetch)
            }
            _ => told,
        })
    }
}

/// An exchange as it should be.
fn fetch(fault: Fault) -> Fetch {
    let request = HttpRequest {
        method: HttpMethod::Post,
        endpoint: None,
        path: "/echo".to_owned(),
        headers: Vec::new(),
        body: b"body".to_vec(),
        extensions: String::new(),
    };
    let state = fault.word().as_bytes().to_vec();
    Fetch { request, state, framing: Framing::Whole, delay_ms: 0, extensions: String::new() }
}

/// One that breaks a rule.
fn bad_fetch(fault: Fault, argument: &str) -> Fetch {
    let mut fetch = fetch(fault);
    match fault {
        Fault::Path => argument.clone_into(&mut fetch.request.path),
        Fault::Endpoint => fetch.request.endpoint = Some(argument.to_owned()),
        Fault::Header => {
            let (name, value) = argument.split_once('=').unwrap_or((argument, "x"));
            fetch.request.headers.push(http::header(name, value));
        }
        Fault::GiantState => fetch.state = vec![0; 2 * MIB],
        Fault::GiantBody => fetch.request.body = vec![b'x'; argument.parse().unwrap_or(33) * MIB],
        Fault::DelayForEver => fetch.delay_ms = u32::MAX,
        Fault::Stream => fetch.framing = Framing::ServerSentEvents,
        _ => fetch.request.body = ruin::memory(),
    }
    fetch
}
