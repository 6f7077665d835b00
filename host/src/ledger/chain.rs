//! The chain of hashes that makes a changed or missing row evident.
//!
//! Each step of a request (`open`, `attempt`, `close`) and each pruning adds a link: SHA-256 over the link before, and over the columns that the
//! step wrote, as a JSON array. A row that is changed or removed no longer fits its link, unless all later links are computed anew. Then the head
//! (the last hash, which `understudy ledger verify` prints) differs from one that was noted before.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::store::{Ledger, LedgerError};

/// A step that is chained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A row of `requests`, and its first attempt if it has one.
    Open,
    /// A further attempt.
    Attempt,
    /// The end of a request, with the ends of its attempts.
    Close,
    /// The rows of all requests up to this one were removed.
    Prune,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Open, Self::Attempt, Self::Close, Self::Prune];

    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Attempt => "attempt",
            Self::Close => "close",
            Self::Prune => "prune",
        }
    }
}

/// What is wrong with a ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A row isn't as it was written, or a link isn't.
    #[error("link {seq} (`{kind}` of the request {request}) doesn't fit: the row was changed, or the link was")]
    Changed {
        /// The link.
        seq: i64,
        /// Its step.
        kind: String,
        /// Its request.
        request: i64,
    },
    /// A link is missing.
    #[error("link {seq} is missing")]
    MissingLink {
        /// Its number.
        seq: i64,
    },
    /// A request's row is missing.
    #[error("the request {request} is missing, and was not pruned")]
    MissingRow {
        /// Its id.
        request: i64,
    },
    /// A row that was never chained.
    #[error("the request {request} has no link: it was not written by Understudy")]
    Unchained {
        /// Its id.
        request: i64,
    },
    /// The noted head is not in the chain.
    #[error("the chain doesn't contain the head {head}: links were removed from its end, or all were computed anew")]
    NoSuchHead {
        /// As it was given.
        head: String,
    },
}

/// A chain that was looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its links.
    pub links: u64,
    /// The requests whose rows are there.
    pub requests: u64,
    /// The last link's hash, in lower-case hexadecimal.
    pub head: String,
    /// What is wrong, in order.
    pub faults: Vec<Fault>,
}

/// The columns that opening a request writes.
const OPENED: &str = "SELECT json_array(id, opened, until, request, server, client, tool, call, hints, content_sha256) FROM requests WHERE id = ?";
/// The columns that ending one writes.
const CLOSED: &str = "SELECT json_array(closed, outcome, reason, answer_sha256, tries, approval, tokens, cost) FROM requests WHERE id = ?";
/// The columns that an attempt writes when it begins, by the place of the attempt.
const BEGUN: &str = "SELECT json_array(opened, plugin, plugin_sha256, model, reserved_tokens, reserved_cost, is_priced) FROM attempts WHERE request = ? ORDER BY id LIMIT 1 OFFSET ?";
/// The columns that attempts have when the request has ended.
const SETTLED: &str = "SELECT json_group_array(json_array(settled, is_counted, input, output, cache_read, cache_write, reasoning, tokens, cost)) FROM (SELECT * FROM attempts WHERE request = ? ORDER BY id)";

/// What a step wrote, as it stands in the database; `None` if the request isn't there.
async fn written(
    connection: &mut SqliteConnection,
    kind: Kind,
    request: i64,
    attempt: i64,
) -> sqlx::Result<Option<Value>> {
    let text = |row: SqliteRow| row.try_get::<String, _>(0);
    let mut read = async |sql: &'static str, offset: Option<i64>| {
        let query = sqlx::query(sql).bind(request);
        let query = match offset {
            Some(offset) => query.bind(offset),
            None => query,
        };
        query.fetch_optional(&mut *connection).await?.map(text).transpose()
    };
    Ok(match kind {
        Kind::Open => match read(OPENED, None).await? {
            Some(opened) => Some(json!([opened, read(BEGUN, Some(0)).await?])),
            None => None,
        },
        Kind::Attempt => read(BEGUN, Some(attempt)).await?.map(Value::from),
        Kind::Close => match read(CLOSED, None).await? {
            Some(closed) => Some(json!([closed, read(SETTLED, None).await?])),
            None => None,
        },
        Kind::Prune => Some(Value::Null),
    })
}

fn link(before: &[u8], kind: Kind, request: i64, written: &Value) -> [u8; 32] {
    let step = json!([kind.name(), request, written]).to_string();
    Sha256::new().chain_update(before).chain_update(step).finalize().into()
}

/// Adds the link of a step that has just been written; `attempt`: its place among those of the request.
pub(super) async fn add(connection: &mut SqliteConnection, kind: Kind, request: i64, attempt: i64) -> sqlx::Result<()> {
    let last = sqlx::query_as("SELECT seq, hash FROM chain ORDER BY seq DESC LIMIT 1");
    let last: Option<(i64, Vec<u8>)> = last.fetch_optional(&mut *connection).await?;
    let (seq, before) = last.unwrap_or_default();
    let written = written(&mut *connection, kind, request, attempt).await?.unwrap_or_default();
    let hash = link(&before, kind, request, &written);
    let add = sqlx::query("INSERT INTO chain (seq, kind, request, hash) VALUES (?, ?, ?, ?)");
    add.bind(seq + 1).bind(kind.name()).bind(request).bind(hash.as_slice()).execute(connection).await?;
    Ok(())
}

impl Ledger {
    /// Looks through the chain and all rows. `head`: one that was noted before, which must be in it.
    ///
    /// # Errors
    /// If the ledger can't be read. What is wrong with its rows is in [`Verified::faults`].
    pub async fn verify(&self, head: Option<&str>) -> Result<Verified, LedgerError> {
        let mut connection = self.lock().await;
        verify(&mut connection, head).await.map_err(|e| self.failed(&e))
    }
}

async fn verify(connection: &mut SqliteConnection, noted: Option<&str>) -> sqlx::Result<Verified> {
    let links: Vec<(i64, String, i64, Vec<u8>)> =
        sqlx::query_as("SELECT seq, kind, request, hash FROM chain ORDER BY seq").fetch_all(&mut *connection).await?;
    // Rows up to the last one that was pruned may be gone.
    let pruned: Option<i64> =
        sqlx::query_scalar("SELECT max(request) FROM chain WHERE kind = 'prune'").fetch_one(&mut *connection).await?;
    let present: Vec<i64> = sqlx::query_scalar("SELECT id FROM requests").fetch_all(&mut *connection).await?;
    let mut unchained: BTreeSet<i64> = present.iter().copied().collect();
    let (mut faults, mut before, mut expected) = (Vec::new(), Vec::new(), 1);
    let mut is_head_seen = noted.is_none();
    let mut further = std::collections::HashMap::<i64, i64>::new();
    let mut removed = BTreeSet::new();
    for (seq, kind, request, hash) in &links {
        faults.extend((expected..*seq).take(10).map(|seq| Fault::MissingLink { seq }));
        expected = seq + 1;
        is_head_seen |= noted.is_some_and(|noted| noted.eq_ignore_ascii_case(&hex::encode(hash)));
        let changed = || Fault::Changed { seq: *seq, kind: kind.clone(), request: *request };
        let known = Kind::ALL.into_iter().find(|known| known.name() == kind);
        let attempt = match known {
            Some(Kind::Attempt) => {
                let place = further.entry(*request).or_insert(0);
                *place += 1;
                *place
            }
            _ => 0,
        };
        let fits = match known {
            None => false,
            Some(known) => {
                if let Some(written) = written(&mut *connection, known, *request, attempt).await? {
                    link(&before, known, *request, &written).as_slice() == hash.as_slice()
                } else {
                    // Its row is gone: nothing of it can be computed.
                    removed.insert(*request);
                    true
                }
            }
        };
        if !fits {
            faults.push(changed());
        }
        unchained.remove(request);
        before.clone_from(hash);
    }
    let gone = removed.into_iter().filter(|request| pruned.is_none_or(|pruned| *request > pruned));
    faults.extend(gone.map(|request| Fault::MissingRow { request }));
    faults.extend(unchained.into_iter().map(|request| Fault::Unchained { request }));
    if !is_head_seen {
        faults.push(Fault::NoSuchHead { head: noted.unwrap_or_default().to_owned() });
    }
    Ok(Verified {
        links: links.len().try_into().unwrap_or(u64::MAX),
        requests: present.len().try_into().unwrap_or(u64::MAX),
        head: hex::encode(before),
        faults,
    })
}
