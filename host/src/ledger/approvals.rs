//! Requests that wait for the user, and what the user said to remember.

use serde::Serialize;
use sqlx::Row as _;

use super::query::time;
use super::store::{Ledger, LedgerError};
use crate::approval::{ApprovalReply, ApprovalRequest, Approved, Subject};
use crate::money::NanoDollars;

/// So many random digits make an id: nobody else decides about it, so it need only be unique.
const DIGITS: usize = 6;

/// A request or an answer that waits for the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingApproval {
    /// What `understudy approvals allow` calls it by.
    pub id: String,
    /// Since when, RFC 3339.
    pub asked: String,
    /// When it is refused if nobody decides, RFC 3339.
    pub until: String,
    /// The server.
    pub server: String,
    /// The tool in the course of whose call it came.
    pub tool: Option<String>,
    /// The client, by the name that it gives itself.
    pub client: Option<String>,
    /// `request` or `answer`.
    pub what: String,
    /// The model.
    pub model: String,
    /// The most that it may cost; none where that isn't known.
    pub most_cost: Option<String>,
    /// All that the user is shown, with the prompt or the answer.
    pub message: String,
    /// Whether the decision can be remembered.
    pub can_remember: bool,
}

/// A decision that the user has said to remember.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remembered {
    /// The server that may ask.
    pub server: String,
    /// In the course of calls of the client's; else in the background.
    pub is_in_call: bool,
    /// Of this tool; `None` for calls that can't be told apart.
    pub tool: Option<String>,
    /// Since when, RFC 3339.
    pub since: String,
}

impl Ledger {
    /// Writes a question; its id.
    pub(super) async fn add_question(
        &self,
        request: &ApprovalRequest,
        asked: i64,
        until: i64,
    ) -> Result<String, LedgerError> {
        let id: String = std::iter::repeat_with(|| fastrand::digit(16)).take(DIGITS).collect();
        let what = match request.what {
            Approved::Request => "request",
            Approved::Answer => "answer",
        };
        let add = "INSERT INTO approvals (id, asked, until, server, tool, client, what, model, most_cost, message, can_remember)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let add = sqlx::query(add)
            .bind(&id)
            .bind(asked)
            .bind(until)
            .bind(&request.subject.server)
            .bind(&request.subject.tool)
            .bind(&request.client)
            .bind(what)
            .bind(&request.model)
            .bind(request.most_cost.map(|cost| cost.0))
            .bind(request.message())
            .bind(request.can_remember);
        let done = add.execute(&mut *self.lock().await).await;
        done.map(|_| id).map_err(|e| self.failed(&e))
    }

    /// What the user has decided about a question. One that is gone is refused.
    pub(super) async fn decision_on(&self, id: &str) -> Result<Option<ApprovalReply>, LedgerError> {
        let read = sqlx::query_as("SELECT decision, is_remembered FROM approvals WHERE id = ?").bind(id);
        let found: Option<(Option<String>, bool)> =
            read.fetch_optional(&mut *self.lock().await).await.map_err(|e| self.failed(&e))?;
        Ok(match found {
            None => Some(ApprovalReply::Unanswered("the question was removed from the ledger".to_owned())),
            Some((None, _)) => None,
            Some((Some(decision), remember)) if decision == "allowed" => Some(ApprovalReply::Allowed { remember }),
            Some(_) => Some(ApprovalReply::Refused),
        })
    }

    /// Ends a question that was answered elsewhere, or whose time is over; the decision, if there was one before.
    pub(super) async fn end_question(&self, id: &str) -> Result<Option<ApprovalReply>, LedgerError> {
        let update = sqlx::query("UPDATE approvals SET decision = 'over' WHERE id = ? AND decision IS NULL").bind(id);
        let done = update.execute(&mut *self.lock().await).await.map_err(|e| self.failed(&e))?;
        if done.rows_affected() > 0 { Ok(None) } else { self.decision_on(id).await }
    }

    /// Removes a question that nobody waits for any more.
    pub(super) async fn remove_question(&self, id: &str) -> Result<(), LedgerError> {
        let remove = sqlx::query("DELETE FROM approvals WHERE id = ?").bind(id);
        remove.execute(&mut *self.lock().await).await.map(drop).map_err(|e| self.failed(&e))
    }

    /// The user allows this from now on.
    pub(super) async fn remember(&self, subject: &Subject, since: i64) -> Result<(), LedgerError> {
        let add = "INSERT OR IGNORE INTO remembered (server, tool, is_in_call, since) VALUES (?, ?, ?, ?)";
        let Subject { server, is_in_call, tool } = subject;
        let add = sqlx::query(add).bind(server).bind(tool.as_deref().unwrap_or_default()).bind(is_in_call).bind(since);
        add.execute(&mut *self.lock().await).await.map(drop).map_err(|e| self.failed(&e))
    }

    /// Whether the user has said to remember that this is allowed.
    pub(super) async fn remembers(&self, subject: &Subject) -> Result<bool, LedgerError> {
        let read = "SELECT count(*) FROM remembered WHERE server = ? AND tool = ? AND is_in_call = ?";
        let Subject { server, is_in_call, tool } = subject;
        let read = sqlx::query_scalar(read).bind(server).bind(tool.as_deref().unwrap_or_default()).bind(is_in_call);
        let found: i64 = read.fetch_one(&mut *self.lock().await).await.map_err(|e| self.failed(&e))?;
        Ok(found > 0)
    }

    /// What waits for the user at this time (in milliseconds since 1970), the oldest first.
    ///
    /// # Errors
    /// [`LedgerError::Database`]
    pub async fn waiting(&self, now: i64) -> Result<Vec<WaitingApproval>, LedgerError> {
        let read =
            sqlx::query("SELECT * FROM approvals WHERE decision IS NULL AND until >= ? ORDER BY asked").bind(now);
        let rows = read.fetch_all(&mut *self.lock().await).await.map_err(|e| self.failed(&e))?;
        let waiting = rows.iter().map(|row| {
            let (asked, until): (i64, i64) = (row.try_get("asked")?, row.try_get("until")?);
            let most_cost: Option<i64> = row.try_get("most_cost")?;
            Ok(WaitingApproval {
                id: row.try_get("id")?,
                asked: time(asked),
                until: time(until),
                server: row.try_get("server")?,
                tool: row.try_get("tool")?,
                client: row.try_get("client")?,
                what: row.try_get("what")?,
                model: row.try_get("model")?,
                most_cost: most_cost.map(|cost| NanoDollars(cost).to_string()),
                message: row.try_get("message")?,
                can_remember: row.try_get("can_remember")?,
            })
        });
        waiting.collect::<sqlx::Result<_>>().map_err(|e| self.failed(&e))
    }

    /// Decides at this time (in milliseconds since 1970) about what waits; whether it still did. `remember` is left out where the question doesn't
    /// offer it. The process that waits looks four times a second, and removes the question: see [`has_taken`](Self::has_taken).
    ///
    /// # Errors
    /// [`LedgerError::Database`]
    pub async fn decide(&self, id: &str, allow: bool, remember: bool, now: i64) -> Result<bool, LedgerError> {
        let update = "UPDATE approvals SET decision = ?, is_remembered = ? AND can_remember
            WHERE id = ? AND decision IS NULL AND until >= ?";
        let decision = if allow { "allowed" } else { "refused" };
        let update = sqlx::query(update).bind(decision).bind(allow && remember).bind(id).bind(now);
        let done = update.execute(&mut *self.lock().await).await.map_err(|e| self.failed(&e))?;
        Ok(done.rows_affected() > 0)
    }

    /// Whether the process that waited has taken a decision.
    ///
    /// # Errors
    /// [`LedgerError::Database`]
    pub async fn has_taken(&self, id: &str) -> Result<bool, LedgerError> {
        let read = sqlx::query_scalar("SELECT count(*) FROM approvals WHERE id = ?").bind(id);
        let found: i64 = read.fetch_one(&mut *self.lock().await).await.map_err(|e| self.failed(&e))?;
        Ok(found == 0)
    }

    /// The decisions that are remembered.
    ///
    /// # Errors
    /// [`LedgerError::Database`]
    pub async fn remembered(&self) -> Result<Vec<Remembered>, LedgerError> {
        let read =
            sqlx::query_as("SELECT server, tool, is_in_call, since FROM remembered ORDER BY server, is_in_call, tool");
        let found: Vec<(String, String, bool, i64)> =
            read.fetch_all(&mut *self.lock().await).await.map_err(|e| self.failed(&e))?;
        let of = |(server, tool, is_in_call, since): (_, String, bool, _)| Remembered {
            server,
            is_in_call,
            tool: Some(tool).filter(|tool| !tool.is_empty()),
            since: time(since),
        };
        Ok(found.into_iter().map(of).collect())
    }

    /// Forgets what is remembered of a server, or of one tool of it; how many decisions that was.
    ///
    /// # Errors
    /// [`LedgerError::Database`]
    pub async fn forget(&self, server: &str, tool: Option<&str>) -> Result<u64, LedgerError> {
        let remove = sqlx::query("DELETE FROM remembered WHERE server = ? AND (? IS NULL OR tool = ?)");
        let remove = remove.bind(server).bind(tool).bind(tool);
        let done = remove.execute(&mut *self.lock().await).await.map_err(|e| self.failed(&e))?;
        Ok(done.rows_affected())
    }
}
