//! Attacks under a load of honest requests, in one process: two servers with a relay each, one of them hostile or with hostile plugin and
//! provider, the other honest. What they share is what an attack could spoil: the runtime, the engine, the HTTP clients.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use understudy::config::{Config, PluginConfig, Sampling};
use understudy::outbound::Http;
use understudy::sampling::{ConfiguredPlugin, Sampler};
use understudy::sandbox::Engine;
use understudy_proxy::relay::{Relay, RelayOptions};
use understudy_proxy::transport::{Duplex, Incoming};

use crate::session::sampling;
use crate::{PATIENCE, bombs, guests, program, wild};

/// A server behind a relay of its own, played by the test.
#[derive(Debug)]
pub struct Server {
    to_relay: tokio::sync::mpsc::Sender<Incoming>,
    waiting: Arc<Mutex<Waiting>>,
    last_id: AtomicUsize,
    _client: tokio::sync::mpsc::Sender<Incoming>,
    _listener: AbortOnDrop,
    _relay: Relay,
    _reader: AbortOnDrop,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By their ids; several requests may have one.
    answers: HashMap<String, VecDeque<oneshot::Sender<Value>>>,
    /// Answers that nobody waits for: one too many, or to a request that was never made.
    surplus: usize,
}

#[derive(Debug)]
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    fn new(rule: Sampling, sampler: Arc<Sampler>, limit: usize) -> Self {
        let ((front, client), (back, mut peer)) = (Duplex::pair(), Duplex::pair());
        let relay = Relay::start(front, back, Some((rule, sampler)), RelayOptions::new(limit));
        let waiting: Arc<Mutex<Waiting>> = Arc::default();
        let (to_relay, seen) = (peer.outgoing.clone(), Arc::clone(&waiting));
        let reader = tokio::spawn(async move {
            while let Some(said) = peer.incoming.recv().await {
                let message: Value = serde_json::from_slice(&said.line).unwrap_or_default();
                let id = message["id"].to_string();
                let mut waiting = lock(&seen);
                let wanted = waiting.answers.get_mut(&id).and_then(VecDeque::pop_front);
                if waiting.answers.get(&id).is_some_and(VecDeque::is_empty) {
                    waiting.answers.remove(&id);
                }
                match wanted {
                    // Whoever asked may have gone.
                    Some(sender) => drop(sender.send(message)),
                    None if message["method"].is_string() => {}
                    None => waiting.surplus += 1,
                }
            }
        });
        // The client reads what it is told, and has nothing to say.
        let (to_client, mut told) = (client.outgoing, client.incoming);
        let listener = tokio::spawn(async move { while told.recv().await.is_some() {} });
        Self {
            to_relay,
            waiting,
            last_id: AtomicUsize::new(0),
            _client: to_client,
            _listener: AbortOnDrop(listener),
            _relay: relay,
            _reader: AbortOnDrop(reader),
        }
    }

    /// An id that wasn't used before.
    pub fn next_id(&self) -> usize {
        self.last_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes a line, whatever it is.
    pub async fn say(&self, line: String) {
        let sent = self.to_relay.send(Incoming::Message(Bytes::from(line).into())).await;
        assert!(sent.is_ok(), "the relay has ended");
    }

    /// Makes a request and waits for its one answer.
    pub async fn ask(&self, request: &Value) -> Value {
        let answer = self.begin(request).await;
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        answer
            .unwrap_or_else(|_| panic!("no answer to {}", shown(request)))
            .unwrap_or_else(|_| panic!("the relay has ended"))
    }

    /// The answer to a request, once somebody makes it.
    #[must_use]
    pub fn expect(&self, request: &Value) -> oneshot::Receiver<Value> {
        let (sender, answer) = oneshot::channel();
        lock(&self.waiting).answers.entry(request["id"].to_string()).or_default().push_back(sender);
        answer
    }

    /// Makes a request; its answer is for later.
    pub async fn begin(&self, request: &Value) -> oneshot::Receiver<Value> {
        let answer = self.expect(request);
        self.say(format!("{request}\n")).await;
        answer
    }

    /// Cancels a request. It gets no answer any more, or has it already.
    pub async fn cancel(&self, id: &Value) {
        let params = json!({ "requestId": id });
        self.say(format!("{}\n", json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })))
            .await;
    }

    /// Answers that were one too many.
    #[must_use]
    pub fn surplus(&self) -> usize {
        lock(&self.waiting).surplus
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shown(request: &Value) -> String {
    request.to_string().chars().take(300).collect()
}

/// The servers.
#[derive(Debug)]
pub struct Arena {
    /// The one that suffers nothing, if all is well.
    pub honest: Arc<Server>,
    /// The one from which attacks come, and whose plugin is the faulty guest.
    pub hostile: Arc<Server>,
    /// The one whose provider is hostile.
    pub wild: Arc<Server>,
    engine: Arc<Engine>,
    bomb: PluginConfig,
    _folder: tempfile::TempDir,
}

/// What the honest plugin's key is: a hostile provider would like to see it leave through an answer.
pub const KEY: &str = "sk-understudy-test-0123456789";

impl Arena {
    /// An arena with providers of its own.
    pub async fn new() -> Self {
        let (provider, wild) = (wild::start().await, wild::start().await);
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("no folder: {e}"));
        let faulty = guests::write("faulty", folder.path());
        let bomb = folder.path().join("bomb.wasm");
        std::fs::write(&bomb, bombs::many(40)).unwrap_or_else(|e| panic!("no bomb: {e}"));
        let key = folder.path().join("key");
        std::fs::write(&key, KEY).unwrap_or_else(|e| panic!("no key: {e}"));
        let credential = json!({ "header": "x-api-key", "file": key });
        let config = json!({
            "limits": { "deadline": "500 ms", "waiting": 64, "concurrent": CONCURRENT, "retries": 0, "responseBody": "4 MiB" },
            "plugins": {
                "honest": { "component": "builtin:anthropic", "endpoint": format!("{provider}/honest"), "model": "m", "credential": credential,
                            "limits": { "deadline": "1 min" } },
                "faulty": { "component": faulty, "endpoint": format!("{provider}/honest"), "limits": { "cpu": "20 ms", "memory": "64 MiB", "deadline": "300 ms" } },
                "bomb": { "component": bomb, "limits": { "compile": { "time": "200 ms" } } },
                "wild": { "component": "builtin:anthropic", "endpoint": format!("{wild}/hostile"), "model": "m", "credential": credential }
            }
        });
        let config = Config::parse(&config.to_string(), Path::new("arena")).unwrap_or_else(|e| panic!("{e}"));
        let cache = crate::program::cache();
        let engine = Engine::new(Some(cache)).unwrap_or_else(|e| panic!("{e}"));
        engine.compile_in_children(program::binary("understudy"));
        let bomb = config.plugin("bomb", |_| None).unwrap_or_else(|e| panic!("{e}"));
        let http = Arc::new(Http::default());
        let server = async |plugin: &str| {
            let rule = Sampling { requests_per_call: u32::MAX, ..Sampling::by(vec![plugin.to_owned()]) };
            let plugin = config.plugin(plugin, |_| None).unwrap_or_else(|e| panic!("{e}"));
            let plugin = ConfiguredPlugin::load(&engine, &plugin, |_| None).await.unwrap_or_else(|e| panic!("{e}"));
            let sampler = Sampler::new("server", &rule, vec![plugin], Arc::clone(&http), &config);
            Arc::new(Server::new(rule, Arc::new(sampler), config.limits.line))
        };
        let honest = server("honest").await;
        let (hostile, wild) = (server("faulty").await, server("wild").await);
        Self { honest, hostile, wild, engine, bomb, _folder: folder }
    }

    /// Loads a component that is dear to compile, as a hot reload does; it is refused.
    ///
    /// # Panics
    /// If it isn't.
    pub async fn load_bomb(&self) {
        self.engine.compile_in_background();
        let outcome = ConfiguredPlugin::load(&self.engine, &self.bomb, |_| None).await;
        let error = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("`limits.compile.time`"), "{error}");
    }

    /// Makes honest requests, so many at a time, while `attack` goes on; each is answered as it should be. Their times, sorted.
    pub async fn under_load(&self, at_once: usize, attack: impl Future<Output = ()>) -> Vec<Duration> {
        let over = Arc::new(AtomicBool::new(false));
        let mut workers = JoinSet::new();
        for _ in 0..at_once {
            let (server, over) = (Arc::clone(&self.honest), Arc::clone(&over));
            workers.spawn(async move {
                let mut times = Vec::new();
                while !over.load(Ordering::Relaxed) || times.is_empty() {
                    let request = sampling(server.next_id(), "hello");
                    let began = Instant::now();
                    let answer = server.ask(&request).await;
                    times.push(began.elapsed());
                    assert_eq!(answer["result"]["content"]["text"], "fine", "{answer}");
                }
                times
            });
        }
        attack.await;
        over.store(true, Ordering::Relaxed);
        let mut times = workers.join_all().await.concat();
        times.sort_unstable();
        times
    }
}

/// How many requests each server may have answered at once.
const CONCURRENT: usize = 32;

/// Connections to providers that may be kept for later, absolutely: of three servers, as many as each may have in use.
const MOST_CONNECTIONS: usize = 3 * CONCURRENT;

/// Tasks and descriptors that may come and go for the runtime's and the HTTP client's own ends.
const SOME: usize = 8;

/// What the process holds.
#[derive(Debug, Clone, Copy)]
pub struct Holdings {
    /// Tasks of the runtime, without those for connections to providers.
    pub tasks: usize,
    /// Open files and sockets, without those connections.
    pub descriptors: usize,
    /// Connections to providers: both ends are in this process, and each has a task.
    pub connections: usize,
    /// Resident memory, in bytes.
    pub memory: usize,
}

impl Holdings {
    /// What it holds now.
    #[must_use]
    pub fn now() -> Self {
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
        let connections = wild::connections();
        Self {
            tasks: tasks.saturating_sub(2 * connections),
            descriptors: descriptors.saturating_sub(2 * connections),
            connections,
            memory: pages * rustix::param::page_size(),
        }
    }

    /// Waits until it holds no more than before, but for connections that are kept and what the allocator keeps (`slack`, in bytes); what it
    /// holds then. A guest that is cut off may live on for a moment, until it is its thread's turn.
    pub async fn back_to(self, slack: usize, after: &str) -> Self {
        let began = Instant::now();
        let mut look = tokio::time::interval(Duration::from_millis(10));
        loop {
            look.tick().await;
            let now = Self::now();
            let is_back = now.tasks <= self.tasks + SOME
                && now.descriptors <= self.descriptors + SOME
                && now.connections <= MOST_CONNECTIONS;
            if is_back && now.memory < self.memory.saturating_add(slack) {
                return now;
            }
            assert!(began.elapsed() < PATIENCE, "it held {self:?}, and holds {now:?} after {after}");
        }
    }
}
