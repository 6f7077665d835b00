//! The modern era's rounds (multi round-trip requests): a request that a server answers with `input_required`, and the same request again
//! with what was required.

use bytes::Bytes;
use mcp::meta;
use mcp::method::{self, SAMPLING_CREATE_MESSAGE};
use mcp::{Head, INPUT_REQUIRED, Parts, RawObject, folded, request_line, result_line};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::allowance::Spent;
use super::capabilities::Declared;
use super::{lookalike, request_state};
use understudy::sampling::{CallInProgress, Circumstances, ToolCall};

/// How often a request is made at most for what isn't sampling. The SDKs have the same number. (What is, counts as each other request for a
/// completion.)
pub(super) const MOST_ROUNDS: u32 = 10;

/// A request that may take several rounds.
#[derive(Debug, Clone)]
pub(super) struct MultiRoundRequest {
    /// The client's id for it, as spelt.
    pub(super) id: Vec<u8>,
    pub(super) method: String,
    /// Its parameters, less what belongs to one round.
    params: RawObject,
    /// What the client declared with it.
    pub(super) clients: Declared,
    /// How often it has been made.
    pub(super) rounds: u32,
    /// What the server has asked in its course.
    pub(super) spent: Spent,
}

/// What a client's request brings of an earlier round.
pub(super) struct Retry {
    pub(super) responses: RawObject,
    pub(super) state: Option<Box<RawValue>>,
}

impl MultiRoundRequest {
    /// The call that a request is, if it is one; the message is as the server gets it.
    pub(super) fn of(line: &Bytes, head: &Head, clients: Declared) -> Option<(Self, Retry)> {
        let method = head.method().filter(|method| method::MULTI_ROUND.contains(method))?;
        let mut params = RawObject::of(Parts::of(line).ok()?.params?)?;
        let responses = params.remove("inputResponses").and_then(|responses| RawObject::of(&responses));
        let brought = Retry { responses: responses.unwrap_or_default(), state: params.remove("requestState") };
        let call = Self {
            id: head.id()?.to_vec(),
            method: method.to_owned(),
            params,
            clients,
            rounds: 1,
            spent: Spent::of_new_call(),
        };
        Some((call, brought))
    }

    /// The request once more: under this id, with what was required.
    pub(super) fn again(&self, id: &[u8], responses: &RawObject, state: Option<&RawValue>) -> Bytes {
        let mut params = self.params.clone();
        if !responses.is_empty() {
            params.set("inputResponses", responses.raw());
        }
        if let Some(state) = state {
            params.set("requestState", state.to_owned());
        }
        request_line(id, &self.method, &params)
    }

    /// The call as it is when it is made again.
    pub(super) fn next_round(&self) -> Self {
        Self { rounds: self.rounds + 1, ..self.clone() }
    }

    /// What a `requestState` of ours is bound to.
    pub(super) fn binding(&self) -> Vec<u8> {
        request_state::binding(&self.method, &self.params)
    }

    /// The tool that is called.
    pub(super) fn tool(&self) -> Option<ToolCall> {
        let is_call = self.method == method::TOOLS_CALL;
        let arguments = self.params.get("arguments").map_or("{}", RawValue::get);
        self.params.text("name").filter(|_| is_call).map(|name| ToolCall::new(&name, arguments))
    }

    /// The circumstances of what the server asks in its course.
    pub(super) fn circumstances(&self) -> Circumstances {
        let is_call = self.method == method::TOOLS_CALL;
        let tool = self.params.text("name").filter(|_| is_call);
        let meta = self.params.object("_meta");
        Circumstances {
            client: meta.and_then(|meta| meta.object(meta::CLIENT_INFO)?.text("name")),
            call: tool.map(|tool| CallInProgress { id: self.spent.call_id(), tool }),
            may_be_in_call: true,
        }
    }
}

/// An id for a request of our own, as spelt.
pub(super) fn new_id(number: u64) -> Vec<u8> {
    format!("\"understudy-{number}\"").into_bytes()
}

/// Whether an id is one of these.
pub(super) fn is_ours(id: &[u8]) -> bool {
    id.starts_with(b"\"understudy-")
}

/// What a server requires before it goes on.
#[derive(Debug)]
pub(super) struct InputRequired {
    /// By the server's keys.
    pub(super) requests: Vec<(String, InputRequest)>,
    pub(super) state: Option<Box<RawValue>>,
    /// The result, less the two.
    pub(super) rest: RawObject,
}

/// One of the things that it requires.
#[derive(Debug, Deserialize)]
pub(super) struct InputRequest {
    pub(super) method: String,
    #[serde(default)]
    pub(super) params: Option<Box<RawValue>>,
}

impl InputRequired {
    /// What a response requires; `None` if it is complete, and an error if nobody could tell what it wants.
    pub(super) fn of(line: &[u8]) -> Option<Result<Self, String>> {
        // Nearly all have neither the words nor anything that could be an escape of a letter in them.
        memchr::memmem::find(line, INPUT_REQUIRED.as_bytes()).or_else(|| memchr::memmem::find(line, b"\\u00"))?;
        let unclear = |reason: &str| lookalike::speaks_of_it(line).then(|| Err(reason.to_owned()));
        let Ok(Parts { result: Some(result), .. }) = Parts::of(line) else {
            return unclear("the message can't be read in one way only");
        };
        let mut rest = RawObject::of(result)?;
        if !rest.is_unambiguous(&["resultType", "inputRequests", "requestState"]) {
            return unclear("a key is there twice, or in other letters");
        }
        if rest.text("resultType").as_deref() != Some(INPUT_REQUIRED) {
            return None;
        }
        let requests = rest.remove("inputRequests");
        let requests = requests.as_deref().map_or_else(
            || Ok(RawObject::default()),
            |requests| RawObject::of(requests).ok_or_else(|| "`inputRequests` is not an object".to_owned()),
        );
        Some(requests.and_then(|requests: RawObject| {
            if !requests.has_each_once() {
                return Err("a key of `inputRequests` is there twice".to_owned());
            }
            let requests = requests.into_iter().map(|(key, request)| match serde_json::from_str(request.get()) {
                Ok(InputRequest { method, .. })
                    if method != SAMPLING_CREATE_MESSAGE && folded::same(&method, SAMPLING_CREATE_MESSAGE) =>
                {
                    Err(format!(
                        "the method of the input request `{}` is misspelt",
                        understudy::text::one_line(&key, 100)
                    ))
                }
                Ok(request) => Ok((key, request)),
                Err(error) => {
                    Err(format!("the input request `{}` can't be read: {error}", understudy::text::one_line(&key, 100)))
                }
            });
            Ok(Self { requests: requests.collect::<Result<_, _>>()?, state: rest.remove("requestState"), rest })
        }))
    }

    /// The response to a client with what is left for it to answer.
    pub(super) fn left(mut self, id: &[u8], state: &str) -> Bytes {
        let mut left = RawObject::default();
        for (key, InputRequest { method, params }) in self.requests {
            let mut input = RawObject::default();
            input.put("method", &method);
            if let Some(params) = params {
                input.set("params", params);
            }
            left.set(&key, input.raw());
        }
        self.rest.set("inputRequests", left.raw());
        self.rest.put("requestState", &state);
        result_line(id, self.rest.raw().get())
    }
}
