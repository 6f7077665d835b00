//! A guard: it denies requests that hold one of the words in its settings, and withholds these words from answers.

use serde::Deserialize;
use understudy_plugin::guard_texts::{in_answer, in_request};
use understudy_plugin::types::{CreateMessageRequest, CreateMessageResult, Error};
use understudy_plugin::verdict::{AnswerVerdict, Circumstances, GuardDescription, RequestVerdict};
use understudy_plugin::{Guard, error, export_guard};

struct Plugin;

export_guard!(Plugin);

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": { "words": { "type": "array", "items": { "type": "string", "minLength": 1 } } },
    "additionalProperties": false
}"#;

impl Guard for Plugin {
    /// What this guard is. Constant.
    fn describe() -> GuardDescription {
        GuardDescription {
            name: "example-plugin".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "denies requests that hold certain words, and withholds these from answers".to_owned(),
            checks: vec!["request".to_owned(), "answer".to_owned()],
            settings_schema: SCHEMA.to_owned(),
            extensions: String::new(),
        }
    }

    /// What may be asked.
    fn request(
        mut request: CreateMessageRequest,
        circumstances: Circumstances,
        settings: String,
    ) -> Result<RequestVerdict, Error> {
        let words = words(&settings)?;
        // Looks at every text, and changes none.
        let mut is_found = false;
        in_request(&mut request, |found| {
            is_found |= words.iter().any(|word| found.text.contains(word));
            None
        });
        Ok(if is_found {
            // The reason goes to the server: it doesn't quote the word.
            RequestVerdict::denied(format!(
                "the request holds a word of `settings.words`; the server `{}` may not send it to a model",
                circumstances.server
            ))
        } else {
            RequestVerdict::Allow
        })
    }

    /// What may be told.
    fn answer(mut answer: CreateMessageResult, _: Circumstances, settings: String) -> Result<AnswerVerdict, Error> {
        let words = words(&settings)?;
        let is_changed = in_answer(&mut answer, |found| {
            let withheld = words.iter().fold(found.text.to_owned(), |text, word| text.replace(word, "[withheld]"));
            (withheld != found.text).then_some(withheld)
        });
        Ok(if is_changed { AnswerVerdict::AllowChanged(answer) } else { AnswerVerdict::Allow })
    }
}

/// The settings, as the user wrote them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    words: Vec<String>,
}

fn words(settings: &str) -> Result<Vec<String>, Error> {
    let settings = serde_json::from_str::<Settings>(settings).ok().map(|settings| settings.words);
    settings
        .filter(|words| words.iter().all(|word| !word.is_empty()))
        .ok_or_else(|| error::invalid_request("`settings.words` must hold texts, none of them empty"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_guard_keeps_to_its_fixtures() {
        understudy_plugin::guard_testing::check_fixtures::<super::Plugin>("../guard-fixtures");
    }
}
