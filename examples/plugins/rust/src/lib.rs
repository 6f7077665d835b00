//! A provider plugin: it turns a sampling request into the HTTP request of an OpenAI-compatible server, and the answer into a
//! result. It makes no request itself: the host does, with an endpoint and a key that never come here.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use understudy_plugin::blocks::NO_EXTRAS;
use understudy_plugin::types::{
    Completion, ContentBlock, CreateMessageRequest, CreateMessageResult, Description, Error, HttpResponse, Options, Role,
    Step, SuggestedCredential, SuggestedEndpoint, TextContent, Usage,
};
use understudy_plugin::{Provider, error, export_provider, http};

struct Plugin;

export_provider!(Plugin);

impl Provider for Plugin {
    /// What this plugin is. Constant.
    fn describe() -> Description {
        Description {
            name: "example-plugin".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "OpenAI-compatible chat completions".to_owned(),
            accepts: vec!["image".to_owned()],
            models: Vec::new(),
            default_model: None,
            endpoint: Some(SuggestedEndpoint {
                url: "https://api.openai.com/v1".to_owned(),
                env: Some("OPENAI_BASE_URL".to_owned()),
            }),
            credential: Some(SuggestedCredential {
                scheme: "bearer".to_owned(),
                name: None,
                env: Some("OPENAI_API_KEY".to_owned()),
                optional: true,
            }),
            settings_schema: r#"{"type":"object","additionalProperties":false}"#.to_owned(),
            extensions: String::new(),
        }
    }

    /// From a sampling request to an HTTP request.
    fn start(request: CreateMessageRequest, options: Options) -> Result<Step, Error> {
        if request.tools.is_some_and(|tools| !tools.is_empty()) {
            return Err(error::unsupported("`tools`: this plugin doesn't carry them"));
        }
        if options.model.is_empty() {
            return Err(error::invalid_request(
                "no model is chosen; name one with `--model`, or `model` in the config",
            ));
        }
        let system = request.system_prompt.filter(|prompt| !prompt.is_empty()).map(|prompt| {
            Ok(Message { role: "system", content: Content::Text(prompt) })
        });
        let messages = request.messages.iter().enumerate().map(|(n, message)| {
            let role = match message.role {
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            let parts: Result<Vec<Part>, Error> = message.content.iter().map(|block| part(block, n)).collect();
            Ok(Message { role, content: Content::Parts(parts?) })
        });
        let body = Body {
            model: &options.model,
            max_tokens: request.max_tokens,
            messages: system.into_iter().chain(messages).collect::<Result<_, Error>>()?,
            temperature: request.temperature,
            stop: request.stop_sequences,
        };
        // The state comes back in `resume`, in another instance: a variable would be gone by then.
        Ok(http::post_json("/chat/completions", &body, options.model.clone().into_bytes())?.into())
    }

    /// From the provider's answer to a result. It is called for any status and any body.
    fn resume(state: Vec<u8>, response: HttpResponse) -> Result<Step, Error> {
        if !(200..300).contains(&response.status) {
            return Err(refusal(&response));
        }
        let answer: Value = serde_json::from_slice(&response.body)
            .map_err(|_| error::malformed_response("the answer is not JSON"))?;
        let choice = &answer["choices"][0];
        let said = choice["message"]["content"]
            .as_str()
            .ok_or_else(|| error::malformed_response("the answer has no `choices[0].message.content`"))?;
        let model = answer["model"].as_str().map_or_else(|| String::from_utf8_lossy(&state).into_owned(), str::to_owned);
        let stop_reason = choice["finish_reason"].as_str().map(|reason| match reason {
            "stop" => "endTurn".to_owned(),
            "length" => "maxTokens".to_owned(),
            other => other.to_owned(),
        });
        let text = TextContent { text: said.to_owned(), extras: NO_EXTRAS };
        let result =
            CreateMessageResult { content: vec![ContentBlock::Text(text)], model, stop_reason, meta: None };
        let usage = answer["usage"].as_object().map(|usage| Usage {
            input_tokens: usage.get("prompt_tokens").and_then(Value::as_u64),
            output_tokens: usage.get("completion_tokens").and_then(Value::as_u64),
            details: String::new(),
        });
        Ok(Step::Done(Completion { result, usage, extensions: String::new() }))
    }
}

/// The request's body.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop: Vec<String>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(String),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

/// A block in the provider's words. What it can't carry is refused by name, never dropped.
fn part(block: &ContentBlock, n: usize) -> Result<Part<'_>, Error> {
    let refused = |what: String| Err(error::unsupported(format!("`messages[{n}]`: {what} is not carried")));
    let kind = match block {
        ContentBlock::Text(text) => return Ok(Part::Text { text: &text.text }),
        ContentBlock::Image(image) => {
            let url = format!("data:{};base64,{}", image.mime_type, image.data);
            return Ok(Part::ImageUrl { image_url: ImageUrl { url } });
        }
        ContentBlock::Other(other) => return refused(format!("a block of the unknown type `{}`", other.kind)),
        ContentBlock::Audio(_) => "audio",
        ContentBlock::ToolUse(_) => "tool-use",
        ContentBlock::ToolResult(_) => "tool-result",
    };
    refused(format!("a block of the type `{kind}`"))
}

/// The provider's error, if the body holds one.
#[derive(Deserialize)]
struct Refusal {
    error: RefusalError,
}

#[derive(Deserialize)]
struct RefusalError {
    message: String,
}

/// The provider said no. The kind decides whether the host tries again, or asks the next plugin of the chain.
fn refusal(response: &HttpResponse) -> Error {
    let said: Option<Refusal> = serde_json::from_slice(&response.body).ok();
    let said = said.map(|refusal| refusal.error.message.split_whitespace().collect::<Vec<_>>().join(" "));
    let status = response.status;
    let message = said.filter(|said| !said.is_empty()).unwrap_or_else(|| format!("the provider answered with the status {status}"));
    error::provider(error::kind_of_status(status), status, message, http::retry_after_ms(response))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_plugin_keeps_to_its_fixtures() {
        understudy_plugin::testing::check_fixtures::<super::Plugin>("../fixtures");
    }
}
