//! The steps of a request: reserve, settle, close. Each is one transaction.

use std::collections::BTreeSet;

use jiff::{Timestamp, ZonedDateTime};
use sqlx::sqlite::SqliteConnection;

use super::budget::{self, Amount, Scopes, Taken};
use super::chain::{self, Kind};
use super::entry::{Attempt, Before, BudgetRefusal, Charge, Closing, Opening, Outcome};
use super::store::{Ledger, LedgerError, begin};
use crate::config::Budget;
use crate::money::NanoDollars;
use crate::price::Tokens;

/// A request is taken for interrupted so long after its deadline, in milliseconds.
const GRACE: i64 = 60_000;

/// A counter is removed so long after its end, in milliseconds: requests that began before it have been settled.
const OLD: i64 = 7 * 24 * 3600 * 1000;

/// A request that has a row.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenRow {
    id: i64,
    /// The attempts that aren't settled: those of one plugin, in order.
    pending: Vec<OpenAttempt>,
    /// How many attempts have a row.
    attempts: i64,
    /// The plugins that were to be asked.
    plugins: BTreeSet<String>,
}

/// An attempt that isn't settled.
#[derive(Debug, Clone)]
struct OpenAttempt {
    id: i64,
    opened: i64,
    scopes: Scopes,
    attempt: Attempt,
    reserved: Amount,
}

/// Numbers in the database are signed.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl OpenRow {
    /// What an attempt takes: its worst case, and a request of each budget that hasn't counted this request yet.
    fn taken(&self, attempt: &Attempt) -> Taken {
        let cost = attempt.most_cost();
        let tokens = signed(attempt.most_input.saturating_add(attempt.most_output));
        let of = |is_new: bool| Amount { requests: is_new.into(), tokens, cost: cost.unwrap_or_default() };
        Taken { of_any: of(self.plugins.is_empty()), of_plugin: of(!self.plugins.contains(&attempt.plugin)) }
    }
}

impl Ledger {
    /// Reserves the worst case of an attempt against all budgets that it falls under, and writes it down. The first attempt of a request opens its
    /// row, which is then in `row`. An error leaves `row` as it was.
    pub(super) async fn reserve(
        &self,
        opening: &Opening,
        row: &mut Option<OpenRow>,
        before: Before,
        attempt: &Attempt,
        budgets: &[Budget],
    ) -> Result<Result<(), BudgetRefusal>, LedgerError> {
        let mut connection = self.lock().await;
        let step = reserve(&mut connection, opening, row, before, attempt, budgets);
        step.await.map_err(|e| self.failed(&e))
    }

    /// Writes how a request ended. One without a row gets it now.
    pub(super) async fn close(
        &self,
        opening: &Opening,
        row: &mut Option<OpenRow>,
        closing: &Closing,
    ) -> Result<(), LedgerError> {
        let mut connection = self.lock().await;
        close(&mut connection, opening, row.take(), closing).await.map_err(|e| self.failed(&e))
    }

    /// Closes the rows of requests whose process ended before they did: they count as their worst case. Removes contents of before `keep_from`, and
    /// counters that nothing counts any more.
    pub(super) async fn tidy(&self, keep_from: i64) -> Result<(), LedgerError> {
        self.forget_contents(keep_from).await?;
        let mut connection = self.lock().await;
        let step = async {
            close_interrupted(&mut connection).await?;
            let now = Timestamp::now().as_millisecond();
            // Nobody waits for them any more: their process has ended.
            let left = sqlx::query("DELETE FROM approvals WHERE until < ?");
            left.bind(now - GRACE).execute(&mut *connection).await?;
            let old = sqlx::query("DELETE FROM counters WHERE ends < ?");
            old.bind(now - OLD).execute(&mut *connection).await.map(drop)
        };
        step.await.map_err(|e: sqlx::Error| self.failed(&e))
    }
}

async fn reserve(
    connection: &mut SqliteConnection,
    opening: &Opening,
    row: &mut Option<OpenRow>,
    before: Before,
    attempt: &Attempt,
    budgets: &[Budget],
) -> sqlx::Result<Result<(), BudgetRefusal>> {
    let scopes = Scopes { server: opening.server.clone(), plugin: attempt.plugin.clone(), call: opening.call.clone() };
    let mut transaction = begin(connection).await?;
    // Waiting for other processes may have taken seconds.
    let now = ZonedDateTime::now();
    let at = now.timestamp().as_millisecond();
    let is_first = row.is_none();
    let mut next = row.clone().unwrap_or_default();
    match before {
        Before::Answered => {}
        Before::Over(charge) => settle_all(&mut transaction, &mut next, charge, at).await?,
        Before::Lost => {
            if let Some(lost) = next.pending.pop() {
                settle(&mut transaction, &lost, Charge::Unknown, at).await?;
            }
        }
    }
    let taken = next.taken(attempt);
    for budget in budgets.iter().filter(|budget| budget::applies(budget, &scopes)) {
        if let Err(refusal) = budget::check(&mut transaction, budget, &scopes, &taken, &now).await? {
            // What was settled stays, and so do counters that were made.
            transaction.commit().await?;
            *row = row.take().map(|_| next);
            return Ok(Err(refusal));
        }
    }
    if is_first {
        next.id = open(&mut transaction, opening).await?;
    }
    let reserved = taken.of_any;
    let add = "INSERT INTO attempts (request, opened, plugin, plugin_sha256, model, reserved_tokens, reserved_cost, is_priced, tokens, cost)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let added = sqlx::query(add)
        .bind(next.id)
        .bind(at)
        .bind(&attempt.plugin)
        .bind(&attempt.plugin_sha256)
        .bind(&attempt.model)
        .bind(reserved.tokens)
        .bind(reserved.cost.0)
        .bind(attempt.price.is_some())
        .bind(reserved.tokens)
        .bind(reserved.cost.0)
        .execute(&mut *transaction)
        .await?;
    sum_up(&mut transaction, next.id).await?;
    budget::count(&mut transaction, &scopes, at, &taken).await?;
    let kind = if is_first { Kind::Open } else { Kind::Attempt };
    chain::add(&mut transaction, kind, next.id, next.attempts).await?;
    transaction.commit().await?;
    next.attempts += 1;
    next.plugins.insert(attempt.plugin.clone());
    let id = added.last_insert_rowid();
    next.pending.push(OpenAttempt { id, opened: at, scopes, attempt: attempt.clone(), reserved });
    *row = Some(next);
    Ok(Ok(()))
}

/// Writes the row of a request; its id.
async fn open(connection: &mut SqliteConnection, opening: &Opening) -> sqlx::Result<i64> {
    let add = "INSERT INTO requests (opened, until, request, server, client, tool, call, hints, content_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let added = sqlx::query(add)
        .bind(opening.opened)
        .bind(opening.until)
        .bind(&opening.request)
        .bind(&opening.server)
        .bind(&opening.client)
        .bind(&opening.tool)
        .bind(&opening.call)
        .bind(&opening.hints)
        .bind(&opening.content_sha256)
        .execute(&mut *connection)
        .await?;
    let id = added.last_insert_rowid();
    if let Some(content) = &opening.content {
        let add = sqlx::query("INSERT INTO contents (request, opened, question) VALUES (?, ?, ?)");
        add.bind(id).bind(opening.opened).bind(content).execute(connection).await?;
    }
    Ok(id)
}

/// The row's own sums are those of its attempts.
async fn sum_up(connection: &mut SqliteConnection, request: i64) -> sqlx::Result<()> {
    let update = "UPDATE requests SET (tokens, cost) = (SELECT CAST(min(total(tokens), 9e18) AS INTEGER), CAST(min(total(cost), 9e18) AS INTEGER)
        FROM attempts WHERE request = ?1) WHERE id = ?1";
    sqlx::query(update).bind(request).execute(connection).await?;
    Ok(())
}

/// Settles what isn't settled. What the provider counted is of all exchanges of a plugin together, and stands in the last one's row.
async fn settle_all(connection: &mut SqliteConnection, row: &mut OpenRow, charge: Charge, at: i64) -> sqlx::Result<()> {
    let last = row.pending.pop();
    let others = if matches!(charge, Charge::Counted(_)) { Charge::Nothing } else { charge };
    for pending in row.pending.drain(..) {
        settle(connection, &pending, others, at).await?;
    }
    match last {
        Some(last) => settle(connection, &last, charge, at).await,
        None => Ok(()),
    }
}

/// Replaces the reservation of an attempt by what it cost.
async fn settle(connection: &mut SqliteConnection, pending: &OpenAttempt, charge: Charge, at: i64) -> sqlx::Result<()> {
    let OpenAttempt { id, opened, scopes, attempt, reserved } = pending;
    let (tokens, cost) = match charge {
        Charge::Nothing | Charge::Withdrawn => (Some(Tokens::default()), NanoDollars(0)),
        Charge::Counted(tokens) => (Some(tokens), attempt.price.map(|price| price.of(&tokens)).unwrap_or_default()),
        Charge::Unknown => (None, reserved.cost),
    };
    let all = tokens.map_or(reserved.tokens, |tokens| signed(tokens.all()));
    let part = |of: fn(&Tokens) -> u64| tokens.as_ref().map(|tokens| signed(of(tokens)));
    let update = "UPDATE attempts SET settled = ?, is_counted = ?, input = ?, output = ?, cache_read = ?, cache_write = ?, reasoning = ?,
        tokens = ?, cost = ? WHERE id = ?";
    sqlx::query(update)
        .bind(at)
        .bind(tokens.is_some())
        .bind(part(|tokens| tokens.input))
        .bind(part(|tokens| tokens.output))
        .bind(part(|tokens| tokens.cache_read))
        .bind(part(|tokens| tokens.cache_write))
        .bind(part(|tokens| tokens.reasoning))
        .bind(all)
        .bind(cost.0)
        .bind(id)
        .execute(&mut *connection)
        .await?;
    // Once somebody was asked, it stays the request that it was.
    let requests = if charge == Charge::Withdrawn { 0 } else { reserved.requests };
    let change = Amount { requests, tokens: all, cost }.since(*reserved);
    budget::count(connection, scopes, *opened, &Taken { of_any: change, of_plugin: change }).await
}

async fn close(
    connection: &mut SqliteConnection,
    opening: &Opening,
    row: Option<OpenRow>,
    closing: &Closing,
) -> sqlx::Result<()> {
    let at = Timestamp::now().as_millisecond();
    let mut transaction = begin(connection).await?;
    let id = match row {
        // Somebody took it for interrupted, or pruned it.
        Some(row) if !is_open(&mut transaction, row.id).await? => return Ok(()),
        Some(mut row) => {
            settle_all(&mut transaction, &mut row, closing.charge, at).await?;
            sum_up(&mut transaction, row.id).await?;
            row.id
        }
        None => {
            let id = open(&mut transaction, opening).await?;
            chain::add(&mut transaction, Kind::Open, id, 0).await?;
            id
        }
    };
    let Closing { outcome, reason, answer, answer_sha256, tries, approval, .. } = closing;
    let update = "UPDATE requests SET closed = ?, outcome = ?, reason = ?, answer_sha256 = ?, tries = ?, approval = ? WHERE id = ?";
    sqlx::query(update)
        .bind(at)
        .bind(outcome.name())
        .bind(reason)
        .bind(answer_sha256)
        .bind(tries)
        .bind(approval)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    if let Some(answer) = answer {
        let add = sqlx::query("UPDATE contents SET answer = ? WHERE request = ?");
        add.bind(answer).bind(id).execute(&mut *transaction).await?;
    }
    chain::add(&mut transaction, Kind::Close, id, 0).await?;
    transaction.commit().await
}

async fn is_open(connection: &mut SqliteConnection, id: i64) -> sqlx::Result<bool> {
    let read = sqlx::query_scalar("SELECT count(*) FROM requests WHERE id = ? AND closed IS NULL");
    read.bind(id).fetch_one(connection).await.map(|found: i64| found > 0)
}

async fn close_interrupted(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let at = Timestamp::now().as_millisecond();
    let read = sqlx::query_scalar("SELECT id FROM requests WHERE closed IS NULL AND until < ?");
    let left: Vec<i64> = read.bind(at - GRACE).fetch_all(&mut *connection).await?;
    for id in left {
        let mut transaction = begin(connection).await?;
        let update = "UPDATE requests SET closed = ?, outcome = ?, reason = ? WHERE id = ? AND closed IS NULL";
        let reason = "the process ended before the request did; what it had reserved counts as spent";
        let update = sqlx::query(update).bind(at).bind(Outcome::Interrupted.name()).bind(reason).bind(id);
        if update.execute(&mut *transaction).await?.rows_affected() > 0 {
            chain::add(&mut transaction, Kind::Close, id, 0).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}
