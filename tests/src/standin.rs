//! The strict stand-ins for providers, by the plugin that asks them: natively, and on loopback.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use understudy_plugin::testing::outcome;
use understudy_plugin_anthropic::Anthropic;
use understudy_plugin_gemini::Gemini;
use understudy_plugin_ollama::Ollama;
use understudy_plugin_openai::OpenAi;
use understudy_standins::openai_chat::Dialect;
use understudy_standins::{Body, Called, Request, Response, anthropic, gemini, ollama, openai_chat, openai_responses};

use crate::provider::{Provider, begin, piece, respond};

/// What the provider of this plugin answers.
#[must_use]
pub fn answer(plugin: &str, request: &Request, dialect: Dialect) -> Response {
    match plugin {
        "anthropic" => anthropic::answer(request),
        "openai" if request.path.contains("/responses") => openai_responses::answer(request),
        "openai" => openai_chat::answer(request, dialect),
        "gemini" => gemini::answer(request),
        "ollama" => ollama::answer(request),
        other => panic!("no stand-in for the provider of `{other}`"),
    }
}

/// The tool calls of the conversation that was sent, as this plugin's provider reads them.
#[must_use]
pub fn calls(plugin: &str, request: &Request) -> Vec<Called> {
    match plugin {
        "anthropic" => anthropic::calls(&request.body),
        "openai" if request.path.contains("/responses") => openai_responses::calls(&request.body),
        "openai" => openai_chat::calls(&request.body),
        "gemini" => gemini::calls(&request.body),
        "ollama" => ollama::calls(&request.body),
        other => panic!("no stand-in for the provider of `{other}`"),
    }
}

/// The names of the tools that were offered, in order.
#[must_use]
pub fn offered(plugin: &str, request: &Request) -> Vec<String> {
    let tools = request.body["tools"].as_array().into_iter().flatten();
    let name = |tool: &Value| tool["name"].as_str().unwrap_or_default().to_owned();
    match plugin {
        "gemini" => {
            tools.flat_map(|tool| tool["functionDeclarations"].as_array().into_iter().flatten()).map(name).collect()
        }
        "anthropic" => tools.map(name).collect(),
        _ => {
            tools.map(|tool| if tool["function"].is_object() { name(&tool["function"]) } else { name(tool) }).collect()
        }
    }
}

/// A fixture with what the plugin makes of it.
#[must_use]
pub fn converted(plugin: &str, fixture: &Value) -> Value {
    match plugin {
        "anthropic" => outcome::<Anthropic>(fixture),
        "openai" => outcome::<OpenAi>(fixture),
        "gemini" => outcome::<Gemini>(fixture),
        "ollama" => outcome::<Ollama>(fixture),
        other => panic!("no plugin `{other}`"),
    }
}

/// One sampling request through a plugin and its stand-in, run natively.
#[derive(Debug)]
pub struct Exchange {
    /// What the plugin sent, and what it was answered.
    pub asked: Vec<(Request, Response)>,
    /// The fixture with its outcome: `result` or `error`.
    pub outcome: Value,
}

/// Runs a sampling request to its end.
#[must_use]
pub fn exchange(
    plugin: &str,
    model: &str,
    settings: &Value,
    params: &Value,
    dialect: Dialect,
    seed: Option<u64>,
) -> Exchange {
    let mut asked = Vec::new();
    let mut planned: Vec<Value> = Vec::new();
    loop {
        let fixture = json!({
            "request": params,
            "options": { "model": model, "settings": settings },
            "exchanges": planned,
        });
        let outcome = converted(plugin, &fixture);
        let open = outcome["exchanges"].as_array().and_then(|made| made.get(planned.len())).cloned();
        let Some(open) = open else { return Exchange { asked, outcome } };
        assert!(asked.len() < 5, "{plugin} asks without end: {outcome:#}");
        let is_told_to_call = params["toolChoice"]["mode"] == "required";
        let request = Request { seed, is_told_to_call, ..Request::of_fixture(&open["request"]) };
        let response = answer(plugin, &request, dialect);
        planned.push(json!({ "response": response.to_fixture() }));
        asked.push((request, response));
    }
}

/// A stand-in that listens on loopback.
#[derive(Debug)]
pub struct Standin {
    /// The server.
    pub provider: Provider,
    refused: Arc<Mutex<Vec<String>>>,
}

impl Standin {
    /// Starts one.
    #[must_use]
    pub fn start(plugin: &'static str, dialect: Dialect) -> Self {
        let refused = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&refused);
        let provider = Provider::start(move |asked, stream, _| {
            let path = asked.line.split(' ').nth(1).unwrap_or_default().to_owned();
            let headers = asked.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            let body = serde_json::from_slice(&asked.body).unwrap_or_default();
            let request = Request { path, headers, body, ..Request::default() };
            let response = answer(plugin, &request, dialect);
            if response.is_refusal() {
                let line =
                    format!("{} to {:.600}", String::from_utf8_lossy(&response.bytes()), request.body.to_string());
                list.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
            write(stream, &response);
        });
        Self { provider, refused }
    }

    /// What it has refused so far, and why.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn write(stream: &mut std::net::TcpStream, response: &Response) {
    let bytes = response.bytes();
    if let Body::Whole(_) = response.body {
        let status = if response.status == 200 { "200 OK".to_owned() } else { format!("{} Refused", response.status) };
        respond(stream, &status, "content-type: application/json\r\n", &bytes);
    } else {
        begin(stream, response.content_type());
        piece(stream, &bytes);
        piece(stream, b"");
    }
    // Whoever asked may be gone.
    let _ = stream.flush();
}
