//! The step of a request at which the user is asked: between the reservation of its cost and the plugin, and once more before its answer is given.

use super::approvals::{Approvals, Asking};
use super::chain::Answered;
use super::pipeline::{Asked, Pipeline, Prepared};
use super::{Circumstances, ConfiguredPlugin, SamplingRequest};
use crate::approval::{self, ApprovalRequest, Approved, Subject};
use crate::config::ApprovePolicy;
use crate::error::Error;
use crate::ledger::Record;
use crate::money::NanoDollars;
use crate::select::Choice;
use crate::timeline::wait;

/// What has become of a request that the user may be asked about.
enum Admitted {
    /// They needn't be.
    Answered(Answered),
    /// They are asked, by this policy.
    Waits(Prepared, Asked, ApprovePolicy),
}

impl Pipeline {
    /// Waits until the request's turn has come, and answers it, with the user's approval where that is needed. While they are asked, the request holds
    /// no permit, and its clock stands still.
    pub(super) async fn admit_approved(
        &self,
        approvals: &Approvals,
        request: SamplingRequest<'_>,
        id: &str,
        record: &mut Option<Record>,
    ) -> Result<String, Error> {
        let (size, is_rate_counted) = (request.params.size(), request.is_rate_counted);
        let approver = request.approver.clone();
        let first = async |until| {
            let (prepared, asked) = self.prepare(request, id, record).await?;
            Ok(match self.asking_about(approvals, &prepared, &asked, record)? {
                Asking::Unneeded(_) => Admitted::Answered(self.ask_chain(&prepared, asked, id, until, record).await?),
                Asking::Needed(policy) => Admitted::Waits(prepared, asked, policy),
            })
        };
        let answered = match self.admission.run(size, is_rate_counted, first).await? {
            Admitted::Answered(answered) => answered,
            Admitted::Waits(mut prepared, asked, policy) => {
                if let Some(record) = record {
                    record.may_wait(approvals.longest() + self.admission.deadline());
                }
                // What no budget has room for isn't asked about.
                prepared.is_reserved = self.reserve_first(&prepared, record).await?;
                let question = self.question_about_request(&prepared, &asked, policy);
                let approved = wait("approval", approvals.ask(policy, &question, approver.as_ref())).await?;
                approve(record, approved);
                self.admission.run(size, true, |until| self.ask_chain(&prepared, asked, id, until, record)).await?
            }
        };
        if let Asking::Needed(policy) = approvals.about_answer(!answered.questions.is_empty()) {
            let question = self.question_about_answer(&answered);
            let approved = wait("approval", approvals.ask(policy, &question, approver.as_ref())).await?;
            approve(record, approved);
        }
        Ok(answered.json)
    }

    /// Whether the user is asked about a request.
    fn asking_about(
        &self,
        approvals: &Approvals,
        prepared: &Prepared,
        asked: &Asked,
        record: &mut Option<Record>,
    ) -> Result<Asking, Error> {
        let is_in_call = asked.circumstances.is_in_call();
        let tool = asked.circumstances.call.as_ref().map(|call| call.tool.as_str());
        let asking =
            approvals.about_request(tool, is_in_call, self.most_cost(prepared), !prepared.questions.is_empty())?;
        if let Asking::Unneeded(Some(why)) = asking {
            approve(record, why);
        }
        Ok(asking)
    }

    /// Reserves what asking the first plugin may cost; whether anything is reserved.
    async fn reserve_first(&self, prepared: &Prepared, record: &mut Option<Record>) -> Result<bool, Error> {
        let (Some(record), Some((choice, link))) = (record.as_mut(), self.links(&prepared.choices).next()) else {
            return Ok(false);
        };
        wait("ledger", record.reserve(&link.attempt(&choice.model, &prepared.request))).await?;
        Ok(true)
    }

    /// The most that a request may cost, whichever plugin of the chain answers.
    fn most_cost(&self, prepared: &Prepared) -> Option<NanoDollars> {
        let of =
            |(choice, link): (&Choice, &ConfiguredPlugin)| link.attempt(&choice.model, &prepared.request).most_cost();
        self.links(&prepared.choices).map(of).try_fold(NanoDollars(0), |most, one| Some(most.max(one?)))
    }

    fn question_about_request(&self, prepared: &Prepared, asked: &Asked, policy: ApprovePolicy) -> ApprovalRequest {
        let (model, plugin) = self
            .links(&prepared.choices)
            .next()
            .map_or_else(Default::default, |(choice, link)| (choice.model.clone(), link.plugin.name.clone()));
        ApprovalRequest {
            what: Approved::Request,
            subject: self.subject(&asked.circumstances),
            client: asked.circumstances.client.clone(),
            model,
            plugin,
            most_cost: self.most_cost(prepared),
            questions: prepared.questions.clone(),
            content: approval::prompt(&prepared.request),
            can_remember: policy == ApprovePolicy::Remember,
            holds_for_connection: policy == ApprovePolicy::Once,
        }
    }

    fn question_about_answer(&self, answered: &Answered) -> ApprovalRequest {
        ApprovalRequest {
            what: Approved::Answer,
            subject: self.subject(&answered.circumstances),
            client: answered.circumstances.client.clone(),
            model: answered.model.clone(),
            plugin: answered.plugin.clone(),
            most_cost: None,
            questions: answered.questions.clone(),
            content: approval::answer(&answered.json),
            can_remember: false,
            holds_for_connection: false,
        }
    }

    fn subject(&self, circumstances: &Circumstances) -> Subject {
        let tool = circumstances.call.as_ref().map(|call| call.tool.clone());
        Subject { server: self.server.clone(), is_in_call: circumstances.is_in_call(), tool }
    }
}

/// Writes into the request's row where the user allowed it, or why they weren't asked.
fn approve(record: &mut Option<Record>, approval: &'static str) {
    if let Some(record) = record {
        record.approved(approval);
    }
}
