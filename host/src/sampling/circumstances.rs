//! The circumstances of a sampling request: what is known of it besides its parameters.

/// In whose name, and in the course of what, a request came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The client, by the name that it gave in `initialize` or in its envelope; for an HTTP client, its principal where one is known.
    pub client: Option<String>,
    /// The tool's call in the course of which the request came. `None`: in the background, or in the course of several.
    pub call: Option<CallInProgress>,
    /// Whether calls of tools, prompts or resources go on in whose course it may have come, though it isn't known in which one's.
    pub may_be_in_call: bool,
}

impl Circumstances {
    /// Whether it came in the course of a call, as far as it is known.
    #[must_use]
    pub fn is_in_call(&self) -> bool {
        self.call.is_some() || self.may_be_in_call
    }
}

/// A `tools/call` that has not been answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallInProgress {
    /// A name of this call, unique on this machine.
    pub id: String,
    /// The tool.
    pub tool: String,
}
