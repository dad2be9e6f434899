//! How often something has happened.

use super::EventKind;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted: see [`Metrics`](crate::Metrics).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Spawns,
    Ends,
    Parks,
    Readies,
    Steals,
    HandOffs,
    Wakes,
    MStarts,
    MStops,
}

const COUNTS: usize = Count::MStops as usize + 1;

/// The counts of one P, or of what happens without one. In theory they wrap: 64 bits last for centuries of one event a
/// nanosecond.
#[derive(Debug)]
pub(crate) struct Counters([AtomicU64; COUNTS]);

/// Where an event is counted.
pub(crate) trait Tally {
    /// Counts it, if it is one that is counted.
    fn tally(self, kind: EventKind);
}

impl Counters {
    /// Nothing has happened.
    pub(crate) fn new() -> Counters {
        Counters([const { AtomicU64::new(0) }; COUNTS])
    }

    /// How often that has happened.
    pub(crate) fn get(&self, count: Count) -> u64 {
        // SeqCst: partners are `tally` of both kinds (see the door).
        self.0[count as usize].load(Ordering::SeqCst)
    }

    /// Counts an event, where there is no other writer.
    #[inline(always)]
    pub(crate) fn tally_alone(&self, kind: EventKind) {
        if let Some(count) = kind.counted_as() {
            let counter = &self.0[count as usize];
            // Release: a thread that sees the count sees what was done before (partner: `get`).
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        }
    }
}

impl Tally for &Counters {
    #[inline(always)]
    fn tally(self, kind: EventKind) {
        if let Some(count) = kind.counted_as() {
            // SeqCst: see the door.
            self.0[count as usize].fetch_add(1, Ordering::SeqCst);
        }
    }
}
