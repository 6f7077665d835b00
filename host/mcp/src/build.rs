//! Lines that a peer gets: each function returns one JSON-RPC message with the end of its line.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::notification;
use crate::raw_object::RawObject;

/// How every line begins.
const START: &[u8] = br#"{"jsonrpc":"2.0","#;

fn line(parts: &[&[u8]]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut line = Vec::with_capacity(START.len() + length + 2);
    line.extend_from_slice(START);
    for part in parts {
        line.extend_from_slice(part);
    }
    line.extend_from_slice(b"}\n");
    line.into()
}

/// Values that are built here serialise without an error.
fn spelled(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec())
}

/// A request. `id` is JSON.
#[must_use]
pub fn request_line(id: &[u8], method: &str, params: &(impl Serialize + ?Sized)) -> Bytes {
    line(&[br#""id":"#, id, br#","method":"#, &spelled(method), br#","params":"#, &spelled(params)])
}

/// A notification.
#[must_use]
pub fn notification_line(method: &str, params: &(impl Serialize + ?Sized)) -> Bytes {
    line(&[br#""method":"#, &spelled(method), br#","params":"#, &spelled(params)])
}

/// The last line of a client's handshake.
#[must_use]
pub fn initialized_line() -> Bytes {
    line(&[br#""method":"#, &spelled(notification::INITIALIZED)])
}

/// The cancellation of a request, with the reason and the `_meta` that it is to have. `id` is JSON.
#[must_use]
pub fn cancelled_line(id: &[u8], reason: Option<&str>, meta: Option<&RawObject>) -> Bytes {
    let mut params = RawObject::default();
    if let Some(meta) = meta {
        params.put("_meta", meta);
    }
    params.set("requestId", RawValue::from_string(String::from_utf8_lossy(id).into_owned()).unwrap_or_default());
    if let Some(reason) = reason {
        params.put("reason", &reason);
    }
    notification_line(notification::CANCELLED, &params)
}

/// A successful answer. `id` and `result` are JSON.
#[must_use]
pub fn result_line(id: &[u8], result: &str) -> Bytes {
    line(&[br#""id":"#, id, br#","result":"#, result.as_bytes()])
}

/// An error. `id` is JSON.
#[must_use]
pub fn error_line(id: &[u8], code: i64, message: &str) -> Bytes {
    raw_error_line(id, &json!({ "code": code, "message": message }))
}

/// An error with `data`. `id` is JSON.
#[must_use]
pub fn error_line_with_data(id: &[u8], code: i64, message: &str, data: &Value) -> Bytes {
    raw_error_line(id, &json!({ "code": code, "message": message, "data": data }))
}

/// An error that is there as JSON already, or is to be serialised. `id` is JSON.
#[must_use]
pub fn raw_error_line(id: &[u8], error: &(impl Serialize + ?Sized)) -> Bytes {
    line(&[br#""id":"#, id, br#","error":"#, &spelled(error)])
}

/// `data` of an [`UNSUPPORTED_PROTOCOL_VERSION`](crate::code::UNSUPPORTED_PROTOCOL_VERSION): the revisions that are spoken, and the one that was asked
/// for.
#[must_use]
pub fn unsupported_version_data(supported: &[&str], requested: &str) -> Value {
    json!({ "supported": supported, "requested": requested })
}

/// A client's or a server's name and version, for `clientInfo` and `serverInfo`.
#[must_use]
pub fn implementation(name: &str, version: &str) -> Value {
    json!({ "name": name, "version": version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code;

    #[test]
    fn lines_are_as_peers_read_them() {
        let mut meta = RawObject::default();
        meta.put("k", &1);
        for (line, expected) in [
            (request_line(b"1.0", "a/b", &json!({ "x": 1 })), r#""id":1.0,"method":"a/b","params":{"x":1}}"#),
            (notification_line("n", &meta), r#""method":"n","params":{"k":1}}"#),
            (initialized_line(), r#""method":"notifications/initialized"}"#),
            (cancelled_line(b"\"a\"", None, None), r#""method":"notifications/cancelled","params":{"requestId":"a"}}"#),
            (
                cancelled_line(b"7", Some("late"), Some(&meta)),
                r#""method":"notifications/cancelled","params":{"_meta":{"k":1},"requestId":7,"reason":"late"}}"#,
            ),
            (result_line(b"7", "{ }"), r#""id":7,"result":{ }}"#),
            (
                error_line(b"null", code::INVALID_REQUEST, "a\"b"),
                r#""id":null,"error":{"code":-32600,"message":"a\"b"}}"#,
            ),
            (
                error_line_with_data(b"1", -1, "m", &unsupported_version_data(&["a"], "b")),
                r#""id":1,"error":{"code":-1,"message":"m","data":{"supported":["a"],"requested":"b"}}}"#,
            ),
        ] {
            assert_eq!(String::from_utf8_lossy(&line), format!("{{\"jsonrpc\":\"2.0\",{expected}\n"));
        }
    }
}
