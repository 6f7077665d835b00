//! What the server is doing: its instructions, and the calls of its tools that are going on. Kept only where the config asks for
//! it: what may be attached to a server's request (`context`), when it may ask at all (`tools`), or what is written down of it (`ledger`).
//!
//! Where several clients share the server, a request is attached the call that the transport assigns it to, and no other; and `tools` must name
//! the tool of every call that is going on, since each of them may be the cause.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mcp::{Head, Kind, Parts, RawObject, batch, cancelled_id, ids, method, notification};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::allowance::call_id;
use super::common::Clients;
use understudy::sampling::{CallInProgress, Circumstances, Context, ToolCall};

/// So many calls that are going on are remembered; of more, the first ones.
const MOST_CALLS: usize = 4096;

/// So many characters of a client's name are kept.
const LONGEST_NAME: usize = 200;

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
    /// The client's name, as it says; none where several share the server.
    client: Option<String>,
    calls: Vec<KnownCall>,
    /// The ids of prompts and resources that are being asked for, as the client spelt them.
    others: Vec<Vec<u8>>,
}

impl ActivityState {
    /// A request of the client's is over.
    fn end(&mut self, is_it: impl Fn(&[u8]) -> bool) {
        self.calls.retain(|known| !is_it(&known.id));
        self.others.retain(|known| !is_it(known));
    }
}

/// A call that is going on.
#[derive(Debug)]
struct KnownCall {
    /// As the client spelt it.
    id: Vec<u8>,
    /// A random number, so that no other call has the same name.
    number: u64,
    call: ToolCall,
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
        let calls = state.calls.iter().filter(|known| is_own(&known.id)).take(MOST_ATTACHED);
        let calls = calls.map(|known| known.call.clone()).collect();
        Context { instructions: state.instructions.clone(), calls }
    }

    /// The client, and the call that a request belongs to: the one that the transport assigns it to, else the only one that is going on.
    pub(super) fn circumstances(&self, related_request_id: Option<&[u8]>) -> Circumstances {
        let state = self.lock();
        let own = related_request_id.and_then(|id| state.calls.iter().find(|known| known.id == id));
        let only = match state.calls.as_slice() {
            [only] if !self.clients.are_several() => Some(only),
            _ => None,
        };
        let call =
            own.or(only).map(|known| CallInProgress { id: call_id(known.number), tool: known.call.tool.clone() });
        // Where several clients share the server, a request belongs to a call only if the transport says so.
        let may_be_in_call = if self.clients.are_several() {
            related_request_id.is_some_and(|id| state.others.iter().any(|known| known == id))
        } else {
            !(state.calls.is_empty() && state.others.is_empty())
        };
        Circumstances { client: state.client.clone(), call, may_be_in_call }
    }

    /// Whether one of these tools is being called; with several clients, whether no other one is.
    pub(super) fn calls_one_of(&self, tools: &[String]) -> bool {
        let state = self.lock();
        let mut called = state.calls.iter().map(|known| tools.contains(&known.call.tool));
        if self.clients.are_several() {
            // Of more calls than are remembered, some tool may be another one.
            return !state.calls.is_empty() && state.calls.len() < MOST_CALLS && called.all(|is_one| is_one);
        }
        called.any(|is_one| is_one)
    }

    /// A message of the client's.
    pub(super) fn client_says(&self, line: &Bytes, head: &Head) {
        match (head.kind(), head.method(), head.id()) {
            (Kind::Request, Some(method::INITIALIZE), Some(id)) => {
                let mut state = self.lock();
                state.initialize = Some(id.to_vec());
                state.client = client(line).filter(|_| !self.clients.are_several());
            }
            (Kind::Request, Some(method::TOOLS_CALL), Some(id)) => {
                let mut state = self.lock();
                if state.calls.len() < MOST_CALLS {
                    let known = |call| KnownCall { id: id.to_vec(), number: fastrand::u64(1..), call };
                    state.calls.extend(call(line).map(known));
                }
            }
            (Kind::Request, Some(method), Some(id)) if method::MULTI_ROUND.contains(&method) => {
                let mut state = self.lock();
                if state.others.len() < MOST_CALLS {
                    state.others.push(id.to_vec());
                }
            }
            (Kind::Notification, Some(notification::CANCELLED), _) => {
                if let Some(id) = cancelled_id(line) {
                    self.lock().end(|known| ids::key(known) == ids::key(&id));
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
            state.end(|known| known == id);
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

/// The name in `clientInfo`, as much of it as a name needs.
fn client(line: &[u8]) -> Option<String> {
    let params = RawObject::of(Parts::of(line).ok()?.params?)?;
    let name = params.object("clientInfo")?.text("name")?;
    Some(name.chars().take(LONGEST_NAME).collect())
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

    fn from_client(activity: &ServerActivity, line: &'static str) {
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
        from_client(&activity, r#"{"id":0,"method":"initialize","params":{}}"#);
        server(&activity, r#"{"id":0,"result":{"instructions":"Be brief."}}"#);
        from_client(&activity, r#"{"id":1,"method":"tools/call","params":{"name":"a","arguments":{"n": 1.0}}}"#);
        from_client(&activity, r#"{"id":"1","method":"tools/call","params":{"name":"b"}}"#);
        from_client(&activity, r#"{"id":2,"method":"tools/call","params":{"name":"c"}}"#);
        from_client(&activity, r#"{"id":3,"method":"tools/call","params":{"nome":"d"}}"#);
        from_client(&activity, r#"{"id":4,"method":"tools/list"}"#);
        assert_eq!(activity.context(None).instructions.as_deref(), Some("Be brief."));
        assert_eq!(tools(&activity), [r#"a {"n": 1.0}"#, "b {}", "c {}"]);
        server(&activity, r#"{"id":1,"error":{"code":1,"message":""}}"#);
        from_client(&activity, r#"{"method":"notifications/cancelled","params":{"requestId":"1"}}"#);
        assert_eq!(tools(&activity), ["c {}"]);
        from_client(
            &activity,
            r#"[{"id":7,"method":"tools/call","params":{"name":"e"}}, {"id":8,"method":"ping"}, [1]]"#,
        );
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
        from_client(&activity, r#"{"id":1,"method":"tools/call","params":{"name":"a","arguments":{"secret":1}}}"#);
        assert!(activity.calls_one_of(&["a".to_owned()]));
        from_client(&activity, r#"{"id":2,"method":"tools/call","params":{"name":"b"}}"#);
        let attached = |related_request_id: Option<&[u8]>| {
            activity.context(related_request_id).calls.into_iter().map(|call| call.tool).collect()
        };
        from_client(&activity, r#"{"id":9,"method":"initialize","params":{"clientInfo":{"name":"one of them"}}}"#);
        assert_eq!(activity.circumstances(None), Circumstances::default());
        assert_eq!(activity.circumstances(Some(b"2")).call.unwrap().tool, "b");
        let (none, own, stranger): (Vec<_>, Vec<_>, Vec<_>) =
            (attached(None), attached(Some(b"2")), attached(Some(b"3")));
        assert_eq!((none.len(), own, stranger.len()), (0, vec!["b".to_owned()], 0));
        // Either call may be why the server asks.
        assert!(!activity.calls_one_of(&["a".to_owned()]));
        assert!(activity.calls_one_of(&["b".to_owned(), "a".to_owned()]));
    }

    #[test]
    fn a_request_belongs_to_the_call_that_it_is_assigned_to_or_to_the_only_one() {
        let activity = ServerActivity::default();
        from_client(&activity, r#"{"id":0,"method":"initialize","params":{"clientInfo":{"name":"an editor"}}}"#);
        let of = |related: Option<&[u8]>| activity.circumstances(related).call.map(|call| (call.id, call.tool));
        assert_eq!(
            activity.circumstances(None),
            Circumstances { client: Some("an editor".to_owned()), ..Circumstances::default() }
        );
        from_client(&activity, r#"{"id":1,"method":"tools/call","params":{"name":"a"}}"#);
        let first = of(None).unwrap();
        assert_eq!((first.1.as_str(), first.0.len()), ("a", 16));
        from_client(&activity, r#"{"id":2,"method":"tools/call","params":{"name":"a"}}"#);
        assert_eq!(of(None), None);
        assert_eq!(of(Some(b"1")), Some(first.clone()));
        assert_ne!(of(Some(b"2")).unwrap().0, first.0);
    }

    #[test]
    fn a_request_is_in_the_background_only_if_no_call_goes_on_that_may_be_its_own() {
        let activity = ServerActivity::default();
        let is_in_call =
            |activity: &ServerActivity, related: Option<&[u8]>| activity.circumstances(related).is_in_call();
        assert!(!is_in_call(&activity, None));
        for call in [
            r#"{"id":1,"method":"tools/call","params":{"name":"a"}}"#,
            r#"{"id":2,"method":"tools/call","params":{"name":"b"}}"#,
            r#"{"id":3,"method":"prompts/get","params":{"name":"p"}}"#,
            r#"{"id":4,"method":"resources/read","params":{"uri":"u:"}}"#,
        ] {
            from_client(&activity, call);
            assert!(is_in_call(&activity, None), "{call}");
        }
        for answer in [r#"{"id":1,"result":{}}"#, r#"{"id":3,"result":{}}"#, r#"{"id":4,"result":{}}"#] {
            server(&activity, answer);
            assert!(is_in_call(&activity, None), "{answer}");
        }
        from_client(&activity, r#"{"method":"notifications/cancelled","params":{"requestId":2}}"#);
        assert!(!is_in_call(&activity, None));
        let shared = ServerActivity::of(Clients::Several { told: true });
        from_client(&shared, r#"{"id":3,"method":"prompts/get","params":{"name":"p"}}"#);
        assert!(!is_in_call(&shared, None) && is_in_call(&shared, Some(b"3")) && !is_in_call(&shared, Some(b"4")));
    }
}
