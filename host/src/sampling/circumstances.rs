//! The circumstances of a sampling request: what is known of it besides its parameters.

/// In whose name, and in the course of what, a request came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The client, by the name that it gave in `initialize` or in its envelope; for an HTTP client, its principal where one is known.
    pub client: Option<String>,
    /// The tool's call in the course of which the request came. `None`: in the background, or in the course of several.
    pub call: Option<CallInProgress>,
}

/// A `tools/call` that has not been answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallInProgress {
    /// A name of this call, unique on this machine.
    pub id: String,
    /// The tool.
    pub tool: String,
}
