//! The client's requests: answered here, or sent on without what only the stateless revision has.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use mcp::build::{error_line_with_data, unsupported_version_data};
use mcp::revision::{self, LATEST_STATELESS};
use mcp::{COMPLETE, Parts, RawObject, code, error_line, meta, method, request_line, result_line};

use super::{LegacyCall, ModernToLegacy, Open, cacheable, log_level};
use crate::relay::request_state;

impl ModernToLegacy {
    /// A request of the client's.
    pub(super) async fn request(&mut self, line: &Bytes, method: &str, id: &[u8]) -> Open {
        let mut params = Parts::of(line).ok().and_then(|parts| RawObject::of(parts.params?)).unwrap_or_default();
        let mut meta = params.remove("_meta").as_deref().and_then(RawObject::of).unwrap_or_default();
        let version =
            meta.remove(meta::PROTOCOL_VERSION).and_then(|version| serde_json::from_str::<String>(version.get()).ok());
        if version.as_deref() != Some(LATEST_STATELESS) {
            return self.send_to_client(unsupported(id, version.as_deref().unwrap_or_default()), None).await;
        }
        if self.by_front.contains_key(id) || self.listening.contains_key(id) {
            return self
                .send_to_client(error_line(id, code::INVALID_REQUEST, "a request with this id is still going on"), None)
                .await;
        }
        let capabilities =
            meta.remove(meta::CLIENT_CAPABILITIES).as_deref().and_then(RawObject::of).unwrap_or_default();
        meta.remove(meta::CLIENT_INFO);
        let log = meta.remove(meta::LOG_LEVEL).as_deref().and_then(log_level::Level::of);
        let token = meta.get(meta::PROGRESS_TOKEN).map(ToOwned::to_owned);
        match method {
            method::SERVER_DISCOVER => return self.discovered(id).await,
            method::SUBSCRIPTIONS_LISTEN => return self.listen(id, &params).await,
            method::INITIALIZE
            | method::PING
            | method::LOGGING_SET_LEVEL
            | method::RESOURCES_SUBSCRIBE
            | method::RESOURCES_UNSUBSCRIBE => {
                return self
                    .send_to_client(
                        error_line(
                            id,
                            code::METHOD_NOT_FOUND,
                            &format!("revision {LATEST_STATELESS} has no `{method}`"),
                        ),
                        None,
                    )
                    .await;
            }
            // The server's tasks are its session's, and so all clients': a client that lists them would see the others'.
            _ if self.clients.are_several()
                && (method.starts_with(method::TASKS_PREFIX) || params.get("task").is_some()) =>
            {
                let reason = format!(
                    "revision {LATEST_STATELESS} has no tasks of earlier revisions: `tasks/…`, and `task` in `params`"
                );
                return self.send_to_client(error_line(id, code::METHOD_NOT_FOUND, &reason), None).await;
            }
            _ => {}
        }
        let responses = params.remove("inputResponses").as_deref().and_then(RawObject::of);
        let state = params.remove("requestState");
        let binding = request_state::binding(method, &params);
        if responses.is_some() || state.is_some() {
            return self.goes_on((id, token), &binding, responses.unwrap_or_default(), state.as_deref()).await;
        }
        if let Some(level) = log {
            self.log_at(level).await?;
        }
        if !meta.is_empty() {
            params.set("_meta", meta.raw());
        }
        let own = self.new_id();
        self.by_front.insert(id.to_vec(), own.clone());
        let line = request_line(&own, method, &params);
        let going = LegacyCall {
            front: Some(id.to_vec()),
            method: method.to_owned(),
            binding,
            capabilities,
            log,
            newest_token: token.clone(),
            token,
            waiting: VecDeque::new(),
            asked: HashMap::new(),
            answer: None,
            rounds: 0,
            parked: None,
        };
        self.calls.insert(own, going);
        self.send_to_server(line).await
    }

    /// What the server is, as this era tells it.
    async fn discovered(&self, id: &[u8]) -> Open {
        let mut result = RawObject::default();
        result.put("resultType", &COMPLETE);
        result.put("supportedVersions", &revision::STATELESS);
        let mut capabilities = self.server.object("capabilities").unwrap_or_default();
        if self.clients.are_several() {
            capabilities.remove("tasks");
        }
        result.set("capabilities", capabilities.raw());
        if let Some(instructions) = self.server.get("instructions") {
            result.set("instructions", instructions.to_owned());
        }
        cacheable(&mut result);
        if let Some(server) = self.server.get("serverInfo") {
            let mut meta = RawObject::default();
            meta.set(meta::SERVER_INFO, server.to_owned());
            result.set("_meta", meta.raw());
        }
        self.send_to_client(result_line(id, result.raw().get()), None).await
    }
}

/// The answer to a request of a revision that isn't this era's.
fn unsupported(id: &[u8], requested: &str) -> Bytes {
    let data = unsupported_version_data(&revision::STATELESS, requested);
    error_line_with_data(id, code::UNSUPPORTED_PROTOCOL_VERSION, "unsupported protocol version", &data)
}
