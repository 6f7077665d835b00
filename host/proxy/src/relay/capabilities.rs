//! Declaring `sampling` in a client's `initialize`, with every other byte as it was.

use bytes::Bytes;
use mcp::splice::{Member, is_object, replace, set_members};
use mcp::{is_null, present, revision};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The first revision that knows `sampling.tools` and `sampling.context`.
const PARTS_SINCE: &str = revision::FIRST_WITH_SAMPLING_PARTS;

/// The only revision that has tasks in it.
const TASKS_IN: &str = revision::ONLY_WITH_TASKS;

/// What is declared of sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Declared {
    /// `sampling`
    pub(super) sampling: bool,
    /// `sampling.tools`, `sampling.context`
    pub(super) parts: SamplingParts,
    /// `tasks.requests.sampling.createMessage`, in the revision that has it
    pub(super) tasks: bool,
    /// `elicitation`, in the form that has a message and fields
    pub(super) elicitation: bool,
}

impl Declared {
    /// Sampling, with these parts.
    fn of(parts: SamplingParts) -> Self {
        Self { sampling: true, parts, tasks: false, elicitation: false }
    }
}

/// The parts of sampling that have a capability of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SamplingParts {
    /// `tools`
    pub(super) tools: bool,
    /// `context`
    pub(super) context: bool,
}

impl SamplingParts {
    /// What these have and the others lack.
    fn without(self, others: Self) -> Self {
        Self { tools: self.tools && !others.tools, context: self.context && !others.context }
    }

    /// What either has.
    fn and(self, others: Self) -> Self {
        Self { tools: self.tools || others.tools, context: self.context || others.context }
    }

    /// As `sampling`.
    fn capability(self) -> &'static str {
        match (self.tools, self.context) {
            (true, true) => r#"{"tools":{},"context":{}}"#,
            (true, false) => r#"{"tools":{}}"#,
            (false, true) => r#"{"context":{}}"#,
            (false, false) => "{}",
        }
    }
}

/// Members that a client leaves out, or writes as `null`, are absent: the latter are replaced, since of two members with one key the last counts.
#[derive(Deserialize)]
struct InitializeParams<'a> {
    #[serde(rename = "protocolVersion", default)]
    version: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    capabilities: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Capabilities<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    sampling: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    tasks: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    elicitation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SamplingCapability<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    context: Option<&'a RawValue>,
}

/// What a client has declared, what the server will see, and the message that says so.
pub(super) type Declaration = (Declared, Declared, Option<Bytes>);

/// What the client declared, what the server will see, and the message that says so (`None` if it is the same one). `offer` is
/// what the plugins and the config have to give.
///
/// A message that isn't as it should be is left alone: the server will say so.
pub(super) fn declare(line: &Bytes, offer: SamplingParts) -> Option<Declaration> {
    let params = mcp::Parts::of(line).ok()?.params.filter(|params| is_object(params))?;
    let initialize: InitializeParams = serde_json::from_str(params.get()).ok()?;
    let version = initialize.version.as_deref().unwrap_or_default();
    let offer = if version >= PARTS_SINCE { offer } else { SamplingParts::default() };
    let Some(capabilities) = initialize.capabilities else {
        // The specification wants `capabilities`; a client that leaves it out gets it.
        let edited = set_members(line, params, &[("capabilities", None, &with_sampling(offer))]);
        return Some((Declared::default(), Declared::of(offer), Some(edited)));
    };
    let (clients, all, edited) = declare_in(line, capabilities, offer)?;
    let clients = Declared { tasks: version == TASKS_IN && has_tasks(capabilities), ..clients };
    Some((clients, all, edited))
}

/// The same, in the line's `ClientCapabilities` themselves.
pub(super) fn declare_in(line: &Bytes, capabilities: &RawValue, offer: SamplingParts) -> Option<Declaration> {
    let new = |edited| Some((Declared::default(), Declared::of(offer), Some(edited)));
    if is_null(capabilities) {
        return new(replace(line, capabilities, with_sampling(offer).as_bytes()));
    }
    let found: Capabilities = serde_json::from_str(Some(capabilities).filter(|c| is_object(c))?.get()).ok()?;
    let elicitation = found.elicitation.is_some_and(is_form);
    let Some(sampling) = found.sampling.filter(|sampling| !is_null(sampling)) else {
        let edited = set_members(line, capabilities, &[("sampling", found.sampling, offer.capability())]);
        return Some((Declared { elicitation, ..Declared::default() }, Declared::of(offer), Some(edited)));
    };
    let sampling = Some(sampling).filter(|sampling| is_object(sampling))?;
    let parts: SamplingCapability = serde_json::from_str(sampling.get()).ok()?;
    let is_there = |part: Option<&RawValue>| part.is_some_and(|part| !is_null(part));
    let has = SamplingParts { tools: is_there(parts.tools), context: is_there(parts.context) };
    let missing = offer.without(has);
    let members = [(missing.tools, ("tools", parts.tools, "{}")), (missing.context, ("context", parts.context, "{}"))];
    let members: Vec<Member<'_>> = members.into_iter().filter(|(lacks, _)| *lacks).map(|(_, member)| member).collect();
    let edited = (!members.is_empty()).then(|| set_members(line, sampling, &members));
    Some((Declared { elicitation, ..Declared::of(has) }, Declared::of(has.and(missing)), edited))
}

/// Whether a client's `elicitation` includes forms. An empty one does (2025-11-25, client/elicitation, "Capabilities").
fn is_form(elicitation: &RawValue) -> bool {
    let modes: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(elicitation.get()).ok();
    modes.is_some_and(|modes| modes.contains_key("form") || !modes.contains_key("url"))
}

/// The message with the capability of answering sampling requests as tasks; `None` if its revision has none, or the client has tasks of its
/// own, which ours would get among.
pub(super) fn declare_tasks(line: &Bytes) -> Option<Bytes> {
    let params = mcp::Parts::of(line).ok()?.params.filter(|params| is_object(params))?;
    let initialize: InitializeParams = serde_json::from_str(params.get()).ok()?;
    let capabilities = initialize.capabilities.filter(|capabilities| is_object(capabilities))?;
    let found: Capabilities = serde_json::from_str(capabilities.get()).ok()?;
    let has_place = initialize.version.as_deref() == Some(TASKS_IN) && found.tasks.is_none_or(is_null);
    let value = r#"{"list":{},"cancel":{},"requests":{"sampling":{"createMessage":{}}}}"#;
    has_place.then(|| set_members(line, capabilities, &[("tasks", found.tasks, value)]))
}

/// Whether a client answers sampling requests as tasks of its own.
fn has_tasks(capabilities: &RawValue) -> bool {
    let found = serde_json::from_str::<Capabilities>(capabilities.get()).ok().and_then(|found| found.tasks);
    let tasks: serde_json::Value = found.and_then(|tasks| serde_json::from_str(tasks.get()).ok()).unwrap_or_default();
    tasks.pointer("/requests/sampling/createMessage").is_some_and(serde_json::Value::is_object)
}

/// `ClientCapabilities` with sampling alone.
fn with_sampling(parts: SamplingParts) -> String {
    format!("{{\"sampling\":{}}}", parts.capability())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: SamplingParts = SamplingParts { tools: true, context: false };
    const BOTH: SamplingParts = SamplingParts { tools: true, context: true };
    const NEITHER: SamplingParts = SamplingParts { tools: false, context: false };

    fn declared(params: &str, offer: SamplingParts) -> (Declared, Declared, Option<String>) {
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
    fn what_is_null_is_replaced_and_no_key_comes_twice() {
        let edited = |params: &str| declared(params, BOTH).2.unwrap();
        let version = r#""protocolVersion":"2025-11-25""#;
        let all = r#"{"tools":{},"context":{}}"#;
        assert_eq!(
            edited(&format!(r#"{{{version},"capabilities":null}}"#)),
            format!(r#"{{{version},"capabilities":{{"sampling":{all}}}}}"#)
        );
        assert_eq!(
            edited(&format!(r#"{{{version},"capabilities":{{"sampling":null,"roots": null}}}}"#)),
            format!(r#"{{{version},"capabilities":{{"sampling":{all},"roots": null}}}}"#)
        );
        assert_eq!(
            edited(&format!(r#"{{{version},"capabilities":{{"sampling":{{"context": null , "tools":null}}}}}}"#)),
            format!(r#"{{{version},"capabilities":{{"sampling":{{"context": {{}} , "tools":{{}}}}}}}}"#)
        );
        assert_eq!(
            edited(&format!(r#"{{{version},"capabilities":{{"sampling":{{"tools":null}}}}}}"#)),
            format!(r#"{{{version},"capabilities":{{"sampling":{{"context":{{}},"tools":{{}}}}}}}}"#)
        );
        let (clients, all, edited) =
            declared(r#"{"protocolVersion":null,"capabilities":{"sampling":{"tools":null}}}"#, NEITHER);
        assert_eq!((clients.sampling, clients.parts, all.parts, edited), (true, NEITHER, NEITHER, None));
        let tasks =
            declare_tasks(&Bytes::from(format!(r#"{{"params":{{{version},"capabilities":{{"tasks":null}}}}}}"#)));
        let tasks = String::from_utf8(tasks.unwrap().to_vec()).unwrap();
        assert!(tasks.contains(r#"{"tasks":{"list":{}"#) && !tasks.contains("null"), "{tasks}");
    }

    #[test]
    fn a_client_with_tasks_of_its_own_is_known() {
        let tasks = |params: &str| declared(params, NEITHER).0.tasks;
        let requests = r#"{"requests":{"sampling":{"createMessage":{}}}}"#;
        assert!(tasks(&format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{{"tasks":{requests}}}}}"#)));
        assert!(!tasks(&format!(r#"{{"protocolVersion":"2025-06-18","capabilities":{{"tasks":{requests}}}}}"#)));
        assert!(!tasks(r#"{"protocolVersion":"2025-11-25","capabilities":{"tasks":{"list":{}}}}"#));
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
