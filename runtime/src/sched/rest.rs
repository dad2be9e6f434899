//! How an M goes to sleep without missing work, and how it comes back with a P.

use super::queues::Queues;
use super::shared::Shared;
use crate::clock::now_ns;
use crate::config::M_KEPT_NS;
use crate::m::Me;
use crate::m::emit::emit;
use crate::m::fork::{end_in_fork, is_fork};
use crate::p::{FreeP, P};
use crate::timers::NEVER;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

impl Shared {
    /// Gives up the P, looks once more, and sleeps until it is given one again. False when the runtime stops.
    pub(super) fn rest(&self, me: &mut Me<'_>) -> bool {
        if is_fork() {
            end_in_fork("what has forked on a thread of the runtime has returned");
        }
        if me.p().is_some() {
            let mut queues = self.lock();
            if !queues.global.is_empty() {
                return true;
            }
            let m = me.id;
            if let Some(p) = me.lay_down() {
                let p_id = p.id;
                // Heard before another M can take it.
                let release = emit!(&self.counters, Release { p: p_id, m });
                self.put_idle_p(&mut queues, p);
                drop(queues);
                release.tell();
            }
            if me.searching.swap(false, Ordering::Relaxed) {
                self.idle.end_search();
            } else {
                self.idle.before_last_look();
            }
            if self.has_visible_work() && self.try_take_p(me) {
                return true;
            }
            if self.ps.iter().any(P::has_hidden) {
                // Its M may be blocked.
                self.poke_sysmon();
            }
        }
        self.sleep(me)
    }

    /// After the last look has found something: any idle P.
    fn try_take_p(&self, me: &mut Me<'_>) -> bool {
        self.search_with_idle_p(me, self.lock()).is_ok()
    }

    /// Takes an idle P, to search for what made it worth while. The lock back if there is none.
    fn search_with_idle_p<'a>(
        &self,
        me: &mut Me<'_>,
        mut queues: MutexGuard<'a, Queues>,
    ) -> Result<(), MutexGuard<'a, Queues>> {
        let Some(p) = self.take_idle_p(&mut queues) else { return Err(queues) };
        drop(queues);
        me.searching.store(true, Ordering::Relaxed);
        self.idle.begin_search();
        self.took_p(me, p);
        Ok(())
    }

    /// Sleeps without a P: as the keeper if nobody else is, else until woken.
    fn sleep(&self, me: &mut Me<'_>) -> bool {
        let mut queues = self.lock();
        if queues.machines.is_stopping() {
            return false;
        }
        if std::mem::take(&mut queues.starved) {
            // While this M was on its way here somebody looked for one, and found none.
            queues = match self.search_with_idle_p(me, queues) {
                Ok(()) => return true,
                Err(queues) => queues,
            };
        }
        if queues.idle.keeper().is_none() {
            let until = self.take_up_keeping(&mut queues, me);
            drop(queues);
            return self.keep_time(me, until);
        }
        // The keeper may have gone to sleep before the timers of the P that has just become idle were started.
        let earliest = self.earliest_ns();
        let stale = match self.keeper.added(earliest) {
            super::keeper::Tell::TheKeeper if earliest != NEVER => queues.idle.keeper().cloned(),
            _ => None,
        };
        queues.idle.add_m(me);
        drop(queues);
        if let Some(keeper) = stale {
            self.poller.wake(&keeper);
        }
        self.wait_for_p(me)
    }

    /// Sleeps until `until_ns`, as the keeper.
    fn keep_time(&self, me: &mut Me<'_>, mut until_ns: u64) -> bool {
        loop {
            if let Some(p) = me.m().take_handed() {
                self.took_p(me, p);
                return true;
            }
            if until_ns <= self.refresh_clock() {
                return self.deadline_passed(me);
            }
            self.poller.sleep(me, until_ns);
            if self.must_stop(me) {
                return false;
            }
            let mut queues = self.lock();
            if queues.idle.is_keeper(me) {
                // Woken for an earlier timer, or in vain.
                until_ns = self.take_up_keeping(&mut queues, me);
            }
        }
    }

    /// The keeper's deadline has come: it takes an idle P and looks at the timers. Without an idle P, the Ms of the
    /// others do.
    fn deadline_passed(&self, me: &mut Me<'_>) -> bool {
        if self.must_stop(me) {
            return false;
        }
        let mut queues = self.lock();
        if !self.lay_down_keeping(&mut queues, me) {
            // Somebody has handed it a P.
            drop(queues);
            return self.wait_for_p(me);
        }
        match self.search_with_idle_p(me, queues) {
            Ok(()) => true,
            Err(mut queues) => {
                queues.idle.add_m(me);
                drop(queues);
                self.wait_for_p(me)
            }
        }
    }

    /// Sleeps until somebody hands it a P, or until it is not needed any more.
    fn wait_for_p(&self, me: &mut Me<'_>) -> bool {
        let mut leaves_ns = now_ns() + M_KEPT_NS;
        loop {
            if let Some(p) = me.m().take_handed() {
                self.took_p(me, p);
                return true;
            }
            me.sleep(leaves_ns);
            if self.must_stop(me) {
                return false;
            }
            if leaves_ns <= now_ns() {
                leaves_ns = NEVER;
                if self.may_leave(me) {
                    return false;
                }
            }
        }
    }

    /// The M has got a P that was idle, or was handed over.
    pub(super) fn took_p(&self, me: &mut Me<'_>, p: FreeP<'_>) {
        let now = self.refresh_clock();
        p.set_holder(me.id, now);
        p.owned().restart_clock(now);
        let (p_id, m_id) = (p.id, me.id);
        me.take_up(p);
        me.note_regained();
        emit!(&self.counters, Acquire { p: p_id, m: m_id }).tell();
        self.wake_sysmon();
    }
}
