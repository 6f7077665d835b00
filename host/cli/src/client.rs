//! A small MCP client of our own, in front of the relay: for `tools`, `call` and `demo`.
//!
//! It declares nothing, sampling included: that is what the relay is for. Requests that a server makes of it are answered
//! as a client without capabilities answers them. It speaks the era that the server speaks.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use mcp::{
    Era, Head, INPUT_REQUIRED, Kind, Parts, build, code, error_line, ids, method, notification, request_line,
    result_line, revision,
};
use serde::Deserialize;
use serde_json::{Value, json};

use understudy::config::{EraChoice, Mode, Sampling};
use understudy::text::one_line;
use understudy_proxy::relay::{self, Relay, RelayOptions, SamplingHandler};
use understudy_proxy::transport::server::{PATIENCE, ServerAddress, ServerConnection};
use understudy_proxy::transport::{Duplex, DuplexPeer, Incoming, Message, http_client};

/// After how long it is said, and said again, that the server has not answered; and how long it may take for all but a tool's call: a server may
/// have to be downloaded first.
const SAID: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_mins(5);

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Client {
    peer: DuplexPeer,
    relay: Relay,
    back: ServerConnection,
    last_id: u64,
    /// What each request says of itself, in the era without sessions.
    meta: Option<Value>,
}

impl Client {
    /// Connects through a relay and shakes hands; `era` is the server's.
    ///
    /// # Errors
    /// If the server doesn't.
    pub(crate) async fn connect(
        side: Duplex,
        back: ServerConnection,
        answering: SamplingHandler,
        terms: RelayOptions,
        era: Era,
    ) -> Result<Self> {
        let (front, peer) = Duplex::pair();
        let relay = Relay::start(front, side, answering, terms);
        let mut client = Self { peer, relay, back, last_id: 0, meta: None };
        match era {
            Era::Stateful => client.initialize().await?,
            // There is nothing to agree on.
            Era::Stateless => client.meta = Some(relay::envelope()),
        }
        Ok(client)
    }

    async fn initialize(&mut self) -> Result<()> {
        let params = json!({
            "protocolVersion": revision::LATEST_STATEFUL,
            "capabilities": {},
            "clientInfo": build::implementation("understudy", env!("CARGO_PKG_VERSION")),
        });
        let answer = self.request(method::INITIALIZE, &params).await?;
        let version = answer.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
        if !revision::STATEFUL.contains(&version) {
            bail!(
                "the server speaks protocol version `{}`, and this client {}",
                one_line(version, 40),
                revision::STATEFUL.join(", ")
            );
        }
        self.hand_over(build::initialized_line()).await
    }

    /// Every tool, page by page.
    ///
    /// # Errors
    /// If the server has none to list.
    pub(crate) async fn tools(&mut self) -> Result<Vec<Value>> {
        let mut tools = Vec::new();
        let (mut params, mut cursors) = (json!({}), HashSet::new());
        loop {
            let mut page = self.request(method::TOOLS_LIST, &params).await?;
            if let Some(Value::Array(more)) = page.get_mut("tools").map(Value::take) {
                tools.extend(more);
            }
            // Serializers that keep `null`, and servers that have an empty text for what there isn't.
            let next = page.get("nextCursor").filter(|cursor| !cursor.is_null() && *cursor != "");
            match next {
                Some(cursor) if cursors.insert(cursor.to_string()) => params = json!({ "cursor": cursor }),
                Some(_) => bail!("the server's `tools/list` gives the same `nextCursor` again and again"),
                None => return Ok(tools),
            }
        }
    }

    /// Calls a tool; its result.
    ///
    /// # Errors
    /// If the call fails as such. A tool's own failure is a result with `isError`.
    pub(crate) async fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value> {
        self.request(method::TOOLS_CALL, &json!({ "name": tool, "arguments": arguments })).await
    }

    /// Ends the session as the specification says: close the input, wait, ask to end, kill.
    pub(crate) async fn close(self) {
        let Self { peer, mut relay, back, .. } = self;
        drop(peer);
        back.close(PATIENCE).await;
        // Somebody whom it left behind may hold its output open.
        let _ = tokio::time::timeout(PATIENCE, relay.ended()).await;
    }

    async fn request(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let mut params = params.clone();
        if let (Some(meta), Some(params)) = (&self.meta, params.as_object_mut()) {
            params.insert("_meta".to_owned(), meta.clone());
        }
        let wanted = id.to_string();
        self.hand_over(request_line(wanted.as_bytes(), method, &params)).await?;
        let began = Instant::now();
        loop {
            let waited = tokio::time::timeout(SAID, self.peer.incoming.recv()).await;
            let Ok(incoming) = waited else {
                let so_far = began.elapsed();
                // A tool may take its time; what comes before it may not.
                if method != method::TOOLS_CALL && so_far > LONGEST {
                    bail!("the server has not answered `{method}` within {} s", so_far.as_secs());
                }
                tracing::warn!("the server has not answered `{method}` for {} s", so_far.as_secs());
                continue;
            };
            let Some(Message { line, .. }) = incoming else { break };
            let head = Head::of(&line);
            match (head.kind(), head.id()) {
                (Kind::Response, Some(id)) if ids::same(id, wanted.as_bytes()) => return outcome(method, &line),
                // To a server that couldn't read it, it had no id.
                (Kind::Other, None) if is_nameless(&line) => return outcome(method, &line),
                (Kind::Request, Some(id)) => self.refuse(&head, id).await?,
                (Kind::Notification, _) => notice(&line),
                _ => {}
            }
        }
        let how = self.back.exit_reason().await;
        Err(anyhow!("the server {how} before it answered `{method}`"))
    }

    async fn refuse(&mut self, head: &Head, id: &[u8]) -> Result<()> {
        let answer = match head.method() {
            Some(method::PING) => result_line(id, "{}"),
            _ => error_line(id, code::METHOD_NOT_FOUND, "this client has no such method"),
        };
        self.hand_over(answer).await
    }

    async fn hand_over(&mut self, line: Bytes) -> Result<()> {
        let sent = self.peer.outgoing.send(Incoming::Message(line.into())).await;
        sent.map_err(|_| anyhow!("the server has closed its input"))
    }
}

/// The era of the server at a place.
///
/// Where a plugin answers, a stateful server is spoken to in a session, and the relay bridges to a stateless one. Otherwise a server at a URL is
/// asked beforehand, on a connection of its own. A program would have to be started twice for that: it is first spoken to as most are, and says it
/// if that is wrong.
pub(crate) async fn era_of(place: &ServerAddress, limit: usize, answering: Option<&Sampling>) -> Era {
    let ServerAddress::Remote(remote) = place else { return Era::Stateful };
    if answering.is_some_and(|rule| rule.mode != Mode::Off && rule.era == EraChoice::Sessions) {
        return Era::Stateful;
    }
    let Ok((mut side, _connection)) = http_client::connect(remote.clone(), limit) else { return Era::Stateful };
    if !remote.is_old() && relay::speaks_stateless(&mut side).await { Era::Stateless } else { Era::Stateful }
}

/// The name of a tool that [`Client::tools`] lists.
#[must_use]
pub(crate) fn tool_name(tool: &Value) -> &str {
    tool.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Whether this is an error whose id is `null`.
fn is_nameless(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Nameless {
        id: Value,
        error: Value,
    }
    serde_json::from_slice::<Nameless>(line).is_ok_and(|it| it.id.is_null() && it.error.is_object())
}

/// A response's result, or its error in words.
fn outcome(method: &str, line: &[u8]) -> Result<Value> {
    let mut response: Value =
        serde_json::from_slice(line).with_context(|| format!("the server's answer to `{method}` is not valid JSON"))?;
    if let Some(error) = Parts::of(line).ok().and_then(|parts| parts.error) {
        let message = if error.message.is_empty() { "no message" } else { &error.message };
        bail!("the server refused `{method}`: {} (code {})", one_line(message, 2000), error.code);
    }
    let result = response.get_mut("result").map(Value::take).unwrap_or_default();
    if result.get("resultType").is_some_and(|kind| kind == INPUT_REQUIRED) {
        bail!("the server asks for input in the course of `{method}` that this client can't give");
    }
    Ok(result)
}

/// What a server says beside its answers goes to the log.
fn notice(line: &[u8]) {
    let Ok(message) = serde_json::from_slice::<Value>(line) else { return };
    let params = message.get("params");
    let text = match message.get("method").and_then(Value::as_str) {
        Some(notification::MESSAGE) => params.and_then(|params| params.get("data")).map(ToString::to_string),
        Some(notification::PROGRESS) => params.map(ToString::to_string),
        _ => None,
    };
    if let Some(text) = text {
        tracing::info!("the server says: {}", one_line(&text, 500));
    }
}
