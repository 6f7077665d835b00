//! HTTP to providers: endpoints, credentials, and limits on size and time.
//!
//! A plugin says *what* to ask; this module decides *whom*, and adds the credential, which no plugin ever sees. The credential is redacted in
//! the response before a plugin sees it. Redirects are not followed: they are responses like others.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `provider_client` | the requests that the host sends for a provider plugin |
//! | `outbound_request` | such a request as it is sent |
//! | `endpoint` | an endpoint, joined with a plugin's path |
//! | `egress_policy` | the origins that a handler plugin may reach, and what is added to its requests |
//! | `handler_http` | the HTTP requests of one call of a handler plugin |
//! | `allowed_origin` | one of those origins, with its credential and client |
//! | `origin` | an origin as the user writes it |
//! | `reserved` | headers and query keys that no plugin may set |
//! | `credential` | where a credential's value comes from, and how it is applied |
//! | `redact` | the value, and redacting it in responses |
//! | `stream` | responses that arrive in pieces |
//! | `read_body` | reading a response whole |
//! | `throttle` | how fast a response is read |

mod allowed_origin;
pub mod credential;
pub mod egress_policy;
mod endpoint;
pub mod handler_http;
pub mod origin;
mod outbound_request;
mod provider_client;
mod read_body;
pub mod redact;
mod reserved;
mod stream;
mod throttle;

pub use crate::http::Http;
pub use provider_client::ProviderClient;
pub use stream::{EventStream, ProviderResponse, StreamError};
