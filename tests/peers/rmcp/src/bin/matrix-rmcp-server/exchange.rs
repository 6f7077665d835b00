//! How a tool asks its client, in either era.
#![expect(deprecated, reason = "sampling is deprecated, and it is what the matrix tests")]

use std::time::Duration;

use futures_util::future::try_join_all;
use rmcp::handler::server::common::FromContextPart;
use rmcp::handler::server::tool::{IntoCallToolResult, ToolCallContext};
use rmcp::model::{
    CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, CreateMessageResult, ElicitResult,
    ElicitationAction, ElicitationCapability, ErrorData, InputRequest, InputRequests, InputRequiredResult,
    InputResponses, JsonObject, RequestStateCodec, SamplingCapability, SealOptions,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServiceError};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::messages::{self, History};
use crate::server::Matrix;

/// How long a client may take for a round.
const STATE_LIVES: Duration = Duration::from_mins(10);

/// What a tool came to, or why it came to nothing yet.
pub(crate) type Asked<T> = Result<T, Stop>;

/// Why a tool has no result.
pub(crate) enum Stop {
    /// The client of 2026-07-28 must answer first, and call again.
    Required(Box<InputRequiredResult>),
    /// The call itself is wrong: a JSON-RPC error.
    Refused(ErrorData),
    /// The tool failed: `isError`.
    Failed(String),
}

impl From<ServiceError> for Stop {
    fn from(error: ServiceError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<String> for Stop {
    fn from(error: String) -> Self {
        Self::Failed(error)
    }
}

/// What a tool of the router returns. (In an `Err` the router would not let an `input_required` through.)
pub(crate) struct Outcome(Asked<String>);

impl From<Asked<String>> for Outcome {
    fn from(asked: Asked<String>) -> Self {
        Self(asked)
    }
}

impl IntoCallToolResult for Outcome {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        match self.0 {
            Ok(text) => Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into()),
            Err(Stop::Required(result)) => Ok((*result).into()),
            Err(Stop::Refused(error)) => Err(error),
            Err(Stop::Failed(text)) => Ok(CallToolResult::error(vec![ContentBlock::text(text)]).into()),
        }
    }
}

/// One tool's call, as the router hands it to the tool.
pub(crate) struct Exchange {
    context: RequestContext<RoleServer>,
    /// What the client answered to the round before, in the modern era.
    responses: Option<InputResponses>,
    state: Option<String>,
    codec: RequestStateCodec,
    /// The call that a state belongs to.
    call: Vec<u8>,
}

impl FromContextPart<ToolCallContext<'_, Matrix>> for Exchange {
    fn from_context_part(call: &mut ToolCallContext<'_, Matrix>) -> Result<Self, ErrorData> {
        let arguments = Value::Object(call.arguments.clone().unwrap_or_default());
        Ok(Self {
            context: call.request_context.clone(),
            responses: call.input_responses.take(),
            state: call.request_state.take(),
            codec: call.service.codec.clone(),
            call: format!("{} {arguments}", call.name).into_bytes(),
        })
    }
}

impl Exchange {
    /// Puts these requests to the client, all at once.
    pub(crate) async fn ask(&mut self, requests: InputRequests, history: Option<&History>) -> Asked<Answers> {
        if self.context.protocol_version().is_none_or(|version| version.has_initialize()) {
            return self.send(requests).await;
        }
        if let Some(responses) = self.responses.take()
            && requests.keys().all(|key| responses.contains_key(key))
        {
            return Ok(Answers(responses));
        }
        let declared = self.context.client_capabilities().unwrap_or_default();
        if let Some(missing) = requests.values().find_map(|request| missing(&declared, request)) {
            return Err(Stop::Refused(ErrorData::missing_required_client_capability(missing)));
        }
        let sealed = history.map(|history| {
            self.codec.seal_json_with(history, &SealOptions::new().associated_data(&self.call).ttl(STATE_LIVES))
        });
        let state = sealed.transpose().map_err(|e| e.to_string())?;
        Err(Stop::Required(Box::new(InputRequiredResult::new(Some(requests), state))))
    }

    /// What [`Self::ask`] was given in the round before.
    pub(crate) fn history(&mut self) -> Asked<Option<History>> {
        let opened = self.state.take().map(|state| self.codec.open_json_with(&state, &self.call));
        opened.transpose().map_err(|_| Stop::Refused(ErrorData::invalid_params("invalid requestState", None)))
    }

    /// The legacy way. rmcp itself puts the requests on the stream of the call that this task deals with.
    async fn send(&self, requests: InputRequests) -> Asked<Answers> {
        let answers = try_join_all(requests.into_iter().map(async |(key, request)| {
            let answer = match request {
                InputRequest::CreateMessage(request) => {
                    serde_json::to_value(self.context.peer.create_message(request.params).await?)?
                }
                InputRequest::Elicitation(request) => {
                    serde_json::to_value(self.context.peer.create_elicitation(request.params).await?)?
                }
                _ => return Err(Stop::Failed("no tool asks for that".into())),
            };
            Ok((key, answer))
        }));
        tokio::select! {
            answers = answers => Ok(Answers(answers?.into_iter().collect())),
            () = self.context.ct.cancelled() => Err(Stop::Failed("cancelled".into())),
        }
    }
}

/// What a client would have to declare for this request, and doesn't.
fn missing(declared: &ClientCapabilities, request: &InputRequest) -> Option<ClientCapabilities> {
    let mut missing = ClientCapabilities::default();
    match (request, &declared.sampling, &declared.elicitation) {
        (InputRequest::CreateMessage(request), sampling, _) => {
            let mut needed = SamplingCapability::default();
            needed.tools = request.params.tools.as_ref().map(|_| JsonObject::new());
            if sampling.as_ref().is_some_and(|sampling| sampling.tools.is_some() || needed.tools.is_none()) {
                return None;
            }
            missing.sampling = Some(needed);
        }
        (InputRequest::Elicitation(_), _, None) => missing.elicitation = Some(ElicitationCapability::default()),
        _ => return None,
    }
    Some(missing)
}

/// A client's answers, by the requests' keys.
pub(crate) struct Answers(InputResponses);

impl Answers {
    pub(crate) fn sampled(&self, key: &str) -> Asked<CreateMessageResult> {
        self.read(key)
    }

    /// The text of the answer to a sampling request.
    pub(crate) fn text(&self, key: &str) -> Asked<String> {
        Ok(messages::text_of(&self.sampled(key)?))
    }

    /// The name that the user gave, if any.
    pub(crate) fn name(&self, key: &str) -> Asked<Option<String>> {
        let elicited: ElicitResult = self.read(key)?;
        let name = elicited.content.as_ref().and_then(|content| content.get("name")).and_then(Value::as_str);
        Ok(name.filter(|_| elicited.action == ElicitationAction::Accept).map(str::to_owned))
    }

    fn read<T: DeserializeOwned>(&self, key: &str) -> Asked<T> {
        let answer = self.0.get(key).cloned().unwrap_or_default();
        serde_json::from_value(answer)
            .map_err(|e| Stop::Refused(ErrorData::invalid_params(format!("the answer to `{key}`: {e}"), None)))
    }
}
