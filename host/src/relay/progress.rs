//! Telling the server how far an answer has come.

use bytes::Bytes;
use futures_util::future::Either;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::Outlet;

/// So many pieces of text wait for the server to read them; then the stream that they come from waits too.
const WAITING: usize = 16;

/// The progress of one request.
pub(super) struct Progress;

impl Progress {
    /// Where the text of an answer goes as it comes in, and the work of telling the server: none if it gave no
    /// `progressToken`. The work ends when the sender is dropped.
    pub(super) fn of(
        params: &[u8],
        to_back: &Outlet,
    ) -> (Option<mpsc::Sender<String>>, impl Future<Output = ()> + use<>) {
        let Some(token) = token(params) else { return (None, Either::Left(std::future::ready(()))) };
        let (sender, mut receiver) = mpsc::channel::<String>(WAITING);
        let to_back = to_back.clone();
        let telling = async move {
            let mut characters = 0;
            while let Some(text) = receiver.recv().await {
                characters += text.chars().count();
                to_back.send(line(&token, characters, &text)).await;
            }
        };
        (Some(sender), Either::Right(telling))
    }
}

/// `notifications/progress`: how many characters there are so far, and those that are new.
fn line(token: &RawValue, characters: usize, text: &str) -> Bytes {
    let params = json!({ "progressToken": token, "progress": characters, "message": text });
    format!("{}\n", json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })).into()
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

    #[test]
    fn a_notification_says_how_much_there_is_and_what_is_new() {
        let token = RawValue::from_string("7".to_owned()).unwrap();
        let line = String::from_utf8(line(&token, 12, "a\nä").to_vec()).unwrap();
        assert_eq!(
            line,
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":7,\"progress\":12,\"message\":\"a\\nä\"}}\n"
        );
    }
}
