//! How an M goes to sleep without missing work, and how it comes back with a P.

#![cfg(not(loom))]

use super::queues::Queues;
use super::shared::Shared;
use crate::clock::now_ns;
use crate::config::M_KEPT_NS;
use crate::m::Me;
use crate::m::emit::emit;
use crate::m::fork::{end_in_fork, is_fork};
use crate::netpoll::Came;
use crate::os::MutexGuard;
use crate::p::{FreeP, P};
use crate::timers::NEVER;

impl Shared {
    /// Releases the P, looks at the queues once more, and sleeps until the M has a P again. False when the runtime
    /// stops.
    pub(super) fn rest(&self, me: &mut Me<'_>) -> bool {
        if is_fork() {
            end_in_fork("what has forked on a thread of the runtime has returned");
        }
        let is_surplus = me.p().is_some() && self.is_surplus(me);
        if me.p().is_some() {
            let mut queues = self.lock();
            if !queues.global.is_empty() {
                return true;
            }
            let m = me.id;
            if let Some(p) = me.take_p() {
                let p_id = p.id;
                // Heard before another M can take it.
                let release = emit!(&self.counters, Release { p: p_id, m });
                self.put_idle_p(&mut queues, p);
                drop(queues);
                release.deliver();
            }
            self.end_search(me);
            if !is_surplus && self.has_visible_work() && self.try_take_p(me) {
                return true;
            }
            if self.ps.iter().any(P::has_hidden) {
                // Its M may be blocked.
                self.poke_sysmon();
            }
        }
        self.sleep(me, is_surplus)
    }

    /// Takes any idle P, after the last look has found something.
    fn try_take_p(&self, me: &mut Me<'_>) -> bool {
        self.search_with_idle_p(me, self.lock()).is_ok()
    }

    /// Takes an idle P and begins to search with it. Returns the lock if there is none.
    fn search_with_idle_p<'a>(
        &self,
        me: &mut Me<'_>,
        mut queues: MutexGuard<'a, Queues>,
    ) -> Result<(), MutexGuard<'a, Queues>> {
        let Some(p) = self.take_idle_p(&mut queues) else { return Err(queues) };
        drop(queues);
        self.begin_search(me);
        self.took_p(me, p);
        Ok(())
    }

    /// Sleeps without a P: as the keeper if there is none, otherwise until woken.
    fn sleep(&self, me: &mut Me<'_>, is_surplus: bool) -> bool {
        let mut queues = self.lock();
        if queues.machines.is_stopping() {
            return false;
        }
        if std::mem::take(&mut queues.starved) {
            // Another thread looked for an M while this one was on its way here, and found none.
            queues = match self.search_with_idle_p(me, queues) {
                Ok(()) => return true,
                Err(queues) => queues,
            };
        }
        if is_surplus && queues.idle.ps().len() < self.ps.len() {
            // Another P is held: its M looks at what comes from outside (`poller.rs`).
            let has_keeper = queues.idle.keeper().is_some();
            queues.idle.add_m(me);
            drop(queues);
            if !has_keeper {
                // That M may compute: then sysmon looks in its place, and not only after a long pause.
                self.poke_sysmon();
            }
            return self.wait_for_p(me);
        }
        if queues.idle.keeper().is_none() {
            let until = self.start_keeping(&mut queues, me);
            drop(queues);
            return self.keep_time(me, until);
        }
        queues.idle.add_m(me);
        drop(queues);
        // The keeper may have gone to sleep before the timers of the P that has just become idle were started.
        self.wake_for_timer(self.earliest_ns());
        self.wait_for_p(me)
    }

    /// Sleeps until `until_ns`, or until there are events, as the keeper.
    fn keep_time(&self, me: &mut Me<'_>, mut until_ns: u64) -> bool {
        loop {
            if let Some(p) = me.m().take_handed() {
                self.took_p(me, p);
                return true;
            }
            if until_ns <= self.refresh_clock() {
                return self.deadline_passed(me);
            }
            if let Some(came) = self.sleep_as_keeper(me, until_ns) {
                return self.events_came(me, &came);
            }
            if self.must_stop(me) {
                return false;
            }
            let mut queues = self.lock();
            if queues.idle.is_keeper(me) {
                // Woken for an earlier timer, or for no reason.
                until_ns = self.start_keeping(&mut queues, me);
            }
        }
    }

    /// The keeper's deadline has come: it takes an idle P and looks at the timers. If no P is idle, the Ms that hold
    /// the Ps look.
    fn deadline_passed(&self, me: &mut Me<'_>) -> bool {
        if self.must_stop(me) {
            return false;
        }
        let mut queues = self.lock();
        if !self.stop_keeping(&mut queues, me) {
            // Another thread has handed it a P.
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

    /// The keeper has got events of descriptors: it takes an idle P for the Gs that are ready now. If no P is idle,
    /// they go to the global queue, and the Ms that hold the Ps ask for events from now on: they do it at less cost
    /// than a thread that is woken for each.
    fn events_came(&self, me: &mut Me<'_>, came: &Came) -> bool {
        let mut queues = self.lock();
        let has_p = if self.stop_keeping(&mut queues, me) {
            match self.search_with_idle_p(me, queues) {
                Ok(()) => true,
                Err(mut queues) => {
                    queues.idle.add_m(me);
                    false
                }
            }
        } else {
            drop(queues);
            // Another thread has handed it a P, or all Ms have to end.
            let handed = me.m().take_handed();
            handed.map(|p| self.took_p(me, p)).is_some()
        };
        match me.p() {
            Some(p) if has_p => self.deliver_on(p, came),
            _ => self.deliver_to_all(came),
        }
        has_p || self.wait_for_p(me)
    }

    /// Sleeps until it is handed a P, or until it is not needed any more.
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

    /// The M has taken a P that was idle, or was handed to it.
    pub(super) fn took_p(&self, me: &mut Me<'_>, p: FreeP<'_>) {
        let now = self.refresh_clock();
        p.set_holder(me.id, now);
        p.owned().restart_clock(now);
        if !p.is_empty() {
            // What is here was left when there was no M for it, and announced.
            p.owned().expect_long();
        }
        let (p_id, m_id) = (p.id, me.id);
        me.set_p(p);
        me.note_regained();
        emit!(&self.counters, Acquire { p: p_id, m: m_id }).deliver();
        self.wake_sysmon();
    }
}
