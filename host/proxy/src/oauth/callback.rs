//! The redirect URI of one login: a page on this machine. Any user of the machine can connect to it, and any web page can send its visitors there. So
//! only a request with the login's `state` ends the wait, and other connections can't delay it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use url::form_urlencoded;

const PATH: &str = "/callback";

/// The most connections that are open at once; a newer one ends the oldest.
const MOST_CONNECTIONS: usize = 64;

/// How long a connection may last: a request is a few hundred bytes, and so is the page.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the browser may take to read the page.
const PATIENCE_WITH_THE_PAGE: Duration = Duration::from_secs(2);

/// How long no connection is accepted after one couldn't be.
const PAUSE: Duration = Duration::from_millis(50);

/// The page.
#[derive(Debug)]
pub struct Callback {
    listener: TcpListener,
    address: SocketAddr,
}

impl Callback {
    /// Listens on this port of the loopback address; 0 is a free one.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn listen(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Waits for the browser's redirect from the login with this state; its query.
    pub async fn wait(self, state: &str) -> String {
        let (sender, mut came) = mpsc::channel(1);
        let mut connections = Connections::default();
        let state: Arc<str> = state.into();
        loop {
            tokio::select! {
                biased;
                Some((query, closed)) = came.recv() => {
                    // The page is still on its way.
                    let _ = tokio::time::timeout(PATIENCE_WITH_THE_PAGE, closed).await;
                    return query;
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let connection = serve(TokioIo::new(stream), Arc::clone(&state), sender.clone());
                        connections.add(tokio::spawn(connection).abort_handle());
                    }
                    // For the moment there may be no descriptor left.
                    Err(error) => {
                        tracing::debug!("the browser can't be let in: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    }
}

/// The open connections. Dropping this closes them.
#[derive(Default)]
struct Connections(VecDeque<AbortHandle>);

impl Connections {
    fn add(&mut self, connection: AbortHandle) {
        self.0.retain(|connection| !connection.is_finished());
        if self.0.len() >= MOST_CONNECTIONS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for connection in &self.0 {
            connection.abort();
        }
    }
}

/// An answer, and the end of the connection that it came on.
type Came = (String, oneshot::Receiver<()>);

/// Serves one connection.
async fn serve(stream: TokioIo<TcpStream>, state: Arc<str>, came: mpsc::Sender<Came>) {
    // Dropped at the end.
    let (_open, closed) = oneshot::channel();
    let closed = Mutex::new(Some(closed));
    let service = service_fn(move |request| {
        let (response, query) = answer(&request, &state);
        let closed = query.is_some().then(|| closed.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some((query, closed)) = query.zip(closed.flatten()) {
            // The first one is enough.
            let _ = came.try_send((query, closed));
        }
        ready(Ok::<_, Infallible>(response))
    });
    let connection = hyper::server::conn::http1::Builder::new().keep_alive(false).serve_connection(stream, service);
    // A browser that closes the connection gets no page.
    let _ = tokio::time::timeout(PATIENCE, connection).await;
}

/// The page, and the query if it is this login's answer.
fn answer(request: &Request<Incoming>, state: &str) -> (Response<Full<Bytes>>, Option<String>) {
    let query = request.uri().query().unwrap_or_default();
    let is_here = request.uri().authority().is_none() && is_loopback(request.headers());
    let (status, text) = if !is_here {
        (StatusCode::MISDIRECTED_REQUEST, "This is for this machine alone.")
    } else if request.uri().path() != PATH {
        (StatusCode::NOT_FOUND, "Nothing is here.")
    } else if request.method() != Method::GET {
        (StatusCode::METHOD_NOT_ALLOWED, "Only a browser comes back here.")
    } else if !is_answer(query, state) {
        (StatusCode::BAD_REQUEST, "This is not the answer to the login that is waited for.")
    } else {
        (StatusCode::OK, "Understudy has heard of it; see the terminal. This page can be closed.")
    };
    let query = (status == StatusCode::OK).then(|| query.to_owned());
    (page(status, text), query)
}

/// Whether the `Host` is this machine's address. The name of a web page that resolves to this machine (DNS rebinding) is not.
fn is_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(host) = host.to_str().ok().filter(|host| !host.contains('@')) else { return false };
    let Ok(host) = host.parse::<Authority>() else { return false };
    let name = host.host();
    ["127.0.0.1", "[::1]"].contains(&name) || name.eq_ignore_ascii_case("localhost")
}

/// Whether it is an answer to the login with this state: a code, or an error.
fn is_answer(query: &str, state: &str) -> bool {
    let of = |wanted: &str| form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == wanted).count();
    let states: Vec<_> = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "state").collect();
    let [(_, given)] = states.as_slice() else { return false };
    let is_ours: bool = given.as_bytes().ct_eq(state.as_bytes()).into();
    is_ours && matches!((of("code"), of("error")), (1, 0) | (0, 1))
}

fn page(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let page = format!("<!doctype html><meta charset=utf-8><title>Understudy</title><p>{text}</p>\n");
    let mut response = Response::new(Full::new(Bytes::from(page)));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        // The code is in the URL.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_state_once_and_either_a_code_or_an_error() {
        for query in ["code=a&state=s", "state=s&code=a&iss=x", "error=access_denied&state=s", "%73tate=%73&code=a"] {
            assert!(is_answer(query, "s"), "{query}");
        }
        for query in [
            "",
            "x",
            "code=a",
            "state=s",
            "code=a&state=",
            "code=a&state=S",
            "code=a&state=ss",
            "code=a&state=s&state=s",
            "code=a&code=b&state=s",
            "code=a&error=b&state=s",
            "code=a&state=x&state=s",
        ] {
            assert!(!is_answer(query, "s"), "{query}");
        }
    }

    #[test]
    fn only_this_machines_names_are_hosts() {
        let is = |hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            is_loopback(&headers)
        };
        for host in ["127.0.0.1", "127.0.0.1:1234", "localhost:1", "LOCALHOST", "[::1]:80"] {
            assert!(is(&[host]), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:1",
            "a@127.0.0.1",
            "127.0.0.1@evil.example",
            "",
            "127.1",
            "10.0.0.1",
        ] {
            assert!(!is(&[host]), "{host}");
        }
        assert!(!is(&[]) && !is(&["127.0.0.1", "127.0.0.1"]));
    }
}
