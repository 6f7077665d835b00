//! What the client declares, and what it answers to the server's requests.
#![expect(deprecated, reason = "sampling is deprecated, and it is what the matrix tests")]

use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestMethod, CreateMessageRequestParams, CreateMessageResult,
    ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability, ElicitationCreateRequestMethod,
    ErrorData, Implementation, JsonObject, Role, SamplingCapability, SamplingMessage,
    SamplingMessageContentBlock as Block,
};
use rmcp::service::RequestContext;
use rmcp::{ClientHandler, RoleClient};
use serde_json::json;

/// The client's side of sampling and elicitation.
pub(crate) struct Answers {
    /// The answer to every request; without it sampling isn't declared.
    pub(crate) sampling: Option<String>,
    /// Call each tool offered first.
    pub(crate) tool_use: bool,
    /// Declare sampling, and never answer.
    pub(crate) hangs: bool,
    pub(crate) elicitation: bool,
}

impl ClientHandler for Answers {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if self.sampling.is_some() || self.hangs {
            let mut sampling = SamplingCapability::default();
            sampling.tools = Some(JsonObject::new());
            capabilities.sampling = Some(sampling);
        }
        if self.elicitation {
            capabilities.elicitation = Some(ElicitationCapability::new());
        }
        ClientConfig::new(capabilities, Implementation::new("matrix-rmcp-client", env!("CARGO_PKG_VERSION")))
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        if self.hangs {
            context.ct.cancelled().await;
            return Err(ErrorData::internal_error("cancelled", None));
        }
        let Some(text) = &self.sampling else {
            return Err(ErrorData::method_not_found::<CreateMessageRequestMethod>());
        };
        let used = |message: &SamplingMessage| message.content.iter().any(|block| block.as_tool_result().is_some());
        let tools = params.tools.unwrap_or_default();
        let (content, reason) = if !self.tool_use || tools.is_empty() || params.messages.last().is_some_and(used) {
            (SamplingMessage::assistant_text(text), CreateMessageResult::STOP_REASON_END_TURN)
        } else {
            let input = JsonObject::from_iter([("a".into(), 2.into()), ("b".into(), 40.into())]);
            let uses = tools.iter().enumerate();
            let uses = uses.map(|(n, tool)| Block::tool_use(format!("use-{n}"), tool.name.as_ref(), input.clone()));
            let uses = SamplingMessage::new_multiple(Role::Assistant, uses.collect());
            (uses, CreateMessageResult::STOP_REASON_TOOL_USE)
        };
        Ok(CreateMessageResult::new(content, "baseline".into()).with_stop_reason(reason))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        if !self.elicitation {
            return Err(ErrorData::method_not_found::<ElicitationCreateRequestMethod>());
        }
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "name": "Ada" })))
    }
}
