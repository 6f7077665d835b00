//! What a model's thinking is bound to: `system`, `tools` and everything that stands before it ("Prefix checks on thinking
//! blocks").
//!
//! Newer models refuse thinking of which that has changed. A server may change it in every round, and knows nothing of the
//! thinking in `_meta`. So each answer's thinking is kept with the digest of what was sent before it, and goes back only if
//! the same is sent again.

use std::io;

use serde::{Deserialize, Serialize};
use understudy_plugin::error::other;
use understudy_plugin::types::Error;

/// A digest of JSON, as it is written: FNV-1a of 64 bits. It finds what changed, not who changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Digest(u64);

impl Digest {
    /// The digest of nothing.
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// The digest of what was before, and this after it. However the server spells the JSON of a block that it gives back,
    /// the digest is the same.
    pub(crate) fn and(mut self, value: &(impl Serialize + ?Sized)) -> Result<Self, Error> {
        let written = match serde_json::to_value(value) {
            Ok(read) => serde_json::to_writer(&mut self, &read),
            // Numbers such as 1e400.
            Err(_) => serde_json::to_writer(&mut self, value),
        };
        written.map_err(|e| other(format!("the request can't be written as JSON: {e}")))?;
        Ok(self)
    }

    /// As it stands in `_meta`: a number of JSON would not be whole everywhere.
    pub(crate) fn in_words(self) -> String {
        format!("{:016x}", self.0)
    }
}

impl io::Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::Digest;

    #[test]
    fn spelling_does_not_count_and_all_else_does() {
        let digest = |json: &str| {
            let raw = RawValue::from_string(json.to_owned()).unwrap_or_default();
            Digest::new().and(&raw).ok().map(Digest::in_words)
        };
        assert_eq!(digest(r#"{"a": "\u00e4", "b": [1]}"#), digest(r#"{"a":"ä","b":[1]}"#));
        assert_ne!(digest(r#"{"a": "b"}"#), digest(r#"{"a": "c"}"#));
        assert!(digest("1e400").is_some());
    }
}
