//! `wasi:http` as a handler plugin gets it: its requests go out by [`HandlerHttp`], or not at all.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, Result, WasiBody, WasiHttpHooks};

use crate::outbound::handler_http::{SendError, Timeouts, HandlerHttp};

/// What `wasi:http` calls.
#[derive(Default)]
pub(super) struct HttpHooks {
    /// Absent where no request may be made at all.
    handler_http: Option<Arc<HandlerHttp>>,
    forbids: Option<ForbiddenHeaderFilter>,
}

impl HttpHooks {
    /// Requests go out by this handler_http; no header that this filter forbids can be set.
    pub(super) fn new(handler_http: Arc<HandlerHttp>, forbids: ForbiddenHeaderFilter) -> Self {
        Self { handler_http: Some(handler_http), forbids: Some(forbids) }
    }
}

/// When the answer has come in, nothing is left to be done.
type Rest = Box<dyn Future<Output = Result<()>> + Send>;

impl WasiHttpHooks for HttpHooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        self.forbids.clone().unwrap_or_else(|| Arc::new(|_| true))
    }

    /// The client sets it.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Rest,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Rest)>> + Send> {
        let handler_http = self.handler_http.clone();
        let timeouts = options.map_or_else(Timeouts::default, |options| Timeouts {
            first: options.first_byte_timeout,
            between: options.between_bytes_timeout,
        });
        Box::new(async move {
            let handler_http = handler_http.ok_or(Error::HttpRequestDenied)?;
            let response = handler_http.send(request, timeouts).await.map_err(told)?;
            let whole = |body: Vec<u8>| Full::new(Bytes::from(body)).map_err(Error::from).boxed_unsync();
            Ok((response.map(whole), Box::new(async { Ok(()) }) as Rest))
        })
    }
}

fn told(failed: SendError) -> Error {
    match failed {
        SendError::Denied => Error::HttpRequestDenied,
        SendError::NotPublic => Error::DestinationIpProhibited,
        SendError::RequestTooLarge => Error::HttpRequestBodySize(None),
        SendError::ResponseTooLarge => Error::HttpResponseBodySize(None),
        SendError::Unreachable => Error::DestinationUnavailable,
        SendError::TimedOut => Error::HttpResponseTimeout,
    }
}
