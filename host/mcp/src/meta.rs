//! Keys of `_meta`.

/// The revision of a request (since 2026-07-28).
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Who the client is (since 2026-07-28).
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// What the client can do (since 2026-07-28).
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Who the server is (since 2026-07-28).
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// The least level of log lines that a request wants (since 2026-07-28).
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The `subscriptions/listen` that a notification belongs to (since 2026-07-28).
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// The task that a result belongs to (2025-11-25).
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
/// By which a receiver tells the request's sender how far it has come.
pub const PROGRESS_TOKEN: &str = "progressToken";

/// How the protocol's own keys begin, up to the slash, which JSON may escape.
pub const NAMESPACE: &str = "io.modelcontextprotocol";
