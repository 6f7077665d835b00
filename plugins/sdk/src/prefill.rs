//! Answers that the server has begun (a conversation that ends with the assistant), for models that refuse such a
//! conversation.
//!
//! A user turn after the beginning asks the model to go on ([`GO_ON`]). The server joins its beginning and the answer, so a
//! beginning that the model says again is taken off ([`without_beginning`]).

use crate::types::{ContentBlock, CreateMessageRequest, Role};

/// The user turn that follows the beginning.
pub const GO_ON: &str = "Go on from exactly where your last message ends. Write only what comes next: do not repeat what you have \
     already written, and do not introduce or comment on it.";

/// So many bytes are no coincidence: an answer that starts with them says the beginning again.
const LONG: usize = 12;

/// The text of the answer that the server has begun, if it has.
#[must_use]
pub fn beginning(request: &CreateMessageRequest) -> Option<String> {
    let last = request.messages.last().filter(|message| message.role == Role::Assistant)?;
    let texts = last.content.iter().filter_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    Some(texts.collect::<String>()).filter(|text| !text.trim().is_empty())
}

/// Takes the beginning off an answer's first text if the model said it again, with the code fence that some models put
/// around the whole.
pub fn without_beginning(content: &mut [ContentBlock], beginning: &str) {
    let first = content.iter_mut().find_map(|block| match block {
        ContentBlock::Text(text) => Some(&mut text.text),
        _ => None,
    });
    if let Some(text) = first
        && let Some(rest) = rest(text, beginning)
    {
        *text = rest.to_owned();
    }
}

/// What follows the beginning in the text that says it again. None if the text doesn't.
fn rest<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    let beginning = beginning.trim();
    let said = text.trim_start();
    let after = |said: &'a str| {
        let rest = said.strip_prefix(beginning)?;
        // The answer `Indeed` doesn't repeat the beginning `I`.
        let splits_a_word = beginning.ends_with(char::is_alphanumeric) && rest.starts_with(char::is_alphanumeric);
        (beginning.len() >= LONG || !splits_a_word).then_some(rest)
    };
    after(said).or_else(|| {
        let (_language, fenced) = said.strip_prefix("```")?.split_once('\n')?;
        let rest = after(fenced.trim_start())?;
        Some(rest.trim_end().strip_suffix("```").map_or(rest, str::trim_end))
    })
}

#[cfg(test)]
mod tests {
    use super::rest;

    #[test]
    fn a_beginning_that_is_said_again_is_taken_off() {
        assert_eq!(rest(r#"{"a": 1}"#, "{"), Some(r#""a": 1}"#));
        assert_eq!(rest("```json\n{\"a\": 1}\n```\n", "{"), Some("\"a\": 1}"));
        assert_eq!(rest("```json\n{\"a\": 1}", "{"), Some("\"a\": 1}"));
        assert_eq!(rest("Here it is: a haiku", "Here it is: "), Some(" a haiku"));
        assert_eq!(rest("I am", "I"), Some(" am"));
    }

    #[test]
    fn an_answer_that_goes_on_stays_as_it_is() {
        assert_eq!(rest(r#""a": 1}"#, "{"), None);
        assert_eq!(rest("Indeed", "I"), None);
        assert_eq!(rest("```json\n\"a\": 1}\n```", "{"), None);
        assert_eq!(rest("", "{"), None);
    }
}
