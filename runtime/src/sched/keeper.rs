//! The keeper: the one idle M that sleeps until the earliest deadline, and how it learns of an earlier one.
//!
//! # The protocol
//! ```text
//! a thread that adds a timer without a P           an M that becomes the keeper (under the scheduler's lock)
//!   earliest_ns = when, in a P's timers              until = ALERT
//!   fence K1                                         fence K2
//!   read until                                       until = the earliest of all Ps
//!   if when < until: wake the keeper,                sleep until then, or until it is woken
//!   or if there is none, an idle P
//! ```
//!
//! # The argument
//! If K1 comes first, the keeper's scan sees the timer. If K2 comes first, the adder reads ALERT or what the scan
//! stored, and wakes the keeper if the timer is earlier than that. The wake is a token that the keeper's sleep takes,
//! so it does not matter whether the keeper sleeps already.
//!
//! If there is no keeper, no M sleeps for timers. If a P is idle, the adder wakes an M with it; that M looks at all
//! timers before it sleeps again, and then becomes the keeper itself. If no P is idle, the M of each P looks at its
//! timers when it picks (while slices are short, at every 61st pick), and becomes the keeper when it finds nothing to
//! do.
//!
//! A G that adds a timer while its M holds a P wakes no M: its own looks at the timers before it sleeps. When that M
//! has made its P idle and is not the keeper, it does for the earliest timer what the adder has left out: the keeper
//! may have looked before the timer was added. So does a thread that makes idle the P of another. Only an M that is
//! surplus (`arrivals.rs`) wakes nobody: another P is held, and its M looks at the timers of all Ps, at every 61st pick and
//! before it sleeps; while its G computes, sysmon does.

use crate::loom::{AtomicU64, Ordering, fence};

/// There is no keeper.
const NONE: u64 = 0;
/// A keeper is about to look at the timers: wake it for any deadline.
const ALERT: u64 = u64::MAX;

/// The deadline that the keeper sleeps for.
#[derive(Debug)]
pub(crate) struct Keeper {
    until_ns: AtomicU64,
}

/// What a thread that adds a timer has to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum ToWake {
    /// Nothing: the keeper wakes early enough.
    Nobody,
    /// Wake the keeper.
    Keeper,
    /// There is no keeper: wake a P, if one is idle.
    IdleP,
}

impl Keeper {
    /// There is no keeper.
    pub(crate) fn new() -> Keeper {
        Keeper { until_ns: AtomicU64::new(NONE) }
    }

    /// The caller becomes the keeper, under the scheduler's lock. `earliest_ns` looks at all timers. Returns the
    /// deadline to sleep until.
    pub(crate) fn start(&self, earliest_ns: impl FnOnce() -> u64) -> u64 {
        self.until_ns.store(ALERT, Ordering::Relaxed);
        fence(Ordering::SeqCst); // K2
        let until = earliest_ns().max(1);
        self.until_ns.store(until, Ordering::Relaxed);
        until
    }

    /// The keeper stops, under the scheduler's lock.
    pub(crate) fn stop(&self) {
        self.until_ns.store(NONE, Ordering::Relaxed);
    }

    /// A timer for `when_ns` has been added. Returns what must be woken for it.
    pub(crate) fn added(&self, when_ns: u64) -> ToWake {
        fence(Ordering::SeqCst); // K1
        match self.until_ns.load(Ordering::Relaxed) {
            NONE => ToWake::IdleP,
            until if when_ns < until => ToWake::Keeper,
            _ => ToWake::Nobody,
        }
    }
}

#[cfg(all(test, loom))]
#[path = "keeper_loom.rs"]
mod tests;
