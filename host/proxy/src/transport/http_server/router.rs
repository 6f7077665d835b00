//! Routing: from an HTTP request to the handler that answers it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Body;
use mcp::build::unsupported_version_data;
use mcp::revision::{STATEFUL, STATELESS};
use mcp::{Era, code, header, method};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::access::AccessControl;
use super::backend::Backend;
use super::callers::Visit;
use super::headers::{METHODS, header_text};
use super::modern::ServerEndpoint;
use super::request_body::PostedMessage;
use super::response::{self, Response, empty, refusal, text};
use super::shared::{ENDING, READY, Shared};
use super::stateless_sides::StatelessSides;
use super::{legacy, modern};

/// Checks access, and routes requests to the endpoints of the servers.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) shared: Arc<Shared>,
    access: AccessControl,
    endpoints: OnceLock<BTreeMap<String, Arc<ServerEndpoint>>>,
}

impl Router {
    pub(super) fn new(shared: Arc<Shared>, access: AccessControl) -> Self {
        Self { shared, access, endpoints: OnceLock::new() }
    }

    /// Serves these servers from now on.
    pub(super) fn serve<'a>(
        &self,
        servers: impl IntoIterator<Item = &'a str>,
    ) -> &BTreeMap<String, Arc<ServerEndpoint>> {
        let endpoint = |name: &str| {
            let backend = Backend::new(name, &self.shared);
            Arc::new(ServerEndpoint { backend, stateless: StatelessSides::default() })
        };
        let all = servers.into_iter().map(|name| (name.to_owned(), endpoint(name)));
        self.endpoints.get_or_init(|| all.collect())
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Arc<ServerEndpoint>> {
        self.endpoints.get().into_iter().flat_map(BTreeMap::values)
    }
}

/// Answers a request.
pub(super) async fn answer(
    router: &Router,
    visit: &Visit,
    request: Request<impl Body<Data = Bytes, Error: Display> + Unpin>,
) -> Response {
    let (head, body) = request.into_parts();
    if let Some(monitor) = monitor(&head.method, head.uri.path()) {
        return match router.access.check_monitor(&head.uri, &head.headers) {
            Ok(()) => monitor(&router.shared),
            Err(refusal) => *refusal,
        };
    }
    let mut response = match router.access.check(&head.method, &head.uri, &head.headers) {
        // What a browser asks first is the same everywhere.
        Ok(()) if head.method == Method::OPTIONS => AccessControl::preflight(&head.headers),
        Ok(()) if !visit.is_welcome() => crowded(),
        Ok(()) => match endpoint(router, head.uri.path()) {
            Some(endpoint) => by_method(&endpoint, &head.method, &head.headers, body).await,
            None => refusal(StatusCode::NOT_FOUND, None, code::INVALID_REQUEST, &nothing_here(router)),
        },
        Err(refusal) => *refusal,
    };
    router.access.add_cors_headers(head.headers.get(http::header::ORIGIN), &mut response);
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
fn endpoint(router: &Router, path: &str) -> Option<Arc<ServerEndpoint>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let name = path.strip_prefix('/')?.strip_suffix("/mcp")?;
    let name = percent_decode_str(name).decode_utf8().ok()?;
    router.endpoints.get()?.get(name.as_ref()).cloned()
}

fn nothing_here(router: &Router) -> String {
    let names = router.endpoints.get().into_iter().flat_map(|endpoints| endpoints.keys());
    let known: Vec<String> = names.map(|name| path(name)).collect();
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
            let posted =
                match PostedMessage::read(body, endpoint.backend.shared.settings.line, &endpoint.backend.shared.bodies)
                    .await
                {
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
            legacy::post(&endpoint.backend, headers, posted).await
        }
        "GET" | "DELETE" if is_modern => {
            response::not_allowed("POST", "this revision has neither sessions nor streams of their own: only POST")
        }
        "GET" => legacy::get(&endpoint.backend, headers),
        "DELETE" => legacy::delete(&endpoint.backend, headers),
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

/// What may not stand in a part of a path.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'/')
    .add(b'%');

/// The path of a server's endpoint.
pub(super) fn path(name: &str) -> String {
    format!("/{}/mcp", utf8_percent_encode(name, ENCODED))
}
