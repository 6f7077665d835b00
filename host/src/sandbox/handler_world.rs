//! Calling handler plugins: one call for the whole request, with HTTP requests of their own within it.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::Plugin;
use super::linked::Linked;
use super::state::StoreData;
use super::wasi_http::HttpHooks;
use crate::config;
use crate::error::{Error, LoadError};
use crate::outbound::egress_policy::EgressPolicy;
use crate::outbound::handler_http::HandlerHttp;
use crate::wit::handler::HandlerPre;
use crate::wit::understudy::plugin::types as wit;

/// A component that exports `handler`.
pub(super) struct HandlerWorld {
    pre: HandlerPre<StoreData>,
    egress_policy: Arc<EgressPolicy>,
}

impl HandlerWorld {
    pub(super) fn new(
        linked: InstancePre<StoreData>,
        config: &config::PluginConfig,
        not_a_plugin: impl FnOnce(wasmtime::Error) -> LoadError,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            pre: HandlerPre::new(linked).map_err(not_a_plugin)?,
            egress_policy: Arc::new(EgressPolicy::new(config)?),
        })
    }
}

impl Plugin {
    /// The egress policy for the plugin's own HTTP requests, if it is a handler.
    #[must_use]
    pub fn egress_policy(&self) -> Option<&EgressPolicy> {
        match &self.linked {
            Linked::Handler(handler) => Some(&handler.egress_policy),
            Linked::Provider(_) | Linked::Guard(_) => None,
        }
    }

    /// Lets a handler plugin answer.
    ///
    /// # Errors
    /// Its first violation of the egress policy; else its own error, a limit, or a trap.
    pub async fn create_message(
        &self,
        request: &Arc<wit::CreateMessageRequest>,
        options: &Arc<wit::Options>,
    ) -> Result<wit::Completion, Error> {
        let Linked::Handler(HandlerWorld { pre, egress_policy }) = &self.linked else {
            let reason = "it is no handler plugin, and has no `create-message`".to_owned();
            return Err(Error::Refused { plugin: self.name.clone(), reason });
        };
        let handler_http = Arc::new(HandlerHttp::new(Arc::clone(egress_policy)));
        let hooks = HttpHooks::new(Arc::clone(&handler_http), Arc::new(egress_policy.forbids()));
        let (pre, request, options) = (pre.clone(), Arc::clone(request), Arc::clone(options));
        let call = |mut store: Store<StoreData>| async move {
            let instance = pre.instantiate_async(&mut store).await?;
            instance.understudy_plugin_handler().call_create_message(&mut store, &request, &options).await
        };
        let outcome =
            self.call("create-message", Some(hooks), call).await.and_then(|outcome| self.guest_result(outcome));
        outcome.map_err(|error| cause(error, &handler_http))
    }

    pub(super) async fn describe_handler(&self, handler: &HandlerWorld) -> Result<wit::Description, Error> {
        let pre = handler.pre.clone();
        let call = |mut store: Store<StoreData>| async move {
            let instance = pre.instantiate_async(&mut store).await?;
            instance.understudy_plugin_handler().call_describe(&mut store).await
        };
        self.call("describe", None, call).await
    }
}

/// The error to report when the guest failed: a violation of the egress policy takes precedence, and a failed request replaces a trap or an
/// error without a kind.
fn cause(error: Error, handler_http: &HandlerHttp) -> Error {
    let is_vague = match &error {
        Error::Trap { .. } | Error::Guest { error: wit::Error::Other(_), .. } => true,
        Error::Guest { .. } => false,
        _ => return error,
    };
    let failure = || handler_http.last_failure().filter(|_| is_vague);
    handler_http.policy_violation().or_else(failure).unwrap_or(error)
}
