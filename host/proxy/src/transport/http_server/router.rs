//! From a request to whoever answers it.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Body;
use mcp::build::unsupported_version_data;
use mcp::revision::{STATEFUL, STATELESS};
use mcp::{Era, code, header, method};
use percent_encoding::percent_decode_str;

use super::access::AccessControl;
use super::callers::Visit;
use super::request_body::PostedMessage;
use super::response::{self, Response, empty, refusal, text};
use super::{ENDING, METHODS, READY, ServerEndpoint, Shared, header_text, legacy, modern};

/// Answers a request.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    visit: &Visit,
    request: Request<impl Body<Data = Bytes, Error: Display> + Unpin>,
) -> Response {
    let (head, body) = request.into_parts();
    if let Some(monitor) = monitor(&head.method, head.uri.path()) {
        return match shared.access.check_monitor(&head.uri, &head.headers) {
            Ok(()) => monitor(shared),
            Err(refusal) => *refusal,
        };
    }
    let mut response = match shared.access.check(&head.method, &head.uri, &head.headers) {
        // What a browser asks first is the same everywhere.
        Ok(()) if head.method == Method::OPTIONS => AccessControl::preflight(&head.headers),
        Ok(()) if !visit.is_welcome() => crowded(),
        Ok(()) => match endpoint(shared, head.uri.path()) {
            Some(endpoint) => by_method(&endpoint, &head.method, &head.headers, body).await,
            None => refusal(StatusCode::NOT_FOUND, None, code::INVALID_REQUEST, &nothing_here(shared)),
        },
        Err(refusal) => *refusal,
    };
    shared.access.add_cors_headers(head.headers.get(http::header::ORIGIN), &mut response);
    response
}

/// What tells a monitor how this process is.
fn monitor(method: &Method, path: &str) -> Option<fn(&Shared) -> Response> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    match path {
        "/healthz" => Some(|_| text(StatusCode::OK, "ok\n")),
        "/readyz" => Some(readiness),
        _ => None,
    }
}

/// There is no place for the connection among those that have shown the token.
fn crowded() -> Response {
    let reason = "too many connections are busy; try again";
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, None, code::SERVER_ERROR, reason);
    response.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    response
}

fn readiness(shared: &Shared) -> Response {
    match shared.stage() {
        READY => text(StatusCode::OK, "ready\n"),
        ENDING => text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        _ => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
    }
}

/// The endpoint of `/NAME/mcp`, or `/NAME/mcp/`: some clients add that.
fn endpoint(shared: &Shared, path: &str) -> Option<Arc<ServerEndpoint>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let name = path.strip_prefix('/')?.strip_suffix("/mcp")?;
    let name = percent_decode_str(name).decode_utf8().ok()?;
    shared.endpoints.get()?.get(name.as_ref()).cloned()
}

fn nothing_here(shared: &Shared) -> String {
    let names = shared.endpoints.get().into_iter().flat_map(|endpoints| endpoints.keys());
    let known: Vec<String> = names.map(|name| super::path(name)).collect();
    if known.is_empty() {
        return "nothing is here yet: Understudy is starting".to_owned();
    }
    format!("nothing is here; the endpoints are {}", understudy::text::list(known.iter().map(String::as_str)))
}

async fn by_method(
    endpoint: &Arc<ServerEndpoint>,
    method: &Method,
    headers: &HeaderMap,
    body: impl Body<Data = Bytes, Error: Display> + Unpin,
) -> Response {
    let version = header_text(headers, header::PROTOCOL_VERSION);
    let is_modern = version.and_then(Era::of) == Some(Era::Stateless);
    let unknown = version.filter(|version| Era::of(version).is_none());
    if let Some(version) = unknown.filter(|_| method != Method::POST) {
        return unknown_version(None, version, STATELESS.into_iter().chain(STATEFUL));
    }
    match method.as_str() {
        "POST" => {
            if let Some(coding) = coding(headers) {
                return response::not_understood(&coding);
            }
            let posted = match PostedMessage::read(body, endpoint.shared.settings.line, &endpoint.shared.bodies).await {
                Ok(posted) => posted,
                Err(refusal) => return *refusal,
            };
            if let Some(version) = unknown {
                // A stateless client can't fall back to `initialize`.
                let stateful = STATEFUL.into_iter().filter(|_| posted.envelope.is_none());
                return unknown_version(posted.head.id(), version, STATELESS.into_iter().chain(stateful));
            }
            let begins_nothing =
                || header_text(headers, header::SESSION_ID).is_none() && !posted.head.is_request(method::INITIALIZE);
            if is_modern || (begins_nothing() && posted.envelope.is_some()) {
                return modern::post(endpoint, headers, posted).await;
            }
            legacy::post(endpoint, headers, posted).await
        }
        "GET" | "DELETE" if is_modern => {
            response::not_allowed("POST", "this revision has neither sessions nor streams of their own: only POST")
        }
        "GET" => legacy::get(endpoint, headers),
        "DELETE" => legacy::delete(endpoint, headers),
        _ => {
            let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(http::header::ALLOW, http::HeaderValue::from_static(METHODS));
            response
        }
    }
}

/// How a body is compressed, if it is.
fn coding(headers: &HeaderMap) -> Option<String> {
    let coding = header_text(headers, http::header::CONTENT_ENCODING.as_str())?;
    (!coding.is_empty() && !coding.eq_ignore_ascii_case("identity")).then(|| understudy::text::one_line(coding, 40))
}

/// The revision is none that we know.
fn unknown_version(id: Option<&[u8]>, version: &str, known: impl Iterator<Item = &'static str>) -> Response {
    let supported: Vec<&str> = known.collect();
    let requested = understudy::text::one_line(version, 40);
    let reason = format!("`MCP-Protocol-Version: {requested}` is no revision that this server knows");
    let data = unsupported_version_data(&supported, &requested);
    response::refusal_with_data(StatusCode::BAD_REQUEST, id, code::UNSUPPORTED_PROTOCOL_VERSION, &reason, &data)
}
