//! The steps of a request: reserve, close. Each is done when its line is in the journal.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{Timestamp, ZonedDateTime};
use sqlx::sqlite::SqliteConnection;
use tokio::time::{Instant, sleep};

use super::budget::{self, Amount, Scopes, Taken};
use super::chain::{self, Kind, Link};
use super::counters::{Counter, CounterKey};
use super::entry::{Attempt, Before, BudgetRefusal, Charge, Closing, Opening, Outcome};
use super::journal::Hold;
use super::step::{BegunAttempt, Settlement, Step};
use super::store::{BUSY, Ledger, LedgerError, begin};
use crate::config::Budget;
use crate::money::NanoDollars;
use crate::price::Tokens;

/// How long a task waits for others that have the journal, each time. They have it for microseconds.
const RETRY: Duration = Duration::from_millis(1);

/// A request is taken for interrupted so long after its deadline, in milliseconds.
const GRACE: i64 = 60_000;

/// A counter is removed so long after its end, in milliseconds: requests that began before it have been settled.
const OLD: i64 = 7 * 24 * 3600 * 1000;

/// A request that has a row.
#[derive(Debug, Clone)]
pub(super) struct OpenRow {
    /// Its number in the journal.
    key: i64,
    /// The attempts that aren't settled: those of one plugin, in order.
    pending: Vec<OpenAttempt>,
    /// How many attempts were begun.
    attempts: usize,
    /// The plugins that were to be asked.
    plugins: BTreeSet<String>,
}

/// An attempt that isn't settled.
#[derive(Debug, Clone)]
struct OpenAttempt {
    place: usize,
    begun: i64,
    attempt: Attempt,
    reserved: Amount,
}

/// Numbers in the database are signed.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl OpenRow {
    fn new() -> Self {
        Self { key: fastrand::i64(1..), pending: Vec::new(), attempts: 0, plugins: BTreeSet::new() }
    }

    /// What an attempt takes: its worst case, and a request of each budget that hasn't counted this request yet.
    fn taken(&self, attempt: &Attempt) -> Taken {
        let cost = attempt.most_cost();
        let tokens = signed(attempt.most_input.saturating_add(attempt.most_output));
        let of = |is_new: bool| Amount { requests: is_new.into(), tokens, cost: cost.unwrap_or_default() };
        Taken { of_any: of(self.plugins.is_empty()), of_plugin: of(!self.plugins.contains(&attempt.plugin)) }
    }

    /// A step of this request.
    fn step(&self, opening: &Opening, at: i64) -> Step {
        let (server, call) = (opening.server.clone(), opening.call.clone());
        Step { key: self.key, at, server, call, opening: None, settled: Vec::new(), begun: None, closing: None }
    }

    /// Settles what isn't settled. What the provider counted is of all exchanges of a plugin together, and stands in the last one's row.
    fn settle_all(&mut self, charge: Charge) -> Vec<Settlement> {
        let last = self.pending.pop();
        let others = if matches!(charge, Charge::Counted(_)) { Charge::Nothing } else { charge };
        let before = self.pending.drain(..).map(|pending| pending.settle(others));
        before.chain(last.map(|last| last.settle(charge))).collect()
    }

    fn settle(&mut self, before: Before) -> Vec<Settlement> {
        match before {
            Before::Answered => Vec::new(),
            Before::Over(charge) => self.settle_all(charge),
            Before::Lost => self.pending.pop().map(|lost| lost.settle(Charge::Unknown)).into_iter().collect(),
        }
    }
}

impl OpenAttempt {
    /// What it took in the place of what was reserved.
    fn settle(&self, charge: Charge) -> Settlement {
        let Self { place, begun, attempt, reserved } = self;
        let (counted, cost) = match charge {
            Charge::Nothing | Charge::Withdrawn => (Some(Tokens::default()), NanoDollars(0)),
            Charge::Counted(tokens) => (Some(tokens), attempt.price.map(|price| price.of(&tokens)).unwrap_or_default()),
            Charge::Unknown => (None, reserved.cost),
        };
        let tokens = counted.map_or(reserved.tokens, |tokens| signed(tokens.all()));
        // Once somebody was asked, it stays the request that it was.
        let requests = if charge == Charge::Withdrawn { 0 } else { reserved.requests };
        let spent = Amount { requests, tokens, cost };
        let change = spent.since(*reserved);
        Settlement { place: *place, begun: *begun, plugin: attempt.plugin.clone(), counted, spent, change }
    }
}

/// What became of a try to reserve.
enum Tried {
    Done(Result<(), BudgetRefusal>),
    /// Somebody else has the journal.
    Locked,
    /// Counters of these budgets must be loaded first.
    Missing,
}

impl Ledger {
    /// Reserves the worst case of an attempt against all budgets that it falls under, and writes it down. The first attempt of a request opens its
    /// row, which is then in `row`. After an error or a refusal `row` says what was settled, and no more.
    pub(super) async fn reserve(
        &self,
        opening: &Opening,
        row: &mut Option<OpenRow>,
        before: Before,
        attempt: &Attempt,
        budgets: &[Budget],
    ) -> Result<Result<(), BudgetRefusal>, LedgerError> {
        self.make_up().await?;
        let scopes =
            Scopes { server: opening.server.clone(), plugin: attempt.plugin.clone(), call: opening.call.clone() };
        let budgets = budgets.iter().filter(|budget| budget::applies(budget, &scopes));
        let budgets: Vec<_> = budgets.map(|budget| (budget, CounterKey::of(budget, &scopes))).collect();
        let mut before = Some(before);
        let until = Instant::now() + BUSY;
        loop {
            let tried = self.try_reserve(opening, row, &mut before, attempt, &budgets);
            match tried.map_err(|e| self.journal_failed(&e))? {
                Tried::Done(result) => return Ok(result),
                Tried::Locked => self.wait(until).await?,
                Tried::Missing => self.load(&budgets, &scopes).await?,
            }
        }
    }

    /// Writes how a request ended. One without a row gets it now.
    pub(super) async fn close(
        &self,
        opening: &Opening,
        row: &mut Option<OpenRow>,
        closing: &Closing,
    ) -> Result<(), LedgerError> {
        let until = Instant::now() + BUSY;
        while !self.try_close(opening, row, closing).map_err(|e| self.journal_failed(&e))? {
            self.wait(until).await?;
        }
        Ok(())
    }

    /// Keeps everybody from appending to the journal.
    pub(super) async fn hold(&self) -> Result<Hold<'_>, LedgerError> {
        let until = Instant::now() + BUSY;
        loop {
            if let Some(hold) = self.journal.hold().map_err(|e| self.journal_failed(&e))? {
                return Ok(hold);
            }
            self.wait(until).await?;
        }
    }

    /// Waits a moment for others that have the journal.
    async fn wait(&self, until: Instant) -> Result<(), LedgerError> {
        if Instant::now() >= until {
            return Err(self.journal_failed(&io::ErrorKind::WouldBlock.into()));
        }
        sleep(RETRY).await;
        Ok(())
    }

    /// Steps that could not be written into the database are written now, or there are no more.
    async fn make_up(&self) -> Result<(), LedgerError> {
        if self.is_behind.load(Ordering::Relaxed) { self.apply_all().await } else { Ok(()) }
    }

    /// All of it without a pause, so that it is done or not.
    fn try_reserve(
        &self,
        opening: &Opening,
        row: &mut Option<OpenRow>,
        before: &mut Option<Before>,
        attempt: &Attempt,
        budgets: &[(&Budget, CounterKey)],
    ) -> io::Result<Tried> {
        let Some(mut journal) = self.journal.try_lock()? else { return Ok(Tried::Locked) };
        // Waiting for other processes may have taken seconds.
        let at = Timestamp::now().as_millisecond();
        if let (Some(row), Some(before)) = (row.as_mut(), before.take()) {
            let mut next = row.clone();
            let step = Step { settled: next.settle(before), ..row.step(opening, at) };
            if !step.settled.is_empty() {
                journal.append(&step)?;
            }
            *row = next;
        }
        let mut next = row.clone().unwrap_or_else(OpenRow::new);
        let taken = next.taken(attempt);
        for (budget, key) in budgets {
            let Some(counter) = journal.counters().get(key, at) else { return Ok(Tried::Missing) };
            if let Err(refusal) = budget::check(budget, counter, &taken) {
                return Ok(Tried::Done(Err(refusal)));
            }
        }
        let Attempt { plugin, plugin_sha256, model, price, .. } = attempt.clone();
        let begun = BegunAttempt { plugin, plugin_sha256, model, is_priced: price.is_some(), taken };
        let opens = row.is_none().then(|| opening.clone());
        journal.append(&Step { opening: opens, begun: Some(begun), ..next.step(opening, at) })?;
        let pending = OpenAttempt { place: next.attempts, begun: at, attempt: attempt.clone(), reserved: taken.of_any };
        next.pending.push(pending);
        next.attempts += 1;
        next.plugins.insert(attempt.plugin.clone());
        *row = Some(next);
        Ok(Tried::Done(Ok(())))
    }

    /// Whether it is done; else somebody else has the journal.
    fn try_close(&self, opening: &Opening, row: &mut Option<OpenRow>, closing: &Closing) -> io::Result<bool> {
        let Some(mut journal) = self.journal.try_lock()? else { return Ok(false) };
        let at = Timestamp::now().as_millisecond();
        let opens = row.is_none().then(|| opening.clone());
        let mut open = row.clone().unwrap_or_else(OpenRow::new);
        let settled = open.settle_all(closing.charge);
        journal.append(&Step { opening: opens, settled, closing: Some(closing.clone()), ..open.step(opening, at) })?;
        *row = None;
        Ok(true)
    }

    /// Loads the counters of budgets.
    pub(super) async fn load(&self, budgets: &[(&Budget, CounterKey)], scopes: &Scopes) -> Result<(), LedgerError> {
        let mut connection = self.lock().await;
        let mut transaction = begin(&mut connection).await.map_err(|e| self.failed(&e))?;
        let at = self.apply_in(&mut transaction).await?;
        let now = ZonedDateTime::now();
        let read = async {
            let mut counters = Vec::new();
            for (budget, key) in budgets {
                let (begins, ends) = budget::window(budget.per, &now)
                    .map_err(|_| sqlx::Error::Protocol(format!("the time {now} is outside of what can be counted")))?;
                let amount = budget::spent(&mut transaction, budget, scopes, (begins, ends)).await?;
                counters.push((key.clone(), Counter { begins, ends, amount }));
            }
            transaction.commit().await?;
            Ok(counters)
        };
        let counters = read.await.map_err(|e: sqlx::Error| self.failed(&e))?;
        self.journal.load(at, |all, offset| {
            for (key, counter) in counters {
                all.load(key, counter, offset);
            }
        });
        Ok(())
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
            chain::add(&mut transaction, &[Link { kind: Kind::Close, request: id, place: 0 }]).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}
