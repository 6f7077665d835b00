//! A gauge: a shared counter of what is in use, and guards that each hold a part of it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A part of a gauge; subtracted when dropped.
#[derive(Debug)]
pub(crate) struct GaugeGuard<'a> {
    gauge: &'a AtomicUsize,
    size: usize,
}

impl<'a> GaugeGuard<'a> {
    /// Adds `size` to the gauge; the guard, and the sum with it.
    pub(crate) fn add(gauge: &'a AtomicUsize, size: usize) -> (Self, usize) {
        let sum = gauge.fetch_add(size, Ordering::AcqRel).saturating_add(size);
        (Self { gauge, size }, sum)
    }
}

impl Drop for GaugeGuard<'_> {
    fn drop(&mut self) {
        self.gauge.fetch_sub(self.size, Ordering::AcqRel);
    }
}
