//! How often Gs have waited in hooked calls of libc's, by call (`hooked.rs`).

use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many calls there may be.
const CALLS_MAX: usize = 24;

/// Ms count in different places, so that they seldom share a cache line.
const PLACES: usize = 8;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct CallCounts([CachePadded<[AtomicU64; CALLS_MAX]>; PLACES]);

impl CallCounts {
    /// Counts a wait in the call with that number, for the M with that number. A call without a place is not counted.
    pub(crate) fn add(&self, call: usize, m: usize) {
        if let Some(count) = self.0[m % PLACES].get(call) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often Gs have waited in that call.
    pub(crate) fn get(&self, call: usize) -> u64 {
        self.0.iter().filter_map(|place| place.get(call)).map(|count| count.load(Ordering::Relaxed)).sum()
    }
}
