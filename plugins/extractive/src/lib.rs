//! `extractive`: answers with the most salient sentences of the user's text. An honest offline stand-in for a model.
//!
//! It ranks the last user message's sentences by how frequent their words are in the whole text (Luhn's and Nenkova's
//! SumBasic idea, words already covered counting less), and answers with the best of them in their own order. It
//! invents nothing: every sentence of the answer stands in the question.

mod rank;

use serde::Deserialize;
use understudy_plugin::types::{
    Completion, ContentBlock, CreateMessageRequest, CreateMessageResult, Description, Error, Extras, HttpResponse,
    Model, Options, Role, Step, TextContent, ToolResultBlock, Usage,
};
use understudy_plugin::{Provider, error, export_provider, settings};

const MODEL: &str = "extractive";
const SENTENCES: usize = 3;

/// The plugin.
#[derive(Debug)]
pub struct Extractive;

export_provider!(Extractive);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    sentences: Option<usize>,
}

impl Provider for Extractive {
    fn describe() -> Description {
        Description {
            name: MODEL.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "answers with the most salient sentences of the user's text; needs no network and no key".to_owned(),
            accepts: vec!["tools".to_owned()],
            models: vec![Model {
                name: MODEL.to_owned(),
                families: Vec::new(),
                cost: 0.0,
                speed: 1.0,
                intelligence: 0.05,
                context_tokens: None,
                max_output_tokens: None,
                extensions: String::new(),
            }],
            default_model: Some(MODEL.to_owned()),
            endpoint: None,
            credential: None,
            settings_schema: r#"{"type":"object","additionalProperties":false,"properties":{"sentences":{"description":"How many sentences to answer with. Default 3.","type":"integer","minimum":1}}}"#.to_owned(),
            extensions: String::new(),
        }
    }

    fn start(request: CreateMessageRequest, options: Options) -> Result<Step, Error> {
        let settings: Settings = settings::parse(&options.settings)?;
        let text = last_user_text(&request)?;
        let most_words = usize::try_from(request.max_tokens).unwrap_or(usize::MAX);
        let summary = rank::summarize(&text, settings.sentences.unwrap_or(SENTENCES), most_words);
        let words = |text: &str| text.split_whitespace().count() as u64;
        Ok(Step::Done(Completion {
            usage: Some(Usage {
                input_tokens: Some(words(&text)),
                output_tokens: Some(words(&summary.text)),
                details: String::new(),
            }),
            result: CreateMessageResult {
                content: vec![ContentBlock::Text(TextContent {
                    text: summary.text,
                    extras: Extras { meta: None, annotations: None, extensions: None },
                })],
                model: if options.model.is_empty() { MODEL.to_owned() } else { options.model },
                stop_reason: Some(if summary.cut { "maxTokens" } else { "endTurn" }.to_owned()),
                meta: None,
            },
            extensions: String::new(),
        }))
    }

    fn resume(_: Vec<u8>, _: HttpResponse) -> Result<Step, Error> {
        Err(error::other("`extractive` asks for nothing, so there is nothing to resume"))
    }
}

fn last_user_text(request: &CreateMessageRequest) -> Result<String, Error> {
    let Some(message) = request.messages.iter().rev().find(|message| message.role == Role::User) else {
        return Err(error::invalid_request("no message comes from the user"));
    };
    let mut texts = Vec::new();
    for block in &message.content {
        match block {
            ContentBlock::Text(text) => texts.push(text.text.as_str()),
            ContentBlock::ToolResult(result) => texts.extend(result.content.iter().filter_map(|block| match block {
                ToolResultBlock::Text(text) => Some(text.text.as_str()),
                _ => None,
            })),
            ContentBlock::Image(media) => {
                return Err(error::unsupported(format!(
                    "`extractive` reads text only, not an image ({})",
                    media.mime_type
                )));
            }
            ContentBlock::Audio(media) => {
                return Err(error::unsupported(format!(
                    "`extractive` reads text only, not audio ({})",
                    media.mime_type
                )));
            }
            ContentBlock::ToolUse(_) => {}
            ContentBlock::Other(other) => {
                return Err(error::unsupported(format!("`extractive` reads text only, not a `{}` block", other.kind)));
            }
        }
    }
    Ok(texts.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::Extractive;

    #[test]
    fn extractive_keeps_to_its_fixtures() {
        understudy_plugin::testing::check_fixtures::<Extractive>("fixtures");
    }
}
