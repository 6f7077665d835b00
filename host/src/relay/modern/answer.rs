//! What is required of the client and is ours to answer.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::value::RawValue;

use super::super::create;
use super::super::members::Members;
use super::super::rounds::{Call, Input, MOST_ROUNDS, Required};
use super::super::seal::Remembered;
use super::super::session::{self, CREATE_MESSAGE, needs};
use super::{Exchange, OTHER_INPUTS};
use crate::config::Mode;
use crate::sampling::{Asked, Context};

impl Exchange {
    /// The server requires something: what is ours of it is answered beside the loops.
    pub(super) async fn required(self: &Arc<Self>, call: Arc<Call>, required: Required, line: Bytes) -> bool {
        let known = |input: &Input| input.method == CREATE_MESSAGE || OTHER_INPUTS.contains(&input.method.as_str());
        if let Some((key, input)) = required.requests.iter().find(|(_, input)| !known(input)) {
            let shown = (crate::text::one_line(&input.method, 100), crate::text::one_line(key, 100));
            let reason = format!("the server asks for `{}` (as `{}`), which no client can answer", shown.0, shown.1);
            return self.fail(&call.id, -32603, &reason).await;
        }
        if !required.requests.iter().any(|(_, input)| self.is_ours(&call, input)) {
            self.calls().end(&call.id);
            return self.to_front.send(line).await;
        }
        if call.rounds >= MOST_ROUNDS {
            let reason = format!("the server asked {MOST_ROUNDS} times in one call, and no more are answered");
            return self.fail(&call.id, -32603, &reason).await;
        }
        let tools = self.rule.tools.as_deref();
        let called = call.tool().map(|call| call.tool);
        if let Some(tools) = tools.filter(|tools| !called.is_some_and(|tool| tools.contains(&tool))) {
            return self.fail(&call.id, -32603, &session::only_while(tools)).await;
        }
        let id = call.id.clone();
        let exchange = Arc::clone(self);
        let mut calls = self.calls();
        if !calls.closed {
            let task = tokio::spawn(async move { exchange.answer(&call, required).await });
            calls.answering.insert(id, task.abort_handle());
        }
        true
    }

    pub(super) fn is_ours(&self, call: &Call, input: &Input) -> bool {
        if input.method != CREATE_MESSAGE {
            return false;
        }
        let needs = needs(input.params.as_ref().map_or(b"", |params| params.get().as_bytes()));
        let can = call.clients.sampling && (call.clients.parts.tools || !needs.tools);
        self.rule.mode == Mode::Always || !can
    }

    /// Answers what is ours, then makes the call again, or leaves the rest to the client.
    pub(super) async fn answer(&self, call: &Call, mut required: Required) {
        let all = std::mem::take(&mut required.requests);
        let (ours, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, input)| self.is_ours(call, input));
        let answers = join_all(ours.iter().map(|(_, input)| self.create(call, input))).await;
        // What ends the call must not end this task, which has still to say so.
        self.calls().answering.remove(&call.id);
        let mut responses = Members::default();
        for ((key, _), answer) in ours.iter().zip(answers) {
            match answer.map(RawValue::from_string) {
                Ok(Ok(result)) => responses.set(key, result),
                Ok(Err(error)) => {
                    self.fail(&call.id, -32603, &format!("the answer is not valid JSON: {error}")).await;
                    return;
                }
                Err((code, reason)) => {
                    let reason =
                        format!("the server asked for a completion in the course of this call, and got none: {reason}");
                    self.fail(&call.id, code, &reason).await;
                    return;
                }
            }
        }
        if others.is_empty() {
            let id = self.calls().again(call);
            self.to_back.send(call.again(&id, &responses, required.state.as_deref())).await;
            return;
        }
        required.requests = others;
        let remembered = Remembered::new(required.state.take(), responses, call.rounds);
        let sealed = self.seal.as_ref().and_then(|seal| seal.seal(&remembered, &call.binding()));
        match sealed {
            Some(state) => {
                self.calls().end(&call.id);
                self.to_front.send(required.left(&call.id, &state)).await
            }
            None => self.fail(&call.id, -32603, "the state of this call can't be sealed").await,
        };
    }

    pub(super) async fn create(&self, call: &Call, input: &Input) -> Result<String, (i64, String)> {
        let id = String::from_utf8_lossy(&call.id).into_owned();
        let params = input.params.as_ref().map(|params| params.get()).unwrap_or_default();
        tracing::info!(target: "understudy::hop", request = id, "the server asks for a completion ({} bytes)", params.len());
        let context =
            self.offer.context.then(|| Context { instructions: None, calls: call.tool().into_iter().collect() });
        let asked = Asked { params: params.as_bytes(), context, progress: None };
        create(&self.sampler, asked, &id).await
    }
}
