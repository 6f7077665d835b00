//! Method names of notifications.

/// How all of them begin.
pub const PREFIX: &str = "notifications/";
/// The client's last word of a session's handshake (until 2025-11-25).
pub const INITIALIZED: &str = "notifications/initialized";
/// A request is given up by its sender. Over HTTP a stateless client closes the stream instead.
pub const CANCELLED: &str = "notifications/cancelled";
/// How far a request has come.
pub const PROGRESS: &str = "notifications/progress";
/// A line of a server's log.
pub const MESSAGE: &str = "notifications/message";
/// The list of tools has changed.
pub const TOOLS_LIST_CHANGED: &str = "notifications/tools/list_changed";
/// The list of prompts has changed.
pub const PROMPTS_LIST_CHANGED: &str = "notifications/prompts/list_changed";
/// The list of resources has changed.
pub const RESOURCES_LIST_CHANGED: &str = "notifications/resources/list_changed";
/// A resource has changed.
pub const RESOURCES_UPDATED: &str = "notifications/resources/updated";
/// The client's list of roots has changed.
pub const ROOTS_LIST_CHANGED: &str = "notifications/roots/list_changed";
/// A server has taken up a `subscriptions/listen` (since 2026-07-28).
pub const SUBSCRIPTIONS_ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
