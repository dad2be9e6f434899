//! Counters for metrics. They guard nothing, so `Relaxed` is enough everywhere.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One more, which is returned.
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts an end when it is dropped, so that a panic counts too.
#[derive(Debug)]
pub(crate) struct EndsAs<'a>(pub(crate) &'a Counter);

impl EndsAs<'_> {
    /// The end is another one.
    pub(crate) fn ends_as(self, other: &Counter) {
        other.add_one();
        mem::forget(self);
    }
}

impl Drop for EndsAs<'_> {
    fn drop(&mut self) {
        self.0.add_one();
    }
}
