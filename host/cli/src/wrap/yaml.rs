//! YAML: one document.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::document::{ConfigNode, DEPTH, NodeMember, NodeValue, SyntaxFault};

/// A list or table that isn't complete yet.
struct OpenNode {
    start: usize,
    is_flow: bool,
    is_shared: bool,
    is_table: bool,
    parts: Vec<ConfigNode>,
}

/// The tree of a text.
pub(super) fn parse(text: &str) -> Result<ConfigNode, SyntaxFault> {
    // The parser counts characters.
    let bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let byte = |character: usize| bytes.get(character).copied().unwrap_or(text.len());
    let place = |span: Span| byte(span.start.index())..byte(span.end.index());
    let (mut open, mut roots): (Vec<OpenNode>, Vec<ConfigNode>) = (Vec::new(), Vec::new());
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| SyntaxFault::at(text, byte(error.marker().index()), error.info()))?;
        let at = place(span);
        let done = match event {
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) if open.len() >= DEPTH => {
                let _ = (anchor, tag);
                return Err(SyntaxFault::at(text, at.start, &format!("it has more than {DEPTH} levels")));
            }
            Event::SequenceStart(anchor, tag) => {
                open.push(begun(text, &at, false, anchor != 0 || tag.is_some()));
                continue;
            }
            Event::MappingStart(anchor, tag) => {
                open.push(begun(text, &at, true, anchor != 0 || tag.is_some()));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(ended) => closed(ended, at.end),
                None => continue,
            },
            Event::Scalar(value, style, anchor, tag) => {
                let at = at.start..end_of(text, &at, style);
                let mut node = ConfigNode::new(at, scalar(&value, style), false);
                node.is_shared = anchor != 0 || tag.is_some();
                node
            }
            Event::Alias(_) => {
                let source = text.get(at.clone()).unwrap_or_default().to_owned();
                ConfigNode { is_shared: true, ..ConfigNode::new(at, NodeValue::Other(source), false) }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                continue;
            }
        };
        match open.last_mut() {
            Some(outer) => outer.parts.push(done),
            None if roots.is_empty() => roots.push(done),
            None => return Err(SyntaxFault::at(text, done.span.start, "it holds several documents")),
        }
    }
    let empty = || ConfigNode::new(text.len()..text.len(), NodeValue::Table(Vec::new()), false);
    Ok(roots.pop().unwrap_or_else(empty))
}

fn begun(text: &str, at: &Range<usize>, is_table: bool, is_shared: bool) -> OpenNode {
    let is_flow = text.get(at.clone()).is_some_and(|source| source.starts_with(['[', '{']));
    OpenNode { start: at.start, is_flow, is_shared, is_table, parts: Vec::new() }
}

fn closed(ended: OpenNode, end: usize) -> ConfigNode {
    let OpenNode { start, is_flow, is_shared, is_table, parts } = ended;
    // The end of a block is where something else begins.
    let end = if is_flow { end } else { parts.last().map_or(start, |last| last.span.end) };
    let value = if is_table {
        let mut members = Vec::new();
        let mut parts = parts.into_iter();
        while let (Some(key), Some(node)) = (parts.next(), parts.next()) {
            let name = match &key.value {
                NodeValue::Text(text) | NodeValue::Other(text) => text.clone(),
                _ => String::new(),
            };
            members.push(NodeMember { key: name, key_span: key.span, node });
        }
        NodeValue::Table(members)
    } else {
        NodeValue::List(parts)
    };
    ConfigNode { span: start..end.max(start), value, is_flow, is_shared }
}

/// Where a scalar ends. The parser's end may be behind spaces that follow it.
fn end_of(text: &str, at: &Range<usize>, style: ScalarStyle) -> usize {
    let source = text.get(at.clone()).unwrap_or_default();
    let quote = match style {
        ScalarStyle::SingleQuoted => '\'',
        ScalarStyle::DoubleQuoted => '"',
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => return at.start + source.trim_end().len(),
    };
    source.rfind(quote).map_or(at.end, |last| at.start + last + 1)
}

/// What a scalar is, by the core schema (YAML 1.2.2, section 10.3.2).
fn scalar(value: &str, style: ScalarStyle) -> NodeValue {
    if style != ScalarStyle::Plain {
        // The text of a block has its first line elsewhere, so it isn't edited.
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        return if is_block { NodeValue::Other(value.to_owned()) } else { NodeValue::Text(value.to_owned()) };
    }
    match value {
        "" | "~" | "null" | "Null" | "NULL" => NodeValue::Null,
        "true" | "True" | "TRUE" => NodeValue::Bool(true),
        "false" | "False" | "FALSE" => NodeValue::Bool(false),
        _ => NodeValue::Text(value.to_owned()),
    }
}

/// Whether a text can stand without quotes anywhere, and is a text then.
pub(super) fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];
    let begins = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '_';
    let goes_on = |c: char| c.is_ascii_alphanumeric() || "/_.-+@=".contains(c);
    text.starts_with(begins) && text.chars().all(goes_on) && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// A JSON string as one of YAML: what YAML doesn't print (YAML 1.2.2, section 5.1) is escaped.
pub(super) fn escaped(json: &str) -> String {
    let is_odd =
        |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    json.chars().map(|c| if is_odd(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}
