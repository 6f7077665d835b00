//! Reading the headers of a request.

use http::HeaderMap;

/// The HTTP methods of an endpoint.
pub(super) const METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// The value of a header, if it is text.
pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Whether the client takes an answer of this type. If it doesn't say, it takes JSON.
pub(super) fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let mut said = headers.get_all(http::header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if said.peek().is_none() {
        return wanted == "application/json";
    }
    let group = wanted.split_once('/').map_or("", |(group, _)| group);
    let types = said.flat_map(|value| value.split(','));
    let mut types = types.map(|part| part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    types.any(|accepted| accepted == wanted || accepted == "*/*" || accepted == format!("{group}/*"))
}
