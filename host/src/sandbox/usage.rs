//! The peaks of CPU time and memory of a plugin's calls, by the exported function.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// CPU time and memory of a call, or the peaks of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeakUsage {
    /// CPU time.
    pub cpu: Duration,
    /// Bytes in memories and tables.
    pub memory: usize,
}

/// The peaks so far.
#[derive(Debug, Clone, Default)]
pub(super) struct UsageRecorder(Arc<Mutex<BTreeMap<&'static str, PeakUsage>>>);

impl UsageRecorder {
    pub(super) fn record(&self, call: &'static str, used: PeakUsage) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = all.entry(call).or_default();
        *most = PeakUsage { cpu: most.cpu.max(used.cpu), memory: most.memory.max(used.memory) };
    }

    pub(super) fn peaks(&self) -> BTreeMap<&'static str, PeakUsage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_each_call_is_kept() {
        let usage = UsageRecorder::default();
        let used = |ms, memory| PeakUsage { cpu: Duration::from_millis(ms), memory };
        usage.record("start", used(2, 10));
        usage.record("start", used(1, 20));
        usage.record("resume", used(5, 5));
        assert_eq!(usage.peaks(), BTreeMap::from([("start", used(2, 20)), ("resume", used(5, 5))]));
    }
}
