//! A relay in this process, both of whose sides are the test's.

use bytes::Bytes;
use serde_json::{Value, json};
use understudy::config::{Config, Mode, Sampling};
use understudy::outbound::Http;
use understudy::sampling::{ConfiguredPlugin, Sampler};
use understudy::sandbox::Engine;
use understudy_proxy::relay::{Clients, Relay, RelayOptions, StateKey};
use understudy_proxy::transport::{Duplex, DuplexPeer, Incoming};

use std::path::Path;
use std::sync::Arc;

use crate::PATIENCE;
use crate::program::cache;

/// The two sides of a relay that answers with a plugin: the built-in `echo`, unless a test says which.
#[derive(Debug)]
pub struct Relayed {
    /// The client's.
    pub client: End,
    /// The server's.
    pub server: End,
    _relay: Relay,
}

/// One side.
#[derive(Debug)]
pub struct End(DuplexPeer);

impl Relayed {
    /// A relay in this mode.
    pub async fn new(mode: Mode) -> Self {
        Self::by(Sampling { mode, ..Sampling::by(vec!["echo".to_owned()]) }, None).await
    }

    /// A relay with this rule, and this key for what it seals.
    pub async fn by(rule: Sampling, state_key: Option<StateKey>) -> Self {
        Self::with(&json!({}), rule, state_key).await
    }

    /// A relay that answers with the rule's one plugin, as the config has it.
    pub async fn with(config: &Value, rule: Sampling, state_key: Option<StateKey>) -> Self {
        Self::between(config, rule, state_key, Clients::One).await
    }

    /// The same, whose front stands for so many clients.
    pub async fn between(config: &Value, rule: Sampling, state_key: Option<StateKey>, clients: Clients) -> Self {
        let config = Config::parse(&config.to_string(), Path::new("test")).unwrap_or_else(|e| panic!("{e}"));
        let plugin = config.plugin(&rule.plugins.join(""), |_| None).unwrap_or_else(|e| panic!("{e}"));
        let engine = Engine::new(Some(cache())).unwrap_or_else(|e| panic!("{e}"));
        let plugin = ConfiguredPlugin::load(&engine, &plugin, |_| None).await.unwrap_or_else(|e| panic!("{e}"));
        let sampler = Sampler::new("test", &rule, vec![plugin], Arc::new(Http::default()), &config);
        let terms = RelayOptions { state_key, clients, ..RelayOptions::new(config.limits.line) };
        let ((front, client), (back, server)) = (Duplex::pair(), Duplex::pair());
        let relay = Relay::start(front, back, Some((rule, Arc::new(sampler))), terms);
        Self { client: End(client), server: End(server), _relay: relay }
    }
}

impl End {
    /// Says this, as it is.
    pub async fn say_line(&self, line: &str) {
        let line = Bytes::from(format!("{line}\n"));
        assert!(self.0.outgoing.send(Incoming::Message(line.into())).await.is_ok(), "the relay has ended");
    }

    /// Says this.
    pub async fn say(&self, message: &Value) {
        self.say_line(&message.to_string()).await;
    }

    /// The next line.
    pub async fn line(&mut self) -> String {
        let message = tokio::time::timeout(PATIENCE, self.0.incoming.recv()).await;
        let message =
            message.unwrap_or_else(|_| panic!("nothing comes")).unwrap_or_else(|| panic!("the relay has ended"));
        String::from_utf8_lossy(&message.line).trim_end().to_owned()
    }

    /// The next message.
    pub async fn hear(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }
}

/// `_meta` of a request of the 2026-07-28 era.
#[must_use]
pub fn meta(capabilities: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": capabilities
    })
}

/// A call of the tool `t` by a client of that era, with more of its parameters.
#[must_use]
pub fn call(id: impl Into<Value>, capabilities: &Value, more: &Value) -> Value {
    let mut params = json!({ "name": "t", "arguments": { "n": 1.0 }, "_meta": meta(capabilities) });
    for (key, value) in more.as_object().into_iter().flatten() {
        params[key] = value.clone();
    }
    let id: Value = id.into();
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}
