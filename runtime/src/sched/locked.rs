//! Gs that only one M may run, and Ms that wait for one G: as Go's locked threads.
//!
//! `lock_os_thread` locks a G to its M. And where Gs share the thread-locals of their Ms, a G that parks while it
//! panics stays with its M, because the panic count is a thread-local of std: if the G moved, its old thread would
//! look as if it panicked for ever. That M may not run other Gs meanwhile: they would look as if they panicked. So
//! the M hands its P off and waits. An M that picks the G out of a queue hands its own P to the locked M, and looks
//! for another. If there is no other M, sysmon does that (`stand_in` in `starved.rs`).

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "who has become the owner of a G")]

use super::shared::Shared;
use crate::coro::Outcome;
use crate::g::Runnable;
use crate::m::Me;
use crate::p::FreeP;
use crate::timers::NEVER;
use std::ptr;
use std::sync::atomic::Ordering;

impl Shared {
    /// The M's G has parked or queued, and is locked to it: waits until an M has picked the G.
    #[cold]
    pub(super) fn wait_for_locked(&self, me: &mut Me<'_>) -> Runnable {
        me.waits_for_locked.store(true, Ordering::Relaxed);
        let panics = me.locked_to.load(Ordering::Relaxed) == 0;
        self.lock().machines.begin_locked_wait(panics);
        self.hand_off_own_p(me);
        loop {
            if let Some(p) = me.m().take_handed() {
                me.waits_for_locked.store(false, Ordering::Relaxed);
                self.lock().machines.end_locked_wait(panics);
                self.took_p(me, p);
                // Acquire: partner is the Release in `hand_with_p`.
                let g = me.locked_g.swap(ptr::null_mut(), Ordering::Acquire);
                // SAFETY: records are never freed, and a P was handed over together with this G.
                let g = unsafe { g.as_ref() }.expect("the P came with the G");
                // SAFETY: `hand_with_p` consumed its Runnable for this.
                return unsafe { Runnable::own(g) };
            }
            // It is never the keeper, so it does not sleep by way of the poller.
            me.sleep(NEVER);
        }
    }

    /// The G is locked to this M: no other G runs here until it has run again, or after it has ended.
    #[cold]
    pub(super) fn put_away_locked(&self, me: &mut Me<'_>, runnable: Runnable, outcome: Outcome) -> Option<Runnable> {
        if let Outcome::Suspended(_) = outcome {
            if self.lock().machines.is_stopping() {
                // It was left behind: there is no other M that could pick it.
                return Some(runnable);
            }
            self.inject(runnable);
            return Some(self.wait_for_locked(me));
        }
        // The guard that would unlock it has leaked: as in Go, the thread ends with the G.
        runnable.g().locked_m.set(ptr::null());
        me.is_tainted.store(true, Ordering::Relaxed);
        self.retire_foreign(runnable);
        None
    }

    /// The M has picked a G that is locked to another M: it gives that M the G and the P.
    #[cold]
    pub(super) fn hand_to_locked(&self, me: &mut Me<'_>, runnable: Runnable) {
        let p = me.take_p().expect("an M that picks Gs has a P");
        self.hand_with_p(runnable, p);
    }

    /// Gives a G and a P to the M that the G is locked to.
    pub(super) fn hand_with_p(&self, runnable: Runnable, p: FreeP<'_>) {
        let g = runnable.g();
        // SAFETY: an M that a G is locked to waits for it.
        let target = unsafe { &*g.locked_m.get() };
        target.locked_g.store(ptr::from_ref(g).cast_mut(), Ordering::Release);
        // As soon as it has the P, the G may end, and the M with it.
        let wake = target.to_wake();
        target.hand(p);
        wake.wake();
    }
}
