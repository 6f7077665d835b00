//! Calling provider plugins: pure conversions, which do no I/O.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::Store;

use super::Plugin;
use super::exports::Exports;
use super::handed::Most;
use super::kind::Kind;
use super::state::State;
use crate::error::{Error, Limit};
use crate::wit::streaming::exports::understudy::plugin::streaming as stream;
use crate::wit::understudy::plugin::types as wit;

impl Plugin {
    /// Whether it can read a stream.
    #[must_use]
    pub fn streams(&self) -> bool {
        matches!(&self.kind, Kind::Provider(exports) if exports.streams())
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
        let most = Most::of(&self.limits);
        let call =
            |mut store: Store<State>| async move { most.hold(exports.start(&mut store, &request, &options).await?) };
        self.own(self.call("start", None, call).await?)
    }

    /// Goes on with the provider's answer.
    ///
    /// # Errors
    /// The guest's own error, a limit, or a trap.
    pub async fn resume(&self, state: &Bytes, response: wit::HttpResponse) -> Result<wit::Step, Error> {
        let (exports, state) = (self.exports("resume")?, state.clone());
        let most = Most::of(&self.limits);
        let call =
            |mut store: Store<State>| async move { most.hold(exports.resume(&mut store, &state, &response).await?) };
        self.own(self.call("resume", None, call).await?)
    }

    /// Goes on with what a stream has brought.
    ///
    /// # Errors
    /// The guest's own error, a limit, or a trap.
    pub async fn next(&self, state: Bytes, events: Vec<stream::Event>) -> Result<stream::StreamingStep, Error> {
        if !self.streams() {
            return Err(self.cannot_stream());
        }
        let exports = self.exports("next")?;
        let call = |mut store: Store<State>| async move { exports.next(&mut store, &state, &events).await };
        let step = self.own(self.call("next", None, call).await?)?;
        // A stream's state may hold the answer so far.
        let most = self.limits.state.saturating_add(self.limits.response_body);
        match &step {
            stream::StreamingStep::More(progress) if progress.state.len() > most => {
                Err(Error::Limit { plugin: self.name.clone(), call: "next", limit: Limit::StreamState(most) })
            }
            _ => Ok(step),
        }
    }

    /// Holds an exchange that the guest wants to the limits, and to what the guest can do.
    ///
    /// # Errors
    /// If it is too large, or the guest couldn't read the answer.
    pub fn check(&self, fetch: &wit::Fetch) -> Result<(), Error> {
        if let Some(limit) = Most::of(&self.limits).exceeded_by(fetch) {
            return Err(Error::Limit { plugin: self.name.clone(), call: "fetch", limit });
        }
        if fetch.framing != wit::Framing::Whole && !self.streams() {
            return Err(self.cannot_stream());
        }
        Ok(())
    }

    pub(super) async fn describe_provider(&self) -> Result<wit::Description, Error> {
        let exports = self.exports("describe")?;
        self.call("describe", None, |mut store: Store<State>| async move { exports.describe(&mut store).await }).await
    }

    fn cannot_stream(&self) -> Error {
        let reason = "it wants the answer as a stream, and it doesn't export `streaming`".to_owned();
        Error::Refused { plugin: self.name.clone(), reason }
    }

    fn exports(&self, call: &'static str) -> Result<Arc<Exports>, Error> {
        match &self.kind {
            Kind::Provider(exports) => Ok(Arc::clone(exports)),
            Kind::Handler(_) => {
                let reason = format!("it is a handler plugin, which has no `{call}`");
                Err(Error::Refused { plugin: self.name.clone(), reason })
            }
        }
    }
}
