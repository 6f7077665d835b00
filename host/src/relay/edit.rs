//! Edits of raw messages that leave every other byte as it was.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::policy::Lowered;

/// Where a part of a line begins.
fn offset(line: &[u8], part: &RawValue) -> usize {
    // `part` was borrowed from `line`.
    (part.get().as_ptr() as usize).saturating_sub(line.as_ptr() as usize).min(line.len())
}

/// The line with something else in the place of one of its parts.
pub(super) fn replace(line: &Bytes, part: &RawValue, new: &[u8]) -> Bytes {
    let start = offset(line, part);
    let end = start.saturating_add(part.get().len()).min(line.len());
    let (before, after) = (line.get(..start).unwrap_or_default(), line.get(end..).unwrap_or_default());
    [before, new, after].concat().into()
}

/// The line with members (`"a":1,"b":2`) put first into one of its objects.
pub(super) fn insert(line: &Bytes, object: &RawValue, members: &str) -> Bytes {
    // Where the object begins there is a `{`.
    let (before, after) = line.split_at((offset(line, object) + 1).min(line.len()));
    let empty = after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    let comma: &[u8] = if empty { b"" } else { b"," };
    [before, members.as_bytes(), comma, after].concat().into()
}

/// A request with the `maxTokens` that it may have; `params` are its parameters.
pub(super) fn lower(line: &Bytes, params: &RawValue, lowered: Lowered<'_>) -> Bytes {
    match lowered.old {
        Some(old) => replace(line, old, lowered.new.to_string().as_bytes()),
        None => insert(line, params, &format!("\"maxTokens\":{}", lowered.new)),
    }
}

/// The line with another id, as it is to be spelt; as it is if it has none.
pub(super) fn with_id(line: &Bytes, id: &[u8]) -> Bytes {
    #[derive(Deserialize)]
    struct Identified<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    match serde_json::from_slice::<Identified>(line) {
        Ok(found) => replace(line, found.id, id),
        Err(_) => line.clone(),
    }
}

/// Whether it is an object: to the parser, an array would do for a struct as well.
pub(super) fn is_object(json: &RawValue) -> bool {
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
}
