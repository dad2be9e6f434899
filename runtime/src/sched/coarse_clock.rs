//! The coarse clock: a reading of the monotonic clock that is a little old, kept by sysmon and by Ms that read the
//! clock anyway.

#![cfg(not(loom))]

use super::shared::Shared;
use crate::clock::now_ns;
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the head of this file.
#[derive(Debug)]
pub(super) struct CoarseClock {
    /// On a cache line of its own: it changes often.
    ns: CachePadded<AtomicU64>,
    began_ns: u64,
}

impl CoarseClock {
    /// The clock of a runtime that begins now.
    pub(super) fn new() -> CoarseClock {
        let now_ns = now_ns();
        CoarseClock { ns: CachePadded::new(AtomicU64::new(now_ns)), began_ns: now_ns }
    }
}

impl Shared {
    /// Reads the clock, and keeps the reading for all.
    pub(crate) fn refresh_clock(&self) -> u64 {
        let now = now_ns();
        self.clock.ns.store(now, Ordering::Relaxed);
        now
    }

    /// The last reading.
    pub(super) fn coarse_ns(&self) -> u64 {
        self.clock.ns.load(Ordering::Relaxed)
    }

    /// Milliseconds since the start, a little old. They wrap after 49 days, so compare two of them by their difference.
    #[inline]
    pub(crate) fn coarse_ms(&self) -> u32 {
        (self.coarse_ns().saturating_sub(self.clock.began_ns) / 1_000_000) as u32
    }

    /// When the runtime began.
    pub(crate) fn began_ns(&self) -> u64 {
        self.clock.began_ns
    }
}
