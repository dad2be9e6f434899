//! What can happen, and what it is counted as.

use super::Count;
use crate::reason::Reason;

/// Something that has happened to a G, an M or a P. All are named by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A G was started, and has not run yet.
    Spawn {
        /// The G.
        g: u64,
    },
    /// A G runs for the first time.
    Begin {
        /// The G.
        g: u64,
    },
    /// A G continues that has run before.
    Run {
        /// The G.
        g: u64,
    },
    /// A G has parked: from now on it waits. One that found a wake-up on its way has not. It can be woken before this
    /// is heard, so its `Ready` and `Run` on other threads may be heard first.
    Park {
        /// The G.
        g: u64,
        /// Why.
        reason: &'static Reason,
    },
    /// A parked G was claimed, and is about to be queued.
    Ready {
        /// The G.
        g: u64,
    },
    /// A G lets others run, and is about to be queued.
    Yield {
        /// The G.
        g: u64,
    },
    /// A G has ended: its stack is free, and its joiner has been told.
    End {
        /// The G.
        g: u64,
    },
    /// A P has taken half of the queue of another.
    Steal {
        /// The thief.
        p: usize,
        /// The victim.
        from: usize,
    },
    /// An M loses its P, or hands it off, while its G continues or waits.
    HandOff {
        /// The P.
        p: usize,
        /// The M that had it.
        m: u32,
        /// `retake`: it was taken away; `released`: by the M itself.
        why: &'static str,
    },
    /// An M has got a P.
    Acquire {
        /// The P.
        p: usize,
        /// The M.
        m: u32,
    },
    /// An M has found nothing to do, and its P is idle.
    Release {
        /// The P.
        p: usize,
        /// The M.
        m: u32,
    },
    /// An M that slept is given a P to look for work with, or a new one is started for that.
    Wake {
        /// The M.
        m: u32,
    },
    /// The thread of an M has begun.
    MStart {
        /// The M.
        m: u32,
    },
    /// The thread of an M ends.
    MStop {
        /// The M.
        m: u32,
    },
    /// A timer is due, and is about to be run.
    Fire {
        /// The P whose timer it is.
        p: usize,
        /// When it was due, on the monotonic clock.
        when_ns: u64,
        /// What time it is.
        now_ns: u64,
    },
    /// A G has ended with more stack memory than it began with. It is measured only while a subscriber listens.
    StackGrowth {
        /// The G.
        g: u64,
        /// What it began with.
        from_bytes: usize,
        /// What it has.
        to_bytes: usize,
    },
}

/// Where an event has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Emitter {
    /// The M on whose thread it happened, if it is an M's.
    pub m: Option<u32>,
    /// The P that this M holds, if it holds one.
    pub p: Option<usize>,
}

impl Emitter {
    /// An M with its P, or none.
    pub(crate) fn new(m: Option<u32>, p: Option<usize>) -> Emitter {
        Emitter { m, p }
    }
}

/// The events by their names alone: a counter needs no more, and must not wait for the fields.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EventKind {
    Spawn,
    Begin,
    Run,
    Park,
    Ready,
    Yield,
    End,
    Steal,
    HandOff,
    Acquire,
    Release,
    Wake,
    MStart,
    MStop,
    Fire,
    #[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "measured for subscribers only"))]
    StackGrowth,
}

impl EventKind {
    /// Its counter, if it has one.
    #[inline(always)]
    pub(super) fn counted_as(self) -> Option<Count> {
        Some(match self {
            EventKind::Spawn => Count::Spawns,
            EventKind::End => Count::Ends,
            EventKind::Park => Count::Parks,
            EventKind::Ready => Count::Readies,
            EventKind::Steal => Count::Steals,
            EventKind::HandOff => Count::HandOffs,
            EventKind::Wake => Count::Wakes,
            EventKind::MStart => Count::MStarts,
            EventKind::MStop => Count::MStops,
            EventKind::Begin
            | EventKind::Run
            | EventKind::Yield
            | EventKind::Acquire
            | EventKind::Release
            | EventKind::Fire
            | EventKind::StackGrowth => {
                return None;
            }
        })
    }
}
