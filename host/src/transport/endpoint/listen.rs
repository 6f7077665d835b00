//! Connections: taken one by one, each served by a task of its own.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Shared, route};

/// So many connections are served at once. Further ones wait for their turn.
const MOST_CONNECTIONS: usize = 10_000;

/// How long a client may take to send a request's head, or to send the next one on the same connection.
const HEAD: Duration = Duration::from_secs(30);

/// How long to wait when no connection can be taken, for want of file descriptors mostly.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until the last of them is not to be waited for any more.
pub(super) async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            () = shared.last_call.cancelled() => return,
        };
        match taken {
            Ok((stream, _)) => {
                shared.connections.spawn(serve(stream, Arc::clone(&shared), place));
            }
            Err(error) if is_of_a_connection(&error) => {}
            Err(error) => {
                tracing::warn!("can't take a connection: {error}");
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

async fn serve(stream: TcpStream, shared: Arc<Shared>, _place: OwnedSemaphorePermit) {
    // Events are to arrive when they are said; if that can't be had, they arrive a little later.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(route::answer(&shared, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = shared.last_call.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!("a connection ends: {error}");
    }
}
