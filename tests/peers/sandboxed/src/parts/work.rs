//! The parts of which a request consists.

use std::cell::RefCell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use mcp::Head;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use understudy::config::{Config, Sampling};
use understudy::outbound::Http;
use understudy::sampling::{ConfiguredPlugin, Sampler};
use understudy::sandbox::{Engine, Plugin};
use understudy::wit::understudy::plugin::types as wit;
use understudy_mcp_types::CreateMessageRequestParams;
use understudy_plugin::{Provider, testing};
use understudy_plugin_anthropic::Anthropic;
use understudy_proxy::relay::{Relay, RelayOptions};
use understudy_proxy::transport::{Duplex, Incoming};

use super::warm::Warm;

/// Something to be timed, or counted.
pub(crate) struct Part<'a> {
    pub(crate) name: String,
    /// How often it runs in a round.
    pub(crate) each: u32,
    pub(crate) run: Box<dyn FnMut() + 'a>,
}

/// What the parts have in common.
pub(crate) struct Parts {
    runtime: Runtime,
    plugin: Plugin,
    echo: Plugin,
    sampler: Arc<Sampler>,
    /// Compiled when they are first used.
    warm: RefCell<Option<Warm>>,
    warm_echo: RefCell<Option<Warm>>,
    options: Arc<wit::Options>,
    response: wit::HttpResponse,
    sizes: [Size; 2],
    lines: [Line; 2],
}

/// A request with a prompt of some size.
struct Size {
    title: &'static str,
    each: u32,
    params: String,
}

/// A line that is not a sampling request.
struct Line {
    title: &'static str,
    each: u32,
    text: String,
}

impl Parts {
    pub(crate) fn new(cache: Option<PathBuf>) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let engine = Engine::new(cache).expect("an engine");
        let config = Config::parse("{}", Path::new("bench")).expect("a config");
        let [plugin, echo] = ["anthropic", "echo"].map(|name| {
            let config = config.plugin(name, |_| None).expect("a built-in plugin");
            runtime.block_on(Plugin::load(Arc::clone(&engine), &config)).expect("a plugin")
        });
        let answering = config.plugin("echo", |_| None).expect("a built-in plugin");
        let answering = runtime.block_on(ConfiguredPlugin::load(&engine, &answering, |_| None)).expect("a plugin");
        let sampler = Arc::new(Sampler::new("server", &rule(), vec![answering], Arc::new(Http::default()), &config));
        let options = Arc::new(wit::Options {
            model: "m".to_owned(),
            request_id: "1".to_owned(),
            server: "s".to_owned(),
            settings: "{}".to_owned(),
            extensions: "{}".to_owned(),
        });
        let response =
            wit::HttpResponse { status: 200, headers: Vec::new(), body: answer(), extensions: "{}".to_owned() };
        let size = |title, bytes, each| Size { title, each, params: params(bytes).to_string() };
        let sizes = [size("1 KB", 1000, 50), size("100 KB", 100_000, 10)];
        let line = |title, each, content: Value| {
            let line = json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [content] } });
            Line { title, each, text: line.to_string() }
        };
        let lines = [
            line("1 KB", 2000, json!({ "type": "text", "text": "x".repeat(900) })),
            line("5 MB", 3, json!({ "type": "image", "data": "A".repeat(5_000_000) })),
        ];
        Self {
            runtime,
            plugin,
            echo,
            sampler,
            warm: RefCell::default(),
            warm_echo: RefCell::default(),
            options,
            response,
            sizes,
            lines,
        }
    }

    /// The parts that are compared with one another, under a title.
    pub(crate) fn groups(&self) -> Vec<(String, Vec<Part<'_>>)> {
        let mut groups = Vec::new();
        for size in &self.sizes {
            let title = format!("`start` and `resume` of `anthropic`, a prompt of {}", size.title);
            groups.push((title, vec![self.native(size), self.warm(size), self.fresh(size)]));
        }
        let parts = self.sizes.iter().map(|size| self.validate(size));
        groups.push(("parsing and validating a request".to_owned(), parts.collect()));
        groups.push(("an instance that does next to nothing".to_owned(), vec![self.instance()]));
        let parts = self.sizes.iter().map(|size| self.there_and_back(size));
        groups.push(("lowering a text into an instance and lifting it out again".to_owned(), parts.collect()));
        for line in &self.lines {
            let title = format!("finding out that a line of {} isn't ours", line.title);
            groups.push((title, vec![scan(line), parse(line)]));
        }
        let parts = self.lines.iter().map(|line| self.relay(line));
        groups.push(("relaying a line that isn't ours, between channels".to_owned(), parts.collect()));
        groups
    }

    fn native<'a>(&self, size: &'a Size) -> Part<'a> {
        let answer = self.response.body.clone();
        let run = move || {
            let step = Anthropic::start(testing::request(&size.params), testing::options("m", &json!({})));
            let Ok(understudy_plugin::types::Step::Fetch(fetch)) = step else { panic!("no exchange") };
            black_box(Anthropic::resume(fetch.state, testing::response(200, &[], answer.clone())).is_ok());
        };
        part(format!("native, {}", size.title), size.each, run)
    }

    fn warm<'a>(&'a self, size: &'a Size) -> Part<'a> {
        let run = || {
            let request = wit::CreateMessageRequest::from(parsed(&size.params));
            let mut warm = self.warm.borrow_mut();
            let warm = warm.get_or_insert_with(|| self.runtime.block_on(Warm::new("anthropic")));
            self.runtime.block_on(async {
                let step = warm.start(&request, &self.options).await;
                let wit::Step::Fetch(fetch) = step else { panic!("no exchange") };
                black_box(warm.resume(&fetch.state, &self.response.clone()).await);
            });
        };
        part(format!("sandboxed, one instance for all, {}", size.title), size.each, run)
    }

    fn fresh<'a>(&'a self, size: &'a Size) -> Part<'a> {
        let run = || {
            let request = Arc::new(wit::CreateMessageRequest::from(parsed(&size.params)));
            self.runtime.block_on(async {
                let step = self.plugin.start(&request, &self.options).await.expect("a step");
                let wit::Step::Fetch(fetch) = step else { panic!("no exchange") };
                black_box(self.plugin.resume(&fetch.state.into(), self.response.clone()).await.expect("a step"));
            });
        };
        part(format!("sandboxed, an instance a call, {}", size.title), size.each, run)
    }

    #[expect(clippy::unused_self, reason = "one of the parts as others")]
    fn validate<'a>(&self, size: &'a Size) -> Part<'a> {
        part(format!("parse and validate, {}", size.title), size.each * 10, || drop(black_box(parsed(&size.params))))
    }

    fn instance(&self) -> Part<'_> {
        let run = || drop(black_box(self.runtime.block_on(self.echo.describe()).expect("a description")));
        part("`describe` of `echo`".to_owned(), 50, run)
    }

    /// `echo` says in its answer which model it was to ask.
    fn there_and_back<'a>(&'a self, size: &'a Size) -> Part<'a> {
        let options = wit::Options { model: size.params.clone(), ..(*self.options).clone() };
        // Next to no prompt: it counts the words.
        let request = wit::CreateMessageRequest::from(parsed(&params(1).to_string()));
        let run = move || {
            let mut echo = self.warm_echo.borrow_mut();
            let echo = echo.get_or_insert_with(|| self.runtime.block_on(Warm::new("echo")));
            let step = self.runtime.block_on(echo.start(&request, &options));
            let wit::Step::Done(completion) = step else { panic!("no answer") };
            black_box(completion.result.model);
        };
        part(format!("there and back, {}", size.title), size.each, run)
    }

    fn relay<'a>(&'a self, line: &'a Line) -> Part<'a> {
        let _in_the_runtime = self.runtime.enter();
        let ((front, mut client), (back, server)) = (Duplex::pair(), Duplex::pair());
        let relay = Relay::start(
            front,
            back,
            Some((rule(), Arc::clone(&self.sampler))),
            RelayOptions::new(line.text.len() + 1),
        );
        let text = Bytes::from(format!("{}\n", line.text));
        let run = move || {
            let _until_the_end = &relay;
            self.runtime.block_on(async {
                assert!(server.outgoing.send(Incoming::Message(text.clone().into())).await.is_ok());
                black_box(client.incoming.recv().await.expect("the line"));
            });
        };
        part(format!("relaying, {}", line.title), line.each, run)
    }
}

fn rule() -> Sampling {
    Sampling { requests_per_call: u32::MAX, ..Sampling::by(vec!["echo".to_owned()]) }
}

fn scan(line: &Line) -> Part<'_> {
    let run = || drop(black_box(Head::of(line.text.as_bytes())));
    part(format!("the scan, {}", line.title), line.each, run)
}

fn parse(line: &Line) -> Part<'_> {
    let run = || drop(black_box(serde_json::from_str::<Value>(&line.text)));
    part(format!("parsing it with serde_json, {}", line.title), line.each, run)
}

fn part<'a>(name: String, each: u32, run: impl FnMut() + 'a) -> Part<'a> {
    Part { name, each, run: Box::new(run) }
}

fn parsed(params: &str) -> CreateMessageRequestParams {
    let params = CreateMessageRequestParams::from_json(params.as_bytes()).expect("parameters");
    params.validate().expect("valid parameters");
    params
}

fn params(bytes: usize) -> Value {
    let text = "All the world's a stage, and all the men and women merely players. ".repeat(bytes / 67 + 1);
    let message = json!({ "role": "user", "content": { "type": "text", "text": text.get(..bytes) } });
    json!({ "messages": [message], "maxTokens": 1000, "systemPrompt": "Be brief.", "temperature": 0.7 })
}

fn answer() -> Vec<u8> {
    let usage = json!({ "input_tokens": 10, "output_tokens": 20 });
    let content = json!([{ "type": "text", "text": "They have their exits and their entrances." }]);
    json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage })
    .to_string()
    .into_bytes()
}

/// Runs one part so many times, and nothing else.
pub(crate) fn run(name: &str, times: u32, cache: &Path) -> ExitCode {
    without_offers();
    let parts = Parts::new(Some(cache.to_owned()));
    let mut all = parts.groups().into_iter().flat_map(|(_, group)| group);
    let mut part = all.find(|part| part.name == name).expect("a part of this name");
    (0..times).for_each(|_| (part.run)());
    ExitCode::SUCCESS
}

/// Under valgrind all guests run long, and callgrind gives up where a signal interrupts another: no thread is told to offer its core.
fn without_offers() {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::signal::{SigSet, Signal};
        // All threads that begin later have it from this one.
        SigSet::from_iter([Signal::SIGURG]).thread_block().expect("a signal is blocked");
    }
}
