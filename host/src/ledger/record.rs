//! One request on its way through the ledger.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::entry::{Attempt, Before, BudgetRefusal, Charge, Closing, Opening, Outcome};
use super::{Ledger, LedgerError, OpenRow};
use crate::config::{Budget, Config, LedgerConfig, OnLedgerFailure, Recorded};
use crate::error::Error;
use crate::scheduling::priority::{self, Niceness};
use crate::text::one_line;

/// How long contents are kept where the config doesn't say.
const KEEP: Duration = Duration::from_hours(30 * 24);

/// How often old contents are removed, and rows closed whose process is gone.
const TIDY: Duration = Duration::from_hours(1);

/// How long after a step the database gets it: meanwhile others come, and are written with it.
const SOON: Duration = Duration::from_secs(1);

/// The tasks of this process that write into ledgers.
static STEPS: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// Whether somebody waits for these tasks.
static ENDS: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

/// Begins a step, which goes on whatever becomes of the caller.
pub(super) fn spawn_step<T: Send + 'static>(step: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    STEPS.spawn(step)
}

/// Waits until all that this process has begun to write into ledgers is written: for a program that is about to end.
pub async fn written() {
    STEPS.close();
    ENDS.send_replace(true);
    STEPS.wait().await;
    ENDS.send_replace(false);
    STEPS.reopen();
}

/// A ledger that is opened when the first request needs it, and shared by all servers.
#[derive(Debug)]
pub(crate) struct SharedLedger {
    path: Option<PathBuf>,
    /// How long contents are kept.
    keep: Duration,
    ledger: OnceCell<Ledger>,
    /// When it was tidied last, in milliseconds since 1970.
    tidied: AtomicI64,
    /// Whether steps are written into the database soon.
    is_due: AtomicBool,
    /// How many requests are answered whose ends aren't written yet.
    ending: watch::Sender<usize>,
}

impl SharedLedger {
    /// At the config's path, or else in this folder.
    pub(crate) fn new(config: &LedgerConfig, folder: Option<&Path>) -> Self {
        let path = config.path.clone().or_else(|| Some(path_in(folder?)));
        let keep = config.keep.unwrap_or(KEEP);
        Self {
            path,
            keep,
            ledger: OnceCell::new(),
            tidied: AtomicI64::new(0),
            is_due: AtomicBool::new(false),
            ending: watch::Sender::new(0),
        }
    }

    /// The ledger, tidied within the last hour. An attempt to open it that failed is made again.
    pub(super) async fn get(&self) -> Result<&Ledger, LedgerError> {
        let open = || async { Ledger::open(self.path.as_deref().ok_or(LedgerError::NoFolder)?).await };
        let ledger = self.ledger.get_or_try_init(open).await?;
        let (now, last) = (now(), self.tidied.load(Ordering::Relaxed));
        let is_due = now.saturating_sub(last) >= milliseconds(TIDY) || now < last;
        // Of several requests one does it.
        if is_due && self.tidied.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            ledger.tidy(now.saturating_sub(milliseconds(self.keep))).await?;
        }
        Ok(ledger)
    }

    /// Waits for the requests that are answered whose ends aren't written yet; whether there were any.
    async fn have_ended(&self) -> bool {
        let mut ending = self.ending.subscribe();
        let were_any = *ending.borrow_and_update() > 0;
        // New ones may come all the time.
        let _ = tokio::time::timeout(SOON, ending.wait_for(|count| *count == 0)).await;
        were_any
    }

    /// Sees to it that the database gets what was appended to the journal.
    fn apply_soon(self: &Arc<Self>) {
        if self.is_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let own = Arc::clone(self);
        drop(spawn_step(async move {
            let ends = async { ENDS.subscribe().wait_for(|ends| *ends).await.is_ok() };
            // However it ends, it is time.
            let _ = tokio::time::timeout(SOON, ends).await;
            own.is_due.store(false, Ordering::Release);
            if let Err(error) = own.apply().await {
                tracing::warn!("{error}; what was recorded is in the ledger's journal until it can");
            }
        }));
    }

    /// Writes the journal's steps into the database: on a thread of its own, so that no request waits for a core because of it.
    async fn apply(self: Arc<Self>) -> Result<(), LedgerError> {
        let runtime = Handle::current();
        let apply = async move {
            match self.ledger.get() {
                Some(ledger) => ledger.apply_all().await,
                None => Ok(()),
            }
        };
        let (done, applied) = oneshot::channel();
        let work = move || {
            priority::lower(Niceness::Ledger);
            // Who waited may have gone.
            let _ = done.send(runtime.block_on(apply));
        };
        match thread::Builder::new().name("ledger".to_owned()).spawn(work) {
            Ok(_) => applied.await.unwrap_or(Ok(())),
            // The next step tries again.
            Err(error) => Err(LedgerError::Thread { reason: error.to_string() }),
        }
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
    /// What the attempts that aren't settled have cost, as far as it is known.
    charge: Charge,
    tries: u32,
    /// Where the user allowed it, or why they weren't asked.
    approval: Option<String>,
    /// Whether the ledger failed at the last reservation, and the request went on all the same.
    is_unrecorded: bool,
    is_closed: bool,
}

impl Record {
    /// A request that has come; it is answered within `deadline`.
    pub(crate) fn begin(spending: &Arc<Spending>, opening: Opening, params: &[u8], deadline: Duration) -> Self {
        let now = now();
        let content = matches!(spending.recorded, Recorded::Content);
        let opening = Opening {
            opened: now,
            until: now.saturating_add(milliseconds(deadline)),
            content_sha256: hex::encode(Sha256::digest(params)),
            content: content.then(|| String::from_utf8_lossy(params).into_owned()),
            ..opening
        };
        Self {
            spending: Arc::clone(spending),
            opening,
            row: None,
            charge: Charge::Nothing,
            tries: 0,
            approval: None,
            is_unrecorded: false,
            is_closed: false,
        }
    }

    /// The models that the server wished for.
    pub(crate) fn wishes(&mut self, hints: &str) {
        self.opening.hints = one_line(hints, 500);
    }

    /// Before its first reservation it may wait for so much longer.
    pub(crate) fn may_wait(&mut self, time: Duration) {
        self.opening.until = self.opening.until.saturating_add(milliseconds(time));
    }

    /// Where the user allowed it, or why they weren't asked.
    pub(crate) fn approved(&mut self, approval: &str) {
        let before = self.approval.take().map(|before| format!("{before}; ")).unwrap_or_default();
        self.approval = Some(format!("{before}{approval}"));
    }

    /// Reserves the worst case of asking the first plugin, or the next one of the chain.
    ///
    /// # Errors
    /// [`Error::Budget`] if a budget has too little left, [`Error::Ledger`] if it can't be written down.
    pub(crate) async fn reserve(&mut self, attempt: &Attempt) -> Result<(), Error> {
        let before = Before::Over(self.charge);
        self.reserve_after(before, attempt).await
    }

    /// Reserves the worst case of one more exchange with the provider of a plugin.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub(crate) async fn reserve_after(&mut self, before: Before, attempt: &Attempt) -> Result<(), Error> {
        let is_for = |budget: &&Budget| budget.plugin.as_ref().is_none_or(|plugin| *plugin == attempt.plugin);
        if attempt.price.is_none()
            && let Some(budget) = self.spending.budgets.iter().filter(is_for).find(|budget| budget.money.is_some())
        {
            return Err(unknown_price(attempt, budget));
        }
        match self.write_reservation(before, attempt).await {
            Ok(Ok(())) => {
                self.is_unrecorded = false;
                // A plugin that has just been chosen hasn't asked yet.
                self.charge = if matches!(before, Before::Over(_)) { Charge::Nothing } else { Charge::Unknown };
            }
            Ok(Err(refusal)) => {
                let data = Box::new(refusal.data());
                return Err(Error::Budget { reason: refusal.reason, data });
            }
            Err(error) => {
                self.spending.failed(&error)?;
                self.is_unrecorded = true;
            }
        }
        Ok(())
    }

    async fn write_reservation(
        &mut self,
        before: Before,
        attempt: &Attempt,
    ) -> Result<Result<(), BudgetRefusal>, LedgerError> {
        let Spending { ledger, budgets, .. } = &*self.spending;
        let open = ledger.get().await?;
        let mut done = open.reserve(&self.opening, &mut self.row, before, attempt, budgets).await?;
        if done.is_err() && ledger.have_ended().await {
            // What they had reserved has been given back.
            done = open.reserve(&self.opening, &mut self.row, Before::Answered, attempt, budgets).await?;
        }
        ledger.apply_soon();
        Ok(done)
    }

    /// What the plugin that was asked last has cost, as far as it is known.
    pub(crate) const fn charge(&mut self, charge: Charge) {
        if !self.is_unrecorded {
            self.charge = charge;
        }
    }

    /// A provider was asked so many times more.
    pub(crate) const fn tried(&mut self, tries: u32) {
        self.tries = self.tries.saturating_add(tries);
    }

    /// Begins to write how the request ended; nobody waits for it. If that fails, its row stays open, and counts as the worst case: what was asked is
    /// answered.
    pub(crate) fn close(mut self, outcome: &Result<String, Error>) {
        let answer = outcome.as_ref().ok();
        let closing = Closing {
            answer: answer.filter(|_| self.spending.recorded == Recorded::Content).cloned(),
            answer_sha256: answer.map(|answer| hex::encode(Sha256::digest(answer))),
            ..self.closing(
                match outcome {
                    Ok(_) => Outcome::Answered,
                    Err(Error::Declined { .. }) => Outcome::Declined,
                    Err(error) if error.is_refusal() => Outcome::Refused,
                    Err(_) => Outcome::Failed,
                },
                outcome.as_ref().err().map(ToString::to_string),
            )
        };
        drop(self.end(closing));
    }

    /// Writes that the request was refused before it came this far.
    pub(crate) async fn refuse(mut self, reason: &str) {
        let closing = self.closing(Outcome::Refused, Some(reason.to_owned()));
        // The task says itself what went wrong.
        let _ = self.end(closing).await;
    }

    /// Begins to write the end of the row.
    fn end(&mut self, closing: Closing) -> JoinHandle<()> {
        self.is_closed = true;
        let ledger = Arc::clone(&self.spending.ledger);
        let (opening, mut row) = (std::mem::take(&mut self.opening), self.row.take());
        ledger.ending.send_modify(|count| *count += 1);
        spawn_step(async move {
            let closed = async {
                ledger.get().await?.close(&opening, &mut row, &closing).await?;
                ledger.apply_soon();
                Ok::<_, LedgerError>(())
            };
            if let Err(error) = closed.await {
                tracing::warn!(request = opening.request, "{error}");
            }
            ledger.ending.send_modify(|count| *count -= 1);
        })
    }

    /// The end of the row, without an answer.
    fn closing(&self, outcome: Outcome, reason: Option<String>) -> Closing {
        let is_given_up = matches!(outcome, Outcome::Declined | Outcome::Cancelled);
        let charge = match self.charge {
            Charge::Nothing if is_given_up && self.tries == 0 => Charge::Withdrawn,
            charge => charge,
        };
        Closing {
            outcome,
            reason: reason.map(|reason| one_line(&reason, 1000)),
            answer: None,
            answer_sha256: None,
            tries: self.tries,
            approval: self.approval.clone(),
            charge,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Outside of a runtime there is nobody left to write: the row counts as interrupted.
        if self.is_closed || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let closing = self.closing(Outcome::Cancelled, Some("the request was given up".to_owned()));
        drop(self.end(closing));
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

pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// In milliseconds since 1970; 0 for a clock that is before that.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, milliseconds)
}
