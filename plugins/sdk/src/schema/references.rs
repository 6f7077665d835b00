//! `$ref`.

use super::Refused;
use super::draft::walk;
use super::tree::Node;

/// More nodes than this aren't put in the place of references: a few that refer to each other could make millions.
const MOST_INLINED: usize = 5_000;

/// Checks that each reference leads to a place in the schema itself. Those by the schema's own `$id` are written as pointers.
pub(super) fn check(root: &mut Node) -> Result<(), Refused> {
    let own = root.get("$id").and_then(Node::as_text).unwrap_or_default();
    let mut names = Vec::new();
    let mut targets = Vec::new();
    walk(root, &mut |node, _| {
        for key in ["$id", "$anchor", "$dynamicAnchor"] {
            names.extend(node.get(key).and_then(Node::as_text));
        }
        if let Some(target) = node.get("$ref").and_then(Node::as_text) {
            let local =
                target.strip_prefix(&own).filter(|rest| !own.is_empty() && (rest.is_empty() || rest.starts_with('#')));
            if let Some(local) = local {
                node.set("$ref", Node::text(if local.is_empty() { "#" } else { local }));
            }
            targets.push(local.map_or(target.clone(), str::to_owned));
        }
    });
    let is_known = |target: &str| match target.strip_prefix('#') {
        Some("") | None if target.is_empty() || target == "#" => true,
        Some(pointer) if pointer.starts_with('/') => root.at(&decoded(pointer)).is_some(),
        Some(anchor) => names.iter().any(|name| name.trim_start_matches('#') == anchor),
        None => names.iter().any(|name| name == target),
    };
    match targets.iter().find(|target| !is_known(target)) {
        None => Ok(()),
        Some(target) => Err(Refused {
            place: place_of(root, target).unwrap_or_default(),
            reason: format!("the `$ref` `{target}` leads to nothing within the schema; put what it means into `$defs`"),
        }),
    }
}

/// Where a reference to this target stands, as a JSON pointer.
fn place_of(node: &Node, target: &str) -> Option<String> {
    match node {
        Node::Object(members) => members.iter().find_map(|(key, value)| {
            if key == "$ref" && value.as_text().as_deref() == Some(target) {
                return Some("/$ref".to_owned());
            }
            let key = key.replace('~', "~0").replace('/', "~1");
            place_of(value, target).map(|rest| format!("/{key}{rest}"))
        }),
        Node::Array(items) => {
            items.iter().enumerate().find_map(|(n, item)| place_of(item, target).map(|rest| format!("/{n}{rest}")))
        }
        Node::Scalar(_) => None,
    }
}

/// A pointer without the escapes of addresses (`%24` for `$`).
fn decoded(pointer: &str) -> String {
    if !pointer.contains('%') {
        return pointer.to_owned();
    }
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.extend(u8::try_from(high * 16 + low));
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a reference means, if it is a pointer into the schema.
pub(super) fn target<'a>(root: &'a Node, reference: &Node) -> Option<&'a Node> {
    let text = reference.as_text()?;
    let pointer = text.strip_prefix('#')?;
    if pointer.is_empty() { Some(root) } else { root.at(&decoded(pointer)) }
}

/// Puts what references mean in their place, but for recursive ones. Nothing is done if that would make the schema very large.
pub(super) fn inline(root: &mut Node) {
    let mut left = MOST_INLINED;
    let whole = root.clone();
    let mut inlined = whole.clone();
    if inline_in(&mut inlined, &whole, &mut Vec::new(), &mut left).is_none() {
        return;
    }
    let mut refers = false;
    for key in ["$defs", "definitions"] {
        let mut rest = inlined.clone();
        rest.take(key);
        walk(&mut rest, &mut |node, _| refers |= node.get("$ref").is_some());
        if !refers {
            inlined = rest;
        }
    }
    *root = inlined;
}

fn inline_in(node: &mut Node, root: &Node, open: &mut Vec<String>, left: &mut usize) -> Option<()> {
    *left = left.checked_sub(1)?;
    let reference = node.get("$ref").and_then(Node::as_text);
    if let Some(reference) = reference.filter(|reference| !open.contains(reference))
        && let Some(meant) = node.get("$ref").and_then(|reference| target(root, reference))
        && !is_recursive(meant, &reference, root, &mut Vec::new())
    {
        let mut meant = meant.clone();
        open.push(reference);
        inline_in(&mut meant, root, open, left)?;
        open.pop();
        node.take("$ref");
        put(node, meant);
    }
    match node {
        Node::Object(members) => members.iter_mut().try_for_each(|(_, value)| inline_in(value, root, open, left)),
        Node::Array(items) => items.iter_mut().try_for_each(|item| inline_in(item, root, open, left)),
        Node::Scalar(_) => Some(()),
    }
}

/// Adds what a reference means to what stands beside it.
pub(super) fn put(node: &mut Node, meant: Node) {
    let says_twice = meant.members().iter().any(|(key, _)| node.get(key).is_some() && !is_remark(key));
    match (says_twice, meant) {
        (false, Node::Object(members)) => {
            for (key, value) in members {
                if node.get(&key).is_none() {
                    node.set(&key, value);
                }
            }
        }
        (_, meant) => {
            let mut all = node.take("allOf").map(|all| all.items().to_vec()).unwrap_or_default();
            all.push(meant);
            node.set("allOf", Node::Array(all));
        }
    }
}

/// What says nothing of what is accepted: the one beside the reference holds.
pub(super) fn is_remark(key: &str) -> bool {
    matches!(key, "title" | "description" | "$comment" | "default" | "examples" | "deprecated" | "$id" | "$anchor")
}

/// Whether a target refers to itself.
fn is_recursive(node: &Node, to: &str, root: &Node, seen: &mut Vec<String>) -> bool {
    match node {
        Node::Object(members) => members.iter().any(|(key, value)| match value.as_text() {
            Some(reference) if key == "$ref" => {
                if reference == to || reference == "#" {
                    return true;
                }
                if seen.contains(&reference) {
                    return false;
                }
                let meant = target(root, value);
                seen.push(reference);
                meant.is_some_and(|meant| is_recursive(meant, to, root, seen))
            }
            _ => is_recursive(value, to, root, seen),
        }),
        Node::Array(items) => items.iter().any(|item| is_recursive(item, to, root, seen)),
        Node::Scalar(_) => false,
    }
}
