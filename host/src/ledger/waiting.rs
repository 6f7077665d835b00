//! Questions to the user that stand in the ledger, where any program of the user's can decide them.

use std::sync::Arc;
use std::time::Duration;

use super::LedgerError;
use super::record::{SharedLedger, milliseconds, now, spawn_step};
use crate::approval::{ApprovalReply, ApprovalRequest, Subject};

/// How often a decision is looked for.
const LOOK: Duration = Duration::from_millis(250);

/// A question that stands in the ledger until this is dropped.
pub(crate) struct WrittenQuestion {
    ledger: Arc<SharedLedger>,
    id: String,
}

impl WrittenQuestion {
    /// Waits until the user decides there.
    pub(crate) async fn decision(&self) -> ApprovalReply {
        loop {
            tokio::time::sleep(LOOK).await;
            match self.look().await {
                Ok(Some(decision)) => return decision,
                Ok(None) => {}
                Err(error) => return ApprovalReply::Unavailable(error.to_string()),
            }
        }
    }

    async fn look(&self) -> Result<Option<ApprovalReply>, LedgerError> {
        self.ledger.get().await?.decision_on(&self.id).await
    }

    /// Ends the question, because it was answered elsewhere or its time is over; the decision in the ledger, if that came first.
    pub(crate) async fn end(&self) -> Option<ApprovalReply> {
        let ended = async { self.ledger.get().await?.end_question(&self.id).await };
        ended.await.unwrap_or_else(|error| {
            tracing::warn!("a question in the ledger can't be ended: {error}");
            None
        })
    }
}

impl Drop for WrittenQuestion {
    fn drop(&mut self) {
        let (ledger, id) = (Arc::clone(&self.ledger), std::mem::take(&mut self.id));
        // Outside of a runtime the row stays, and is removed when the ledger is tidied.
        if tokio::runtime::Handle::try_current().is_ok() {
            drop(spawn_step(async move {
                if let Ok(ledger) = ledger.get().await {
                    let _ = ledger.remove_question(&id).await;
                }
            }));
        }
    }
}

impl SharedLedger {
    /// Writes a question down, and says in the log how it is decided.
    pub(crate) async fn write_question(
        self: &Arc<Self>,
        request: &ApprovalRequest,
        within: Duration,
    ) -> Result<WrittenQuestion, LedgerError> {
        let until = now().saturating_add(milliseconds(within));
        let id = self.get().await?.add_question(request, now(), until).await?;
        let server = &request.subject.server;
        tracing::warn!(
            "a request of `{server}` waits for your approval: `understudy approvals allow {id}` (or `refuse`; with the same `--config`)"
        );
        Ok(WrittenQuestion { ledger: Arc::clone(self), id })
    }

    /// Whether the user has said to remember that this is allowed.
    pub(crate) async fn remembers(&self, subject: &Subject) -> Result<bool, LedgerError> {
        self.get().await?.remembers(subject).await
    }

    /// The user allows this from now on.
    pub(crate) async fn remember(&self, subject: &Subject) -> Result<(), LedgerError> {
        self.get().await?.remember(subject, now()).await
    }
}
