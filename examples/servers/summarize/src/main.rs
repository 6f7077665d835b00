//! A small MCP server on stdio whose one tool, `summarize`, asks its client for a completion.
//!
//! It is the server of the sampling walkthroughs: in the middle of the tool call it sends `sampling/createMessage` with the
//! text in a user message, a system prompt and a limit on tokens, and returns what comes back. With a client that can't
//! sample the call fails; through `understudy proxy` it works.
#![expect(deprecated, reason = "sampling is deprecated since 2026-07-28, and what this server is for")]

use anyhow::Result;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock, CreateMessageRequestParams, Role, SamplingMessage};
use rmcp::{ErrorData, RoleServer, ServiceExt, service::RequestContext, tool, tool_handler, tool_router};
use serde::Deserialize;

#[derive(Debug, Clone)]
struct Summarizer;

#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct SummarizeArguments {
    /// The text to summarize.
    text_to_summarize: String,
}

#[tool_router]
impl Summarizer {
    /// Summarizes a text, with the help of the client's model.
    #[tool(description = "Summarizes a text, with the help of the client's model")]
    async fn summarize(
        &self,
        Parameters(arguments): Parameters<SummarizeArguments>,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let prompt = format!("Please summarize the following text:\n\n{}", arguments.text_to_summarize);
        let request = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 4000)
            .with_system_prompt("You are a helpful research assistant.");
        let answer = match context.peer.create_message(request).await {
            Ok(answer) => answer,
            Err(error) => {
                return Ok(CallToolResult::error(vec![ContentBlock::text(format!("no completion: {error}"))]));
            }
        };
        debug_assert_eq!(answer.message.role, Role::Assistant);
        let blocks = answer.message.content.into_vec();
        let text: Vec<&str> = blocks.iter().filter_map(|block| Some(block.as_text()?.text.as_str())).collect();
        Ok(CallToolResult::success(vec![ContentBlock::text(text.join("\n"))]))
    }
}

#[tool_handler(name = "summarize-server", instructions = "Summarizes texts by asking its client for a completion.")]
impl rmcp::ServerHandler for Summarizer {}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let server = Summarizer.serve(rmcp::transport::stdio()).await?;
    server.waiting().await?;
    Ok(())
}
