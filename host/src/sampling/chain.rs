//! Asking the plugins of a chain, one after the other.

use std::sync::Arc;
use std::time::Instant;

use super::pipeline::{Asked, Pipeline, Prepared};
use super::plugin_call::PluginCall;
use super::{Circumstances, ConfiguredPlugin, redaction};
use crate::error::Error;
use crate::guards::Question;
use crate::ledger::Record;
use crate::select::Choice;
use crate::timeline::wait;
use crate::wit::understudy::plugin::types as wit;

/// An answer that the guards have let through.
#[derive(Debug)]
pub(super) struct Answered {
    /// `CreateMessageResult`
    pub(super) json: String,
    /// The guards that want the user to be asked.
    pub(super) questions: Vec<Question>,
    /// In whose name the request came.
    pub(super) circumstances: Circumstances,
    /// Whose answer it is.
    pub(super) model: String,
    pub(super) plugin: String,
}

impl Pipeline {
    /// The plugins that are chosen, in order.
    pub(super) fn links<'a>(
        &'a self,
        choices: &'a [Choice],
    ) -> impl Iterator<Item = (&'a Choice, &'a ConfiguredPlugin)> {
        choices.iter().filter_map(|choice| Some((choice, self.chain.get(choice.plugin)?)))
    }

    /// Asks the plugins in order until one answers.
    pub(super) async fn ask_chain(
        &self,
        prepared: &Prepared,
        asked: Asked,
        id: &str,
        until: Instant,
        record: &mut Option<Record>,
    ) -> Result<Answered, Error> {
        let Prepared { request, tools, choices, .. } = prepared;
        let Asked { circumstances, progress } = asked;
        let progress = progress.as_ref().filter(|_| !self.holds_answers());
        let mut links = self.links(choices).peekable();
        let mut is_reserved = prepared.is_reserved;
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
                    let attempt = link.attempt(&choice.model, request);
                    if !std::mem::take(&mut is_reserved) {
                        wait("ledger", record.reserve(&attempt)).await?;
                    }
                    Some((record, attempt))
                }
                None => None,
            };
            let mut call = PluginCall::new(link, &self.http, &options.request_id, until, progress, reserved);
            let outcome = tokio::time::timeout(after, call.answer(request, &options)).await;
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
                (Err(error), _) => return Err(error),
                (Ok(json), _) => {
                    return self.judged(json, tools.as_deref(), circumstances, id, (choice, link)).await;
                }
            }
        }
        Err(Error::InvalidRequest { reason: "no plugin is configured for this server".to_owned() })
    }

    /// Has the guards judge an answer.
    async fn judged(
        &self,
        json: String,
        tools: Option<&[String]>,
        circumstances: Circumstances,
        id: &str,
        by: (&Choice, &ConfiguredPlugin),
    ) -> Result<Answered, Error> {
        let (choice, link) = by;
        let answered = |json, questions, circumstances: Circumstances| Answered {
            json,
            questions,
            circumstances,
            model: choice.model.clone(),
            plugin: link.plugin.name.clone(),
        };
        if !self.guards.check_answers() {
            return Ok(answered(json, Vec::new(), circumstances));
        }
        let known = self.known_to_guards(&circumstances, id, Some(by));
        let guarded = Box::pin(self.guards.answer(json, tools, &known)).await?;
        Ok(answered(guarded.value, guarded.questions, circumstances))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_told_the_origin_of_its_endpoint() {
        assert_eq!(extensions(Some("https://api.mistral.ai")), r#"{"origin":"https://api.mistral.ai"}"#);
        assert_eq!(extensions(None), "{}");
    }
}
