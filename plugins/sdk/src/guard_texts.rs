//! Every text of a request or an answer, in order, to be looked at and changed: those of messages, tools and parameters, and the strings
//! within JSON.
//!
//! Images and sounds aren't texts, nor are names and ids that a guard may not change: of tools, of calls, of models.

use std::fmt;

use crate::types::{
    ContentBlock, CreateMessageRequest, CreateMessageResult, Extras, ResourceContents, ResourceLink, ToolResultBlock,
};

/// Where a text stands, such as `messages[0].content[1].text`.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    outer: Option<&'a Place<'a>>,
    part: Part<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Key(&'a str),
    Index(usize),
}

impl Place<'_> {
    const fn root(key: &str) -> Place<'_> {
        Place { outer: None, part: Part::Key(key) }
    }

    fn key<'a>(&'a self, key: &'a str) -> Place<'a> {
        Place { outer: Some(self), part: Part::Key(key) }
    }

    fn at(&self, index: usize) -> Place<'_> {
        Place { outer: Some(self), part: Part::Index(index) }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            outer.fmt(f)?;
        }
        match (self.outer, self.part) {
            (None, Part::Key(key)) => f.write_str(key),
            (Some(_), Part::Key(key)) => write!(f, ".{key}"),
            (_, Part::Index(index)) => write!(f, "[{index}]"),
        }
    }
}

/// A text, and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Its place.
    pub place: Place<'a>,
    /// The text: within JSON that of one string, unescaped.
    pub text: &'a str,
    /// Within JSON, the string before it: the key of a value, or a neighbour.
    pub before: Option<&'a str>,
}

/// Shows each text of a request to `change`, and puts what it returns in its place; whether anything was changed.
pub fn in_request(request: &mut CreateMessageRequest, change: impl FnMut(Found<'_>) -> Option<String>) -> bool {
    let mut texts = Texts { change, has_changed: false };
    texts.option(request.system_prompt.as_mut(), Place::root("systemPrompt"));
    let messages = Place::root("messages");
    for (n, message) in request.messages.iter_mut().enumerate() {
        let place = messages.at(n);
        texts.blocks(&mut message.content, place.key("content"));
        texts.json(message.meta.as_mut(), place.key("_meta"));
        texts.json(message.extensions.as_mut(), place);
    }
    let stops = Place::root("stopSequences");
    for (n, stop) in request.stop_sequences.iter_mut().enumerate() {
        texts.text(stop, stops.at(n));
    }
    let tools = Place::root("tools");
    for (n, tool) in request.tools.iter_mut().flatten().enumerate() {
        let place = tools.at(n);
        texts.option(tool.title.as_mut(), place.key("title"));
        texts.option(tool.description.as_mut(), place.key("description"));
        texts.json(Some(&mut tool.input_schema), place.key("inputSchema"));
        texts.json(tool.output_schema.as_mut(), place.key("outputSchema"));
        texts.extras(&mut tool.extras, place);
    }
    texts.json(request.metadata.as_mut(), Place::root("metadata"));
    texts.json(request.meta.as_mut(), Place::root("_meta"));
    texts.json(Some(&mut request.extensions), Place::root("params"));
    texts.has_changed
}

/// The same for an answer.
pub fn in_answer(answer: &mut CreateMessageResult, change: impl FnMut(Found<'_>) -> Option<String>) -> bool {
    let mut texts = Texts { change, has_changed: false };
    texts.blocks(&mut answer.content, Place::root("content"));
    texts.json(answer.meta.as_mut(), Place::root("_meta"));
    texts.has_changed
}

struct Texts<F> {
    change: F,
    has_changed: bool,
}

impl<F: FnMut(Found<'_>) -> Option<String>> Texts<F> {
    fn text(&mut self, text: &mut String, place: Place<'_>) {
        if let Some(changed) = (self.change)(Found { place, text, before: None }) {
            *text = changed;
            self.has_changed = true;
        }
    }

    fn option(&mut self, text: Option<&mut String>, place: Place<'_>) {
        if let Some(text) = text {
            self.text(text, place);
        }
    }

    fn json(&mut self, json: Option<&mut String>, place: Place<'_>) {
        let Some(json) = json else { return };
        let change = |text: &str, before: Option<&str>| (self.change)(Found { place, text, before });
        if let Some(changed) = in_json(json, change) {
            *json = changed;
            self.has_changed = true;
        }
    }

    fn extras(&mut self, extras: &mut Extras, place: Place<'_>) {
        self.json(extras.meta.as_mut(), place.key("_meta"));
        self.json(extras.annotations.as_mut(), place.key("annotations"));
        self.json(extras.extensions.as_mut(), place);
    }

    fn blocks(&mut self, blocks: &mut [ContentBlock], place: Place<'_>) {
        for (n, block) in blocks.iter_mut().enumerate() {
            let place = place.at(n);
            match block {
                ContentBlock::Text(text) => {
                    self.text(&mut text.text, place.key("text"));
                    self.extras(&mut text.extras, place);
                }
                ContentBlock::Image(media) | ContentBlock::Audio(media) => self.extras(&mut media.extras, place),
                ContentBlock::ToolUse(call) => {
                    self.json(Some(&mut call.input), place.key("input"));
                    self.extras(&mut call.extras, place);
                }
                ContentBlock::ToolResult(result) => {
                    self.results(&mut result.content, place.key("content"));
                    self.json(result.structured_content.as_mut(), place.key("structuredContent"));
                    self.extras(&mut result.extras, place);
                }
                ContentBlock::Other(other) => self.json(Some(&mut other.block), place),
            }
        }
    }

    fn results(&mut self, blocks: &mut [ToolResultBlock], place: Place<'_>) {
        for (n, block) in blocks.iter_mut().enumerate() {
            let place = place.at(n);
            match block {
                ToolResultBlock::Text(text) => {
                    self.text(&mut text.text, place.key("text"));
                    self.extras(&mut text.extras, place);
                }
                ToolResultBlock::Image(media) | ToolResultBlock::Audio(media) => self.extras(&mut media.extras, place),
                ToolResultBlock::ResourceLink(link) => self.link(link, place),
                ToolResultBlock::Resource(resource) => {
                    self.text(&mut resource.uri, place.key("uri"));
                    if let ResourceContents::Text(text) = &mut resource.contents {
                        self.text(text, place.key("text"));
                    }
                    self.json(resource.resource_meta.as_mut(), place.key("_meta"));
                    self.extras(&mut resource.extras, place);
                }
                ToolResultBlock::Other(other) => self.json(Some(&mut other.block), place),
            }
        }
    }

    fn link(&mut self, link: &mut ResourceLink, place: Place<'_>) {
        self.text(&mut link.uri, place.key("uri"));
        self.text(&mut link.name, place.key("name"));
        self.option(link.title.as_mut(), place.key("title"));
        self.option(link.description.as_mut(), place.key("description"));
        self.extras(&mut link.extras, place);
    }
}

/// The JSON with each of its strings, keys included, as `change` returns it; none if nothing is changed. What stands between the strings stays
/// as it is spelt.
fn in_json(json: &str, mut change: impl FnMut(&str, Option<&str>) -> Option<String>) -> Option<String> {
    let (mut changed, mut kept, mut at) = (String::new(), 0, 0);
    let mut before: Option<String> = None;
    while let Some((start, end)) = literal(json.as_bytes(), at) {
        at = end;
        let Some(inner) = json.get(start + 1..end - 1) else { break };
        let unescaped = if inner.contains('\\') {
            match json.get(start..end).and_then(|literal| serde_json::from_str::<String>(literal).ok()) {
                Some(text) => text,
                None => continue,
            }
        } else {
            inner.to_owned()
        };
        if let Some(text) = change(&unescaped, before.as_deref()) {
            changed.push_str(json.get(kept..start).unwrap_or_default());
            changed.push_str(&serde_json::Value::String(text).to_string());
            kept = end;
        }
        before = Some(unescaped);
    }
    if kept == 0 {
        return None;
    }
    changed.push_str(json.get(kept..).unwrap_or_default());
    Some(changed)
}

/// The next string literal from an index: its quotation marks included.
fn literal(json: &[u8], from: usize) -> Option<(usize, usize)> {
    let start = from + json.get(from..)?.iter().position(|byte| *byte == b'"')?;
    let mut at = start + 1;
    loop {
        match json.get(at)? {
            b'"' => return Some((start, at + 1)),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_within_json_are_shown_unescaped_and_what_is_between_them_stays() {
        let json = r#"{ "a\nb" : 1.0, "key":"va\"l\u00fce", "n": [1e3, "x"] }"#;
        let mut seen = Vec::new();
        let changed = in_json(json, |text, before| {
            seen.push((text.to_owned(), before.map(str::to_owned)));
            text.starts_with("va").then(|| "new\n\"".to_owned())
        });
        assert_eq!(changed.unwrap(), r#"{ "a\nb" : 1.0, "key":"new\n\"", "n": [1e3, "x"] }"#);
        let texts: Vec<&str> = seen.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["a\nb", "key", "va\"l\u{fc}e", "n", "x"]);
        assert_eq!(seen[2].1.as_deref(), Some("key"));
        for odd in ["", "\"", "\"\\", "{\"a", "\"\\x\""] {
            assert_eq!(in_json(odd, |_, _| Some(String::new())), None, "{odd}");
        }
    }

    #[test]
    fn a_place_is_written_as_in_json() {
        let root = Place::root("messages");
        let (message, content) = (root.at(2), "content");
        assert_eq!(message.key(content).at(0).key("text").to_string(), "messages[2].content[0].text");
    }
}
