//! How arguments differ on the wire, and back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::properties::in_value;
use super::tree::Node;

/// Of the tools whose arguments differ from MCP's: how. Part of a plugin's state.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shapes {
    tools: BTreeMap<String, Shape>,
}

/// How the arguments of one tool differ.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    /// The property that holds them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) wrapper: Option<String>,
    /// MCP's names of properties, and what they are on the wire.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) renamed: BTreeMap<String, String>,
}

impl Shapes {
    pub(super) fn insert(&mut self, tool: &str, shape: Shape) {
        if shape != Shape::default() {
            self.tools.insert(tool.to_owned(), shape);
        }
    }

    /// Whether all arguments are on the wire as they are in MCP.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The arguments of a past call of the tool (by MCP's name), as the model is to see them.
    #[must_use]
    pub fn on_the_wire<'a>(&self, tool: &str, input: &'a str) -> Cow<'a, str> {
        let Some((shape, mut arguments)) = self.of(tool, input) else { return Cow::Borrowed(input) };
        in_value(&mut arguments, &shape.renamed);
        if let Some(wrapper) = &shape.wrapper {
            let mut wrapped = Node::Object(Vec::new());
            wrapped.set(wrapper, arguments);
            arguments = wrapped;
        }
        Cow::Owned(arguments.to_string())
    }

    /// The arguments that came back for the tool (by MCP's name), as MCP has them. A model that leaves the wrapping out is understood.
    #[must_use]
    pub fn in_mcp(&self, tool: &str, input: String) -> String {
        let Some((shape, mut arguments)) = self.of(tool, &input) else { return input };
        if let (Some(wrapper), [(name, inner @ Node::Object(_))]) = (&shape.wrapper, arguments.members())
            && name == wrapper
        {
            arguments = inner.clone();
        }
        let back = shape.renamed.iter().map(|(mcp, wire)| (wire.clone(), mcp.clone())).collect();
        in_value(&mut arguments, &back);
        arguments.to_string()
    }

    fn of(&self, tool: &str, input: &str) -> Option<(&Shape, Node)> {
        let shape = self.tools.get(tool)?;
        let raw: &RawValue = serde_json::from_str(input).ok()?;
        Some((shape, Node::read(raw).ok()?))
    }
}
