//! Names of HTTP headers, in lower case, as maps of headers keep them.

/// The revision that a message is of (since 2025-06-18).
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// The message's `method` (since 2026-07-28).
pub const METHOD: &str = "mcp-method";
/// The tool, prompt or resource that a request names (since 2026-07-28).
pub const NAME: &str = "mcp-name";
/// A session (2025-03-26 to 2025-11-25).
pub const SESSION_ID: &str = "mcp-session-id";
/// The event after which a client resumes a stream (until 2025-11-25).
pub const LAST_EVENT_ID: &str = "last-event-id";
/// How the headers of tools' arguments begin (see [`param_headers`](crate::param_headers)).
pub const PARAM_PREFIX: &str = "mcp-param-";
/// How all headers begin that the protocol sets.
pub const PREFIX: &str = "mcp-";

/// A name as the specification spells it: `Mcp-Method`, `MCP-Protocol-Version`.
#[must_use]
pub fn spelled(name: &str) -> String {
    if name == PROTOCOL_VERSION {
        return "MCP-Protocol-Version".to_owned();
    }
    let words = name.split('-').map(|word| match word.split_at_checked(1) {
        Some((first, rest)) => format!("{}{rest}", first.to_ascii_uppercase()),
        None => String::new(),
    });
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_the_specification_spells_them() {
        let all = [METHOD, PROTOCOL_VERSION, SESSION_ID, "mcp-param-region"].map(spelled);
        assert_eq!(all, ["Mcp-Method", "MCP-Protocol-Version", "Mcp-Session-Id", "Mcp-Param-Region"]);
    }
}
