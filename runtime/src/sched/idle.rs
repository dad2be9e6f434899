//! Idle Ps and searching Ms: whether a wake is needed, and why none is lost.
//!
//! # The protocol
//! ```text
//! a thread that has made work visible (in a queue)          an M that goes idle
//!   work is in the queue                                       idle_ps += 1
//!   fence F1                                                   searching -= 1, if it searched
//!   if idle_ps > 0 and searching == 0                          fence F2
//!      and CAS searching 0 -> 1: wake a P                      look at every queue again
//! ```
//!
//! # The argument
//! F1 and F2 are sequentially consistent, so one comes first. If F2 comes first, the loads after F1 see the idle P
//! and the lowered `searching`, and a P is woken. If F1 comes first, the look after F2 sees the work. The exception
//! is a third M that searches: then `searching` is not 0, and no P is woken. That M finds the work, or goes through
//! F2 itself; its F2 is later than F1, because its decrement had not been seen yet.
//!
//! A waker that has raised `searching` and then finds no idle P under the scheduler's lock lowers it again *under
//! that lock*. Meanwhile another thread may have seen it raised and not announced its work. This work is not lost: a
//! P that becomes idle later takes the same lock first, so its F2 comes after the lowering, and the load that saw
//! `searching` raised stood before F2. So F1 came before F2, and the P's last look sees the work.
//!
//! An M that stops searching because it has found something looks whether there is more, behind a fence, and wakes
//! the next M. So the Ms are woken one after the other.
//!
//! *What is visible and not announced.* A few Gs that have come from outside at once are put where thieves may take them,
//! without F1 and without a wake (`arrivals.rs`). They are as good as hidden ones (p I3) for an M that rests: their own M
//! runs them soon; if it does not pick, sysmon announces them. An M that stops searching wakes nobody for those in its
//! own queue, as it runs them. This takes nothing from the argument above, which is about announced work. What a thread
//! has announced while this M searched is in another queue, and seen there; or stolen by now, and whoever has stolen it
//! takes it to be long and looks for another M; or, if the thief has work of its own, announces it again (`find.rs`).
//!
//! *An M that is surplus* (`arrivals.rs`) rests without the last look, so a G that was announced while it was awake may
//! be on another P and be left there. It is not lost: a P that has Gs is held, and its M runs them. If they wait for longer
//! than a slice, it announces them again at its looks (`offer_rest`); if it does not pick, sysmon does. The global queue has no
//! M of its own: the surplus M looks at it under the lock under which its P becomes idle, so whoever puts a G there later
//! sees the idle P.

use crate::loom::{AtomicU32, Ordering, fence};

/// The two counters. They change rarely and are read at every wake-up, so they share a line with nothing else.
#[derive(Debug)]
pub(crate) struct Idle {
    idle_ps: AtomicU32,
    searching: AtomicU32,
}

impl Idle {
    /// `idle_ps` Ps are idle and no M searches.
    pub(crate) fn new(idle_ps: u32) -> Idle {
        Idle { idle_ps: AtomicU32::new(idle_ps), searching: AtomicU32::new(0) }
    }

    /// How many Ps are idle.
    #[inline]
    pub(crate) fn idle_ps(&self) -> u32 {
        self.idle_ps.load(Ordering::Relaxed)
    }

    /// How many Ms search.
    #[inline]
    pub(crate) fn searching(&self) -> u32 {
        self.searching.load(Ordering::Relaxed)
    }

    /// Whether a P is idle and no M searches: a hint, without a fence.
    #[inline(always)]
    pub(crate) fn wants_work(&self) -> bool {
        self.idle_ps.load(Ordering::Relaxed) != 0 && self.searching.load(Ordering::Relaxed) == 0
    }

    /// Work has been made visible. True if the caller has to wake a P; `searching` counts that P's M already.
    #[inline]
    pub(crate) fn announce(&self) -> bool {
        fence(Ordering::SeqCst); // F1
        self.idle_ps.load(Ordering::Relaxed) != 0
            && self.searching.load(Ordering::Relaxed) == 0
            && self.searching.compare_exchange(0, 1, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// A P was put on the idle list. Under the scheduler's lock.
    pub(crate) fn p_went_idle(&self) {
        self.idle_ps.fetch_add(1, Ordering::SeqCst);
    }

    /// A P was taken off the idle list. Under the scheduler's lock.
    pub(crate) fn p_left_idle(&self) {
        self.idle_ps.fetch_sub(1, Ordering::SeqCst);
    }

    /// An M begins to search.
    pub(crate) fn begin_search(&self) {
        self.searching.fetch_add(1, Ordering::SeqCst);
    }

    /// An M no longer searches. The caller has to look at every queue afterwards.
    pub(crate) fn end_search(&self) {
        self.searching.fetch_sub(1, Ordering::SeqCst);
        self.before_last_look();
    }

    /// Between going idle and the last look at every queue.
    pub(crate) fn before_last_look(&self) {
        fence(Ordering::SeqCst); // F2
    }
}

#[cfg(all(test, loom))]
#[path = "idle_loom.rs"]
mod tests;
