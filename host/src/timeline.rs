//! Where the time of one request goes: a line of the log for each request at level `info` (`-v`).
//!
//! ```text
//! INFO understudy::time: 812ms: rate 200ms, running 12ms, plugin `anthropic` 1.1ms, provider 598ms request="4711-3"
//! ```
//!
//! Waits are recorded only if they don't end at once, and each is a span (target `understudy::time`, level `debug`) for a collector of spans.
//! While neither level is enabled, nothing is formatted and no clock is read.

use std::fmt::Write as _;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tracing::{Instrument as _, Level};

/// The target of the lines and the spans.
const TARGET: &str = "understudy::time";

tokio::task_local! {
    static CURRENT: Timeline;
}

/// The times of one request, by what they were spent on, in the order in which that came first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline(Arc<Mutex<Vec<(String, Duration)>>>);

impl Timeline {
    /// The timeline of the request that this task works on, if one is kept.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Adds a time to what has been spent on this.
    pub(crate) fn add(&self, what: &str, time: Duration) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match spent.iter_mut().find(|(name, _)| name == what) {
            Some((_, sum)) => *sum += time,
            None => spent.push((what.to_owned(), time)),
        }
    }

    fn in_words(&self) -> String {
        let mut text = String::new();
        for (what, time) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // Writing to a string doesn't fail.
            let _ = write!(text, "{}{what} {time:.1?}", if text.is_empty() { ": " } else { ", " });
        }
        text
    }
}

/// Logs the timeline when the request ends, also by being dropped.
struct LogLine<'a> {
    request: &'a str,
    began: Instant,
    timeline: Timeline,
}

impl Drop for LogLine<'_> {
    fn drop(&mut self) {
        let (request, all, rest) = (self.request, self.began.elapsed(), self.timeline.in_words());
        tracing::info!(target: TARGET, request, "{all:.1?}{rest}");
    }
}

/// Runs a request, and keeps its timeline if the log wants it.
pub(crate) async fn keep<T>(request: &str, work: impl Future<Output = T>) -> T {
    let work = pin!(work);
    if !tracing::enabled!(target: TARGET, Level::INFO) {
        return work.await;
    }
    let line = LogLine { request, began: Instant::now(), timeline: Timeline::default() };
    CURRENT.scope(line.timeline.clone(), work).await
}

/// Does a piece of work, whose time is added to the timeline if one is kept.
pub(crate) async fn timed<T>(what: impl FnOnce() -> String, work: impl Future<Output = T>) -> T {
    let work = pin!(work);
    let Some(timeline) = Timeline::current() else { return work.await };
    let began = Instant::now();
    let done = work.await;
    timeline.add(&what(), began.elapsed());
    done
}

/// Waits; a wait that doesn't end at once is a span, and is added to the timeline if one is kept.
pub(crate) async fn wait<T>(what: &'static str, wait: impl Future<Output = T>) -> T {
    let mut wait = pin!(wait);
    if let Poll::Ready(done) = std::future::poll_fn(|context| Poll::Ready(wait.as_mut().poll(context))).await {
        return done;
    }
    let wait = wait.instrument(tracing::debug_span!(target: TARGET, "wait", what));
    timed(|| what.to_owned(), wait).await
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn only_waits_that_do_not_end_at_once_are_added_and_those_of_one_name_together() {
        let timeline = Timeline::default();
        let work = async {
            wait("nothing", std::future::ready(())).await;
            wait("rate", sleep(Duration::from_millis(2))).await;
            wait("running", sleep(Duration::from_millis(1))).await;
            wait("rate", sleep(Duration::from_millis(2))).await;
            timed(|| "plugin `p`".to_owned(), std::future::ready(())).await;
        };
        CURRENT.scope(timeline.clone(), work).await;
        let spent: Vec<String> = timeline.0.lock().unwrap().iter().map(|(what, _)| what.clone()).collect();
        assert_eq!(spent, ["rate", "running", "plugin `p`"]);
        assert!(timeline.in_words().starts_with(": rate "), "{}", timeline.in_words());
        assert!(Timeline::current().is_none());
    }

    #[tokio::test]
    async fn without_a_log_that_wants_it_no_timeline_is_kept() {
        assert!(keep("1", async { Timeline::current() }).await.is_none());
        timed(|| unreachable!("nothing is formatted"), std::future::ready(())).await;
        wait("rate", sleep(Duration::from_millis(1))).await;
    }
}
