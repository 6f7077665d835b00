//! One guard: loading it, its verdicts.

use std::sync::Arc;

use super::{Circumstances, Guarded, Question, of_answer, of_request};
use crate::config::{Checked, GuardConfig, OnFailure};
use crate::error::{Error, LoadError};
use crate::sandbox::{Engine, Plugin, World};
use crate::text::one_line;
use crate::wit::guard::exports::understudy::plugin::guard as verdicts;
use crate::wit::understudy::plugin::types as wit;

/// The most characters of a reason.
pub(super) const LONGEST_REASON: usize = 500;

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

/// What one guard says.
pub(super) enum Verdict<T> {
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

    pub(super) async fn request(
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

    pub(super) async fn answer(
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
    pub(super) fn apply<T>(
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
}
