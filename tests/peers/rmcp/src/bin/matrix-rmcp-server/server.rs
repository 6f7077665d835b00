//! The server: what it is, and its resources. Tools and the prompt are in `tools`.

use std::borrow::Cow;

use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{
    ErrorData, Implementation, ListResourceTemplatesResult, ListResourcesResult, PaginatedRequestParams,
    ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, RequestStateCodec, Resource,
    ResourceContents, ResourceTemplate, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler, prompt_handler, tool_handler};

const HELLO: &str = "test://hello";
const DOUBLE: &str = "test://double/";

/// The server of one client.
#[derive(Clone)]
pub(crate) struct Matrix {
    /// Seals the state of `tool_loop`.
    pub(crate) codec: RequestStateCodec,
    versions: &'static [ProtocolVersion],
    tool_router: ToolRouter<Self>,
    prompt_router: PromptRouter<Self>,
}

impl Matrix {
    pub(crate) fn new(versions: &'static [ProtocolVersion]) -> anyhow::Result<Self> {
        let mut key = [0; RequestStateCodec::MIN_KEY_LENGTH];
        getrandom::fill(&mut key)?;
        Ok(Self {
            codec: RequestStateCodec::try_new(key)?,
            versions,
            tool_router: Self::tool_router(),
            prompt_router: Self::prompt_router(),
        })
    }
}

#[tool_handler(router = self.tool_router)]
#[prompt_handler(router = self.prompt_router)]
impl ServerHandler for Matrix {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources().build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("matrix-rmcp", env!("CARGO_PKG_VERSION")))
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.versions.into()
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let hello = Resource::new(HELLO, "hello").with_description("Greet").with_mime_type("text/plain");
        Ok(ListResourcesResult::with_all_items(vec![hello]))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let double = ResourceTemplate::new(format!("{DOUBLE}{{word}}"), "double")
            .with_description("Say a word twice")
            .with_mime_type("text/plain");
        Ok(ListResourceTemplatesResult::with_all_items(vec![double]))
    }

    async fn read_resource(
        &self,
        ReadResourceRequestParams { uri, .. }: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let text = match (uri.as_str(), uri.strip_prefix(DOUBLE)) {
            (HELLO, _) => "hello".to_owned(),
            (_, Some(word)) => format!("{word} {word}"),
            _ => return Err(ErrorData::resource_not_found(format!("no resource `{uri}`"), None)),
        };
        Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri)]).into())
    }
}
