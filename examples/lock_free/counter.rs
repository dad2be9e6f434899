//! A counter that needs no lock, with and without a limit.

use super::atomic::AtomicU64;
use super::ordering::Relaxed;

/// Counts. All its operations are relaxed: the number says nothing about other memory.
#[derive(Debug)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// One instruction: the processor adds.
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Counts only if the number is below `limit`, which no instruction does: the sum is computed here, and is put in
    /// its place if the number has not changed meanwhile. Each failure is the success of somebody else.
    pub(crate) fn increment_below(&self, limit: u64) -> bool {
        let mut seen = self.0.load(Relaxed);
        while seen < limit {
            match self.0.compare_exchange_weak(seen, seen + 1, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
