//! One config generation of a server's sampling: admission, and the chain of plugins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use understudy_mcp_types::CreateMessageRequestParams;

use super::approvals::Approvals;
use super::{Circumstances, ConfiguredPlugin, SamplingParams, SamplingRequest, Surroundings};
use crate::admission::Admission;
use crate::children::Withheld;
use crate::config::{Config, Sampling};
use crate::error::Error;
use crate::guards::{self, Guards, Question};
use crate::ledger::{Opening, Record, Spending};
use crate::outbound::Http;
use crate::outbound::credential::Credential;
use crate::outbound::egress_policy::EgressPolicy;
use crate::sandbox::Plugin;
use crate::select;
use crate::select::{Catalogue, Choice};
use crate::text::one_line;
use crate::wit::understudy::plugin::types as wit;

/// A request that may be answered.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) request: Arc<wit::CreateMessageRequest>,
    /// The names of its tools.
    pub(super) tools: Option<Vec<String>>,
    /// What is asked, the first choice first.
    pub(super) choices: Vec<Choice>,
    /// The guards that want the user to be asked.
    pub(super) questions: Vec<Question>,
    /// Whether the worst case of the first choice is reserved already.
    pub(super) is_reserved: bool,
}

/// In whose name it came, and who is told how far the answer is.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) circumstances: Circumstances,
    pub(super) progress: Option<mpsc::Sender<String>>,
}

/// The plugin chain and the limits of one config generation.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) server: String,
    pub(super) rule: Sampling,
    pub(super) chain: Vec<ConfiguredPlugin>,
    pub(super) guards: Guards,
    /// The environment variables that the server's process doesn't inherit.
    pub(super) withheld: Withheld,
    pub(super) http: Arc<Http>,
    pub(super) admission: Admission,
    /// Asking the user, where the config or a guard may want it.
    approvals: Option<Approvals>,
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
            approvals: Approvals::new(&rule.approve, !rule.guards.is_empty(), ledger),
            spending: Spending::new(config, server, ledger),
            has_warned: AtomicBool::new(false),
        }
    }

    /// Whether anybody wants the circumstances of a request.
    pub(super) fn wants_circumstances(&self) -> bool {
        self.spending.is_some()
            || self.approvals.is_some()
            || self.guards.check_requests()
            || self.guards.check_answers()
    }

    /// Whether the user may be asked about its requests.
    pub(super) fn asks_for_approval(&self) -> bool {
        self.approvals.is_some()
    }

    /// Whether somebody may still refuse an answer: then no server sees its text as it arrives.
    pub(super) fn holds_answers(&self) -> bool {
        self.guards.check_answers() || self.rule.approve.answers
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
            record.close(&outcome);
        }
        outcome
    }

    /// Writes down that a request was refused before it came here, if the config has a ledger.
    pub(super) async fn record_refusal(&self, request: &SamplingRequest<'_>, id: &str, reason: &str) {
        if let Some(spending) = &self.spending {
            self.record(spending, request, id).refuse(reason).await;
        }
    }

    /// Whether requests are written down.
    pub(super) fn keeps_ledger(&self) -> bool {
        self.spending.is_some()
    }

    fn record(&self, spending: &Arc<Spending>, request: &SamplingRequest<'_>, id: &str) -> Record {
        let Circumstances { client, call, .. } = &request.circumstances;
        let opening = Opening {
            request: id.to_owned(),
            server: self.server.clone(),
            client: client.clone(),
            tool: call.as_ref().map(|call| call.tool.clone()),
            call: call.as_ref().map(|call| call.id.clone()),
            ..Opening::default()
        };
        // What stands in an open row can't be changed, so the wait for the user's word on the answer is in it from the beginning.
        let waits = self.approvals.as_ref().filter(|_| self.holds_answers()).map_or(Duration::ZERO, Approvals::longest);
        let deadline = self.admission.deadline() + waits;
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
        if let Some(approvals) = &self.approvals {
            // Boxed: where nobody is ever asked, no request has room for these futures.
            return Box::pin(self.admit_approved(approvals, request, id, record)).await;
        }
        let (size, is_rate_counted) = (request.params.size(), request.is_rate_counted);
        let answer = async |until| {
            let (prepared, asked) = self.prepare(request, id, record).await?;
            let answered = self.ask_chain(&prepared, asked, id, until, record).await?;
            Ok(answered.json)
        };
        self.admission.run(size, is_rate_counted, answer).await
    }

    /// Reads a request, holds it to the rule, has the guards judge it, and chooses models.
    pub(super) async fn prepare(
        &self,
        request: SamplingRequest<'_>,
        id: &str,
        record: &mut Option<Record>,
    ) -> Result<(Prepared, Asked), Error> {
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
        let mut request = Arc::new(wit::CreateMessageRequest::from(request));
        let mut questions = Vec::new();
        if self.guards.check_requests() {
            // Boxed: without guards no request has room for these futures.
            let known = self.known_to_guards(&circumstances, id, None);
            let guarded = Box::pin(self.guards.request(request, &known)).await?;
            (request, questions) = (guarded.value, guarded.questions);
        }
        let catalogues: Vec<&Catalogue> = self.chain.iter().map(|link| &link.catalogue).collect();
        let choices = select::choose(&catalogues, request.model_preferences.as_ref());
        if let Some(dearer) = choices.iter().find_map(|choice| choice.dearer.as_ref())
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("`{}` asks for a dearer model: {dearer} (said once)", self.server);
        }
        let tools = request.tools.as_ref().map(|tools| tools.iter().map(|tool| tool.name.clone()).collect());
        Ok((Prepared { request, tools, choices, questions, is_reserved: false }, Asked { circumstances, progress }))
    }

    /// What guards are told of a request besides its content: of an answer, also who gave it.
    pub(super) fn known_to_guards(
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
