//! A client of the modern era has said its first: which era does the server speak?
//!
//! `server/discover` tells. The client asks that itself, or we do. A result, or an error of the modern era (-32020 to -32022), means that the
//! server speaks it; any other error, or silence, that it wants `initialize`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::members::Members;
use super::outlet::Outlet;
use super::{Terms, modern, rounds, upgrade};
use crate::config::Sampling;
use crate::jsonrpc::{ErrorObject, Head, Kind, Parts};
use crate::sampling::Sampler;
use crate::transport::{Incoming, Message, Side};

/// The method that tells.
pub(super) const DISCOVER: &str = "server/discover";

/// Our id for it.
const PROBE: &[u8] = b"\"understudy-discover\"";

/// How long a server may take to answer it. The SDKs' clients wait as long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Relays for a modern client.
pub(super) async fn meet(
    front: Side,
    mut back: Side,
    by: (Sampling, Arc<Sampler>),
    terms: Terms,
    (first, ended): (Message, CancellationToken),
) {
    let meta = modern::meta(&first.line).unwrap_or_default();
    let to_front = Outlet::new(front.outgoing.clone());
    match discover(&back.outgoing, &mut back.incoming, &to_front, &meta).await {
        Some(_) => modern::run(front, back, by, terms, (first, ended)).await,
        None => upgrade::run(front, back, by, terms, first).await,
    }
}

/// What a server says of itself; `None` if it doesn't speak the modern era.
pub(super) async fn discover(
    to_back: &mpsc::Sender<Message>,
    from_back: &mut mpsc::Receiver<Incoming>,
    to_front: &Outlet,
    meta: &Members,
) -> Option<Members> {
    let mut params = Members::default();
    params.set("_meta", meta.raw());
    to_back.send(rounds::request(PROBE, DISCOVER, &params).into()).await.ok()?;
    let answer = async {
        while let Some(incoming) = from_back.recv().await {
            let Incoming::Message(message) = incoming else { continue };
            let head = Head::of(&message.line);
            if head.kind() == Kind::Response && matches!(head.id(), Some(PROBE)) {
                return Some(message.line);
            }
            // Whatever else it says is the client's.
            to_front.send(message).await;
        }
        None
    };
    let line = tokio::time::timeout(PATIENCE, answer).await.ok()??;
    spoken(&line)
}

/// What an answer to `server/discover` tells.
fn spoken(line: &Bytes) -> Option<Members> {
    let parts = Parts::of(line).ok()?;
    if let Some(error) = parts.error {
        return is_modern(&error).then(Members::default);
    }
    let result = Members::of(parts.result?)?;
    let versions: Vec<String> = result.get("supportedVersions").and_then(|raw| serde_json::from_str(raw.get()).ok())?;
    versions.iter().any(|version| version == modern::VERSION).then_some(result)
}

/// Whether an error is one that only the modern era has (2026-07-28, "Errors"), and of a server that speaks it: one that knows the error for
/// unknown revisions may know earlier revisions alone.
pub(super) fn is_modern(error: &ErrorObject) -> bool {
    match error.code {
        -32021 | -32020 => true,
        -32022 => error.data.get("supported").and_then(Value::as_array).is_none_or(|supported| {
            supported.iter().filter_map(Value::as_str).any(|version| version >= modern::VERSION)
        }),
        _ => false,
    }
}

/// `_meta` of a request of the modern era.
pub(super) fn meta(client: Option<&RawValue>, capabilities: Option<&RawValue>) -> Members {
    let mut meta = Members::default();
    meta.put(modern::VERSION_KEY, &modern::VERSION);
    if let Some(client) = client {
        meta.set(modern::CLIENT_KEY, client.to_owned());
    }
    match capabilities {
        Some(capabilities) => meta.set(modern::CAPABILITIES_KEY, capabilities.to_owned()),
        None => meta.put(modern::CAPABILITIES_KEY, &serde_json::json!({})),
    }
    meta
}

/// `_meta` of a request of our own.
pub(super) fn own_meta() -> Members {
    let client = serde_json::json!({ "name": "understudy", "version": env!("CARGO_PKG_VERSION") });
    let client = serde_json::value::to_raw_value(&client).ok();
    meta(client.as_deref(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_the_era() {
        let tells = |answer: &str| spoken(&Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,{answer}}}"#))).is_some();
        assert!(tells(r#""result":{"supportedVersions":["2026-07-28"],"capabilities":{}}"#));
        assert!(tells(r#""error":{"code":-32021,"message":"missing capability"}"#));
        assert!(tells(r#""error":{"code":-32022,"message":"no","data":{"supported":["2025-11-25","2026-07-28"]}}"#));
        assert!(tells(r#""error":{"code":-32022,"message":"no"}"#));
        for legacy in [
            r#""result":{"supportedVersions":["2027-01-01"]}"#,
            r#""result":{}"#,
            r#""error":{"code":-32022,"message":"no","data":{"supported":["2025-06-18","2025-11-25"]}}"#,
            r#""error":{"code":-32601,"message":"Method not found"}"#,
            r#""error":{"code":-32602,"message":"Invalid request parameters"}"#,
        ] {
            assert!(!tells(legacy), "{legacy}");
        }
    }
}
