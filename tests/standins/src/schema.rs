//! JSON Schema: a value that fits one, and where one is odd.

use serde_json::{Map, Value, json};

use crate::{list, text};

/// A value that fits the schema, the same for the same seed.
pub(crate) fn instance(schema: &Value, seed: u64) -> Value {
    build(schema, schema, seed, 0)
}

fn build(schema: &Value, root: &Value, seed: u64, depth: usize) -> Value {
    if depth > 12 || schema == &json!(true) {
        return json!("x");
    }
    if let Some(place) = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#')) {
        return build(root.pointer(place).unwrap_or(&Value::Null), root, seed, depth + 1);
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let [first, ..] = list(&schema["enum"]) {
        return first.clone();
    }
    for key in ["anyOf", "oneOf"] {
        if let (Some(first), true) = (list(&schema[key]).first(), schema["properties"].is_null()) {
            return build(first, root, seed, depth + 1);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().map_or("", text),
        kind => text(kind),
    };
    match kind {
        "object" => object(schema, root, seed, depth),
        "" if schema["properties"].is_object() || schema["allOf"].is_array() => object(schema, root, seed, depth),
        "array" => array(schema, root, seed, depth),
        "integer" => number(schema, seed).as_f64().map_or(json!(7), |n| json!(whole(n))),
        "number" => number(schema, seed),
        "boolean" => json!(seed.is_multiple_of(2)),
        "null" => Value::Null,
        _ => string(schema, seed),
    }
}

fn object(schema: &Value, root: &Value, seed: u64, depth: usize) -> Value {
    let mut fields = Map::new();
    let parts = std::iter::once(schema).chain(list(&schema["allOf"]));
    let parts = parts.chain(list(&schema["anyOf"]).first()).chain(list(&schema["oneOf"]).first());
    for part in parts {
        let part = match part["$ref"].as_str().and_then(|r| r.strip_prefix('#')) {
            Some(place) => root.pointer(place).unwrap_or(&Value::Null),
            None => part,
        };
        let required = list(&part["required"]);
        for (n, (name, inner)) in part["properties"].as_object().into_iter().flatten().enumerate() {
            let wanted = required.iter().any(|r| r == name) || (seed >> (n % 8)) & 1 == 0;
            if wanted && (depth < 5 || required.iter().any(|r| r == name)) {
                fields.insert(name.clone(), build(inner, root, if seed == 0 { 0 } else { seed / 3 + 1 }, depth + 1));
            }
        }
        for name in required.iter().map(text) {
            let inner = &schema["properties"][name];
            fields.entry(name).or_insert_with(|| build(inner, root, seed, depth + 1));
        }
    }
    Value::Object(fields)
}

fn array(schema: &Value, root: &Value, seed: u64, depth: usize) -> Value {
    let tuple = [&schema["prefixItems"], &schema["items"]].into_iter().find(|items| items.is_array());
    if let Some(items) = tuple {
        return list(items).iter().map(|item| build(item, root, seed, depth + 1)).collect();
    }
    let least = schema["minItems"].as_u64().unwrap_or(1).clamp(1, 5);
    let most = schema["maxItems"].as_u64().unwrap_or(5);
    let item = if schema["items"].is_object() { build(&schema["items"], root, seed, depth + 1) } else { json!("x") };
    (0..least.min(most)).map(|_| item.clone()).collect()
}

fn number(schema: &Value, seed: u64) -> Value {
    let bound = |key: &str, exclusive: &str, step: f64| {
        let bound = schema[key].as_f64();
        // Before draft 6 it said whether the bound is one of the numbers.
        let bound = if schema[exclusive] == true { bound.map(|n| n + step) } else { bound };
        schema[exclusive].as_f64().map(|n| n + step).or(bound)
    };
    let least = bound("minimum", "exclusiveMinimum", 1.0);
    let most = bound("maximum", "exclusiveMaximum", -1.0);
    match (least, most) {
        (Some(least), _) => json!(least),
        (None, Some(most)) => json!(most),
        // Spelled in several ways, all of which must arrive as they were.
        (None, None) => {
            [json!(7), json!(-0.5), json!(1.5e10), json!(0)][usize::try_from(seed % 4).unwrap_or(0)].clone()
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the bounds of a test's schema are small")]
fn whole(n: f64) -> i64 {
    n.ceil() as i64
}

fn string(schema: &Value, seed: u64) -> Value {
    let texts = ["Oslo", "", "Größe \"L\"", "a\nb", "\u{1f680}", "{\"a\": 1}"];
    let least = usize::try_from(schema["minLength"].as_u64().unwrap_or(0)).unwrap_or(0);
    let most = usize::try_from(schema["maxLength"].as_u64().unwrap_or(64)).unwrap_or(64);
    let mut said = texts[usize::try_from(seed % 6).unwrap_or(0)].to_owned();
    while said.chars().count() < least {
        said.push('o');
    }
    Value::String(said.chars().take(most).collect())
}

/// Each schema within the schema, itself first, with its place as `properties`, name and so on.
pub(crate) fn walk<'a>(schema: &'a Value, place: &mut Vec<String>, visit: &mut dyn FnMut(&[String], &'a Value)) {
    if !schema.is_object() {
        return;
    }
    visit(place, schema);
    for key in ["properties", "$defs", "definitions", "patternProperties"] {
        for (name, inner) in schema[key].as_object().into_iter().flatten() {
            place.extend([key.to_owned(), name.clone()]);
            walk(inner, place, visit);
            place.truncate(place.len() - 2);
        }
    }
    for key in ["items", "additionalProperties", "not"] {
        place.push(key.to_owned());
        walk(&schema[key], place, visit);
        place.pop();
    }
    for key in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        for (n, inner) in list(&schema[key]).iter().enumerate() {
            place.extend([key.to_owned(), n.to_string()]);
            walk(inner, place, visit);
            place.truncate(place.len() - 2);
        }
    }
}

/// What isn't of the draft 2020-12 but of one before it, with its place.
pub(crate) fn old_draft(schema: &Value) -> Option<String> {
    let mut found = None;
    walk(schema, &mut Vec::new(), &mut |place, schema| {
        let odd = match () {
            () if schema["items"].is_array() => "items",
            () if schema["exclusiveMinimum"].is_boolean() => "exclusiveMinimum",
            () if schema["exclusiveMaximum"].is_boolean() => "exclusiveMaximum",
            () if schema["required"].is_boolean() => "required",
            () if schema["type"].is_object() => "type",
            () => return,
        };
        found.get_or_insert_with(|| [place.join("."), odd.to_owned()].join("."));
    });
    found
}
