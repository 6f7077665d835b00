//! The protocol's own JSON Schemas (`tests/schema`).

use serde_json::{Value, json};

use crate::peers::workspace;

/// Checks against a definition of a revision's schema.
#[must_use]
pub fn validator(revision: &str, definition: &str) -> jsonschema::Validator {
    let path = workspace().join("tests/schema").join(format!("{revision}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut schema: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let place = if schema.get("$defs").is_some() { "$defs" } else { "definitions" };
    assert!(schema.pointer(&format!("/{place}/{definition}")).is_some(), "{revision} has no {definition}");
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$ref".to_owned(), json!(format!("#/{place}/{definition}")));
    }
    jsonschema::validator_for(&schema).unwrap_or_else(|e| panic!("{revision}: {e}"))
}
