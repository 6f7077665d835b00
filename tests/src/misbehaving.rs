//! What a hostile server does, by name: for the tests of attacks, and for the benchmark of what others notice of them.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::arena::{KEY, Server};
use crate::session::sampling;

/// What a server can do wrong.
pub const SERVERS: [&str; 9] = [
    "flood",
    "giant message",
    "deep json",
    "duplicate ids",
    "cancelled before sent",
    "cancelled at once",
    "garbage",
    "giant id",
    "batch",
];

/// Does so once. Each of its requests that it doesn't cancel gets one answer, which is looked at.
///
/// # Panics
/// If an answer isn't what every answer must be, or nothing goes by this name.
pub async fn misbehave(how: &str, server: &Server) {
    let ask = || sampling(server.next_id(), "none");
    match how {
        // More than may run and wait.
        "flood" => {
            let mut answers = Vec::new();
            for request in std::iter::repeat_with(ask).take(200) {
                answers.push((server.begin(&request).await, request));
            }
            for (answer, request) in answers {
                check(&answer.await.unwrap_or_default(), &request);
            }
        }
        "deep json" => {
            let request = ask();
            let answer = server.expect(&request);
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            let (start, end) = with_metadata(&request);
            server.say([&start, deep.as_str(), &end, "\n"].concat()).await;
            check(&answer.await.unwrap_or_default(), &request);
        }
        "giant message" => {
            // Not by `json!`: that would read and copy it several times, in the process in which others are to notice little.
            static GIANT: LazyLock<String> = LazyLock::new(|| "x".repeat(8 << 20));
            let request = ask();
            let answer = server.expect(&request);
            let (start, end) = with_metadata(&request);
            server.say([&start, "\"", &GIANT, "\"", &end, "\n"].concat()).await;
            check(&answer.await.unwrap_or_default(), &request);
        }
        "duplicate ids" => {
            // The first one goes on until its deadline.
            let request = sampling(server.next_id(), "block");
            let (refused, answer) = (server.begin(&request).await, server.begin(&request).await);
            let (refused, answer) = (refused.await.unwrap_or_default(), answer.await.unwrap_or_default());
            assert_eq!(refused["error"]["message"], "a request with this id is still being answered", "{refused}");
            check(&answer, &request);
        }
        "cancelled before sent" => {
            let request = ask();
            server.cancel(&request["id"]).await;
            check(&server.ask(&request).await, &request);
        }
        "cancelled at once" => {
            let request = sampling(server.next_id(), "block");
            let answer = server.begin(&request).await;
            server.cancel(&request["id"]).await;
            drop(answer);
        }
        "garbage" => {
            for line in
                ["", "\u{0}\u{1}", "{", "null", "[]", "[1,[2]]", "{\"id\":{}}", "\u{feff}{}", "{\"method\":3,\"id\":1}"]
            {
                server.say(format!("{line}\n")).await;
            }
            let request = ask();
            check(&server.ask(&request).await, &request);
        }
        "giant id" => {
            let mut request = ask();
            request["id"] = json!(format!("{}{}", "x".repeat(4000), server.next_id()));
            check(&server.ask(&request).await, &request);
        }
        "batch" => {
            let requests: Vec<Value> = std::iter::repeat_with(ask).take(20).collect();
            let mut answers = Vec::new();
            for request in &requests {
                answers.push(server.expect(request));
            }
            server.say(format!("{}\n", Value::Array(requests.clone()))).await;
            for (answer, request) in answers.into_iter().zip(&requests) {
                check(&answer.await.unwrap_or_default(), request);
            }
        }
        _ => panic!("no server misbehaves by `{how}`"),
    }
}

/// What stands before a request's `metadata`, and what after it.
fn with_metadata(request: &Value) -> (String, String) {
    let mut request = request.clone();
    request["params"]["metadata"] = json!({ "x": 0 });
    let line = request.to_string();
    let (start, end) = line.split_once("0}").unwrap_or_else(|| panic!("no metadata: {line}"));
    (start.to_owned(), format!("}}{end}"))
}

/// Holds an answer to what every answer must be.
pub fn check(answer: &Value, request: &Value) {
    assert_eq!(answer["id"], request["id"]);
    assert!(answer["result"].is_object() != answer["error"].is_object(), "{answer}");
    let text = answer.to_string();
    assert!(!text.contains(KEY), "the credential is in an answer: {text}");
    if let Some(error) = answer["error"]["message"].as_str() {
        assert!(!error.is_empty() && !error.chars().any(char::is_control), "{error:?}");
    }
}
