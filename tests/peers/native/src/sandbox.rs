//! A plugin without a sandbox: `anthropic`, compiled in, called as a function.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use understudy_plugin::Provider as _;
use understudy_plugin::stream::StreamingProvider as _;
use understudy_plugin_anthropic::Anthropic;

use crate::config::{self, Limits};
use crate::error::{Error, LoadError};
use crate::outbound::egress_policy::EgressPolicy;
use crate::scheduling::Scheduling;
use crate::wit::streaming::exports::understudy::plugin::streaming as stream;
use crate::wit::understudy::plugin::types as wit;

/// There is none.
#[derive(Debug)]
pub struct Engine;

/// What a component is.
#[derive(Debug)]
pub struct ComponentInfo {
    /// Its world.
    pub world: Result<World, String>,
}

/// The worlds that the others tell apart.
#[derive(Debug, PartialEq, Eq)]
pub enum World {
    /// A provider.
    Provider,
    /// A guard; there is none.
    Guard,
}

/// The plugin.
#[derive(Debug)]
pub struct Plugin {
    /// Its name in the config.
    pub name: String,
    /// What it says of itself.
    pub description: wit::Description,
    /// What it is.
    pub info: ComponentInfo,
    /// No component's digest.
    pub sha256: String,
    limits: Limits,
}

impl ComponentInfo {
    /// Whether it makes HTTP requests of its own.
    #[must_use]
    pub fn makes_requests(&self) -> bool {
        false
    }
}

#[expect(clippy::unused_async, clippy::unused_self, reason = "the sandbox has something to wait for, and an engine")]
impl Plugin {
    /// The plugin.
    pub async fn load(_: Arc<Engine>, config: &config::PluginConfig) -> Result<Self, LoadError> {
        let (name, limits) = (config.name.clone(), config.limits.clone());
        let info = ComponentInfo { world: Ok(World::Provider) };
        Ok(Self { name, description: Anthropic::describe(), info, sha256: String::new(), limits })
    }

    /// Whether it says that it can carry this.
    #[must_use]
    pub fn accepts(&self, what: &str) -> bool {
        self.description.accepts.iter().any(|word| word == what)
    }

    /// The gauge of requests in flight; there is one server.
    pub(crate) fn active_requests(&self) -> Arc<AtomicUsize> {
        Arc::default()
    }

    /// There is one server, and nothing to schedule.
    pub(crate) fn scheduling(&self) -> Scheduling {
        Scheduling::On
    }

    /// Its limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// It isn't a handler.
    #[must_use]
    pub fn egress_policy(&self) -> Option<&EgressPolicy> {
        None
    }

    /// Begins a request.
    pub async fn start(
        &self,
        request: &Arc<wit::CreateMessageRequest>,
        options: &Arc<wit::Options>,
    ) -> Result<wit::Step, Error> {
        self.guest_result(Anthropic::start(request.as_ref().clone(), options.as_ref().clone()))
    }

    /// Resumes with the provider's response.
    pub async fn resume(&self, state: &Bytes, response: wit::HttpResponse) -> Result<wit::Step, Error> {
        self.guest_result(Anthropic::resume(state.to_vec(), response))
    }

    /// Passes the events of a stream.
    pub async fn next(&self, state: Bytes, events: Vec<stream::Event>) -> Result<stream::StreamingStep, Error> {
        self.guest_result(Anthropic::next(state.to_vec(), events))
    }

    /// It isn't a handler.
    pub async fn create_message(
        &self,
        _: &Arc<wit::CreateMessageRequest>,
        _: &Arc<wit::Options>,
    ) -> Result<wit::Completion, Error> {
        Err(Error::Refused { plugin: self.name.clone(), reason: "it is a provider plugin".to_owned() })
    }

    /// Whatever it wants is allowed.
    pub fn check(&self, _: &wit::Fetch) -> Result<(), Error> {
        Ok(())
    }

    fn guest_result<T>(&self, outcome: Result<T, wit::Error>) -> Result<T, Error> {
        outcome.map_err(|error| Error::Guest { plugin: self.name.clone(), error })
    }
}
