//! What the server is doing: its instructions, and the calls of its tools that are going on. Kept only where the config asks for
//! it: what may be attached to a server's request (`context`), or when it may ask at all (`tools`).
//!
//! Where several clients share the server, a request is attached the call that the transport assigns it to, and no other; and `tools` must name
//! the tool of every call that is going on, since each of them may be the cause.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mcp::{Head, Kind, Parts, batch, cancelled_id, ids, method, notification};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::common::Clients;
use understudy::sampling::{Context, ToolCall};

/// So many calls that are going on are remembered; of more, the first ones.
const MOST_CALLS: usize = 4096;

/// So many of them are attached.
const MOST_ATTACHED: usize = 16;

/// What one server is doing.
#[derive(Debug, Default)]
pub(super) struct ServerActivity {
    state: Mutex<ActivityState>,
    clients: Clients,
}

#[derive(Debug, Default)]
struct ActivityState {
    /// The id of the client's `initialize`, until it is answered.
    initialize: Option<Vec<u8>>,
    instructions: Option<String>,
    /// By the id that the client gave each.
    calls: Vec<(Vec<u8>, ToolCall)>,
}

impl ServerActivity {
    /// Those of a server that these clients have.
    pub(super) fn of(clients: Clients) -> Self {
        Self { state: Mutex::default(), clients }
    }

    /// What may be attached now to a request that the transport assigns to the call `related_request_id`, if to any.
    pub(super) fn context(&self, related_request_id: Option<&[u8]>) -> Context {
        let state = self.lock();
        let is_own = |id: &[u8]| !self.clients.are_several() || related_request_id == Some(id);
        let calls = state.calls.iter().filter(|(id, _)| is_own(id)).take(MOST_ATTACHED);
        let calls = calls.map(|(_, call)| call.clone()).collect();
        Context { instructions: state.instructions.clone(), calls }
    }

    /// Whether one of these tools is being called; with several clients, whether no other one is.
    pub(super) fn calls_one_of(&self, tools: &[String]) -> bool {
        let state = self.lock();
        let mut called = state.calls.iter().map(|(_, call)| tools.contains(&call.tool));
        if self.clients.are_several() {
            // Of more calls than are remembered, some tool may be another one.
            return !state.calls.is_empty() && state.calls.len() < MOST_CALLS && called.all(|is_one| is_one);
        }
        called.any(|is_one| is_one)
    }

    /// A message of the client's.
    pub(super) fn client_says(&self, line: &Bytes, head: &Head) {
        match (head.kind(), head.method(), head.id()) {
            (Kind::Request, Some(method::INITIALIZE), Some(id)) => self.lock().initialize = Some(id.to_vec()),
            (Kind::Request, Some(method::TOOLS_CALL), Some(id)) => {
                let mut state = self.lock();
                if state.calls.len() < MOST_CALLS {
                    state.calls.extend(call(line).map(|call| (id.to_vec(), call)));
                }
            }
            (Kind::Notification, Some(notification::CANCELLED), _) => {
                if let Some(id) = cancelled_id(line) {
                    self.lock().calls.retain(|(call, _)| ids::key(call) != ids::key(&id));
                }
            }
            (Kind::Batch, ..) => each(line, head, |part, head| self.client_says(part, head)),
            _ => {}
        }
    }

    /// A message of the server's.
    pub(super) fn server_says(&self, line: &Bytes, head: &Head) {
        let (Kind::Response, Some(id)) = (head.kind(), head.id()) else {
            if head.kind() == Kind::Batch {
                each(line, head, |part, head| self.server_says(part, head));
            }
            return;
        };
        let mut state = self.lock();
        if state.initialize.as_deref() == Some(id) {
            state.initialize = None;
            state.instructions = instructions(line);
        } else {
            state.calls.retain(|(call, _)| call != id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, ActivityState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages of a batch.
fn each(line: &Bytes, head: &Head, mut says: impl FnMut(&Bytes, &Head)) {
    for (part, head) in batch::messages(line, head) {
        // There are no batches of batches.
        if head.kind() != Kind::Batch {
            says(&part, &head);
        }
    }
}

fn call(line: &[u8]) -> Option<ToolCall> {
    #[derive(Deserialize)]
    struct ToolCallParams<'a> {
        name: String,
        #[serde(borrow, default)]
        arguments: Option<&'a RawValue>,
    }
    let call: ToolCallParams = serde_json::from_str(Parts::of(line).ok()?.params?.get()).ok()?;
    Some(ToolCall::new(&call.name, call.arguments.map_or("{}", RawValue::get)))
}

fn instructions(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Initialized {
        #[serde(default)]
        instructions: Option<String>,
    }
    let result: Initialized = serde_json::from_str(Parts::of(line).ok()?.result?.get()).ok()?;
    result.instructions.as_deref().map(Context::excerpt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(activity: &ServerActivity, line: &'static str) {
        activity.client_says(&Bytes::from_static(line.as_bytes()), &Head::of(line.as_bytes()));
    }

    fn server(activity: &ServerActivity, line: &'static str) {
        activity.server_says(&Bytes::from_static(line.as_bytes()), &Head::of(line.as_bytes()));
    }

    fn tools(activity: &ServerActivity) -> Vec<String> {
        activity.context(None).calls.into_iter().map(|call| format!("{} {}", call.tool, call.arguments)).collect()
    }

    #[test]
    fn calls_are_known_while_they_go_on() {
        let activity = ServerActivity::default();
        client(&activity, r#"{"id":0,"method":"initialize","params":{}}"#);
        server(&activity, r#"{"id":0,"result":{"instructions":"Be brief."}}"#);
        client(&activity, r#"{"id":1,"method":"tools/call","params":{"name":"a","arguments":{"n": 1.0}}}"#);
        client(&activity, r#"{"id":"1","method":"tools/call","params":{"name":"b"}}"#);
        client(&activity, r#"{"id":2,"method":"tools/call","params":{"name":"c"}}"#);
        client(&activity, r#"{"id":3,"method":"tools/call","params":{"nome":"d"}}"#);
        client(&activity, r#"{"id":4,"method":"tools/list"}"#);
        assert_eq!(activity.context(None).instructions.as_deref(), Some("Be brief."));
        assert_eq!(tools(&activity), [r#"a {"n": 1.0}"#, "b {}", "c {}"]);
        server(&activity, r#"{"id":1,"error":{"code":1,"message":""}}"#);
        client(&activity, r#"{"method":"notifications/cancelled","params":{"requestId":"1"}}"#);
        assert_eq!(tools(&activity), ["c {}"]);
        client(&activity, r#"[{"id":7,"method":"tools/call","params":{"name":"e"}}, {"id":8,"method":"ping"}, [1]]"#);
        assert!(activity.calls_one_of(&["x".to_owned(), "e".to_owned()]) && !activity.calls_one_of(&["a".to_owned()]));
        server(&activity, r#"[{"id":7,"result":{}}]"#);
        // The server's own requests have ids of their own.
        server(&activity, r#"{"id":2,"method":"ping"}"#);
        assert_eq!(tools(&activity), ["c {}"]);
        server(&activity, r#"{"id":2,"result":{"instructions":"others"}}"#);
        assert_eq!(tools(&activity), Vec::<String>::new());
        assert_eq!(activity.context(None).instructions.as_deref(), Some("Be brief."));
    }

    #[test]
    fn of_several_clients_calls_only_the_requests_own_is_attached() {
        let activity = ServerActivity::of(Clients::Several { told: true });
        client(&activity, r#"{"id":1,"method":"tools/call","params":{"name":"a","arguments":{"secret":1}}}"#);
        assert!(activity.calls_one_of(&["a".to_owned()]));
        client(&activity, r#"{"id":2,"method":"tools/call","params":{"name":"b"}}"#);
        let attached = |related_request_id: Option<&[u8]>| {
            activity.context(related_request_id).calls.into_iter().map(|call| call.tool).collect()
        };
        let (none, own, stranger): (Vec<_>, Vec<_>, Vec<_>) =
            (attached(None), attached(Some(b"2")), attached(Some(b"3")));
        assert_eq!((none.len(), own, stranger.len()), (0, vec!["b".to_owned()], 0));
        // Either call may be why the server asks.
        assert!(!activity.calls_one_of(&["a".to_owned()]));
        assert!(activity.calls_one_of(&["b".to_owned(), "a".to_owned()]));
    }
}
