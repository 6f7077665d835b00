//! Forms of older drafts, said as 2020-12 says them.

use super::tree::Node;

/// What holds a schema.
const SCHEMA: [&str; 12] = [
    "items",
    "additionalItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
/// What holds a list of schemas.
const LIST: [&str; 5] = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
/// What holds schemas by names.
const NAMED: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// Calls `change` for each schema, those within first. `is_root`: for the whole one.
pub(super) fn walk(root: &mut Node, change: &mut impl FnMut(&mut Node, bool)) {
    within(root, change);
    change(root, true);
}

fn within(node: &mut Node, change: &mut impl FnMut(&mut Node, bool)) {
    let mut visit = |node: &mut Node| {
        within(node, change);
        change(node, false);
    };
    for (key, value) in node.members_mut() {
        let key = key.as_str();
        match value {
            Node::Object(_) if SCHEMA.contains(&key) => visit(value),
            Node::Array(items) if LIST.contains(&key) => items.iter_mut().for_each(&mut visit),
            Node::Object(members) if NAMED.contains(&key) => {
                let schemas = members.iter_mut().map(|(_, schema)| schema);
                schemas.filter(|schema| !matches!(schema, Node::Array(_))).for_each(&mut visit);
            }
            _ => {}
        }
    }
}

/// What no draft means: members that are `null`, and `required` as a property's own (draft 3's).
pub(super) fn tidy(node: &mut Node) {
    if let Node::Object(members) = node {
        members.retain(|(key, value)| {
            let may_be_null = matches!(key.as_str(), "const" | "default" | "example");
            may_be_null || *value != Node::Scalar("null".to_owned())
        });
    }
    let mut required = Vec::new();
    if let Some(Node::Object(properties)) = node.get_mut("properties") {
        for (name, property) in properties {
            let is_required = property.get("required").and_then(Node::as_bool);
            if is_required.is_some() {
                property.take("required");
            }
            if is_required == Some(true) {
                required.push(Node::text(name));
            }
        }
    }
    if required.is_empty() {
        return;
    }
    let so_far = node.get("required").map(Node::items).unwrap_or_default();
    let all = so_far.iter().cloned().chain(required.into_iter().filter(|name| !so_far.contains(name)));
    let all = Node::Array(all.collect());
    node.set("required", all);
}

/// One schema; those within are done.
pub(super) fn modernise(node: &mut Node) {
    // A schema that is `true`: of an item or a property, for which not every provider takes it.
    if *node == Node::Scalar("true".to_owned()) {
        *node = Node::Object(Vec::new());
    }
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        match node.get(exclusive).and_then(Node::as_bool) {
            Some(true) => {
                node.take(exclusive);
                node.rename(bound, exclusive);
            }
            Some(false) => drop(node.take(exclusive)),
            None => {}
        }
    }
    if matches!(node.get("items"), Some(Node::Array(_))) {
        node.rename("items", "prefixItems");
        node.rename("additionalItems", "items");
    } else {
        // It means nothing beside one schema for all items.
        node.take("additionalItems");
    }
    if node.get("$schema").and_then(Node::as_text).is_some_and(|draft| !draft.contains("2020-12")) {
        node.take("$schema");
    }
    // Draft 4's `$id`. It would only name the schema.
    if node.get("id").is_some_and(|id| id.as_text().is_some()) {
        node.take("id");
    }
    split_dependencies(node);
}

fn split_dependencies(node: &mut Node) {
    let Some(Node::Object(dependencies)) = node.take("dependencies") else { return };
    let (required, schemas): (Vec<_>, Vec<_>) =
        dependencies.into_iter().partition(|(_, value)| matches!(value, Node::Array(_)));
    for (key, members) in [("dependentRequired", required), ("dependentSchemas", schemas)] {
        if !members.is_empty() && node.get(key).is_none() {
            node.set(key, Node::Object(members));
        }
    }
}

/// `definitions`, and what refers to them.
pub(super) fn rename_definitions(root: &mut Node) {
    if root.get("definitions").is_none() || root.get("$defs").is_some() {
        return;
    }
    root.rename("definitions", "$defs");
    walk(root, &mut |node, _| {
        let Some(target) = node.get("$ref").and_then(Node::as_text) else { return };
        if let Some(rest) = target.strip_prefix("#/definitions/") {
            node.set("$ref", Node::text(&format!("#/$defs/{rest}")));
        }
    });
}
