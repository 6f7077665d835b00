//! Fair queuing between servers: while more than one server has requests in flight, a server with more than two requests a core yields to the
//! others. Each step of each of its requests then waits for one of a few permits, and for the runtime to have nothing else to do. However
//! many requests a server makes, the others hardly notice.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

use super::Scheduling;
use crate::gauge::GaugeGuard;
use crate::timeline::Timeline;

/// The requests for each core up to which a server doesn't yield.
const FEW: usize = 2;

/// One server's queue.
#[derive(Debug)]
pub(crate) struct FairQueue {
    scheduling: Scheduling,
    few: usize,
    /// The requests in flight: this server's, and those of all servers.
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
    /// For the steps of requests that yield: half of the cores.
    permits: Arc<Semaphore>,
}

impl FairQueue {
    /// The queue of one server; `all` counts the requests of all servers.
    pub(crate) fn new(all: Arc<AtomicUsize>, scheduling: Scheduling) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let permits = Arc::new(Semaphore::new((cores / 2).max(1)));
        Self { scheduling, few: cores * FEW, own: AtomicUsize::new(0), all, permits }
    }

    /// Runs a request. While its server crowds out others, each poll of it waits for a permit first, and then for the other tasks of the
    /// runtime. It holds no permit while it waits for its provider.
    pub(crate) async fn run<T>(&self, mut request: Pin<&mut impl Future<Output = T>>) -> T {
        let _counted = (GaugeGuard::add(&self.own, 1), GaugeGuard::add(&self.all, 1));
        let mut permits = PollSemaphore::new(Arc::clone(&self.permits));
        let (mut permit, mut is_waiting) = (None, false);
        let (timeline, mut since) = (Timeline::current(), None);
        std::future::poll_fn(|context| {
            // `PollSemaphore` assigns the next permit to this waiter: if we stopped polling it, that permit would be lost.
            if permit.is_none() && (is_waiting || self.is_crowding()) {
                is_waiting = true;
                if timeline.is_some() {
                    since.get_or_insert_with(Instant::now);
                }
                permit = Some(ready!(permits.poll_acquire(context)));
                is_waiting = false;
                return after_others(context);
            }
            if let (Some(timeline), Some(since)) = (&timeline, since.take()) {
                timeline.add("fair queue", since.elapsed());
            }
            let polled = request.as_mut().poll(context);
            permit = None;
            polled
        })
        .await
    }

    /// Whether this server has more than a few requests in flight while others have some.
    fn is_crowding(&self) -> bool {
        let own = self.own.load(Ordering::Relaxed);
        self.scheduling == Scheduling::On && own > self.few && self.all.load(Ordering::Relaxed) > own
    }
}

/// Yields to the scheduler of the runtime, to be polled when its other tasks have been, or now and then if some are always ready.
fn after_others<T>(context: &mut Context<'_>) -> Poll<T> {
    let _ = pin!(tokio::task::yield_now()).poll(context);
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Mutex;

    use futures_util::poll;
    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;

    /// A server for which one request is few, and others that have so many.
    fn queue(of_others: usize) -> Arc<FairQueue> {
        let (all, permits, scheduling) =
            (Arc::new(AtomicUsize::new(of_others)), Arc::new(Semaphore::new(1)), Scheduling::On);
        Arc::new(FairQueue { scheduling, few: 1, own: AtomicUsize::new(0), all, permits })
    }

    async fn run<T>(queue: &FairQueue, request: impl Future<Output = T>) -> T {
        queue.run(pin!(request)).await
    }

    fn counts(queue: &FairQueue) -> (usize, usize, usize) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&queue.own), count(&queue.all), queue.permits.available_permits())
    }

    #[tokio::test]
    async fn a_server_that_is_alone_or_has_few_requests_waits_for_no_other() {
        for (of_others, own) in [(0, 3), (1, 1)] {
            let queue = queue(of_others);
            let _others: Vec<_> = (1..own).map(|_| GaugeGuard::add(&queue.own, 1)).collect();
            let _of_all: Vec<_> = (1..own).map(|_| GaugeGuard::add(&queue.all, 1)).collect();
            let mut request = pin!(run(&queue, async { counts(&queue) }));
            assert_eq!(poll!(&mut request), Poll::Ready((own, own + of_others, 1)));
        }
    }

    #[tokio::test]
    async fn what_crowds_is_polled_when_no_other_task_is_ready() {
        let (queue, done) = (queue(1), Arc::new(Mutex::new(Vec::new())));
        let _waits = GaugeGuard::add(&queue.own, 1);
        let _of_all = GaugeGuard::add(&queue.all, 1);
        let mut tasks = JoinSet::new();
        for name in ["crowd", "crowd", "other", "other"] {
            let (queue, done) = (Arc::clone(&queue), Arc::clone(&done));
            tasks.spawn(async move {
                let work = async {
                    if name == "crowd" {
                        assert_eq!(queue.permits.available_permits(), 0, "without a permit");
                    }
                    done.lock().unwrap().push(name);
                };
                if name == "crowd" { queue.run(pin!(work)).await } else { work.await }
            });
        }
        tasks.join_all().await;
        assert_eq!(*done.lock().unwrap(), ["other", "other", "crowd", "crowd"]);
        assert_eq!(counts(&queue), (1, 2, 1));
    }

    #[tokio::test]
    async fn a_request_that_waits_for_a_provider_holds_no_permit_and_comes_back_for_one() {
        let queue = queue(1);
        let (answer, wait) = oneshot::channel();
        let (mut first, mut second) = (pin!(run(&queue, wait)), pin!(run(&queue, pending::<()>())));
        // Its own first request is few. The second crowds.
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending());
        assert_eq!(queue.permits.available_permits(), 0);
        assert!(poll!(&mut second).is_pending());
        assert_eq!(queue.permits.available_permits(), 1);
        answer.send("an answer").unwrap();
        assert!(poll!(&mut first).is_pending());
        assert_eq!(queue.permits.available_permits(), 0);
        assert_eq!(poll!(&mut first), Poll::Ready(Ok("an answer")));
        assert_eq!(queue.permits.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_permit_is_returned_though_no_server_crowds_any_more_or_the_request_is_cancelled() {
        let queue = queue(1);
        let mut first = Box::pin(run(&queue, pending::<()>()));
        let mut others = [Box::pin(run(&queue, pending::<()>())), Box::pin(run(&queue, pending::<()>()))];
        assert!(poll!(&mut first).is_pending());
        for other in &mut others {
            assert!(poll!(other).is_pending());
        }
        let [one, mut another] = others;
        assert_eq!(counts(&queue), (3, 4, 0));
        // The other one gets the permit, and finds that it is alone.
        drop(one);
        queue.all.fetch_sub(1, Ordering::Relaxed);
        assert!(!queue.is_crowding());
        for _ in 0..2 {
            assert!(poll!(&mut another).is_pending());
        }
        assert_eq!(counts(&queue), (2, 2, 1));
        drop((first, another));
        assert_eq!(counts(&queue), (0, 0, 1));
    }

    #[tokio::test]
    async fn with_scheduling_off_a_server_that_crowds_waits_for_no_other() {
        let (all, scheduling) = (Arc::new(AtomicUsize::new(1)), Scheduling::Off);
        let permits = Arc::new(Semaphore::new(1));
        let queue = FairQueue { scheduling, few: 0, own: AtomicUsize::new(0), all, permits };
        assert_eq!(poll!(&mut pin!(run(&queue, async { counts(&queue) }))), Poll::Ready((1, 2, 1)));
    }
}
