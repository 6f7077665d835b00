//! `wasi:http` as a handler plugin gets it: its requests go out by [`Visit`], or not at all.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, Result, WasiBody, WasiHttpHooks};

use crate::provider::visit::{Failed, Patience, Visit};

/// What `wasi:http` calls.
#[derive(Default)]
pub(super) struct Hooks {
    /// Absent where no request may be made at all.
    visit: Option<Arc<Visit>>,
    forbids: Option<ForbiddenHeaderFilter>,
}

impl Hooks {
    /// Requests go out by this visit; no header that this filter forbids can be set.
    pub(super) fn new(visit: Arc<Visit>, forbids: ForbiddenHeaderFilter) -> Self {
        Self { visit: Some(visit), forbids: Some(forbids) }
    }
}

/// When the answer has come in, nothing is left to be done.
type Rest = Box<dyn Future<Output = Result<()>> + Send>;

impl WasiHttpHooks for Hooks {
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
        let visit = self.visit.clone();
        let patience = options.map_or_else(Patience::default, |options| Patience {
            first: options.first_byte_timeout,
            between: options.between_bytes_timeout,
        });
        Box::new(async move {
            let visit = visit.ok_or(Error::HttpRequestDenied)?;
            let response = visit.send(request, patience).await.map_err(told)?;
            let whole = |body: Vec<u8>| Full::new(Bytes::from(body)).map_err(Error::from).boxed_unsync();
            Ok((response.map(whole), Box::new(async { Ok(()) }) as Rest))
        })
    }
}

fn told(failed: Failed) -> Error {
    match failed {
        Failed::Denied => Error::HttpRequestDenied,
        Failed::Prohibited => Error::DestinationIpProhibited,
        Failed::RequestTooLarge => Error::HttpRequestBodySize(None),
        Failed::ResponseTooLarge => Error::HttpResponseBodySize(None),
        Failed::Unreachable => Error::DestinationUnavailable,
        Failed::TimedOut => Error::HttpResponseTimeout,
    }
}
