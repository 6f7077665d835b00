//! Guards: components that look at each request before a model is chosen, and at each answer before the server gets it.
//!
//! A guard allows, allows changed, denies, or wants somebody to be asked. Several run in the order of the rule, each on what the one before it
//! left. A guard that fails denies, unless its config says otherwise ([`OnFailure`]).
//!
//! | module | what it holds |
//! | --- | --- |
//! | `changes` | what a guard may change |

mod changes;

use std::sync::Arc;
use std::time::Instant;

use understudy_mcp_types::CreateMessageResult;

use crate::config::{Checked, GuardConfig, OnFailure};
use crate::error::{Error, LoadError};
use crate::hop;
use crate::sandbox::{Engine, Plugin, World};
use crate::text::one_line;
use crate::timeline;
use crate::wit::guard::exports::understudy::plugin::guard as verdicts;
use crate::wit::understudy::plugin::types as wit;
pub use changes::{of_answer, of_request};
pub use verdicts::Circumstances;

/// The most characters of a reason.
const LONGEST_REASON: usize = 500;

/// A guard, ready to be called.
#[derive(Debug)]
pub struct Guard {
    /// Its component.
    pub plugin: Plugin,
    /// Its settings, a JSON object.
    pub settings: Arc<String>,
    on_failure: OnFailure,
    checks: Vec<Checked>,
}

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

impl<T> Guarded<T> {
    /// The value, where nobody can be asked.
    ///
    /// # Errors
    /// [`Error::Denied`] by the first guard that wants somebody to be asked.
    pub fn without_asking(self) -> Result<T, Error> {
        match self.questions.into_iter().next() {
            None => Ok(self.value),
            Some(Question { guard, reason }) => {
                let reason = format!("{reason}; it wants somebody to be asked, and nobody can be asked here");
                Err(Error::Denied { guard, reason })
            }
        }
    }
}

/// What one guard says.
enum Verdict<T> {
    Allow,
    Changed(T),
    Ask(verdicts::Reason, Option<T>),
    Deny(verdicts::Reason),
}

impl Guard {
    /// Loads a guard.
    ///
    /// # Errors
    /// If it can't be loaded, is no guard, or checks nothing.
    pub async fn load(engine: &Arc<Engine>, config: &GuardConfig) -> Result<Self, LoadError> {
        let plugin = Plugin::load(Arc::clone(engine), &config.component).await?;
        let name = || plugin.name.clone();
        match plugin.info.world {
            Ok(World::Guard) => {}
            Ok(world) => return Err(LoadError::NotAGuard { name: name(), world: world.name() }),
            // `load` has refused it.
            Err(ref reason) => return Err(LoadError::World { name: name(), reason: reason.clone() }),
        }
        let described = || Checked::ALL.into_iter().filter(|checked| plugin.accepts(checked.name())).collect();
        let checks: Vec<Checked> = config.checks.clone().unwrap_or_else(described);
        if checks.is_empty() {
            let reason = "it says that it checks neither `request` nor `answer`; name what it shall check in `checks`";
            return Err(LoadError::Describe { name: name(), reason: reason.to_owned() });
        }
        let settings = serde_json::Value::Object(config.component.settings.clone()).to_string();
        let settings = Arc::new(settings);
        Ok(Self { plugin, settings, on_failure: config.on_failure, checks })
    }

    /// Its name in the config.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plugin.name
    }

    /// Whether it looks at this.
    #[must_use]
    pub fn checks(&self, what: Checked) -> bool {
        self.checks.contains(&what)
    }

    /// What becomes of a request that it fails at.
    #[must_use]
    pub fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    async fn request(
        &self,
        request: &Arc<wit::CreateMessageRequest>,
        circumstances: &Arc<Circumstances>,
    ) -> Result<Verdict<Arc<wit::CreateMessageRequest>>, Error> {
        let verdict = self.plugin.judge_request(request, circumstances, &self.settings).await?;
        let verdict = match verdict {
            verdicts::RequestVerdict::Allow => Verdict::Allow,
            verdicts::RequestVerdict::AllowChanged(changed) => Verdict::Changed(changed),
            verdicts::RequestVerdict::Ask(question) => Verdict::Ask(question.reason, question.changed),
            verdicts::RequestVerdict::Deny(reason) => Verdict::Deny(reason),
        };
        self.held(verdict, |changed| of_request(request, changed))
    }

    async fn answer(
        &self,
        answer: &Arc<wit::CreateMessageResult>,
        circumstances: &Arc<Circumstances>,
    ) -> Result<Verdict<Arc<wit::CreateMessageResult>>, Error> {
        let verdict = self.plugin.judge_answer(answer, circumstances, &self.settings).await?;
        let verdict = match verdict {
            verdicts::AnswerVerdict::Allow => Verdict::Allow,
            verdicts::AnswerVerdict::AllowChanged(changed) => Verdict::Changed(changed),
            verdicts::AnswerVerdict::Ask(question) => Verdict::Ask(question.reason, question.changed),
            verdicts::AnswerVerdict::Deny(reason) => Verdict::Deny(reason),
        };
        self.held(verdict, |changed| of_answer(answer, changed))
    }

    /// Holds what a guard has changed to what it may.
    fn held<T>(&self, verdict: Verdict<T>, check: impl Fn(&T) -> Result<(), String>) -> Result<Verdict<Arc<T>>, Error> {
        let held = |changed: T| match check(&changed) {
            Ok(()) => Ok(Arc::new(changed)),
            Err(reason) => {
                Err(Error::BadAnswer { plugin: self.plugin.name.clone(), reason: one_line(&reason, LONGEST_REASON) })
            }
        };
        Ok(match verdict {
            Verdict::Allow => Verdict::Allow,
            Verdict::Changed(changed) => Verdict::Changed(held(changed)?),
            Verdict::Ask(reason, changed) => Verdict::Ask(reason, changed.map(held).transpose()?),
            Verdict::Deny(reason) => Verdict::Deny(reason),
        })
    }

    /// A verdict on a value: what is left of it, or why it is denied.
    fn apply<T>(
        &self,
        what: Checked,
        verdict: Result<Verdict<Arc<T>>, Error>,
        left: &mut Guarded<Arc<T>>,
        id: &str,
    ) -> Result<(), Error> {
        let (guard, what) = (&self.plugin.name, what.name());
        let in_words = |reason: verdicts::Reason| match one_line(&reason.message, LONGEST_REASON) {
            reason if reason.trim().is_empty() => "it gives no reason".to_owned(),
            reason => reason,
        };
        match verdict {
            Ok(Verdict::Allow) => {}
            Ok(Verdict::Changed(changed)) => {
                tracing::info!(request = id, "the guard `{guard}` has changed the {what}");
                left.value = changed;
            }
            Ok(Verdict::Ask(reason, changed)) => {
                let reason = in_words(reason);
                tracing::info!(
                    request = id,
                    "the guard `{guard}` wants somebody to be asked about the {what}: {reason}"
                );
                left.questions.push(Question { guard: guard.clone(), reason });
                if let Some(changed) = changed {
                    left.value = changed;
                }
            }
            Ok(Verdict::Deny(reason)) => {
                let reason = in_words(reason);
                tracing::warn!(request = id, "the guard `{guard}` denies the {what}: {reason}");
                return Err(Error::Denied { guard: guard.clone(), reason });
            }
            Err(error) if self.on_failure == OnFailure::Allow => {
                tracing::warn!(
                    request = id,
                    "{error}; the {what} goes on unguarded, as `guards.{guard}.onFailure` says"
                );
            }
            Err(error) => return Err(Error::GuardFailed { guard: guard.clone(), reason: failure(&error, guard) }),
        }
        Ok(())
    }
}

/// A failure in words, without the guard's name, which stands before it.
fn failure(error: &Error, guard: &str) -> String {
    let text = error.to_string();
    let prefix = format!("plugin `{guard}`");
    let rest = text.strip_prefix(&prefix).map(|rest| rest.trim_start_matches(':').trim_start().to_owned());
    one_line(&rest.unwrap_or(text), 2 * LONGEST_REASON)
}

/// The guards of one server's rule, in order.
#[derive(Debug, Default)]
pub struct Guards {
    guards: Vec<Guard>,
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
        Self { guards, missing, checks_requests, checks_answers }
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
        self.guards.iter().map(|guard| (guard.plugin.name.clone(), guard.plugin.sha256.clone())).collect()
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
            None => Ok(self.guards.iter().filter(move |guard| guard.checks(what))),
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

    #[test]
    fn a_failure_names_the_guard_once() {
        let trap = Error::Trap { plugin: "g".to_owned(), call: "request", reason: "unreachable".to_owned() };
        assert_eq!(failure(&trap, "g"), "trapped in `request`: unreachable");
        let bad = Error::BadAnswer { plugin: "g".to_owned(), reason: "x".to_owned() };
        assert_eq!(failure(&bad, "g"), "gave an answer that can't be used: x");
        assert_eq!(failure(&Error::Closed, "g"), Error::Closed.to_string());
    }

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

    #[test]
    fn where_nobody_can_be_asked_a_question_denies() {
        let question = Question { guard: "g".to_owned(), reason: "a key".to_owned() };
        let error = Guarded { value: (), questions: vec![question] }.without_asking().unwrap_err();
        assert_eq!(
            error.to_string(),
            "denied by guard `g`: a key; it wants somebody to be asked, and nobody can be asked here"
        );
        assert_eq!(error.code(), -1);
    }
}
