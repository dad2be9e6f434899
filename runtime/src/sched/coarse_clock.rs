//! The coarse clock: a reading of the monotonic clock that is a little old, kept by sysmon and by Ms that read the
//! clock anyway.

#![cfg(not(loom))]

use super::shared::Shared;
use crate::clock::now_ns;
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// See the head of this file.
#[derive(Debug)]
pub(super) struct CoarseClock {
    /// On a cache line of its own: it changes often.
    now: CachePadded<Reading>,
    began_ns: u64,
}

/// The same moment twice. Each is right by itself; a reader of both may get two moments.
#[derive(Debug)]
struct Reading {
    ns: AtomicU64,
    /// Since the start.
    ms: AtomicU32,
}

impl CoarseClock {
    /// The clock of a runtime that begins now.
    pub(super) fn new() -> CoarseClock {
        let now_ns = now_ns();
        let now = Reading { ns: AtomicU64::new(now_ns), ms: AtomicU32::new(0) };
        CoarseClock { now: CachePadded::new(now), began_ns: now_ns }
    }
}

impl Shared {
    /// Reads the clock, and keeps the reading for all.
    pub(crate) fn refresh_clock(&self) -> u64 {
        let now = now_ns();
        self.clock.now.ns.store(now, Ordering::Relaxed);
        // A division, which is why a park finds it done.
        let ms = now.saturating_sub(self.clock.began_ns) / 1_000_000;
        self.clock.now.ms.store(ms as u32, Ordering::Relaxed);
        now
    }

    /// The last reading.
    pub(crate) fn coarse_ns(&self) -> u64 {
        self.clock.now.ns.load(Ordering::Relaxed)
    }

    /// Milliseconds since the start, a little old. They wrap after 49 days, so compare two of them by their difference.
    #[inline]
    pub(crate) fn coarse_ms(&self) -> u32 {
        self.clock.now.ms.load(Ordering::Relaxed)
    }

    /// When the runtime began.
    pub(crate) fn began_ns(&self) -> u64 {
        self.clock.began_ns
    }
}
