//! What a server may ask: how much, and how often at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use understudy_mcp_types::CreateMessageRequestParams;

use crate::config::{Limits, Sampling};
use crate::error::Error;

/// One server's policy.
#[derive(Debug)]
pub struct Policy {
    /// Those that run.
    running: Semaphore,
    /// Those that run or wait.
    places: Semaphore,
    /// The bytes of the requests that run or wait.
    bytes: AtomicUsize,
    most_bytes: usize,
    concurrent: usize,
    waiting: usize,
    max_tokens: Option<u32>,
}

/// The right to run; given back when dropped.
#[derive(Debug)]
pub struct Place<'a> {
    _running: SemaphorePermit<'a>,
    _waiting: SemaphorePermit<'a>,
    _bytes: Held<'a>,
}

/// Bytes that are held; given back when dropped.
#[derive(Debug)]
struct Held<'a> {
    all: &'a AtomicUsize,
    size: usize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.size, Ordering::AcqRel);
    }
}

impl Policy {
    /// The policy that the config gives a server.
    #[must_use]
    pub fn new(rule: &Sampling, limits: &Limits) -> Self {
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS / 4);
        let (concurrent, waiting) = (size(limits.concurrent), size(limits.waiting));
        Self {
            running: Semaphore::new(concurrent),
            places: Semaphore::new(concurrent + waiting),
            bytes: AtomicUsize::new(0),
            most_bytes: limits.sampling_total.max(limits.sampling_request),
            concurrent,
            waiting,
            max_tokens: rule.max_tokens,
        }
    }

    /// Lowers what the config caps.
    #[must_use]
    pub fn clamp(&self, mut request: CreateMessageRequestParams) -> CreateMessageRequestParams {
        if let Some(most) = self.max_tokens {
            request.max_tokens = request.max_tokens.min(most.into());
        }
        request
    }

    /// Waits for a place to run, in order of arrival, with a request of this size.
    ///
    /// # Errors
    /// If too many are waiting already, or hold too much.
    pub async fn admit(&self, size: usize) -> Result<Place<'_>, Error> {
        let bytes = Held { all: &self.bytes, size };
        if self.bytes.fetch_add(size, Ordering::AcqRel).saturating_add(size) > self.most_bytes {
            return Err(Error::TooMuch { most: self.most_bytes });
        }
        let too_many = |_| Error::TooMany { running: self.concurrent, waiting: self.waiting };
        let place = self.places.try_acquire().map_err(too_many)?;
        let running = self.running.acquire().await;
        // The semaphore is never closed.
        let running = running.map_err(|_| Error::TooMany { running: self.concurrent, waiting: self.waiting })?;
        Ok(Place { _running: running, _waiting: place, _bytes: bytes })
    }
}
