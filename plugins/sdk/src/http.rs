//! What most providers' HTTP has in common: a JSON body out, a JSON body in.

use serde::{Deserialize, Serialize};

use crate::error;
use crate::types::{Error, Fetch, Framing, Header, HttpMethod, HttpRequest, HttpResponse, Step};

/// A `POST` of a JSON body to the plugin's main endpoint, its answer wanted whole. `state` comes back in `resume`.
///
/// # Errors
/// `other` if `body` can't be written as JSON, which for ordinary structs doesn't happen.
pub fn post_json(path: impl Into<String>, body: &impl Serialize, state: Vec<u8>) -> Result<Fetch, Error> {
    let body =
        serde_json::to_vec(body).map_err(|e| error::other(format!("the request can't be written as JSON: {e}")))?;
    Ok(Fetch {
        request: HttpRequest {
            method: HttpMethod::Post,
            endpoint: None,
            path: path.into(),
            headers: vec![header("content-type", "application/json"), header("accept", "application/json")],
            body,
            extensions: String::new(),
        },
        state,
        framing: Framing::Whole,
        delay_ms: 0,
        extensions: String::new(),
    })
}

impl From<Fetch> for Step {
    fn from(fetch: Fetch) -> Self {
        Self::Fetch(fetch)
    }
}

/// A header.
pub fn header(name: &str, value: impl Into<String>) -> Header {
    Header { name: name.to_owned(), value: value.into() }
}

/// The response's header of this name (in lower case), the first if there are several.
#[must_use]
pub fn header_value<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.as_str())
}

/// The body as JSON. The type may borrow from it.
///
/// # Errors
/// `malformed-response`, saying what the body was instead and how it began.
pub fn json_body<'a, T: Deserialize<'a>>(response: &'a HttpResponse) -> Result<T, Error> {
    serde_json::from_slice(&response.body).map_err(|e| {
        error::malformed_response(format!(
            "the provider's answer (status {}, {} bytes) is not what its format says: {e}; it begins with `{}`",
            response.status,
            response.body.len(),
            beginning(&response.body)
        ))
    })
}

/// The beginning of a body, for an error message: at most 120 characters, on one line.
#[must_use]
pub fn beginning(body: &[u8]) -> String {
    let start = body.get(..480).unwrap_or(body);
    let text = String::from_utf8_lossy(start);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(120).collect::<String>().trim().to_owned()
}

/// How long to wait by the response's `retry-after-ms` or `retry-after` header, in milliseconds. Seconds are understood,
/// fractions too; a date is not (a plugin has no clock).
#[must_use]
pub fn retry_after_ms(response: &HttpResponse) -> Option<u64> {
    let number = |name| header_value(response, name)?.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    let ms = number("retry-after-ms").or_else(|| number("retry-after").map(|s| s * 1000.0))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
    Some(ms.ceil() as u64)
}
