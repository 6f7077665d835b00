//! The substitute for the ledger's file without the feature `ledger`: none can be opened.

use std::path::Path;

use super::entry::{Attempt, Before, BudgetRefusal, Closing, Opening};
use crate::approval::{ApprovalReply, ApprovalRequest, Subject};
use crate::config::Budget;

/// Why there is no ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// This build has none.
    #[error("the config wants a ledger or budgets, and this build of Understudy has neither (feature `ledger`)")]
    Absent,
    /// No thread can be started for one.
    #[error("no thread can be started for the ledger: {reason}")]
    Thread {
        /// Why.
        reason: String,
    },
    /// There is no folder for one.
    #[error("there is no state folder for the ledger")]
    NoFolder,
}

/// A ledger. There is none.
#[derive(Debug)]
pub enum Ledger {}

/// A row. There is none.
#[derive(Debug, Clone)]
pub(super) enum OpenRow {}

#[expect(clippy::unused_async, reason = "the ledger's file takes time")]
impl Ledger {
    /// None can be opened.
    ///
    /// # Errors
    /// [`LedgerError::Absent`]
    pub async fn open(_: &Path) -> Result<Self, LedgerError> {
        Err(LedgerError::Absent)
    }

    pub(super) async fn apply_all(&self) -> Result<(), LedgerError> {
        match *self {}
    }

    pub(super) async fn tidy(&self, _: i64) -> Result<(), LedgerError> {
        match *self {}
    }

    pub(super) async fn reserve(
        &self,
        _: &Opening,
        _: &mut Option<OpenRow>,
        _: Before,
        _: &Attempt,
        _: &[Budget],
    ) -> Result<Result<(), BudgetRefusal>, LedgerError> {
        match *self {}
    }

    pub(super) async fn add_question(&self, _: &ApprovalRequest, _: i64, _: i64) -> Result<String, LedgerError> {
        match *self {}
    }

    pub(super) async fn decision_on(&self, _: &str) -> Result<Option<ApprovalReply>, LedgerError> {
        match *self {}
    }

    pub(super) async fn end_question(&self, _: &str) -> Result<Option<ApprovalReply>, LedgerError> {
        match *self {}
    }

    pub(super) async fn remove_question(&self, _: &str) -> Result<(), LedgerError> {
        match *self {}
    }

    pub(super) async fn remember(&self, _: &Subject, _: i64) -> Result<(), LedgerError> {
        match *self {}
    }

    pub(super) async fn remembers(&self, _: &Subject) -> Result<bool, LedgerError> {
        match *self {}
    }

    pub(super) async fn close(&self, _: &Opening, _: &mut Option<OpenRow>, _: &Closing) -> Result<(), LedgerError> {
        match *self {}
    }
}
