//! Notifications: what a session brings by itself, and this era on a stream that is asked for.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::super::members::Members;
use super::{Bridge, Open, subscription, uris};
use crate::jsonrpc::Parts;
use crate::transport::Message;

impl Bridge {
    /// The client wants notifications.
    pub(super) async fn listen(&mut self, id: &[u8], params: &Members) -> Open {
        let wanted = params.object("notifications").unwrap_or_default();
        for uri in uris(&wanted) {
            let mut params = Members::default();
            params.put("uri", &uri);
            self.ask("resources/subscribe", &params).await?;
        }
        let mut params = Members::default();
        params.set("_meta", subscription(id).raw());
        params.set("notifications", wanted.raw());
        let line = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{}}}\n",
            params.raw().get()
        );
        self.listening.insert(id.to_vec(), wanted);
        self.tell(line.into(), Some(Bytes::copy_from_slice(id))).await
    }

    pub(super) async fn notified(&mut self, message: &Message, method: &str) -> Open {
        let kind = match method {
            "notifications/tools/list_changed" => Some("toolsListChanged"),
            "notifications/prompts/list_changed" => Some("promptsListChanged"),
            "notifications/resources/list_changed" => Some("resourcesListChanged"),
            "notifications/resources/updated" => None,
            "notifications/cancelled" => {
                self.withdrawn(&message.line);
                return Some(());
            }
            "notifications/message" if !self.calls.values().any(|going| going.wants_log) => return Some(()),
            _ => {
                let about = message.about.as_ref().and_then(|about| self.calls.get(about.as_ref())?.front.clone());
                return self.tell(message.line.clone(), about.map(Bytes::from)).await;
            }
        };
        let mut params = Parts::of(&message.line).ok().and_then(|parts| Members::of(parts.params?)).unwrap_or_default();
        let uri = params.text("uri").unwrap_or_default();
        let wants = |wanted: &Members| match kind {
            Some(kind) => wanted.get(kind).is_some_and(|wants| wants.get() == "true"),
            None => uris(wanted).contains(&uri),
        };
        let listeners: Vec<Vec<u8>> =
            self.listening.iter().filter(|(_, wanted)| wants(wanted)).map(|(id, _)| id.clone()).collect();
        for id in listeners {
            let mut meta = params.object("_meta").unwrap_or_default();
            meta.extend(subscription(&id));
            params.set("_meta", meta.raw());
            let method = serde_json::Value::from(method);
            let line = format!("{{\"jsonrpc\":\"2.0\",\"method\":{method},\"params\":{}}}\n", params.raw().get());
            self.tell(line.into(), Some(id.into())).await?;
        }
        Some(())
    }

    /// The server's log is set for all; a request that names no level gets none of it.
    pub(super) async fn log_at(&mut self, level: &RawValue) -> Open {
        let has_log = self.server.object("capabilities").is_some_and(|has| has.get("logging").is_some());
        if !has_log || self.level.as_deref() == Some(level.get()) {
            return Some(());
        }
        self.level = Some(level.get().to_owned());
        let mut params = Members::default();
        params.set("level", level.to_owned());
        self.ask("logging/setLevel", &params).await
    }
}
