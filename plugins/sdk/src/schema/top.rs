//! What stands beside `type: object` at the top.
//!
//! A combinator goes into the object itself where that says the same. Else the whole schema becomes that of one property, where every
//! provider takes combinators: the model's arguments are what it holds.

use super::draft::walk;
use super::references::{is_remark, put, target};
use super::tree::Node;

/// What providers don't take at the top.
const COMBINATORS: [&str; 9] = ["anyOf", "oneOf", "allOf", "not", "enum", "const", "if", "dependentSchemas", "$ref"];

/// Makes the top plain; the name of the property that holds the arguments, if there has to be one.
pub(super) fn flatten(root: &mut Node) -> Option<String> {
    if !matches!(root, Node::Object(_)) {
        *root = Node::Object(Vec::new());
    }
    for _ in 0..8 {
        let Some(meant) = root.get("$ref").and_then(|reference| target(root, reference)).cloned() else { break };
        let says_twice =
            meant.members().iter().any(|(key, value)| root.get(key).is_some_and(|own| own != value) && !is_remark(key));
        if says_twice || root.get("$ref").and_then(Node::as_text).as_deref() == Some("#") {
            break;
        }
        root.take("$ref");
        for (key, value) in meant.members() {
            if root.get(key).is_none() {
                root.set(key, value.clone());
            }
        }
    }
    merge(root);
    if COMBINATORS.iter().any(|key| root.get(key).is_some()) {
        return Some(wrap(root));
    }
    // Arguments are an object whatever else the schema would accept.
    root.set("type", Node::text("object"));
    None
}

/// Merges what `allOf` says into the object, and what an `anyOf` or `oneOf` of one says, if all of it can be.
fn merge(root: &mut Node) {
    let bounds = ["additionalProperties", "unevaluatedProperties", "patternProperties"];
    for key in ["allOf", "anyOf", "oneOf"] {
        let Some(all) = root.get(key).map(|all| all.items().to_vec()) else { continue };
        if key != "allOf" && all.len() != 1 {
            continue;
        }
        // They say something of all properties that stand beside them.
        if bounds.iter().any(|key| root.get(key).is_some_and(|bound| bound.as_bool() != Some(true))) {
            continue;
        }
        let mut merged = root.clone();
        merged.take(key);
        if all.iter().all(|one| merge_one(&mut merged, one, root).is_some()) {
            *root = merged;
        }
    }
}

fn merge_one(into: &mut Node, one: &Node, root: &Node) -> Option<()> {
    let one = match one.get("$ref") {
        Some(reference) if one.members().len() == 1 => target(root, reference)?,
        _ => one,
    };
    for (key, value) in one.members() {
        match key.as_str() {
            "type" if value.as_text().as_deref() == Some("object") => {}
            "properties" => {
                if into.get("properties").is_none() {
                    into.set("properties", Node::Object(Vec::new()));
                }
                let properties = into.get_mut("properties")?;
                for (name, schema) in value.members() {
                    match properties.get(name) {
                        Some(same) if same == schema => {}
                        Some(_) => {
                            let mut both = Node::Object(Vec::new());
                            both.set("allOf", Node::Array(vec![properties.get(name)?.clone(), schema.clone()]));
                            properties.set(name, both);
                        }
                        None => properties.set(name, schema.clone()),
                    }
                }
            }
            "required" => {
                let so_far = into.get("required").map(Node::items).unwrap_or_default();
                let more = value.items().iter().filter(|name| !so_far.contains(name));
                let all = Node::Array(so_far.iter().chain(more).cloned().collect());
                into.set("required", all);
            }
            key if is_remark(key) => {
                if into.get(key).is_none() {
                    into.set(key, value.clone());
                }
            }
            _ => return None,
        }
    }
    matches!(one, Node::Object(_)).then_some(())
}

/// Makes the schema that of one property.
fn wrap(root: &mut Node) -> String {
    let is_own = |name: &str| root.get("properties").is_some_and(|properties| properties.get(name).is_some());
    let names = ["arguments".to_owned()].into_iter().chain((2..).map(|n| format!("arguments_{n}")));
    let wrapper = names.into_iter().find(|name| !is_own(name)).unwrap_or_default();
    // What refers to the whole schema, or to a place in it, finds it one property further down.
    walk(root, &mut |node, _| {
        let Some(reference) = node.get("$ref").and_then(Node::as_text) else { return };
        let is_definition = reference.starts_with("#/$defs/") || reference.starts_with("#/definitions/");
        if let Some(pointer) = reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'))
            && !is_definition
        {
            node.set("$ref", Node::text(&format!("#/properties/{wrapper}{pointer}")));
        }
    });
    let mut inner = std::mem::replace(root, Node::object([("type", Node::text("object"))]));
    inner.take("$id");
    for key in ["$schema", "$defs", "definitions"] {
        if let Some(value) = inner.take(key) {
            root.set(key, value);
        }
    }
    if let Some(reference) = inner.get("$ref").is_some().then(|| inner.take("$ref")).flatten() {
        // Beside others it would mean nothing to many.
        put(&mut inner, Node::object([("allOf", Node::Array(vec![Node::object([("$ref", reference)])]))]));
    }
    let mut properties = Node::Object(Vec::new());
    properties.set(&wrapper, inner);
    root.set("properties", properties);
    root.set("required", Node::Array(vec![Node::text(&wrapper)]));
    root.set("additionalProperties", Node::Scalar("false".to_owned()));
    wrapper
}
