//! rmcp's Streamable HTTP service on a free loopback port, until stdin closes.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::server::Matrix;

const PATH: &str = "/mcp";

type Mcp = StreamableHttpService<Matrix, LocalSessionManager>;

/// Serves, tells where, and returns when stdin has ended.
pub(crate) async fn serve(server: Matrix) -> anyhow::Result<()> {
    // By default it has sessions in the legacy era, and lets in loopback's own `Host`s only.
    let mcp: Mcp = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let told = json!({ "port": listener.local_addr()?.port(), "path": PATH });
    writeln!(std::io::stdout(), "{told}")?;
    let (mut stdin, mut nowhere) = (tokio::io::stdin(), tokio::io::sink());
    tokio::select! {
        ended = tokio::io::copy(&mut stdin, &mut nowhere) => Ok(ended.map(drop)?),
        failed = accept(&listener, &mcp) => failed,
    }
}

async fn accept(listener: &TcpListener, mcp: &Mcp) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, mcp.clone()));
    }
}

async fn connection(stream: TcpStream, mcp: Mcp) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let mcp = mcp.clone();
        async move {
            Ok::<_, Infallible>(if request.uri().path() == PATH {
                mcp.handle(request).await
            } else {
                let mut nothing = Response::new(Empty::new().boxed());
                *nothing.status_mut() = StatusCode::NOT_FOUND;
                nothing
            })
        }
    });
    // An error means that the client has hung up.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}
