//! Where the browser comes back to: a page on this machine, for one login.

use std::convert::Infallible;
use std::future::ready;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const PATH: &str = "/callback";

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

    /// Waits for the browser; the URL that it came back to.
    ///
    /// # Errors
    /// If nobody can connect any more.
    pub async fn wait(self) -> std::io::Result<String> {
        let (sender, mut came) = mpsc::channel(1);
        let mut connections = JoinSet::new();
        let url = self.url();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (stream, _) = accepted?;
                    let (sender, url) = (sender.clone(), url.clone());
                    let service = service_fn(move |request| ready(Ok::<_, Infallible>(answer(&request, &url, &sender))));
                    connections.spawn(async move {
                        // A browser that goes away gets no page.
                        let _ = hyper::server::conn::http1::Builder::new()
                            .keep_alive(false)
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
                Some(url) = came.recv() => {
                    // The page is still on its way. Other connections of the browser's may never say anything.
                    connections.join_next().await;
                    return Ok(url);
                }
            }
        }
    }
}

fn answer(request: &Request<Incoming>, url: &str, came: &mpsc::Sender<String>) -> Response<Full<Bytes>> {
    let is_it = request.uri().path() == PATH && request.uri().query().is_some();
    let (status, text) = if is_it {
        let came_back = format!("{url}?{}", request.uri().query().unwrap_or_default());
        // One is enough.
        let _ = came.try_send(came_back);
        (StatusCode::OK, "Understudy has heard of it; see the terminal. This page can be closed.")
    } else {
        (StatusCode::NOT_FOUND, "Nothing is here.")
    };
    let page = format!("<!doctype html><meta charset=utf-8><title>Understudy</title><p>{text}</p>\n");
    let mut response = Response::new(Full::new(Bytes::from(page)));
    *response.status_mut() = status;
    let html = http::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}
