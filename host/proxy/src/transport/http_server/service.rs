//! The front as a `tower::Service`, for programs that have an HTTP server of their own.

use std::convert::Infallible;
use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::{Body, Frame, SizeHint};

use super::callers::Busy;
use super::response;
use super::router::{self, Router};

/// Answers the HTTP requests of MCP clients: at `/NAME/mcp` for each server, and at `/healthz` and `/readyz`. Clones serve the same servers.
///
/// The HTTP server that it is mounted in sees to connections: their number, and how long a client may take to send a request's head.
#[derive(Debug, Clone)]
pub struct FrontService {
    router: Arc<Router>,
}

impl FrontService {
    pub(super) fn new(router: Arc<Router>) -> Self {
        Self { router }
    }
}

impl<B> tower_service::Service<Request<B>> for FrontService
where
    B: Body<Data = Bytes, Error: Display> + Send + 'static,
{
    type Response = Response<FrontBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let router = Arc::clone(&self.router);
        async move {
            // A request has the place of a connection: the connections themselves are the other server's.
            let visit = Arc::new(router.shared.callers.arrive(None));
            visit.speaks();
            let busy = visit.busy();
            let response = router::answer(&router, &visit, request.map(Box::pin)).await;
            Ok(response.map(|body| FrontBody { body, _busy: busy }))
        }
        .boxed()
    }
}

/// The body of an answer. Until it is dropped, its request counts among those that are being answered.
#[derive(Debug)]
pub struct FrontBody {
    body: response::Body,
    _busy: Busy,
}

impl FrontBody {
    pub(super) fn new(body: response::Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl Body for FrontBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
