//! The official conformance suite: with `mode: off` it can't tell Understudy from the server behind it; what it asks of servers
//! that sample is answered for a client that never says it can; and `understudy call` is a client as it wants one.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use understudy_tests::http::Answer;
use understudy_tests::peers::{Listening, installed, node, node_script};
use understudy_tests::program::{Place, Run, binary, run};
use understudy_tests::relayed::meta;
use understudy_tests::served::{Served, initialize};

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// The suite's reference server of an era, on the TypeScript SDK.
fn script(version: &str) -> String {
    node_script(if version == LEGACY { "conformance_server_legacy.mjs" } else { "conformance_server_modern.mjs" })
}

fn reference(version: &str) -> (Listening, String) {
    let server = Listening::start(&node(), &[&script(version), "--transport", "http"]);
    let url = format!("{}/mcp", server.url);
    (server, url)
}

fn suite(place: &Place, args: &[&str]) -> Run {
    let mut command = Command::new(node());
    command.arg(installed("node/node_modules/.bin/conformance")).args(args).current_dir(place.path());
    run(command, "")
}

/// A check of the suite's that says whether something holds: its scenario, its name, and what came of it.
type Check = (String, String, String);

/// What the suite finds of a server.
fn findings(place: &Place, url: &str, version: &str, folder: &str) -> BTreeSet<Check> {
    let run = suite(place, &["server", "--url", url, "--requirements", version, "-o", folder]);
    // Fails if anything that the revision requires is missing.
    assert!(run.status.success(), "{}{}", run.stdout, run.stderr);
    checks(&place.path().join(folder))
}

fn checks(folder: &Path) -> BTreeSet<Check> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !path.join("checks.json").exists() {
            // Scenarios of a kind have a folder.
            found.append(&mut checks(&path));
            continue;
        }
        // At the end stands the time.
        let scenario = name.get(..name.len() - "-2026-01-01T00-00-00-000Z".len()).unwrap();
        let checks: Value = serde_json::from_slice(&std::fs::read(path.join("checks.json")).unwrap()).unwrap();
        for check in checks.as_array().unwrap() {
            let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
            // What is only noted (that an answer was plain JSON, say) holds either way.
            if ["FAILURE", "WARNING"].contains(&check["status"].as_str().unwrap()) {
                found.insert((scenario.to_owned(), text("id"), text("status")));
            }
        }
        found.insert((scenario.to_owned(), String::new(), "ran".to_owned()));
    }
    found
}

/// The server directly and through Understudy, over HTTP and as a child on stdio.
fn cannot_tell(version: &str) {
    let place = Place::new();
    let (_server, direct) = reference(version);
    let servers = json!({
        "http": { "url": direct },
        // The suite is the one client: what the server says on stdio without naming a request is for it.
        "stdio": { "command": node(), "args": [script(version), "--transport", "stdio"], "clients": "one" }
    });
    let served = Served::open(&place, &json!({ "mcpServers": servers, "sampling": { "mode": "off" } }));
    let expected = findings(&place, &direct, version, "direct");
    assert!(expected.len() > 30, "{expected:#?}");
    for name in ["http", "stdio"] {
        let found = findings(&place, &served.url(name), version, name);
        // On stdio the reference server has no list to change: what depends on it is a warning.
        let counts = |check: &&Check| name == "http" || check.2 != "WARNING";
        let differ: Vec<&Check> = expected.symmetric_difference(&found).filter(counts).collect();
        assert!(differ.is_empty(), "{name}: {differ:#?}");
    }
}

#[test]
fn of_2025_11_25_the_suite_cannot_tell_us_from_the_server() {
    cannot_tell(LEGACY);
}

#[test]
fn of_2026_07_28_the_suite_cannot_tell_us_from_the_server() {
    cannot_tell(MODERN);
}

/// Serves the reference server of an era, on either transport, and answers for its clients.
fn answering(place: &Place, version: &str) -> (Listening, Served) {
    let (server, url) = reference(version);
    let servers = json!({
        "http": { "url": url },
        "stdio": { "command": node(), "args": [script(version), "--transport", "stdio"] }
    });
    (server, Served::start(place, &json!({ "mcpServers": servers, "sampling": "echo" })))
}

/// `tools-call-sampling`
#[test]
fn the_suites_sampling_of_2025_11_25_is_answered_for_a_client_that_never_declares_it() {
    let place = Place::new();
    let (_server, served) = answering(&place, LEGACY);
    for name in ["http", "stdio"] {
        let mut session = served.session_at(&format!("/{name}/mcp"), "", "");
        let answer = session.post(&initialize(LEGACY));
        answer.header("mcp-session-id").clone_into(&mut session.id);
        LEGACY.clone_into(&mut session.version);
        assert_eq!(result(answer, 0)["protocolVersion"], LEGACY);
        session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        let params = json!({ "name": "test_sampling", "arguments": { "prompt": "Test prompt for sampling" } });
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let result = result(session.post(&call), 1);
        assert_eq!(result["content"][0]["text"], "LLM response: Test prompt for sampling", "{name}: {result}");
    }
}

/// The answer to a request, plain or on a stream.
fn result(mut answer: Answer, id: u64) -> Value {
    assert_eq!(answer.status, 200);
    let message = if answer.header("content-type") == "application/json" {
        answer.json()
    } else {
        loop {
            let message = answer.hear().message();
            if message["id"] == id && message.get("method").is_none() {
                break message;
            }
        }
    };
    assert!(message["result"].is_object(), "{message}");
    message["result"].clone()
}

/// `input-required-result-basic-sampling` and `input-required-result-multiple-input-requests`
#[test]
fn the_suites_sampling_of_2026_07_28_is_answered_for_a_client_that_never_declares_it() {
    let place = Place::new();
    let (_server, served) = answering(&place, MODERN);
    for name in ["http", "stdio"] {
        let call = |id: u64, tool: &str, capabilities: Value, more: Value| {
            let mut params = json!({ "name": tool, "arguments": {}, "_meta": meta(&capabilities) });
            params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
            let headers = [("mcp-protocol-version", MODERN), ("mcp-method", "tools/call"), ("mcp-name", tool)];
            result(served.send("POST", &format!("/{name}/mcp"), &headers, &call.to_string()), id)
        };
        let basic = call(1, "test_input_required_result_sampling", json!({}), json!({}));
        assert_eq!(basic["resultType"], "complete", "{name}: {basic}");
        assert!(basic["content"][0]["text"].as_str().unwrap().contains("What is the capital of France?"), "{basic}");

        let others = json!({ "elicitation": { "form": {} }, "roots": {} });
        let tool = "test_input_required_result_multiple_inputs";
        let left = call(2, tool, others.clone(), json!({}));
        assert_eq!(left["resultType"], "input_required", "{name}: {left}");
        let keys: Vec<&String> = left["inputRequests"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["user_name", "client_roots"], "{name}");
        let responses = json!({
            "user_name": { "action": "accept", "content": { "name": "Ada" } },
            "client_roots": { "roots": [{ "uri": "file:///a", "name": "a" }] }
        });
        let again = json!({ "inputResponses": responses, "requestState": left["requestState"] });
        let complete = call(3, tool, others, again);
        assert_eq!(complete["resultType"], "complete", "{name}: {complete}");
    }
}

/// Runs one of the suite's scenarios for clients. `$understudy` is the program, `$1` the URL of the suite's server.
fn as_a_client(scenario: &str, version: &str, commands: &str) {
    let place = Place::new();
    let understudy = binary("understudy");
    let script = format!("set -e\nunderstudy={}\n{commands}\n", understudy.display());
    let script = place.file("client.sh", script);
    let command = format!("sh {}", script.display());
    let args = ["client", "--scenario", scenario, "--spec-version", version, "--command", &command, "-o", "out"];
    let run = suite(&place, &args);
    assert!(run.status.success(), "{scenario} ({version}): {}{}", run.stdout, run.stderr);
    let found = checks(&place.path().join("out"));
    assert!(!found.is_empty(), "{scenario} ({version}): nothing was checked");
    let failed = found.iter().filter(|(_, _, status)| status == "FAILURE" || status == "WARNING");
    assert_eq!(failed.count(), 0, "{scenario} ({version}): {}{}", run.stdout, run.stderr);
}

// In the client's era: by default a server is asked for a session first.
const LIST: &str = r#""$understudy" tools --url "$1" --plugin echo --era client"#;
const ADD: &str = r#""$understudy" call add_numbers a:=2 b:=3 --url "$1" --plugin echo --era client"#;

#[test]
fn as_a_client_of_2025_11_25_it_does_what_the_suite_wants() {
    as_a_client("initialize", LEGACY, LIST);
    as_a_client("tools_call", LEGACY, ADD);
    as_a_client("sse-retry", LEGACY, r#""$understudy" call test_reconnection --url "$1" --plugin echo"#);
}

#[test]
fn as_a_client_of_2026_07_28_it_does_what_the_suite_wants() {
    as_a_client("tools_call", MODERN, ADD);
    as_a_client("request-metadata", MODERN, LIST);
    as_a_client("json-schema-ref-no-deref", MODERN, LIST);
    // The tools whose headers break the rules are the ones not to call.
    let valid = r#""$understudy" call valid_tool region=us-west1 --url "$1" --plugin echo --era client"#;
    as_a_client("http-invalid-tool-headers", MODERN, valid);
    let calls = r#"
node -e 'for (const call of JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT).toolCalls)
           console.log(call.name + "\t" + JSON.stringify(call.arguments));' |
while IFS="$(printf '\t')" read -r tool arguments; do
  "$understudy" call "$tool" "$arguments" --url "$1" --plugin echo --era client </dev/null
done"#;
    as_a_client("http-custom-headers", MODERN, &calls.replace("node -e", &format!("{} -e", node())));
}

/// Logs in, asks, and does what the error says where that isn't enough. The browser says yes to everything.
const LOG_IN_AND_ASK: &str = r#"
folder=$(dirname "$0")
cat >"$folder/xdg-open" <<'BROWSER'
#!/bin/sh
exec node -e 'fetch(process.argv[1])' "$1"
BROWSER
chmod +x "$folder/xdg-open"
PATH=$folder:$PATH
export XDG_CONFIG_HOME="$folder"
client=$(node -e 'const { client_id } = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");
                  if (client_id) console.log("--client-id", client_id, "--client-secret", "SECRET");')
SECRET=$(node -e 'console.log(JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}").client_secret ?? "");')
export SECRET
log_in() { "$understudy" auth --url "$url" $client "$@" >&2; }
ask() {
  "$understudy" tools --url "$url" --plugin echo </dev/null >&2 &&
    "$understudy" call test-tool --url "$url" --plugin echo </dev/null >&2
}
url=$1
log_in || exit $?
for again in 1 2; do
  ask 2>"$folder/said" && exit 0
  cat "$folder/said" >&2
  grep --quiet 'understudy auth' "$folder/said" || exit 0
  log_in $(sed -n 's/.*`understudy auth\(.*\)`.*/\1/p' "$folder/said" | tail -n 1)
done"#;

#[test]
fn a_login_is_made_as_the_suite_wants() {
    let modern = [
        "metadata-default",
        "metadata-var1",
        "metadata-var2",
        "metadata-var3",
        "scope-from-www-authenticate",
        "scope-from-scopes-supported",
        "scope-omitted-when-undefined",
        "scope-step-up",
        "scope-retry-limit",
        "token-endpoint-auth-basic",
        "token-endpoint-auth-post",
        "token-endpoint-auth-none",
        "pre-registration",
        "offline-access-scope",
        "offline-access-not-supported",
        "authorization-server-migration",
        "iss-supported",
        "iss-not-advertised",
    ];
    // Those that are to be refused.
    let refused = [
        "resource-mismatch",
        "iss-supported-missing",
        "iss-wrong-issuer",
        "iss-unexpected",
        "iss-normalized",
        "metadata-issuer-mismatch",
    ];
    let commands = LOG_IN_AND_ASK.replace("node -e", &format!("{} -e", node()));
    for scenario in modern.iter().chain(&refused) {
        as_a_client(&format!("auth/{scenario}"), MODERN, &commands);
    }
    for scenario in ["metadata-default", "metadata-var3", "scope-step-up", "pre-registration"] {
        as_a_client(&format!("auth/{scenario}"), LEGACY, &commands);
    }
}

/// The scenarios that want more than calls of tools, and the others too: another's client, with the proxy in between.
#[test]
fn between_anothers_client_and_the_suites_server_the_proxy_does_what_the_suite_wants() {
    let client = node_script("conformance_client.mjs");
    let client = format!(r#"{} {client} "$understudy" proxy --plugin echo --era client --url "$1""#, node());
    let legacy = ["initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry"];
    let modern = [
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ];
    for (scenarios, version) in [(&legacy[..], LEGACY), (&modern[..], MODERN)] {
        for scenario in scenarios {
            as_a_client(scenario, version, &client);
        }
    }
}
