//! Writing the journal's steps into the database, many at a time.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite};
use tokio::sync::MutexGuard;

use super::budget::{Amount, scope};
use super::chain::{self, Kind, Link};
use super::entry::{Closing, Opening};
use super::journal::{EMPTY, Position};
use super::reserve::signed;
use super::step::{BegunAttempt, CountChange, Settlement, Step};
use super::store::{Ledger, LedgerError, begin};
use crate::price::Tokens;

/// A journal of more bytes is begun anew once the database has all of it.
const LARGE: u64 = 4 << 20;

/// It is left for later while there is more than this to write first: nobody could append so long.
const LITTLE: u64 = 64 << 10;

/// A journal of more bytes doesn't wait for that.
const HUGE: u64 = 256 << 20;

/// The largest sum of a row.
const MOST: i64 = 9_000_000_000_000_000_000;

impl Ledger {
    /// The database, with all steps that were written when this was called.
    pub(super) async fn up_to_date(&self) -> Result<MutexGuard<'_, SqliteConnection>, LedgerError> {
        self.applied(LARGE).await
    }

    /// The same; and the journal has no step any more, so that what is removed from the database is gone.
    pub(super) async fn alone(&self) -> Result<MutexGuard<'_, SqliteConnection>, LedgerError> {
        self.applied(EMPTY).await
    }

    /// Writes all steps of the journal into the database.
    pub(super) async fn apply_all(&self) -> Result<(), LedgerError> {
        self.up_to_date().await.map(drop)
    }

    async fn applied(&self, most: u64) -> Result<MutexGuard<'_, SqliteConnection>, LedgerError> {
        let mut connection = self.lock().await;
        let applied = self.apply_to(&mut connection, most).await;
        self.is_behind.store(applied.is_err(), Ordering::Relaxed);
        applied.map(|()| connection)
    }

    /// Writes the steps that the database doesn't have, and begins a journal of more than so many bytes anew.
    async fn apply_to(&self, connection: &mut SqliteConnection, most: u64) -> Result<(), LedgerError> {
        let known = position(connection).await.map_err(|e| self.failed(&e))?;
        let end = self.journal.end().map_err(|e| self.journal_failed(&e))?;
        if end.is_none_or(|end| end == known) && known.offset <= most {
            return Ok(());
        }
        let mut transaction = begin(connection).await.map_err(|e| self.failed(&e))?;
        let at = self.apply_in(&mut transaction).await?.offset;
        let rest = self.journal.len().map_err(|e| self.journal_failed(&e))?.saturating_sub(at);
        // Nobody can append meanwhile.
        let is_anew = at > most && (most == EMPTY || rest <= LITTLE || at > HUGE);
        let hold = if is_anew { Some(self.hold().await?) } else { None };
        if hold.is_some() {
            self.apply_in(&mut transaction).await?;
        }
        transaction.commit().await.map_err(|e| self.failed(&e))?;
        hold.map_or(Ok(()), |hold| hold.begin_anew()).map_err(|e| self.journal_failed(&e))
    }

    /// Writes the steps that this transaction's database doesn't have; up to where it has them now. What comes meanwhile is left: where there is more
    /// to do than time, a transaction must still end.
    pub(super) async fn apply_in(&self, transaction: &mut SqliteConnection) -> Result<Position, LedgerError> {
        let mut known = position(transaction).await.map_err(|e| self.failed(&e))?;
        let until = self.journal.len().map_err(|e| self.journal_failed(&e))?;
        loop {
            let chunk = self.journal.read(known).map_err(|e| self.journal_failed(&e))?;
            if chunk.end == known {
                return Ok(known);
            }
            let applied = async {
                apply(transaction, chunk.steps).await?;
                let update = sqlx::query("UPDATE journal SET generation = ?, offset = ?");
                let update = update.bind(chunk.end.generation.cast_signed()).bind(chunk.end.offset.cast_signed());
                update.execute(&mut *transaction).await
            };
            applied.await.map_err(|e| self.failed(&e))?;
            known = chunk.end;
            if known.offset >= until {
                return Ok(known);
            }
        }
    }
}

/// Up to where the database has the journal's steps.
pub(super) async fn position(connection: &mut SqliteConnection) -> sqlx::Result<Position> {
    let read = sqlx::query_as("SELECT generation, offset FROM journal").fetch_one(connection).await;
    read.map(|(generation, offset): (i64, i64)| Position {
        generation: generation.cast_unsigned(),
        offset: offset.cast_unsigned(),
    })
}

/// A request of which the steps tell.
#[derive(Debug)]
struct PendingRequest {
    id: i64,
    /// Its number in the journal, and what opened its row; `None`: the database has the row.
    opening: Option<(i64, Opening)>,
    attempts: Vec<PendingAttempt>,
    /// What closed it, and when.
    closing: Option<(i64, Closing)>,
    is_changed: bool,
}

#[derive(Debug)]
struct PendingAttempt {
    id: i64,
    /// What began it, and when; `None`: the database has its row.
    begun: Option<(i64, BegunAttempt)>,
    /// What was counted for it, and when it was settled.
    settled: Option<(i64, Option<Tokens>)>,
    tokens: i64,
    cost: i64,
}

impl PendingRequest {
    /// The sums of its attempts. They stop at a number to which others can be added.
    fn sums(&self) -> (i64, i64) {
        let sum = |of: fn(&PendingAttempt) -> i64| self.attempts.iter().map(of).fold(0, i64::saturating_add).min(MOST);
        (sum(|attempt| attempt.tokens), sum(|attempt| attempt.cost))
    }
}

/// The rows that steps change, in memory until all are known: most requests are opened and closed by the same steps, and written once.
struct Batch {
    requests: Vec<PendingRequest>,
    /// The places of those that are open, by their numbers in the journal.
    open: HashMap<i64, usize>,
    last_request: i64,
    last_attempt: i64,
    links: Vec<Link>,
}

impl Batch {
    /// With the rows that are open.
    async fn begin(connection: &mut SqliteConnection) -> sqlx::Result<Self> {
        // Nobody else writes while this transaction lasts.
        let last_request = last_id(connection, "requests").await?;
        let last_attempt = last_id(connection, "attempts").await?;
        let rows = sqlx::query_as("SELECT id, key FROM requests WHERE closed IS NULL ORDER BY id");
        let rows: Vec<(i64, i64)> = rows.fetch_all(&mut *connection).await?;
        let open = rows.iter().enumerate().map(|(place, (_, key))| (*key, place)).collect();
        let pending =
            |(id, _)| PendingRequest { id, opening: None, attempts: Vec::new(), closing: None, is_changed: false };
        let mut requests: Vec<_> = rows.into_iter().map(pending).collect();
        for request in &mut requests {
            let read = sqlx::query_as("SELECT id, tokens, cost FROM attempts WHERE request = ? ORDER BY id");
            let attempts: Vec<(i64, i64, i64)> = read.bind(request.id).fetch_all(&mut *connection).await?;
            let pending = |(id, tokens, cost)| PendingAttempt { id, begun: None, settled: None, tokens, cost };
            request.attempts = attempts.into_iter().map(pending).collect();
        }
        Ok(Self { requests, open, last_request, last_attempt, links: Vec::new() })
    }

    fn take(&mut self, step: Step) {
        let Step { key, at, server: _, call: _, opening, settled, begun, closing } = step;
        let opens = opening.is_some();
        if let Some(opening) = opening {
            self.last_request += 1;
            let (id, opening) = (self.last_request, Some((key, opening)));
            self.open.insert(key, self.requests.len());
            self.requests.push(PendingRequest { id, opening, attempts: Vec::new(), closing: None, is_changed: true });
        }
        // Without one, somebody took it for interrupted.
        let Some(request) = self.open.get(&key).and_then(|place| self.requests.get_mut(*place)) else { return };
        request.is_changed = true;
        let mut link = |kind, place| self.links.push(Link { kind, request: request.id, place });
        if opens {
            link(Kind::Open, 0);
        }
        for Settlement { place, counted, spent, .. } in settled {
            if let Some(attempt) = request.attempts.get_mut(place) {
                (attempt.settled, attempt.tokens, attempt.cost) = (Some((at, counted)), spent.tokens, spent.cost.0);
            }
        }
        if let Some(attempt) = begun {
            if !opens {
                link(Kind::Attempt, request.attempts.len());
            }
            self.last_attempt += 1;
            let Amount { tokens, cost, .. } = attempt.taken.of_any;
            let (id, begun) = (self.last_attempt, Some((at, attempt)));
            request.attempts.push(PendingAttempt { id, begun, settled: None, tokens, cost: cost.0 });
        }
        if let Some(closing) = closing {
            link(Kind::Close, 0);
            request.closing = Some((at, closing));
            self.open.remove(&key);
        }
    }

    async fn write(self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let changed: Vec<_> = self.requests.iter().filter(|request| request.is_changed).collect();
        let opened = changed.iter().filter_map(|request| Some((*request, request.opening.as_ref()?)));
        let opened: Vec<_> = opened.collect();
        insert(connection, REQUESTS, &opened, |row, (request, (key, opening))| {
            let (tokens, cost) = request.sums();
            row.push_bind(request.id).push_bind(*key).push_bind(opening.opened).push_bind(opening.until);
            row.push_bind(&opening.request).push_bind(&opening.server).push_bind(&opening.client);
            row.push_bind(&opening.tool).push_bind(&opening.call).push_bind(&opening.hints);
            row.push_bind(&opening.content_sha256).push_bind(tokens).push_bind(cost);
            let closing = request.closing.as_ref();
            let end = closing.map(|(_, closing)| closing);
            row.push_bind(closing.map(|(at, _)| *at)).push_bind(end.map(|end| end.outcome.name()));
            row.push_bind(end.and_then(|end| end.reason.as_ref()));
            row.push_bind(end.and_then(|end| end.answer_sha256.as_ref()));
            row.push_bind(end.map(|end| end.tries)).push_bind(end.and_then(|end| end.approval.as_ref()));
        })
        .await?;
        let contents: Vec<_> = opened.iter().filter(|(_, (_, opening))| opening.content.is_some()).collect();
        insert(connection, CONTENTS, &contents, |row, (request, (_, opening))| {
            let answer = request.closing.as_ref().and_then(|(_, closing)| closing.answer.as_ref());
            row.push_bind(request.id).push_bind(opening.opened).push_bind(&opening.content).push_bind(answer);
        })
        .await?;
        let attempts = changed.iter().flat_map(|request| request.attempts.iter().map(|attempt| (request.id, attempt)));
        let begun: Vec<_> = attempts.filter_map(|(id, attempt)| Some((id, attempt, attempt.begun.as_ref()?))).collect();
        insert(connection, ATTEMPTS, &begun, |row, (request, attempt, (at, begun))| {
            let reserved = begun.taken.of_any;
            row.push_bind(attempt.id).push_bind(*request).push_bind(*at).push_bind(&begun.plugin);
            row.push_bind(&begun.plugin_sha256).push_bind(&begun.model).push_bind(begun.is_priced);
            row.push_bind(reserved.tokens).push_bind(reserved.cost.0).push_bind(attempt.tokens).push_bind(attempt.cost);
            row.push_bind(attempt.settled.map(|(at, _)| at))
                .push_bind(attempt.settled.map(|(_, counted)| counted.is_some()));
            for part in parts(attempt.settled.and_then(|(_, counted)| counted).as_ref()) {
                row.push_bind(part);
            }
        })
        .await?;
        for request in changed.iter().filter(|request| request.opening.is_none()) {
            update(connection, request).await?;
        }
        chain::add(connection, &self.links).await
    }
}

/// Changes the rows of a request that the database has.
async fn update(connection: &mut SqliteConnection, request: &PendingRequest) -> sqlx::Result<()> {
    let PendingRequest { id, closing, .. } = request;
    for PendingAttempt { id, begun, settled, tokens, cost } in &request.attempts {
        let Some((at, counted)) = settled.filter(|_| begun.is_none()) else { continue };
        let update = "UPDATE attempts SET settled = ?, is_counted = ?, tokens = ?, cost = ?, input = ?, output = ?, cache_read = ?,
            cache_write = ?, reasoning = ? WHERE id = ?";
        let mut update = sqlx::query(update).bind(at).bind(counted.is_some()).bind(tokens).bind(cost);
        for part in parts(counted.as_ref()) {
            update = update.bind(part);
        }
        update.bind(id).execute(&mut *connection).await?;
    }
    let (tokens, cost) = request.sums();
    let update = sqlx::query("UPDATE requests SET tokens = ?, cost = ? WHERE id = ?");
    update.bind(tokens).bind(cost).bind(id).execute(&mut *connection).await?;
    let Some((at, Closing { outcome, reason, answer, answer_sha256, tries, approval, .. })) = closing else {
        return Ok(());
    };
    let update = "UPDATE requests SET closed = ?, outcome = ?, reason = ?, answer_sha256 = ?, tries = ?, approval = ? WHERE id = ?";
    let update = sqlx::query(update).bind(at).bind(outcome.name()).bind(reason).bind(answer_sha256);
    update.bind(tries).bind(approval).bind(id).execute(&mut *connection).await?;
    if let Some(answer) = answer {
        let update = sqlx::query("UPDATE contents SET answer = ? WHERE request = ?");
        update.bind(answer).bind(id).execute(connection).await?;
    }
    Ok(())
}

const REQUESTS: &str =
    "INSERT INTO requests (id, key, opened, until, request, server, client, tool, call, hints, content_sha256,
    tokens, cost, closed, outcome, reason, answer_sha256, tries, approval)";
const CONTENTS: &str = "INSERT INTO contents (request, opened, question, answer)";
const ATTEMPTS: &str =
    "INSERT INTO attempts (id, request, opened, plugin, plugin_sha256, model, is_priced, reserved_tokens,
    reserved_cost, tokens, cost, settled, is_counted, input, output, cache_read, cache_write, reasoning)";

/// Inserts rows. Statements of few lengths, so that each is prepared once.
pub(super) async fn insert<'a, T>(
    connection: &mut SqliteConnection,
    into: &'static str,
    mut rows: &'a [T],
    bind: impl Fn(&mut Separated<'_, Sqlite, &'static str>, &'a T),
) -> sqlx::Result<()> {
    while !rows.is_empty() {
        let size = [64, 8, 1].into_iter().find(|size| *size <= rows.len()).unwrap_or(1);
        let (some, rest) = rows.split_at(size);
        let mut query = QueryBuilder::<Sqlite>::new(into);
        query.push_values(some, |mut row, of| bind(&mut row, of));
        query.build().execute(&mut *connection).await?;
        rows = rest;
    }
    Ok(())
}

async fn apply(transaction: &mut SqliteConnection, steps: Vec<Step>) -> sqlx::Result<()> {
    count(transaction, &steps).await?;
    let mut batch = Batch::begin(transaction).await?;
    for step in steps {
        batch.take(step);
    }
    batch.write(transaction).await
}

/// What was counted, as the database has it.
fn parts(counted: Option<&Tokens>) -> [Option<i64>; 5] {
    let part = |of: fn(&Tokens) -> u64| counted.map(|tokens| signed(of(tokens)));
    [
        part(|tokens| tokens.input),
        part(|tokens| tokens.output),
        part(|tokens| tokens.cache_read),
        part(|tokens| tokens.cache_write),
        part(|tokens| tokens.reasoning),
    ]
}

/// The id that a table's next row is above.
async fn last_id(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<i64> {
    let read = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = ?").bind(table);
    read.fetch_optional(connection).await.map(Option::unwrap_or_default)
}

/// Adds what steps have taken to all counters that the database has.
async fn count(connection: &mut SqliteConnection, steps: &[Step]) -> sqlx::Result<()> {
    let counters = sqlx::query_as("SELECT scope, begins, ends FROM counters");
    let counters: Vec<(String, i64, i64)> = counters.fetch_all(&mut *connection).await?;
    if counters.is_empty() {
        return Ok(());
    }
    let mut scopes = HashMap::<&str, Vec<(i64, i64, Amount)>>::new();
    for (scope, begins, ends) in &counters {
        scopes.entry(scope).or_default().push((*begins, *ends, Amount::default()));
    }
    let mut names = HashMap::new();
    for step in steps {
        for CountChange { at, plugin, taken } in step.counts() {
            let names = names.entry((step.server.as_str(), plugin)).or_insert_with_key(|(server, plugin)| {
                let (server, plugin) = (Some(*server), Some(*plugin));
                [scope(None, None), scope(server, None), scope(None, plugin), scope(server, plugin)]
            });
            let amounts = [taken.of_any, taken.of_any, taken.of_plugin, taken.of_plugin];
            for (name, more) in names.iter().zip(amounts) {
                for (begins, ends, amount) in scopes.get_mut(name.as_str()).into_iter().flatten() {
                    if *begins <= at && at < *ends {
                        *amount = amount.plus(more);
                    }
                }
            }
        }
    }
    // Sums stop well before they would overflow.
    let update = "UPDATE counters SET requests = requests + ?, tokens = min(tokens + ?, 4000000000000000000),
        cost = min(cost + ?, 4000000000000000000) WHERE scope = ? AND begins = ? AND ends = ?";
    let most = 4_000_000_000_000_000_000;
    for (scope, periods) in scopes {
        for (begins, ends, more) in periods.into_iter().filter(|(_, _, more)| *more != Amount::default()) {
            let query = sqlx::query(update).bind(more.requests).bind(more.tokens.min(most)).bind(more.cost.0.min(most));
            query.bind(scope).bind(begins).bind(ends).execute(&mut *connection).await?;
        }
    }
    Ok(())
}
