//! Names of properties that a provider doesn't allow.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::walk;
use super::tree::Node;
use crate::names::Rule;

/// Renames them throughout; MCP's names, and what they are on the wire. A name is the same wherever it stands.
pub(super) fn rename(root: &mut Node, rule: &Rule) -> BTreeMap<String, String> {
    let mut names = BTreeSet::new();
    walk(root, &mut |node, _| {
        let properties = node.get("properties").map(Node::members).unwrap_or_default();
        names.extend(properties.iter().map(|(name, _)| name.clone()));
    });
    let renamed = rule.renamed(names.iter().map(String::as_str));
    if renamed.is_empty() {
        return renamed;
    }
    walk(root, &mut |node, _| {
        for key in ["properties", "dependentSchemas", "dependentRequired", "dependencies"] {
            for (name, value) in node.get_mut(key).map(Node::members_mut).into_iter().flatten() {
                change(name, &renamed);
                // Of `dependentRequired`.
                in_list(value, &renamed);
            }
        }
        for key in ["required", "propertyNames"] {
            let Some(value) = node.get_mut(key) else { continue };
            in_list(value, &renamed);
            if let Some(value) = value.get_mut("enum") {
                in_list(value, &renamed);
            }
        }
        for key in ["const", "enum", "default", "examples", "example"] {
            if let Some(value) = node.get_mut(key) {
                in_value(value, &renamed);
            }
        }
    });
    renamed
}

fn change(name: &mut String, renamed: &BTreeMap<String, String>) {
    if let Some(to) = renamed.get(name) {
        to.clone_into(name);
    }
}

fn in_list(list: &mut Node, renamed: &BTreeMap<String, String>) {
    let Node::Array(items) = list else { return };
    for item in items {
        if let Some(to) = item.as_text().and_then(|name| renamed.get(&name)) {
            *item = Node::text(to);
        }
    }
}

/// Renames the members of a value, at any depth.
pub(super) fn in_value(value: &mut Node, renamed: &BTreeMap<String, String>) {
    match value {
        Node::Object(members) => {
            for (name, value) in members {
                change(name, renamed);
                in_value(value, renamed);
            }
        }
        Node::Array(items) => items.iter_mut().for_each(|item| in_value(item, renamed)),
        Node::Scalar(_) => {}
    }
}
