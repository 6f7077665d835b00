//! Who has many requests lets others go first: while several servers have some to be answered, one that has more than a few works on few of
//! them in the same moment, and only when nobody else has anything to do. However many it makes, the others hardly notice.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::thread;

use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

use crate::held::Held;

/// So many requests for each core are few.
const FEW: usize = 2;

/// One server's share of the processor.
#[derive(Debug)]
pub(super) struct Share {
    few: usize,
    /// The requests that are being answered: this server's, and those of all.
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
    /// For requests that let others go first: half of the cores.
    places: Arc<Semaphore>,
}

impl Share {
    pub(super) fn new(all: Arc<AtomicUsize>) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let places = Arc::new(Semaphore::new((cores / 2).max(1)));
        Self { few: cores * FEW, own: AtomicUsize::new(0), all, places }
    }

    /// Answers a request. As long as its server has more than a few while others have some, it waits each time that there is something to
    /// do for it: for a place, and then for the others. While it waits for its provider it has no place.
    pub(super) async fn work<T>(&self, mut request: Pin<&mut impl Future<Output = T>>) -> T {
        let _counted = (Held::new(&self.own, 1), Held::new(&self.all, 1));
        let mut places = PollSemaphore::new(Arc::clone(&self.places));
        let (mut place, mut is_waiting) = (None, false);
        std::future::poll_fn(|context| {
            // Whoever began to wait for a place must take it: once it is given nobody else has it.
            if place.is_none() && (is_waiting || self.is_crowding()) {
                is_waiting = true;
                place = Some(ready!(places.poll_acquire(context)));
                is_waiting = false;
                return after_others(context);
            }
            let polled = request.as_mut().poll(context);
            place = None;
            polled
        })
        .await
    }

    fn is_crowding(&self) -> bool {
        let own = self.own.load(Ordering::Relaxed);
        own > self.few && self.all.load(Ordering::Relaxed) > own
    }
}

/// Has the runtime come back when nobody else has anything to do; or now and then, if somebody always has.
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
    fn share(of_others: usize) -> Arc<Share> {
        let (all, places) = (Arc::new(AtomicUsize::new(of_others)), Arc::new(Semaphore::new(1)));
        Arc::new(Share { few: 1, own: AtomicUsize::new(0), all, places })
    }

    async fn work<T>(share: &Share, request: impl Future<Output = T>) -> T {
        share.work(pin!(request)).await
    }

    fn counts(share: &Share) -> (usize, usize, usize) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&share.own), count(&share.all), share.places.available_permits())
    }

    #[tokio::test]
    async fn who_is_alone_or_has_few_requests_waits_for_nobody() {
        for (of_others, own) in [(0, 3), (1, 1)] {
            let share = share(of_others);
            let _others: Vec<_> = (1..own).map(|_| Held::new(&share.own, 1)).collect();
            let _of_all: Vec<_> = (1..own).map(|_| Held::new(&share.all, 1)).collect();
            let mut request = pin!(work(&share, async { counts(&share) }));
            assert_eq!(poll!(&mut request), Poll::Ready((own, own + of_others, 1)));
        }
    }

    #[tokio::test]
    async fn what_crowds_is_worked_on_when_nobody_else_has_anything_to_do() {
        let (share, done) = (share(1), Arc::new(Mutex::new(Vec::new())));
        let _waits = Held::new(&share.own, 1);
        let _of_all = Held::new(&share.all, 1);
        let mut tasks = JoinSet::new();
        for name in ["crowd", "crowd", "other", "other"] {
            let (share, done) = (Arc::clone(&share), Arc::clone(&done));
            tasks.spawn(async move {
                let work = async {
                    if name == "crowd" {
                        assert_eq!(share.places.available_permits(), 0, "without a place");
                    }
                    done.lock().unwrap().push(name);
                };
                if name == "crowd" { share.work(pin!(work)).await } else { work.await }
            });
        }
        tasks.join_all().await;
        assert_eq!(*done.lock().unwrap(), ["other", "other", "crowd", "crowd"]);
        assert_eq!(counts(&share), (1, 2, 1));
    }

    #[tokio::test]
    async fn who_waits_for_a_provider_has_no_place_and_comes_back_for_one() {
        let share = share(1);
        let (answer, wait) = oneshot::channel();
        let (mut first, mut second) = (pin!(work(&share, wait)), pin!(work(&share, pending::<()>())));
        // Its own first request is few. The second crowds.
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending());
        assert_eq!(share.places.available_permits(), 0);
        assert!(poll!(&mut second).is_pending());
        assert_eq!(share.places.available_permits(), 1);
        answer.send("an answer").unwrap();
        assert!(poll!(&mut first).is_pending());
        assert_eq!(share.places.available_permits(), 0);
        assert_eq!(poll!(&mut first), Poll::Ready(Ok("an answer")));
        assert_eq!(share.places.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_place_is_given_back_though_nobody_crowds_any_more_or_the_request_is_cancelled() {
        let share = share(1);
        let mut first = Box::pin(work(&share, pending::<()>()));
        let mut others = [Box::pin(work(&share, pending::<()>())), Box::pin(work(&share, pending::<()>()))];
        assert!(poll!(&mut first).is_pending());
        for other in &mut others {
            assert!(poll!(other).is_pending());
        }
        let [one, mut another] = others;
        assert_eq!(counts(&share), (3, 4, 0));
        // The other one gets the place, and finds that it is alone.
        drop(one);
        share.all.fetch_sub(1, Ordering::Relaxed);
        assert!(!share.is_crowding());
        for _ in 0..2 {
            assert!(poll!(&mut another).is_pending());
        }
        assert_eq!(counts(&share), (2, 2, 1));
        drop((first, another));
        assert_eq!(counts(&share), (0, 0, 1));
    }
}
