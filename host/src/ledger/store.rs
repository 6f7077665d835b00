//! The ledger's database: its schema, opening it, transactions.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, Transaction};
use tokio::sync::{Mutex, MutexGuard};

use super::apply::position;
use super::journal::Journal;
use crate::private;

/// A path that stands for a ledger in this process's memory.
pub const MEMORY: &str = ":memory:";

/// The version of the schema, in `user_version`. A later one is refused: an old program would leave out what it doesn't know.
const VERSION: i64 = 1;

/// How long a process waits for another one's transaction, or for the journal.
pub(super) const BUSY: Duration = Duration::from_secs(10);

/// Why a ledger can't be used that is there and in order.
const LOCKED: &str = "another process has locked it for more than 10 s";

/// Numbers are integers: times in milliseconds since 1970, money in billionths of a US dollar.
const SCHEMA: &str = "
CREATE TABLE journal (
    generation INTEGER NOT NULL,
    offset INTEGER NOT NULL
) STRICT;
INSERT INTO journal VALUES (0, 0);
CREATE TABLE requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    until INTEGER NOT NULL,
    request TEXT NOT NULL,
    server TEXT NOT NULL,
    client TEXT,
    tool TEXT,
    call TEXT,
    hints TEXT NOT NULL,
    content_sha256 TEXT NOT NULL,
    closed INTEGER,
    outcome TEXT,
    reason TEXT,
    answer_sha256 TEXT,
    tries INTEGER,
    approval TEXT,
    tokens INTEGER NOT NULL DEFAULT 0,
    cost INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX requests_opened ON requests (opened);
CREATE INDEX requests_server ON requests (server, opened);
CREATE INDEX requests_call ON requests (call) WHERE call IS NOT NULL;
CREATE INDEX requests_open ON requests (until) WHERE closed IS NULL;
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request INTEGER NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    opened INTEGER NOT NULL,
    plugin TEXT NOT NULL,
    plugin_sha256 TEXT NOT NULL,
    model TEXT NOT NULL,
    reserved_tokens INTEGER NOT NULL,
    reserved_cost INTEGER NOT NULL,
    is_priced INTEGER NOT NULL,
    settled INTEGER,
    is_counted INTEGER,
    input INTEGER,
    output INTEGER,
    cache_read INTEGER,
    cache_write INTEGER,
    reasoning INTEGER,
    tokens INTEGER NOT NULL,
    cost INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_request ON attempts (request);
CREATE INDEX attempts_plugin ON attempts (plugin, opened);
CREATE TABLE contents (
    request INTEGER PRIMARY KEY REFERENCES requests (id) ON DELETE CASCADE,
    opened INTEGER NOT NULL,
    question TEXT NOT NULL,
    answer TEXT
) STRICT;
CREATE TABLE counters (
    scope TEXT NOT NULL,
    begins INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (scope, begins, ends)
) STRICT, WITHOUT ROWID;
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    asked INTEGER NOT NULL,
    until INTEGER NOT NULL,
    server TEXT NOT NULL,
    tool TEXT,
    client TEXT,
    what TEXT NOT NULL,
    model TEXT NOT NULL,
    most_cost INTEGER,
    message TEXT NOT NULL,
    can_remember INTEGER NOT NULL,
    decision TEXT,
    is_remembered INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE remembered (
    server TEXT NOT NULL,
    tool TEXT NOT NULL,
    is_in_call INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (server, tool, is_in_call)
) STRICT, WITHOUT ROWID;
CREATE TABLE chain (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    request INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
";

/// Why the ledger can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no folder for it.
    #[error("there is no state folder for the ledger: set HOME, or `ledger.path` in the config")]
    NoFolder,
    /// Its folder can't be made, or isn't the user's alone.
    #[error("the ledger's folder `{path}` can't be used: {reason}")]
    Folder {
        /// The folder.
        path: String,
        /// Why.
        reason: String,
    },
    /// There is none yet, and it is only to be read.
    #[error("there is no ledger `{path}` yet: `\"ledger\": true` in the config begins one")]
    Missing {
        /// Its file.
        path: String,
    },
    /// A later version of Understudy made it.
    #[error(
        "the ledger `{path}` has version {found}, and this program knows {VERSION}: use a newer Understudy, or set `ledger.path`"
    )]
    Newer {
        /// Its file.
        path: String,
        /// Its version.
        found: i64,
    },
    /// No thread can be started to write into its database.
    #[error("no thread can be started that writes into the ledger: {reason}")]
    Thread {
        /// Why.
        reason: String,
    },
    /// The disk is full or read-only, the file locked, corrupt or something else.
    #[error("the ledger `{path}` can't be used: {reason}")]
    Database {
        /// Its file.
        path: String,
        /// Why, with the remedy where one is known.
        reason: String,
    },
}

/// The ledger of a user.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    connection: Mutex<SqliteConnection>,
    pub(super) journal: Journal,
    /// Whether steps could not be written into the database.
    pub(super) is_behind: AtomicBool,
}

impl Ledger {
    /// Opens the ledger; makes it where there is none. [`MEMORY`] is one that ends with the process.
    ///
    /// # Errors
    /// Why it can't be used.
    pub async fn open(path: &Path) -> Result<Self, LedgerError> {
        if path != Path::new(MEMORY)
            && let Some(folder) = path.parent()
        {
            let reason = |reason| LedgerError::Folder { path: folder.display().to_string(), reason };
            private::own_folder(folder).map_err(reason)?;
        }
        Self::connect(path, true).await
    }

    /// Opens a ledger that exists, to read and to prune it.
    ///
    /// # Errors
    /// [`LedgerError::Missing`], or why it can't be used.
    pub async fn open_existing(path: &Path) -> Result<Self, LedgerError> {
        if !path.is_file() {
            return Err(LedgerError::Missing { path: path.display().to_string() });
        }
        Self::connect(path, false).await
    }

    async fn connect(path: &Path, create: bool) -> Result<Self, LedgerError> {
        let failed = |error: &sqlx::Error| database(path, error);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            // A process that is killed loses nothing so; a machine that loses power may lose the last rows, but never the file.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .disable_statement_logging();
        let mut connection = options.connect().await.map_err(|e| failed(&e))?;
        let version = |row: (i64,)| row.0;
        let found = sqlx::query_as("PRAGMA user_version").fetch_one(&mut connection).await.map(version);
        match found.map_err(|e| failed(&e))? {
            VERSION => {}
            0 => make(&mut connection).await.map_err(|e| failed(&e))?,
            found => return Err(LedgerError::Newer { path: path.display().to_string(), found }),
        }
        let known = position(&mut connection).await.map_err(|e| failed(&e))?;
        let journal = Journal::open(journal_of(path).as_deref(), known).map_err(|e| journal_failed(path, &e))?;
        let (path, connection) = (path.to_path_buf(), Mutex::new(connection));
        Ok(Self { path, connection, journal, is_behind: AtomicBool::new(false) })
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn lock(&self) -> MutexGuard<'_, SqliteConnection> {
        self.connection.lock().await
    }

    /// What an error of the journal means for this ledger.
    pub(super) fn journal_failed(&self, error: &io::Error) -> LedgerError {
        journal_failed(&self.path, error)
    }

    /// What an error of the database means for this ledger.
    pub(super) fn failed(&self, error: &sqlx::Error) -> LedgerError {
        database(&self.path, error)
    }
}

/// A transaction that no other writer can come between.
pub(super) async fn begin(connection: &mut SqliteConnection) -> sqlx::Result<Transaction<'_, Sqlite>> {
    connection.begin_with("BEGIN IMMEDIATE").await
}

/// Makes the tables, unless another process has just done it.
async fn make(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let mut transaction = begin(connection).await?;
    let (found,): (i64,) = sqlx::query_as("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    if found == 0 {
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        sqlx::raw_sql("PRAGMA user_version = 1").execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// The file of a ledger's journal: beside that of the database; `None` for a ledger in memory.
fn journal_of(path: &Path) -> Option<PathBuf> {
    let mut name = path.file_name().filter(|_| path != Path::new(MEMORY))?.to_owned();
    name.push("-steps");
    Some(path.with_file_name(name))
}

fn journal_failed(path: &Path, error: &io::Error) -> LedgerError {
    let path = journal_of(path).unwrap_or_else(|| path.to_path_buf()).display().to_string();
    let remedy = match error.kind() {
        io::ErrorKind::WouldBlock => return LedgerError::Database { path, reason: LOCKED.to_owned() },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": the disk is full",
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            ": it can't be written; give this user the right to, or set `ledger.path`"
        }
        _ => "",
    };
    LedgerError::Database { path, reason: format!("{error}{remedy}") }
}

/// The error of `SQLite`, with a remedy where there is one.
fn database(path: &Path, error: &sqlx::Error) -> LedgerError {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i64>().ok()).map(|code| code & 0xff);
    // sqlite.org/rescode.html
    let remedy = match code {
        Some(5 | 6) => return LedgerError::Database { path: path.display().to_string(), reason: LOCKED.to_owned() },
        Some(8) => ": it is read-only; give this user the right to write it, or set `ledger.path`",
        Some(11 | 26) => ": move it away, and a new one is begun; `sqlite3 FILE .recover` may save its rows",
        Some(13) => ": the disk is full",
        Some(14) => ": the file can't be opened or made",
        _ => "",
    };
    LedgerError::Database { path: path.display().to_string(), reason: format!("{error}{remedy}") }
}
