//! MCP's sampling types: read, checked and written as every protocol revision wants.
//!
//! Both ends need them: the host, which reads a server's request and shapes the answer, and the tests of plugins, which
//! start from the same JSON. Reading is one pass over the text, loses nothing (unknown fields are kept as they are
//! spelt) and is lenient where the specification says so; [`CreateMessageRequestParams::validate`] is strict.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `object` | reading a JSON object whose unknown fields are kept |
//! | `content` | content blocks |
//! | `request` | `CreateMessageRequestParams` |
//! | `validate` | the rules that a request must meet |
//! | [`surrogates`] | surrogates that stand alone in JSON |
//! | `result` | `CreateMessageResult`, and its shape for the asking server |
//! | `wit` | the mapping onto the contract's records |
//! | `fixture` | a conversation with a plugin as JSON, for tests |
//! | `guarded` | what a guard judges as JSON, for tests |

mod content;
mod fixture;
mod guarded;
mod object;
mod request;
mod result;
pub mod surrogates;
mod validate;
mod wit;

pub use content::{
    Block, EmbeddedResource, Extras, Media, Other, ResourceContents, ResourceLink, Text, ToolResult, ToolUse,
};
pub use object::Json;
pub use request::{
    CreateMessageRequestParams, Message, ModelHint, ModelPreferences, ParseError, Role, Tool, ToolChoice,
};
pub use result::{BadJson, CreateMessageResult, ShapeError};
pub use validate::Invalid;

/// What the macros [`wit_conversions`], [`fixture_conversions`] and [`guard_conversions`] need.
#[doc(hidden)]
pub mod __private {
    pub use crate::fixture::{body_of_bytes, bytes_of_body, status_of};
    pub use crate::guarded::{circumstance, put, put_all, value_of, verdict};
    pub use crate::wit::{MOST_TOKENS, empty_object, object_from_plugin, text_of, to_json};
}
