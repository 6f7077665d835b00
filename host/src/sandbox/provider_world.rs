//! Calling provider plugins: pure conversions, which do no I/O.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::Store;

use super::Plugin;
use super::exports::Exports;
use super::linked::Linked;
use super::output_limits::OutputLimits;
use super::state::StoreData;
use crate::error::{Error, Limit};
use crate::wit::streaming::exports::understudy::plugin::streaming as stream;
use crate::wit::understudy::plugin::types as wit;

impl Plugin {
    /// Whether it can read a stream.
    #[must_use]
    pub fn streams(&self) -> bool {
        matches!(&self.linked, Linked::Provider(exports) if exports.streams())
    }

    /// Begins a request.
    ///
    /// # Errors
    /// The guest's own error, a limit, or a trap.
    pub async fn start(
        &self,
        request: &Arc<wit::CreateMessageRequest>,
        options: &Arc<wit::Options>,
    ) -> Result<wit::Step, Error> {
        let (exports, request, options) = (self.exports("start")?, Arc::clone(request), Arc::clone(options));
        let output_limits = OutputLimits::of(&self.limits);
        let call = |mut store: Store<StoreData>| async move {
            output_limits.enforce(exports.start(&mut store, &request, &options).await?)
        };
        self.guest_result(self.call("start", None, call).await?)
    }

    /// Resumes the request with the provider's response.
    ///
    /// # Errors
    /// The guest's own error, a limit, or a trap.
    pub async fn resume(&self, state: &Bytes, response: wit::HttpResponse) -> Result<wit::Step, Error> {
        let (exports, state) = (self.exports("resume")?, state.clone());
        let output_limits = OutputLimits::of(&self.limits);
        let call = |mut store: Store<StoreData>| async move {
            output_limits.enforce(exports.resume(&mut store, &state, &response).await?)
        };
        self.guest_result(self.call("resume", None, call).await?)
    }

    /// Passes the events of a stream that have arrived.
    ///
    /// # Errors
    /// The guest's own error, a limit, or a trap.
    pub async fn next(&self, state: Bytes, events: Vec<stream::Event>) -> Result<stream::StreamingStep, Error> {
        if !self.streams() {
            return Err(self.cannot_stream());
        }
        let exports = self.exports("next")?;
        let call = |mut store: Store<StoreData>| async move { exports.next(&mut store, &state, &events).await };
        let step = self.guest_result(self.call("next", None, call).await?)?;
        // A stream's state may hold the answer so far.
        let most = self.limits.state.saturating_add(self.limits.response_body);
        match &step {
            stream::StreamingStep::More(progress) if progress.state.len() > most => {
                Err(Error::Limit { plugin: self.name.clone(), call: "next", limit: Limit::StreamState(most) })
            }
            _ => Ok(step),
        }
    }

    /// Checks an HTTP request that the guest wants against the limits, and whether the guest can read the response.
    ///
    /// # Errors
    /// If it is too large, or the guest couldn't read the answer.
    pub fn check(&self, fetch: &wit::Fetch) -> Result<(), Error> {
        if let Some(limit) = OutputLimits::of(&self.limits).exceeded_by(fetch) {
            return Err(Error::Limit { plugin: self.name.clone(), call: "fetch", limit });
        }
        if fetch.framing != wit::Framing::Whole && !self.streams() {
            return Err(self.cannot_stream());
        }
        Ok(())
    }

    pub(super) async fn describe_provider(&self) -> Result<wit::Description, Error> {
        let exports = self.exports("describe")?;
        self.call("describe", None, |mut store: Store<StoreData>| async move { exports.describe(&mut store).await })
            .await
    }

    fn cannot_stream(&self) -> Error {
        let reason = "it wants the answer as a stream, and it doesn't export `streaming`".to_owned();
        Error::Refused { plugin: self.name.clone(), reason }
    }

    fn exports(&self, call: &'static str) -> Result<Arc<Exports>, Error> {
        match &self.linked {
            Linked::Provider(exports) => Ok(Arc::clone(exports)),
            Linked::Handler(_) | Linked::Guard(_) => {
                let reason = format!("it is no provider plugin, and has no `{call}`");
                Err(Error::Refused { plugin: self.name.clone(), reason })
            }
        }
    }
}
