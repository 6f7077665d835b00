//! Finding one part of a message, and putting another in its place: every other byte stays.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A part of a message that has a name here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// `id`
    Id,
    /// `params._meta.progressToken`: a request's.
    Token,
    /// `params.progressToken`: of `notifications/progress`.
    ProgressToken,
    /// `params._meta["io.modelcontextprotocol/subscriptionId"]`
    Subscription,
    /// `params.requestId`: of `notifications/cancelled`.
    RequestId,
}

#[derive(serde::Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "_meta", default)]
    meta: Option<&'a RawValue>,
    #[serde(borrow, rename = "progressToken", default)]
    progress_token: Option<&'a RawValue>,
    #[serde(borrow, rename = "requestId", default)]
    request_id: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "progressToken", default)]
    token: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/subscriptionId", default)]
    subscription: Option<&'a RawValue>,
}

/// The part of this name, if the message has it and it is a string or a number.
pub(super) fn named(line: &Bytes, name: Named) -> Option<&RawValue> {
    let key: &[u8] = match name {
        Named::Id => b"id",
        Named::Token | Named::ProgressToken => b"progressToken",
        Named::Subscription => b"subscriptionId",
        Named::RequestId => b"requestId",
    };
    // Most messages have no such part, and needn't be parsed to know it.
    memchr::memmem::find(line, key)?;
    let message: Message = serde_json::from_slice(line).ok()?;
    let found = if name == Named::Id {
        message.id
    } else {
        let params: Params = serde_json::from_str(message.params?.get()).ok()?;
        let meta = || serde_json::from_str::<Meta>(params.meta?.get()).ok();
        match name {
            Named::Id => None,
            Named::ProgressToken => params.progress_token,
            Named::RequestId => params.request_id,
            Named::Token => meta()?.token,
            Named::Subscription => meta()?.subscription,
        }
    };
    found.filter(|part| !part.get().starts_with(['{', '[', 'n', 't', 'f']))
}

/// The `requestState` that a request brings.
pub(super) fn state(line: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Params {
        #[serde(rename = "requestState")]
        state: String,
    }
    memchr::memmem::find(line, b"requestState")?;
    let message: Message = serde_json::from_slice(line).ok()?;
    Some(serde_json::from_str::<Params>(message.params?.get()).ok()?.state)
}

/// The `requestState` of an answer that wants input.
pub(super) fn required(line: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        result: Wanted,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wanted {
        result_type: String,
        request_state: String,
    }
    memchr::memmem::find(line, b"input_required")?;
    let Answer { result } = serde_json::from_slice(line).ok()?;
    Some(result.request_state).filter(|_| result.result_type == "input_required")
}

/// The member of a message that two readers may find in two places: it comes twice, or once more with other letters' case, which some readers don't
/// look at.
pub(super) fn ambiguous(line: &[u8]) -> Option<String> {
    const MEMBERS: [&str; 5] = ["id", "method", "params", "result", "error"];
    let Keys(keys) = serde_json::from_slice(line).ok()?;
    let is_other = |(at, key): (usize, &String)| {
        let known = MEMBERS.iter().any(|member| member.eq_ignore_ascii_case(key));
        known && (!MEMBERS.contains(&key.as_str()) || keys.iter().take(at).any(|earlier| earlier == key))
    };
    let at = keys.iter().enumerate().position(is_other)?;
    keys.into_iter().nth(at)
}

/// The keys of an object, as often as they come.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Keys;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The message with another text in the place of one of its parts.
pub(super) fn replace(line: &Bytes, part: &RawValue, by: &[u8]) -> Bytes {
    // `part` is a part of `line`.
    let start = (part.get().as_ptr() as usize).saturating_sub(line.as_ptr() as usize).min(line.len());
    let (before, rest) = line.split_at(start);
    let after = rest.get(part.get().len()..).unwrap_or_default();
    [before, by, after].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(line: &'static str, name: Named, by: &str) -> Option<String> {
        let line = Bytes::from_static(line.as_bytes());
        let part = named(&line, name)?;
        Some(String::from_utf8(replace(&line, part, by.as_bytes()).to_vec()).unwrap())
    }

    #[test]
    fn one_part_is_replaced_and_every_other_byte_stays() {
        let line = r#"{ "id" : "a\"b" ,"params":{"id":1,"_meta":{"progressToken":1.50, "x":[1e3]}},"method":"m" }"#;
        assert_eq!(
            replaced(line, Named::Id, "7").unwrap(),
            r#"{ "id" : 7 ,"params":{"id":1,"_meta":{"progressToken":1.50, "x":[1e3]}},"method":"m" }"#
        );
        assert_eq!(
            replaced(line, Named::Token, "\"t\"").unwrap(),
            r#"{ "id" : "a\"b" ,"params":{"id":1,"_meta":{"progressToken":"t", "x":[1e3]}},"method":"m" }"#
        );
        let line =
            r#"{"params":{"progressToken":3,"requestId":"r","_meta":{"io.modelcontextprotocol/subscriptionId":9}}}"#;
        for (name, found) in [(Named::ProgressToken, "3"), (Named::RequestId, "\"r\""), (Named::Subscription, "9")] {
            assert_eq!(named(&Bytes::from_static(line.as_bytes()), name).map(RawValue::get), Some(found));
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for line in ["", "[]", "{}", r#"{"id":null}"#, r#"{"id":{"a":1}}"#, r#"{"params":{"_meta":3},"x":"id"}"#] {
            assert_eq!(replaced(line, Named::Id, "1"), None, "{line}");
            assert_eq!(replaced(line, Named::Token, "1"), None, "{line}");
        }
        assert_eq!(replaced(r#"{"params":{"progressToken":1}}"#, Named::Token, "1"), None);
    }

    #[test]
    fn what_two_readers_may_read_differently_is_found() {
        for (line, found) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"id":1,"ID":2,"method":"x"},"Extra":1,"Extra":2}"#,
                None,
            ),
            (r#"{"method":"m","id":1,"id":2}"#, Some("id")),
            (r#"{"method":"m","\u006dethod":"notifications/cancelled"}"#, Some("method")),
            (r#"{"method":"m","METHOD":"notifications/cancelled"}"#, Some("METHOD")),
            (r#"{"method":"m","params":{},"Params":{}}"#, Some("Params")),
        ] {
            assert_eq!(ambiguous(line.as_bytes()).as_deref(), found, "{line}");
        }
    }
}
