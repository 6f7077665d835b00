//! What a legacy server asks its client for in the course of a call: the call is parked, and goes on with the client's retry.

use std::time::Instant;

use bytes::Bytes;
use mcp::method::{self, SAMPLING_CREATE_MESSAGE};
use mcp::revision::LATEST_STATELESS;
use mcp::{INPUT_REQUIRED, Parts, RawObject, cancelled_id, code, error_line, is_null, result_line};
use serde_json::value::RawValue;

use super::{LegacyCall, ModernToLegacy, Open, PARKED, may_ask};
use crate::relay::request_state::RequestState;
use crate::transport::Message;

/// What to do where several clients share a server that can't tell them apart.
const REMEDY: &str = "write `\"clients\": \"apart\"` for this server into the config and each call has a server of its own, or `\"one\"` if \
                      there is one client only; with `understudy proxy`, or a session of an earlier revision, a client has its own, too";

impl ModernToLegacy {
    /// A parked call goes on with what the client brings.
    pub(super) async fn goes_on(
        &mut self,
        (id, token): (&[u8], Option<Box<RawValue>>),
        binding: &[u8],
        responses: RawObject,
        state: Option<&RawValue>,
    ) -> Open {
        let state = state.and_then(|state| serde_json::from_str::<String>(state.get()).ok()).unwrap_or_default();
        let (own, round) = match self.seal.unseal(&state, binding) {
            Some(Ok(RequestState { state: Some(own), rounds, .. })) => (own.get().as_bytes().to_vec(), rounds),
            Some(Err(reason)) => {
                return self.send_to_client(error_line(id, code::INVALID_PARAMS, &reason.to_string()), None).await;
            }
            _ => {
                let reason = "the `requestState` is not one that this server gave; make the request again without it";
                return self.send_to_client(error_line(id, code::INVALID_PARAMS, reason), None).await;
            }
        };
        let waits = |going: &&mut LegacyCall| going.front.is_none() && going.rounds == round;
        let Some(going) = self.calls.get_mut(&own).filter(waits) else {
            let reason = "the call that this `requestState` belongs to goes on already, or has ended; make the request again without it";
            return self.send_to_client(error_line(id, code::INVALID_PARAMS, reason), None).await;
        };
        going.front = Some(id.to_vec());
        going.parked = None;
        going.newest_token = token;
        let answers: Vec<(Vec<u8>, Option<Box<RawValue>>)> =
            going.asked.drain().map(|(key, servers)| (servers, responses.get(&key).map(ToOwned::to_owned))).collect();
        let answer = going.answer.take();
        self.by_front.insert(id.to_vec(), own.clone());
        for (servers, answer) in answers {
            let line = match answer {
                Some(answer) => result_line(&servers, answer.get()),
                None => error_line(
                    &servers,
                    code::INTERNAL_ERROR,
                    "the client has made the request again without an answer to this",
                ),
            };
            self.send_to_server(line).await?;
        }
        match answer {
            Some(line) => self.answered(&own, &line).await,
            None => self.require(&own).await,
        }
    }

    /// The server asks for something that only the client can answer.
    pub(super) async fn asked(&mut self, message: &Message, method: &str, id: &[u8]) -> Open {
        if method == method::PING {
            return self.send_to_server(result_line(id, "{}")).await;
        }
        if method != SAMPLING_CREATE_MESSAGE && !method::OTHER_INPUTS.contains(&method) {
            return self.send_to_server(error_line(id, code::METHOD_NOT_FOUND, "the client has no such method")).await;
        }
        // The call that it belongs to, if the transport tells; else, of one client, the latest that it waits for.
        let told = message
            .related_request_id
            .as_ref()
            .map(|related_request_id| related_request_id.to_vec())
            .filter(|related_request_id| self.calls.contains_key(related_request_id));
        let latest = || {
            self.calls
                .iter()
                .filter(|(_, going)| may_ask(going))
                .max_by_key(|(own, going)| (going.front.is_some(), own.len(), (*own).clone()))
        };
        if self.clients.are_several()
            && told.as_ref().and_then(|own| self.calls.get(own)).is_none_or(|going| !may_ask(going))
        {
            tracing::warn!("the server asks for `{method}`, and nothing says whose call that belongs to: {REMEDY}");
            // Of sampling that means that the client can't, so that the plugin does.
            let code = if method == SAMPLING_CREATE_MESSAGE { code::METHOD_NOT_FOUND } else { code::INTERNAL_ERROR };
            let reason = format!(
                "several clients share this server, and nothing says whose call this belongs to, so no client is asked; {REMEDY}"
            );
            return self.send_to_server(error_line(id, code, &reason)).await;
        }
        let Some(own) = told.or_else(|| latest().map(|(own, _)| own.clone())) else {
            let reason =
                format!("revision {LATEST_STATELESS}, which the client speaks, has no place for this outside a call");
            return self.send_to_server(error_line(id, code::INTERNAL_ERROR, &reason)).await;
        };
        let capability = method.split('/').next().unwrap_or(method);
        let Some(going) = self.calls.get_mut(&own) else { return Some(()) };
        if going.capabilities.get(capability).is_none_or(is_null) {
            let reason = format!("the client has not declared `{capability}`");
            return self.send_to_server(error_line(id, code::METHOD_NOT_FOUND, &reason)).await;
        }
        let mut input = RawObject::default();
        input.put("method", &method);
        if let Some(params) = Parts::of(&message.line).ok().and_then(|parts| parts.params) {
            input.set("params", params.to_owned());
        }
        going.waiting.push_back((id.to_vec(), input));
        self.require(&own).await
    }

    /// Asks the client for what the server waits for, which ends this round of the call.
    pub(super) async fn require(&mut self, own: &[u8]) -> Open {
        let Some(going) = self.calls.get_mut(own) else { return Some(()) };
        if going.waiting.is_empty() || going.front.is_none() {
            return Some(());
        }
        let id = RawValue::from_string(String::from_utf8_lossy(own).into_owned()).unwrap_or_default();
        going.rounds += 1;
        let remembered = RequestState::new(Some(id), RawObject::default(), going.rounds);
        let (Some(state), Some(front)) = (self.seal.seal(&remembered, &going.binding), going.front.take()) else {
            return Some(());
        };
        let mut requests = RawObject::default();
        for (n, (servers, input)) in going.waiting.drain(..).enumerate() {
            let key = format!("input-{}", n + 1);
            requests.set(&key, input.raw());
            going.asked.insert(key, servers);
        }
        going.parked = Some(Instant::now());
        self.by_front.remove(&front);
        let mut result = RawObject::default();
        result.put("resultType", &INPUT_REQUIRED);
        result.set("inputRequests", requests.raw());
        result.put("requestState", &state);
        self.send_to_client(result_line(&front, result.raw().get()), None).await
    }

    /// The server no longer wants what it asked for.
    pub(super) fn withdrawn(&mut self, line: &Bytes) {
        if let Some(id) = cancelled_id(line) {
            for going in self.calls.values_mut() {
                going.waiting.retain(|(servers, _)| *servers != id);
                going.asked.retain(|_, servers| *servers != id);
            }
        }
    }

    /// Cancels calls whose client never came back.
    pub(super) async fn forget_parked(&mut self) -> Open {
        let is_old = |going: &LegacyCall| going.parked.is_some_and(|since| since.elapsed() > PARKED);
        let old: Vec<Vec<u8>> =
            self.calls.iter().filter(|(_, going)| is_old(going)).map(|(own, _)| own.clone()).collect();
        for own in old {
            self.calls.remove(&own);
            self.cancel(&own).await?;
        }
        Some(())
    }
}
