//! Admission: everything that a request waits for, as one stack from top to bottom.
//!
//! | # | stage | what happens | bound | whose |
//! | --- | --- | --- | --- | --- |
//! | 1 | size | a request that is too large is refused | `limits.samplingRequest` | server |
//! | 2 | queue | a request is refused if too many, or too many bytes, run or wait | `limits.concurrent` + `limits.waiting`, `limits.samplingTotal` | server |
//! | 3 | `rate` | it waits for its turn, or is refused if that would come after its deadline | `sampling.requestsPerMinute` | server |
//! | 4 | `running` | it waits for a permit, in order of arrival | `limits.concurrent` | server |
//! | 5 | `fair queue` | each step of its work yields to other servers, if its server has more requests than they | two a core ([`crate::scheduling`]) | all servers |
//! | 6 | `instances` | each call of a plugin waits for a permit | `limits.instances`; a quarter of the pool | plugin |
//! | 7 | `start` | each call of a provider plugin waits for a permit, which it holds for 50 ms at most | four a core | plugin |
//! | 8 | `pool` | each call of a component that runs in the pool waits for a slot | 16 a core, 256 at least | all plugins |
//!
//! `Admission::run` is 1 to 5, `CallAdmission::run` is 6 to 8. A name in backticks in the second column is that of the wait in the log and
//! in spans (`timeline`).
//!
//! Four clocks bound the waits and the work. The request's (here, `limits.deadline`, or the longest of its plugins) runs from stage 2 to the
//! result. Each plugin of the chain has its own `limits.deadline` ([`crate::sampling`]); each call of a guest has the same again, from stage 6
//! to its end; and the 50 ms of stage 7 end the permit, not the call.
//!
//! Dropping a future at any stage returns all that it holds.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `policy` | what one request may contain |
//! | `outline` | what the policy looks at in a request that a client answers |
//! | `rate` | a token bucket, and waiting for it |
//! | `start_permits` | stage 7 |

pub(crate) mod outline;
pub mod policy;
pub mod rate;
mod start_permits;

use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::error::Elapsed;

use crate::config::{Limits, Sampling};
use crate::error::Error;
use crate::gauge::GaugeGuard;
use crate::scheduling::Scheduling;
use crate::scheduling::fair_queue::FairQueue;
use crate::timeline::wait;
use policy::RequestPolicy;
use rate::{RateWait, TokenBucket};
use start_permits::StartPermits;

/// The period of `requestsPerMinute`.
const MINUTE: Duration = Duration::from_mins(1);

/// Admission of one server's requests.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) policy: RequestPolicy,
    /// The requests that run or wait, their number and their bytes.
    queue: Semaphore,
    bytes: AtomicUsize,
    most_bytes: usize,
    rate: Option<Mutex<TokenBucket>>,
    /// The requests that run.
    running: Semaphore,
    concurrent: usize,
    waiting: usize,
    fair_queue: FairQueue,
    deadline: Duration,
}

/// The place of a request among those that run or wait.
type Queued<'a> = (SemaphorePermit<'a>, GaugeGuard<'a>);

impl Admission {
    /// What the config gives a server. `deadline` is that of its requests; `active_requests` counts those of all servers.
    pub(crate) fn new(
        rule: &Sampling,
        limits: &Limits,
        deadline: Duration,
        active_requests: Arc<AtomicUsize>,
        scheduling: Scheduling,
    ) -> Self {
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS / 4);
        let (concurrent, waiting) = (size(limits.concurrent), size(limits.waiting));
        Self {
            policy: RequestPolicy::new(rule, limits),
            queue: Semaphore::new(concurrent + waiting),
            bytes: AtomicUsize::new(0),
            most_bytes: limits.sampling_total.max(limits.sampling_request),
            rate: rule.requests_per_minute.map(|n| Mutex::new(TokenBucket::new(n, MINUTE, Instant::now()))),
            running: Semaphore::new(concurrent),
            concurrent,
            waiting,
            fair_queue: FairQueue::new(active_requests, scheduling),
            deadline,
        }
    }

    /// Runs a request of this size, in bytes, through stages 1 to 5. `answer` gets the time at which the request's deadline ends.
    /// `is_rate_counted`: it has been through stage 3 already.
    ///
    /// # Errors
    /// [`Error::RequestTooLarge`], [`Error::TooMany`], [`Error::TooMuch`] and [`Error::TooOften`] by stages 1 to 3; [`Error::Deadline`]; else
    /// those of `answer`.
    pub(crate) async fn run<T, F: Future<Output = Result<T, Error>>>(
        &self,
        size: usize,
        is_rate_counted: bool,
        answer: impl FnOnce(Instant) -> F,
    ) -> Result<T, Error> {
        self.policy.check_size(size)?;
        let after = self.deadline;
        let until = Instant::now() + after;
        // Boxed: the future is large, and each wrapper would copy it.
        let stages = Box::pin(async {
            let _queued = self.enqueue(size)?;
            if !is_rate_counted {
                wait("rate", self.rated(until)).await?;
            }
            // The semaphore is never closed.
            let _running = wait("running", self.running.acquire()).await.map_err(|_| self.too_many())?;
            self.fair_queue.run(pin!(answer(until))).await
        });
        tokio::time::timeout(after, stages).await.map_err(|_| Error::Deadline { after })?
    }

    /// The longest that a request takes.
    pub(crate) const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Stage 2.
    fn enqueue(&self, size: usize) -> Result<Queued<'_>, Error> {
        let (bytes, sum) = GaugeGuard::add(&self.bytes, size);
        if sum > self.most_bytes {
            return Err(Error::TooMuch { most: self.most_bytes });
        }
        Ok((self.queue.try_acquire().map_err(|_| self.too_many())?, bytes))
    }

    /// Stage 3.
    async fn rated(&self, until: Instant) -> Result<(), Error> {
        let Some(rate) = &self.rate else { return Ok(()) };
        let patience = until.saturating_duration_since(Instant::now());
        let most = rate.lock().unwrap_or_else(PoisonError::into_inner).most();
        RateWait::wait(rate, patience).await.map_err(|wait| Error::TooOften { most, wait })
    }

    /// Stage 3 for a request that the client is to answer, without waiting: whether its turn is now.
    pub(crate) fn try_rate(&self) -> bool {
        let take = |rate: &Mutex<TokenBucket>| {
            rate.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now(), Duration::ZERO)
        };
        self.rate.as_ref().is_none_or(|rate| take(rate).is_ok())
    }

    /// Stages 2 and 3 for a request of this size that the client is to answer.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::TooMuch`] or [`Error::TooOften`].
    pub(crate) async fn wait_for_rate(&self, size: usize) -> Result<(), Error> {
        let until = Instant::now() + self.deadline;
        let _queued = self.enqueue(size)?;
        self.rated(until).await
    }

    /// Stage 2 for requests that are with the client, which are counted elsewhere: whether there may be so many of so many bytes.
    ///
    /// # Errors
    /// [`Error::TooMany`] or [`Error::TooMuch`].
    pub(crate) fn check_room(&self, requests: usize, bytes: usize) -> Result<(), Error> {
        match requests <= self.concurrent + self.waiting {
            false => Err(self.too_many()),
            true if bytes > self.most_bytes => Err(Error::TooMuch { most: self.most_bytes }),
            true => Ok(()),
        }
    }

    fn too_many(&self) -> Error {
        Error::TooMany { running: self.concurrent, waiting: self.waiting }
    }
}

/// Admission of the calls of one plugin.
#[derive(Debug)]
pub(crate) struct CallAdmission {
    instances: Arc<Semaphore>,
    /// None for handlers, which wait for their providers.
    start: Option<StartPermits>,
    /// The slots of the pool, if the component runs there.
    pool: Option<Arc<Semaphore>>,
    deadline: Duration,
}

/// The permits of one call.
#[derive(Debug)]
pub(crate) struct CallPermits {
    /// Of stages 6 and 8.
    until_the_end: [Option<OwnedSemaphorePermit>; 2],
    start: Option<OwnedSemaphorePermit>,
}

impl CallPermits {
    /// Runs the guest. The permits are returned after the guest's future is dropped, which drops its instance; that of stage 7 after 50 ms.
    pub(crate) async fn run<T>(self, guest: impl Future<Output = T>) -> T {
        let Self { until_the_end, start } = self;
        let _until_the_end = until_the_end;
        start_permits::run(start, guest).await
    }
}

impl CallAdmission {
    /// At most so many `instances`; `starts_are_bounded` for plugins that don't wait for a provider within a call; `pool`: the slots of the pool
    /// that its component runs in.
    pub(crate) fn new(
        instances: usize,
        starts_are_bounded: bool,
        pool: Option<Arc<Semaphore>>,
        deadline: Duration,
    ) -> Self {
        let start = starts_are_bounded.then(StartPermits::new);
        Self { instances: Arc::new(Semaphore::new(instances)), start, pool, deadline }
    }

    /// Runs a call through stages 6 to 8. An error says that its deadline has ended.
    pub(crate) async fn run<T, F: Future<Output = T>>(
        &self,
        call: impl FnOnce(CallPermits) -> F,
    ) -> Result<T, Elapsed> {
        let stages = async {
            // The semaphores are never closed.
            let instance = wait("instances", Arc::clone(&self.instances).acquire_owned()).await.ok();
            let start = match &self.start {
                Some(start) => wait("start", start.acquire()).await,
                None => None,
            };
            let slot = match &self.pool {
                Some(pool) => wait("pool", Arc::clone(pool).acquire_owned()).await.ok(),
                None => None,
            };
            call(CallPermits { until_the_end: [instance, slot], start }).await
        };
        tokio::time::timeout(self.deadline, stages).await
    }

    /// The permits of stage 7.
    #[cfg(test)]
    pub(crate) fn start_permits(&self) -> Option<&Arc<Semaphore>> {
        self.start.as_ref().map(StartPermits::semaphore)
    }
}
