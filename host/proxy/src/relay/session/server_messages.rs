//! What to do with each message of the server's.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use mcp::{Head, Kind, Parts, batch, cancelled_id, code, error_line, ids, method, notification, splice};

use super::{Negotiated, RelaySession};
use crate::relay::action::Action;
use crate::relay::request_needs::{has_results, needs};
use crate::relay::tasks::{self, Tasks};
use crate::relay::{lookalike, max_tokens};
use understudy::config::Mode;

impl RelaySession {
    /// What to do with a message of the server's; `related_request_id` is the client's request that it belongs to, where the transport tells.
    pub(crate) fn server_says(&self, line: &Bytes, related_request_id: Option<&[u8]>) -> Action {
        if self.answering.is_none() {
            return Action::Forward;
        }
        let head = Head::of(line);
        if let Some(line) = self.respelt(line, &head) {
            return match self.server_says(&line, related_request_id) {
                Action::Forward => Action::ForwardEdited(line),
                other => other,
            };
        }
        if let Some(activity) = &self.activity {
            activity.server_says(line, &head);
        }
        match head.kind() {
            Kind::Request if head.method() == Some(method::SAMPLING_CREATE_MESSAGE) => {
                let action = self.sampling_request(line, &head, related_request_id);
                if let Action::Reject { message, .. } = &action {
                    self.write_refusal(line, related_request_id, message);
                }
                action
            }
            _ if lookalike::is_one(line, &head) => self.lookalike(&head),
            Kind::Response => {
                if let Some(id) = head.id() {
                    self.answered(id);
                }
                Action::Forward
            }
            Kind::Request if self.has_tasks() && head.method().is_some_and(Tasks::knows) => self.task(line, &head),
            Kind::Notification if head.method() == Some(notification::CANCELLED) => self.cancelled(line),
            Kind::Batch => self.batch(line),
            _ => Action::Forward,
        }
    }

    /// The message with the ids of its answers as the client spells them, where the server gives them back in another way.
    fn respelt(&self, line: &Bytes, head: &Head) -> Option<Bytes> {
        let respelt = |line: &Bytes, head: &Head| {
            let id = head.id().filter(|_| head.kind() == Kind::Response)?;
            let going = self.going();
            let clients = going.get(ids::find(id, |key| going.contains_key(key))?.as_ref())?;
            // One with two ids can't be edited.
            (clients != id).then(|| splice::with_id(line, clients)).filter(|respelt| respelt != line)
        };
        if head.kind() != Kind::Batch {
            return respelt(line, head);
        }
        let elements = batch::messages(line, head);
        let respelt = elements.iter().filter_map(|(own, head)| Some((&own[..], respelt(own, head)?)));
        let respelt: Vec<(&[u8], Bytes)> = respelt.collect();
        (!respelt.is_empty()).then(|| splice::replace_each(line, respelt))
    }

    /// The server has answered a request of the client's.
    fn answered(&self, id: &[u8]) {
        self.going().remove(ids::key(id).as_ref());
        self.ends(id);
    }

    /// Writes down that a sampling request is refused.
    fn write_refusal(&self, line: &Bytes, related_request_id: Option<&[u8]>, reason: &str) {
        let Some(sampler) = self.sampler() else { return };
        let params = Parts::of(line).ok().and_then(|parts| parts.params);
        let params = params.map_or_else(Bytes::new, |params| line.slice_ref(params.get().as_bytes()));
        self.refused.write(sampler, params, self.circumstances(related_request_id), reason);
    }

    /// What could be taken for a sampling request, and is none.
    fn lookalike(&self, head: &Head) -> Action {
        let reason = "this is no valid JSON-RPC request, and could be taken for one of `sampling/createMessage`";
        if !self.told_lookalike.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the server wrote a message that is no valid request, and could be taken for one of `sampling/createMessage`: it is not passed on (said once)"
            );
        }
        match head.id() {
            // It is in a log that the server writes to stdout. The message itself comes by itself, and is the one to answer.
            _ if head.is_quoted() => Action::Drop,
            // The client waits for it.
            Some(id) if head.answers() => {
                self.answered(id);
                let reason = "the server's answer could be taken for a request of `sampling/createMessage`, and is not passed on";
                Action::ForwardEdited(error_line(id, code::INTERNAL_ERROR, reason))
            }
            Some(id) => Action::Reject { id: id.to_vec(), code: code::INVALID_REQUEST, message: reason.to_owned() },
            None => Action::Drop,
        }
    }

    /// What the server asks of tasks, which may be ours. A client that has tasks of its own lists these.
    fn task(&self, line: &Bytes, head: &Head) -> Action {
        let params = Parts::of(line).ok().and_then(|parts| parts.params);
        let params = params.map_or_else(Bytes::new, |params| line.slice_ref(params.get().as_bytes()));
        if !self.has_own_tasks() && !self.tasks.has(&params) {
            return Action::Forward;
        }
        let (id, method) = (head.id().unwrap_or_default().to_vec(), head.method().unwrap_or_default().to_owned());
        Action::AnswerTask { id, method, params }
    }

    /// A sampling request: held to the rule, whether the client or a plugin is to answer it.
    fn sampling_request(&self, line: &Bytes, head: &Head, related_request_id: Option<&[u8]>) -> Action {
        let id = head.id().unwrap_or_default().to_vec();
        let refuse = |code, message: String| Action::Reject { id: id.clone(), code, message };
        let raw = match Parts::of(line) {
            Ok(parts) => parts.params,
            Err(error) => return refuse(code::PARSE_ERROR, format!("the request is not valid JSON: {error}")),
        };
        let Some(raw) = raw else {
            return refuse(code::INVALID_PARAMS, "invalid sampling request: `params` is missing".to_owned());
        };
        let Some((rule, sampler)) = &self.answering else { return Action::Forward };
        let params = line.slice_ref(raw.get().as_bytes());
        let Negotiated { clients, all, .. } = self.declared.get().copied().unwrap_or_default();
        let needs = needs(&params);
        // Where we have declared tasks, they are ours, not the client's.
        let is_task = self.has_own_tasks() && tasks::wanted(&params).is_some();
        // `includeContext` only matters if `sampling.context` was declared to the server.
        let can =
            (clients.parts.tools || !needs.tools) && (clients.parts.context || !all.parts.context || !needs.context);
        let is_clients = rule.mode == Mode::Fallback && clients.sampling && can && !is_task;
        if !is_clients && needs.tools && self.declared.get().is_some() && !all.parts.tools {
            let reason =
                "invalid sampling request: it uses `tools`, and `sampling.tools` was not declared in this session";
            return refuse(code::INVALID_PARAMS, reason.to_owned());
        }
        if let Some(refusal) = self.while_a_tool_is_called(&id) {
            return refusal;
        }
        if is_clients && lookalike::has_other_params(line) {
            return refuse(
                code::INVALID_REQUEST,
                "invalid sampling request: a member could be read as `params`, and isn't it".to_owned(),
            );
        }
        // What the plugin answers is held to the rest when it is read.
        let line = match is_clients.then(|| sampler.review(&params)) {
            None => line.clone(),
            Some(Ok(lowered)) => lowered.map_or_else(|| line.clone(), |lowered| max_tokens::lower(line, raw, lowered)),
            Some(Err(error)) => return refuse(error.code(), error.to_string()),
        };
        let charged = self
            .allowance
            .as_ref()
            .map(|allowance| allowance.charge(related_request_id, needs.tools || has_results(&params)));
        if let Some(Err(reason)) = charged {
            return refuse(code::INTERNAL_ERROR, reason);
        }
        match is_clients {
            false => Action::Sample { id, params, is_rate_counted: false },
            true if sampler.try_rate() => match self.goes_to_client(&id, &params) {
                Ok(()) => Action::ForwardEdited(line),
                Err(failure) => refuse(failure.code, failure.message),
            },
            true => Action::AskClientLater { id, params, line },
        }
    }

    fn cancelled(&self, line: &Bytes) -> Action {
        let Some(id) = cancelled_id(line) else { return Action::Forward };
        self.forget(&id);
        Action::SamplingCancelled { id }
    }

    /// A batch, in which revision 2025-03-26 allows requests: what is ours is taken out, the rest stays together.
    fn batch(&self, line: &Bytes) -> Action {
        let Some(elements) = batch::split(line) else {
            // A lenient reader could make anything of it.
            return if lookalike::speaks_of_it(line) { self.lookalike(&Head::default()) } else { Action::Forward };
        };
        let (mut ours, mut others, mut dropped) = (Vec::new(), Vec::new(), false);
        for element in elements {
            let head = Head::of(&element);
            if head.kind() == Kind::Batch && lookalike::speaks_of_it(&element) {
                // There are no batches of batches.
                self.lookalike(&Head::default());
                dropped = true;
            } else if head.is_request(method::SAMPLING_CREATE_MESSAGE) || lookalike::is_one(&element, &head) {
                ours.push([&element[..], b"\n"].concat().into());
            } else {
                if let (Kind::Response, Some(id)) = (head.kind(), head.id()) {
                    self.answered(id);
                }
                others.push(element);
            }
        }
        if ours.is_empty() && !dropped {
            // At most it speaks of it.
            return Action::Forward;
        }
        let rest = (!others.is_empty()).then(|| batch::join_line(&others));
        Action::SplitBatch { rest, ours }
    }
}
