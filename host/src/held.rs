//! Counts of what many hold, each its part.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A part of a count; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    all: &'a AtomicUsize,
    size: usize,
}

impl<'a> Held<'a> {
    /// A part of this size, and what all hold with it.
    pub(crate) fn new(all: &'a AtomicUsize, size: usize) -> (Self, usize) {
        let sum = all.fetch_add(size, Ordering::AcqRel).saturating_add(size);
        (Self { all, size }, sum)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.size, Ordering::AcqRel);
    }
}
