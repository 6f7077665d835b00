//! Guards: components that look at each request before a model is chosen, and at each answer before the server gets it.
//!
//! A guard allows, allows changed, denies, or wants somebody to be asked. Several run in the order of the rule, each on what the one before it
//! left. A guard that fails denies, unless its config says otherwise ([`crate::config::OnFailure`]).
//!
//! | module | what it holds |
//! | --- | --- |
//! | `guard` | one guard: loading it, its verdicts |
//! | `changes` | what a guard may change |

mod changes;
mod guard;

use std::sync::Arc;
use std::time::Instant;

use understudy_mcp_types::CreateMessageResult;

use crate::config::Checked;
use crate::error::Error;
use crate::hop;
use crate::text::one_line;
use crate::timeline;
pub use crate::wit::guard::exports::understudy::plugin::guard::Circumstances;
use crate::wit::understudy::plugin::types as wit;
pub use changes::{of_answer, of_request};
pub use guard::Guard;
use guard::LONGEST_REASON;

/// A reason for which somebody is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The guard that wants it.
    pub guard: String,
    /// Its reason: one line.
    pub reason: String,
}

/// What guards left of a request or an answer.
#[derive(Debug)]
pub struct Guarded<T> {
    /// The value, perhaps changed.
    pub value: T,
    /// The reasons for which somebody is to be asked before it goes on.
    pub questions: Vec<Question>,
}

/// The guards of one server's rule, in order.
#[derive(Debug, Default)]
pub struct Guards {
    chain: Vec<Guard>,
    /// A guard of the rule that isn't here: nothing may pass without it.
    missing: Option<String>,
    checks_requests: bool,
    checks_answers: bool,
}

impl Guards {
    /// The guards that a rule names. Where one of them isn't loaded, every request is denied.
    #[must_use]
    pub fn new(named: &[String], guards: Vec<Guard>) -> Self {
        let missing = named.iter().find(|name| !guards.iter().any(|guard| guard.name() == *name)).cloned();
        let checks = |what| missing.is_some() || guards.iter().any(|guard| guard.checks(what));
        let (checks_requests, checks_answers) = (checks(Checked::Request), checks(Checked::Answer));
        Self { chain: guards, missing, checks_requests, checks_answers }
    }

    /// Whether one of them looks at requests.
    #[must_use]
    pub fn check_requests(&self) -> bool {
        self.checks_requests
    }

    /// Whether one of them looks at answers.
    #[must_use]
    pub fn check_answers(&self) -> bool {
        self.checks_answers
    }

    /// The guards: the name of each, and its component's digest.
    #[must_use]
    pub fn digests(&self) -> Vec<(String, String)> {
        self.chain.iter().map(|guard| (guard.plugin.name.clone(), guard.plugin.sha256.clone())).collect()
    }

    /// Has each of them judge a request.
    ///
    /// # Errors
    /// [`Error::Denied`] or [`Error::GuardFailed`].
    pub async fn request(
        &self,
        request: Arc<wit::CreateMessageRequest>,
        circumstances: &Arc<Circumstances>,
    ) -> Result<Guarded<Arc<wit::CreateMessageRequest>>, Error> {
        let mut left = Guarded { value: request, questions: Vec::new() };
        for guard in self.checking(Checked::Request)? {
            let began = Instant::now();
            let verdict = timed(guard, guard.request(&left.value, circumstances)).await;
            guard.apply(Checked::Request, verdict, &mut left, &circumstances.request_id)?;
            hop!(circumstances.request_id, began, "the guard `{}` has judged the request", guard.name());
        }
        Ok(left)
    }

    /// Has each of them judge an answer: `CreateMessageResult`, JSON, as a server gets it; `tools` are the names of those in the request.
    ///
    /// # Errors
    /// [`Error::Denied`] or [`Error::GuardFailed`].
    pub async fn answer(
        &self,
        answer: String,
        tools: Option<&[String]>,
        circumstances: &Arc<Circumstances>,
    ) -> Result<Guarded<String>, Error> {
        let unreadable =
            |guard: &Guard, reason: String| Error::GuardFailed { guard: guard.plugin.name.clone(), reason };
        let guards: Vec<&Guard> = self.checking(Checked::Answer)?.collect();
        let Some(first) = guards.first() else { return Ok(Guarded { value: answer, questions: Vec::new() }) };
        let parsed = CreateMessageResult::from_json(answer.as_bytes());
        let parsed = Arc::new(wit::CreateMessageResult::from(parsed.map_err(|e| unreadable(first, e.to_string()))?));
        let mut left = Guarded { value: Arc::clone(&parsed), questions: Vec::new() };
        for guard in &guards {
            let began = Instant::now();
            let verdict = timed(guard, guard.answer(&left.value, circumstances)).await;
            guard.apply(Checked::Answer, verdict, &mut left, &circumstances.request_id)?;
            hop!(circumstances.request_id, began, "the guard `{}` has judged the answer", guard.name());
        }
        let Guarded { value, questions } = left;
        if Arc::ptr_eq(&value, &parsed) {
            return Ok(Guarded { value: answer, questions });
        }
        let changed = CreateMessageResult::try_from(Arc::unwrap_or_clone(value)).map_err(|e| e.to_string());
        let changed = changed.and_then(|changed| changed.shape(tools).map_err(|e| e.to_string()));
        let changed = changed.and_then(|changed| serde_json::to_string(&changed).map_err(|e| e.to_string()));
        Ok(Guarded {
            value: changed.map_err(|reason| unreadable(first, one_line(&reason, LONGEST_REASON)))?,
            questions,
        })
    }

    /// Those that look at this.
    fn checking(&self, what: Checked) -> Result<impl Iterator<Item = &Guard>, Error> {
        match &self.missing {
            Some(guard) => {
                Err(Error::GuardFailed { guard: guard.clone(), reason: "it has not been loaded".to_owned() })
            }
            None => Ok(self.chain.iter().filter(move |guard| guard.checks(what))),
        }
    }
}

/// Times a call of a guard for the timeline.
async fn timed<T>(guard: &Guard, call: impl Future<Output = T>) -> T {
    timeline::timed(|| format!("guard `{}`", guard.name()), call).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rule_whose_guard_is_not_loaded_lets_nothing_pass() {
        let guards = Guards::new(&["lost".to_owned()], Vec::new());
        assert!(guards.check_requests() && guards.check_answers());
        let circumstances = Arc::new(Circumstances {
            server: String::new(),
            client: None,
            tool: None,
            request_id: String::new(),
            model: None,
            plugin: None,
            extensions: "{}".to_owned(),
        });
        let error = guards.answer("{}".to_owned(), None, &circumstances).await.unwrap_err();
        assert_eq!(error.to_string(), "denied because guard `lost` failed: it has not been loaded");
    }
}
