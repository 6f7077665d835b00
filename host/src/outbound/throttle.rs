//! Throttles reading a response to 64 MiB a second after the first mebibyte. An ordinary response is never throttled; a provider that floods
//! a fast connection would otherwise keep a core busy.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The bytes that are read unthrottled, again after a pause.
const AT_ONCE: usize = 1 << 20;

/// Bytes a second beyond that: half a gigabit.
const RATE: usize = 64 << 20;

/// The throttle of one response.
#[derive(Debug, Default)]
pub(super) struct ReadThrottle {
    /// When the bytes that have been read are due at that rate.
    due: Option<Instant>,
}

impl ReadThrottle {
    /// Counts these bytes, and waits until more may be read.
    pub(super) async fn pass(&mut self, bytes: usize) {
        if let Some(due) = self.wait(bytes, Instant::now()) {
            sleep_until(due).await;
        }
    }

    /// Until when to wait, if at all.
    fn wait(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let earliest = now.checked_sub(time_for(AT_ONCE)).unwrap_or(now);
        let due = self.due.map_or(earliest, |due| due.max(earliest)) + time_for(bytes);
        self.due = Some(due);
        (due > now).then_some(due)
    }
}

/// The time that these bytes take.
#[expect(clippy::cast_precision_loss, reason = "a hair more or less")]
fn time_for(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / RATE as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: usize = 64 << 10;

    /// Reads so much from a provider that always has more, and gives the time that it takes.
    fn pour(throttle: &mut ReadThrottle, mut now: Instant, bytes: usize) -> Duration {
        let began = now;
        for _ in 0..bytes / PIECE {
            now = throttle.wait(PIECE, now).unwrap_or(now);
        }
        now - began
    }

    #[test]
    fn an_ordinary_answer_waits_for_nothing_and_a_flood_for_its_rate() {
        let (mut throttle, now) = (ReadThrottle::default(), Instant::now() + Duration::from_mins(1));
        assert_eq!(pour(&mut throttle, now, AT_ONCE), Duration::ZERO);
        let flood = pour(&mut throttle, now, RATE);
        assert!(flood.abs_diff(Duration::from_secs(1)) < Duration::from_millis(1), "{flood:?}");
    }

    #[test]
    fn a_pause_saves_up_no_more_than_the_unthrottled_bytes() {
        let (mut throttle, now) = (ReadThrottle::default(), Instant::now() + Duration::from_mins(1));
        throttle.wait(PIECE, now);
        let flood = pour(&mut throttle, now + Duration::from_secs(100), RATE + AT_ONCE);
        assert!(flood.abs_diff(Duration::from_secs(1)) < Duration::from_millis(1), "{flood:?}");
    }
}
