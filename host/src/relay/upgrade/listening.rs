//! Notifications: what a session brings by itself, and this era on a stream that is asked for.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::edit;
use super::super::members::Members;
use super::{Bridge, Going, Open, subscription, uris};
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
            "notifications/message" => return self.logged(message).await,
            "notifications/progress" => return self.progressed(message).await,
            _ => {
                let about = self.about(message);
                return self.tell(message.line.clone(), about).await;
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

    /// The client's request that a notification belongs to, if the transport tells.
    pub(super) fn about(&self, message: &Message) -> Option<Bytes> {
        let front = message.about.as_ref().and_then(|about| self.calls.get(about.as_ref())?.front.as_ref());
        front.map(|front| Bytes::copy_from_slice(front))
    }

    /// Progress of a call; by the token of the client's latest request for it, if the call was parked since the server got its own.
    async fn progressed(&mut self, message: &Message) -> Open {
        let is_of = |going: &&Going, token: &str| going.token.as_ref().is_some_and(|own| own.get() == token);
        let told = Parts::of(&message.line).ok().and_then(|parts| token(parts.params?));
        let going = told.and_then(|told| self.calls.values().find(|going| is_of(going, told.get())));
        let line = match (told, going.and_then(|going| going.newest_token.as_ref())) {
            (Some(told), Some(newest)) => edit::replace(&message.line, told, newest.get().as_bytes()),
            _ => message.line.clone(),
        };
        self.tell(line, self.about(message)).await
    }
}

/// `progressToken`
fn token(params: &RawValue) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Progress<'a> {
        #[serde(borrow, rename = "progressToken")]
        token: &'a RawValue,
    }
    serde_json::from_str::<Progress>(params.get()).ok().map(|progress| progress.token)
}
