//! How often a server may ask: a token bucket, and waiting for a token.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket. A level below zero stands for requests that wait.
#[derive(Debug)]
pub struct TokenBucket {
    /// The tokens that it holds at most, and that are added in each `period`.
    most: u32,
    period: Duration,
    left: f64,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(most: u32, period: Duration, now: Instant) -> Self {
        Self { most, period, left: f64::from(most), at: now }
    }

    /// The tokens that it holds at most.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.most
    }

    /// Takes a token, which is there after the time that is returned.
    ///
    /// # Errors
    /// The time, if it is longer than `patience`; then no token is taken.
    pub fn take(&mut self, now: Instant, patience: Duration) -> Result<Duration, Duration> {
        // A bucket of size zero is never filled.
        let each = self.period.as_secs_f64() / f64::from(self.most.max(1));
        let filled = now.saturating_duration_since(self.at).as_secs_f64() / each;
        self.left = (self.left + filled).min(f64::from(self.most));
        self.at = now;
        let wait =
            if self.most == 0 { self.period } else { Duration::from_secs_f64((1.0 - self.left).max(0.0) * each) };
        if wait > patience {
            return Err(wait);
        }
        self.left -= 1.0;
        Ok(wait)
    }
}

/// A request that waits for its token. Dropping it returns the token.
pub(crate) struct RateWait<'a> {
    rate: &'a Mutex<TokenBucket>,
    is_over: bool,
}

impl<'a> RateWait<'a> {
    /// Waits for a token, for `patience` at most.
    ///
    /// # Errors
    /// The time that it would have taken.
    pub(crate) async fn wait(rate: &'a Mutex<TokenBucket>, patience: Duration) -> Result<(), Duration> {
        let wait = rate.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now(), patience)?;
        if wait.is_zero() {
            return Ok(());
        }
        let mut waiting = Self { rate, is_over: false };
        tokio::time::sleep(wait).await;
        waiting.is_over = true;
        Ok(())
    }
}

impl Drop for RateWait<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.rate.lock().unwrap_or_else(PoisonError::into_inner).left += 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use std::pin::pin;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_minutes_worth_can_come_at_once_and_then_as_time_goes_by() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut rate = TokenBucket::new(30, MINUTE, start);
        let now = Duration::ZERO;
        assert!((0..30).all(|_| rate.take(start, now) == Ok(now)));
        assert_eq!(rate.take(start, now), Err(Duration::from_secs(2)));
        assert_eq!(rate.take(at(1.0), now), Err(Duration::from_secs(1)));
        assert_eq!(rate.take(at(2.001), now), Ok(now));
        assert!(rate.take(at(2.001), now).is_err());
        // An hour's pause saves up no more than a minute's worth.
        assert_eq!((0..100).filter(|_| rate.take(at(3600.0), now).is_ok()).count(), 30);
    }

    #[test]
    fn whoever_waits_comes_after_those_that_wait_already_and_nobody_waits_longer_than_its_patience() {
        let start = Instant::now();
        let mut rate = TokenBucket::new(60, MINUTE, start);
        let patience = Duration::from_secs(3);
        let waits: Vec<_> = (0..65).map(|_| rate.take(start, patience).map(|wait| wait.as_secs())).collect();
        assert!(waits[..60].iter().all(|wait| *wait == Ok(0)));
        assert_eq!(waits[60..63], [Ok(1), Ok(2), Ok(3)]);
        assert!(waits[63..].iter().all(|wait| *wait == Err(Duration::from_secs(4))), "{waits:?}");
        let mut none = TokenBucket::new(0, MINUTE, start);
        assert_eq!(none.take(start + MINUTE, Duration::ZERO), Err(MINUTE));
    }

    #[tokio::test]
    async fn a_turn_that_nobody_waits_for_any_more_is_anothers() {
        let rate = Mutex::new(TokenBucket::new(1, MINUTE, Instant::now()));
        let patience = Duration::from_mins(2);
        RateWait::wait(&rate, patience).await.unwrap();
        let left = || rate.lock().unwrap().left;
        {
            let mut second = pin!(RateWait::wait(&rate, patience));
            assert!(poll!(&mut second).is_pending());
            assert!(left() < -0.9);
        }
        assert!(left() > -0.1, "{}", left());
    }
}
