//! `wasi:http` for handler plugins: their requests are sent by [`HandlerHttp`].

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, Result, WasiBody, WasiHttpHooks};

use crate::outbound::handler_http::{HandlerHttp, SendError, Timeouts};

/// The hooks of `wasi:http`.
#[derive(Default)]
pub(super) struct HttpHooks {
    /// Absent where the guest may make no request.
    handler_http: Option<Arc<HandlerHttp>>,
    forbids: Option<ForbiddenHeaderFilter>,
}

impl HttpHooks {
    /// Requests are sent by `handler_http`; the guest can set no header that `forbids` names.
    pub(super) fn new(handler_http: Arc<HandlerHttp>, forbids: ForbiddenHeaderFilter) -> Self {
        Self { handler_http: Some(handler_http), forbids: Some(forbids) }
    }
}

/// What remains to be done after the response: nothing, since it has been read whole.
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
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        });
        Box::new(async move {
            let handler_http = handler_http.ok_or(Error::HttpRequestDenied)?;
            let response = handler_http.send(request, timeouts).await.map_err(error_code)?;
            let whole = |body: Vec<u8>| Full::new(Bytes::from(body)).map_err(Error::from).boxed_unsync();
            Ok((response.map(whole), Box::new(async { Ok(()) }) as Rest))
        })
    }
}

fn error_code(failed: SendError) -> Error {
    match failed {
        SendError::Denied => Error::HttpRequestDenied,
        SendError::NotPublic => Error::DestinationIpProhibited,
        SendError::RequestTooLarge => Error::HttpRequestBodySize(None),
        SendError::ResponseTooLarge => Error::HttpResponseBodySize(None),
        SendError::Unreachable => Error::DestinationUnavailable,
        SendError::TimedOut => Error::HttpResponseTimeout,
    }
}
