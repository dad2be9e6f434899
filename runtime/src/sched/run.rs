//! The M loop: runs one G after another, and does what each asks for when it leaves its stack.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the owner of a G resumes it")]

use super::direct::continue_on;
use super::shared::Shared;
use crate::coro::{Coro, Outcome, PackedOutcome, Suspend};
use crate::g::Runnable;
use crate::m::emit::emit;
use crate::m::{M, Me, current};
use crate::os::with_block;
use crate::p::OwnedP;
use crate::probe::Status;
use crate::reason::Reason;
use std::ptr;
use std::sync::atomic::Ordering;

impl Shared {
    /// The loop. It ends when the runtime stops, or when the M's thread may run no other G.
    pub(super) fn run(&self, me: &mut Me<'_>) {
        if let Some(p) = me.m().take_handed() {
            self.took_p(me, p);
        }
        while let Some(mut g) = self.find(me) {
            while let Some(next) = self.execute(me, g) {
                g = next;
            }
            if me.is_tainted.load(Ordering::Relaxed) {
                self.depart(me);
                return self.hand_off_own_p(me);
            }
        }
    }

    /// Runs a G until it suspends or ends, and does what it asks for. Returns the G that this M must run next, if any.
    #[inline]
    fn execute(&self, me: &mut Me<'_>, runnable: Runnable) -> Option<Runnable> {
        if self.is_heard { self.execute_heard(me, runnable) } else { self.run_g::<false>(me, runnable) }
    }

    #[cold]
    #[inline(never)]
    fn execute_heard(&self, me: &mut Me<'_>, runnable: Runnable) -> Option<Runnable> {
        self.run_g::<true>(me, runnable)
    }

    #[inline(always)]
    fn run_g<const HEARD: bool>(&self, me: &mut Me<'_>, runnable: Runnable) -> Option<Runnable> {
        let locked = runnable.g().locked_m.get();
        if !locked.is_null() && !ptr::eq(locked, me.m()) {
            self.hand_to_locked(me, runnable);
            return None;
        }
        if let Err(error) = self.prepare::<HEARD>(me, &runnable) {
            self.wait_for_stack(runnable, &error);
            return None;
        }
        let mut next = runnable;
        loop {
            let (runnable, outcome) = resume(me, next);
            let g = runnable.g();
            // The P may have been taken away meanwhile.
            let p = me.p();
            let is_locked = !g.locked_m.get().is_null();
            if let Outcome::Suspended(Suspend::Park(reason)) = outcome {
                // Before the M says that it runs no G: until then observers take the G to be here.
                g.set_waiting(reason, self.coarse_ms());
            }
            me.set_g(None);
            match (outcome, p) {
                (Outcome::Suspended(Suspend::Park(reason)), p) => {
                    let id = g.id();
                    if g.commit_park(id) {
                        // From here on `g` belongs to its claimer.
                        self.has_parked::<HEARD>(p, id, reason);
                        return is_locked.then(|| self.wait_for_locked(me));
                    }
                    // It was unparked before it was parked, so it continues.
                    let Some(p) = p else {
                        return self.put_away_without_p(me, runnable, Outcome::Suspended(Suspend::Yield));
                    };
                    if me.has_picked() {
                        // It has taken the next one off the queue, which nobody else sees until it runs.
                        self.put_ready(p, runnable);
                        return None;
                    }
                    next = runnable;
                }
                (outcome, None) => return self.put_away_without_p(me, runnable, outcome),
                (outcome, Some(p)) if is_locked => {
                    if outcome != Outcome::Finished {
                        emit!(p, Yield { g: g.id() }, if HEARD).deliver();
                    }
                    return self.put_away_locked(me, runnable, outcome);
                }
                (Outcome::Suspended(Suspend::Yield), Some(p)) => {
                    emit!(p, Yield { g: g.id() }, if HEARD).deliver();
                    self.put_back(p, runnable);
                    return None;
                }
                (Outcome::Suspended(Suspend::YieldGlobal), Some(p)) => {
                    emit!(p, Yield { g: g.id() }, if HEARD).deliver();
                    self.inject(runnable);
                    return None;
                }
                (Outcome::Finished, Some(p)) => {
                    let id = g.id();
                    self.retire(p, runnable);
                    emit!(p, End { g: id }, if HEARD).deliver();
                    return None;
                }
            }
        }
    }

    /// The G of this M has parked.
    #[inline(always)]
    fn has_parked<const HEARD: bool>(&self, p: Option<OwnedP<'_>>, id: u64, reason: &'static Reason) {
        match p {
            Some(p) => emit!(p, Park { g: id, reason }, if HEARD).deliver(),
            None => emit!(&self.counters, Park { g: id, reason }, if HEARD).deliver(),
        }
    }

    /// A G has yielded: it goes to the end of the queue. The next pick makes it stealable if a P is idle.
    #[inline(always)]
    pub(super) fn put_back(&self, p: OwnedP<'_>, runnable: Runnable) {
        runnable.g().set_status(Status::Runnable);
        self.append(p, runnable);
    }

    /// The P was taken from this M while its G ran. If the G is not finished, the M takes an idle P to go on with it,
    /// or queues it with the others.
    #[cold]
    fn put_away_without_p(&self, me: &mut Me<'_>, runnable: Runnable, outcome: Outcome) -> Option<Runnable> {
        let g = runnable.g();
        let goes_on = matches!(outcome, Outcome::Suspended(_));
        let is_locked = !g.locked_m.get().is_null();
        if goes_on {
            emit!(&self.counters, Yield { g: g.id() }).deliver();
        }
        if goes_on && self.regain(me) {
            // Others may have waited for the P too, and there was no M but this one.
            let gives_way = outcome == Outcome::Suspended(Suspend::YieldGlobal) && self.has_visible_work();
            if !gives_way || is_locked {
                return Some(runnable);
            }
        } else if is_locked {
            return self.put_away_locked(me, runnable, outcome);
        }
        if goes_on {
            self.inject(runnable);
        } else {
            self.retire_foreign(runnable);
        }
        None
    }
}

/// Runs a G until one leaves its stack for this M's: with its own thread-locals, and outside of the section. That may
/// be another one, to which the first has switched (`direct.rs`).
#[inline(always)]
fn resume(me: &mut Me<'_>, runnable: Runnable) -> (Runnable, Outcome) {
    let g = runnable.g();
    let moves = continue_on(me, g);
    // SAFETY: the Runnable says that the caller owns the G.
    let coro = unsafe { g.coro() };
    let packed = me.outside(|m| match g.block.get() {
        // SAFETY: as above; it does not run.
        None => unsafe { coro.resume(&m.home) },
        // SAFETY: this M owns the G, so the block is loaded nowhere else.
        Some(block) => unsafe { with_block(block, || resume_as(m, coro, moves)) },
    });
    me.has_heard();
    let left = me.g().expect("a G has run");
    // SAFETY: it has left its stack, and the M has not yet given it away.
    (unsafe { Runnable::own(left) }, packed.unpack())
}

/// Resumes a G whose own thread-locals are loaded; it `moves` to this M.
#[inline(always)]
fn resume_as(m: &M, coro: &Coro, moves: bool) -> PackedOutcome {
    if moves {
        current::set_machine(m);
    }
    // SAFETY: the caller owns the G, which does not run.
    unsafe { coro.resume(&m.home) }
}
