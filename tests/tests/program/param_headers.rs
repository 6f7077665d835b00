//! Tools' arguments in HTTP headers (`x-mcp-header`, SEP-2243): what our client sends is what our front takes, case by case.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use serde_json::{Value, json};
use understudy_tests::program::Place;
use understudy_tests::provider::respond;
use understudy_tests::remote::{answer, server};
use understudy_tests::served::Served;

const VERSION: &str = "2026-07-28";

/// What a call of a tool comes to, whose argument `v` has the header `Mcp-Param-V`.
#[derive(Debug, Clone, Copy)]
enum Header {
    /// The client sends this, and the front requires it.
    Says(&'static str),
    /// The client sends none. The front requires none, and takes none that says something else.
    None,
    /// The schema breaks the rules: the client doesn't call the tool, and the front enforces nothing.
    Invalid,
}

/// The cases: the schema of the argument `v`, its value as JSON, and the header.
const CASES: [(&str, &str, Header); 20] = [
    (r#"{"type":"string"}"#, r#""us-west1""#, Header::Says("us-west1")),
    (r#"{"type":"string"}"#, r#""süd""#, Header::Says("=?base64?c8O8ZA==?=")),
    (r#"{"type":"string"}"#, r#"" padded ""#, Header::Says("=?base64?IHBhZGRlZCA=?=")),
    (r#"{"type":"string"}"#, r#""""#, Header::Says("=?base64??=")),
    (r#"{"type":"string"}"#, r#""=?base64?eA==?=""#, Header::Says("=?base64?PT9iYXNlNjQ/ZUE9PT89?=")),
    (r#"{"type":"string"}"#, "null", Header::None),
    (r#"{"type":"integer"}"#, "-7", Header::Says("-7")),
    (r#"{"type":"integer"}"#, "42.0", Header::Says("42")),
    (r#"{"type":"integer"}"#, "9007199254740991", Header::Says("9007199254740991")),
    // Beyond what all readers of JSON agree on.
    (r#"{"type":"integer"}"#, "9007199254740993", Header::None),
    (r#"{"type":"integer"}"#, "-9007199254740993", Header::None),
    (r#"{"type":"boolean"}"#, "true", Header::Says("true")),
    // Values of another type than the schema's.
    (r#"{"type":"string"}"#, r#"["x"]"#, Header::None),
    (r#"{"type":"string"}"#, r#"{"b":1}"#, Header::None),
    (r#"{"type":"string"}"#, "1.5", Header::Says("1.5")),
    // Annotations that may not be.
    (r#"{"type":"object"}"#, r#"{"x":1}"#, Header::Invalid),
    (r#"{"type":"array"}"#, r#"["x"]"#, Header::Invalid),
    (r#"{"type":"number"}"#, "1.5", Header::Invalid),
    ("{}", r#""x""#, Header::Invalid),
    (r#"{"type":"array","items":{"type":"string","x-mcp-header":"W"}}"#, r#"["x"]"#, Header::Invalid),
];

/// A stateless server on stdio, which answers with the files of its folder.
const SERVER: &str = r#"
while IFS= read -r line; do
    [[ $line =~ \"id\":([^,}]+) ]] || continue
    id=${BASH_REMATCH[1]}
    case $line in
        *'"server/discover"'*) result=$(<discovered.json) ;;
        *'"tools/list"'*) result=$(<tools.json) ;;
        *) result=$(<done.json) ;;
    esac
    printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
"#;

/// A tool for each case.
fn tools() -> Value {
    let tool = |(n, (schema, _, _)): (usize, &(&str, &str, Header))| {
        let mut schema: Value = serde_json::from_str(schema).unwrap_or_else(|e| panic!("{schema}: {e}"));
        schema["x-mcp-header"] = json!("V");
        json!({ "name": format!("t{n}"), "inputSchema": { "type": "object", "properties": { "v": schema } } })
    };
    let tools: Vec<Value> = CASES.iter().enumerate().map(tool).collect();
    json!({ "resultType": "complete", "tools": tools, "ttlMs": 0, "cacheScope": "private" })
}

fn discovered() -> Value {
    json!({ "resultType": "complete", "supportedVersions": [VERSION], "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "private" })
}

fn done(text: &str) -> Value {
    json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }] })
}

/// `understudy call` of a case's tool; what it wrote, or its error.
fn call(url: &str, n: usize, value: &str) -> Result<String, String> {
    let run = Place::new().run(["call", "--url", url, &format!("t{n}"), &format!("{{\"v\":{value}}}")]);
    if run.code() == 0 { Ok(run.stdout.trim().to_owned()) } else { Err(run.stderr) }
}

/// `understudy serve` in front of a stateless server on stdio that has the tools.
fn serve(place: &Place) -> Served {
    let _ = place.file("tools.json", tools().to_string());
    let _ = place.file("discovered.json", discovered().to_string());
    let _ = place.file("done.json", done("done").to_string());
    // In a file, since `$` in the config is for its own variables.
    let script = place.file("server.sh", SERVER);
    let server = json!({ "command": "bash", "args": [script], "cwd": place.path() });
    Served::open(place, &json!({ "mcpServers": { "s": server } }))
}

#[test]
fn a_client_sends_the_headers_of_each_case_and_calls_no_tool_that_breaks_the_rules() {
    let server = server(|asked, stream| {
        match asked.what() {
            "server/discover" => answer(stream, "200 OK", "", &asked.result(&discovered())),
            "tools/list" => answer(stream, "200 OK", "", &asked.result(&tools())),
            "tools/call" => answer(stream, "200 OK", "", &asked.result(&done(asked.header("mcp-param-v")))),
            // A session has no such headers, and would hide that they are missing.
            "initialize" => respond(stream, "400 Bad Request", "", b"this server is stateless"),
            _ => return false,
        }
        true
    });
    for (n, (schema, value, header)) in CASES.iter().enumerate() {
        let sent = call(&server.url, n, value);
        match header {
            Header::Says(text) => assert_eq!(sent.as_deref(), Ok(*text), "{schema} {value}"),
            Header::None => assert_eq!(sent.as_deref(), Ok(""), "{schema} {value}"),
            Header::Invalid => {
                let error = sent.err().unwrap_or_default();
                assert!(error.contains("breaks the protocol's rules"), "{schema} {value}: {error}");
            }
        }
    }
}

#[test]
fn a_call_through_serve_is_never_refused_for_what_its_own_client_sends() {
    let place = Place::new();
    let served = serve(&place);
    for (n, (schema, value, header)) in CASES.iter().enumerate() {
        let answered = call(&served.url("s"), n, value);
        match header {
            Header::Says(_) | Header::None => assert_eq!(answered.as_deref(), Ok("done"), "{schema} {value}"),
            Header::Invalid => assert!(answered.is_err(), "{schema} {value}: {answered:?}"),
        }
    }
}

#[test]
fn a_front_takes_what_each_case_says_and_nothing_else() {
    let place = Place::new();
    let served = serve(&place);
    let post = |method: &str, params: Value, header: Option<&str>| {
        let mut params = params;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let name = params["name"].as_str().unwrap_or_default().to_owned();
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut headers = vec![("mcp-protocol-version", VERSION), ("mcp-method", method), ("mcp-name", &name)];
        headers.extend(header.map(|said| ("mcp-param-v", said)));
        let answer = served.send("POST", "/s/mcp", &headers, &message.to_string());
        (answer.status, answer.json()["error"]["code"].as_i64())
    };
    let (taken, mismatch) = ((200, None), (400, Some(-32020)));
    assert_eq!(post("tools/list", json!({}), None), taken);
    for (n, (schema, value, header)) in CASES.iter().enumerate() {
        let argument: Value = serde_json::from_str(value).unwrap_or_else(|e| panic!("{value}: {e}"));
        let call = |said: Option<&str>| {
            post("tools/call", json!({ "name": format!("t{n}"), "arguments": { "v": argument } }), said)
        };
        let (right, without, wrong) = match header {
            Header::Says(text) => (Some(*text), mismatch, mismatch),
            Header::None => (None, taken, mismatch),
            Header::Invalid => (None, taken, taken),
        };
        assert_eq!(call(right), taken, "{schema} {value} {right:?}");
        assert_eq!(call(None), without, "{schema} {value} without the header");
        assert_eq!(call(Some("something else")), wrong, "{schema} {value} with another header");
    }
}
