//! Edits of raw messages that leave every other byte as it was.
//!
//! A part is a [`RawValue`] that was borrowed from the line: its address tells where it stands.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::Parts;

fn bytes_of(part: &RawValue) -> &[u8] {
    part.get().as_bytes()
}

/// Where a part of a line begins.
fn offset(line: &[u8], part: &[u8]) -> usize {
    // `part` was borrowed from `line`.
    (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize).min(line.len())
}

/// Where a part of a line stands.
fn range(line: &[u8], part: &[u8]) -> Range<usize> {
    let start = offset(line, part);
    start..start.saturating_add(part.len()).min(line.len())
}

/// The line with one of its parts replaced.
#[must_use]
pub fn replace(line: &Bytes, part: &RawValue, new: &[u8]) -> Bytes {
    let Range { start, end } = range(line, bytes_of(part));
    let (before, after) = (line.get(..start).unwrap_or_default(), line.get(end..).unwrap_or_default());
    [before, new, after].concat().into()
}

/// A member to set: its key, the value that stands there now, and the new one, both as JSON.
pub type Member<'a> = (&'a str, Option<&'a RawValue>, &'a str);

/// The line with members set in one of its objects: a value replaces the one that is there, a new member is put first. So no key comes twice.
#[must_use]
pub fn set_members(line: &Bytes, object: &RawValue, members: &[Member<'_>]) -> Bytes {
    let new = members.iter().filter(|(_, old, _)| old.is_none());
    let new: Vec<String> = new.map(|(key, _, value)| format!("\"{key}\":{value}")).collect();
    let first = inside(line, object);
    let comma = if new.is_empty() || is_empty(line, first) { "" } else { "," };
    let put = (first..first, format!("{}{comma}", new.join(",")));
    let replaced =
        members.iter().filter_map(|(_, old, value)| Some((range(line, bytes_of((*old)?)), (*value).to_owned())));
    edited(line, std::iter::once(put).chain(replaced).collect())
}

/// The line with several of its parts replaced; each part is a slice of the line.
#[must_use]
pub fn replace_each(line: &Bytes, parts: Vec<(&[u8], Bytes)>) -> Bytes {
    edited(line, parts.into_iter().map(|(part, new)| (range(line, part), new)).collect())
}

/// The line with other bytes in these places.
fn edited(line: &[u8], mut edits: Vec<(Range<usize>, impl AsRef<[u8]>)>) -> Bytes {
    edits.sort_unstable_by_key(|(range, _)| range.start);
    let (mut edited, mut done) = (Vec::with_capacity(line.len()), 0);
    for (Range { start, end }, new) in edits {
        edited.extend_from_slice(line.get(done..start).unwrap_or_default());
        edited.extend_from_slice(new.as_ref());
        done = end;
    }
    edited.extend_from_slice(line.get(done..).unwrap_or_default());
    edited.into()
}

/// The line with members (`"a":1,"b":2`) put first into one of its objects.
#[must_use]
pub fn insert(line: &Bytes, object: &RawValue, members: &str) -> Bytes {
    let first = inside(line, object);
    let (before, after) = line.split_at(first);
    let comma: &[u8] = if is_empty(line, first) { b"" } else { b"," };
    [before, members.as_bytes(), comma, after].concat().into()
}

/// Where the first member of an object stands, or may.
fn inside(line: &[u8], object: &RawValue) -> usize {
    // Where the object begins there is a `{`.
    (offset(line, bytes_of(object)) + 1).min(line.len())
}

/// Whether the object that begins before this place has no member.
fn is_empty(line: &[u8], first: usize) -> bool {
    line.iter().skip(first).find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}')
}

/// The message with another id, as it is to be spelt; the message itself if it has none.
#[must_use]
pub fn with_id(line: &Bytes, id: &[u8]) -> Bytes {
    #[derive(Deserialize)]
    struct Identified<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    serde_json::from_slice::<Identified>(line).map_or_else(|_| line.clone(), |it| replace(line, it.id, id))
}

/// The `notifications/cancelled` with another `requestId`; the message itself if it has none.
#[must_use]
pub fn with_request_id(line: &Bytes, id: &[u8]) -> Bytes {
    cancelled_request(line).map_or_else(|| line.clone(), |old| replace(line, old, id))
}

/// The id that a `notifications/cancelled` names, as spelt.
#[must_use]
pub fn cancelled_id(line: &[u8]) -> Option<Vec<u8>> {
    cancelled_request(line).map(|id| id.get().as_bytes().to_vec())
}

fn cancelled_request(line: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Cancelled<'a> {
        #[serde(borrow, rename = "requestId")]
        id: &'a RawValue,
    }
    let cancelled: Cancelled = serde_json::from_str(Parts::of(line).ok()?.params?.get()).ok()?;
    Some(cancelled.id)
}

/// Whether a value is an object. (serde reads a struct from an array as well.)
#[must_use]
pub fn is_object(json: &RawValue) -> bool {
    json.get().starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_changes_and_nothing_else() {
        let line = Bytes::from_static(b"{ \"x\":1.0, \"id\" : 7 ,\"result\":{\"id\":8}}\r\n");
        assert_eq!(with_id(&line, b"\"a\""), "{ \"x\":1.0, \"id\" : \"a\" ,\"result\":{\"id\":8}}\r\n");
        let none = Bytes::from_static(b"{\"method\":\"x\"}\n");
        assert_eq!(with_id(&none, b"1"), none);
    }

    #[test]
    fn a_member_that_is_there_is_replaced_and_the_others_are_put_first() {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            o: &'a RawValue,
        }
        #[derive(Deserialize)]
        struct Object<'a> {
            #[serde(borrow)]
            a: &'a RawValue,
            #[serde(borrow)]
            c: &'a RawValue,
        }
        let line = Bytes::from_static(b"{\"x\":1.0,\"o\": { \"c\" : null, \"a\":null } }\n");
        let Line { o } = serde_json::from_slice(&line).unwrap();
        let Object { a, c } = serde_json::from_str(o.get()).unwrap();
        let edited = set_members(
            &line,
            o,
            &[("a", Some(a), "{\"y\":1}"), ("b", None, "2"), ("c", Some(c), "[]"), ("d", None, "3")],
        );
        assert_eq!(edited, "{\"x\":1.0,\"o\": {\"b\":2,\"d\":3, \"c\" : [], \"a\":{\"y\":1} } }\n");
        let empty = Bytes::from_static(b"{\"o\": {}}");
        let Line { o } = serde_json::from_slice(&empty).unwrap();
        assert_eq!(set_members(&empty, o, &[("b", None, "2")]), "{\"o\": {\"b\":2}}");
    }
}
