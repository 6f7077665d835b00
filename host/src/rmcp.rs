//! Sampling for MCP clients on the Rust SDK, `rmcp` 3.
//!
//! ```no_run
//! use rmcp::ServiceExt;
//! use rmcp::model::CallToolRequestParams;
//! use understudy::Sampler;
//! use understudy::rmcp::SamplingClient;
//!
//! # async fn example(transport: (tokio::net::tcp::OwnedReadHalf, tokio::net::tcp::OwnedWriteHalf)) -> Result<(), Box<dyn std::error::Error>> {
//! let sampler = Sampler::builder().plugin("anthropic").credential(std::env::var("MY_KEY")?).build().await?;
//! let client = SamplingClient::new(sampler).serve(transport).await?;
//! let result = client.call_tool(CallToolRequestParams::new("summarize")).await?;
//! # Ok(())
//! # }
//! ```
#![expect(deprecated, reason = "sampling is deprecated since 2026-07-28, and what this crate is for")]

use std::sync::Arc;

use ::rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, ErrorCode, ErrorData,
    Implementation,
};
use ::rmcp::service::RequestContext;
use ::rmcp::{ClientHandler, RoleClient};

use crate::sampling::Sampler;

/// A client that declares `sampling`, and has a [`Sampler`] answer the server's requests. A handler that can more implements [`ClientHandler`] by
/// itself and calls [`SamplingClient::answer`].
#[derive(Debug, Clone)]
pub struct SamplingClient {
    sampler: Arc<Sampler>,
    config: ClientConfig,
}

impl SamplingClient {
    /// A client that is called `understudy`, and declares `sampling`, with tools if the sampler's plugins can carry them.
    #[must_use]
    pub fn new(sampler: impl Into<Arc<Sampler>>) -> Self {
        let sampler = sampler.into();
        let capabilities = ClientCapabilities::builder().enable_sampling();
        let capabilities =
            if sampler.accepts_tools() { capabilities.enable_sampling_tools().build() } else { capabilities.build() };
        let implementation = Implementation::new("understudy", env!("CARGO_PKG_VERSION"));
        Self { sampler, config: ClientConfig::new(capabilities, implementation) }
    }

    /// The same client under another name.
    #[must_use]
    pub fn with_implementation(mut self, implementation: Implementation) -> Self {
        self.config.client_info = implementation;
        self
    }

    /// Answers one request.
    ///
    /// # Errors
    /// The code and the text of the [`Error`](crate::Error); [`ErrorCode`] -32602 or -32603 if `rmcp`'s types don't hold what they should.
    pub async fn answer(&self, params: &CreateMessageRequestParams) -> Result<CreateMessageResult, ErrorData> {
        let params = serde_json::to_vec(params).map_err(|e| ErrorData::invalid_params(e.to_string(), None))?;
        let answer = self.sampler.create_message_json(params.as_slice()).await.map_err(|error| {
            let code = i32::try_from(error.code()).unwrap_or(ErrorCode::INTERNAL_ERROR.0);
            ErrorData::new(ErrorCode(code), error.to_string(), None)
        })?;
        serde_json::from_str(&answer).map_err(|e| ErrorData::internal_error(e.to_string(), None))
    }
}

impl ClientHandler for SamplingClient {
    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        tokio::select! {
            answer = self.answer(&params) => answer,
            // Nobody waits for the error.
            () = context.ct.cancelled() => Err(ErrorData::internal_error("the request was cancelled", None)),
        }
    }

    fn get_info(&self) -> ClientConfig {
        self.config.clone()
    }
}
