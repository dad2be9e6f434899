//! Wakes an M with an idle P, or has one started; and what happens when there is none.

use super::shared::{Queues, Setup, Shared};
use crate::g::Runnable;
use crate::m::M;
use crate::m::emit::emit;
use crate::os::thread_sleeps;
use crate::p::{OwnedP, P};
use crate::probe::give_up;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

impl Shared {
    /// Wakes one P to search. The caller has been told to by [`Idle::announce`](super::idle::Idle::announce): it counts
    /// as searching. Returns whether there was an idle P, and an M for it.
    #[cold]
    pub(crate) fn wake_p(&self) -> bool {
        let mut queues = self.lock();
        match self.take_idle_p(&mut queues) {
            Some(p) => self.start_m(queues, p),
            None => {
                // Under the lock: `idle.rs` needs it.
                self.idle.end_search();
                false
            }
        }
    }

    /// Takes a P off the idle list.
    pub(super) fn take_idle_p(&self, queues: &mut Queues) -> Option<&P> {
        let p = queues.idle_ps.pop()?;
        self.idle.p_left_idle();
        Some(&self.ps[p])
    }

    /// Puts a P on the idle list.
    pub(super) fn put_idle_p(&self, queues: &mut Queues, p: &P) {
        queues.idle_ps.push(p.id);
        self.idle.p_went_idle();
    }

    /// Gives `p` to an M that sleeps, or to a new one, which searches and has been counted as searching. If there is
    /// none to be had, `p` becomes idle, and the work stays where it is: the Ms that there are come to it, and sysmon
    /// tries again.
    pub(super) fn start_m(&self, mut queues: MutexGuard<'_, Queues>, p: &P) -> bool {
        let m = queues.idle_ms.pop().or_else(|| {
            let keeper = queues.keeper.take()?;
            self.keeper.lay_down();
            Some(keeper)
        });
        if let Some(m) = m {
            queues.starved = false;
            m.searching.store(true, Ordering::Relaxed);
            // Under the lock: an M that is to stop looks there whether it has been handed a P.
            m.hand(p);
            drop(queues);
            let id = m.id;
            let wake = emit!(&self.counters, Wake { m: id });
            m.wake();
            wake.deliver();
            return true;
        }
        if !self.may_start_m(&queues) || !self.may_ask_for_m(&queues) {
            return self.starve(queues, p);
        }
        self.ask_for_m(queues, p);
        true
    }

    /// There is no M for `p`: it becomes idle. An M may be on its way to the idle list, and takes it; else sysmon sees to
    /// it, and whether that is for ever.
    #[cold]
    pub(super) fn starve(&self, mut queues: MutexGuard<'_, Queues>, p: &P) -> bool {
        queues.starved = true;
        self.put_idle_p(&mut queues, p);
        self.idle.end_search();
        drop(queues);
        self.wake_sysmon();
        false
    }

    /// Work waits, a P is idle, and no M is to be had for it. sysmon does what needs none: due timers, and Gs that are locked
    /// to an M, which waits for them. The others wait for an M that comes back, or a thread. Returns whether it could do
    /// something.
    pub(crate) fn stand_in(&self, now_ns: u64) -> bool {
        let mut queues = self.lock();
        if !queues.starved {
            return false;
        }
        let Some(p) = self.take_idle_p(&mut queues) else { return false };
        drop(queues);
        // SAFETY: it was taken off the idle list, for the caller alone.
        let owned = unsafe { OwnedP::of(p) };
        self.run_all_due(owned, now_ns);
        let mut queues = self.lock();
        let Queues { global, idle_ps, .. } = &mut *queues;
        // What is on the other idle Ps too: it stayed there when they found no M.
        for p in std::iter::once(p).chain(idle_ps.iter().map(|id| &self.ps[*id])) {
            // SAFETY: an idle P belongs to who holds the lock, and the first one to the caller.
            let owned = unsafe { OwnedP::of(p) };
            while let Some(g) = owned.take_next().or_else(|| owned.pop()) {
                global.push_back(g);
            }
        }
        // Who has the lock owns what is queued, so it may look at it.
        let is_locked = |g: &Runnable| !g.g().locked_m.get().is_null();
        let locked = queues.global.iter().position(is_locked).and_then(|at| queues.global.remove(at));
        self.publish_global(&queues);
        let Some(locked) = locked else {
            self.put_idle_p(&mut queues, p);
            return false;
        };
        drop(queues);
        self.hand_with_p(locked, p);
        true
    }

    /// Whether work waits for an M, but all that may be are there, and each is blocked in a G.
    pub(crate) fn is_exhausted(&self) -> bool {
        let queues = self.lock();
        if !queues.starved || queues.stopping || self.is_closing() || self.may_start_m(&queues) {
            return false;
        }
        let ms: Vec<Arc<M>> = queues.ms.iter().map(|(m, _)| m.clone()).collect();
        drop(queues);
        // One that is in the runtime goes on; one that computes will come to an end, or to a call.
        ms.iter().all(|m| {
            m.has_g() && !m.section.is_inside() && thread_sleeps(m.tid()) == Some(true)
                || m.waits_for_locked.load(Ordering::Relaxed)
        })
    }

    /// Ends the program, as Go does: it would hang, and nobody would know why.
    #[cold]
    pub(crate) fn exhausted(&self) -> ! {
        let queues = self.lock();
        let (all, locked) = (queues.ms.len(), queues.locked_ms);
        drop(queues);
        let Setup { name, max_threads, .. } = &self.setup;
        give_up(&format!(
            "thread exhaustion: the runtime {name:?} needs more than the {max_threads} threads that \
             Builder::max_threads allows. Of {all}, {locked} wait for a goroutine that is locked to them, and the others \
             are blocked in one: in a system call, a lock of std, or pirn::blocking. Let fewer goroutines block at the \
             same time, or allow more threads; PIRN_DEBUG=blockers=1 names those that block"
        ));
    }
}
