//! Revisions of the protocol, and the two eras that they belong to.
//!
//! Revisions are dates, so that a later one is greater as a text.

/// The first revision: HTTP+SSE.
pub const V2024_11_05: &str = "2024-11-05";
/// Streamable HTTP, and batches.
pub const V2025_03_26: &str = "2025-03-26";
/// No batches any more; elicitation.
pub const V2025_06_18: &str = "2025-06-18";
/// `sampling.tools`, `sampling.context`, tasks; streams that begin with an event to resume from.
pub const V2025_11_25: &str = "2025-11-25";
/// No sessions; `input_required`.
pub const V2026_07_28: &str = "2026-07-28";

/// The revisions that have sessions, the newest first.
pub const STATEFUL: [&str; 4] = [V2025_11_25, V2025_06_18, V2025_03_26, V2024_11_05];
/// The revisions that have none, the newest first. `envelope` here, and `discover` and the bridges in the relay, compare with [`LATEST_STATELESS`]
/// alone: they need a change before a second revision is added.
pub const STATELESS: [&str; 1] = [V2026_07_28];

/// The newest revision that has sessions.
pub const LATEST_STATEFUL: &str = V2025_11_25;
/// The newest revision that has none.
pub const LATEST_STATELESS: &str = V2026_07_28;

/// The last revision whose peers may send batches.
pub const LAST_WITH_BATCHES: &str = V2025_03_26;
/// The first revision whose clients know an event without data as a point to resume from.
pub const FIRST_WITH_RESUME_POINTS: &str = V2025_11_25;
/// The first revision that has `sampling.tools` and `sampling.context`.
pub const FIRST_WITH_SAMPLING_PARTS: &str = V2025_11_25;
/// The only revision that has tasks in it. Later ones have them in an extension.
pub const ONLY_WITH_TASKS: &str = V2025_11_25;

/// How a connection is begun, and what a request may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: `initialize` begins a session.
    Stateful,
    /// Since 2026-07-28: each request stands by itself.
    Stateless,
}

impl Era {
    /// The era of a revision; `None` if it isn't one of those that are listed here.
    #[must_use]
    pub fn of(revision: &str) -> Option<Self> {
        if STATELESS.contains(&revision) {
            Some(Self::Stateless)
        } else {
            STATEFUL.contains(&revision).then_some(Self::Stateful)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_ordered_by_their_dates_and_belong_to_one_era() {
        let all: Vec<&str> = STATELESS.into_iter().chain(STATEFUL).collect();
        assert!(all.is_sorted_by(|newer, older| newer > older), "{all:?}");
        assert_eq!(Era::of(LATEST_STATEFUL), Some(Era::Stateful));
        assert_eq!((Era::of(LATEST_STATELESS), Era::of("2027-01-01")), (Some(Era::Stateless), None));
    }
}
