//! One config generation of a server's sampling: admission, and the chain of plugins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::mpsc;
use understudy_mcp_types::CreateMessageRequestParams;

use super::plugin_call::PluginCall;
use super::{Circumstances, ConfiguredPlugin, SamplingParams, SamplingRequest, Surroundings, redaction};
use crate::admission::Admission;
use crate::children::Withheld;
use crate::config::{Config, Sampling};
use crate::error::Error;
use crate::guards::{self, Guards};
use crate::ledger::{Opening, Record, Spending};
use crate::outbound::Http;
use crate::outbound::credential::Credential;
use crate::outbound::egress_policy::EgressPolicy;
use crate::sandbox::Plugin;
use crate::select;
use crate::select::{Catalogue, Choice};
use crate::text::one_line;
use crate::timeline::wait;
use crate::wit::understudy::plugin::types as wit;

/// The plugin chain and the limits of one config generation.
#[derive(Debug)]
pub(super) struct Pipeline {
    server: String,
    pub(super) rule: Sampling,
    pub(super) chain: Vec<ConfiguredPlugin>,
    pub(super) guards: Guards,
    /// The environment variables that the server's process doesn't inherit.
    pub(super) withheld: Withheld,
    http: Arc<Http>,
    pub(super) admission: Admission,
    /// The ledger and the budgets, where the config has some.
    spending: Option<Arc<Spending>>,
    /// Whether the log says already that a hint asked for a dearer model.
    has_warned: AtomicBool,
}

impl Pipeline {
    pub(super) fn new(
        server: &str,
        rule: &Sampling,
        chain: Vec<ConfiguredPlugin>,
        guards: Guards,
        config: &Config,
        surroundings: Surroundings<'_>,
    ) -> Self {
        let Surroundings { http, env, ledger } = surroundings;
        let limits = &config.limits;
        let longest = chain.iter().map(|link| link.plugin.limits().deadline).max();
        let deadline = longest.unwrap_or_default().max(limits.deadline);
        let first = chain.first().map(|link| &link.plugin);
        let active_requests = first.map(Plugin::active_requests).unwrap_or_default();
        let scheduling = first.map(Plugin::scheduling).unwrap_or_default();
        Self {
            server: server.to_owned(),
            rule: rule.clone(),
            withheld: config
                .withheld_from_servers(|name| env.var(name))
                .and(Withheld::credentials(chain.iter().flat_map(variables))),
            chain,
            guards,
            http,
            admission: Admission::new(rule, limits, deadline, active_requests, scheduling),
            spending: Spending::new(config, server, ledger),
            has_warned: AtomicBool::new(false),
        }
    }

    /// Whether anybody wants the circumstances of a request.
    pub(super) fn wants_circumstances(&self) -> bool {
        self.spending.is_some() || self.guards.check_requests() || self.guards.check_answers()
    }

    /// Answers a request; `CreateMessageResult`, JSON.
    ///
    /// # Errors
    /// Any variant of [`Error`].
    pub(super) async fn create_message(&self, request: SamplingRequest<'_>, id: &str) -> Result<String, Error> {
        match &self.spending {
            None => self.admit(request, id, &mut None).await,
            Some(spending) => self.recorded(spending, request, id).await,
        }
    }

    /// Answers a request, and writes down what becomes of it.
    async fn recorded(
        &self,
        spending: &Arc<Spending>,
        request: SamplingRequest<'_>,
        id: &str,
    ) -> Result<String, Error> {
        let mut record = Some(self.record(spending, &request, id));
        let outcome = self.admit(request, id, &mut record).await;
        if let Some(record) = record {
            wait("ledger", record.close(&outcome)).await;
        }
        outcome
    }

    fn record(&self, spending: &Arc<Spending>, request: &SamplingRequest<'_>, id: &str) -> Record {
        let Circumstances { client, call } = &request.circumstances;
        let opening = Opening {
            request: id.to_owned(),
            server: self.server.clone(),
            client: client.clone(),
            tool: call.as_ref().map(|call| call.tool.clone()),
            call: call.as_ref().map(|call| call.id.clone()),
            ..Opening::default()
        };
        let deadline = self.admission.deadline();
        match request.params {
            SamplingParams::Json(params) => Record::begin(spending, opening, params, deadline),
            // They have never been JSON.
            SamplingParams::Parsed(params) => {
                Record::begin(spending, opening, format!("{params:?}").as_bytes(), deadline)
            }
        }
    }

    /// Waits until the request's turn has come, and answers it.
    async fn admit(
        &self,
        request: SamplingRequest<'_>,
        id: &str,
        record: &mut Option<Record>,
    ) -> Result<String, Error> {
        let (size, is_rate_counted) = (request.params.size(), request.is_rate_counted);
        self.admission.run(size, is_rate_counted, |until| self.answer(request, id, until, record)).await
    }

    /// Answers an admitted request.
    async fn answer(
        &self,
        request: SamplingRequest<'_>,
        id: &str,
        until: Instant,
        record: &mut Option<Record>,
    ) -> Result<String, Error> {
        let SamplingRequest { params, context, progress, circumstances, .. } = request;
        let request = parse(params)?;
        self.admission.policy.check(&request)?;
        let mut request = self.admission.policy.clamp(&self.server, request);
        if let Some(context) = &context {
            context.attach(&self.server, &mut request);
        }
        if let Some(record) = record {
            let hints = request.model_preferences.iter().flat_map(|preferences| &preferences.hints);
            let names: Vec<&str> = hints.filter_map(|hint| hint.name.as_deref()).collect();
            record.wishes(&names.join(", "));
        }
        self.ask_chain(request, &circumstances, id, until, progress.as_ref(), record).await
    }

    /// Asks the plugins in order until one answers; its result, JSON.
    async fn ask_chain(
        &self,
        request: CreateMessageRequestParams,
        circumstances: &Circumstances,
        id: &str,
        until: Instant,
        progress: Option<&mpsc::Sender<String>>,
        record: &mut Option<Record>,
    ) -> Result<String, Error> {
        let mut request = Arc::new(wit::CreateMessageRequest::from(request));
        if self.guards.check_requests() {
            // Boxed: without guards no request has room for these futures.
            let known = self.known_to_guards(circumstances, id, None);
            request = Box::pin(self.guards.request(request, &known)).await?.without_asking()?;
        }
        // What a guard may still refuse isn't shown as it arrives.
        let progress = progress.filter(|_| !self.guards.check_answers());
        let tools: Option<Vec<String>> =
            request.tools.as_ref().map(|tools| tools.iter().map(|tool| tool.name.clone()).collect());
        let catalogues: Vec<&Catalogue> = self.chain.iter().map(|link| &link.catalogue).collect();
        let choices = select::choose(&catalogues, request.model_preferences.as_ref());
        if let Some(dearer) = choices.iter().find_map(|choice| choice.dearer.as_ref())
            && !self.has_warned.swap(true, Ordering::Relaxed)
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
            // Each plugin has its own `limits.deadline`; the rest of the request's is for the next one.
            let after = link.plugin.limits().deadline;
            let until = until.min(Instant::now() + after);
            let reserved = match record.as_mut() {
                Some(record) => {
                    let attempt = link.attempt(&choice.model, &request);
                    wait("ledger", record.reserve(&attempt)).await?;
                    Some((record, attempt))
                }
                None => None,
            };
            let mut call = PluginCall::new(link, &self.http, &options.request_id, until, progress, reserved);
            let outcome = tokio::time::timeout(after, call.answer(&request, &options)).await;
            let (sent, is_charged) = (call.sent, call.is_charged);
            if let Some(record) = record {
                let completion = outcome.as_ref().ok().and_then(|answer| answer.as_ref().ok());
                record.tried(sent);
                record.charge(link.costs.charge(completion, is_charged));
            }
            let secrets = link.secrets();
            let answer = match outcome {
                Ok(Ok(completion)) => link
                    .finish(completion, tools.as_deref())
                    .and_then(|result| redaction::result_json(&link.plugin.name, result, &secrets)),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(Error::Deadline { after }),
            };
            let answer = answer.map_err(|error| redaction::redact_error(error, &secrets));
            match (answer, links.peek()) {
                (Err(error), Some((_, next))) if error.is_for_the_next_plugin() => {
                    tracing::warn!(request = options.request_id, "{error}; asking `{}` instead", next.plugin.name);
                }
                (Ok(answer), _) if self.guards.check_answers() => {
                    let known = self.known_to_guards(circumstances, id, Some((choice, link)));
                    return Box::pin(self.guards.answer(answer, tools.as_deref(), &known)).await?.without_asking();
                }
                (answer, _) => return answer,
            }
        }
        Err(Error::InvalidRequest { reason: "no plugin is configured for this server".to_owned() })
    }

    /// What guards are told of a request besides its content: of an answer, also who gave it.
    fn known_to_guards(
        &self,
        circumstances: &Circumstances,
        id: &str,
        answered: Option<(&Choice, &ConfiguredPlugin)>,
    ) -> Arc<guards::Circumstances> {
        Arc::new(guards::Circumstances {
            server: self.server.clone(),
            client: circumstances.client.clone(),
            tool: circumstances.call.as_ref().map(|call| call.tool.clone()),
            request_id: id.to_owned(),
            model: answered.map(|(choice, _)| choice.model.clone()),
            plugin: answered.map(|(_, link)| link.plugin.name.clone()),
            extensions: "{}".to_owned(),
        })
    }

    fn options(&self, choice: &Choice, link: &ConfiguredPlugin, id: &str) -> wit::Options {
        wit::Options {
            model: choice.model.clone(),
            request_id: id.to_owned(),
            server: self.server.clone(),
            settings: link.settings.clone(),
            extensions: extensions(link.provider_client.origin()),
        }
    }
}

/// The extensions of a plugin's options, as JSON: the origin of its main endpoint, because servers of one API support different parts of it.
fn extensions(origin: Option<&str>) -> String {
    origin.map_or_else(|| "{}".to_owned(), |origin| serde_json::json!({ "origin": origin }).to_string())
}

/// The variables that a plugin's credentials come from.
fn variables(link: &ConfiguredPlugin) -> Vec<String> {
    let origins = link.plugin.egress_policy().into_iter().flat_map(EgressPolicy::origins);
    let credentials =
        link.provider_client.credential().into_iter().chain(origins.filter_map(|(.., credential)| credential));
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
        assert_eq!(extensions(Some("https://api.mistral.ai")), r#"{"origin":"https://api.mistral.ai"}"#);
        assert_eq!(extensions(None), "{}");
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
