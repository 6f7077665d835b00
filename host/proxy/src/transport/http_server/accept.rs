//! Connections: taken one by one, each served by a task of its own.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::callers::Visit;
use super::router::{self, Router};
use super::service::FrontBody;
use super::socket::Socket;

/// How long a client may take to show the token, and to send the next request's head on the same connection.
const HEAD: Duration = Duration::from_secs(30);

/// The longest head, in bytes. 64 KiB.
const LONGEST_HEAD: usize = 64 * 1024;

/// How long to wait when no connection can be taken, for want of file descriptors mostly.
const PAUSE: Duration = Duration::from_millis(100);

/// What is listened on.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(Socket),
}

/// A connection that was taken.
enum Taken {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<Taken> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, from)| Taken::Tcp(stream, from.ip())),
            Self::Unix(socket) => socket.accept().await.map(Taken::Unix),
        }
    }
}

/// Takes connections until the last of them is not to be waited for any more.
pub(super) async fn accept(listener: Listener, router: Arc<Router>) {
    let shared = &router.shared;
    let mut told = false;
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            () = shared.last_call.cancelled() => return,
        };
        match taken {
            Ok(Taken::Tcp(stream, from)) => {
                // Events are to arrive when they are said; if that can't be had, they arrive a little later.
                let _ = stream.set_nodelay(true);
                shared.connections.spawn(serve(stream, shared.callers.arrive(Some(from)), Arc::clone(&router)));
            }
            Ok(Taken::Unix(stream)) => {
                shared.connections.spawn(serve(stream, shared.callers.arrive(None), Arc::clone(&router)));
            }
            Err(error) if is_of_a_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("can't take a connection: {error}; idle ones are closed (said once)");
                }
                shared.callers.make_room();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether only the connection that was to be taken is broken.
fn is_of_a_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A connection's bytes.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Waits until the client has said something.
    fn heard(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Stream for TcpStream {
    async fn heard(&self) -> io::Result<()> {
        self.readable().await
    }
}

impl Stream for UnixStream {
    async fn heard(&self) -> io::Result<()> {
        self.readable().await
    }
}

async fn serve(stream: impl Stream, visit: Visit, router: Arc<Router>) {
    let shared = &router.shared;
    let visit = Arc::new(visit);
    let mut overstayed = pin!(tokio::time::sleep(HEAD));
    tokio::select! {
        heard = stream.heard() => if heard.is_err() { return },
        () = visit.cut() => return,
        () = &mut overstayed => return,
        () = shared.last_call.cancelled() => return,
    }
    visit.speaks();
    let service = service_fn(|request| {
        let (router, visit) = (Arc::clone(&router), Arc::clone(&visit));
        async move {
            let busy = visit.busy();
            let response = router::answer(&router, &visit, request).await;
            Ok::<_, Infallible>(response.map(|body| FrontBody::new(body, busy)))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LONGEST_HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let (mut is_early, mut is_last) = (true, false);
    let served = loop {
        tokio::select! {
            served = connection.as_mut() => break served,
            () = visit.cut() => return,
            () = &mut overstayed, if is_early => {
                is_early = false;
                if visit.is_strange() {
                    return;
                }
            }
            () = shared.last_call.cancelled(), if !is_last => {
                is_last = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!("a connection ends: {error}");
    }
}
