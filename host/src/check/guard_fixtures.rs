//! Verdicts that a guard's author wrote down, one JSON file each; the format is that of the guest crate's module `guard_testing`
//! (`docs/authors`).

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use understudy_mcp_types::{CreateMessageRequestParams, CreateMessageResult};

use super::fixtures::{Ran, guest_error_json, run_folder};
use super::own;
use crate::guards::Circumstances;
use crate::sandbox::Plugin;
use crate::wit::understudy::plugin::types as wit;

understudy_mcp_types::guard_conversions!(
    crate::wit::understudy::plugin::types,
    crate::wit::guard::exports::understudy::plugin::guard
);

/// What is expected, and left out where the verdict is written.
const EXPECTED: [&str; 4] = ["verdict", "reason", "changed", "error"];
const KEYS: [&str; 8] = ["request", "answer", "circumstances", "settings", "verdict", "reason", "changed", "error"];

/// Runs every `*.json` in the folder through the guard; with `update`, writes what comes of them into them.
///
/// # Errors
/// If the folder can't be read, or holds none.
pub(super) async fn run_all(plugin: &Plugin, folder: &Path, update: bool) -> Result<Ran, String> {
    run_folder(folder, update, &KEYS, async |fixture| run(plugin, fixture).await).await
}

/// The fixture with its expectations replaced by what really happened.
async fn run(plugin: &Plugin, fixture: &Value) -> Result<Value, String> {
    let mut outcome = fixture.as_object().cloned().unwrap_or_default();
    outcome.retain(|key, _| !EXPECTED.contains(&key.as_str()));
    let (circumstances, settings) = (Arc::new(circumstances_of(fixture)), Arc::new(settings_of(fixture)));
    let verdict = match (fixture.get("request"), fixture.get("answer")) {
        (Some(request), None) => judged_request(plugin, request, &circumstances, &settings).await?,
        (None, Some(answer)) => judged_answer(plugin, answer, &circumstances, &settings).await?,
        _ => return Err("it must have a `request` or an `answer`".to_owned()),
    };
    outcome.extend(verdict);
    Ok(Value::Object(outcome))
}

type Members = serde_json::Map<String, Value>;

async fn judged_request(
    plugin: &Plugin,
    request: &Value,
    circumstances: &Arc<Circumstances>,
    settings: &Arc<String>,
) -> Result<Members, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("its `request` is no sampling request: {e}");
    let params = CreateMessageRequestParams::from_json(request.to_string().as_bytes()).map_err(|e| wrong(&e))?;
    params.validate().map_err(|e| wrong(&e))?;
    let request = Arc::new(wit::CreateMessageRequest::from(params));
    match plugin.judge_request(&request, circumstances, settings).await {
        Ok(verdict) => Ok(request_verdict_json(&verdict)),
        Err(error) => failed(error),
    }
}

async fn judged_answer(
    plugin: &Plugin,
    answer: &Value,
    circumstances: &Arc<Circumstances>,
    settings: &Arc<String>,
) -> Result<Members, String> {
    let result = CreateMessageResult::from_json(answer.to_string().as_bytes());
    let answer = Arc::new(result.map_err(|e| format!("its `answer` is no result: {e}"))?.into());
    match plugin.judge_answer(&answer, circumstances, settings).await {
        Ok(verdict) => answer_verdict_json(&verdict).map_err(|e| e.to_string()),
        Err(error) => failed(error),
    }
}

fn failed(error: crate::error::Error) -> Result<Members, String> {
    let error = own(error).map_err(|error| error.to_string())?;
    Ok(Members::from_iter([("error".to_owned(), json!(guest_error_json(&error)))]))
}
