//! A client's config as a tree of values with their places in the text, and edits of that text.
//!
//! All three formats are edited in one way: a parser says where each value is, and an edit replaces just those bytes. What no edit names stays as it is,
//! byte for byte: comments, spacing, line ends, the order of keys. The editors that other crates have write lists and line ends anew in their own way.

use std::ops::Range;

use serde_json::Value;

use super::{json, toml, yaml};

/// The most levels that a file may have.
pub(super) const DEPTH: usize = 256;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConfigFormat {
    /// JSON, with comments and trailing commas where the client takes them.
    Json,
    Toml,
    Yaml,
}

/// Why a text can't be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxFault {
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    pub(super) reason: String,
}

impl SyntaxFault {
    /// A fault at this byte.
    pub(super) fn at(text: &str, byte: usize, reason: &str) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let reason = reason.trim().lines().next().unwrap_or_default().to_owned();
        Self { line: before.matches('\n').count() + 1, column, reason }
    }
}

/// A value, and where it is.
#[derive(Debug, Clone)]
pub(super) struct ConfigNode {
    /// Its bytes. Of a block of YAML and a table of TOML, only the start is exact.
    pub(super) span: Range<usize>,
    pub(super) value: NodeValue,
    /// Whether it is written in brackets, with commas between its parts.
    pub(super) is_flow: bool,
    /// Whether other parts of the file refer to it, so that an edit would change those, too.
    pub(super) is_shared: bool,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum NodeValue {
    Text(String),
    Bool(bool),
    Null,
    /// A number or a date as it is written, or a reference to another part of the file.
    Other(String),
    List(Vec<ConfigNode>),
    Table(Vec<NodeMember>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct NodeMember {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: ConfigNode,
}

impl ConfigNode {
    pub(super) fn new(span: Range<usize>, value: NodeValue, is_flow: bool) -> Self {
        Self { span, value, is_flow, is_shared: false }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let NodeValue::Text(text) = &self.value { Some(text) } else { None }
    }

    pub(super) fn members(&self) -> Option<&[NodeMember]> {
        if let NodeValue::Table(members) = &self.value { Some(members) } else { None }
    }

    pub(super) fn items(&self) -> Option<&[ConfigNode]> {
        if let NodeValue::List(items) = &self.value { Some(items) } else { None }
    }

    /// The member with this key; an error if there are several.
    pub(super) fn get(&self, key: &str) -> Result<Option<&NodeMember>, String> {
        let mut found = self.members().unwrap_or_default().iter().filter(|member| member.key == key);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(format!("`{key}` is there twice: remove one of them")),
            (member, _) => Ok(member),
        }
    }

    /// Its texts, if it is a list of nothing else.
    pub(super) fn texts(&self) -> Option<Vec<&str>> {
        self.items()?.iter().map(Self::text).collect()
    }

    /// The value without its place.
    pub(super) fn plain(&self) -> Value {
        match &self.value {
            NodeValue::Text(text) => Value::String(text.clone()),
            NodeValue::Bool(is) => Value::Bool(*is),
            NodeValue::Null => Value::Null,
            NodeValue::Other(source) => Value::Array(vec![Value::String(source.clone()), Value::Null]),
            NodeValue::List(items) => items.iter().map(Self::plain).collect(),
            NodeValue::Table(members) => {
                members.iter().map(|member| (member.key.clone(), member.node.plain())).collect()
            }
        }
    }
}

/// Bytes that are replaced by a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextEdit {
    pub(super) at: Range<usize>,
    pub(super) text: String,
}

/// A file's text, parsed.
#[derive(Debug, Clone)]
pub(super) struct ConfigDocument {
    pub(super) format: ConfigFormat,
    pub(super) text: String,
    pub(super) root: ConfigNode,
}

impl ConfigDocument {
    pub(super) fn parse(format: ConfigFormat, text: String) -> Result<Self, SyntaxFault> {
        let root = match format {
            ConfigFormat::Json => json::parse(&text)?,
            ConfigFormat::Toml => toml::parse(&text)?,
            ConfigFormat::Yaml => yaml::parse(&text)?,
        };
        Ok(Self { format, text, root })
    }

    /// A part of the text.
    pub(super) fn slice(&self, at: Range<usize>) -> &str {
        self.text.get(at).unwrap_or_default()
    }

    /// The text with these edits; none may overlap another.
    pub(super) fn with(&self, mut edits: Vec<TextEdit>) -> String {
        edits.sort_by_key(|edit| edit.at.start);
        let (mut text, mut done) = (String::with_capacity(self.text.len() + 256), 0);
        for edit in edits {
            text.push_str(self.slice(done..edit.at.start));
            text.push_str(&edit.text);
            done = edit.at.end;
        }
        text.push_str(self.slice(done..self.text.len()));
        text
    }

    /// A text as a value of this format.
    pub(super) fn quoted(&self, text: &str) -> String {
        let json = Value::from(text).to_string();
        match self.format {
            ConfigFormat::Json => json,
            ConfigFormat::Toml => json.replace('\u{7f}', "\\u007F"),
            ConfigFormat::Yaml => yaml::escaped(&json),
        }
    }

    /// The source of a text so that it can stand in a list as well, in the quotes that it has.
    pub(super) fn movable(&self, node: &ConfigNode) -> String {
        let (source, text) = (self.slice(node.span.clone()), node.text().unwrap_or_default());
        let can_move = match self.format {
            ConfigFormat::Json | ConfigFormat::Toml => true,
            ConfigFormat::Yaml => {
                source == text && yaml::is_plain(source) || source.starts_with(['"', '\'']) && !source.contains('\n')
            }
        };
        if can_move && !source.is_empty() { source.to_owned() } else { self.quoted(text) }
    }

    /// Puts another text in the place of one, in the same quotes if it can stand in them.
    pub(super) fn set_text(&self, node: &ConfigNode, text: &str) -> TextEdit {
        let old = self.slice(node.span.clone());
        let has_no_escape = !text.contains(|c: char| c == '\'' || c.is_control());
        let source = match self.format {
            ConfigFormat::Toml | ConfigFormat::Yaml
                if old.starts_with('\'') && !old.starts_with("'''") && has_no_escape =>
            {
                format!("'{text}'")
            }
            ConfigFormat::Yaml if !old.starts_with(['"', '\'']) && yaml::is_plain(text) => text.to_owned(),
            _ => self.quoted(text),
        };
        TextEdit { at: node.span.clone(), text: source }
    }

    /// Puts this source in the place of a value.
    pub(super) fn set_source(&self, node: &ConfigNode, source: &str) -> TextEdit {
        let needs_space = node.span.is_empty() && !self.slice(0..node.span.start).ends_with([' ', '\n']);
        TextEdit { at: node.span.clone(), text: if needs_space { format!(" {source}") } else { source.to_owned() } }
    }

    /// A list of these sources, on one line.
    pub(super) fn list(items: &[String]) -> String {
        format!("[{}]", items.join(", "))
    }

    /// Puts these sources in front of a list's items.
    pub(super) fn prepend(&self, list: &ConfigNode, items: &[String]) -> Result<TextEdit, String> {
        let Some(first) = list.items().and_then(<[ConfigNode]>::first) else {
            // Empty, so it is written in brackets.
            let after = list.span.start + 1;
            return Ok(TextEdit { at: after..after, text: items.join(", ") });
        };
        if !list.is_flow {
            let dash = self.dash_of(first)?;
            let indent = self.indent_of(dash);
            let newline = self.newline();
            let lines: Vec<String> = items.iter().map(|item| format!("- {item}{newline}{indent}")).collect();
            return Ok(TextEdit { at: dash..dash, text: lines.concat() });
        }
        let between = self.slice(list.span.start + 1..first.span.start);
        let gap = if between.contains('\n') && between.trim().is_empty() { between } else { " " };
        let items: Vec<String> = items.iter().map(|item| format!("{item},{gap}")).collect();
        Ok(TextEdit { at: first.span.start..first.span.start, text: items.concat() })
    }

    /// Removes a list's first items.
    pub(super) fn cut(&self, list: &ConfigNode, count: usize) -> Result<TextEdit, String> {
        let items = list.items().unwrap_or_default();
        let Some(first) = items.first().filter(|_| count > 0) else {
            return Ok(TextEdit { at: list.span.start..list.span.start, text: String::new() });
        };
        let begin = if list.is_flow { first.span.start } else { self.dash_of(first)? };
        if let Some(next) = items.get(count) {
            let end = if list.is_flow { next.span.start } else { self.dash_of(next)? };
            return Ok(TextEdit { at: begin..end, text: String::new() });
        }
        let end = items.last().map_or(begin, |last| last.span.end);
        if !list.is_flow {
            return Ok(TextEdit { at: begin..end, text: "[]".to_owned() });
        }
        let rest = self.slice(end..self.text.len());
        let spaces = rest.len() - rest.trim_start().len();
        match rest.trim_start().chars().next() {
            Some(',') => Ok(TextEdit { at: begin..end + spaces + 1, text: String::new() }),
            Some(']') => Ok(TextEdit { at: begin..end, text: String::new() }),
            _ => Err("a comment stands at the end of its arguments: edit it by hand".to_owned()),
        }
    }

    /// Adds a member with this source behind another one.
    pub(super) fn add(
        &self,
        table: &ConfigNode,
        after: &NodeMember,
        key: &str,
        source: &str,
    ) -> Result<TextEdit, String> {
        let line = self.text.get(..after.key_span.start).unwrap_or_default().rfind('\n').map_or(0, |at| at + 1);
        let before = self.slice(line..after.key_span.start);
        let indent = before.get(..before.len() - before.trim_start().len()).unwrap_or_default();
        let between = self.slice(after.key_span.end..after.node.span.start);
        let end = after.node.span.end;
        let (separator, key) = match self.format {
            ConfigFormat::Json => {
                let colon = if between.trim() == ":" { between } else { ": " };
                (colon.to_owned(), self.quoted(key))
            }
            ConfigFormat::Toml => (" = ".to_owned(), key.to_owned()),
            ConfigFormat::Yaml => (": ".to_owned(), key.to_owned()),
        };
        if table.is_flow || self.format == ConfigFormat::Json {
            if before.trim_end().ends_with('.') {
                return Err("its keys are written with dots: edit it by hand".to_owned());
            }
            let gap = if before.trim().is_empty() && line > 0 {
                format!(",{}{indent}", self.newline())
            } else {
                ", ".to_owned()
            };
            return Ok(TextEdit { at: end..end, text: format!("{gap}{key}{separator}{source}") });
        }
        // Behind the line, since a comment may follow the value. The part of a dotted key that stands before is repeated.
        let dotted = if self.format == ConfigFormat::Toml { before.trim_start() } else { "" };
        let indent = match self.format {
            ConfigFormat::Yaml => " ".repeat(before.chars().count()),
            _ => indent.to_owned(),
        };
        let rest = self.slice(end..self.text.len());
        let stop = rest
            .find('\n')
            .map_or(rest.len(), |at| if rest.get(..at).is_some_and(|r| r.ends_with('\r')) { at - 1 } else { at });
        let newline = self.newline();
        Ok(TextEdit { at: end + stop..end + stop, text: format!("{newline}{indent}{dotted}{key}{separator}{source}") })
    }

    /// Removes a member that isn't the first one, as `add` wrote it.
    pub(super) fn remove(&self, table: &ConfigNode, key: &str) -> Result<TextEdit, String> {
        let members = table.members().unwrap_or_default();
        let by_hand = || format!("`{key}` can't be told from what stands around it: edit it by hand");
        let at = members.iter().position(|member| member.key == key).ok_or_else(by_hand)?;
        let member = members.get(at).ok_or_else(by_hand)?;
        if table.is_flow || self.format == ConfigFormat::Json {
            let previous = at.checked_sub(1).and_then(|at| members.get(at)).ok_or_else(by_hand)?;
            let between = self.slice(previous.node.span.end..member.key_span.start);
            if between.trim() != "," {
                return Err(by_hand());
            }
            return Ok(TextEdit { at: previous.node.span.end..member.node.span.end, text: String::new() });
        }
        let line = self.text.get(..member.key_span.start).unwrap_or_default().rfind('\n').ok_or_else(by_hand)?;
        let rest = self.slice(member.node.span.end..self.text.len());
        let stop = rest.find('\n').unwrap_or(rest.len());
        if !rest.get(..stop).is_some_and(|rest| rest.trim().is_empty()) || !member.node.is_flow {
            return Err(by_hand());
        }
        let line = if self.slice(0..line).ends_with('\r') { line - 1 } else { line };
        let stop = if rest.get(..stop).is_some_and(|rest| rest.ends_with('\r')) { stop - 1 } else { stop };
        Ok(TextEdit { at: line..member.node.span.end + stop, text: String::new() })
    }

    /// Gives a member another key.
    pub(super) fn set_key(&self, member: &NodeMember, key: &str) -> TextEdit {
        let old = self.slice(member.key_span.clone());
        let text = if old.starts_with(['"', '\'']) { self.quoted(key) } else { key.to_owned() };
        TextEdit { at: member.key_span.clone(), text }
    }

    /// Where the dash of an item of a block is.
    fn dash_of(&self, item: &ConfigNode) -> Result<usize, String> {
        let before = self.slice(0..item.span.start).trim_end_matches(' ');
        before
            .strip_suffix('-')
            .map(str::len)
            .ok_or_else(|| "a list of it is written in an unusual way: edit it by hand".to_owned())
    }

    /// What stands before this byte on its line, as white space.
    fn indent_of(&self, byte: usize) -> String {
        let before = self.slice(0..byte);
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        " ".repeat(before.get(line..).unwrap_or_default().chars().count())
    }

    /// How this file ends its lines.
    fn newline(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }
}
