//! MCP's vocabulary and bytes: the one place where its names, codes and JSON are written.
//!
//! Nothing here reads, writes or waits: the crate compiles for WebAssembly too. Messages are lines of text; a message that is passed on keeps every
//! byte that an edit doesn't name.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`code`] | error codes |
//! | [`method`], [`notification`] | names of methods |
//! | [`revision`] | revisions, and the eras that they belong to |
//! | [`header`] | names of HTTP headers |
//! | [`meta`] | keys of `_meta` |
//! | [`message`] | scanning a message for its method and id, and parsing it |
//! | [`envelope`] | what a stateless request says of itself |
//! | [`ids`] | ids compared by value |
//! | [`build`] | requests, notifications, results and errors as lines |
//! | [`splice`] | edits of raw messages |
//! | [`field`] | the fields of a message that are replaced on its way |
//! | [`raw_object`] | JSON objects whose values keep their spelling |
//! | [`batch`] | batches, split and joined |
//! | [`param_headers`] | tools' arguments in HTTP headers (`x-mcp-header`) |
//! | [`folded`] | text as the most lenient reader compares it |
//! | [`sampling`] | the sampling types |

pub mod batch;
pub mod build;
pub mod code;
pub mod envelope;
pub mod field;
pub mod folded;
pub mod header;
pub mod ids;
pub mod message;
pub mod meta;
pub mod method;
pub mod notification;
pub mod param_headers;
pub mod raw_object;
pub mod revision;
pub mod splice;

pub use understudy_mcp_types as sampling;

pub use build::{error_line, request_line, result_line};
pub use envelope::Envelope;
pub use message::{ErrorObject, Head, Kind, Parts, Scanner, is_null, present};
pub use raw_object::RawObject;
pub use revision::Era;
pub use splice::{cancelled_id, with_id};

/// `resultType` of a result that requires input before the request goes on (2026-07-28, basic/patterns/mrtr).
pub const INPUT_REQUIRED: &str = "input_required";

/// `resultType` of any other result (since 2026-07-28).
pub const COMPLETE: &str = "complete";
