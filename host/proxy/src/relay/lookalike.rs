//! What isn't a request for a completion, and could be taken for one by a reader that is less strict: it is not passed on.
//!
//! A server that may not ask could otherwise reach the client by another spelling: an id that is none, a method in other letters or with something
//! invisible in it, a key twice, a second message on the line. Where nothing is said of our method this costs a look at a few bytes.

use std::collections::HashMap;

use mcp::method::SAMPLING_CREATE_MESSAGE;
use mcp::{Head, Kind, folded};
use serde_json::value::RawValue;

/// Whether this message of a server's, which is no proper request for a completion, could be taken for one.
pub(super) fn is_one(line: &[u8], head: &Head) -> bool {
    let ours = |method: &str| folded::same(method, SAMPLING_CREATE_MESSAGE);
    head.method().is_some_and(ours)
        || head.other_methods().iter().any(|method| ours(method))
        || ((head.is_odd() || head.kind() == Kind::Other) && speaks_of_it(line))
}

/// Whether the method's name stands anywhere in the text, however it is escaped.
pub(super) fn speaks_of_it(line: &[u8]) -> bool {
    folded::everything(&unescaped(&String::from_utf8_lossy(line))).contains(&folded::folded(SAMPLING_CREATE_MESSAGE))
}

/// Whether a reader that is less strict could take another member of a request for its `params`.
pub(super) fn has_other_params(line: &[u8]) -> bool {
    let members: HashMap<String, &RawValue> = serde_json::from_slice(line).unwrap_or_default();
    members.keys().any(|key| key != "params" && folded::same(key, "params"))
}

/// The text without JSON's escapes, wherever they stand.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = escape
            .strip_prefix('u')
            .and_then(|hex| u32::from_str_radix(hex.get(..4)?, 16).ok())
            .and_then(char::from_u32);
        rest = match code {
            Some(c) => {
                plain.push(c);
                escape.get(5..).unwrap_or_default()
            }
            None => escape,
        };
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks_like(line: &str) -> bool {
        is_one(line.as_bytes(), &Head::of(line.as_bytes()))
    }

    #[test]
    fn every_spelling_that_some_reader_takes_for_the_method_is_known() {
        for method in [
            "sampling/createMessage",
            "sampling/createMessage ",
            " sampling/createMessage",
            "sampling/createMessage\\u0000",
            "sampling/createMessage\\u0000/x",
            "Sampling/CreateMessage",
            "SAMPLING/CREATEMESSAGE",
            "sampling\\/createMess\\u0061ge\\u200b",
            "ｓampling／createMessage",
            "\\u017fampling/createMessage",
            "sampling/createMessage\\n",
            "sampling/createMessage\\ud800",
        ] {
            assert!(looks_like(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{}}}}"#)), "{method}");
        }
        let spaces = " ".repeat(500);
        let long = format!(r#"{{"id":1,"method":"sampling/createMessage{spaces}"}}"#);
        for line in [
            r#"{"id":1,"method":"sampling/createMessage","method":"ping"}"#,
            r#"{"id":1,"Method":"sampling/createMessage"}"#,
            r#"{"id":1,"METHOD":"sampling/createMessage","method":"ping"}"#,
            r#"{"id":1,"method\u0000":"sampling/createMessage"}"#,
            "{\"method\":\"x\"}\r{\"id\":1,\"method\":\"sampling\\/createMess\\u0061ge\"}",
            "{\"method\":\"x\"}\u{2028}{\"id\":1,\"method\":\"sampling/createMessage\"}",
            "\u{feff}{\"method\":\"sampling/createMessage\",\"id\":1}",
            "[{\"id\":1}] [{\"id\":1,\"method\":\"sampling/createMessage\"}]",
            long.as_str(),
        ] {
            assert!(looks_like(line), "{line}");
        }
    }

    #[test]
    fn what_only_speaks_of_it_is_none() {
        for line in [
            r#"{"method":"notifications/message","params":{"data":"sampling/createMessage"}}"#,
            r#"{"id":1,"result":{"method":"sampling/createMessage","Method":"sampling/createMessage"}}"#,
            r#"{"id":1,"method":"elicitation/create","params":{"message":"sampling/createMessage"}}"#,
            r#"{"id":1,"method":"sampling/createMessages"}"#,
            r#"{"id":1,"methods":"sampling/createMessage","result":{}}"#,
            "a server's banner",
            "",
        ] {
            assert!(!looks_like(line), "{line}");
        }
    }
}
