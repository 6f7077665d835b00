//! Whether a failed exchange is tried again, and when. Pure.

use std::time::Duration;

use crate::error::Error;
use crate::wit::understudy::plugin::types as wit;

/// The first wait, doubled for each further one, up to the longest.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(16);

/// How long to wait before the next attempt; `None` if there is to be none.
///
/// Connection failures and the provider's `rate-limited`, `overloaded` and `unavailable` may pass: those are tried again, up to
/// `retries` times, as long as the wait ends within the time `left`. The provider's own word on when to come back counts; else the
/// wait doubles, and `jitter` (0 to 1) spreads it over its upper half so that many requests don't come back together.
#[must_use]
pub fn wait(error: &Error, attempt: u32, retries: u32, left: Duration, jitter: f64) -> Option<Duration> {
    let told = match error {
        Error::Unreachable { .. } => None,
        Error::Guest { error: wit::Error::Provider(provider), .. } => match provider.kind.as_str() {
            "rate-limited" | "overloaded" | "unavailable" => provider.retry_after_ms.map(Duration::from_millis),
            _ => return None,
        },
        _ => return None,
    };
    let doubled = FIRST.saturating_mul(1 << attempt.min(10)).min(LONGEST);
    let wait = told.unwrap_or_else(|| doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0));
    (attempt < retries && wait < left).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Duration = Duration::from_mins(1);

    fn said(kind: &str, retry_after_ms: Option<u64>) -> Error {
        let error = wit::Error::Provider(wit::ProviderError {
            kind: kind.to_owned(),
            status: None,
            message: String::new(),
            retry_after_ms,
            extensions: String::new(),
        });
        Error::Guest { plugin: "p".to_owned(), error }
    }

    fn unreachable() -> Error {
        Error::Unreachable { plugin: String::new(), origin: String::new(), reason: String::new(), sent: false }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_nothing_else() {
        for kind in ["rate-limited", "overloaded", "unavailable"] {
            assert!(wait(&said(kind, None), 0, 1, LEFT, 0.0).is_some(), "{kind}");
        }
        for kind in ["unauthorized", "invalid-request", "quota-exceeded", "internal", "context-too-long", "new"] {
            assert_eq!(wait(&said(kind, Some(1)), 0, 1, LEFT, 0.0), None, "{kind}");
        }
        assert!(wait(&unreachable(), 0, 1, LEFT, 0.0).is_some());
        assert_eq!(wait(&Error::Deadline { after: LEFT }, 0, 1, LEFT, 0.0), None);
        let unsupported = wit::Error::Unsupported(wit::Failure { message: String::new(), extensions: String::new() });
        assert_eq!(wait(&Error::Guest { plugin: String::new(), error: unsupported }, 0, 1, LEFT, 0.0), None);
    }

    #[test]
    fn the_wait_doubles_with_jitter_and_ends() {
        let ms = |attempt, jitter| wait(&unreachable(), attempt, 99, LEFT, jitter).unwrap().as_millis();
        assert_eq!((ms(0, 0.0), ms(0, 1.0)), (250, 500));
        assert_eq!((ms(1, 1.0), ms(2, 1.0), ms(50, 1.0)), (1000, 2000, 16_000));
        assert_eq!(wait(&unreachable(), 2, 2, LEFT, 0.0), None);
    }

    #[test]
    fn the_provider_says_when_to_come_back_and_a_wait_beyond_the_deadline_is_none() {
        assert_eq!(wait(&said("rate-limited", Some(7000)), 0, 1, LEFT, 0.5), Some(Duration::from_secs(7)));
        assert_eq!(wait(&said("rate-limited", Some(61_000)), 0, 1, LEFT, 0.5), None);
    }
}
