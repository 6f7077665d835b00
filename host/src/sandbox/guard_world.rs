//! Calling guards: pure functions that judge a request or an answer.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::Plugin;
use super::linked::Linked;
use super::state::StoreData;
use crate::error::Error;
use crate::wit::guard::GuardPre;
use crate::wit::guard::exports::understudy::plugin::guard as verdicts;
use crate::wit::understudy::plugin::types as wit;

/// A component that exports `guard`.
pub(super) struct GuardWorld {
    pre: GuardPre<StoreData>,
}

impl GuardWorld {
    /// # Errors
    /// If a function is missing, or has another type.
    pub(super) fn new(linked: InstancePre<StoreData>) -> wasmtime::Result<Self> {
        Ok(Self { pre: GuardPre::new(linked)? })
    }
}

impl Plugin {
    /// Has a guard judge a request; `settings` is a JSON object.
    ///
    /// # Errors
    /// The guest's own error, a limit, or a trap.
    pub async fn judge_request(
        &self,
        request: &Arc<wit::CreateMessageRequest>,
        circumstances: &Arc<verdicts::Circumstances>,
        settings: &Arc<String>,
    ) -> Result<verdicts::RequestVerdict, Error> {
        let pre = self.guard("request")?;
        let (request, circumstances, settings) = (Arc::clone(request), Arc::clone(circumstances), Arc::clone(settings));
        let call = |mut store: Store<StoreData>| async move {
            let instance = pre.instantiate_async(&mut store).await?;
            let guard = instance.understudy_plugin_guard();
            guard.call_request(&mut store, &request, &circumstances, &settings).await
        };
        self.guest_result(self.call("request", None, call).await?)
    }

    /// Has a guard judge an answer; `settings` is a JSON object.
    ///
    /// # Errors
    /// The guest's own error, a limit, or a trap.
    pub async fn judge_answer(
        &self,
        answer: &Arc<wit::CreateMessageResult>,
        circumstances: &Arc<verdicts::Circumstances>,
        settings: &Arc<String>,
    ) -> Result<verdicts::AnswerVerdict, Error> {
        let pre = self.guard("answer")?;
        let (answer, circumstances, settings) = (Arc::clone(answer), Arc::clone(circumstances), Arc::clone(settings));
        let call = |mut store: Store<StoreData>| async move {
            let instance = pre.instantiate_async(&mut store).await?;
            let guard = instance.understudy_plugin_guard();
            guard.call_answer(&mut store, &answer, &circumstances, &settings).await
        };
        self.guest_result(self.call("answer", None, call).await?)
    }

    pub(super) async fn describe_guard(&self, guard: &GuardWorld) -> Result<wit::Description, Error> {
        let pre = guard.pre.clone();
        let call = |mut store: Store<StoreData>| async move {
            let instance = pre.instantiate_async(&mut store).await?;
            instance.understudy_plugin_guard().call_describe(&mut store).await
        };
        Ok(as_a_plugins(self.call("describe", None, call).await?))
    }

    fn guard(&self, call: &'static str) -> Result<GuardPre<StoreData>, Error> {
        match &self.linked {
            Linked::Guard(guard) => Ok(guard.pre.clone()),
            Linked::Provider(_) | Linked::Handler(_) => {
                let reason = format!("it is no guard, and has no `{call}`");
                Err(Error::Refused { plugin: self.name.clone(), reason })
            }
        }
    }
}

/// A guard's description in the words of a plugin's: what it checks stands in `accepts`.
fn as_a_plugins(description: verdicts::GuardDescription) -> wit::Description {
    let verdicts::GuardDescription { name, version, summary, checks, settings_schema, extensions } = description;
    wit::Description { name, version, summary, accepts: checks, settings_schema, extensions, ..super::nothing() }
}
