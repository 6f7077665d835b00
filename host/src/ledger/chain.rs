//! The chain of hashes that makes a changed or missing row evident.
//!
//! Each step of a request (`open`, `attempt`, `close`) and each pruning adds a link: SHA-256 over the link before, and over the columns that the
//! step wrote, as a JSON array. A row that is changed or removed no longer fits its link, unless all later links are computed anew. Then the head
//! (the last hash, which `understudy ledger verify` prints) differs from one that was noted before.

use std::collections::{BTreeSet, HashMap};

use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteConnection;

use super::apply::insert;
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

/// So many links are looked at together.
const AT_ONCE: usize = 1_000;

/// A step that has just been written into the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) kind: Kind,
    /// The request's id.
    pub(super) request: i64,
    /// The place of an attempt among those of the request.
    pub(super) place: usize,
}

/// What the steps of a request have written, as it stands in the database: JSON arrays.
#[derive(Debug)]
struct Written {
    opened: Box<RawValue>,
    closed: Box<RawValue>,
    /// What each attempt has when it begins, and when the request has ended.
    attempts: Vec<(Box<RawValue>, Box<RawValue>)>,
}

/// By requests: the columns that opening a request writes, and those that closing it does.
const REQUESTS: &str = "SELECT json_group_array(json_array(id,
    json_array(id, opened, until, request, server, client, tool, call, hints, content_sha256),
    json_array(closed, outcome, reason, answer_sha256, tries, approval, tokens, cost)))
    FROM requests WHERE id IN (SELECT value FROM json_each(?))";
/// By attempts: the columns that are written when one begins, and those that it has when the request has ended.
const ATTEMPTS: &str = "SELECT json_group_array(json_array(request,
    json_array(opened, plugin, plugin_sha256, model, reserved_tokens, reserved_cost, is_priced),
    json_array(settled, is_counted, input, output, cache_read, cache_write, reasoning, tokens, cost)))
    FROM (SELECT * FROM attempts WHERE request IN (SELECT value FROM json_each(?)) ORDER BY id)";

/// What the steps of these requests have written; a request that isn't there is left out.
async fn written(connection: &mut SqliteConnection, requests: &BTreeSet<i64>) -> sqlx::Result<HashMap<i64, Written>> {
    let ids = json!(requests).to_string();
    let mut all = HashMap::new();
    for (id, opened, closed) in read(connection, REQUESTS, &ids).await? {
        all.insert(id, Written { opened, closed, attempts: Vec::new() });
    }
    for (request, begun, settled) in read(connection, ATTEMPTS, &ids).await? {
        if let Some(written) = all.get_mut(&request) {
            written.attempts.push((begun, settled));
        }
    }
    Ok(all)
}

/// The rows of these requests, in one text: each row that comes by itself wakes a thread.
async fn read(
    connection: &mut SqliteConnection,
    query: &'static str,
    ids: &str,
) -> sqlx::Result<Vec<(i64, Box<RawValue>, Box<RawValue>)>> {
    let rows: String = sqlx::query_scalar(query).bind(ids).fetch_one(connection).await?;
    serde_json::from_str(&rows).map_err(|e| sqlx::Error::Decode(e.into()))
}

impl Written {
    /// What a step wrote.
    fn of(&self, kind: Kind, place: usize) -> Value {
        let begun = |place: usize| self.attempts.get(place).map(|(begun, _)| begun.get());
        match kind {
            Kind::Open => json!([self.opened.get(), begun(0)]),
            Kind::Attempt => json!(begun(place)),
            Kind::Close => {
                let settled: Vec<_> = self.attempts.iter().map(|(_, settled)| settled.get()).collect();
                json!([self.closed.get(), format!("[{}]", settled.join(","))])
            }
            Kind::Prune => Value::Null,
        }
    }
}

fn hash(before: &[u8], kind: Kind, request: i64, written: &Value) -> [u8; 32] {
    let step = json!([kind.name(), request, written]).to_string();
    Sha256::new().chain_update(before).chain_update(step).finalize().into()
}

/// Adds the links of steps that have just been written, in order.
pub(super) async fn add(connection: &mut SqliteConnection, links: &[Link]) -> sqlx::Result<()> {
    if links.is_empty() {
        return Ok(());
    }
    let last = sqlx::query_as("SELECT seq, hash FROM chain ORDER BY seq DESC LIMIT 1");
    let last: Option<(i64, Vec<u8>)> = last.fetch_optional(&mut *connection).await?;
    let (mut seq, mut before) = last.unwrap_or_default();
    let all = written(connection, &links.iter().map(|link| link.request).collect()).await?;
    let mut rows = Vec::new();
    for Link { kind, request, place } in links {
        let written = all.get(request).map(|written| written.of(*kind, *place)).unwrap_or_default();
        seq += 1;
        before = hash(&before, *kind, *request, &written).to_vec();
        rows.push((seq, kind.name(), *request, before.clone()));
    }
    insert(connection, "INSERT INTO chain (seq, kind, request, hash)", &rows, |row, (seq, kind, request, hash)| {
        row.push_bind(*seq).push_bind(*kind).push_bind(*request).push_bind(hash.as_slice());
    })
    .await
}

impl Ledger {
    /// Looks through the chain and all rows. `head`: one that was noted before, which must be in it.
    ///
    /// # Errors
    /// If the ledger can't be read. What is wrong with its rows is in [`Verified::faults`].
    pub async fn verify(&self, head: Option<&str>) -> Result<Verified, LedgerError> {
        let mut connection = self.up_to_date().await?;
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
    let mut further = HashMap::<i64, usize>::new();
    let mut removed = BTreeSet::new();
    for some in links.chunks(AT_ONCE) {
        let all = written(&mut *connection, &some.iter().map(|(_, _, request, _)| *request).collect()).await?;
        for (seq, kind, request, own) in some {
            faults.extend((expected..*seq).take(10).map(|seq| Fault::MissingLink { seq }));
            expected = seq + 1;
            is_head_seen |= noted.is_some_and(|noted| noted.eq_ignore_ascii_case(&hex::encode(own)));
            let known = Kind::ALL.into_iter().find(|known| known.name() == kind);
            let place = match known {
                Some(Kind::Attempt) => {
                    let place = further.entry(*request).or_insert(0);
                    *place += 1;
                    *place
                }
                _ => 0,
            };
            let fits = match (known, all.get(request)) {
                (None, _) => false,
                (Some(Kind::Prune), _) => {
                    hash(&before, Kind::Prune, *request, &Value::Null).as_slice() == own.as_slice()
                }
                (Some(kind), Some(written)) => {
                    hash(&before, kind, *request, &written.of(kind, place)).as_slice() == own.as_slice()
                }
                (Some(_), None) => {
                    // Its row is gone: nothing of it can be computed.
                    removed.insert(*request);
                    true
                }
            };
            if !fits {
                faults.push(Fault::Changed { seq: *seq, kind: kind.clone(), request: *request });
            }
            unchained.remove(request);
            before.clone_from(own);
        }
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
