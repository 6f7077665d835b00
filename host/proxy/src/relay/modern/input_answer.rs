//! What is required of the client and is ours to answer.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use mcp::method::{self, SAMPLING_CREATE_MESSAGE};
use mcp::{Parts, RawObject, code};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::StatelessRelay;
use crate::relay::common::{Failure, create};
use crate::relay::max_tokens;
use crate::relay::multi_round::{InputRequest, InputRequired, MultiRoundRequest};
use crate::relay::request_needs::{has_results, needs, only_while};
use crate::relay::request_state::RequestState;
use understudy::admission::policy::Lowered;
use understudy::approval::Approver;
use understudy::config::Mode;
use understudy::sampling::{Circumstances, Context, SamplingParams, SamplingRequest};

/// What the server requires, held to the rule.
pub(super) struct HeldInput {
    /// The call, with what it has cost.
    call: MultiRoundRequest,
    required: InputRequired,
    /// The server's message, as the client gets it if nothing of it is ours.
    line: Bytes,
    /// The sizes of the requests for completions that the client answers.
    clients: Vec<usize>,
}

impl StatelessRelay {
    /// The server requires something: what is ours of it is answered beside the loops.
    pub(super) async fn required(
        self: &Arc<Self>,
        call: Arc<MultiRoundRequest>,
        required: InputRequired,
        line: Bytes,
    ) -> bool {
        let known = |input: &InputRequest| {
            input.method == SAMPLING_CREATE_MESSAGE || method::OTHER_INPUTS.contains(&input.method.as_str())
        };
        if let Some((key, input)) = required.requests.iter().find(|(_, input)| !known(input)) {
            let shown = (understudy::text::one_line(&input.method, 100), understudy::text::one_line(key, 100));
            let reason = format!("the server asks for `{}` (as `{}`), which no client can answer", shown.0, shown.1);
            return self.fail(&call.id, code::INTERNAL_ERROR, &reason).await;
        }
        if !required.requests.iter().any(|(_, input)| input.method == SAMPLING_CREATE_MESSAGE) {
            self.calls().end(&call.id);
            return self.to_front.send(line).await;
        }
        let held = match self.hold(&call, &required, &line) {
            Ok(held) => held,
            Err(failure) => {
                for (_, input) in required.requests.iter().filter(|(_, input)| input.method == SAMPLING_CREATE_MESSAGE)
                {
                    let params = input.params.as_ref().map_or_else(Bytes::new, |params| params.get().to_owned().into());
                    self.refused.write(&self.sampler, params, call.circumstances(), &failure.message);
                }
                return self.fail_with(&call.id, &failure).await;
            }
        };
        let id = call.id.clone();
        let exchange = Arc::clone(self);
        let mut calls = self.calls();
        if !calls.closed {
            let task = tokio::spawn(async move { exchange.answer(held).await });
            calls.answering.insert(id, task.abort_handle());
        }
        true
    }

    /// Holds what the server requires to the rule, also where the client is to answer it.
    fn hold(&self, call: &MultiRoundRequest, required: &InputRequired, line: &Bytes) -> Result<HeldInput, Failure> {
        let tools = self.rule.tools.as_deref();
        let called = call.tool().map(|call| call.tool);
        if let Some(tools) = tools.filter(|tools| !called.is_some_and(|tool| tools.contains(&tool))) {
            return Err(Failure::new(code::INTERNAL_ERROR, only_while(tools)));
        }
        let mut call = call.clone();
        let (mut clients, mut lowered) = (Vec::new(), Vec::new());
        for (key, input) in required.requests.iter().filter(|(_, input)| input.method == SAMPLING_CREATE_MESSAGE) {
            let params = input.params.as_ref().map_or("{}", |params| params.get());
            let with_tools = needs(params.as_bytes()).tools || has_results(params.as_bytes());
            call.spent
                .charge(self.sampler.server(), self.most, with_tools)
                .map_err(|reason| Failure::new(code::INTERNAL_ERROR, reason))?;
            if !self.is_ours(&call, input) {
                clients.push(params.len());
                let change = self.sampler.review(params.as_bytes())?;
                if let Some(Lowered { new, .. }) = change {
                    lowered.push((key.as_str(), new));
                }
            }
        }
        let line = if lowered.is_empty() { Some(line.clone()) } else { lower_all(line, &lowered) };
        let again = line.as_ref().and_then(|line| InputRequired::of(line));
        if let (Some(line), Some(Ok(required))) = (line, again) {
            Ok(HeldInput { call, required, line, clients })
        } else {
            let reason = "what the server asks for can't be held to `sampling.maxTokens`";
            Err(Failure::new(code::INTERNAL_ERROR, reason))
        }
    }

    pub(super) fn is_ours(&self, call: &MultiRoundRequest, input: &InputRequest) -> bool {
        if input.method != SAMPLING_CREATE_MESSAGE {
            return false;
        }
        let needs = needs(input.params.as_ref().map_or(b"", |params| params.get().as_bytes()));
        let can = call.clients.sampling && (call.clients.parts.tools || !needs.tools);
        self.rule.mode == Mode::Always || !can
    }

    /// Answers what is ours, then makes the call again, or leaves the rest to the client.
    async fn answer(&self, held: HeldInput) {
        let HeldInput { mut call, mut required, line, clients } = held;
        for size in clients {
            if let Err(error) = self.sampler.wait_for_rate(size).await {
                self.calls().answering.remove(&call.id);
                self.fail_with(&call.id, &error.into()).await;
                return;
            }
        }
        let all = std::mem::take(&mut required.requests);
        let (ours, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, input)| self.is_ours(&call, input));
        if ours.is_empty() {
            {
                let mut calls = self.calls();
                calls.answering.remove(&call.id);
                calls.end(&call.id);
                calls.kept.keep(&call.binding(), required.state.as_deref(), call.spent);
            }
            self.to_front.send(line).await;
            return;
        }
        let (mut others, mut brought) = (others, RawObject::default());
        let outcome = self.answers(&mut call, (&required, &mut others), &ours, &mut brought).await;
        let Some(answers) = outcome else { return };
        // What ends the call must not end this task, which has still to say so.
        self.calls().answering.remove(&call.id);
        let mut responses = brought;
        for ((key, _), answer) in ours.iter().zip(answers) {
            match answer.map(RawValue::from_string) {
                Ok(Ok(result)) => responses.set(key, result),
                Ok(Err(error)) => {
                    self.fail(&call.id, code::INTERNAL_ERROR, &format!("the answer is not valid JSON: {error}")).await;
                    return;
                }
                Err(failure) => {
                    let prefix = "the server asked for a completion in the course of this call, and got none: ";
                    self.fail_with(&call.id, &failure.prefixed(prefix)).await;
                    return;
                }
            }
        }
        if others.is_empty() {
            let id = self.calls().again(&call);
            self.to_back.send(call.again(&id, &responses, required.state.as_deref())).await;
            return;
        }
        required.requests = others;
        let mut remembered = RequestState::new(required.state.take(), responses, call.rounds);
        remembered.spent = call.spent;
        let sealed = self.seal.as_ref().and_then(|seal| seal.seal(&remembered, &call.binding()));
        match sealed {
            Some(state) => {
                self.calls().end(&call.id);
                self.to_front.send(required.left(&call.id, &state)).await
            }
            None => self.fail(&call.id, code::INTERNAL_ERROR, "the state of this call can't be sealed").await,
        };
    }

    /// The answers of the plugins. If the user's approval is needed, the client asks for it: then `call` is the one that it made again, and
    /// `brought` what it has answered of the rest. `None` if nobody waits for the answers any more.
    async fn answers(
        &self,
        call: &mut MultiRoundRequest,
        (required, others): (&InputRequired, &mut Vec<(String, InputRequest)>),
        ours: &[(String, InputRequest)],
        brought: &mut RawObject,
    ) -> Option<Vec<Result<String, Failure>>> {
        let first = call.clone();
        let (questions, mut asked) = mpsc::channel(1);
        let approver = self.approver(&first, questions);
        let mut answering = pin!(async {
            let all = ours.iter().map(|(_, input)| self.create(&first, input, approver.clone()));
            if approver.is_none() {
                return join_all(all).await;
            }
            // After a no the user isn't asked about the rest, and nobody pays for it: the call fails.
            match try_join_all(all).await {
                Ok(all) => all.into_iter().map(Ok).collect(),
                Err(failure) => vec![Err(failure)],
            }
        });
        loop {
            let question = tokio::select! {
                biased;
                answers = &mut answering => return Some(answers),
                Some(question) = asked.recv() => question,
            };
            if question.is_over() {
                continue;
            }
            let (retried, answers) = self.ask_client(call, (required, others), question, &mut answering).await?;
            *call = retried.call;
            brought.extend(retried.responses);
            if answers.is_some() {
                return answers;
            }
        }
    }

    async fn create(
        &self,
        call: &MultiRoundRequest,
        input: &InputRequest,
        approver: Option<Approver>,
    ) -> Result<String, Failure> {
        let id = String::from_utf8_lossy(&call.id).into_owned();
        let params = input.params.as_ref().map(|params| params.get()).unwrap_or_default();
        tracing::info!(target: "understudy::hop", request = id, "the server asks for a completion ({} bytes)", params.len());
        let context =
            self.offer.context.then(|| Context { instructions: None, calls: call.tool().into_iter().collect() });
        let params = SamplingParams::Json(params.as_bytes());
        let circumstances =
            if self.sampler.wants_circumstances() { call.circumstances() } else { Circumstances::default() };
        let asked = SamplingRequest { params, context, circumstances, approver, ..SamplingRequest::default() };
        create(&self.sampler, asked, &id).await
    }
}

/// The message with other `maxTokens` in some of its input requests, by their keys.
fn lower_all(line: &Bytes, lowered: &[(&str, u32)]) -> Option<Bytes> {
    type Raw<'a> = HashMap<String, &'a RawValue>;
    let mut line = line.clone();
    for (key, new) in lowered {
        line = {
            let result: Raw<'_> = serde_json::from_str(Parts::of(&line).ok()?.result?.get()).ok()?;
            let requests: Raw<'_> = serde_json::from_str(result.get("inputRequests")?.get()).ok()?;
            let input: Raw<'_> = serde_json::from_str(requests.get(*key)?.get()).ok()?;
            let params = *input.get("params")?;
            let members: Raw<'_> = serde_json::from_str(params.get()).ok()?;
            max_tokens::lower(&line, params, Lowered { old: members.get("maxTokens").copied(), new: *new })
        };
    }
    Some(line)
}
