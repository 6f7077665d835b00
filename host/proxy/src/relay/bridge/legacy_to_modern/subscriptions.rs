//! Notifications: what a session brings by itself, and the modern era on a stream that is asked for.

use mcp::{RawObject, method, request_line};

use super::{LegacyToModern, Open};

impl LegacyToModern {
    /// Asks the server for the notifications that a session would bring.
    pub(super) async fn listen(&mut self) -> Open {
        let capabilities = self.discovered.object("capabilities").unwrap_or_default();
        let has = |of: &str, what: &str| {
            capabilities.object(of).is_some_and(|of| of.get(what).is_some_and(|has| has.get() == "true"))
        };
        let mut wanted = RawObject::default();
        for (of, what) in
            [("tools", "toolsListChanged"), ("prompts", "promptsListChanged"), ("resources", "resourcesListChanged")]
        {
            if has(of, "listChanged") {
                wanted.put(what, &true);
            }
        }
        if !self.subscribed.is_empty() {
            wanted.put("resourceSubscriptions", &self.subscribed);
        }
        if let Some(old) = self.listening.take() {
            self.send_to_server(self.cancellation(&old)).await?;
        }
        if wanted.is_empty() {
            return Some(());
        }
        let id = self.new_id();
        let mut params = RawObject::default();
        params.set("_meta", self.meta.raw());
        params.set("notifications", wanted.raw());
        let line = request_line(&id, method::SUBSCRIPTIONS_LISTEN, &params);
        self.listening = Some(id);
        self.send_to_server(line).await
    }
}
