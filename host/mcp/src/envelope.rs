//! The envelope of a stateless request: what it says of itself in `params._meta` (2026-07-28, basic, "Request Metadata").

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::{Parts, present};
use crate::meta;
use crate::raw_object::RawObject;
use crate::revision::{Era, LATEST_STATELESS};

/// The envelope of a message, parsed once; its parts share the message's memory.
///
/// A message with an envelope is of the stateless era, whatever its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The revision; `None` if a key of the envelope is there twice, or the value is no string.
    pub version: Option<String>,
    /// What the client can do, as spelt; `None` if the key is absent, or a key of the envelope is there twice. May be `null`.
    pub capabilities: Option<Bytes>,
    /// All of `_meta`, as spelt.
    pub meta: Bytes,
}

impl Envelope {
    /// Reads the envelope of a message; `None` if it has none, as messages of the stateful era have none.
    #[must_use]
    pub fn of(line: &Bytes) -> Option<Self> {
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(borrow, rename = "_meta", default, deserialize_with = "present")]
            meta: Option<&'a RawValue>,
        }
        #[derive(Deserialize, Default)]
        struct Once<'a> {
            #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion", default, deserialize_with = "present")]
            version: Option<&'a RawValue>,
            #[serde(
                borrow,
                rename = "io.modelcontextprotocol/clientCapabilities",
                default,
                deserialize_with = "present"
            )]
            capabilities: Option<&'a RawValue>,
        }
        memchr::memmem::find(line, meta::NAMESPACE.as_bytes())?;
        let params: Params = serde_json::from_str(Parts::of(line).ok()?.params?.get()).ok()?;
        let raw = params.meta?;
        let once = match serde_json::from_str::<Once>(raw.get()) {
            Ok(once) => once.version.is_some().then_some(once)?,
            // A key is there twice.
            Err(_) => RawObject::of(raw)?.get(meta::PROTOCOL_VERSION).map(|_| Once::default())?,
        };
        Some(Self {
            version: once.version.and_then(|version| serde_json::from_str(version.get()).ok()),
            capabilities: once.capabilities.map(|value| line.slice_ref(value.get().as_bytes())),
            meta: line.slice_ref(raw.get().as_bytes()),
        })
    }

    /// Whether the revision is one that is spoken here.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        self.version.as_deref().and_then(Era::of) == Some(Era::Stateless)
    }

    /// The capabilities as a part of the line that the envelope was read from.
    #[must_use]
    pub fn raw_capabilities(&self) -> Option<&RawValue> {
        serde_json::from_slice(self.capabilities.as_ref()?).ok()
    }

    /// `_meta`, to be changed.
    #[must_use]
    pub fn members(&self) -> RawObject {
        serde_json::from_slice(&self.meta).unwrap_or_default()
    }
}

/// `_meta` of a request of the newest stateless revision, for a client of this name and these capabilities (none if absent).
#[must_use]
pub fn request_meta(client_info: Option<&RawValue>, capabilities: Option<&RawValue>) -> RawObject {
    let mut all = RawObject::default();
    all.put(meta::PROTOCOL_VERSION, &LATEST_STATELESS);
    if let Some(client_info) = client_info {
        all.set(meta::CLIENT_INFO, client_info.to_owned());
    }
    match capabilities {
        Some(capabilities) => all.set(meta::CLIENT_CAPABILITIES, capabilities.to_owned()),
        None => all.put(meta::CLIENT_CAPABILITIES, &RawObject::default()),
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Envelope> {
        Envelope::of(&Bytes::copy_from_slice(line.as_bytes()))
    }

    #[test]
    fn an_envelope_is_known_by_its_place_however_it_is_spelt() {
        let key = "io.modelcontextprotocol";
        let whole = of(&format!(
            r#"{{"params":{{"_meta":{{"{key}\/protocolVersion":"2026-07-28", "{key}/clientCapabilities": {{ "x":1.0 }}}}}}}}"#
        ));
        let whole = whole.unwrap();
        assert!(whole.is_supported());
        assert_eq!(whole.capabilities.as_deref(), Some(&b"{ \"x\":1.0 }"[..]));
        assert_eq!(whole.members().iter().count(), 2);
        for line in [
            format!(r#"{{"params":{{"x":{{"{key}/protocolVersion":"2026-07-28"}}}}}}"#),
            format!(r#"{{"params":{{"_meta":{{"{key}/clientInfo":{{}}}}}}}}"#),
            format!(r#"{{"params":["{key}/protocolVersion"]}}"#),
            r#"{"params":{"_meta":{"progressToken":1}}}"#.to_owned(),
            "{}".to_owned(),
        ] {
            assert_eq!(of(&line), None, "{line}");
        }
    }

    #[test]
    fn what_two_readers_may_read_differently_is_not_taken() {
        let key = "io.modelcontextprotocol/protocolVersion";
        for meta in [
            format!(r#""{key}":"2026-07-28","{key}":"2025-11-25""#),
            format!(r#""{key}":7"#),
            format!(r#""{key}":null"#),
        ] {
            let envelope = of(&format!(r#"{{"params":{{"_meta":{{{meta}}}}}}}"#)).unwrap();
            assert_eq!((envelope.version.clone(), envelope.is_supported()), (None, false), "{meta}");
        }
    }

    #[test]
    fn the_capabilities_are_a_part_of_the_line() {
        let line = Bytes::from_static(
            br#"{"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
        );
        let envelope = Envelope::of(&line).unwrap();
        let edited = crate::splice::replace(&line, envelope.raw_capabilities().unwrap(), b"null");
        assert!(edited.ends_with(b"clientCapabilities\":null}}}"), "{edited:?}");
    }
}
