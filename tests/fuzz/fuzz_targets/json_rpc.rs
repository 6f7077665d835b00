//! The scan of a line finds the same as a parser, however the line is cut; whatever it is, there is no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp::{Head, Kind, Parts, Scanner};
use serde_json::Value;
use serde_json::value::RawValue;
use understudy_fuzz::sampling::unique;

fuzz_target!(|bytes: &[u8]| {
    let head = Head::of(bytes);
    let mut scanner = Scanner::default();
    bytes.chunks(1 + bytes.len() % 7).for_each(|piece| scanner.feed(piece));
    assert_eq!(scanner.finish(), head);
    let _ = Parts::of(bytes);
    // Of a message that is valid and has each key once, the scan says what a parser says.
    let Some(members) = unique(bytes) else { return };
    let whole: Option<Value> = serde_json::from_slice(bytes).ok();
    let Some(whole) = whole else { return };
    let raw =
        |key: &str| members.iter().find(|(name, _)| name == key).map(|(_, value): &(String, Box<RawValue>)| value);
    if let Some(method) =
        whole.get("method").and_then(Value::as_str).filter(|_| raw("method").is_some_and(|raw| raw.get().len() <= 256))
    {
        assert_eq!(head.method(), Some(method));
    }
    let is_id = |id: &&str| id.len() <= 4096 && id.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit());
    let id = raw("id").map(|raw| raw.get()).filter(is_id);
    if let Some(id) = id {
        assert_eq!(head.id(), Some(id.as_bytes()));
    }
    if whole.get("method").is_none() && id.is_some() && whole.get("result").is_some() {
        assert_eq!(head.kind(), Kind::Response);
    }
});
