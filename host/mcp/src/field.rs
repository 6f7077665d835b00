//! Fields of a message that are replaced on its way, found in its text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::INPUT_REQUIRED;

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
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

/// The value of a field, if the message has it and it is a string or a number.
#[must_use]
pub fn find(line: &[u8], field: Field) -> Option<&RawValue> {
    let key: &[u8] = match field {
        Field::Id => b"id",
        Field::Token | Field::ProgressToken => b"progressToken",
        Field::Subscription => b"subscriptionId",
        Field::RequestId => b"requestId",
    };
    // Most messages have no such field: the search is cheaper than parsing.
    memchr::memmem::find(line, key)?;
    let message: Message = serde_json::from_slice(line).ok()?;
    let found = if field == Field::Id {
        message.id
    } else {
        let params: Params = serde_json::from_str(message.params?.get()).ok()?;
        let meta = || serde_json::from_str::<Meta>(params.meta?.get()).ok();
        match field {
            Field::Id => None,
            Field::ProgressToken => params.progress_token,
            Field::RequestId => params.request_id,
            Field::Token => meta()?.token,
            Field::Subscription => meta()?.subscription,
        }
    };
    found.filter(|part| !part.get().starts_with(['{', '[', 'n', 't', 'f']))
}

/// The `requestState` that a request brings.
#[must_use]
pub fn request_state(line: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Params {
        #[serde(rename = "requestState")]
        state: String,
    }
    memchr::memmem::find(line, b"requestState")?;
    let message: Message = serde_json::from_slice(line).ok()?;
    Some(serde_json::from_str::<Params>(message.params?.get()).ok()?.state)
}

/// The `requestState` of an answer that requires input.
#[must_use]
pub fn required_state(line: &[u8]) -> Option<String> {
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
    memchr::memmem::find(line, INPUT_REQUIRED.as_bytes())?;
    let Answer { result } = serde_json::from_slice(line).ok()?;
    Some(result.request_state).filter(|_| result.result_type == INPUT_REQUIRED)
}

/// The member of a message that two readers may read differently: its key comes twice, or once more in another case, which some readers ignore.
#[must_use]
pub fn ambiguous_member(line: &[u8]) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::splice::replace;

    fn replaced(line: &'static str, name: Field, by: &str) -> Option<String> {
        let line = Bytes::from_static(line.as_bytes());
        let part = find(&line, name)?;
        Some(String::from_utf8(replace(&line, part, by.as_bytes()).to_vec()).unwrap())
    }

    #[test]
    fn one_part_is_replaced_and_every_other_byte_stays() {
        let line = r#"{ "id" : "a\"b" ,"params":{"id":1,"_meta":{"progressToken":1.50, "x":[1e3]}},"method":"m" }"#;
        assert_eq!(
            replaced(line, Field::Id, "7").unwrap(),
            r#"{ "id" : 7 ,"params":{"id":1,"_meta":{"progressToken":1.50, "x":[1e3]}},"method":"m" }"#
        );
        assert_eq!(
            replaced(line, Field::Token, "\"t\"").unwrap(),
            r#"{ "id" : "a\"b" ,"params":{"id":1,"_meta":{"progressToken":"t", "x":[1e3]}},"method":"m" }"#
        );
        let line =
            r#"{"params":{"progressToken":3,"requestId":"r","_meta":{"io.modelcontextprotocol/subscriptionId":9}}}"#;
        for (name, found) in [(Field::ProgressToken, "3"), (Field::RequestId, "\"r\""), (Field::Subscription, "9")] {
            assert_eq!(find(line.as_bytes(), name).map(RawValue::get), Some(found));
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for line in ["", "[]", "{}", r#"{"id":null}"#, r#"{"id":{"a":1}}"#, r#"{"params":{"_meta":3},"x":"id"}"#] {
            assert_eq!(replaced(line, Field::Id, "1"), None, "{line}");
            assert_eq!(replaced(line, Field::Token, "1"), None, "{line}");
        }
        assert_eq!(replaced(r#"{"params":{"progressToken":1}}"#, Field::Token, "1"), None);
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
            assert_eq!(ambiguous_member(line.as_bytes()).as_deref(), found, "{line}");
        }
    }
}
