//! Answering one sampling request, from its parameters to its result.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `context` | what a server may have attached to its request (`includeContext`) |
//! | `ask` | one plugin's part: its calls, the exchanges between them, retries |

mod ask;
mod context;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use understudy_mcp_types::{CreateMessageRequestParams, CreateMessageResult};

use crate::config::{self, Limits, Sampling};
use crate::error::{Error, LoadError};
use crate::plugin::bindings::understudy::plugin::types as wit;
use crate::plugin::{Engine, Plugin};
use crate::policy::Policy;
use crate::provider::credential::Credential;
use crate::provider::guarded::Guarded;
use crate::provider::{Destination, Http};
use crate::select;
use crate::select::{Catalogue, Choice};
use crate::text::one_line;
use ask::Ask;
pub use context::{Context, ToolCall};

understudy_mcp_types::wit_conversions!(crate::plugin::bindings::understudy::plugin::types);

/// Answers one server's sampling requests.
#[derive(Debug)]
pub struct Sampler {
    server: String,
    chain: Vec<Understudy>,
    http: Arc<Http>,
    policy: Policy,
    largest: usize,
    deadline: Duration,
    counter: AtomicU64,
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

/// A server's request.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// `CreateMessageRequestParams`, JSON.
    pub params: &'a [u8],
    /// What the server may have attached, where the config allows it.
    pub context: Option<Context>,
    /// Where the text of an answer goes as it comes in, if the server wants to see it.
    pub progress: Option<mpsc::Sender<String>>,
}

impl<'a> Asked<'a> {
    /// A request with nothing besides its parameters.
    #[must_use]
    pub fn new(params: &'a [u8]) -> Self {
        Self { params, ..Self::default() }
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
    pub fn new(server: &str, rule: &Sampling, chain: Vec<Understudy>, http: Arc<Http>, limits: &Limits) -> Self {
        let longest = chain.iter().map(|link| link.plugin.limits().deadline).max();
        let deadline = longest.unwrap_or_default().max(limits.deadline);
        Self {
            server: server.to_owned(),
            chain,
            http,
            policy: Policy::new(rule, limits),
            largest: limits.sampling_request,
            deadline,
            counter: AtomicU64::new(1),
        }
    }

    /// The name of the server.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Whether the plugins can carry tools: then servers are told that they are welcome.
    #[must_use]
    pub fn accepts_tools(&self) -> bool {
        self.chain.iter().any(|link| link.plugin.accepts("tools"))
    }

    /// The environment variables that hold the plugins' credentials: the server's process must not inherit them.
    #[must_use]
    pub fn variables(&self) -> HashSet<String> {
        let variable = |credential: &Credential| credential.variable().map(str::to_owned);
        let of = |link: &Understudy| -> Vec<String> {
            let origins = link.plugin.guarded().into_iter().flat_map(Guarded::origins);
            let credentials =
                link.destination.credential().into_iter().chain(origins.filter_map(|(.., credential)| credential));
            credentials.filter_map(variable).collect()
        };
        self.chain.iter().flat_map(of).collect()
    }

    /// Answers a request; `CreateMessageResult`, JSON.
    ///
    /// Dropping the future cancels everything it began.
    ///
    /// # Errors
    /// What the server is to be told.
    pub async fn create_message(&self, asked: Asked<'_>) -> Result<String, Error> {
        let Asked { params, context, progress } = asked;
        if params.len() > self.largest {
            let what = format!("{} bytes", params.len());
            return Err(Error::RequestTooLarge { what, key: "samplingRequest", most: self.largest });
        }
        let after = self.deadline;
        let until = Instant::now() + after;
        let answer = async {
            let _place = self.policy.admit(params.len()).await?;
            let request = parse(params)?;
            self.policy.check(&request)?;
            let mut request = self.policy.clamp(request);
            if let Some(context) = &context {
                context.attach(&self.server, &mut request);
            }
            self.ask_chain(request, until, progress.as_ref()).await
        };
        let result = tokio::time::timeout(after, answer).await.map_err(|_| Error::Deadline { after })??;
        serde_json::to_string(&result)
            .map_err(|e| Error::BadAnswer { plugin: self.server.clone(), reason: e.to_string() })
    }

    /// Asks the plugins in order until one answers.
    async fn ask_chain(
        &self,
        request: CreateMessageRequestParams,
        until: Instant,
        progress: Option<&mpsc::Sender<String>>,
    ) -> Result<CreateMessageResult, Error> {
        let tools: Option<Vec<String>> =
            request.tools.as_ref().map(|tools| tools.iter().map(|tool| tool.name.clone()).collect());
        let request = Arc::new(wit::CreateMessageRequest::from(request));
        let catalogues: Vec<&Catalogue> = self.chain.iter().map(|link| &link.catalogue).collect();
        let choices = select::choose(&catalogues, request.model_preferences.as_ref());
        let mut links = Vec::with_capacity(choices.len());
        for choice in &choices {
            links.extend(self.chain.get(choice.plugin).map(|link| (choice, link)));
        }
        let mut links = links.into_iter().peekable();
        while let Some((choice, link)) = links.next() {
            let options = Arc::new(self.options(choice, link));
            tracing::debug!(
                request = options.request_id,
                plugin = link.plugin.name,
                "`{}`: {}",
                choice.model,
                choice.why
            );
            // A plugin has the time that its own limit gives it; what is left then is the next one's.
            let after = link.plugin.limits().deadline;
            let until = until.min(Instant::now() + after);
            let ask = Ask { link, http: &self.http, id: &options.request_id, until, progress };
            let asked = tokio::time::timeout(after, ask.answer(&request, &options)).await;
            let answer = match asked {
                Ok(Ok(completion)) => link.finish(completion, tools.as_deref()),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(Error::Deadline { after }),
            };
            match (answer, links.peek()) {
                (Err(error), Some((_, next))) if error.is_for_the_next_plugin() => {
                    tracing::warn!(request = options.request_id, "{error}; asking `{}` instead", next.plugin.name);
                }
                (answer, _) => return answer,
            }
        }
        Err(Error::InvalidRequest { reason: "no plugin is configured for this server".to_owned() })
    }

    fn options(&self, choice: &Choice, link: &Understudy) -> wit::Options {
        wit::Options {
            model: choice.model.clone(),
            request_id: format!("{}-{}", std::process::id(), self.counter.fetch_add(1, Ordering::Relaxed)),
            server: self.server.clone(),
            settings: link.settings.clone(),
            extensions: "{}".to_owned(),
        }
    }
}

fn parse(params: &[u8]) -> Result<CreateMessageRequestParams, Error> {
    // What breaks a rule is quoted.
    let invalid = |reason: String| Error::InvalidRequest { reason: one_line(&reason, 500) };
    let request = CreateMessageRequestParams::from_json(params).map_err(|e| invalid(e.to_string()))?;
    request.validate().map_err(|e| invalid(e.to_string()))?;
    Ok(request)
}

/// Logs one step of a request's way, with the time that it took.
macro_rules! hop {
    ($request:expr, $began:expr, $($message:tt)+) => {
        tracing::info!(target: "understudy::hop", request = $request, took = ?$began.elapsed(), $($message)+)
    };
}
pub(crate) use hop;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_is_told_of_its_request_is_one_short_line_whatever_it_quotes() {
        let role = format!("a\\u001b[31m\\n\\u202e{}", "x".repeat(10_000));
        let message = format!(r#"{{"role":"{role}","content":{{"type":"text","text":"x"}}}}"#);
        let error = parse(format!(r#"{{"messages":[{message}],"maxTokens":1}}"#).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("`a [31m x"), "{error}");
        assert!(error.chars().count() < 600 && !error.chars().any(char::is_control), "{error}");
    }
}
