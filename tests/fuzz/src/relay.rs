//! What client and server say, through the real relay, with `echo` in the sandbox.
//!
//! An input is a byte that says who answers and how it ends, then lines: those that begin with `>` are the client's, with `<` the server's; at
//! a `.` all that is under way comes to its end first. To every line spaces and tabs are added that number it, so that what passes can be told
//! from what the relay says itself.
#![expect(clippy::indexing_slicing, reason = "an absent member of a JSON value is `null`")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use mcp::{Head, Kind, ids};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use understudy::config::Config;
use understudy::outbound::{Http, ProviderClient};
use understudy::sampling::{ConfiguredPlugin, Costs, Sampler};
use understudy::sandbox::{Engine, Plugin};
use understudy::select::Catalogue;
use understudy_proxy::relay::{Relay, RelayOptions, SamplingHandler};
use understudy_proxy::transport::{Duplex, DuplexPeer, Incoming, Splitter};

use crate::seed;

/// Who answers.
const RULES: [&str; 8] = [
    "{}",
    r#"{"sampling": {"use": "echo", "mode": "off"}}"#,
    r#"{"sampling": "echo"}"#,
    r#"{"sampling": {"use": "echo", "mode": "always"}}"#,
    r#"{"sampling": {"use": "echo", "context": "thisServer"}}"#,
    r#"{"sampling": {"use": "echo", "mode": "always", "tools": ["judge"]}}"#,
    r#"{"sampling": {"use": ["echo", "echo"], "mode": "always", "declareTools": false, "maxTokens": 2}}"#,
    r#"{"sampling": "echo", "limits": {"concurrent": 1, "waiting": 1, "samplingRequest": "400 B", "samplingTotal": "600 B", "messages": 2}}"#,
];

/// Both sides end at once, whatever is under way.
const ABRUPT: u8 = 0x80;

/// The longest line.
const LINE: usize = 1000;

/// How often an input may wait for all that is under way.
const PAUSES: usize = 8;

/// Nothing takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

const CREATE_MESSAGE: &str = "sampling/createMessage";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(crate::runtime);
static ANSWERING: LazyLock<Vec<SamplingHandler>> = LazyLock::new(|| RUNTIME.block_on(answering()));

async fn answering() -> Vec<SamplingHandler> {
    let engine = Engine::new(None).unwrap_or_else(|e| panic!("{e}"));
    let mut all = Vec::new();
    for rule in RULES {
        let config = Config::parse(rule, Path::new("understudy.json")).unwrap_or_else(|e| panic!("{e}"));
        let Some(sampling) = config.sampling().cloned() else {
            all.push(None);
            continue;
        };
        let mut chain = Vec::new();
        for name in &sampling.plugins {
            let config = config.plugin(name, |_| None).unwrap_or_else(|e| panic!("{e}"));
            let plugin = Plugin::load(Arc::clone(&engine), &config).await.unwrap_or_else(|e| panic!("{e}"));
            let provider_client =
                ProviderClient::new(&config, &plugin.description, |_| None).unwrap_or_else(|e| panic!("{e}"));
            let catalogue = Catalogue::new(&config, &plugin.description);
            chain.push(ConfiguredPlugin {
                plugin,
                provider_client,
                catalogue,
                costs: Costs::default(),
                settings: "{}".to_owned(),
            });
        }
        let sampler = Sampler::new("server", &sampling, chain, Arc::new(Http::default()), &config);
        all.push(Some((sampling, Arc::new(sampler))));
    }
    all
}

/// Plays a session.
pub fn played(input: &[u8]) {
    let Some((how, script)) = input.split_first() else { return };
    let answering = ANSWERING.get(usize::from(how & 7)).cloned().flatten();
    let touches = !matches!(how & 7, 0 | 1);
    RUNTIME.block_on(async {
        let mut play = Play::begin(answering, touches);
        let mut pauses = 0;
        for line in script.split(|byte| *byte == b'\n') {
            match line {
                [b'.', ..] if pauses < PAUSES => {
                    pauses += 1;
                    play.quiet().await;
                }
                [b'<', text @ ..] => play.server.say(text).await,
                [b'>', text @ ..] => play.client.say(text).await,
                _ => {}
            }
        }
        play.end(how & ABRUPT != 0).await;
    });
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Party {
    Client,
    Server,
}

struct Play {
    relay: Relay,
    client: Mouth,
    server: Mouth,
    ears: mpsc::UnboundedReceiver<(Party, Option<Bytes>)>,
    /// What each has heard; whether it hears on.
    to_client: Heard,
    to_server: Heard,
    touches: bool,
}

/// What one party has heard.
#[derive(Default)]
struct Heard {
    /// Of the other party: by number.
    others: Vec<(usize, Bytes)>,
    /// Of the relay.
    relays: Vec<Bytes>,
    is_over: bool,
}

/// One party speaks.
struct Mouth {
    to_relay: Option<mpsc::Sender<Incoming>>,
    splitter: Splitter,
    said: Vec<Said>,
}

struct Said {
    line: Bytes,
    head: Head,
    is_too_long: bool,
}

impl Play {
    fn begin(answering: SamplingHandler, touches: bool) -> Self {
        let (front, client) = Duplex::pair();
        let (back, server) = Duplex::pair();
        let relay = Relay::start(front, back, answering, RelayOptions::new(LINE));
        let (sender, ears) = mpsc::unbounded_channel();
        let client = Mouth::of(client, Party::Client, sender.clone());
        let server = Mouth::of(server, Party::Server, sender);
        Self { relay, client, server, ears, to_client: Heard::default(), to_server: Heard::default(), touches }
    }

    /// Waits until what was said so far has passed, and what it led to has come.
    async fn quiet(&mut self) {
        self.client.say(br#"{"method":"quiet"}"#).await;
        self.server.say(br#"{"method":"quiet"}"#).await;
        let (last, lasts) = (self.client.said.len() - 1, self.server.said.len() - 1);
        self.hear_until("the last lines", |play| {
            play.to_server.others.last().is_some_and(|(n, _)| *n == last)
                && play.to_client.others.last().is_some_and(|(n, _)| *n == lasts)
        })
        .await;
        let account = Account::of(self);
        let (to_server, to_client) =
            (account.answers.values().sum(), self.to_client.relays.len() + account.untold.len());
        self.hear_until("all answers", |play| {
            play.to_server.relays.len() >= to_server && play.to_client.relays.len() >= to_client
        })
        .await;
        Account::of(self).check(&self.to_server, true);
    }

    async fn end(mut self, is_abrupt: bool) {
        if !is_abrupt {
            self.quiet().await;
            self.client.to_relay = None;
            self.hear_until("the end of the client's input", |play| play.to_server.is_over).await;
        }
        self.client.to_relay = None;
        self.server.to_relay = None;
        self.hear_until("the end", |play| play.to_server.is_over && play.to_client.is_over).await;
        let ended = tokio::time::timeout(PATIENCE, self.relay.ended()).await;
        assert!(ended.is_ok(), "the relay doesn't end");
        Account::of(&self).after_the_client(&self.to_client).check(&self.to_server, !is_abrupt);
    }

    async fn hear_until(&mut self, what: &str, is_enough: impl Fn(&Self) -> bool) {
        while !is_enough(self) {
            let heard = tokio::time::timeout(PATIENCE, self.ears.recv()).await;
            let Ok(Some((party, line))) = heard else {
                panic!("{what}: nothing comes; the server heard {:?}", self.to_server.relays)
            };
            let heard = if party == Party::Client { &mut self.to_client } else { &mut self.to_server };
            match line.as_ref().map(|line| number(line)) {
                None => heard.is_over = true,
                Some(Some(n)) => heard.others.extend(line.map(|line| (n, line))),
                Some(None) => heard.relays.extend(line),
            }
        }
    }
}

impl Mouth {
    fn of(peer: DuplexPeer, party: Party, ears: mpsc::UnboundedSender<(Party, Option<Bytes>)>) -> Self {
        let DuplexPeer { mut incoming, outgoing } = peer;
        tokio::spawn(async move {
            while let Some(message) = incoming.recv().await {
                // Nobody listens any more: the play is over.
                let _ = ears.send((party, Some(message.line)));
            }
            let _ = ears.send((party, None));
        });
        Self { to_relay: Some(outgoing), splitter: Splitter::new(LINE), said: Vec::new() }
    }

    async fn say(&mut self, text: &[u8]) {
        let line = Bytes::from([text, &mark(self.said.len()), b"\n"].concat());
        let (first, second) = line.split_at(line.len() / 3);
        self.splitter.buffer().extend_from_slice(first);
        assert_eq!(self.splitter.next_line(), None);
        self.splitter.buffer().extend_from_slice(second);
        let Some(incoming) = self.splitter.next_line() else { panic!("the line is lost") };
        let is_too_long = match &incoming {
            Incoming::Message(message) => {
                assert_eq!(message.line, line);
                false
            }
            Incoming::TooLong { head, bytes } => {
                assert_eq!((head, *bytes), (&Head::of(&line), line.len()));
                true
            }
        };
        assert_eq!(is_too_long, line.len() > LINE);
        self.said.push(Said { head: Head::of(&line), line, is_too_long });
        if let Some(to_relay) = &self.to_relay {
            assert!(to_relay.send(incoming).await.is_ok(), "the relay no longer listens");
        }
    }
}

/// White space that says a number.
fn mark(n: usize) -> [u8; 16] {
    std::array::from_fn(|bit| if n >> bit & 1 == 0 { b' ' } else { b'\t' })
}

/// The number of a line that has one.
fn number(line: &[u8]) -> Option<usize> {
    let mark = line.strip_suffix(b"\n")?.last_chunk::<16>()?;
    let bit = |(at, byte): (usize, &u8)| match byte {
        b' ' => Some(0),
        b'\t' => Some(1 << at),
        _ => None,
    };
    mark.iter().enumerate().map(bit).sum()
}

/// What must have become of all that was said.
struct Account {
    /// The answers that the server must have had, by the id of what is answered.
    answers: BTreeMap<Vec<u8>, usize>,
    /// The ids of messages that were too long, of which the client has not been told.
    untold: Vec<Vec<u8>>,
    /// The answers that the server may have had besides: to what the client was asked before it went.
    more: BTreeMap<Vec<u8>, usize>,
}

impl Account {
    fn of(play: &Play) -> Self {
        let mut answers: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        let mut cancelled: Vec<Vec<u8>> = Vec::new();
        let mut to_client = play.to_client.relays.clone();
        let mut untold: Vec<Vec<u8>> = Vec::new();
        let mut answer = |id: &[u8]| *answers.entry(loose(id)).or_default() += 1;
        for said in missing(&play.server.said, &play.to_client.others, same_but_for_what_is_lowered) {
            let Said { head, line, is_too_long } = said;
            let id = head.id().unwrap_or_default();
            // A log that quotes a request is none, and its id is nobody's.
            if play.touches && head.is_quoted() && speaks_of_sampling(line) {
                continue;
            }
            match head.kind() {
                Kind::Request if *is_too_long => answer(id),
                Kind::Response if *is_too_long => untold.push(id.to_vec()),
                _ if *is_too_long => {}
                _ if !play.touches => panic!("{said:?} is gone"),
                Kind::Request if head.method() == Some(CREATE_MESSAGE) => answer(id),
                Kind::Notification
                    if head.method() == Some("notifications/cancelled") && !cancelled_id(line).is_empty() =>
                {
                    cancelled.push(cancelled_id(line));
                }
                // What could be taken for a sampling request: its sender is told, or whoever waits for it, if there is an id.
                Kind::Response if speaks_of_sampling(line) => untold.push(id.to_vec()),
                Kind::Request if speaks_of_sampling(line) => answer(id),
                Kind::Notification | Kind::Other if speaks_of_sampling(line) => {
                    if head.answers() && head.id().is_some() {
                        untold.push(id.to_vec());
                    } else if head.id().is_some() {
                        answer(id);
                    }
                }
                Kind::Batch if head.is_odd() || serde_json::from_slice::<Value>(line).is_err() => {
                    assert!(speaks_of_sampling(line), "{said:?} is gone");
                }
                Kind::Batch => {
                    for id in taken_apart(line, &mut to_client) {
                        answer(&id);
                    }
                }
                _ => panic!("{said:?} is gone"),
            }
        }
        for said in missing(&play.client.said, &play.to_server.others, same_but_for_what_is_declared) {
            let id = said.head.id().unwrap_or_default();
            match said.head.kind() {
                Kind::Request if said.is_too_long => untold.push(id.to_vec()),
                Kind::Response if said.is_too_long => answer(id),
                _ if said.is_too_long => {}
                Kind::Response if play.touches && memchr::memmem::find(&said.line, b"error").is_some() => answer(id),
                _ => panic!("{said:?} is gone"),
            }
        }
        for line in to_client {
            let id = Head::of(&line).id().map(<[u8]>::to_vec);
            let at = untold.iter().position(|expected| Some(expected) == id.as_ref());
            let at = at.unwrap_or_else(|| panic!("the client heard {line:?}"));
            untold.swap_remove(at);
            check_answer(&line);
        }
        for id in cancelled {
            let count = answers.get_mut(&loose(&id)).filter(|count| **count > 0);
            *count.unwrap_or_else(|| panic!("the cancellation of {id:?} is gone")) -= 1;
        }
        answers.retain(|_, count| *count > 0);
        Self { answers, untold, more: BTreeMap::new() }
    }

    /// The same once the client has gone: what it was asked, and has not answered, is answered for it.
    fn after_the_client(mut self, to_client: &Heard) -> Self {
        let heard = to_client.others.iter().map(|(_, line)| line).chain(&to_client.relays);
        for line in heard {
            for (_, head) in mcp::batch::messages(line, &Head::of(line)) {
                if head.is_request(CREATE_MESSAGE) {
                    *self.more.entry(loose(head.id().unwrap_or_default())).or_default() += 1;
                }
            }
        }
        self
    }

    /// Whether the server heard these answers; if the end was abrupt, no more than these.
    fn check(&self, heard: &Heard, is_whole: bool) {
        let mut answers: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for line in &heard.relays {
            let id = Head::of(line).id().unwrap_or_default().to_vec();
            *answers.entry(loose(&id)).or_default() += 1;
            check_answer(line);
        }
        let more = |id: &Vec<u8>| self.more.get(id).copied().unwrap_or_default();
        if is_whole {
            let all = |counts: &BTreeMap<Vec<u8>, usize>, id| counts.get(id).copied().unwrap_or_default();
            for id in answers.keys().chain(self.answers.keys()) {
                let (had, expected) = (all(&answers, id), all(&self.answers, id));
                assert!((expected..=expected + more(id)).contains(&had), "{id:?}: {had} answers, not {expected}");
            }
            assert_eq!(self.untold, Vec::<Vec<u8>>::new());
        }
        for (id, count) in answers {
            assert!(
                self.answers.get(&id).copied().unwrap_or_default() + more(&id) >= count,
                "{id:?} is answered {count} times"
            );
        }
    }
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.line)
    }
}

/// What was said and didn't pass; what passed did so in order and as it was.
fn missing<'a>(said: &'a [Said], heard: &[(usize, Bytes)], is_same: fn(&Said, &[u8]) -> bool) -> Vec<&'a Said> {
    let mut missing = Vec::new();
    let mut heard = heard.iter().peekable();
    for (n, said) in said.iter().enumerate() {
        match heard.next_if(|(number, _)| *number == n) {
            Some((_, line)) => assert!(is_same(said, line), "{said:?} became {line:?}"),
            None => missing.push(said),
        }
    }
    assert!(heard.next().is_none(), "what passed is out of order");
    missing
}

/// An `initialize` may have a member put in; nothing else may differ.
fn same_but_for_what_is_declared(said: &Said, heard: &[u8]) -> bool {
    if said.line == heard {
        return true;
    }
    let common = said.line.iter().zip(heard).take_while(|(a, b)| a == b).count();
    // Where what is inserted ends as it begins, what is common reaches into it.
    let is_insertion = heard.len() > said.line.len() && heard.ends_with(said.line.split_at(common).1);
    let mut values = [&said.line[..], heard].map(|line| serde_json::from_slice::<Value>(line).unwrap_or_default());
    // What is `null` is replaced.
    let has_null = memchr::memmem::find(&said.line, b"null").is_some();
    if values[0].is_null() {
        // Not even text, where nobody looks.
        return is_insertion || has_null;
    }
    if is_respelt(&said.head, &values[0], &values[1]) {
        return true;
    }
    let declared = values[1]["params"]["capabilities"]["sampling"].is_object();
    for value in &mut values {
        if let Some(params) = value["params"].as_object_mut() {
            if params.get("capabilities").is_some_and(Value::is_null) {
                params.remove("capabilities");
            }
            if let Some(capabilities) = params.get_mut("capabilities").and_then(Value::as_object_mut) {
                capabilities.remove("sampling");
            }
            params.entry("capabilities").or_insert_with(|| serde_json::json!({}));
        }
    }
    said.head.is_request("initialize") && (is_insertion || has_null) && declared && values[0] == values[1]
}

/// Whether an answer differs in nothing but the spelling of its id, or those of a batch in theirs.
fn is_respelt(head: &Head, said: &Value, heard: &Value) -> bool {
    let plain = |value: &Value| {
        let mut value = value.clone();
        let elements = match &mut value {
            Value::Array(elements) => elements.as_mut_slice(),
            one => std::slice::from_mut(one),
        };
        for element in elements {
            if let Some(id) = element.get_mut("id") {
                *id = String::from_utf8_lossy(&loose(id.to_string().as_bytes())).into_owned().into();
            }
        }
        value
    };
    matches!(head.kind(), Kind::Response | Kind::Batch) && plain(said) == plain(heard)
}

/// An id as the one that reads it most loosely has it: a number in a text is that number.
fn loose(id: &[u8]) -> Vec<u8> {
    let key = ids::key(id);
    let inner = key.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or_default().trim_ascii();
    let is_number = serde_json::from_slice::<serde_json::Number>(inner).is_ok();
    if is_number { ids::key(inner).into_owned() } else { key.into_owned() }
}

/// A batch that was taken apart: the client has heard the rest, and each sampling request that is its own to answer. The ids of the others.
fn taken_apart(line: &[u8], to_client: &mut Vec<Bytes>) -> Vec<Vec<u8>> {
    let elements: Vec<&RawValue> = serde_json::from_slice(line).unwrap_or_default();
    let (mut rest, mut ids, mut may_go) = (Vec::new(), Vec::new(), Vec::new());
    for element in elements.iter().map(|element| element.get()) {
        let head = Head::of(element.as_bytes());
        if head.kind() == Kind::Batch && speaks_of_sampling(element.as_bytes()) {
            // There are no batches of batches; what this one says of sampling may be something else.
            may_go.push(element);
        } else if head.is_request(CREATE_MESSAGE) {
            if !take(&format!("{element}\n"), to_client) && !take_lowered(element, to_client) {
                ids.push(head.id().unwrap_or_default().to_vec());
            }
        } else if is_passed(&head, element) {
            rest.push(element);
        } else {
            // What only resembles our method may be refused, or passed on.
            may_go.push(element);
        }
    }
    let is_rest = |heard: &Bytes| {
        let kept: Vec<&RawValue> = serde_json::from_slice(heard).unwrap_or_default();
        let kept: Vec<&str> = kept.iter().map(|element| element.get()).collect();
        !kept.is_empty()
            && rest.iter().all(|element| kept.contains(element))
            && kept.iter().all(|element| rest.contains(element) || may_go.contains(element))
    };
    let at = to_client.iter().position(is_rest);
    assert!(rest.is_empty() || at.is_some(), "the rest of a batch is gone");
    let heard = at.map(|at| to_client.swap_remove(at)).unwrap_or_default();
    let kept: Vec<&RawValue> = serde_json::from_slice(&heard).unwrap_or_default();
    for element in may_go.into_iter().filter(|element| !kept.iter().any(|kept| kept.get() == *element)) {
        let head = Head::of(element.as_bytes());
        if !matches!(head.kind(), Kind::Response | Kind::Batch) {
            ids.extend(head.id().map(<[u8]>::to_vec));
        }
    }
    assert!(rest.len() < elements.len(), "a batch with nothing of ours in it was taken apart");
    ids
}

/// Takes a line out of what the client has heard; whether it was there.
fn take(line: &str, to_client: &mut Vec<Bytes>) -> bool {
    let at = to_client.iter().position(|heard| *heard == line);
    at.map(|at| to_client.swap_remove(at)).is_some()
}

/// Whether the method's name may stand in a line, in whatever spelling: what is escaped is taken to be anything.
fn speaks_of_sampling(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line).to_lowercase();
    let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
    letters.contains("createmessage") || text.contains("\\u") || !text.is_ascii()
}

/// Whether an element of a batch is nothing that could be taken for a sampling request.
fn is_passed(head: &Head, element: &str) -> bool {
    let plain = |method: &str| method.is_ascii() && !method.to_lowercase().contains("createmessage");
    head.other_methods().is_empty() && head.method().is_none_or(plain) && head.kind() != Kind::Other
        || !speaks_of_sampling(element.as_bytes())
}

/// Takes a request for the client with other `maxTokens` out of what it has heard.
fn take_lowered(element: &str, to_client: &mut Vec<Bytes>) -> bool {
    let at = to_client.iter().position(|heard| is_lowered(element.as_bytes(), heard));
    at.map(|at| to_client.swap_remove(at)).is_some()
}

/// Whether a request differs in nothing but its `maxTokens`.
fn is_lowered(said: &[u8], heard: &[u8]) -> bool {
    let [said, heard] = [said, heard].map(|line| {
        let mut value = serde_json::from_slice::<Value>(line).unwrap_or_default();
        if let Some(params) = value.get_mut("params").and_then(Value::as_object_mut) {
            params.remove("maxTokens");
        }
        value
    });
    !said.is_null() && said == heard
}

/// A request for a completion may have its `maxTokens` lowered; nothing else may differ.
fn same_but_for_what_is_lowered(said: &Said, heard: &[u8]) -> bool {
    let values = || [&said.line[..], heard].map(|line| serde_json::from_slice::<Value>(line).unwrap_or_default());
    said.line == heard || (said.head.is_request(CREATE_MESSAGE) && is_lowered(&said.line, heard)) || {
        let [said_value, heard_value] = values();
        !said_value.is_null() && is_respelt(&said.head, &said_value, &heard_value)
    }
}

fn cancelled_id(line: &[u8]) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        params: Params<'a>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        #[serde(borrow)]
        request_id: &'a RawValue,
    }
    // A line that only looks like a cancellation cancels nothing.
    let message = serde_json::from_slice::<Message>(line).ok();
    message.map(|message| message.params.request_id.get().as_bytes().to_vec()).unwrap_or_default()
}

/// A line of the relay's is an answer as JSON-RPC has them, unless the id to be answered is no JSON.
fn check_answer(line: &Bytes) {
    let head = Head::of(line);
    let id = head.id().unwrap_or_default();
    assert!(line.ends_with(b"}\n") && memchr::memchr_iter(b'\n', line).count() == 1, "{line:?}");
    let Ok(answer) = serde_json::from_slice::<Value>(line) else {
        assert!(serde_json::from_slice::<Value>(id).is_err(), "{line:?} is no JSON");
        return;
    };
    match (&answer["result"], &answer["error"]) {
        (result, Value::Null) => {
            assert!(result["role"] == "assistant" && result["content"].is_object() | result["content"].is_array());
        }
        (Value::Null, error) => {
            assert!(error["code"].is_i64());
            crate::check_words(error["message"].as_str().unwrap_or_default());
        }
        _ => panic!("{line:?} has both"),
    }
}

/// Seeds: a session for each thing that the relay does.
pub fn seeds() {
    let request = |id: &str, more: &str| {
        format!(
            r#"<{{"jsonrpc":"2.0","id":{id},"method":"sampling/createMessage","params":{{"messages":[{{"role":"user","content":{{"type":"text","text":"hello"}}}}],"maxTokens":9{more}}}}}"#
        )
    };
    let initialize = |capabilities: &str| {
        format!(
            r#">{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{capabilities}}}}}"#
        )
    };
    let initialized = r#"<{"jsonrpc":"2.0","id":0,"result":{"instructions":"Be brief.","capabilities":{}}}"#;
    let call = r#">{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"judge","arguments":{"a":1.0}}}"#;
    let called = r#"<{"jsonrpc":"2.0","id":5,"result":{"content":[]}}"#;
    let cancel = r#"<{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
    let no = r#">{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}"#;
    let rejected = r#">{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"User rejected sampling request"}}"#;
    let answer =
        r#">{"jsonrpc":"2.0","id":7,"result":{"role":"assistant","content":{"type":"text","text":"x"},"model":"m"}}"#;
    let (seven, text) = (request("7", ""), request("\"a\"", ""));
    let batch = format!("<[{{\"method\":\"x\"}},{},[{}]]", &seven[1..], &text[1..]);
    let tools =
        request("7", r#","tools":[{"name":"t","inputSchema":{"type":"object"}}],"toolChoice":{"mode":"required"}"#);
    let context = request("7", r#","includeContext":"thisServer","_meta":{"progressToken":"p"}"#);
    let long = format!("<{{\"id\":8,\"method\":\"m\",\"params\":\"{}\"}}", "x".repeat(LINE));
    let (long_answer, long_request) = (long.replace("method", "result"), long.replacen('<', ">", 1));
    let (plain, all) = (initialize("{}"), initialize(r#"{"sampling":{"tools":{},"context":{}},"roots":{}}"#));
    let null = initialize(r#"{"sampling":null,"tasks":null}"#);
    let respelt = [
        called.replace('5', "\"5\""),
        called.replace('5', "5.0"),
        answer.replace('7', "\"7\""),
        no.replace('7', "7.0"),
    ];
    let quoted = format!("<DEBUG sent: {}", &seven[1..]);
    let sessions: [(&str, Vec<&str>); 11] = [
        ("asks", vec![&plain, initialized, &seven, &text, ".", cancel, &seven, cancel]),
        ("fallback", vec![&all, initialized, &seven, answer, ".", &seven, no, ".", &seven, rejected]),
        ("tools", vec![&plain, &tools, call, &tools, called, &tools]),
        ("context", vec![&plain, initialized, call, &context, ".", called, &context]),
        ("batches", vec![&all, &batch, ".", &plain, &batch, r#"<[{"method":"sampling/createMessage"}]"#]),
        (
            "lookalikes",
            vec![
                &all,
                r#"<{"id":null,"method":"sampling/createMessage"}"#,
                r#"<{"id":3,"method":"sampling/createMessage\u0000"}"#,
                r#"<{"id":3,"Method":"sampling/createMessage","result":{}}"#,
                r#"<[[{"id":3,"method":"sampling/createMessage"}],{"method":"x"}]"#,
                r#"<{"method":"x"} {"id":3,"method":"sampling/createMessage"}"#,
            ],
        ),
        (
            "spellings",
            vec![
                &null,
                &all,
                call,
                &respelt[0],
                call,
                &respelt[1],
                &seven,
                &respelt[2],
                ".",
                &seven,
                &respelt[3],
                &quoted,
            ],
        ),
        ("twice", vec![&seven, &seven, &seven, &text]),
        ("long", vec![&long, &long_answer, &long_request]),
        ("odd", vec![">", "<", ">not JSON", "<{\"half\":", "<{\"id\":1,\"method\":\"sampling/createMessage\"}"]),
        (
            "invalid",
            vec!["<{\"id\":1,\"method\":\"sampling/createMessage\",\"params\":{\"messages\":[],\"maxTokens\":0}}"],
        ),
    ];
    for (name, lines) in sessions {
        for how in 0..8_u8 {
            let abrupt = if how % 2 == 0 { 0 } else { ABRUPT };
            seed(&format!("{name}-{how}"), &[&[how], lines.join("\n").as_bytes()].concat());
            seed(&format!("{name}-{how}-end"), &[&[how | abrupt], lines.join("\n").as_bytes()].concat());
        }
    }
}
