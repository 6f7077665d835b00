//! How fast an answer is taken in: whatever a provider has to say fits in what is read as fast as it comes, and one that pours into us
//! all that its connection carries keeps no core from other requests.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// So many bytes are read as fast as they come, again after a pause.
const AT_ONCE: usize = 1 << 20;

/// Bytes a second beyond these: half a gigabit.
const RATE: usize = 64 << 20;

/// The pace of one answer.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When what has been read would have come at that rate.
    due: Option<Instant>,
}

impl Pace {
    /// Waits until more may be read than these bytes.
    pub(super) async fn keep(&mut self, bytes: usize) {
        if let Some(due) = self.wait(bytes, Instant::now()) {
            sleep_until(due).await;
        }
    }

    /// Until when, if at all.
    fn wait(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let earliest = now.checked_sub(time_for(AT_ONCE)).unwrap_or(now);
        let due = self.due.map_or(earliest, |due| due.max(earliest)) + time_for(bytes);
        self.due = Some(due);
        (due > now).then_some(due)
    }
}

/// What so many bytes take.
#[expect(clippy::cast_precision_loss, reason = "a hair more or less")]
fn time_for(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / RATE as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: usize = 64 << 10;

    /// Reads so much from a provider that always has more, and gives the time that it takes.
    fn pour(pace: &mut Pace, mut now: Instant, bytes: usize) -> Duration {
        let began = now;
        for _ in 0..bytes / PIECE {
            now = pace.wait(PIECE, now).unwrap_or(now);
        }
        now - began
    }

    #[test]
    fn an_ordinary_answer_waits_for_nothing_and_a_flood_for_its_rate() {
        let (mut pace, now) = (Pace::default(), Instant::now() + Duration::from_mins(1));
        assert_eq!(pour(&mut pace, now, AT_ONCE), Duration::ZERO);
        let flood = pour(&mut pace, now, RATE);
        assert!(flood.abs_diff(Duration::from_secs(1)) < Duration::from_millis(1), "{flood:?}");
    }

    #[test]
    fn who_was_silent_for_long_may_say_no_more_at_once_for_that() {
        let (mut pace, now) = (Pace::default(), Instant::now() + Duration::from_mins(1));
        pace.wait(PIECE, now);
        let flood = pour(&mut pace, now + Duration::from_secs(100), RATE + AT_ONCE);
        assert!(flood.abs_diff(Duration::from_secs(1)) < Duration::from_millis(1), "{flood:?}");
    }
}
