//! The messages that every matrix server samples with.
#![expect(deprecated, reason = "sampling is deprecated, and it is what the matrix tests")]

use rmcp::handler::server::common::schema_for_input;
use rmcp::model::{
    ContentBlock, CreateMessageRequest, CreateMessageRequestParams, CreateMessageResult, ElicitRequest,
    ElicitRequestParams, ElicitationSchema, ImageContent, InputRequest, Role, SamplingMessage,
    SamplingMessageContentBlock as Block, Tool,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) const MAX_TOKENS: u32 = 100;
pub(crate) const MAX_ROUNDS: u32 = 5;

const ONE_PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// What the tool `add`, which the model may call, takes.
#[derive(Deserialize, JsonSchema)]
struct Numbers {
    a: i64,
    b: i64,
}

/// How far `tool_loop` has come.
#[derive(Deserialize, Serialize)]
pub(crate) struct History {
    pub(crate) messages: Vec<SamplingMessage>,
    pub(crate) round: u32,
}

/// One question.
pub(crate) fn question(text: &str, max_tokens: u32) -> InputRequest {
    sampling(CreateMessageRequestParams::new(vec![SamplingMessage::user_text(text)], max_tokens))
}

/// What `tool_loop` begins with.
pub(crate) fn beginning(prompt: &str) -> Vec<SamplingMessage> {
    vec![SamplingMessage::user_text(prompt)]
}

/// A question about a picture.
pub(crate) fn picture() -> InputRequest {
    let image = Block::Image(ImageContent::new(ONE_PIXEL, "image/png"));
    let message = SamplingMessage::new_multiple(Role::User, vec![Block::text("what is this?"), image]);
    sampling(CreateMessageRequestParams::new(vec![message], MAX_TOKENS))
}

/// The history, and the tool `add`.
pub(crate) fn question_with_tools(history: &History) -> Result<InputRequest, String> {
    let add = Tool::new("add", "Add two integers", schema_for_input::<Numbers>()?);
    let params = CreateMessageRequestParams::new(history.messages.clone(), MAX_TOKENS);
    Ok(sampling(params.with_tools(vec![add])))
}

fn sampling(params: CreateMessageRequestParams) -> InputRequest {
    InputRequest::CreateMessage(CreateMessageRequest::new(params))
}

/// What is the user's name?
pub(crate) fn name() -> Result<InputRequest, String> {
    let requested_schema = ElicitationSchema::builder().required_string("name").build()?;
    Ok(InputRequest::Elicitation(ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: "your name?".into(),
        requested_schema,
    })))
}

/// The text of an answer, whose content is one block or several.
pub(crate) fn text_of(answer: &CreateMessageResult) -> String {
    answer.message.content.iter().filter_map(Block::as_text).map(|text| text.text.as_str()).collect()
}

/// The history with an answer and the results of the tools that it uses; nothing if it uses none.
pub(crate) fn continued(history: &History, answer: &CreateMessageResult) -> Option<History> {
    let results: Vec<Block> = answer
        .message
        .content
        .iter()
        .filter_map(Block::as_tool_use)
        .map(|used| {
            let numbers = serde_json::from_value(used.input.clone().into());
            let said = numbers.map_or_else(|e| e.to_string(), |Numbers { a, b }| a.saturating_add(b).to_string());
            Block::tool_result(used.id.clone(), vec![ContentBlock::text(said)])
        })
        .collect();
    let results = (!results.is_empty()).then(|| SamplingMessage::new_multiple(Role::User, results))?;
    let messages = history.messages.iter().cloned().chain([answer.message.clone(), results]).collect();
    Some(History { messages, round: history.round.saturating_add(1) })
}
