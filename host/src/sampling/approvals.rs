//! Whether the user is asked, and what follows from the answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::approval::{ApprovalReply, ApprovalRequest, Approver, MOST_WAITING, Subject};
use crate::config::{ApprovePolicy, ApproveRule};
use crate::error::Error;
use crate::guards::Question;
use crate::ledger::SharedLedger;
use crate::money::NanoDollars;
use crate::text::one_line;

/// What the ledger says of a request that was allowed by a command.
const BY_COMMAND: &str = "allowed by `understudy approvals`";

/// An answer; and where it was given, in words for the ledger.
type Reply = (ApprovalReply, &'static str);

/// The approvals of one server's requests.
#[derive(Debug)]
pub(super) struct Approvals {
    pub(super) rule: ApproveRule,
    ledger: Option<Arc<SharedLedger>>,
    /// The places of requests that bring nobody who can be asked.
    waiting: Semaphore,
}

/// What the rule says of one request or answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    /// Nobody is asked; why, if the rule has a reason.
    Unneeded(Option<&'static str>),
    /// The user is asked, unless an earlier decision holds.
    Needed(ApprovePolicy),
}

impl Approvals {
    /// Those of a rule; `None` where nobody is ever asked.
    pub(super) fn new(rule: &ApproveRule, has_guards: bool, ledger: Option<&Arc<SharedLedger>>) -> Option<Self> {
        (rule.is_any() || has_guards).then(|| Self {
            rule: rule.clone(),
            ledger: ledger.cloned(),
            waiting: Semaphore::new(MOST_WAITING),
        })
    }

    /// Whether the user is asked about a request that costs this at most; `has_questions`: a guard wants it.
    ///
    /// # Errors
    /// [`Error::Declined`] if the rule refuses it.
    pub(super) fn about_request(
        &self,
        tool: Option<&str>,
        is_in_call: bool,
        most_cost: Option<NanoDollars>,
        has_questions: bool,
    ) -> Result<Asking, Error> {
        let (policy, key) =
            if is_in_call { (self.rule.requests, "requests") } else { (self.rule.background, "background") };
        let is_below = || self.rule.above.is_some_and(|above| most_cost.is_some_and(|most| most <= above));
        Ok(match policy {
            ApprovePolicy::Refuse => {
                let which = if is_in_call { "in the course of" } else { "outside of" };
                let reason = format!("requests {which} a tool call are refused (`sampling.approve.{key}`)");
                return Err(Error::Declined { reason });
            }
            _ if has_questions => Asking::Needed(ApprovePolicy::Ask),
            // A yes for one of several calls would be one for a tool that nobody has named.
            ApprovePolicy::Once | ApprovePolicy::Remember if is_in_call && tool.is_none() && !is_below() => {
                Asking::Needed(ApprovePolicy::Ask)
            }
            ApprovePolicy::Never => Asking::Unneeded(None),
            _ if is_below() => Asking::Unneeded(Some("not asked: it costs no more than `sampling.approve.above`")),
            policy => Asking::Needed(policy),
        })
    }

    /// The longest that a question waits: behind all others that may be asked before it.
    pub(super) fn longest(&self) -> Duration {
        self.rule.within.saturating_mul(u32::try_from(MOST_WAITING).unwrap_or(u32::MAX))
    }

    /// Whether the user is asked about an answer.
    pub(super) fn about_answer(&self, has_questions: bool) -> Asking {
        if self.rule.answers || has_questions { Asking::Needed(ApprovePolicy::Ask) } else { Asking::Unneeded(None) }
    }

    /// Asks the user. If they allow it: where they did, in words for the ledger.
    ///
    /// # Errors
    /// [`Error::Declined`]
    pub(super) async fn ask(
        &self,
        policy: ApprovePolicy,
        request: &ApprovalRequest,
        approver: Option<&Approver>,
    ) -> Result<&'static str, Error> {
        let wanted_by = |Question { guard, reason }: &Question| format!("; the guard `{guard}` wants it: {reason}");
        let guards: String = request.questions.iter().map(wanted_by).collect();
        let declined = |reason: String| Error::Declined { reason: format!("{reason}{guards}") };
        if let Some(before) = self.decided_before(policy, &request.subject, approver).await {
            return Ok(before);
        }
        let places = approver.map_or(&self.waiting, |approver| approver.session().places());
        let _place = places.try_acquire().map_err(|_| {
            declined(format!(
                "{MOST_WAITING} requests of this server wait for the user already: answer them, or have the server ask less at once (`limits.concurrent`)"
            ))
        })?;
        // One question at a time; the one before may have decided this one.
        let _turn = match approver {
            Some(approver) => Some(approver.session().turn().await),
            None => None,
        };
        if let Some(before) = self.decided_before(policy, &request.subject, approver).await {
            return Ok(before);
        }
        let within = self.rule.within;
        let Some((reply, by)) = self.first_answer(request, approver).await else {
            return Err(declined(format!(
                "the user was asked, and nobody has answered within {within:?} (`sampling.approve.within`)"
            )));
        };
        match reply {
            ApprovalReply::Allowed { remember } => {
                if let (ApprovePolicy::Once, Some(approver)) = (policy, approver) {
                    approver.session().allow(&request.subject);
                }
                if let (ApprovePolicy::Remember, true, Some(ledger)) = (policy, remember, &self.ledger) {
                    // It is allowed all the same.
                    if let Err(error) = ledger.remember(&request.subject).await {
                        tracing::warn!("the user's decision is not remembered: {error}");
                    }
                }
                Ok(by)
            }
            ApprovalReply::Refused => Err(declined("the user has refused it".to_owned())),
            ApprovalReply::Unanswered(reason) => {
                Err(declined(format!("the user was asked, and has not allowed it: {}", one_line(&reason, 300))))
            }
            ApprovalReply::Unavailable(reason) => {
                Err(declined(format!("the user must allow it, and nobody can be asked: {}", one_line(&reason, 500))))
            }
        }
    }

    /// An earlier decision that holds.
    async fn decided_before(
        &self,
        policy: ApprovePolicy,
        subject: &Subject,
        approver: Option<&Approver>,
    ) -> Option<&'static str> {
        match (policy, approver, &self.ledger) {
            (ApprovePolicy::Once, Some(approver), _) => {
                approver.session().has_allowed(subject).then_some("allowed before on this connection")
            }
            (ApprovePolicy::Remember, _, Some(ledger)) => {
                let remembers = ledger.remembers(subject).await.unwrap_or_else(|error| {
                    tracing::warn!("what the user said to remember can't be read, so the user is asked: {error}");
                    false
                });
                remembers.then_some("allowed before, and remembered")
            }
            _ => None,
        }
    }

    /// The first answer of those who can be asked; `None` if there is none in time.
    async fn first_answer(&self, request: &ApprovalRequest, approver: Option<&Approver>) -> Option<Reply> {
        let written = match &self.ledger {
            Some(ledger) => ledger.write_question(request, self.rule.within).await.map_err(|error| error.to_string()),
            None => Err("the config has no ledger (`\"ledger\": true`), by which `understudy approvals` would find it"
                .to_owned()),
        };
        let asked = pin!(async {
            match approver {
                Some(approver) => (approver.way().ask(request).await, approver.way().allowed_here()),
                None => (ApprovalReply::Unavailable("there is no client and no terminal".to_owned()), ""),
            }
        });
        let decided = pin!(async {
            match &written {
                Ok(written) => (written.decision().await, BY_COMMAND),
                Err(reason) => (ApprovalReply::Unavailable(reason.clone()), BY_COMMAND),
            }
        });
        let is_no_answer = |(reply, _): &Reply| matches!(reply, ApprovalReply::Unavailable(_));
        let first = async {
            match select(asked, decided).await {
                Either::Left((asked, decided)) if is_no_answer(&asked) => either(asked, decided.await),
                Either::Right((decided, asked)) if is_no_answer(&decided) => either(asked.await, decided),
                Either::Left((reply, _)) | Either::Right((reply, _)) => reply,
            }
        };
        let first = timeout(self.rule.within, first).await.ok();
        // What somebody decided there in the meantime came first.
        let before = match &written {
            Ok(written) => written.end().await,
            Err(_) => None,
        };
        before.map(|reply| (reply, BY_COMMAND)).or(first)
    }
}

/// Of two replies the one that is an answer; if neither is, the reasons of both.
fn either(asked: Reply, written: Reply) -> Reply {
    match (asked, written) {
        ((ApprovalReply::Unavailable(one), by), (ApprovalReply::Unavailable(other), _)) => {
            (ApprovalReply::Unavailable(format!("{one}; {other}")), by)
        }
        ((ApprovalReply::Unavailable(_), _), written) => written,
        (asked, _) => asked,
    }
}
