//! Telling the server how far an answer has come.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use mcp::build::notification_line;
use mcp::notification;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::closable_sender::ClosableSender;

/// So many pieces of text wait for the server to read them; then the stream that they come from waits too.
const WAITING: usize = 16;

/// The progress of one request.
pub(super) struct Progress;

impl Progress {
    /// Where the text of an answer goes as it comes in, and the work of telling the server: none if it gave no
    /// `progressToken`. The work ends when the sender is dropped. As long as nothing comes in the server is told, at each
    /// `heartbeat`, that it is being answered: so its patience begins anew.
    pub(super) fn of(
        params: &[u8],
        to_back: &ClosableSender,
        heartbeat: Option<Duration>,
    ) -> (Option<mpsc::Sender<String>>, impl Future<Output = ()> + use<>) {
        let Some(token) = token(params) else { return (None, Either::Left(std::future::ready(()))) };
        let (sender, mut receiver) = mpsc::channel::<String>(WAITING);
        let to_back = to_back.clone();
        let telling = async move {
            let mut progress = 0;
            loop {
                let beat = async {
                    match heartbeat {
                        Some(heartbeat) => tokio::time::sleep(heartbeat).await,
                        None => std::future::pending().await,
                    }
                };
                // It must grow with every notification.
                let text = tokio::select! {
                    text = receiver.recv() => {
                        let Some(text) = text else { break };
                        progress += text.chars().count();
                        Some(text)
                    }
                    () = beat => {
                        progress += 1;
                        None
                    }
                };
                to_back.send(line(&token, progress, text.as_deref())).await;
            }
        };
        (Some(sender), Either::Right(telling))
    }
}

/// `notifications/progress`: how many characters there are so far (and one more for each heartbeat), and those that are new, if any.
fn line(token: &RawValue, progress: usize, text: Option<&str>) -> Bytes {
    let mut params = json!({ "progressToken": token, "progress": progress });
    if let (Some(text), Some(params)) = (text, params.as_object_mut()) {
        params.insert("message".to_owned(), text.into());
    }
    notification_line(notification::PROGRESS, &params)
}

/// `_meta.progressToken`, as spelt: a string or a number.
fn token(params: &[u8]) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "_meta", default)]
        meta: Option<Meta<'a>>,
    }
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow, rename = "progressToken", default)]
        token: Option<&'a RawValue>,
    }
    memchr::memmem::find(params, b"progressToken")?;
    let token = serde_json::from_slice::<Params>(params).ok()?.meta?.token?;
    let is_token = !token.get().starts_with(['{', '[', 't', 'f', 'n']);
    is_token.then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_where_it_belongs_and_kept_as_spelt() {
        let of = |params: &str| token(params.as_bytes()).map(|token| token.get().to_owned());
        assert_eq!(of(r#"{"_meta":{"progressToken":1.0}}"#).as_deref(), Some("1.0"));
        assert_eq!(of(r#"{"_meta":{"progressToken":"a\u0062"}}"#).as_deref(), Some(r#""a\u0062""#));
        for none in [
            r#"{"_meta":{"progressToken":null}}"#,
            r#"{"_meta":{"progressToken":{}}}"#,
            r#"{"progressToken":1}"#,
            r#"{"_meta":3,"x":"progressToken"}"#,
            r#"{"_meta":{}}"#,
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn a_server_hears_of_it_while_nothing_comes_in() {
        let (sender, mut heard) = mpsc::channel(8);
        let params = br#"{"_meta":{"progressToken":"t"}}"#;
        let (text, telling) = Progress::of(params, &ClosableSender::new(sender), Some(Duration::from_millis(1)));
        let text = text.unwrap();
        let answering = async move {
            let mut told: Vec<(u64, serde_json::Value)> = Vec::new();
            while told.iter().filter(|(_, message)| message.is_null()).count() < 3 {
                let message: serde_json::Value = serde_json::from_slice(&heard.recv().await.unwrap().line).unwrap();
                let params = &message["params"];
                told.push((params["progress"].as_u64().unwrap(), params["message"].clone()));
                if told.len() == 1 {
                    text.send("abc".to_owned()).await.unwrap();
                }
            }
            told
        };
        let (told, ()) = tokio::join!(answering, telling);
        assert!(told.is_sorted_by(|(before, _), (after, _)| before < after), "{told:?}");
        assert_eq!(told.iter().filter(|(_, message)| message == "abc").count(), 1, "{told:?}");
    }

    #[test]
    fn a_notification_says_how_much_there_is_and_what_is_new() {
        let token = RawValue::from_string("7".to_owned()).unwrap();
        let line = String::from_utf8(line(&token, 12, Some("a\nä")).to_vec()).unwrap();
        assert_eq!(
            line,
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":7,\"progress\":12,\"message\":\"a\\nä\"}}\n"
        );
    }
}
