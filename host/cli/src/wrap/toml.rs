//! TOML.

use std::ops::Range;

use toml_edit::{Document, Item, Key, TableLike, Value};

use super::document::{ConfigNode, NodeMember, NodeValue, SyntaxFault};

/// The tree of a text.
pub(super) fn parse(text: &str) -> Result<ConfigNode, SyntaxFault> {
    let parsed = Document::parse(text).map_err(|error| {
        let place = error.span().map_or(text.len(), |span| span.start);
        SyntaxFault::at(text, place, error.message())
    })?;
    Ok(table(text, parsed.as_table(), 0..text.len(), false))
}

/// A table's tree. The parser bounds its levels.
fn table(text: &str, table: &dyn TableLike, span: Range<usize>, is_flow: bool) -> ConfigNode {
    let keys = table.iter().filter_map(|(key, item)| Some((table.key(key)?, item)));
    let members = keys.map(|(key, item)| member(text, key, item)).collect();
    ConfigNode::new(span, NodeValue::Table(members), is_flow)
}

fn member(text: &str, key: &Key, item: &Item) -> NodeMember {
    let key_span = key.span().unwrap_or_default();
    let node = match item {
        Item::Table(inner) => table(text, inner, inner.span().unwrap_or_else(|| key_span.clone()), false),
        Item::ArrayOfTables(tables) => {
            let items = tables.iter().map(|inner| table(text, inner, inner.span().unwrap_or_default(), false));
            ConfigNode::new(tables.span().unwrap_or_default(), NodeValue::List(items.collect()), false)
        }
        Item::Value(inner) => value(text, inner),
        Item::None => ConfigNode::new(key_span.clone(), NodeValue::Null, false),
    };
    NodeMember { key: key.get().to_owned(), key_span, node }
}

fn value(text: &str, value: &Value) -> ConfigNode {
    let span = value.span().unwrap_or_default();
    match value {
        Value::String(string) => ConfigNode::new(span, NodeValue::Text(string.value().clone()), false),
        Value::Boolean(boolean) => ConfigNode::new(span, NodeValue::Bool(*boolean.value()), false),
        Value::Array(array) => {
            let items = array.iter().map(|item| self::value(text, item)).collect();
            ConfigNode::new(span, NodeValue::List(items), true)
        }
        // A dotted key has no brackets.
        Value::InlineTable(inner) => table(text, inner, span, !inner.is_dotted()),
        Value::Integer(_) | Value::Float(_) | Value::Datetime(_) => {
            let source = text.get(span.clone()).unwrap_or_default().to_owned();
            ConfigNode::new(span, NodeValue::Other(source), false)
        }
    }
}
