//! A handler plugin: it asks an OpenAI-compatible server itself, at the URL of its settings, which the user's config must allow. The key
//! isn't in it: the host adds it to what goes to that origin.

mod http;

use serde::Deserialize;
use serde_json::{Value, json};
use understudy_plugin::blocks::NO_EXTRAS;
use understudy_plugin::types::{
    Completion, ContentBlock, CreateMessageRequest, CreateMessageResult, Description, Error, Options, Role, TextContent, Usage,
};
use understudy_plugin::{Handler, error, export_handler, settings};

struct Plugin;

export_handler!(Plugin);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
}

impl Handler for Plugin {
    /// What this plugin is. Constant, and makes no request.
    fn describe() -> Description {
        let url = json!({ "type": "string", "description": "Where chat completions are. Its origin must stand in `allow`." });
        Description {
            name: "example-plugin".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "OpenAI-compatible chat completions, by requests of its own".to_owned(),
            accepts: Vec::new(),
            models: Vec::new(),
            default_model: None,
            endpoint: None,
            credential: None,
            settings_schema: json!({
                "type": "object", "properties": { "url": url }, "required": ["url"], "additionalProperties": false
            })
            .to_string(),
            extensions: String::new(),
        }
    }

    /// From a request to its answer.
    fn create_message(request: CreateMessageRequest, options: Options) -> Result<Completion, Error> {
        let Settings { url } = settings::parse(&options.settings)?;
        let answer = http::post(&url, &body(&request, &options)?)?;
        let parsed: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if !(200..300).contains(&answer.status) {
            return Err(refusal(answer.status, answer.retry_after_ms, parsed.as_ref()));
        }
        let parsed = parsed.ok_or_else(|| error::malformed_response("the answer is not JSON"))?;
        completion(&parsed, &options.model)
    }
}

/// The request in the provider's words. What it can't carry is refused by name, never dropped.
fn body(request: &CreateMessageRequest, options: &Options) -> Result<Value, Error> {
    if request.tools.as_ref().is_some_and(|tools| !tools.is_empty()) {
        return Err(error::unsupported("`tools`: this plugin doesn't carry them"));
    }
    let mut messages = Vec::new();
    if let Some(prompt) = &request.system_prompt {
        messages.push(json!({ "role": "system", "content": prompt }));
    }
    for (n, message) in request.messages.iter().enumerate() {
        let texts = message.content.iter().map(|block| match block {
            ContentBlock::Text(text) => Ok(text.text.as_str()),
            _ => Err(error::unsupported(format!("`messages[{n}]`: this plugin carries only texts"))),
        });
        let texts: Vec<&str> = texts.collect::<Result<_, Error>>()?;
        let role = if message.role == Role::User { "user" } else { "assistant" };
        messages.push(json!({ "role": role, "content": texts.join("\n") }));
    }
    let mut body = json!({ "model": options.model, "max_tokens": request.max_tokens, "messages": messages });
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    if !request.stop_sequences.is_empty() {
        body["stop"] = json!(request.stop_sequences);
    }
    Ok(body)
}

fn completion(answer: &Value, model: &str) -> Result<Completion, Error> {
    let choice = &answer["choices"][0];
    let said = choice["message"]["content"]
        .as_str()
        .ok_or_else(|| error::malformed_response("the answer has no `choices[0].message.content`"))?;
    let stop_reason = choice["finish_reason"].as_str().map(|reason| match reason {
        "stop" => "endTurn".to_owned(),
        "length" => "maxTokens".to_owned(),
        other => other.to_owned(),
    });
    let text = TextContent { text: said.to_owned(), extras: NO_EXTRAS };
    let model = answer["model"].as_str().unwrap_or(model).to_owned();
    let usage = answer["usage"].as_object().map(|usage| Usage {
        input_tokens: usage.get("prompt_tokens").and_then(Value::as_u64),
        output_tokens: usage.get("completion_tokens").and_then(Value::as_u64),
        details: String::new(),
    });
    let result = CreateMessageResult { content: vec![ContentBlock::Text(text)], model, stop_reason, meta: None };
    Ok(Completion { result, usage, extensions: String::new() })
}

/// The provider said no. The kind decides whether the host tries again, or asks the next plugin of the chain.
fn refusal(status: u16, retry_after_ms: Option<u64>, answer: Option<&Value>) -> Error {
    let said = answer.and_then(|answer| answer["error"]["message"].as_str());
    let message = said.map_or_else(|| format!("the provider answered with the status {status}"), understudy_plugin::text::one_line);
    error::provider(error::kind_of_status(status), status, message, retry_after_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_a_completion() {
        let choice = json!({ "finish_reason": "length", "message": { "content": "hello" } });
        let completion = completion(&json!({ "choices": [choice], "usage": { "prompt_tokens": 3 } }), "m").unwrap();
        assert_eq!((completion.result.model.as_str(), completion.result.stop_reason.as_deref()), ("m", Some("maxTokens")));
        assert_eq!(completion.usage.unwrap().input_tokens, Some(3));
    }
}
