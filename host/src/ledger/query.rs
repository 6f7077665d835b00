//! Reading rows and sums; pruning.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::chain::{self, Kind, Link};
use super::store::{Ledger, LedgerError, begin};
use crate::money::NanoDollars;

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those of this server.
    pub server: Option<String>,
    /// Those opened at this time or later, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Those opened before this time.
    pub before: Option<i64>,
    /// Those that ended so.
    pub outcome: Option<String>,
    /// The newest so many.
    pub newest: Option<u32>,
}

/// What sums are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Each server.
    Server,
    /// Each model.
    Model,
    /// Each plugin.
    Plugin,
    /// Each day of the machine's time zone.
    Day,
}

/// A request.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRow {
    /// Its number.
    pub id: i64,
    /// When it came, RFC 3339, UTC.
    pub opened: String,
    /// When it ended; `None` while it is answered.
    pub closed: Option<String>,
    /// The server.
    pub server: String,
    /// The client, by the name that it gives itself.
    pub client: Option<String>,
    /// The tool in the course of whose call it came.
    pub tool: Option<String>,
    /// The call's own name.
    pub call: Option<String>,
    /// Its id in the log.
    pub request: String,
    /// The models that the server wished for.
    pub hints: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// Why, if not with an answer.
    pub reason: Option<String>,
    /// How often a provider was asked.
    pub tries: Option<i64>,
    /// Who allowed it, or why nobody had to, where the config wants the user to be asked.
    pub approval: Option<String>,
    /// Input and output tokens; while it is open, the worst case.
    pub tokens: i64,
    /// US dollars; while it is open, the worst case.
    pub cost: String,
    /// The same in billionths.
    pub cost_nano_dollars: i64,
    /// The digest of its parameters.
    pub content_sha256: String,
    /// The digest of its answer.
    pub answer_sha256: Option<String>,
    /// The providers that were asked.
    pub attempts: Vec<AttemptRow>,
}

/// A provider that was asked.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptRow {
    /// The plugin, by its name in the config.
    pub plugin: String,
    /// The digest of its component.
    pub plugin_sha256: String,
    /// The model.
    pub model: String,
    /// Whether its price is known.
    pub is_priced: bool,
    /// Whether the provider counted; else the worst case counts. `None` while it is answered.
    pub is_counted: Option<bool>,
    /// Tokens read.
    pub input: Option<i64>,
    /// Tokens written.
    pub output: Option<i64>,
    /// Tokens read from a cache.
    pub cache_read: Option<i64>,
    /// Tokens written into a cache.
    pub cache_write: Option<i64>,
    /// Tokens of reasoning.
    pub reasoning: Option<i64>,
    /// US dollars, in billionths.
    pub cost_nano_dollars: i64,
}

/// What a server, model, plugin or day has spent.
#[derive(Debug, Clone, Serialize)]
pub struct Sum {
    /// Which.
    pub name: String,
    /// The requests for which a provider was to be asked.
    pub requests: i64,
    /// Input and output tokens.
    pub tokens: i64,
    /// US dollars.
    pub cost: String,
    /// The same in billionths.
    pub cost_nano_dollars: i64,
    /// Attempts without a known price: their cost is missing.
    pub unpriced: i64,
}

/// The content of a request, where it was kept.
#[derive(Debug, Clone, Serialize)]
pub struct Content {
    /// `CreateMessageRequestParams`, JSON.
    pub question: String,
    /// `CreateMessageResult`, JSON.
    pub answer: Option<String>,
}

impl Ledger {
    /// The rows that the filter lets through, the oldest first.
    ///
    /// # Errors
    /// If the ledger can't be read.
    pub async fn rows(&self, filter: &Filter) -> Result<Vec<RequestRow>, LedgerError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM requests");
        conditions(&mut query, filter, "requests");
        query.push(" ORDER BY id DESC");
        if let Some(newest) = filter.newest {
            query.push(" LIMIT ").push_bind(newest);
        }
        let mut connection = self.up_to_date().await?;
        let read = async {
            let mut rows = Vec::new();
            for row in query.build().fetch_all(&mut *connection).await? {
                rows.push(request(&row)?);
            }
            rows.reverse();
            for row in &mut rows {
                row.attempts = attempts(&mut connection, row.id).await?;
            }
            Ok(rows)
        };
        read.await.map_err(|e: sqlx::Error| self.failed(&e))
    }

    /// One row, and its content where it was kept.
    ///
    /// # Errors
    /// If the ledger can't be read.
    pub async fn row(&self, id: i64) -> Result<Option<(RequestRow, Option<Content>)>, LedgerError> {
        let mut connection = self.up_to_date().await?;
        let read = async {
            let found = sqlx::query("SELECT * FROM requests WHERE id = ?").bind(id);
            let Some(found) = found.fetch_optional(&mut *connection).await? else { return Ok(None) };
            let mut row = request(&found)?;
            row.attempts = attempts(&mut connection, id).await?;
            let content = sqlx::query_as("SELECT question, answer FROM contents WHERE request = ?").bind(id);
            let content: Option<(String, Option<String>)> = content.fetch_optional(&mut *connection).await?;
            Ok(Some((row, content.map(|(question, answer)| Content { question, answer }))))
        };
        read.await.map_err(|e: sqlx::Error| self.failed(&e))
    }

    /// What was spent, the most first; by days, the oldest first.
    ///
    /// # Errors
    /// If the ledger can't be read.
    pub async fn spend(&self, filter: &Filter, group: Group) -> Result<Vec<Sum>, LedgerError> {
        let name = match group {
            Group::Server => "r.server",
            Group::Model => "a.model",
            Group::Plugin => "a.plugin",
            Group::Day => "date(a.opened / 1000, 'unixepoch', 'localtime')",
        };
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(name).push(
            " AS name, count(DISTINCT CASE WHEN r.closed IS NULL OR r.tries > 0 OR a.tokens > 0 OR r.outcome = 'answered' THEN a.request END) AS requests, CAST(min(total(a.tokens), 9e18) AS INTEGER) AS tokens,
              CAST(min(total(a.cost), 9e18) AS INTEGER) AS cost, CAST(total(1 - a.is_priced) AS INTEGER) AS unpriced
              FROM attempts a JOIN requests r ON r.id = a.request",
        );
        conditions(&mut query, filter, "r");
        query.push(" GROUP BY 1 ORDER BY ").push(if group == Group::Day { "1" } else { "cost DESC, tokens DESC, 1" });
        let mut connection = self.up_to_date().await?;
        let rows = query.build().fetch_all(&mut *connection).await.map_err(|e| self.failed(&e))?;
        let sum = |row: &SqliteRow| {
            let cost = NanoDollars(row.try_get("cost")?);
            Ok(Sum {
                name: row.try_get("name")?,
                requests: row.try_get("requests")?,
                tokens: row.try_get("tokens")?,
                cost: cost.to_string(),
                cost_nano_dollars: cost.0,
                unpriced: row.try_get("unpriced")?,
            })
        };
        rows.iter().map(sum).collect::<sqlx::Result<_>>().map_err(|e| self.failed(&e))
    }

    /// Removes the rows of requests that came before a time, the oldest first, up to one that is still being answered; how many. The chain keeps
    /// their links.
    ///
    /// # Errors
    /// If the ledger can't be written.
    pub async fn prune(&self, before: i64) -> Result<u64, LedgerError> {
        let mut connection = self.alone().await?;
        let step = async {
            let mut transaction = begin(&mut connection).await?;
            let kept = "SELECT min(id) FROM requests WHERE opened >= ? OR closed IS NULL";
            let kept: Option<i64> = sqlx::query_scalar(kept).bind(before).fetch_one(&mut *transaction).await?;
            let last: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM requests WHERE ? IS NULL OR id < ?")
                .bind(kept)
                .bind(kept)
                .fetch_one(&mut *transaction)
                .await?;
            let Some(last) = last else { return Ok(0) };
            let removed =
                sqlx::query("DELETE FROM requests WHERE id <= ?").bind(last).execute(&mut *transaction).await?;
            let old = sqlx::query("DELETE FROM counters WHERE ends < ?").bind(before);
            old.execute(&mut *transaction).await?;
            chain::add(&mut transaction, &[Link { kind: Kind::Prune, request: last, place: 0 }]).await?;
            transaction.commit().await?;
            Ok(removed.rows_affected())
        };
        step.await.map_err(|e: sqlx::Error| self.failed(&e))
    }

    /// Removes the contents of requests that came before a time. Their rows and digests stay.
    ///
    /// # Errors
    /// If the ledger can't be written.
    pub async fn forget_contents(&self, before: i64) -> Result<u64, LedgerError> {
        let mut connection = self.alone().await?;
        let removed = sqlx::query("DELETE FROM contents WHERE opened < ?").bind(before).execute(&mut *connection).await;
        removed.map(|removed| removed.rows_affected()).map_err(|e| self.failed(&e))
    }
}

fn conditions(query: &mut QueryBuilder<Sqlite>, filter: &Filter, table: &str) {
    let Filter { server, since, before, outcome, newest: _ } = filter;
    let mut word = " WHERE ";
    let mut next = || std::mem::replace(&mut word, " AND ");
    if let Some(server) = server {
        query.push(next()).push(table).push(".server = ").push_bind(server.clone());
    }
    if let Some(since) = since {
        query.push(next()).push(table).push(".opened >= ").push_bind(*since);
    }
    if let Some(before) = before {
        query.push(next()).push(table).push(".opened < ").push_bind(*before);
    }
    if let Some(outcome) = outcome {
        query.push(next()).push(table).push(".outcome = ").push_bind(outcome.clone());
    }
}

pub(super) fn time(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| milliseconds.to_string(), |time| time.to_string())
}

fn request(row: &SqliteRow) -> sqlx::Result<RequestRow> {
    let cost = NanoDollars(row.try_get("cost")?);
    Ok(RequestRow {
        id: row.try_get("id")?,
        opened: time(row.try_get("opened")?),
        closed: row.try_get::<Option<i64>, _>("closed")?.map(time),
        server: row.try_get("server")?,
        client: row.try_get("client")?,
        tool: row.try_get("tool")?,
        call: row.try_get("call")?,
        request: row.try_get("request")?,
        hints: row.try_get("hints")?,
        outcome: row.try_get("outcome")?,
        reason: row.try_get("reason")?,
        tries: row.try_get("tries")?,
        approval: row.try_get("approval")?,
        tokens: row.try_get("tokens")?,
        cost: cost.to_string(),
        cost_nano_dollars: cost.0,
        content_sha256: row.try_get("content_sha256")?,
        answer_sha256: row.try_get("answer_sha256")?,
        attempts: Vec::new(),
    })
}

/// The attempts of a request, in order.
async fn attempts(connection: &mut SqliteConnection, request: i64) -> sqlx::Result<Vec<AttemptRow>> {
    let rows = sqlx::query("SELECT * FROM attempts WHERE request = ? ORDER BY id").bind(request);
    rows.fetch_all(connection).await?.iter().map(attempt).collect()
}

fn attempt(row: &SqliteRow) -> sqlx::Result<AttemptRow> {
    Ok(AttemptRow {
        plugin: row.try_get("plugin")?,
        plugin_sha256: row.try_get("plugin_sha256")?,
        model: row.try_get("model")?,
        is_priced: row.try_get("is_priced")?,
        is_counted: row.try_get("is_counted")?,
        input: row.try_get("input")?,
        output: row.try_get("output")?,
        cache_read: row.try_get("cache_read")?,
        cache_write: row.try_get("cache_write")?,
        reasoning: row.try_get("reasoning")?,
        cost_nano_dollars: row.try_get("cost")?,
    })
}
