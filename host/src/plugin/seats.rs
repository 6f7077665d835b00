//! How many guests of a plugin begin at once. More than a few for each core get none of them done earlier, and each has a memory of its own.
//!
//! Who has begun some time ago leaves its seat to others: a guest that runs or waits for long keeps nobody from beginning.

use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// For each core.
const SEATS: usize = 4;

/// How long a guest has its seat at most; a conversion in an interpreted language takes a few milliseconds.
const HELD: Duration = Duration::from_millis(50);

/// The seats of one plugin.
pub(super) fn new() -> Arc<Semaphore> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(cores * SEATS))
}

/// Waits for a seat.
pub(super) async fn take(seats: Option<&Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    // The semaphore is never closed.
    Arc::clone(seats?).acquire_owned().await.ok()
}

/// Runs a guest that has a seat.
pub(super) async fn hold<T>(seat: Option<OwnedSemaphorePermit>, guest: impl Future<Output = T>) -> T {
    let Some(seat) = seat else { return guest.await };
    let mut guest = pin!(guest);
    if let Ok(outcome) = timeout(HELD, &mut guest).await {
        return outcome;
    }
    drop(seat);
    guest.await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::plugin::{Engine, Plugin};

    async fn echo(engine: &Arc<Engine>) -> Plugin {
        let config = Config::parse("{}", Path::new("a test")).unwrap().plugin("echo", |_| None).unwrap();
        Plugin::load(Arc::clone(engine), &config).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_waits_for_a_seat_and_plugins_of_one_component_share_its_code_but_not_their_seats() {
        let engine = Engine::new(None).unwrap();
        let (plugin, other) = (echo(&engine).await, echo(&engine).await);
        assert!(Arc::ptr_eq(&plugin.loaded, &other.loaded));
        let seats = Arc::clone(plugin.seats.as_ref().unwrap());
        let all = seats.acquire_many(u32::try_from(seats.available_permits()).unwrap()).await.unwrap();
        let mut call = pin!(plugin.describe());
        assert!(futures_util::poll!(&mut call).is_pending());
        assert_eq!(other.describe().await.unwrap().name, "echo");
        assert!(futures_util::poll!(&mut call).is_pending());
        drop(all);
        assert_eq!(call.await.unwrap().name, "echo");
    }

    #[tokio::test]
    async fn who_takes_long_leaves_its_seat() {
        let seats = Arc::new(Semaphore::new(1));
        let first = take(Some(&seats)).await;
        let first = tokio::spawn(hold(first, std::future::pending::<()>()));
        let second = take(Some(&seats)).await;
        assert!(!first.is_finished());
        hold(second, async { assert_eq!(seats.available_permits(), 0) }).await;
        assert_eq!(seats.available_permits(), 1);
        first.abort();
    }

    #[tokio::test]
    async fn who_needs_none_waits_for_none() {
        assert!(take(None).await.is_none());
        assert_eq!(hold(None, async { 1 }).await, 1);
    }
}
