//! Answering one sampling request, from its parameters to its result.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `pipeline` | one config generation: admission, and the steps of a request |
//! | `approve` | the step at which the user is asked |
//! | `approvals` | whether the user is asked, and what follows from the answer |
//! | `chain` | asking the plugins, one after the other |
//! | `plugin_call` | one plugin's part: its calls, the HTTP exchanges between them, retries |
//! | `circumstances` | what is known of a request besides its parameters |
//! | `context` | the context that a server may have attached (`includeContext`) |
//! | `costs` | what a plugin's provider counts and charges |
//! | `redaction` | results and errors without the plugin's credentials |

mod approvals;
mod approve;
mod chain;
mod circumstances;
mod context;
mod costs;
mod pipeline;
mod plugin_call;
mod redaction;

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use understudy_mcp_types::{CreateMessageRequestParams, CreateMessageResult};

use crate::admission::policy::Lowered;
use crate::approval::Approver;
use crate::children::Withheld;
use crate::config::{self, Config, Sampling};
use crate::environment::Environment;
use crate::error::{Error, LoadError};
use crate::guards::{Guard, Guards};
use crate::ledger::{Attempt, SharedLedger, input_tokens};
use crate::outbound::credential::Credential;
use crate::outbound::egress_policy::EgressPolicy;
use crate::outbound::redact::Secret;
use crate::outbound::{Http, ProviderClient};
use crate::sandbox::{Engine, Plugin, World};
use crate::select;
use crate::select::Catalogue;
use crate::text::one_line;
use crate::timeline;
use crate::wit::understudy::plugin::types as wit;
pub use circumstances::{CallInProgress, Circumstances};
pub use context::{Context, ToolCall};
pub use costs::Costs;
use pipeline::Pipeline;

understudy_mcp_types::wit_conversions!(crate::wit::understudy::plugin::types);

/// Answers the sampling requests of one server.
#[derive(Debug)]
pub struct Sampler {
    server: String,
    /// Replaced on reload; requests in flight finish on the one they began with.
    pipeline: RwLock<Arc<Pipeline>>,
    /// The id of this process and a counter: the requests' ids in the log.
    process: u32,
    counter: AtomicU64,
    /// What made it, if it can be made again.
    recipe: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// One token for each request that is being answered.
    requests: TaskTracker,
}

/// What the samplers of a process share.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// The connections to providers.
    pub(crate) http: Arc<Http>,
    /// Where the config's variables are looked up.
    pub(crate) env: &'a Environment,
    /// The ledger, if the config has one.
    pub(crate) ledger: Option<&'a Arc<SharedLedger>>,
}

/// A plugin with its configuration.
#[derive(Debug)]
pub struct ConfiguredPlugin {
    /// The plugin.
    pub plugin: Plugin,
    /// The client for the requests that the host sends for it.
    pub provider_client: ProviderClient,
    /// The plugin's models.
    pub catalogue: Catalogue,
    /// What its provider counts and charges.
    pub costs: Costs,
    /// The plugin's settings, a JSON object.
    pub settings: String,
}

/// The `CreateMessageRequestParams` of a request.
#[derive(Debug, Clone, Copy)]
pub enum SamplingParams<'a> {
    /// As JSON.
    Json(&'a [u8]),
    /// As they are in this process.
    Parsed(&'a CreateMessageRequestParams),
}

impl Default for SamplingParams<'_> {
    fn default() -> Self {
        Self::Json(b"{}")
    }
}

impl SamplingParams<'_> {
    /// How much it holds, in bytes.
    fn size(&self) -> usize {
        match self {
            Self::Json(text) => text.len(),
            Self::Parsed(params) => params.size(),
        }
    }
}

impl<'a> From<&'a [u8]> for SamplingRequest<'a> {
    fn from(params: &'a [u8]) -> Self {
        Self::new(params)
    }
}

impl<'a> From<SamplingParams<'a>> for SamplingRequest<'a> {
    fn from(params: SamplingParams<'a>) -> Self {
        Self { params, ..Self::default() }
    }
}

/// A server's sampling request.
#[derive(Debug, Default)]
pub struct SamplingRequest<'a> {
    /// Its parameters.
    pub params: SamplingParams<'a>,
    /// What may be attached for `includeContext`, where the config allows it.
    pub context: Option<Context>,
    /// Where the text of an answer goes as it arrives, if the server wants progress.
    pub progress: Option<mpsc::Sender<String>>,
    /// In whose name, and in the course of what, it came.
    pub circumstances: Circumstances,
    /// Who can be asked whether it may be answered. Without one, what needs the user's approval waits in the ledger, or is refused.
    pub approver: Option<Approver>,
    /// Whether `requestsPerMinute` has counted it already: when the client was asked, which couldn't answer.
    pub is_rate_counted: bool,
}

impl<'a> SamplingRequest<'a> {
    /// A request with its parameters only.
    #[must_use]
    pub fn new(params: &'a [u8]) -> Self {
        SamplingParams::Json(params).into()
    }
}

impl ConfiguredPlugin {
    /// Loads a plugin with its configuration; `env` looks up environment variables.
    ///
    /// # Errors
    /// If it can't serve, and why.
    pub async fn load(
        engine: &Arc<Engine>,
        config: &config::PluginConfig,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, LoadError> {
        let plugin = Plugin::load(Arc::clone(engine), config).await?;
        if plugin.info.world == Ok(World::Guard) {
            return Err(LoadError::IsAGuard { name: plugin.name });
        }
        let provider_client = ProviderClient::new(config, &plugin.description, env)?;
        let settings = serde_json::Value::Object(config.settings.clone()).to_string();
        let catalogue = Catalogue::new(config, &plugin.description);
        let costs = Costs::new(config, &plugin.description, &provider_client, plugin.egress_policy().is_some());
        Ok(Self { plugin, provider_client, catalogue, costs, settings })
    }

    /// What keeps the plugin from answering, as far as it is known without asking its provider.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let reach: Vec<String> = match self.plugin.egress_policy() {
            Some(egress_policy) if self.plugin.info.makes_requests() && egress_policy.names().is_empty() => {
                let name = &self.plugin.name;
                vec![format!("it makes HTTP requests, and `plugins.{name}.allow` names no origin that it may reach")]
            }
            Some(egress_policy) => egress_policy.missing_credentials().collect(),
            None => self.provider_troubles(),
        };
        let named = select::choose(&[&self.catalogue], None).first().is_some_and(|choice| !choice.model.is_empty());
        // A handler may know its model by itself.
        let model = (!named && self.plugin.egress_policy().is_none()).then(|| {
            let name = &self.plugin.name;
            format!("no model is chosen; write `plugins.{name}.model` into the config, or `--model NAME`")
        });
        reach.into_iter().chain(model).collect()
    }

    /// A remark on what may keep the plugin from answering.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        self.plugin.egress_policy().is_none().then(|| self.provider_client.remark())?
    }

    /// The credentials that the plugin's last requests were sent with.
    fn secrets(&self) -> Vec<Arc<Secret>> {
        let origins = self.plugin.egress_policy().into_iter().flat_map(EgressPolicy::origins);
        let own = self.provider_client.credential().into_iter();
        own.chain(origins.filter_map(|(.., credential)| credential)).flat_map(Credential::used).collect()
    }

    /// Checks the plugin's completion and converts it to a result that the server can take; `tools` are the names of those in the request.
    ///
    /// # Errors
    /// [`Error::BadAnswer`].
    pub fn finish(&self, completion: wit::Completion, tools: Option<&[String]>) -> Result<CreateMessageResult, Error> {
        let plugin = &self.plugin.name;
        // The reason may quote the answer.
        let bad = |reason: String| Error::BadAnswer { plugin: plugin.clone(), reason: one_line(&reason, 500) };
        if let Some(usage) = &completion.usage {
            let (input, output) = (usage.input_tokens, usage.output_tokens);
            tracing::info!(plugin, model = completion.result.model, input, output, "tokens");
        }
        let result = CreateMessageResult::try_from(completion.result).map_err(|e| bad(e.to_string()))?;
        result.shape(tools).map_err(|e| bad(e.to_string()))
    }

    /// What asking its provider for this may take.
    fn attempt(&self, model: &str, request: &wit::CreateMessageRequest) -> Attempt {
        Attempt {
            plugin: self.plugin.name.clone(),
            plugin_sha256: self.plugin.sha256.clone(),
            model: model.to_owned(),
            price: self.costs.price(model),
            most_input: input_tokens(request),
            most_output: request.max_tokens.into(),
        }
    }

    fn provider_troubles(&self) -> Vec<String> {
        let credential = self.provider_client.missing_credential();
        let endpoint = self.plugin.description.endpoint.as_ref().and(self.provider_client.endpoint().err());
        credential.into_iter().chain(endpoint.map(str::to_owned)).collect()
    }
}

impl Sampler {
    /// A sampler for the server of this name; the first plugin of the chain is the first choice. It has no guards: where the rule names some, it
    /// answers no request.
    #[must_use]
    pub fn new(server: &str, rule: &Sampling, chain: Vec<ConfiguredPlugin>, http: Arc<Http>, config: &Config) -> Self {
        let env = Environment::process();
        // A ledger without a path of its own has no folder here, so its requests are refused: budgets are never passed over.
        let ledger = config.ledger.as_ref().map(|ledger| Arc::new(SharedLedger::new(ledger, None)));
        let surroundings = Surroundings { http, env: &env, ledger: ledger.as_ref() };
        Self::with_guards(server, rule, (chain, Vec::new()), config, surroundings)
    }

    /// The same, with guards, and with what the caller has for the requests.
    pub(crate) fn with_guards(
        server: &str,
        rule: &Sampling,
        (chain, guards): (Vec<ConfiguredPlugin>, Vec<Guard>),
        config: &Config,
        surroundings: Surroundings<'_>,
    ) -> Self {
        let guards = Guards::new(&rule.guards, guards);
        let pipeline = Pipeline::new(server, rule, chain, guards, config, surroundings);
        let (process, counter) = (std::process::id(), AtomicU64::new(1));
        let (server, pipeline) = (server.to_owned(), RwLock::new(Arc::new(pipeline)));
        Self { server, pipeline, process, counter, recipe: OnceLock::new(), requests: TaskTracker::new() }
    }

    fn pipeline(&self) -> Arc<Pipeline> {
        Arc::clone(&self.pipeline.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces this sampler's pipeline with that of another sampler of the same server; requests in flight finish on the old one.
    pub fn replace_with(&self, other: &Self) {
        let pipeline = other.pipeline();
        let before = std::mem::replace(&mut *self.pipeline.write().unwrap_or_else(PoisonError::into_inner), pipeline);
        // Without requests in flight, this frees all its memory, which takes a while: not under the lock.
        drop(before);
    }

    /// The name of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The rule that it answers by.
    #[must_use]
    pub fn rule(&self) -> Sampling {
        self.pipeline().rule.clone()
    }

    /// Whether a plugin accepts tools: then servers are told that they may send some.
    #[must_use]
    pub fn accepts_tools(&self) -> bool {
        self.pipeline().chain.iter().any(|link| link.plugin.accepts("tools"))
    }

    /// Whether the circumstances of its requests matter to anybody: then [`SamplingRequest::circumstances`] is worth being filled.
    #[must_use]
    pub fn wants_circumstances(&self) -> bool {
        self.pipeline().wants_circumstances()
    }

    /// Whether the user may be asked about its requests: then [`SamplingRequest::approver`] is worth being filled.
    #[must_use]
    pub fn asks_for_approval(&self) -> bool {
        self.pipeline().asks_for_approval()
    }

    /// Whether the config has a ledger: then [`record_refusal`](Self::record_refusal) is worth being called.
    #[must_use]
    pub fn keeps_ledger(&self) -> bool {
        self.pipeline().keeps_ledger()
    }

    /// Writes down that a request was refused by a rule that was applied before [`create_message`](Self::create_message).
    pub async fn record_refusal(&self, request: SamplingRequest<'_>, reason: &str) {
        let id = self.new_id();
        self.pipeline().record_refusal(&request, &id, reason).await;
    }

    fn new_id(&self) -> String {
        format!("{}-{}", self.process, self.counter.fetch_add(1, Ordering::Relaxed))
    }

    /// The plugins, the first choice first: the name of each, and its component's digest.
    #[must_use]
    pub fn plugins(&self) -> Vec<(String, String)> {
        let of = |link: &ConfiguredPlugin| (link.plugin.name.clone(), link.plugin.sha256.clone());
        self.pipeline().chain.iter().map(of).collect()
    }

    /// The guards, in order: the name of each, and its component's digest.
    #[must_use]
    pub fn guards(&self) -> Vec<(String, String)> {
        self.pipeline().guards.digests()
    }

    /// The environment variables that hold credentials of these plugins or any others of the config; the server's process doesn't inherit
    /// them.
    #[must_use]
    pub fn withheld(&self) -> Withheld {
        self.pipeline().withheld.clone()
    }

    /// Checks a request that a client is to answer by the rules for those that plugins answer; the edit that lowers its `maxTokens`, if it
    /// needs one.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] or [`Error::RequestTooLarge`].
    pub fn review<'a>(&self, params: &'a [u8]) -> Result<Option<Lowered<'a>>, Error> {
        self.pipeline().admission.policy.review(&self.server, params)
    }

    /// Whether `requestsPerMinute` allows one more request now.
    pub fn try_rate(&self) -> bool {
        self.pipeline().admission.try_rate()
    }

    /// Waits until `requestsPerMinute` allows a request of this size, within the deadline.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::TooMuch`] or [`Error::TooOften`].
    pub async fn wait_for_rate(&self, size: usize) -> Result<(), Error> {
        self.pipeline().admission.wait_for_rate(size).await
    }

    /// Whether so many requests of so many bytes together may be with the client at a time.
    ///
    /// # Errors
    /// [`Error::TooMany`] or [`Error::TooMuch`].
    pub fn check_room(&self, requests: usize, bytes: usize) -> Result<(), Error> {
        self.pipeline().admission.check_room(requests, bytes)
    }

    /// What keeps the plugins from answering, as far as it is known without asking their providers: a missing credential, no model, no
    /// origin that a handler may reach.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.pipeline().chain.iter().flat_map(ConfiguredPlugin::troubles).collect()
    }

    /// Keeps what made it.
    pub(crate) fn keep_recipe(&self, recipe: Arc<dyn Any + Send + Sync>) {
        // The first one stays.
        let _ = self.recipe.set(recipe);
    }

    /// What made it.
    pub(crate) fn recipe(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.recipe.get().cloned()
    }

    /// Begins no further request, and waits until those in flight have been answered. To cancel them instead, drop their futures.
    pub async fn close(&self) {
        self.requests.close();
        self.requests.wait().await;
    }

    /// Answers a request.
    ///
    /// It is held to the same limits as a server's, and to the rule's `maxTokens`. Dropping the future cancels everything that it began: the
    /// guest, and the HTTP request.
    ///
    /// # Errors
    /// - [`Error::InvalidRequest`], [`Error::RequestTooLarge`]: the request breaks a rule of the protocol, or a limit
    /// - [`Error::TooOften`], [`Error::TooMany`], [`Error::TooMuch`]: there are too many requests of this server at once
    /// - [`Error::Budget`]: a budget has too little left, or a model's price isn't known; [`Error::Ledger`]: it can't be recorded
    /// - [`Error::Deadline`]: there was no answer within `limits.deadline`
    /// - [`Error::Trap`], [`Error::Limit`], [`Error::Guest`], [`Error::Refused`], [`Error::BadAnswer`]: the plugin failed, or did what it may not
    /// - [`Error::Unreachable`], [`Error::ResponseTooLarge`], [`Error::BadStream`]: the provider can't be reached, or answers what can't be read
    /// - [`Error::Credential`]: the credential is missing
    /// - [`Error::Denied`], [`Error::GuardFailed`]: a guard denies the request or its answer, or has failed
    /// - [`Error::Declined`]: the user refuses the request or its answer, or nobody can be asked
    /// - [`Error::Closed`]: [`close`](Self::close) was called
    pub async fn create_message(&self, params: &CreateMessageRequestParams) -> Result<CreateMessageResult, Error> {
        let answer = self.create_message_json(SamplingParams::Parsed(params)).await?;
        let bad = |reason: String| Error::BadAnswer { plugin: self.server.clone(), reason };
        CreateMessageResult::from_json(answer.as_bytes()).map_err(|e| bad(e.to_string()))
    }

    /// Answers a request whose `CreateMessageRequestParams` are JSON; `CreateMessageResult` as JSON.
    ///
    /// # Errors
    /// As [`create_message`](Self::create_message).
    pub async fn create_message_json<'a>(&self, request: impl Into<SamplingRequest<'a>>) -> Result<String, Error> {
        let request = request.into();
        let _in_flight = self.requests.token();
        if self.requests.is_closed() {
            return Err(Error::Closed);
        }
        let id = self.new_id();
        timeline::keep(&id, self.pipeline().create_message(request, &id)).await
    }
}

/// Logs one step of a request, with the time since `began`.
#[macro_export]
#[doc(hidden)]
macro_rules! hop {
    ($request:expr, $began:expr, $($message:tt)+) => {
        tracing::info!(target: "understudy::hop", request = $request, took = ?$began.elapsed(), $($message)+)
    };
}
pub use hop;
