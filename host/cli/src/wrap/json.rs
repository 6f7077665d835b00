//! JSON, with comments and trailing commas.

use jsonc_parser::ast::{ObjectPropName, Value};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::document::{ConfigNode, DEPTH, NodeMember, NodeValue, SyntaxFault};

/// What is taken beyond JSON. An edit relies on the commas.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_single_quoted_strings: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_hexadecimal_numbers: true,
    allow_unary_plus_numbers: true,
    allow_bare_decimal_point_numbers: true,
    allow_non_finite_numbers: true,
    allow_extended_string_escapes: true,
};

/// The tree of a text. One without a value is an empty object.
pub(super) fn parse(text: &str) -> Result<ConfigNode, SyntaxFault> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &OPTIONS);
    let parsed = parsed.map_err(|error| SyntaxFault::at(text, error.range().start, &error.kind().to_string()))?;
    match parsed.value {
        Some(value) => node(text, value, 0),
        None => Ok(ConfigNode::new(text.len()..text.len(), NodeValue::Table(Vec::new()), true)),
    }
}

fn node(text: &str, value: Value, depth: usize) -> Result<ConfigNode, SyntaxFault> {
    let Range { start, end } = value.range();
    if depth > DEPTH {
        return Err(SyntaxFault::at(text, start, &format!("it has more than {DEPTH} levels")));
    }
    let value = match value {
        Value::StringLit(string) => NodeValue::Text(string.value.into_owned()),
        Value::BooleanLit(boolean) => NodeValue::Bool(boolean.value),
        Value::NullKeyword(_) => NodeValue::Null,
        Value::NumberLit(number) => NodeValue::Other(number.value.to_owned()),
        Value::Array(array) => {
            let items = array.elements.into_iter().map(|item| node(text, item, depth + 1));
            NodeValue::List(items.collect::<Result<_, _>>()?)
        }
        Value::Object(object) => {
            let members = object.properties.into_iter().map(|member| {
                let key_span = member.name.range();
                let key = match member.name {
                    ObjectPropName::String(name) => name.value.into_owned(),
                    ObjectPropName::Word(name) => name.value.to_owned(),
                };
                Ok(NodeMember {
                    key,
                    key_span: key_span.start..key_span.end,
                    node: node(text, member.value, depth + 1)?,
                })
            });
            NodeValue::Table(members.collect::<Result<_, SyntaxFault>>()?)
        }
    };
    Ok(ConfigNode::new(start..end, value, true))
}
