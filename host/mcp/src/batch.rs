//! Batches: several messages in one array, which revision 2025-03-26 allows.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::message::{Head, Kind};

/// The elements of a batch, each as spelt; `None` if the line is no valid array.
#[must_use]
pub fn split(line: &Bytes) -> Option<Vec<Bytes>> {
    let elements: Vec<&RawValue> = serde_json::from_slice(line).ok()?;
    Some(elements.into_iter().map(|element| line.slice_ref(element.get().as_bytes())).collect())
}

/// The messages of a line, each with its head: one, unless it is a batch. A batch that isn't valid JSON has none.
#[must_use]
pub fn messages(line: &Bytes, head: &Head) -> Vec<(Bytes, Head)> {
    if head.kind() != Kind::Batch {
        return vec![(line.clone(), head.clone())];
    }
    let elements = split(line).unwrap_or_default().into_iter();
    elements.map(|element| (element.clone(), Head::of(&element))).collect()
}

/// A batch of these messages, without the end of a line.
#[must_use]
pub fn join(messages: &[impl AsRef<[u8]>]) -> Bytes {
    let messages: Vec<&[u8]> = messages.iter().map(AsRef::as_ref).collect();
    [b"[", messages.join(&b","[..]).as_slice(), b"]"].concat().into()
}

/// A batch of these messages, as a line.
#[must_use]
pub fn join_line(messages: &[impl AsRef<[u8]>]) -> Bytes {
    [&join(messages)[..], b"\n"].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_apart_and_together_again_with_every_message_as_it_was() {
        let line = Bytes::from_static(b"[ {\"id\": 1.0,\"method\":\"a\"} ,[1], 2]\n");
        let parts = messages(&line, &Head::of(&line));
        let kinds: Vec<Kind> = parts.iter().map(|(_, head)| head.kind()).collect();
        assert_eq!(kinds, [Kind::Request, Kind::Batch, Kind::Other]);
        let parts: Vec<Bytes> = parts.into_iter().map(|(part, _)| part).collect();
        assert_eq!(join_line(&parts), "[{\"id\": 1.0,\"method\":\"a\"},[1],2]\n");
        let one = Bytes::from_static(b"{\"id\":1}\n");
        assert_eq!(messages(&one, &Head::of(&one)).first().map(|(line, _)| line), Some(&one));
        let broken = Bytes::from_static(b"[1,");
        assert_eq!((split(&broken), messages(&broken, &Head::of(&broken)).len()), (None, 0));
    }
}
