//! Error codes by name, each with its section of the specification.
//!
//! Revision 2026-07-28 has its own codes in basic, "Error Codes"; JSON-RPC's are in JSON-RPC 2.0, section 5.1.

/// JSON-RPC "Parse error": the message isn't valid JSON.
pub const PARSE_ERROR: i64 = -32700;

/// JSON-RPC "Invalid Request": the message is JSON, and no valid request.
pub const INVALID_REQUEST: i64 = -32600;

/// JSON-RPC "Method not found". MCP uses it also for what a peer has not declared (basic/lifecycle, "Error Handling").
pub const METHOD_NOT_FOUND: i64 = -32601;

/// JSON-RPC "Invalid params".
pub const INVALID_PARAMS: i64 = -32602;

/// JSON-RPC "Internal error".
pub const INTERNAL_ERROR: i64 = -32603;

/// The first of JSON-RPC's codes for servers' own use (-32000 to -32099). The official SDKs use it for a closed connection and for refusals of the
/// transport.
pub const SERVER_ERROR: i64 = -32000;

/// A session that is unknown or has ended. No code of the specification's: the official SDKs send it with HTTP 404 (2025-11-25,
/// basic/transports, "Session Management").
pub const SESSION_NOT_FOUND: i64 = -32001;

/// `HeaderMismatch`: a header says something else than the body (2026-07-28, basic/transports/streamable-http, "Server Validation").
pub const HEADER_MISMATCH: i64 = -32020;

/// `MissingRequiredClientCapability`: the request needs a capability that its client has not declared (2026-07-28, basic, "Error Codes").
pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;

/// `UnsupportedProtocolVersion`: `data.supported` lists the revisions that are spoken (2026-07-28, basic/versioning).
pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;

/// The user rejected a sampling request (client/sampling, "Error Handling").
pub const USER_REJECTED: i64 = -1;

/// Whether only a peer of the stateless era sends this code: the range that MCP reserves for its own codes since 2026-07-28.
#[must_use]
pub const fn is_of_stateless_era(code: i64) -> bool {
    code <= HEADER_MISMATCH && code >= HEADER_MISMATCH - 9
}
