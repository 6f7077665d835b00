//! Method names of requests, and of notifications in [`notification`](crate::notification).

/// Begins a session (until 2025-11-25).
pub const INITIALIZE: &str = "initialize";
/// Asks for a sign of life (until 2025-11-25).
pub const PING: &str = "ping";
/// Asks which revisions and capabilities a server has (since 2026-07-28).
pub const SERVER_DISCOVER: &str = "server/discover";
/// Lists tools.
pub const TOOLS_LIST: &str = "tools/list";
/// Calls a tool.
pub const TOOLS_CALL: &str = "tools/call";
/// Gets a prompt.
pub const PROMPTS_GET: &str = "prompts/get";
/// Reads a resource.
pub const RESOURCES_READ: &str = "resources/read";
/// Subscribes to updates of a resource (until 2025-11-25).
pub const RESOURCES_SUBSCRIBE: &str = "resources/subscribe";
/// Ends such a subscription.
pub const RESOURCES_UNSUBSCRIBE: &str = "resources/unsubscribe";
/// Completes an argument.
pub const COMPLETION_COMPLETE: &str = "completion/complete";
/// Sets the level of a session's log (until 2025-11-25).
pub const LOGGING_SET_LEVEL: &str = "logging/setLevel";
/// Asks for notifications on the request's own stream (since 2026-07-28).
pub const SUBSCRIPTIONS_LISTEN: &str = "subscriptions/listen";
/// A server asks its client for a completion.
pub const SAMPLING_CREATE_MESSAGE: &str = "sampling/createMessage";
/// A server asks the user something.
pub const ELICITATION_CREATE: &str = "elicitation/create";
/// A server asks for the client's roots.
pub const ROOTS_LIST: &str = "roots/list";
/// The state of a task (2025-11-25).
pub const TASKS_GET: &str = "tasks/get";
/// The result of a task (2025-11-25).
pub const TASKS_RESULT: &str = "tasks/result";
/// Lists tasks (2025-11-25).
pub const TASKS_LIST: &str = "tasks/list";
/// Cancels a task (2025-11-25).
pub const TASKS_CANCEL: &str = "tasks/cancel";
/// How the methods of tasks begin.
pub const TASKS_PREFIX: &str = "tasks/";
/// How the methods that list something end.
pub const LIST_SUFFIX: &str = "/list";

/// The requests that a server may answer with `input_required` (2026-07-28, basic/patterns/mrtr).
pub const MULTI_ROUND: [&str; 3] = [TOOLS_CALL, PROMPTS_GET, RESOURCES_READ];

/// What a server may require from its client, beside sampling.
pub const OTHER_INPUTS: [&str; 2] = [ELICITATION_CREATE, ROOTS_LIST];

/// The parameter that the header `Mcp-Name` repeats, if requests of this method have one (2026-07-28, basic/transports/streamable-http, "Standard
/// Request Headers").
#[must_use]
pub fn name_parameter(method: &str) -> Option<&'static str> {
    match method {
        TOOLS_CALL | PROMPTS_GET => Some("name"),
        RESOURCES_READ => Some("uri"),
        _ => None,
    }
}
