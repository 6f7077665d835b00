//! One request on its way through the ledger.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::entry::{Attempt, Charge, Closing, Opening, Outcome};
use super::{Ledger, LedgerError, OpenRow};
use crate::config::{Budget, Config, LedgerConfig, OnLedgerFailure, Recorded};
use crate::error::Error;
use crate::text::one_line;

/// How long contents are kept where the config doesn't say.
const KEEP: Duration = Duration::from_hours(30 * 24);

/// A ledger that is opened when the first request needs it, and shared by all servers.
#[derive(Debug)]
pub(crate) struct SharedLedger {
    path: Option<PathBuf>,
    /// How long contents are kept.
    keep: Duration,
    ledger: OnceCell<Ledger>,
}

impl SharedLedger {
    /// At the config's path, or else in this folder.
    pub(crate) fn new(config: &LedgerConfig, folder: Option<&Path>) -> Self {
        let path = config.path.clone().or_else(|| Some(path_in(folder?)));
        Self { path, keep: config.keep.unwrap_or(KEEP), ledger: OnceCell::new() }
    }

    /// Contents of before this time are removed, in milliseconds since 1970.
    fn keep_from(&self) -> i64 {
        now().saturating_sub(milliseconds(self.keep))
    }

    /// The ledger. An attempt to open it that failed is made again.
    pub(crate) async fn get(&self) -> Result<&Ledger, LedgerError> {
        let open = || async {
            let ledger = Ledger::open(self.path.as_deref().ok_or(LedgerError::NoFolder)?).await?;
            ledger.tidy(self.keep_from()).await?;
            Ok(ledger)
        };
        self.ledger.get_or_try_init(open).await
    }
}

/// The ledger's file in the folder of Understudy's state.
#[must_use]
pub fn path_in(folder: &Path) -> PathBuf {
    folder.join("ledger").join("ledger.db")
}

/// What the requests of one server are held to.
#[derive(Debug)]
pub(crate) struct Spending {
    ledger: Arc<SharedLedger>,
    budgets: Vec<Budget>,
    recorded: Recorded,
    on_failure: OnLedgerFailure,
    has_warned: AtomicBool,
}

impl Spending {
    /// That of a server; `None` where the config has no ledger.
    pub(crate) fn new(config: &Config, server: &str, ledger: Option<&Arc<SharedLedger>>) -> Option<Arc<Self>> {
        let (of_config, ledger) = (config.ledger.as_ref()?, ledger?);
        let is_for = |budget: &&Budget| budget.server.as_ref().is_none_or(|own| own == server);
        Some(Arc::new(Self {
            ledger: Arc::clone(ledger),
            budgets: config.budgets.iter().filter(is_for).cloned().collect(),
            recorded: of_config.record,
            on_failure: of_config.on_failure,
            has_warned: AtomicBool::new(false),
        }))
    }

    /// What a failure of the ledger means for a request.
    fn failed(&self, error: &LedgerError) -> Result<(), Error> {
        match self.on_failure {
            OnLedgerFailure::Refuse => Err(Error::Ledger { reason: one_line(&error.to_string(), 500) }),
            OnLedgerFailure::Allow => {
                if !self.has_warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "{error}; requests are answered all the same, and no budget counts them (`ledger.onFailure`; said once)"
                    );
                }
                Ok(())
            }
        }
    }
}

/// One request. When it is dropped before [`close`](Self::close), its row says that it was cancelled.
#[derive(Debug)]
pub(crate) struct Record {
    spending: Arc<Spending>,
    opening: Opening,
    row: Option<OpenRow>,
    charge: Charge,
    tries: u32,
    is_closed: bool,
}

impl Record {
    /// A request that has come; it is answered within `deadline`.
    pub(crate) fn begin(spending: &Arc<Spending>, opening: Opening, params: &[u8], deadline: Duration) -> Self {
        let now = now();
        let opening = Opening {
            opened: now,
            until: now.saturating_add(milliseconds(deadline)),
            content_sha256: hex::encode(Sha256::digest(params)),
            content: matches!(spending.recorded, Recorded::Content)
                .then(|| String::from_utf8_lossy(params).into_owned()),
            ..opening
        };
        Self { spending: Arc::clone(spending), opening, row: None, charge: Charge::Nothing, tries: 0, is_closed: false }
    }

    /// The models that the server wished for.
    pub(crate) fn wishes(&mut self, hints: &str) {
        self.opening.hints = one_line(hints, 500);
    }

    /// Reserves the worst case of asking a provider.
    ///
    /// # Errors
    /// [`Error::Budget`] if a budget hasn't so much left, [`Error::Ledger`] if it can't be written down.
    pub(crate) async fn reserve(&mut self, attempt: Attempt) -> Result<(), Error> {
        let spending = Arc::clone(&self.spending);
        let is_for = |budget: &&Budget| budget.plugin.as_ref().is_none_or(|plugin| *plugin == attempt.plugin);
        if attempt.price.is_none()
            && let Some(budget) = spending.budgets.iter().filter(is_for).find(|budget| budget.money.is_some())
        {
            return Err(unknown_price(&attempt, budget));
        }
        let (row, charge) = (self.row.take(), std::mem::replace(&mut self.charge, Charge::Unknown));
        let kept = row.clone();
        let reserved = match spending.ledger.get().await {
            Ok(ledger) => ledger.reserve(&self.opening, row, charge, &attempt, &spending.budgets).await,
            Err(error) => Err(error),
        };
        match reserved {
            Ok(Ok(row)) => {
                self.row = Some(row);
                Ok(())
            }
            Ok(Err(refusal)) => {
                // The attempt before is settled.
                (self.row, self.charge) = (kept.map(OpenRow::settled), Charge::Nothing);
                let data = Box::new(refusal.data());
                Err(Error::Budget { reason: refusal.reason, data })
            }
            Err(error) => {
                (self.row, self.charge) = (kept, charge);
                spending.failed(&error)
            }
        }
    }

    /// What the attempt that was reserved last has cost, as far as it is known.
    pub(crate) const fn charge(&mut self, charge: Charge) {
        self.charge = charge;
    }

    /// A provider is asked once more.
    pub(crate) const fn tried(&mut self, tries: u32) {
        self.tries = self.tries.saturating_add(tries);
    }

    /// Writes how the request ended.
    ///
    /// # Errors
    /// [`Error::Ledger`], for an answer that can't be written down.
    pub(crate) async fn close(mut self, outcome: &Result<String, Error>) -> Result<(), Error> {
        self.is_closed = true;
        let closing = self.closing(outcome);
        let closed = match self.spending.ledger.get().await {
            Ok(ledger) => ledger.close(&self.opening, self.row.take(), &closing).await,
            Err(error) => Err(error),
        };
        closed.or_else(|error| self.spending.failed(&error))
    }

    fn closing(&self, outcome: &Result<String, Error>) -> Closing {
        let answer = outcome.as_ref().ok();
        Closing {
            outcome: match outcome {
                Ok(_) => Outcome::Answered,
                Err(error) if error.is_refusal() => Outcome::Refused,
                Err(_) => Outcome::Failed,
            },
            reason: outcome.as_ref().err().map(|error| one_line(&error.to_string(), 1000)),
            answer: answer.filter(|_| self.spending.recorded == Recorded::Content).cloned(),
            answer_sha256: answer.map(|answer| hex::encode(Sha256::digest(answer))),
            tries: self.tries,
            charge: self.charge,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.is_closed {
            return;
        }
        // Outside of a runtime there is nobody left to write: the row counts as interrupted.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let closing = Closing {
            outcome: Outcome::Cancelled,
            reason: Some("the request was given up".to_owned()),
            answer: None,
            answer_sha256: None,
            tries: self.tries,
            charge: self.charge,
        };
        let (spending, opening, row) = (Arc::clone(&self.spending), std::mem::take(&mut self.opening), self.row.take());
        runtime.spawn(async move {
            let closed = match spending.ledger.get().await {
                Ok(ledger) => ledger.close(&opening, row, &closing).await,
                Err(error) => Err(error),
            };
            if let Err(error) = closed {
                tracing::warn!("{error}");
            }
        });
    }
}

fn unknown_price(attempt: &Attempt, budget: &Budget) -> Error {
    let Attempt { plugin, model, .. } = attempt;
    let named = if model.is_empty() { "the plugin's own model".to_owned() } else { format!("the model `{model}`") };
    let key = format!("plugins.{plugin}.prices");
    let reason = format!(
        "the budget `{}` counts money, and the price of {named} of the plugin `{plugin}` is not known; write it into the config: `{key}`: {{\"{model}\": {{\"input\": \"$3\", \"output\": \"$15\"}}}} (US dollars for a million tokens)",
        budget.key
    );
    let data =
        serde_json::json!({ "budget": budget.key, "of": "money", "plugin": plugin, "model": model, "missing": key });
    Error::Budget { reason, data: Box::new(data) }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// In milliseconds since 1970; 0 for a clock that is before that.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, milliseconds)
}
