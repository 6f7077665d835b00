//! The checks of guards: that each request and answer has a verdict, the same each time, which changes only what it may.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use understudy_mcp_types::CreateMessageResult;

use super::report::{ConformanceReport, Rule};
use super::{fixtures, guard_fixtures, own, requests};
use crate::config::Checked;
use crate::error::Error;
use crate::guards::{Circumstances, Guard, of_answer, of_request};
use crate::wit::guard::exports::understudy::plugin::guard as verdicts;
use crate::wit::understudy::plugin::types as wit;

/// What admission asks of a guard: the world, what it says of itself, and one request.
pub async fn quick_guard(guard: &Guard) -> ConformanceReport {
    let mut checks = GuardChecks::new(guard);
    checks.report.loaded(&guard.plugin).await;
    if let Some(canonical) = requests::probe() {
        checks.request(canonical.name, &canonical.request).await;
    }
    checks.report
}

/// All checks of a guard. `fixtures` is the author's folder; without one the report says so.
///
/// With `update`, the fixtures get the verdicts that they have.
pub async fn full_guard(guard: &Guard, fixtures: Option<&Path>, update: bool) -> ConformanceReport {
    let mut checks = GuardChecks::new(guard);
    guard.plugin.record_usage();
    checks.report.loaded(&guard.plugin).await;
    for canonical in requests::all() {
        checks.request(canonical.name, &canonical.request).await;
    }
    for (name, answer) in answers() {
        checks.answer(name, &answer).await;
    }
    checks.done();
    checks.fixtures(fixtures, update).await;
    checks.report.limits(&guard.plugin);
    checks.report
}

/// Answers as a server could get them.
fn answers() -> Vec<(&'static str, Arc<wit::CreateMessageResult>)> {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let cases = [
        ("text", text("cedar")),
        ("an empty text", text("")),
        ("a long text", text(&"a cedar and a beech. ".repeat(12_000))),
        ("odd characters", text("cedar \u{0}\u{1}\u{7f} \u{202e} \\ \" e\u{301} \r\n")),
        ("an image", json!({ "type": "image", "data": "AAAA", "mimeType": "image/png" })),
        (
            "a tool_use",
            json!([text("cedar"), { "type": "tool_use", "id": "1", "name": "look_up", "input": { "species": "larch" } }]),
        ),
    ];
    let answer = |content: Value| {
        let result = json!({ "role": "assistant", "content": content, "model": "model-1", "stopReason": "endTurn" });
        Some(Arc::new(CreateMessageResult::from_json(result.to_string().as_bytes()).ok()?.into()))
    };
    cases.into_iter().filter_map(|(name, content)| Some((name, answer(content)?))).collect()
}

/// One guard under test.
struct GuardChecks<'a> {
    guard: &'a Guard,
    report: ConformanceReport,
}

impl<'a> GuardChecks<'a> {
    fn new(guard: &'a Guard) -> Self {
        let mut report = ConformanceReport::new(guard.name());
        report.sha256.clone_from(&guard.plugin.sha256);
        Self { guard, report }
    }

    /// Has a request judged twice.
    async fn request(&mut self, name: &str, request: &Arc<wit::CreateMessageRequest>) {
        if !self.guard.checks(Checked::Request) {
            return;
        }
        let (plugin, circumstances) = (&self.guard.plugin, circumstances(None));
        let first = plugin.judge_request(request, &circumstances, &self.guard.settings).await;
        let again = plugin.judge_request(request, &circumstances, &self.guard.settings).await;
        let place = format!("request `{name}`");
        self.pure(&place, "request", format!("{first:?}") == format!("{again:?}") || first.is_err());
        match first {
            Ok(verdicts::RequestVerdict::Allow) => {}
            Ok(verdicts::RequestVerdict::AllowChanged(changed)) => self.changed(&place, of_request(request, &changed)),
            Ok(verdicts::RequestVerdict::Ask(question)) => {
                self.reason(&place, &question.reason);
                if let Some(changed) = question.changed {
                    self.changed(&place, of_request(request, &changed));
                }
            }
            Ok(verdicts::RequestVerdict::Deny(reason)) => self.reason(&place, &reason),
            Err(error) => self.failed(&place, Rule::Start, error),
        }
    }

    /// Has an answer judged twice.
    async fn answer(&mut self, name: &str, answer: &Arc<wit::CreateMessageResult>) {
        if !self.guard.checks(Checked::Answer) {
            return;
        }
        let (plugin, circumstances) = (&self.guard.plugin, circumstances(Some("model-1")));
        let first = plugin.judge_answer(answer, &circumstances, &self.guard.settings).await;
        let again = plugin.judge_answer(answer, &circumstances, &self.guard.settings).await;
        let place = format!("answer `{name}`");
        self.pure(&place, "answer", format!("{first:?}") == format!("{again:?}") || first.is_err());
        match first {
            Ok(verdicts::AnswerVerdict::Allow) => {}
            Ok(verdicts::AnswerVerdict::AllowChanged(changed)) => self.changed(&place, of_answer(answer, &changed)),
            Ok(verdicts::AnswerVerdict::Ask(question)) => {
                self.reason(&place, &question.reason);
                if let Some(changed) = question.changed {
                    self.changed(&place, of_answer(answer, &changed));
                }
            }
            Ok(verdicts::AnswerVerdict::Deny(reason)) => self.reason(&place, &reason),
            Err(error) => self.failed(&place, Rule::Resume, error),
        }
    }

    fn pure(&mut self, place: &str, call: &str, is_pure: bool) {
        if !is_pure {
            self.report.broken(Rule::Pure, format!("{place}: `{call}` judged otherwise the second time"));
        }
    }

    fn changed(&mut self, place: &str, outcome: Result<(), String>) {
        if let Err(reason) = outcome {
            self.report.broken(Rule::Results, format!("{place}: it may not change this: {reason}"));
        }
    }

    fn reason(&mut self, place: &str, reason: &verdicts::Reason) {
        self.report.words(place, "reason", &reason.message, &reason.extensions);
    }

    /// A guest's own error is a verdict of a kind, which denies; what it did else is a breach.
    fn failed(&mut self, place: &str, rule: Rule, error: Error) {
        match own(error) {
            Ok(error) => {
                let settings = "if it needs settings, give them: `--set KEY=VALUE`";
                self.report.message(place, &error);
                self.report.broken(rule, format!("{place}: no verdict but an error ({settings}): {error:?}"));
            }
            Err(error) => self.report.broken(rule, format!("{place}: {error}")),
        }
    }

    /// What is known once everything has been judged.
    fn done(&mut self) {
        let judged = |what, said: &str| {
            if self.guard.checks(what) { said.to_owned() } else { format!("it doesn't check the {}", what.name()) }
        };
        let (requests, answers) = (
            judged(Checked::Request, "every canonical request has a verdict"),
            judged(Checked::Answer, "every canonical answer has a verdict"),
        );
        self.report.kept(Rule::Start, requests);
        self.report.kept(Rule::Resume, answers);
        self.report.kept(Rule::Pure, "the same input gave the same verdict, each time in a fresh instance");
        self.report.kept(Rule::Results, "it changes nothing that it may not");
        self.report.kept(Rule::Messages, "its reasons are short lines");
        for rule in [Rule::Accepts, Rule::Carries, Rule::Fetch, Rule::Refusals, Rule::Malformed, Rule::Stream] {
            self.report.skipped(rule, "for provider plugins: a guard talks to no provider");
        }
    }

    async fn fixtures(&mut self, folder: Option<&Path>, update: bool) {
        let Some(folder) = folder else {
            let none = "there is none: write a JSON file for each case into `fixtures/` beside the component";
            self.report.noted(Rule::Fixtures, none);
            return;
        };
        match guard_fixtures::run_all(&self.guard.plugin, folder, update).await {
            Ok(fixtures::Ran { count, updated, wrong }) => {
                for wrong in wrong {
                    self.report.broken(Rule::Fixtures, wrong);
                }
                let said = if updated == 0 { String::new() } else { format!(", {updated} of them written anew") };
                self.report.kept(Rule::Fixtures, format!("{count} in `{}`{said}", folder.display()));
            }
            Err(reason) => self.report.broken(Rule::Fixtures, reason),
        }
    }
}

/// Circumstances as the host would tell them.
fn circumstances(model: Option<&str>) -> Arc<Circumstances> {
    Arc::new(Circumstances {
        server: "server".to_owned(),
        client: Some("client".to_owned()),
        tool: Some("look_up".to_owned()),
        request_id: "request-1".to_owned(),
        model: model.map(str::to_owned),
        plugin: model.map(|_| "plugin".to_owned()),
        extensions: "{}".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_answer_is_one_that_a_server_could_get() {
        assert_eq!(super::answers().len(), 6);
    }
}
