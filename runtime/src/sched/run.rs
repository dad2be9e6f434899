//! The M loop: runs one G after another.

use super::shared::Shared;
use crate::coro::{Coro, Outcome, Suspend};
use crate::g::Runnable;
use crate::locals;
use crate::m::{M, current};
use crate::probe::Status;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Shared {
    pub(super) fn run(&self, m: &Arc<M>) {
        if let Some(p) = m.take_handed() {
            self.took_p(m, p);
        }
        while let Some(mut g) = self.find(m) {
            while let Some(next) = self.execute(m, g) {
                g = next;
            }
            if m.is_tainted.load(Ordering::Relaxed) {
                self.depart(m);
                return self.give_up(m);
            }
        }
    }

    /// Runs a G until it wants something, and does that. Returns a G that this M has to run next, if there is one.
    #[inline]
    fn execute(&self, m: &Arc<M>, runnable: Runnable) -> Option<Runnable> {
        let g = runnable.g();
        let locked = g.locked_m.get();
        if !locked.is_null() && locked != Arc::as_ptr(m) {
            self.hand_to_locked(m, runnable);
            return None;
        }
        // SAFETY: the Runnable says that this M owns the G.
        let coro = unsafe { &mut *g.coro.get() };
        if coro.is_none() {
            // SAFETY: this is the M itself, in its section.
            let p = unsafe { m.p() }.expect("an M that runs Gs has a P");
            match self.bind(p, g) {
                Ok(fresh) => {
                    *coro = Some(fresh);
                    if self.has_stalled() {
                        self.got_stack();
                    }
                }
                Err(error) => {
                    self.stall(runnable, &error);
                    return None;
                }
            }
        }
        let coro = coro.as_mut().expect("it has just been bound");
        let id = g.id();
        m.set_g(Some(g));
        g.set_status(Status::Running);
        g.last_m.store(m.id, Ordering::Relaxed);
        loop {
            m.section.leave();
            let outcome = match g.block.get() {
                None => coro.resume(),
                // SAFETY: this M owns the G, so the block is loaded nowhere else.
                Some(block) => unsafe { locals::with_block(block, || resume_as(m, coro)) },
            };
            m.section.enter();
            m.has_heard();
            let Outcome::Suspended(Suspend::Park(reason)) = outcome else {
                m.set_g(None);
                return self.put_away(m, runnable, outcome);
            };
            g.set_waiting(reason, self.coarse_ms());
            let locked = !g.locked_m.get().is_null();
            m.set_g(None);
            if g.word.commit_park(id) {
                self.count_park(m);
                // From here on `g` is somebody else's.
                return locked.then(|| self.wait_for_locked(m));
            }
            if m.p_hint().is_none() {
                return self.put_away_without_p(m, runnable, Outcome::Suspended(Suspend::Yield));
            }
            m.set_g(Some(g));
            g.set_status(Status::Running);
        }
    }

    /// A G has parked.
    #[inline(always)]
    fn count_park(&self, m: &M) {
        // SAFETY: this is the M itself, in its section.
        match unsafe { m.p() } {
            Some(p) => p.count_park(),
            None => _ = self.foreign_parks.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Puts a G that yielded or ended where it belongs. Returns a G that this M has to run next, if there is one.
    #[inline(always)]
    fn put_away(&self, m: &Arc<M>, runnable: Runnable, outcome: Outcome) -> Option<Runnable> {
        // SAFETY: this is the M itself, in its section.
        let Some(p) = (unsafe { m.p() }) else { return self.put_away_without_p(m, runnable, outcome) };
        let g = runnable.g();
        if !g.locked_m.get().is_null() {
            return self.put_away_locked(m, runnable, outcome);
        }
        match outcome {
            Outcome::Finished => {
                self.retire(p, runnable);
                p.count_retired();
            }
            Outcome::Suspended(Suspend::YieldGlobal) => self.inject(runnable),
            Outcome::Suspended(_) => {
                g.set_status(Status::Runnable);
                // The pick that comes next shows it, if it is to be shown.
                if let Err(g) = p.push(runnable) {
                    self.queue(p, g);
                }
            }
        }
        None
    }

    /// The P was taken from this M while its G ran. If the G goes on it takes an idle P, or queues with the others.
    #[cold]
    fn put_away_without_p(&self, m: &Arc<M>, runnable: Runnable, outcome: Outcome) -> Option<Runnable> {
        let goes_on = matches!(outcome, Outcome::Suspended(_));
        let is_locked = !runnable.g().locked_m.get().is_null();
        if goes_on && self.regain(m) {
            // Others may have waited for the P too, and there was no M but this one.
            let gives_way = outcome == Outcome::Suspended(Suspend::YieldGlobal) && self.has_visible_work();
            if !gives_way || is_locked {
                return Some(runnable);
            }
        } else if is_locked {
            return self.put_away_locked(m, runnable, outcome);
        }
        if goes_on {
            self.inject(runnable);
        } else {
            self.retire_foreign(runnable);
        }
        None
    }
}

/// Resumes a G whose own thread-locals are loaded.
#[inline(always)]
fn resume_as(m: &Arc<M>, coro: &mut Coro) -> Outcome {
    current::set_machine(Arc::as_ptr(m));
    coro.resume()
}
