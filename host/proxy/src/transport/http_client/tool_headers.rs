//! Arguments that a server wants to see in headers, by what its tools' schemas say.

use std::sync::{Mutex, PoisonError};

use mcp::param_headers;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use understudy::text::one_line;

/// The server's tools, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Tools(Mutex<param_headers::Tools>);

impl Tools {
    /// Learns from the answer to `tools/list`; the cursor of its next page.
    pub(super) fn learn(&self, answer: &[u8]) -> Option<String> {
        let learned = self.0.lock().unwrap_or_else(PoisonError::into_inner).learn(answer);
        for (name, reason) in &learned.invalid {
            let (name, reason) = (one_line(name, 100), one_line(reason, 300));
            tracing::warn!("the tool `{name}` can't be called over HTTP: {reason}");
        }
        learned.next_cursor
    }

    /// Adds the headers of a call; or why it can't be sent.
    pub(super) fn add_headers(&self, tool: &str, arguments: &str, headers: &mut HeaderMap) -> Result<(), String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let added = known.headers(tool, arguments).map_err(|reason| {
            let (tool, reason) = (one_line(tool, 100), one_line(&reason, 300));
            format!("the server's definition of the tool `{tool}` breaks the protocol's rules: {reason}")
        })?;
        for (name, value) in added {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        Ok(())
    }
}
