//! Who answers a server's sampling requests at one time: the chain of plugins, and the limits for all of them.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use understudy_mcp_types::CreateMessageRequestParams;

use super::ask::Ask;
use super::share::Share;
use super::{Asked, SamplingParams, Understudy, told};
use crate::children::Withheld;
use crate::config::{Config, Sampling};
use crate::environment::Environment;
use crate::error::Error;
use crate::policy::Policy;
use crate::provider::Http;
use crate::provider::credential::Credential;
use crate::provider::guarded::Guarded;
use crate::select;
use crate::select::{Catalogue, Choice};
use crate::text::one_line;
use crate::wit::understudy::plugin::types as wit;

/// The chain of plugins, and the limits for all of them.
#[derive(Debug)]
pub(super) struct Cast {
    server: String,
    pub(super) rule: Sampling,
    pub(super) chain: Vec<Understudy>,
    /// What the server's process doesn't inherit.
    pub(super) withheld: Withheld,
    http: Arc<Http>,
    pub(super) policy: Policy,
    share: Share,
    pub(super) deadline: Duration,
    /// Whether it has been said that a hint asked for a dearer model.
    told: AtomicBool,
}

impl Cast {
    pub(super) fn new(
        server: &str,
        rule: &Sampling,
        chain: Vec<Understudy>,
        http: Arc<Http>,
        config: &Config,
        env: &Environment,
    ) -> Self {
        let limits = &config.limits;
        let longest = chain.iter().map(|link| link.plugin.limits().deadline).max();
        let deadline = longest.unwrap_or_default().max(limits.deadline);
        let of_all_servers = chain.first().map(|link| link.plugin.requests()).unwrap_or_default();
        Self {
            server: server.to_owned(),
            rule: rule.clone(),
            withheld: config
                .withheld_from_servers(|name| env.var(name))
                .and(Withheld::credentials(chain.iter().flat_map(variables))),
            chain,
            http,
            policy: Policy::new(rule, limits),
            share: Share::new(of_all_servers),
            deadline,
            told: AtomicBool::new(false),
        }
    }

    /// Answers a request; `CreateMessageResult`, JSON.
    ///
    /// Dropping the future cancels everything it began.
    ///
    /// # Errors
    /// What the server is to be told.
    pub(super) async fn create_message(&self, asked: Asked<'_>, id: &str) -> Result<String, Error> {
        let size = asked.params.size();
        self.policy.measure(size)?;
        let after = self.deadline;
        let until = Instant::now() + after;
        // It is large, and all that it is wrapped in until it runs would be as large again, several times over.
        let answer = Box::pin(async {
            let _place = self.policy.admit(size, asked.has_had_turn, until).await?;
            self.share.work(pin!(self.answer(asked, id, until))).await
        });
        tokio::time::timeout(after, answer).await.map_err(|_| Error::Deadline { after })?
    }

    /// Answers a request that has its place.
    async fn answer(&self, asked: Asked<'_>, id: &str, until: Instant) -> Result<String, Error> {
        let Asked { params, context, progress, .. } = asked;
        let request = parse(params)?;
        self.policy.check(&request)?;
        let mut request = self.policy.clamp(&self.server, request);
        if let Some(context) = &context {
            context.attach(&self.server, &mut request);
        }
        self.ask_chain(request, id, until, progress.as_ref()).await
    }

    /// Asks the plugins in order until one answers; its result, JSON.
    async fn ask_chain(
        &self,
        request: CreateMessageRequestParams,
        id: &str,
        until: Instant,
        progress: Option<&mpsc::Sender<String>>,
    ) -> Result<String, Error> {
        let tools: Option<Vec<String>> =
            request.tools.as_ref().map(|tools| tools.iter().map(|tool| tool.name.clone()).collect());
        let request = Arc::new(wit::CreateMessageRequest::from(request));
        let catalogues: Vec<&Catalogue> = self.chain.iter().map(|link| &link.catalogue).collect();
        let choices = select::choose(&catalogues, request.model_preferences.as_ref());
        if let Some(dearer) = choices.iter().find_map(|choice| choice.dearer.as_ref())
            && !self.told.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("`{}` asks for a dearer model: {dearer} (said once)", self.server);
        }
        let mut links = Vec::with_capacity(choices.len());
        for choice in &choices {
            links.extend(self.chain.get(choice.plugin).map(|link| (choice, link)));
        }
        let mut links = links.into_iter().peekable();
        while let Some((choice, link)) = links.next() {
            let options = Arc::new(self.options(choice, link, id));
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
            let secrets = link.secrets();
            let answer = match asked {
                Ok(Ok(completion)) => link
                    .finish(completion, tools.as_deref())
                    .and_then(|result| told::written(&link.plugin.name, result, &secrets)),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(Error::Deadline { after }),
            };
            let answer = answer.map_err(|error| told::without(error, &secrets));
            match (answer, links.peek()) {
                (Err(error), Some((_, next))) if error.is_for_the_next_plugin() => {
                    tracing::warn!(request = options.request_id, "{error}; asking `{}` instead", next.plugin.name);
                }
                (answer, _) => return answer,
            }
        }
        Err(Error::InvalidRequest { reason: "no plugin is configured for this server".to_owned() })
    }

    fn options(&self, choice: &Choice, link: &Understudy, id: &str) -> wit::Options {
        wit::Options {
            model: choice.model.clone(),
            request_id: id.to_owned(),
            server: self.server.clone(),
            settings: link.settings.clone(),
            extensions: told_of(link.destination.origin()),
        }
    }
}

/// What a plugin is told besides, as JSON: the origin of its main endpoint, because servers that speak one API take different parts of it.
fn told_of(origin: Option<&str>) -> String {
    origin.map_or_else(|| "{}".to_owned(), |origin| serde_json::json!({ "origin": origin }).to_string())
}

/// The variables that a plugin's credentials come from.
fn variables(link: &Understudy) -> Vec<String> {
    let origins = link.plugin.guarded().into_iter().flat_map(Guarded::origins);
    let credentials =
        link.destination.credential().into_iter().chain(origins.filter_map(|(.., credential)| credential));
    credentials.flat_map(Credential::variables).map(str::to_owned).collect()
}

fn parse(params: SamplingParams) -> Result<CreateMessageRequestParams, Error> {
    // What breaks a rule is quoted.
    let invalid = |reason: String| Error::InvalidRequest { reason: one_line(&reason, 500) };
    let request = match params {
        SamplingParams::Json(text) => {
            CreateMessageRequestParams::from_json(text).map_err(|e| invalid(e.to_string()))?
        }
        SamplingParams::Parsed(params) => params.clone(),
    };
    request.validate().map_err(|e| invalid(e.to_string()))?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_told_the_origin_of_its_endpoint() {
        assert_eq!(told_of(Some("https://api.mistral.ai")), r#"{"origin":"https://api.mistral.ai"}"#);
        assert_eq!(told_of(None), "{}");
    }

    #[test]
    fn what_a_server_is_told_of_its_request_is_one_short_line_whatever_it_quotes() {
        let role = format!("a\\u001b[31m\\n\\u202e{}", "x".repeat(10_000));
        let message = format!(r#"{{"role":"{role}","content":{{"type":"text","text":"x"}}}}"#);
        let error = parse(SamplingParams::Json(format!(r#"{{"messages":[{message}],"maxTokens":1}}"#).as_bytes()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("`a [31m x"), "{error}");
        assert!(error.chars().count() < 600 && !error.chars().any(char::is_control), "{error}");
    }
}
