use std::future::{pending, ready};

use super::*;

fn value(answer: Result<String, Failure>) -> Value {
    serde_json::from_str(&answer.unwrap()).unwrap()
}

fn id(begun: Result<String, Failure>) -> String {
    value(begun)["task"]["taskId"].as_str().unwrap().to_owned()
}

async fn of(tasks: &Tasks, method: &str, id: &str) -> Result<String, Failure> {
    tasks.answer(method, json!({ "taskId": id }).to_string().as_bytes()).await
}

#[test]
fn a_request_says_whether_it_wants_to_be_a_task_and_for_how_long() {
    let of = |params: &str| wanted(params.as_bytes()).map(Result::ok);
    assert_eq!(of(r#"{"task":{"ttl":1500}}"#), Some(Some(Duration::from_millis(1500))));
    assert_eq!(of(r#"{"task":{"ttl":1e300}}"#), Some(None));
    assert_eq!(of(r#"{"task":{"ttl":86400000}}"#), Some(Some(LONGEST)));
    assert_eq!(of(r#"{"task":{"ttl":null}}"#), Some(Some(TTL)));
    assert_eq!(of(r#"{"task":{}}"#), Some(Some(TTL)));
    for wrong in [r#"{"task":[]}"#, r#"{"task":1}"#, r#"{"task":{"ttl":"x"}}"#, r#"{"task":{"ttl":-1}}"#] {
        assert_eq!(of(wrong), Some(None), "{wrong}");
    }
    assert_eq!(of(r#"{"messages":["task"]}"#), None);
}

#[tokio::test]
async fn a_task_works_and_then_has_a_result() {
    let tasks = Arc::new(Tasks::default());
    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let work = async move {
        let _ = finished.await;
        Ok(r#"{"role":"assistant","_meta":{"x":1.0}}"#.to_owned())
    };
    let id = id(tasks.begin(TTL, work));
    let task = value(of(&tasks, "tasks/get", &id).await);
    assert_eq!((&task["status"], &task["ttl"]), (&json!("working"), &json!(600_000)));
    let waiting = of(&tasks, "tasks/result", &id);
    finish.send(()).unwrap();
    let result = waiting.await.unwrap();
    assert_eq!(
        result,
        format!(
            r#"{{"role":"assistant","_meta":{{"x":1.0,"io.modelcontextprotocol/related-task":{{"taskId":"{id}"}}}}}}"#
        )
    );
    assert_eq!(value(of(&tasks, "tasks/get", &id).await)["status"], "completed");
    assert_eq!(of(&tasks, "tasks/cancel", &id).await.unwrap_err().code, -32602);
    assert_eq!(value(tasks.answer("tasks/list", b"{}").await)["tasks"][0]["taskId"], json!(id));
    assert_eq!(tasks.answer("tasks/list", br#"{"cursor":"x"}"#).await.unwrap_err().code, -32602);
}

#[tokio::test]
async fn a_task_that_fails_or_is_cancelled_says_so() {
    let tasks = Arc::new(Tasks::default());
    let failed = id(tasks.begin(TTL, ready(Err(Failure::new(-1, "denied")))));
    assert_eq!(of(&tasks, "tasks/result", &failed).await, Err(Failure::new(-1, "denied")));
    let task = value(of(&tasks, "tasks/get", &failed).await);
    assert_eq!((&task["status"], &task["statusMessage"]), (&json!("failed"), &json!("denied")));
    let (held, dropped) = tokio::sync::oneshot::channel::<()>();
    let work = async move {
        let _held = held;
        pending().await
    };
    let cancelled = id(tasks.begin(TTL, work));
    let waiting = of(&tasks, "tasks/result", &cancelled);
    assert_eq!(value(of(&tasks, "tasks/cancel", &cancelled).await)["status"], "cancelled");
    assert!(waiting.await.is_err());
    assert!(dropped.await.is_err(), "the work goes on");
    for id in ["", "never", &failed[1..]] {
        assert_eq!(of(&tasks, "tasks/get", id).await.unwrap_err().code, -32602);
    }
    assert_eq!(tasks.answer("tasks/get", b"{}").await.unwrap_err().code, -32602);
}

#[tokio::test]
async fn a_task_is_kept_for_its_time() {
    let tasks = Arc::new(Tasks::default());
    let kept = id(tasks.begin(TTL, ready(Ok("{}".to_owned()))));
    let slow = id(tasks.begin(Duration::from_millis(20), pending()));
    assert!(of(&tasks, "tasks/result", &slow).await.unwrap_err().message.contains("`ttl`"));
    assert!(of(&tasks, "tasks/get", &slow).await.is_err());
    assert!(of(&tasks, "tasks/get", &kept).await.is_ok());
}

#[tokio::test]
async fn only_so_many_are_kept() {
    let tasks = Arc::new(Tasks::default());
    let first = id(tasks.begin(TTL, ready(Ok("{}".to_owned()))));
    assert!(of(&tasks, "tasks/result", &first).await.is_ok());
    for _ in 1..MOST {
        assert!(tasks.begin(TTL, pending()).is_ok());
    }
    assert!(tasks.begin(TTL, pending()).is_ok());
    assert!(of(&tasks, "tasks/get", &first).await.is_err(), "the oldest that has ended is kept");
    assert_eq!(tasks.begin(TTL, pending()).unwrap_err().code, -32603);
    tasks.close();
    assert!(tasks.lock().tasks.is_empty());
    assert!(tasks.begin(TTL, pending()).is_err());
}
