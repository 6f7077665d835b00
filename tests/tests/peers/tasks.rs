//! Sampling requests that are answered as tasks (revision 2025-11-25), where the config says that they may be.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use serde_json::{Value, json};
use understudy::config::Sampling;
use understudy_tests::peers::server_everything;
use understudy_tests::program::Place;
use understudy_tests::relayed::Relayed;
use understudy_tests::schema::validator;
use understudy_tests::session::sampling;

const VERSION: &str = "2025-11-25";

/// A relay that has told its server of tasks, or not; the capabilities that the server was told.
async fn session(declare_tasks: bool, capabilities: &Value) -> (Relayed, Value) {
    let rule = Sampling { declare_tasks, ..Sampling::by(vec!["echo".to_owned()]) };
    let mut relayed = Relayed::by(rule, None).await;
    let params = json!({ "protocolVersion": VERSION, "capabilities": capabilities, "clientInfo": { "name": "t", "version": "0" } });
    relayed.client.say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })).await;
    let told = relayed.server.hear().await;
    (relayed, told["params"]["capabilities"].clone())
}

async fn ask(relayed: &mut Relayed, id: u64, method: &str, params: &Value) -> Value {
    relayed.server.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
    let answer = relayed.server.hear().await;
    assert_eq!(answer["id"], id, "{answer}");
    answer
}

fn as_task(text: &str, ttl: &Value) -> Value {
    let mut params = sampling(1, text)["params"].clone();
    params["task"] = json!({ "ttl": ttl });
    params
}

#[tokio::test]
async fn a_request_that_wants_to_be_a_task_is_one() {
    let check = |definition, result: &Value| {
        let errors: Vec<String> = validator(VERSION, definition).iter_errors(result).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}: {result}");
    };
    let (mut relayed, told) = session(true, &json!({ "roots": {} })).await;
    assert_eq!(told["tasks"]["requests"]["sampling"]["createMessage"], json!({}));
    let begun = ask(&mut relayed, 1, "sampling/createMessage", &as_task("hello", &json!(60_000))).await;
    check("CreateTaskResult", &begun["result"]);
    let task = &begun["result"]["task"];
    assert_eq!(task["ttl"], 60_000);
    let id = json!({ "taskId": task["taskId"] });
    let result = ask(&mut relayed, 2, "tasks/result", &id).await;
    check("CreateMessageResult", &result["result"]);
    assert_eq!(result["result"]["content"]["text"], "hello");
    assert_eq!(result["result"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], task["taskId"]);
    let got = ask(&mut relayed, 3, "tasks/get", &id).await;
    check("GetTaskResult", &got["result"]);
    assert_eq!(got["result"]["status"], "completed");
    let listed = ask(&mut relayed, 4, "tasks/list", &json!({})).await;
    check("ListTasksResult", &listed["result"]);
    assert_eq!(listed["result"]["tasks"].as_array().map(Vec::len), Some(1));
    assert_eq!(ask(&mut relayed, 5, "tasks/cancel", &id).await["error"]["code"], -32602);
    assert_eq!(ask(&mut relayed, 6, "tasks/get", &json!({ "taskId": "x" })).await["error"]["code"], -32602);
    let wrong = ask(&mut relayed, 7, "sampling/createMessage", &as_task("hello", &json!("soon"))).await;
    assert_eq!(wrong["error"]["code"], -32602);
    // Without `task`, the answer is the answer.
    let plain = ask(&mut relayed, 8, "sampling/createMessage", &sampling(8, "plain")["params"]).await;
    assert_eq!(plain["result"]["content"]["text"], "plain");
}

#[tokio::test]
async fn a_client_that_samples_is_not_asked_for_a_task_it_has_never_heard_of() {
    let (mut relayed, _) = session(true, &json!({ "sampling": {} })).await;
    let begun = ask(&mut relayed, 1, "sampling/createMessage", &as_task("hello", &json!(null))).await;
    assert!(begun["result"]["task"]["taskId"].is_string(), "{begun}");
    let plain = sampling(2, "for the client");
    relayed.server.say(&plain).await;
    assert_eq!(relayed.client.hear().await, plain);
}

#[tokio::test]
async fn where_tasks_are_not_declared_the_wish_is_ignored() {
    for (declare, capabilities) in [(false, json!({})), (true, json!({ "tasks": { "list": {} } }))] {
        let (mut relayed, told) = session(declare, &capabilities).await;
        assert_eq!(told.get("tasks"), capabilities.get("tasks"));
        let answer = ask(&mut relayed, 1, "sampling/createMessage", &as_task("hello", &json!(1))).await;
        assert_eq!(answer["result"]["content"]["text"], "hello");
        let request = json!({ "jsonrpc": "2.0", "id": 2, "method": "tasks/list" });
        relayed.server.say(&request).await;
        assert_eq!(relayed.client.hear().await, request);
    }
}

#[test]
fn server_everything_has_its_request_answered_as_a_task() {
    let place = Place::new();
    let server = server_everything();
    let server =
        json!({ "command": server[0], "args": server[1..], "sampling": { "use": "echo", "declareTasks": true } });
    let config = place.file("understudy.json", json!({ "mcpServers": { "everything": server } }).to_string());
    let config = config.to_string_lossy();
    let call =
        ["call", "--config", &config, "--server", "everything", "trigger-sampling-request-async", "prompt=hello"];
    let run = place.run(call).ok();
    assert!(run.stdout.contains("[COMPLETED]") && run.stdout.contains("context: hello"), "{}", run.stdout);
}
