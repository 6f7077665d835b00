//! Notifications: what a session brings by itself, and this era on a stream that is asked for.

use bytes::Bytes;
use mcp::build::notification_line;
use mcp::field::{self, Field};
use mcp::{Parts, RawObject, method, notification, splice};

use super::{LegacyCall, ModernToLegacy, Open, subscription, uris};
use crate::transport::Message;

impl ModernToLegacy {
    /// The client wants notifications.
    pub(super) async fn listen(&mut self, id: &[u8], params: &RawObject) -> Open {
        let wanted = params.object("notifications").unwrap_or_default();
        for uri in uris(&wanted) {
            let mut params = RawObject::default();
            params.put("uri", &uri);
            self.ask(method::RESOURCES_SUBSCRIBE, &params).await?;
        }
        let mut params = RawObject::default();
        params.set("_meta", subscription(id).raw());
        params.set("notifications", wanted.raw());
        let line = notification_line(notification::SUBSCRIPTIONS_ACKNOWLEDGED, &params);
        self.listening.insert(id.to_vec(), wanted);
        self.send_to_client(line, Some(Bytes::copy_from_slice(id))).await
    }

    pub(super) async fn notified(&mut self, message: &Message, method: &str) -> Open {
        let kind = match method {
            notification::TOOLS_LIST_CHANGED => Some("toolsListChanged"),
            notification::PROMPTS_LIST_CHANGED => Some("promptsListChanged"),
            notification::RESOURCES_LIST_CHANGED => Some("resourcesListChanged"),
            notification::RESOURCES_UPDATED => None,
            notification::CANCELLED => {
                self.withdrawn(&message.line);
                return Some(());
            }
            notification::MESSAGE => return self.logged(message).await,
            notification::PROGRESS => return self.progressed(message).await,
            _ => {
                let related_request_id = self.related_request_id(message);
                return self.send_to_client(message.line.clone(), related_request_id).await;
            }
        };
        let mut params =
            Parts::of(&message.line).ok().and_then(|parts| RawObject::of(parts.params?)).unwrap_or_default();
        let uri = params.text("uri").unwrap_or_default();
        let wants = |wanted: &RawObject| match kind {
            Some(kind) => wanted.get(kind).is_some_and(|wants| wants.get() == "true"),
            None => uris(wanted).contains(&uri),
        };
        let listeners: Vec<Vec<u8>> =
            self.listening.iter().filter(|(_, wanted)| wants(wanted)).map(|(id, _)| id.clone()).collect();
        for id in listeners {
            let mut meta = params.object("_meta").unwrap_or_default();
            meta.extend(subscription(&id));
            params.set("_meta", meta.raw());
            self.send_to_client(notification_line(method, &params), Some(id.into())).await?;
        }
        Some(())
    }

    /// The client's request that a notification belongs to, if the transport tells.
    pub(super) fn related_request_id(&self, message: &Message) -> Option<Bytes> {
        let front = message
            .related_request_id
            .as_ref()
            .and_then(|related_request_id| self.calls.get(related_request_id.as_ref())?.front.as_ref());
        front.map(|front| Bytes::copy_from_slice(front))
    }

    /// Progress of a call; by the token of the client's latest request for it, if the call was parked since the server got its own.
    async fn progressed(&mut self, message: &Message) -> Open {
        let is_of = |going: &&LegacyCall, token: &str| going.token.as_ref().is_some_and(|own| own.get() == token);
        let told = field::find(&message.line, Field::ProgressToken);
        let going = told.and_then(|told| self.calls.values().find(|going| is_of(going, told.get())));
        let line = match (told, going.and_then(|going| going.newest_token.as_ref())) {
            (Some(told), Some(newest)) => splice::replace(&message.line, told, newest.get().as_bytes()),
            _ => message.line.clone(),
        };
        self.send_to_client(line, self.related_request_id(message)).await
    }
}
