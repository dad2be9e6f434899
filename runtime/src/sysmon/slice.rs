//! When an M loses its P: the rules, as plain decisions about what sysmon has seen. They read no clock and ask no
//! kernel, so each of them has a test.
//!
//! A **slice** is the wall time since sysmon first saw the pick of the G that an M runs; for the first pick after an
//! M has taken a P, the time since it took it.
//!
//! 1. While others wait and no P is idle, a G whose slice is over is asked to let the others run, and at the next look it
//!    loses its P, if its thread has run for so long by then. If its slice has been over for half of another one it is not
//!    asked first: sysmon was late, as the machine is busy. On a busy machine a thread also waits for a CPU. Such a time
//!    does not count: with its P another thread would wait just so, and there would be more and more of them. But if it
//!    naps, that is, sleeps shortly and often, its slice is wall time; if it is asleep after its slice, it loses its P at
//!    once; and after [`SLICES_MAX`] slices in any case.
//! 2. A G that is asleep in the kernel at two looks in a row, and has not computed in between, is blocked, and loses its P:
//!    it cannot use it. It does so even if no G waits: the next one that becomes ready finds an idle P. One look is not
//!    enough, as most sleeps of a thread that runs are short: it waits for the lock of the process's memory map while
//!    another thread maps memory, or for a lock of a library in C. To hand its P off takes longer, and each time one more
//!    thread wants a CPU. (Go's sysmon looks twice too.)
//!
//! A slice is 10 ms, and longer while many Gs compute without a P (these are *adrift*). Otherwise a load of long
//! computations would be spread over more and more threads, and each would make little progress.

use crate::config::{ADRIFT_PER_P, SLICE_NS, SLICES_MAX, STRETCH_NS};

/// How long an M has been in one G's code, as far as sysmon has seen it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Slice {
    /// When this pick was first seen.
    pub(super) since_ns: u64,
    /// How long the thread has run since then, as far as that is known.
    ran_ns: u64,
    /// It was judged before.
    was_judged: bool,
    /// The thread was asleep at the last look.
    was_asleep: bool,
    /// The G has been asked to let others run.
    pub(super) asked: bool,
}

/// What the M's thread is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// It sleeps in the kernel.
    pub(super) is_asleep: bool,
    /// It has not computed since the last look.
    pub(super) rested: bool,
    /// For how long it has computed since the last look at this thread; 0 if that is not known.
    pub(super) ran_ns: u64,
    /// During this pick it has run in short stretches: it sleeps shortly and often.
    pub(super) naps: bool,
}

/// What could use the P.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    /// Gs or due timers wait, and no P is idle.
    pub(super) others_wait: bool,
    /// The P hides Gs, and a P is idle that could run them.
    pub(super) hides: bool,
    pub(super) slice_ns: u64,
}

/// What to do about a P.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Verdict {
    /// Nothing.
    Leave,
    /// Ask the G to let others run.
    Ask,
    /// Take the P: the M is blocked, or asleep when its slice is over.
    TakeFromSleeper,
    /// Take the P, if there is a thread that could use it; else ask the G, again if it was asked before.
    TakeFromOverdue,
    /// Look again soon: the P hides Gs, but its M has picked since the last look, so their turn may come soon.
    LookAgain,
    /// Show the Gs that the P hides.
    Show,
}

impl Slice {
    /// A pick that is seen for the first time.
    pub(super) fn new(now_ns: u64) -> Slice {
        Slice { since_ns: now_ns, ..Slice::default() }
    }

    /// Judges what sysmon sees now.
    pub(super) fn judge(&mut self, now_ns: u64, sight: Sight, scene: &Scene) -> Verdict {
        let was_judged = std::mem::replace(&mut self.was_judged, true);
        let was_asleep = std::mem::replace(&mut self.was_asleep, sight.is_asleep);
        let held_ns = now_ns - self.since_ns;
        // What it ran before this pick does not count.
        self.ran_ns = self.ran_ns.saturating_add(sight.ran_ns).min(held_ns);
        let is_over = scene.others_wait && held_ns >= scene.slice_ns;
        if sight.is_asleep && (is_over || was_asleep && sight.rested) {
            return Verdict::TakeFromSleeper;
        }
        if is_over {
            let was_asked = std::mem::replace(&mut self.asked, true);
            let is_late = held_ns >= scene.slice_ns + scene.slice_ns / 2;
            let has_run = sight.naps || self.ran_ns >= scene.slice_ns || held_ns >= scene.slice_ns * SLICES_MAX;
            return if has_run && (was_asked || is_late) { Verdict::TakeFromOverdue } else { Verdict::Ask };
        }
        self.asked = false;
        // With a clock that stands still no slice grows older.
        let is_new = !was_judged && held_ns == 0;
        match scene.hides {
            false => Verdict::Leave,
            true if is_new => Verdict::LookAgain,
            true => Verdict::Show,
        }
    }

    /// Whether something may change soon: the M may turn out to be blocked, or the slice is not over yet.
    pub(super) fn is_lively(&self, now_ns: u64) -> bool {
        self.was_asleep || now_ns - self.since_ns < SLICE_NS
    }
}

/// How long a slice is while so many Gs compute without a P.
pub(super) fn slice_ns(computing: usize, procs: usize) -> u64 {
    SLICE_NS + SLICE_NS * computing as u64 / (ADRIFT_PER_P * procs) as u64
}

/// Whether a thread that ran for `run_ns`, in so many stretches between sleeps and preemptions, computes. One that
/// sleeps shortly and often runs in many short stretches, however busy the machine is.
pub(super) fn computes(run_ns: u64, stretches: u64) -> bool {
    run_ns > 0 && run_ns >= STRETCH_NS * stretches
}

#[cfg(test)]
#[path = "slice_tests.rs"]
mod tests;
