//! The lines of JSON that the client obeys, and those that it writes.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use rmcp::ServiceError;
use rmcp::model::{
    CallToolRequestParams, ContentBlock, GetPromptRequestParams, JsonObject, ProtocolVersion,
    ReadResourceRequestParams, ResourceContents,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::Client;

#[derive(Deserialize)]
struct Line {
    id: Option<Value>,
    #[serde(flatten)]
    op: Op,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Op {
    Call { tool: String, arguments: Option<JsonObject> },
    Cancel,
    List,
    Read { uri: String },
    Prompt { name: String, arguments: Option<JsonObject> },
}

/// Writes a line.
pub(crate) fn print(line: &Value) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")
}

/// Carries out the lines of stdin, all at once; after the last waits for what is running, and disconnects.
pub(crate) async fn obey(client: Client) -> anyhow::Result<()> {
    print(&json!({ "connected": connected(&client) }))?;
    let client = Arc::new(client);
    let mut calls: HashMap<_, oneshot::Sender<()>> = HashMap::new();
    let mut running = JoinSet::new();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(text) = lines.next_line().await? {
        if text.trim().is_empty() {
            continue;
        }
        let Line { id, op } = serde_json::from_str(&text).with_context(|| format!("the line `{text}`"))?;
        let key = id.as_ref().map(Value::to_string);
        let (cancel, cancelled) = oneshot::channel::<()>();
        match op {
            Op::Cancel => {
                if let Some(cancel) = calls.remove(&key) {
                    // An error means that the call has ended.
                    let _ = cancel.send(());
                }
            }
            op => {
                calls.insert(key, cancel);
                running.spawn(answer(Arc::clone(&client), id, op, cancelled));
            }
        }
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    if let Some(mut client) = Arc::into_inner(client) {
        client.close().await?;
    }
    Ok(())
}

fn connected(client: &Client) -> Value {
    let server = client.peer_info();
    let version = server.as_ref().map(|server| &server.protocol_version);
    json!({
        "protocolVersion": version,
        "server": server.as_ref().and_then(|server| server.server_info.as_ref()).map(|server| &server.name),
        "era": if version.is_some_and(ProtocolVersion::has_initialize) { "legacy" } else { "modern" },
    })
}

async fn answer(
    client: Arc<Client>,
    id: Option<Value>,
    op: Op,
    cancelled: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    // The SDK cancels a call whose future is dropped.
    let mut line = tokio::select! {
        done = perform(&client, op) => done.unwrap_or_else(|error| json!({ "error": told(&error) })),
        Ok(()) = cancelled => json!({ "cancelled": true }),
    };
    if let (Some(id), Value::Object(line)) = (id, &mut line) {
        line.insert("id".into(), id);
    }
    print(&line)
}

async fn perform(client: &Client, op: Op) -> Result<Value, ServiceError> {
    Ok(match op {
        Op::Call { tool, arguments } => {
            let params = CallToolRequestParams::new(tool).with_arguments(arguments.unwrap_or_default());
            let result = client.call_tool(params).await?;
            json!({ "text": texts(&result.content), "isError": result.is_error.unwrap_or(false) })
        }
        Op::List => {
            let tools = client.list_all_tools().await?;
            json!({ "tools": tools.iter().map(|tool| &tool.name).collect::<Vec<_>>() })
        }
        Op::Read { uri } => {
            let read = client.read_resource(ReadResourceRequestParams::new(uri)).await?;
            let text = read.contents.iter().filter_map(|contents| match contents {
                ResourceContents::TextResourceContents { text, .. } => Some(text.as_str()),
                _ => None,
            });
            json!({ "text": text.collect::<String>() })
        }
        Op::Prompt { name, arguments } => {
            let params = GetPromptRequestParams::new(name).with_arguments(arguments.unwrap_or_default());
            let prompt = client.get_prompt(params).await?;
            json!({ "text": texts(prompt.messages.iter().map(|message| &message.content)) })
        }
        Op::Cancel => Value::Null,
    })
}

fn texts<'a>(blocks: impl IntoIterator<Item = &'a ContentBlock>) -> String {
    blocks.into_iter().filter_map(ContentBlock::as_text).map(|block| block.text.as_str()).collect()
}

/// An error, with the code that the peer gave it, if the peer did.
fn told(error: &ServiceError) -> Value {
    match error {
        ServiceError::McpError(error) => json!({ "code": error.code.0, "message": error.message }),
        other => json!({ "code": null, "message": other.to_string() }),
    }
}
