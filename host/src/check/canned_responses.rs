//! Canned responses of a provider, or of a proxy in front of it, in no provider's format.

use crate::wit::understudy::plugin::types as wit;

/// An answer, and what it may come to.
pub(super) struct Canned {
    pub(super) name: &'static str,
    pub(super) response: wit::HttpResponse,
    pub(super) comes_to: ComesTo,
}

/// What may be made of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ComesTo {
    /// A `provider` error of one of these kinds.
    Refusal(&'static [&'static str]),
    /// Any error.
    AnyError,
    /// An error that says that this isn't the format.
    Malformed,
}

const UNAUTHORIZED: ComesTo = ComesTo::Refusal(&["unauthorized", "forbidden"]);
const TOO_MANY: ComesTo = ComesTo::Refusal(&["rate-limited", "quota-exceeded", "overloaded"]);
const BROKEN: ComesTo = ComesTo::Refusal(&["internal", "unavailable", "overloaded"]);
const AWAY: ComesTo = ComesTo::Refusal(&["unavailable", "overloaded"]);

const ERROR: &str = r#"{"error":{"message":"the provider said no","type":"some_error","code":"some_code"}}"#;
const HTML: &str = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
const WRONG_TYPES: &str =
    r#"{"id":1,"model":[],"choices":17,"content":17,"candidates":17,"message":17,"output":17,"usage":"many"}"#;
const WRONG_INSIDE: &str =
    r#"{"choices":[17],"content":[17],"candidates":[17],"message":{"content":17},"output":[17],"done":true}"#;
const TRUNCATED: &str = r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assis"#;

/// All of them.
pub(super) fn all() -> Vec<Canned> {
    let deep = "[".repeat(20_000);
    let deep_object = format!("{}1{}", r#"{"content":"#.repeat(5_000), "}".repeat(5_000));
    let bytes: &[u8] = &[0xff, 0xfe, 0x00, 0x80, b'{', b'}'];
    let refusals = [
        ("400 with a JSON error", 400, ERROR, ComesTo::AnyError),
        ("401 with a JSON error", 401, ERROR, UNAUTHORIZED),
        ("401 without a body", 401, "", UNAUTHORIZED),
        ("403 with a JSON error", 403, ERROR, ComesTo::AnyError),
        ("404 with HTML", 404, HTML, ComesTo::AnyError),
        ("429 with a JSON error", 429, ERROR, TOO_MANY),
        ("429 without a body", 429, "", TOO_MANY),
        ("500 with a JSON error", 500, ERROR, BROKEN),
        ("500 with HTML", 500, HTML, ComesTo::AnyError),
        ("500 without a body", 500, "", BROKEN),
        ("502 with HTML", 502, HTML, ComesTo::AnyError),
        ("503 without a body", 503, "", AWAY),
        ("a redirect", 302, "", ComesTo::AnyError),
        ("429 with wrong types", 429, r#"{"error":[17],"message":{}}"#, ComesTo::AnyError),
    ];
    let malformed: [(&str, &[u8]); 12] = [
        ("an empty body", b""),
        ("half a JSON text", TRUNCATED.as_bytes()),
        ("HTML", HTML.as_bytes()),
        ("an empty object", b"{}"),
        ("`null`", b"null"),
        ("an empty list", b"[]"),
        ("a number", b"17"),
        ("wrong types", WRONG_TYPES.as_bytes()),
        ("wrong types inside", WRONG_INSIDE.as_bytes()),
        ("lists 20,000 deep", deep.as_bytes()),
        ("objects 5,000 deep", deep_object.as_bytes()),
        ("bytes that are no text", bytes),
    ];
    let refusals = refusals.into_iter().map(|(name, status, body, comes_to)| {
        let retry = matches!(status, 429 | 503).then_some(("retry-after", "7"));
        Canned { name, response: response(status, retry, body.as_bytes()), comes_to }
    });
    let malformed = malformed.into_iter().map(|(name, body)| Canned {
        name,
        response: response(200, None, body),
        comes_to: ComesTo::Malformed,
    });
    refusals.chain(malformed).collect()
}

fn response(status: u16, more: Option<(&str, &str)>, body: &[u8]) -> wit::HttpResponse {
    let content_type = if body.starts_with(b"<") { "text/html" } else { "application/json" };
    let headers = std::iter::once(("content-type", content_type)).chain(more);
    let headers = headers.map(|(name, value)| wit::Header { name: name.to_owned(), value: value.to_owned() });
    wit::HttpResponse { status, headers: headers.collect(), body: body.to_vec(), extensions: "{}".to_owned() }
}
