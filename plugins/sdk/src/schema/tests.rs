use super::*;
use crate::blocks::NO_EXTRAS;

const STRICT: Rule = Rule {
    needs_properties: true,
    needs_items: true,
    is_plain_at_top: true,
    is_modern: true,
    inlines: false,
    properties: Some(names::Rule { begins: |_| true, holds: is_fine, longest: 64 }),
};

fn is_fine(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn tool(schema: &str) -> Tool {
    Tool {
        name: "t".to_owned(),
        title: None,
        description: None,
        input_schema: schema.to_owned(),
        output_schema: None,
        extras: NO_EXTRAS,
    }
}

fn fitted(schema: &str, rule: &Rule) -> (String, Shapes) {
    let tool = tool(schema);
    let fitted = fit([&tool], rule).unwrap();
    (fitted.schemas[0].get().to_owned(), fitted.shapes)
}

fn strict(schema: &str) -> String {
    fitted(schema, &STRICT).0
}

#[test]
fn a_schema_that_fits_stays_as_it_is_spelt() {
    let schema = r#"{ "type" : "object", "properties": {"n": {"type": "number", "maximum": 1e400}}, "required": [] }"#;
    assert_eq!(strict(schema), schema);
    let odd = r#"{"type": "object", "anyOf": [{"required": ["$a"]}], "items": [true]}"#;
    assert_eq!(fitted(odd, &Rule::ANY), (odd.to_owned(), Shapes::default()));
}

#[test]
fn properties_and_items_are_added_where_they_lack() {
    assert_eq!(strict(r#"{"type":"object"}"#), r#"{"type":"object","properties":{}}"#);
    assert_eq!(strict("{}"), r#"{"type":"object","properties":{}}"#);
    assert_eq!(
        strict(r#"{"type":"object","properties":{"a":{"type":["array","null"]},"o":{"type":"object"}}}"#),
        r#"{"type":"object","properties":{"a":{"type":["array","null"],"items":{}},"o":{"type":"object","properties":{}}}}"#
    );
    // A property that is called like a keyword, and values that look like schemas.
    let fine = r#"{"type":"object","properties":{"type":{"type":"string"},"items":{"const":{"type":"array"}}}}"#;
    assert_eq!(strict(fine), fine);
}

#[test]
fn forms_of_older_drafts_are_said_as_the_newest_says_them() {
    for (old, new) in [
        (r#"{"items":[{"type":"string"},true]}"#, r#"{"prefixItems":[{"type":"string"},{}]}"#),
        (r#"{"items":[{}],"additionalItems":false}"#, r#"{"prefixItems":[{}],"items":false}"#),
        (r#"{"items":{},"additionalItems":false}"#, r#"{"items":{}}"#),
        (r#"{"minimum":1.50,"exclusiveMinimum":true}"#, r#"{"exclusiveMinimum":1.50}"#),
        (r#"{"maximum":5,"exclusiveMaximum":false}"#, r#"{"maximum":5}"#),
        (r#"{"exclusiveMinimum":3}"#, r#"{"exclusiveMinimum":3}"#),
        (r#"{"id":"http://x/y","type":"string"}"#, r#"{"type":"string"}"#),
        (
            r#"{"dependencies":{"a":["b"],"c":{"type":"object","properties":{}}}}"#,
            r#"{"dependentRequired":{"a":["b"]},"dependentSchemas":{"c":{"type":"object","properties":{}}}}"#,
        ),
        (r#"{"required":null,"default":null}"#, r#"{"default":null}"#),
    ] {
        let of = |schema: &str| format!(r#"{{"type":"object","properties":{{"p":{schema}}}}}"#);
        assert_eq!(strict(&of(old)), of(new));
    }
    assert_eq!(
        strict(
            r##"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"$ref":"#/definitions/A"}},"definitions":{"A":{"type":"string"}}}"##
        ),
        r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"string"}}}"##
    );
    assert_eq!(
        strict(
            r#"{"type":"object","properties":{"a":{"type":"string","required":true},"b":{"required":false}},"required":["c"]}"#
        ),
        r#"{"type":"object","properties":{"a":{"type":"string"},"b":{}},"required":["c","a"]}"#
    );
}

#[test]
fn combinators_at_the_top_are_merged_where_that_says_the_same() {
    assert_eq!(
        strict(
            r##"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"allOf":[{"properties":{"b":{"type":"number"}},"required":["b","a"]},{"$ref":"#/$defs/C"}],"$defs":{"C":{"type":"object","properties":{"a":{"minLength":1}}}}}"##
        ),
        r#"{"type":"object","properties":{"a":{"allOf":[{"type":"string"},{"minLength":1}]},"b":{"type":"number"}},"required":["a","b"],"$defs":{"C":{"type":"object","properties":{"a":{"minLength":1}}}}}"#
    );
    assert_eq!(
        strict(r##"{"$ref":"#/$defs/A","$defs":{"A":{"type":"object","properties":{"a":{}}}}}"##),
        r#"{"$defs":{"A":{"type":"object","properties":{"a":{}}}},"type":"object","properties":{"a":{}}}"#
    );
}

#[test]
fn other_combinators_are_those_of_one_property_and_arguments_go_there_and_back() {
    let (schema, shapes) = fitted(
        r##"{"type":"object","properties":{"a":{"type":"string"},"arguments":{"$ref":"#"},"d":{"$ref":"#/$defs/D"}},"anyOf":[{"required":["a"]},{"required":["b"]}],"$defs":{"D":{"type":"string"}}}"##,
        &STRICT,
    );
    assert_eq!(
        schema,
        r##"{"type":"object","$defs":{"D":{"type":"string"}},"properties":{"arguments_2":{"type":"object","properties":{"a":{"type":"string"},"arguments":{"$ref":"#/properties/arguments_2"},"d":{"$ref":"#/$defs/D"}},"anyOf":[{"required":["a"]},{"required":["b"]}]}},"required":["arguments_2"],"additionalProperties":false}"##
    );
    assert_eq!(shapes.on_the_wire("t", r#"{"a":1.50}"#), r#"{"arguments_2":{"a":1.50}}"#);
    assert_eq!(shapes.in_mcp("t", r#"{"arguments_2":{"a":1.50}}"#.to_owned()), r#"{"a":1.50}"#);
    assert_eq!(shapes.in_mcp("t", r#"{"a":1.50}"#.to_owned()), r#"{"a":1.50}"#);
    assert_eq!(shapes.on_the_wire("another", "{ }"), "{ }");
    for kept_apart in [
        r#"{"type":"object","oneOf":[{"required":["a"]},{"required":["b"]}]}"#,
        r#"{"type":"object","not":{"required":["a"]}}"#,
        r#"{"type":"object","properties":{"a":{}},"additionalProperties":false,"allOf":[{"properties":{"b":{}}}]}"#,
        r#"{"type":"object","allOf":[{"properties":{"b":{}},"additionalProperties":false}]}"#,
    ] {
        assert!(strict(kept_apart).contains(r#""required":["arguments"]"#), "{kept_apart}");
    }
}

#[test]
fn names_of_properties_go_there_and_back_wherever_they_stand() {
    let (schema, shapes) = fitted(
        r#"{"type":"object","properties":{"$filter":{"type":"array","items":{"type":"object","properties":{"@id":{},"_id":{}},"required":["@id"]}},"ok":{"default":{"$filter":1}}},"required":["$filter","ok"]}"#,
        &STRICT,
    );
    assert_eq!(
        schema,
        r#"{"type":"object","properties":{"_filter":{"type":"array","items":{"type":"object","properties":{"_id_2":{},"_id":{}},"required":["_id_2"]}},"ok":{"default":{"_filter":1}}},"required":["_filter","ok"]}"#
    );
    let mcp = r#"{"$filter":[{"@id":1,"_id":2}],"ok":"$filter"}"#;
    let wire = shapes.on_the_wire("t", mcp).into_owned();
    assert_eq!(wire, r#"{"_filter":[{"_id_2":1,"_id":2}],"ok":"$filter"}"#);
    assert_eq!(shapes.in_mcp("t", wire), mcp);
}

#[test]
fn references_stay_or_are_put_in_place() {
    let inlining = Rule { inlines: true, ..Rule::ANY };
    let schema = r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A","description":"x"},"t":{"$ref":"#/$defs/T"}},"$defs":{"A":{"type":"array","items":{"$ref":"#/$defs/B"}},"B":{"type":"string"},"T":{"properties":{"t":{"$ref":"#/$defs/T"}}}}}"##;
    assert_eq!(strict(schema), schema);
    let (inlined, _) = fitted(schema, &inlining);
    assert!(inlined.contains(r#""a":{"description":"x","type":"array","items":{"type":"string"}}"#), "{inlined}");
    assert!(inlined.contains(r##""t":{"$ref":"#/$defs/T"}"##), "{inlined}");
    let (gone, _) = fitted(
        r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"string"}}}"##,
        &inlining,
    );
    assert_eq!(gone, r#"{"type":"object","properties":{"a":{"type":"string"}}}"#);
    // A few that would make millions.
    let many: Vec<String> = (0..30)
        .map(|n| {
            format!(
                r##""D{n}":{{"properties":{{"a":{{"$ref":"#/$defs/D{m}"}},"b":{{"$ref":"#/$defs/D{m}"}}}}}}"##,
                m = n + 1
            )
        })
        .collect();
    let many = format!(
        r##"{{"type":"object","properties":{{"d":{{"$ref":"#/$defs/D0"}}}},"$defs":{{{},"D30":{{}}}}}}"##,
        many.join(",")
    );
    assert_eq!(fitted(&many, &inlining).0, many);
}

#[test]
fn what_cannot_be_said_is_unsupported_with_its_place() {
    let refused = |schema: &str| match fit([&tool(schema)], &STRICT) {
        Err(Error::Unsupported(failure)) => failure.message,
        other => panic!("{other:?}"),
    };
    for target in ["https://example.com/a.json", "#/$defs/Missing", "#there", "Address"] {
        assert_eq!(
            refused(&format!(r#"{{"type":"object","properties":{{"a/b":{{"items":{{"$ref":"{target}"}}}}}}}}"#)),
            format!(
                "the tool `t`: its `inputSchema` at `#/properties/a~1b/items/$ref`: the `$ref` `{target}` leads to nothing within the schema; put what it means into `$defs`"
            )
        );
    }
    let deep = format!("{}{}{}", r#"{"items":"#.repeat(200), "{}", "}".repeat(200));
    assert!(refused(&deep).ends_with("it is more than 100 levels deep"));
    // By the schema's own name, or another's within it.
    for fine in [
        r#"{"$id":"http://x/s","type":"object","properties":{"a":{"$ref":"http://x/s#/properties/b"},"b":{}}}"#,
        r##"{"type":"object","properties":{"a":{"$ref":"#B"},"b":{"$anchor":"B"}}}"##,
        r##"{"type":"object","properties":{"a":{"$ref":"#/properties/b%24"},"b$":{}}}"##,
    ] {
        assert!(fit([&tool(fine)], &STRICT).is_ok(), "{fine}");
    }
}
