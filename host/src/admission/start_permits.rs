//! Stage 7: how many guests of a plugin start at the same time, four a core. More of them finish none earlier, and each has a memory of its own.

use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The permits of a plugin for each core.
const PER_CORE: usize = 4;

/// How long a guest holds its permit at most, so a guest that runs or waits for long keeps no other from starting. A conversion in an
/// interpreted language takes a few milliseconds.
const HELD: Duration = Duration::from_millis(50);

/// The permits of one plugin.
#[derive(Debug)]
pub(super) struct StartPermits(Arc<Semaphore>);

impl StartPermits {
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(cores * PER_CORE)))
    }

    /// Waits for a permit.
    pub(super) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }

    #[cfg(test)]
    pub(super) fn semaphore(&self) -> &Arc<Semaphore> {
        &self.0
    }
}

/// Runs a guest, which holds its permit for 50 ms at most.
pub(super) async fn run<T>(permit: Option<OwnedSemaphorePermit>, guest: impl Future<Output = T>) -> T {
    let Some(permit) = permit else { return guest.await };
    let mut guest = pin!(guest);
    if let Ok(outcome) = timeout(HELD, &mut guest).await {
        return outcome;
    }
    drop(permit);
    guest.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_guest_that_takes_long_releases_its_permit() {
        let permits = StartPermits(Arc::new(Semaphore::new(1)));
        let first = permits.acquire().await;
        let first = tokio::spawn(run(first, std::future::pending::<()>()));
        let second = permits.acquire().await;
        assert!(!first.is_finished());
        run(second, async { assert_eq!(permits.0.available_permits(), 0) }).await;
        assert_eq!(permits.0.available_permits(), 1);
        first.abort();
    }

    #[tokio::test]
    async fn a_guest_without_a_permit_just_runs() {
        assert_eq!(run(None, async { 1 }).await, 1);
    }
}
