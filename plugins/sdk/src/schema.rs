//! Tools' JSON Schemas fitted to what a provider takes, without a change of what they accept.
//!
//! MCP takes any JSON Schema of an object; each provider takes a part of JSON Schema, and refuses the whole request for one tool that
//! holds more. What can be said in the provider's part is said there; what can't is an `unsupported` error with its place.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `tree` | JSON as a tree whose numbers keep their spelling |
//! | `draft` | forms of older drafts |
//! | `references` | `$ref` |
//! | `properties` | names of properties that a provider doesn't allow |
//! | `top` | what stands beside `type: object` at the top |
//! | `shapes` | how arguments differ on the wire, and back |

mod draft;
mod properties;
mod references;
mod shapes;
mod top;
mod tree;

use std::borrow::Cow;

use serde_json::value::RawValue;

pub use self::shapes::Shapes;
use self::tree::Node;
use crate::error;
use crate::names;
use crate::types::{Error, Tool};

/// What a provider takes of JSON Schema.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing that a provider wants")]
pub struct Rule {
    /// Every object has `properties`.
    pub needs_properties: bool,
    /// Every array has `items`.
    pub needs_items: bool,
    /// The top is an object with properties alone: no `anyOf`, `oneOf`, `allOf`, `not`, `enum` or `const` beside them.
    pub is_plain_at_top: bool,
    /// Forms of drafts before 2020-12 are refused, or not understood.
    pub is_modern: bool,
    /// `$ref` isn't understood: what can be put in its place is.
    pub inlines: bool,
    /// The names of properties.
    pub properties: Option<names::Rule>,
}

impl Rule {
    /// Takes everything.
    pub const ANY: Self = Self {
        needs_properties: false,
        needs_items: false,
        is_plain_at_top: false,
        is_modern: false,
        inlines: false,
        properties: None,
    };
}

/// The schemas of some tools, fitted.
#[derive(Debug)]
pub struct Fitted<'a> {
    /// In the tools' order.
    pub schemas: Vec<Cow<'a, RawValue>>,
    /// How the arguments differ from MCP's.
    pub shapes: Shapes,
}

/// Fits the schemas of some tools.
///
/// # Errors
/// `unsupported`, naming the tool and the place, for what can't be said; `invalid-request` for a schema that isn't JSON.
pub fn fit<'a>(tools: impl IntoIterator<Item = &'a Tool>, rule: &Rule) -> Result<Fitted<'a>, Error> {
    let mut fitted = Fitted { schemas: Vec::new(), shapes: Shapes::default() };
    for tool in tools {
        let raw: &RawValue = serde_json::from_str(&tool.input_schema).map_err(|e| {
            error::invalid_request(format!("the `inputSchema` of the tool `{}` is not JSON: {e}", tool.name))
        })?;
        let refused = |refused: Refused| error::unsupported(refused.of_tool(&tool.name));
        let mut node = Node::read(raw).map_err(refused)?;
        let before = node.clone();
        let shape = fit_one(&mut node, rule).map_err(refused)?;
        fitted.shapes.insert(&tool.name, shape);
        fitted.schemas.push(if node == before { Cow::Borrowed(raw) } else { Cow::Owned(node.into_raw()) });
    }
    Ok(fitted)
}

/// What can't be said.
#[derive(Debug)]
struct Refused {
    /// As a JSON pointer.
    place: String,
    reason: String,
}

impl Refused {
    fn of_tool(&self, tool: &str) -> String {
        let Self { place, reason } = self;
        format!("the tool `{tool}`: its `inputSchema` at `#{place}`: {reason}")
    }
}

fn fit_one(root: &mut Node, rule: &Rule) -> Result<shapes::Shape, Refused> {
    draft::walk(root, &mut |node, _| {
        draft::tidy(node);
        if rule.is_modern {
            draft::modernise(node);
        }
    });
    if rule.is_modern {
        draft::rename_definitions(root);
    }
    references::check(root)?;
    let mut shape = shapes::Shape::default();
    if let Some(names) = &rule.properties {
        shape.renamed = properties::rename(root, names);
    }
    if rule.is_plain_at_top {
        shape.wrapper = top::flatten(root);
    }
    if rule.inlines {
        references::inline(root);
    }
    draft::walk(root, &mut |node, is_root| {
        if rule.needs_properties && (is_root || node.is_of_type("object")) && node.get("properties").is_none() {
            node.set("properties", Node::Object(Vec::new()));
        }
        if rule.needs_items && node.is_of_type("array") && node.get("items").is_none() {
            node.set("items", Node::Object(Vec::new()));
        }
    });
    Ok(shape)
}

#[cfg(test)]
mod tests;
