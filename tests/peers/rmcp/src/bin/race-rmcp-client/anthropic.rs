//! The handler: MCP's request to Anthropic's, and its answer back, as a user of the SDK would write it.
#![expect(deprecated, reason = "sampling is deprecated, and it is what the race is about")]

use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, ErrorData, Implementation, Role,
    SamplingCapability, SamplingMessage, SamplingMessageContentBlock,
};
use rmcp::service::RequestContext;
use rmcp::{ClientHandler, RoleClient};
use serde::{Deserialize, Serialize};

pub(crate) struct Anthropic {
    http: reqwest::Client,
    url: String,
    key: String,
}

#[derive(Serialize)]
struct Request {
    model: &'static str,
    max_tokens: u32,
    messages: Vec<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: Vec<Block>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text { text: String },
    Image { source: Source },
}

#[derive(Serialize, Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
    media_type: String,
    data: String,
}

#[derive(Deserialize)]
struct Answer {
    model: String,
    content: Vec<Block>,
}

impl Anthropic {
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        // Built with the workspace's features, reqwest wants to be given its cryptography, for plain HTTP too. An error
        // means that it has some.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("{}/v1/messages", std::env::var("ANTHROPIC_BASE_URL")?);
        Ok(Self { http: reqwest::Client::new(), url, key: std::env::var("ANTHROPIC_API_KEY")? })
    }

    async fn ask(&self, params: CreateMessageRequestParams) -> anyhow::Result<Answer> {
        let request = Request {
            model: "claude-sonnet-4-5",
            max_tokens: params.max_tokens,
            messages: params.messages.into_iter().map(message).collect::<anyhow::Result<_>>()?,
            system: params.system_prompt,
            temperature: params.temperature,
        };
        let response =
            self.http.post(&self.url).header("x-api-key", &self.key).header("anthropic-version", "2023-06-01");
        let response = response.header("content-type", "application/json").body(serde_json::to_vec(&request)?);
        let response = response.send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&response.bytes().await?)?)
    }
}

fn message(message: SamplingMessage) -> anyhow::Result<Message> {
    let role = match message.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    Ok(Message { role, content: message.content.into_vec().into_iter().map(block).collect::<anyhow::Result<_>>()? })
}

fn block(block: SamplingMessageContentBlock) -> anyhow::Result<Block> {
    match block {
        SamplingMessageContentBlock::Text(text) => Ok(Block::Text { text: text.text }),
        SamplingMessageContentBlock::Image(image) => {
            let source = Source { kind: "base64".to_owned(), media_type: image.mime_type, data: image.data };
            Ok(Block::Image { source })
        }
        _ => anyhow::bail!("only text and images"),
    }
}

impl ClientHandler for Anthropic {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.sampling = Some(SamplingCapability::default());
        ClientConfig::new(capabilities, Implementation::new("race-rmcp-client", env!("CARGO_PKG_VERSION")))
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let answer = self.ask(params).await.map_err(|error| ErrorData::internal_error(format!("{error:#}"), None))?;
        let text = answer.content.into_iter().map(|block| match block {
            Block::Text { text } => text,
            Block::Image { .. } => String::new(),
        });
        let message = SamplingMessage::assistant_text(text.collect::<String>());
        let result = CreateMessageResult::new(message, answer.model);
        Ok(result.with_stop_reason(CreateMessageResult::STOP_REASON_END_TURN))
    }
}
