//! Declaring `sampling` in a client's `initialize`, with every other byte as it was.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::jsonrpc::Parts;

/// The first revision that knows `sampling.tools`.
const TOOLS_SINCE: &str = "2025-11-25";

/// What a client declared of sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Declared {
    /// `sampling`
    pub(super) sampling: bool,
    /// `sampling.tools`
    pub(super) tools: bool,
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
}

#[derive(Deserialize)]
struct SamplingCapability<'a> {
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
}

/// What the client declared, what the server will see, and the message that says so (`None` if it is the same one).
///
/// A message that isn't as it should be is left alone: the server will say so.
pub(super) fn declare(line: &Bytes, with_tools: bool) -> Option<(Declared, Declared, Option<Bytes>)> {
    let params = Parts::of(line).ok()?.params.filter(|params| is_object(params))?;
    let initialize: Initialize = serde_json::from_str(params.get()).ok()?;
    let tools = with_tools && initialize.version.as_str() >= TOOLS_SINCE;
    let Some(capabilities) = initialize.capabilities else {
        // The specification wants `capabilities`; a client that leaves it out gets it.
        let value = format!("\"capabilities\":{{{}}}", member(tools));
        let declared = Declared { sampling: true, tools };
        return Some((Declared::default(), declared, Some(insert(line, params, &value))));
    };
    let found: Capabilities = serde_json::from_str(Some(capabilities).filter(|c| is_object(c))?.get()).ok()?;
    let Some(sampling) = found.sampling else {
        let declared = Declared { sampling: true, tools };
        return Some((Declared::default(), declared, Some(insert(line, capabilities, &member(tools)))));
    };
    let sampling = Some(sampling).filter(|sampling| is_object(sampling))?;
    let has_tools = serde_json::from_str::<SamplingCapability>(sampling.get()).ok()?.tools.is_some();
    let clients = Declared { sampling: true, tools: has_tools };
    if tools && !has_tools {
        let declared = Declared { sampling: true, tools: true };
        return Some((clients, declared, Some(insert(line, sampling, "\"tools\":{}"))));
    }
    Some((clients, clients, None))
}

/// An array would do for a struct as well, to the parser.
fn is_object(json: &RawValue) -> bool {
    json.get().starts_with('{')
}

fn member(tools: bool) -> String {
    format!("\"sampling\":{}", if tools { "{\"tools\":{}}" } else { "{}" })
}

/// The line with a member put first into one of its objects.
fn insert(line: &Bytes, object: &RawValue, member: &str) -> Bytes {
    // `object` is a part of `line`: where it begins there is a `{`.
    let start = object.get().as_ptr() as usize - line.as_ptr() as usize + 1;
    let (before, after) = line.split_at(start.min(line.len()));
    let empty = after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    let mut edited = Vec::with_capacity(line.len() + member.len() + 1);
    edited.extend_from_slice(before);
    edited.extend_from_slice(member.as_bytes());
    if !empty {
        edited.push(b',');
    }
    edited.extend_from_slice(after);
    edited.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(params: &str, with_tools: bool) -> (Declared, Declared, Option<String>) {
        let line = Bytes::from(format!("{{\"method\":\"initialize\", \"params\" :{params},\"id\":1.0}}\r\n"));
        let (clients, all, edited) = declare(&line, with_tools).unwrap();
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
            declared(r#"{"protocolVersion":"2025-11-25","capabilities":{ "roots" : {"x":1.0} }}"#, true);
        assert_eq!((clients.sampling, all.tools), (false, true));
        assert_eq!(
            edited.unwrap(),
            r#"{"protocolVersion":"2025-11-25","capabilities":{"sampling":{"tools":{}}, "roots" : {"x":1.0} }}"#
        );
        let (_, _, edited) = declared(r#"{"capabilities": { },"protocolVersion":"2025-11-25"}"#, false);
        assert_eq!(edited.unwrap(), r#"{"capabilities": {"sampling":{} },"protocolVersion":"2025-11-25"}"#);
        let (_, _, edited) = declared(r#"{"protocolVersion":"2025-11-25"}"#, false);
        assert_eq!(edited.unwrap(), r#"{"capabilities":{"sampling":{}},"protocolVersion":"2025-11-25"}"#);
    }

    #[test]
    fn older_revisions_get_no_sub_capability() {
        let (_, all, edited) = declared(r#"{"protocolVersion":"2025-06-18","capabilities":{}}"#, true);
        assert_eq!(edited.unwrap(), r#"{"protocolVersion":"2025-06-18","capabilities":{"sampling":{}}}"#);
        assert!(!all.tools);
    }

    #[test]
    fn what_the_client_declares_is_completed_at_most() {
        let (clients, all, edited) =
            declared(r#"{"protocolVersion":"2025-11-25","capabilities":{"sampling":{"context":{}}}}"#, true);
        assert_eq!((clients.sampling, clients.tools, all.tools), (true, false, true));
        assert!(edited.unwrap().contains(r#""sampling":{"tools":{},"context":{}}"#));
        let (clients, all, edited) =
            declared(r#"{"protocolVersion":"2025-11-25","capabilities":{"sampling":{"tools":{}}}}"#, true);
        assert_eq!((clients, edited), (all, None));
    }

    #[test]
    fn what_is_not_an_initialize_is_left_alone() {
        for params in ["[]", "{\"capabilities\":3}", "{\"capabilities\":{\"sampling\":[]}}", "{\"capabilities\":[]}"] {
            let line = Bytes::from(format!("{{\"method\":\"initialize\",\"params\":{params},\"id\":1}}\n"));
            assert!(declare(&line, true).is_none(), "{params}");
        }
    }
}
