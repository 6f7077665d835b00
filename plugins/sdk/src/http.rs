//! What most providers' HTTP has in common: a JSON body out, a JSON body in.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use understudy_mcp_types::surrogates;

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

/// Makes a body what JSON's readers take: without a byte order mark, and with U+FFFD for surrogates that stand alone.
pub fn tidy(response: &mut HttpResponse) {
    if response.body.starts_with(BYTE_ORDER_MARK) {
        response.body.drain(..BYTE_ORDER_MARK.len());
    }
    let mended = std::str::from_utf8(&response.body).map(surrogates::mended);
    if let Ok(Cow::Owned(mended)) = mended {
        response.body = mended.into_bytes();
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The body as JSON. The type may borrow from it.
///
/// # Errors
/// `malformed-response`, saying what the body was instead and how it began.
pub fn json_body<'a, T: Deserialize<'a>>(response: &'a HttpResponse) -> Result<T, Error> {
    let body = response.body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&response.body);
    serde_json::from_slice(body).map_err(|e| {
        if let Some(coding) = coding(response) {
            return error::malformed_response(format!(
                "the provider's answer (status {}, {} bytes) is compressed ({coding}), which the request didn't allow; switch that off in the proxy or gateway before the provider",
                response.status,
                response.body.len(),
            ));
        }
        error::malformed_response(format!(
            "the provider's answer (status {}, {} bytes) is not what its format says: {e}; it begins with `{}`",
            response.status,
            response.body.len(),
            beginning(&response.body)
        ))
    })
}

/// How the body is compressed, if it is.
fn coding(response: &HttpResponse) -> Option<&str> {
    let said = header_value(response, "content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    said.or(if response.body.starts_with(b"\x1f\x8b") { Some("gzip") } else { None })
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
