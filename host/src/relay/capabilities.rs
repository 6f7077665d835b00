//! Declaring `sampling` in a client's `initialize`, with every other byte as it was.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::edit::{insert, is_object};
use crate::jsonrpc;

/// The first revision that knows `sampling.tools` and `sampling.context`.
const PARTS_SINCE: &str = "2025-11-25";

/// The only revision that has tasks in it.
const TASKS_IN: &str = "2025-11-25";

/// What is declared of sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Declared {
    /// `sampling`
    pub(super) sampling: bool,
    /// `sampling.tools`, `sampling.context`
    pub(super) parts: Parts,
}

/// The parts of sampling that have a capability of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Parts {
    /// `tools`
    pub(super) tools: bool,
    /// `context`
    pub(super) context: bool,
}

impl Parts {
    /// What these have and the others lack.
    fn without(self, others: Self) -> Self {
        Self { tools: self.tools && !others.tools, context: self.context && !others.context }
    }

    /// What either has.
    fn and(self, others: Self) -> Self {
        Self { tools: self.tools || others.tools, context: self.context || others.context }
    }

    /// As members of `sampling`.
    fn members(self) -> String {
        let members = [(self.tools, "\"tools\":{}"), (self.context, "\"context\":{}")];
        members.iter().filter(|(has, _)| *has).map(|(_, member)| *member).collect::<Vec<_>>().join(",")
    }
}

#[derive(Deserialize)]
struct Initialize<'a> {
    #[serde(rename = "protocolVersion", default)]
    version: String,
    #[serde(borrow, default)]
    capabilities: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Capabilities<'a> {
    #[serde(borrow, default)]
    sampling: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tasks: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SamplingCapability<'a> {
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
}

/// What a client has declared, what the server will see, and the message that says so.
pub(super) type Declaration = (Declared, Declared, Option<Bytes>);

/// What the client declared, what the server will see, and the message that says so (`None` if it is the same one). `offer` is
/// what the plugins and the config have to give.
///
/// A message that isn't as it should be is left alone: the server will say so.
pub(super) fn declare(line: &Bytes, offer: Parts) -> Option<Declaration> {
    let params = jsonrpc::Parts::of(line).ok()?.params.filter(|params| is_object(params))?;
    let initialize: Initialize = serde_json::from_str(params.get()).ok()?;
    let offer = if initialize.version.as_str() >= PARTS_SINCE { offer } else { Parts::default() };
    let new = Declared { sampling: true, parts: offer };
    let Some(capabilities) = initialize.capabilities else {
        // The specification wants `capabilities`; a client that leaves it out gets it.
        let value = format!("\"capabilities\":{{{}}}", member(offer));
        return Some((Declared::default(), new, Some(insert(line, params, &value))));
    };
    declare_in(line, capabilities, offer)
}

/// The same, in the line's `ClientCapabilities` themselves.
pub(super) fn declare_in(line: &Bytes, capabilities: &RawValue, offer: Parts) -> Option<Declaration> {
    let new = Declared { sampling: true, parts: offer };
    let found: Capabilities = serde_json::from_str(Some(capabilities).filter(|c| is_object(c))?.get()).ok()?;
    let Some(sampling) = found.sampling else {
        return Some((Declared::default(), new, Some(insert(line, capabilities, &member(offer)))));
    };
    let sampling = Some(sampling).filter(|sampling| is_object(sampling))?;
    let has: SamplingCapability = serde_json::from_str(sampling.get()).ok()?;
    let has = Parts { tools: has.tools.is_some(), context: has.context.is_some() };
    let missing = offer.without(has);
    let clients = Declared { sampling: true, parts: has };
    let edited = (missing != Parts::default()).then(|| insert(line, sampling, &missing.members()));
    Some((clients, Declared { sampling: true, parts: has.and(missing) }, edited))
}

/// The message with the capability of answering sampling requests as tasks; `None` if its revision has none, or the client has tasks of its
/// own, which ours would get among.
pub(super) fn declare_tasks(line: &Bytes) -> Option<Bytes> {
    let params = jsonrpc::Parts::of(line).ok()?.params.filter(|params| is_object(params))?;
    let initialize: Initialize = serde_json::from_str(params.get()).ok()?;
    let capabilities = initialize.capabilities.filter(|capabilities| is_object(capabilities))?;
    let found: Capabilities = serde_json::from_str(capabilities.get()).ok()?;
    let has_place = initialize.version == TASKS_IN && found.tasks.is_none();
    let member = r#""tasks":{"list":{},"cancel":{},"requests":{"sampling":{"createMessage":{}}}}"#;
    has_place.then(|| insert(line, capabilities, member))
}

fn member(parts: Parts) -> String {
    format!("\"sampling\":{{{}}}", parts.members())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: Parts = Parts { tools: true, context: false };
    const BOTH: Parts = Parts { tools: true, context: true };
    const NEITHER: Parts = Parts { tools: false, context: false };

    fn declared(params: &str, offer: Parts) -> (Declared, Declared, Option<String>) {
        let line = Bytes::from(format!("{{\"method\":\"initialize\", \"params\" :{params},\"id\":1.0}}\r\n"));
        let (clients, all, edited) = declare(&line, offer).unwrap();
        let params = |edited: Bytes| {
            let text = String::from_utf8(edited.to_vec()).unwrap();
            let rest = text.strip_prefix("{\"method\":\"initialize\", \"params\" :").unwrap();
            rest.strip_suffix(",\"id\":1.0}\r\n").unwrap().to_owned()
        };
        (clients, all, edited.map(params))
    }

    #[test]
    fn sampling_is_declared_and_every_other_byte_stays() {
        let (clients, all, edited) =
            declared(r#"{"protocolVersion":"2025-11-25","capabilities":{ "roots" : {"x":1.0} }}"#, TOOLS);
        assert_eq!((clients.sampling, all.parts.tools), (false, true));
        assert_eq!(
            edited.unwrap(),
            r#"{"protocolVersion":"2025-11-25","capabilities":{"sampling":{"tools":{}}, "roots" : {"x":1.0} }}"#
        );
        let (_, _, edited) = declared(r#"{"capabilities": { },"protocolVersion":"2025-11-25"}"#, NEITHER);
        assert_eq!(edited.unwrap(), r#"{"capabilities": {"sampling":{} },"protocolVersion":"2025-11-25"}"#);
        let (_, _, edited) = declared(r#"{"protocolVersion":"2025-11-25"}"#, NEITHER);
        assert_eq!(edited.unwrap(), r#"{"capabilities":{"sampling":{}},"protocolVersion":"2025-11-25"}"#);
    }

    #[test]
    fn older_revisions_get_no_sub_capability() {
        let (_, all, edited) = declared(r#"{"protocolVersion":"2025-06-18","capabilities":{}}"#, TOOLS);
        assert_eq!(edited.unwrap(), r#"{"protocolVersion":"2025-06-18","capabilities":{"sampling":{}}}"#);
        assert_eq!(all.parts, NEITHER);
    }

    #[test]
    fn what_the_client_declares_is_completed_at_most() {
        let (clients, all, edited) =
            declared(r#"{"protocolVersion":"2025-11-25","capabilities":{"sampling":{"context":{}}}}"#, TOOLS);
        assert_eq!((clients.sampling, clients.parts.tools, all.parts), (true, false, BOTH));
        assert!(edited.unwrap().contains(r#""sampling":{"tools":{},"context":{}}"#));
        let (clients, all, edited) =
            declared(r#"{"protocolVersion":"2025-11-25","capabilities":{"sampling":{"tools":{}}}}"#, TOOLS);
        assert_eq!((clients, edited), (all, None));
    }

    #[test]
    fn context_is_declared_where_it_is_offered() {
        let (_, all, edited) = declared(r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#, BOTH);
        assert_eq!(
            edited.unwrap(),
            r#"{"protocolVersion":"2025-11-25","capabilities":{"sampling":{"tools":{},"context":{}}}}"#
        );
        assert_eq!(all.parts, BOTH);
        let (clients, all, edited) =
            declared(r#"{"protocolVersion":"2025-11-25","capabilities":{"sampling":{"tools":{}}}}"#, BOTH);
        assert_eq!((clients.parts, all.parts), (TOOLS, BOTH));
        assert!(edited.unwrap().contains(r#""sampling":{"context":{},"tools":{}}"#));
    }

    #[test]
    fn tasks_are_declared_in_the_one_revision_that_has_them_unless_the_client_has_its_own() {
        let declared = |params: &str| {
            let edited = declare_tasks(&Bytes::from(format!(r#"{{"method":"initialize","params":{params}}}"#)));
            edited.map(|edited| String::from_utf8(edited.to_vec()).unwrap())
        };
        let edited = declared(r#"{"protocolVersion":"2025-11-25","capabilities":{"sampling":{}}}"#).unwrap();
        let tasks = r#"{"tasks":{"list":{},"cancel":{},"requests":{"sampling":{"createMessage":{}}}},"sampling":{}}"#;
        assert!(edited.contains(tasks), "{edited}");
        for none in [
            r#"{"protocolVersion":"2025-06-18","capabilities":{}}"#,
            r#"{"protocolVersion":"2026-07-28","capabilities":{}}"#,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tasks":{}}}"#,
            r#"{"protocolVersion":"2025-11-25","capabilities":[]}"#,
            r#"{"protocolVersion":"2025-11-25"}"#,
        ] {
            assert_eq!(declared(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_not_an_initialize_is_left_alone() {
        for params in ["[]", "{\"capabilities\":3}", "{\"capabilities\":{\"sampling\":[]}}", "{\"capabilities\":[]}"] {
            let line = Bytes::from(format!("{{\"method\":\"initialize\",\"params\":{params},\"id\":1}}\n"));
            assert!(declare(&line, TOOLS).is_none(), "{params}");
        }
    }
}
