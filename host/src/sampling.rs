//! Answering one sampling request, from its parameters to its result.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `context` | what a server may have attached to its request (`includeContext`) |
//! | `cast` | who answers: the chain of plugins, and the limits for all of them |
//! | `share` | who has many requests lets others go first |
//! | `ask` | one plugin's part: its calls, the exchanges between them, retries |
//! | `told` | what the server is told, without the plugin's credentials |

mod ask;
mod cast;
mod context;
mod share;
mod told;

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use understudy_mcp_types::{CreateMessageRequestParams, CreateMessageResult};

use crate::children::Withheld;
use crate::config::{self, Config, Sampling};
use crate::environment::Environment;
use crate::error::{Error, LoadError};
use crate::plugin::{Engine, Plugin};
use crate::policy::Lowered;
use crate::provider::credential::Credential;
use crate::provider::guarded::Guarded;
use crate::provider::secret::Secret;
use crate::provider::{Destination, Http};
use crate::select;
use crate::select::Catalogue;
use crate::text::one_line;
use crate::wit::understudy::plugin::types as wit;
use cast::Cast;
pub use context::{Context, ToolCall};

understudy_mcp_types::wit_conversions!(crate::wit::understudy::plugin::types);

/// Answers one server's sampling requests, by what the config says now.
#[derive(Debug)]
pub struct Sampler {
    server: String,
    /// Requests in flight keep the cast that they began with.
    cast: RwLock<Arc<Cast>>,
    /// This process, and what it counts: the requests' ids in the log.
    process: u32,
    counter: AtomicU64,
    /// What made it, if it can be made again.
    recipe: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// One token for each request that is being answered.
    requests: TaskTracker,
}

/// A plugin with all that the config says of it.
#[derive(Debug)]
pub struct Understudy {
    /// The plugin.
    pub plugin: Plugin,
    /// Where the requests go that the host makes for it.
    pub destination: Destination,
    /// The plugin's models.
    pub catalogue: Catalogue,
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

impl<'a> From<&'a [u8]> for Asked<'a> {
    fn from(params: &'a [u8]) -> Self {
        Self::new(params)
    }
}

impl<'a> From<SamplingParams<'a>> for Asked<'a> {
    fn from(params: SamplingParams<'a>) -> Self {
        Self { params, ..Self::default() }
    }
}

/// A server's request.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// What it asks for.
    pub params: SamplingParams<'a>,
    /// What the server may have attached, where the config allows it.
    pub context: Option<Context>,
    /// Where the text of an answer goes as it comes in, if the server wants to see it.
    pub progress: Option<mpsc::Sender<String>>,
    /// Whether it has been counted already (`requestsPerMinute`): when the client was asked, which couldn't answer.
    pub has_had_turn: bool,
}

impl<'a> Asked<'a> {
    /// A request with nothing besides its parameters.
    #[must_use]
    pub fn new(params: &'a [u8]) -> Self {
        SamplingParams::Json(params).into()
    }
}

impl Understudy {
    /// Loads a plugin with all that belongs to it; `env` looks up environment variables.
    ///
    /// # Errors
    /// If it can't serve, and why.
    pub async fn load(
        engine: &Arc<Engine>,
        config: &config::Plugin,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, LoadError> {
        let plugin = Plugin::load(Arc::clone(engine), config).await?;
        let destination = Destination::new(config, &plugin.description, env)?;
        let settings = serde_json::Value::Object(config.settings.clone()).to_string();
        let catalogue = Catalogue::new(config, &plugin.description);
        Ok(Self { plugin, destination, catalogue, settings })
    }

    /// What keeps the plugin from answering, as far as can be told without asking its provider.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let reach: Vec<String> = match self.plugin.guarded() {
            Some(guarded) if self.plugin.shape.makes_requests() && guarded.names().is_empty() => {
                let name = &self.plugin.name;
                vec![format!("it makes HTTP requests, and `plugins.{name}.allow` names no origin that it may reach")]
            }
            Some(guarded) => guarded.missing_credentials().collect(),
            None => self.destination_troubles(),
        };
        let named = select::choose(&[&self.catalogue], None).first().is_some_and(|choice| !choice.model.is_empty());
        // A handler may know its model by itself.
        let model = (!named && self.plugin.guarded().is_none()).then(|| {
            let name = &self.plugin.name;
            format!("no model is chosen; write `plugins.{name}.model` into the config, or `--model NAME`")
        });
        reach.into_iter().chain(model).collect()
    }

    /// What is odd about the plugin and no trouble for certain.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        self.plugin.guarded().is_none().then(|| self.destination.remark())?
    }

    /// The credentials that the plugin's requests went out with last.
    fn secrets(&self) -> Vec<Arc<Secret>> {
        let origins = self.plugin.guarded().into_iter().flat_map(Guarded::origins);
        let own = self.destination.credential().into_iter();
        own.chain(origins.filter_map(|(.., credential)| credential)).flat_map(Credential::used).collect()
    }

    /// Checks the plugin's answer and gives it the shape that the server can take; `tools` are the names of those in the request.
    ///
    /// # Errors
    /// If that can't be done.
    pub fn finish(&self, completion: wit::Completion, tools: Option<&[String]>) -> Result<CreateMessageResult, Error> {
        let plugin = &self.plugin.name;
        // What is wrong with an answer may quote it.
        let bad = |reason: String| Error::BadAnswer { plugin: plugin.clone(), reason: one_line(&reason, 500) };
        if let Some(usage) = &completion.usage {
            let (input, output) = (usage.input_tokens, usage.output_tokens);
            tracing::info!(plugin, model = completion.result.model, input, output, "tokens");
        }
        let result = CreateMessageResult::try_from(completion.result).map_err(|e| bad(e.to_string()))?;
        result.shape(tools).map_err(|e| bad(e.to_string()))
    }

    fn destination_troubles(&self) -> Vec<String> {
        let credential = self.destination.missing_credential();
        let endpoint = self.plugin.description.endpoint.as_ref().and(self.destination.endpoint().err());
        credential.into_iter().chain(endpoint.map(str::to_owned)).collect()
    }
}

impl Sampler {
    /// A sampler for the server of this name; the first plugin of the chain is the first choice.
    #[must_use]
    pub fn new(server: &str, rule: &Sampling, chain: Vec<Understudy>, http: Arc<Http>, config: &Config) -> Self {
        Self::in_environment(server, rule, chain, http, config, &Environment::process())
    }

    /// The same, where the config's variables are those of this environment.
    pub(crate) fn in_environment(
        server: &str,
        rule: &Sampling,
        chain: Vec<Understudy>,
        http: Arc<Http>,
        config: &Config,
        env: &Environment,
    ) -> Self {
        let cast = Cast::new(server, rule, chain, http, config, env);
        let (process, counter) = (std::process::id(), AtomicU64::new(1));
        let (server, cast) = (server.to_owned(), RwLock::new(Arc::new(cast)));
        Self { server, cast, process, counter, recipe: OnceLock::new(), requests: TaskTracker::new() }
    }

    fn cast(&self) -> Arc<Cast> {
        Arc::clone(&self.cast.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers from now on as another sampler of the same server would. What is being answered is answered as it was begun.
    pub fn become_as(&self, other: &Self) {
        let cast = other.cast();
        let before = std::mem::replace(&mut *self.cast.write().unwrap_or_else(PoisonError::into_inner), cast);
        // Unless something is in flight, all its memory goes now, and not under the lock.
        drop(before);
    }

    /// The name of the server.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The rule that it answers by.
    #[must_use]
    pub fn rule(&self) -> Sampling {
        self.cast().rule.clone()
    }

    /// Whether the plugins can carry tools: then servers are told that they are welcome.
    #[must_use]
    pub fn accepts_tools(&self) -> bool {
        self.cast().chain.iter().any(|link| link.plugin.accepts("tools"))
    }

    /// The plugins, the first choice first: the name of each, and its component's digest.
    #[must_use]
    pub fn plugins(&self) -> Vec<(String, String)> {
        let of = |link: &Understudy| (link.plugin.name.clone(), link.plugin.sha256.clone());
        self.cast().chain.iter().map(of).collect()
    }

    /// The environment variables that hold credentials, these plugins' and all others of the config: the server's process doesn't inherit
    /// them.
    #[must_use]
    pub fn withheld(&self) -> Withheld {
        self.cast().withheld.clone()
    }

    /// Holds a request that a client is to answer to what one may contain, as plugins' are. What is to be changed in it.
    ///
    /// # Errors
    /// What the server is to be told.
    pub(crate) fn review<'a>(&self, params: &'a [u8]) -> Result<Option<Lowered<'a>>, Error> {
        self.cast().policy.review(&self.server, params)
    }

    /// Whether it is the turn of one more request now (`requestsPerMinute`).
    pub(crate) fn is_turn(&self) -> bool {
        self.cast().policy.is_turn()
    }

    /// Waits for the turn of a request of this size, within the deadline.
    ///
    /// # Errors
    /// What the server is to be told.
    pub(crate) async fn turn(&self, size: usize) -> Result<(), Error> {
        let cast = self.cast();
        cast.policy.turn(size, Instant::now() + cast.deadline).await
    }

    /// Whether so many requests of so many bytes may be with the client at once.
    ///
    /// # Errors
    /// What the server is to be told.
    pub(crate) fn has_room(&self, requests: usize, bytes: usize) -> Result<(), Error> {
        let cast = self.cast();
        let (most, most_bytes) = cast.policy.room();
        match requests <= most {
            false => Err(cast.policy.too_many()),
            true if bytes > most_bytes => Err(Error::TooMuch { most: most_bytes }),
            true => Ok(()),
        }
    }

    /// What keeps the plugins from answering, as far as can be told without asking their providers: a missing credential, no model, no
    /// origin that a handler may reach.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.cast().chain.iter().flat_map(Understudy::troubles).collect()
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
    /// - [`Error::Deadline`]: there was no answer within `limits.deadline`
    /// - [`Error::Trap`], [`Error::Limit`], [`Error::Guest`], [`Error::Refused`], [`Error::BadAnswer`]: the plugin failed, or did what it may not
    /// - [`Error::Unreachable`], [`Error::ResponseTooLarge`], [`Error::BadStream`]: the provider can't be reached, or answers what can't be read
    /// - [`Error::Credential`]: the credential is missing
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
    pub async fn create_message_json<'a>(&self, asked: impl Into<Asked<'a>>) -> Result<String, Error> {
        let asked = asked.into();
        let _in_flight = self.requests.token();
        if self.requests.is_closed() {
            return Err(Error::Closed);
        }
        let id = format!("{}-{}", self.process, self.counter.fetch_add(1, Ordering::Relaxed));
        self.cast().create_message(asked, &id).await
    }
}

/// Logs one step of a request's way, with the time that it took.
macro_rules! hop {
    ($request:expr, $began:expr, $($message:tt)+) => {
        tracing::info!(target: "understudy::hop", request = $request, took = ?$began.elapsed(), $($message)+)
    };
}
pub(crate) use hop;
