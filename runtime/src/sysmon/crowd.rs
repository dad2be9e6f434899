//! How many Ps are woken for what comes from outside, on a machine that has no CPU for all of them: plain decisions, which
//! read no clock and ask no kernel.
//!
//! A server and those that call it often share a machine: a proxy, a database, another service, or the load of a
//! benchmark. While they have a CPU, a second M takes it from them, and the callers are late with the next call. So three
//! threads take turns on two CPUs, with caches of each other, where two would have a CPU each. On the other hand, what
//! else runs may have nothing to do with this program: then a second M gets its share of the CPU, and to do without would
//! be a loss. The kernel does not say which of the two it is. So it is tried.
//!
//! 1. sysmon counts the threads of *others* that run or could: those of the machine without itself and an M for each
//!    busy P. A machine with less CPUs than others and Ps together is **crowded**. (All CPUs and threads of the machine count,
//!    also where this process may not use all: the kernel tells no more. And threads of this process count, that
//!    are no Ms. So this may be wrong, and only says when to try.)
//! 2. On a crowded one, two **widths** take turns of [`WINDOW_NS`], in [`WINDOWS`] windows: as many Ps as there are CPUs
//!    beside the others, and all Ps. If clearly more Gs were picked with all Ps, that is kept for [`KEPT_NS`], otherwise
//!    the narrow one; then they are tried again.
//! 3. On a machine that is not crowded, all Ps may be woken.
//!
//! The width limits one thing alone: how many Ps are awake for the events of descriptors (`sched/arrivals.rs`). What a G makes
//! ready, and what waits for longer than a slice, is announced to idle Ps as always; so is what waits for an M that does
//! not pick.
//!
//! (That a pool of threads finds out by trial how many it needs is known from .NET: Hellerstein, Morrison and Eilebrecht,
//! "Applying control theory in the real world", 2008, where it is called hill climbing.)

use crate::config::{CROWD_SAMPLE_NS as SAMPLE_NS, KEPT_NS, SETTLED_NS, WINDOW_NS, WINDOWS};

/// One thread, in the unit of the average.
const ONE: u64 = 1 << 16;
/// A sample counts for one part in so many.
const AVERAGED: u64 = 8;
/// All Ps have to pick more by one part in so many.
const MARGIN: u64 = 32;
/// After so many samples that were not taken, the average is an old one.
const PAUSE_SAMPLES: u64 = 4;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// How many threads of others want a CPU, on average, in parts of [`ONE`].
    others: u64,
    /// How many CPUs there are; 0 before it has been asked.
    cpus: usize,
    sample_due_ns: u64,
    is_crowded: bool,
    /// How many Ps are awake in the narrow windows.
    least: usize,
    /// What the trials have shown, and until when that holds.
    narrow: Seen,
    wide: Seen,
    until_ns: u64,
    trial: Option<Trial>,
}

/// What is known when it looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    pub(super) now_ns: u64,
    /// How many Gs all Ps have picked so far; it wraps.
    pub(super) picks: u32,
    pub(super) procs: usize,
}

/// Windows of both widths in turn.
#[derive(Debug)]
struct Trial {
    windows: u32,
    began_ns: u64,
    picks: u32,
}

/// How much was picked in windows of one width, and in which time.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    picks: u64,
    ns: u64,
}

impl Trial {
    fn new(scene: &Scene) -> Trial {
        Trial { windows: 0, began_ns: scene.now_ns, picks: scene.picks }
    }

    /// The order is narrow, wide, wide, narrow: so a load that grows or shrinks favours none.
    fn is_narrow(&self) -> bool {
        matches!(self.windows % 4, 0 | 3)
    }

    /// What was seen in a window that is over.
    fn end_window(&mut self, scene: &Scene) -> Option<Seen> {
        let ns = scene.now_ns - self.began_ns;
        if ns < WINDOW_NS {
            return None;
        }
        let picks = u64::from(scene.picks.wrapping_sub(self.picks));
        (self.began_ns, self.picks, self.windows) = (scene.now_ns, scene.picks, self.windows + 1);
        Some(Seen { picks, ns })
    }
}

impl Seen {
    fn add(&mut self, more: Seen) {
        *self = Seen { picks: self.picks + more.picks, ns: self.ns + more.ns };
    }

    /// The last trial counts for twice as much as the one before.
    fn age(&mut self) {
        *self = Seen { picks: self.picks / 2, ns: self.ns / 2 };
    }

    fn per_second(self) -> u64 {
        self.picks.saturating_mul(1_000_000_000) / self.ns.max(1)
    }
}

impl Crowd {
    /// Whether it wants another [`sample`](Crowd::sample).
    pub(super) fn wants_sample(&self, now_ns: u64) -> bool {
        now_ns >= self.sample_due_ns
    }

    /// So many threads of others run or could. `cpus` is asked once.
    pub(super) fn sample(&mut self, now_ns: u64, others: usize, cpus: impl FnOnce() -> usize) {
        if self.cpus == 0 {
            self.cpus = cpus().max(1);
        }
        let others = (others as u64).saturating_mul(ONE);
        if now_ns > self.sample_due_ns.saturating_add(PAUSE_SAMPLES * SAMPLE_NS) {
            // There were no events for some time: what was seen before says nothing, and a trial begins anew.
            (self.others, self.trial, self.is_crowded) = (others, None, false);
        } else {
            self.others = (self.others * (AVERAGED - 1) + others) / AVERAGED;
        }
        self.sample_due_ns = now_ns + SAMPLE_NS;
    }

    /// How many Ps may be awake for what comes from outside.
    pub(super) fn width(&mut self, scene: &Scene) -> usize {
        let Scene { now_ns, procs, .. } = *scene;
        // It leaves a little later than it enters.
        let was_crowded = self.is_crowded;
        let slack = if was_crowded { ONE / 4 } else { ONE / 2 };
        self.is_crowded = procs > 1 && self.others + procs as u64 * ONE >= self.cpus as u64 * ONE + slack;
        if !self.is_crowded {
            self.trial = None;
            return procs;
        }
        if self.see_whether_others_changed(procs) {
            (self.trial, self.until_ns) = (None, now_ns + SETTLED_NS);
        } else if !was_crowded {
            self.until_ns = self.until_ns.max(now_ns + SETTLED_NS);
        }
        if self.trial.is_none() && now_ns >= self.until_ns {
            self.narrow.age();
            self.wide.age();
            self.trial = Some(Trial::new(scene));
        }
        if self.see_trial(scene) { self.least } else { procs }
    }

    /// Whether the others leave another number of CPUs than the one that was tried. Then nothing is known.
    fn see_whether_others_changed(&mut self, procs: usize) -> bool {
        let left = (self.cpus as u64 * ONE).saturating_sub(self.others);
        if self.least != 0 && left.abs_diff(self.least as u64 * ONE) < ONE {
            return false;
        }
        let least = (((left + ONE / 2) / ONE) as usize).clamp(1, procs - 1);
        if std::mem::replace(&mut self.least, least) == least {
            return false;
        }
        (self.narrow, self.wide) = (Seen::default(), Seen::default());
        true
    }

    /// Whether it is narrow now: in such a window of a trial, or as the trials have shown that all Ps pick no more.
    fn see_trial(&mut self, scene: &Scene) -> bool {
        if let Some(trial) = &mut self.trial {
            let was_narrow = trial.is_narrow();
            if let Some(seen) = trial.end_window(scene) {
                if was_narrow { &mut self.narrow } else { &mut self.wide }.add(seen);
            }
            if trial.windows < WINDOWS {
                return trial.is_narrow();
            }
            self.trial = None;
            self.until_ns = scene.now_ns + KEPT_NS;
        }
        let narrow = self.narrow.per_second();
        let is_known = self.narrow.ns != 0 && self.wide.ns != 0;
        is_known && self.wide.per_second() <= narrow + narrow / MARGIN
    }
}

#[cfg(test)]
#[path = "crowd_tests.rs"]
mod tests;
