//! Calling handler plugins: the whole job in one call, with HTTP requests of their own on the way.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::Plugin;
use super::http::Hooks;
use super::kind::Kind;
use super::state::State;
use crate::config;
use crate::error::{Error, LoadError};
use crate::provider::guarded::Guarded;
use crate::provider::visit::Visit;
use crate::wit::handler::HandlerPre;
use crate::wit::understudy::plugin::types as wit;

/// A component that exports `handler`.
pub(super) struct Handler {
    pre: HandlerPre<State>,
    guarded: Arc<Guarded>,
}

impl Handler {
    pub(super) fn new(
        linked: InstancePre<State>,
        config: &config::Plugin,
        not_ours: impl FnOnce(wasmtime::Error) -> LoadError,
    ) -> Result<Self, LoadError> {
        Ok(Self { pre: HandlerPre::new(linked).map_err(not_ours)?, guarded: Arc::new(Guarded::new(config)?) })
    }
}

impl Plugin {
    /// Where the plugin may send HTTP requests of its own, if it is one that makes them.
    #[must_use]
    pub fn guarded(&self) -> Option<&Guarded> {
        match &self.kind {
            Kind::Handler(handler) => Some(&handler.guarded),
            Kind::Provider(_) => None,
        }
    }

    /// Lets a handler plugin answer.
    ///
    /// # Errors
    /// What it did that it may not; else its own error, a limit, or a trap.
    pub async fn create_message(
        &self,
        request: &Arc<wit::CreateMessageRequest>,
        options: &Arc<wit::Options>,
    ) -> Result<wit::Completion, Error> {
        let Kind::Handler(Handler { pre, guarded }) = &self.kind else {
            let reason = "it is a provider plugin, which has no `create-message`".to_owned();
            return Err(Error::Refused { plugin: self.name.clone(), reason });
        };
        let visit = Arc::new(Visit::new(Arc::clone(guarded)));
        let hooks = Hooks::new(Arc::clone(&visit), Arc::new(guarded.forbids()));
        let (pre, request, options) = (pre.clone(), Arc::clone(request), Arc::clone(options));
        let call = |mut store: Store<State>| async move {
            let instance = pre.instantiate_async(&mut store).await?;
            instance.understudy_plugin_handler().call_create_message(&mut store, &request, &options).await
        };
        let outcome = self.call("create-message", Some(hooks), call).await.and_then(|outcome| self.own(outcome));
        outcome.map_err(|error| cause(error, &visit))
    }

    pub(super) async fn describe_handler(&self, handler: &Handler) -> Result<wit::Description, Error> {
        let pre = handler.pre.clone();
        let call = |mut store: Store<State>| async move {
            let instance = pre.instantiate_async(&mut store).await?;
            instance.understudy_plugin_handler().call_describe(&mut store).await
        };
        self.call("describe", None, call).await
    }
}

/// Why the guest failed: a request that it may not make says more than what the guest made of the refusal, and one that failed says
/// more than a trap or an error without a kind.
fn cause(error: Error, visit: &Visit) -> Error {
    let is_vague = match &error {
        Error::Trap { .. } | Error::Guest { error: wit::Error::Other(_), .. } => true,
        Error::Guest { .. } => false,
        _ => return error,
    };
    let failure = || visit.failure_of_the_last().filter(|_| is_vague);
    visit.breach().or_else(failure).unwrap_or(error)
}
