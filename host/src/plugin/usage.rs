//! The most that a plugin's calls have used: CPU time and memory, by the exported function.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What one call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// CPU time.
    pub cpu: Duration,
    /// Bytes in memories and tables.
    pub memory: usize,
}

/// The most so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage(Arc<Mutex<BTreeMap<&'static str, Used>>>);

impl Usage {
    pub(super) fn record(&self, call: &'static str, used: Used) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = all.entry(call).or_default();
        *most = Used { cpu: most.cpu.max(used.cpu), memory: most.memory.max(used.memory) };
    }

    pub(super) fn most(&self) -> BTreeMap<&'static str, Used> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_each_call_is_kept() {
        let usage = Usage::default();
        let used = |ms, memory| Used { cpu: Duration::from_millis(ms), memory };
        usage.record("start", used(2, 10));
        usage.record("start", used(1, 20));
        usage.record("resume", used(5, 5));
        assert_eq!(usage.most(), BTreeMap::from([("start", used(2, 20)), ("resume", used(5, 5))]));
    }
}
