//! Where the next G comes from, and how an M goes to sleep without missing one.

use super::shared::{Queues, Shared};
use crate::config::{FAIRNESS_TICKS, GLOBAL_BATCH_MAX, M_KEPT_NS, SEARCH_NS};
use crate::g::Runnable;
use crate::m::M;
use crate::m::emit::emit;
use crate::m::fork::{end_in_fork, is_fork};
use crate::p::{OwnedP, P};
use crate::timers::NEVER;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

impl Shared {
    /// The next G to run. None when the runtime stops.
    #[inline]
    pub(super) fn find(&self, m: &Arc<M>) -> Option<Runnable> {
        // SAFETY: this is the M itself, in its section.
        if let Some(p) = unsafe { m.p() }
            && let Some(g) = self.pick(p)
        {
            // It was woken to search, with a P that had work already.
            if m.searching.load(Ordering::Relaxed) {
                self.found(m, p);
            }
            return Some(g);
        }
        self.find_elsewhere(m)
    }

    /// From this P alone, but for every 61st time.
    #[inline]
    fn pick(&self, p: OwnedP<'_>) -> Option<Runnable> {
        if p.has_lane() {
            self.offer(p);
        }
        if p.count_pick().is_multiple_of(FAIRNESS_TICKS) {
            if let Some(g) = self.look_round(p) {
                return Some(g);
            }
        } else if p.is_coarse() && p.timers.earliest_ns() != NEVER {
            // Slices are long: the clock costs little, and 61 of them may be much too late.
            self.run_due(p, &p, self.refresh_clock());
        }
        p.next()
    }

    /// Every 61st pick: the clock, the timers of all Ps, the global queue.
    #[cold]
    fn look_round(&self, p: OwnedP<'_>) -> Option<Runnable> {
        let now = self.refresh_clock();
        p.judge_slices(FAIRNESS_TICKS, now);
        p.age_stacks(now);
        self.run_all_due(p, now);
        self.take_global(p, 1)
    }

    /// The P's own queue is empty: timers, global queue, other Ps; at last sleep.
    #[cold]
    fn find_elsewhere(&self, m: &Arc<M>) -> Option<Runnable> {
        loop {
            // SAFETY: this is the M itself, in its section.
            if let Some(p) = unsafe { m.p() } {
                let began = self.refresh_clock();
                let found = self.look_elsewhere(m, p, began);
                // Another thread may have stored an earlier reading meanwhile.
                p.exclude(self.coarse_ns.load(Ordering::Relaxed).saturating_sub(began));
                if found.is_some() {
                    if m.searching.load(Ordering::Relaxed) {
                        self.found(m, p);
                    }
                    return found;
                }
            }
            if !self.rest(m) {
                return None;
            }
        }
    }

    fn look_elsewhere(&self, m: &M, p: OwnedP<'_>, began: u64) -> Option<Runnable> {
        self.run_due(p, &p, began);
        if let Some(g) = p.next() {
            return Some(g);
        }
        if let Some(g) = self.take_global(p, GLOBAL_BATCH_MAX) {
            return Some(g);
        }
        if !m.searching.load(Ordering::Relaxed) {
            let busy = self.ps.len() as u32 - self.idle.idle_ps();
            if 2 * self.idle.searching() >= busy.max(1) {
                return None;
            }
            m.searching.store(true, Ordering::Relaxed);
            self.idle.begin_search();
        }
        let mut now = began;
        while now < began + SEARCH_NS {
            if self.global_len.load(Ordering::Relaxed) > 0
                && let Some(g) = self.take_global(p, GLOBAL_BATCH_MAX)
            {
                return Some(g);
            }
            if let Some(g) = self.steal(p) {
                return Some(g);
            }
            self.run_all_due(p, now);
            if let Some(g) = p.next() {
                return Some(g);
            }
            for _ in 0..16 {
                std::hint::spin_loop();
            }
            now = self.refresh_clock();
        }
        None
    }

    /// Half of the queue of the first P that has one, beginning anywhere.
    fn steal(&self, p: OwnedP<'_>) -> Option<Runnable> {
        let n = self.ps.len();
        if n == 1 {
            return None;
        }
        let first = p.random_below(n);
        (0..n).map(|i| &self.ps[(first + i) % n]).filter(|victim| victim.id != p.id && victim.has_queued()).find_map(
            |victim| {
                let stolen = p.steal_from(victim)?;
                emit!(p, Steal { p: p.id, from: victim.id }).deliver();
                Some(stolen)
            },
        )
    }

    /// A fair share of the global queue, but at most `most`: one G to run, the rest into the local queue.
    fn take_global(&self, p: OwnedP<'_>, most: usize) -> Option<Runnable> {
        if self.global_len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut queues = self.lock();
        let first = queues.pop_global()?;
        let share = queues.global.len() / self.ps.len();
        for _ in 0..share.min(most - 1).min(p.room()) {
            let Some(g) = queues.pop_global() else { break };
            if let Err(g) = p.push(g) {
                queues.global.push_front(g);
                break;
            }
        }
        self.publish_global(&queues);
        drop(queues);
        p.begin_slice();
        Some(first)
    }

    /// An M that searched has found a G. If there is more to do, the next one is woken.
    #[cold]
    fn found(&self, m: &M, p: OwnedP<'_>) {
        m.searching.store(false, Ordering::Relaxed);
        self.idle.end_search();
        self.offer(p);
        if self.idle.idle_ps() > 0 && self.has_visible_work() {
            self.announce();
        }
    }

    /// Gives up the P, looks once more, and sleeps until it is given one again. False when the runtime stops.
    fn rest(&self, m: &Arc<M>) -> bool {
        if is_fork() {
            end_in_fork("what has forked on a thread of the runtime has returned");
        }
        // SAFETY: this is the M itself, in its section.
        if let Some(p) = unsafe { m.p() } {
            let mut queues = self.lock();
            if !queues.global.is_empty() {
                return true;
            }
            m.set_p(std::ptr::null());
            self.put_idle_p(&mut queues, &p);
            drop(queues);
            emit!(&self.counters, Release { p: p.id, m: m.id }).deliver();
            if m.searching.swap(false, Ordering::Relaxed) {
                self.idle.end_search();
            } else {
                self.idle.before_last_look();
            }
            if self.has_visible_work() && self.try_take_p(m) {
                return true;
            }
            if self.ps.iter().any(P::has_hidden) {
                // Its M may be blocked.
                self.poke_sysmon();
            }
        }
        self.sleep(m)
    }

    /// After the last look has found something: any idle P.
    fn try_take_p(&self, m: &M) -> bool {
        self.search_with_idle_p(m, self.lock()).is_ok()
    }

    /// Takes an idle P, to search for what made it worth while. The lock back if there is none.
    fn search_with_idle_p<'a>(&self, m: &M, mut queues: MutexGuard<'a, Queues>) -> Result<(), MutexGuard<'a, Queues>> {
        let Some(p) = self.take_idle_p(&mut queues) else { return Err(queues) };
        drop(queues);
        m.searching.store(true, Ordering::Relaxed);
        self.idle.begin_search();
        self.took_p(m, p);
        Ok(())
    }

    /// Sleeps without a P: as the keeper if nobody else is, else until woken.
    fn sleep(&self, m: &Arc<M>) -> bool {
        let mut queues = self.lock();
        if queues.stopping {
            return false;
        }
        if std::mem::take(&mut queues.starved) {
            // While this M was on its way here somebody looked for one, and found none.
            queues = match self.search_with_idle_p(m, queues) {
                Ok(()) => return true,
                Err(queues) => queues,
            };
        }
        if queues.keeper.is_none() {
            let until = self.keeper.take_up(|| self.earliest_ns());
            queues.keeper = Some(m.clone());
            drop(queues);
            return self.keep_time(m, until);
        }
        // The keeper may have gone to sleep before the timers of the P that has just become idle were started.
        let earliest = self.earliest_ns();
        let stale = match self.keeper.added(earliest) {
            super::keeper::Tell::TheKeeper if earliest != NEVER => queues.keeper.clone(),
            _ => None,
        };
        queues.idle_ms.push(m.clone());
        drop(queues);
        if let Some(keeper) = stale {
            keeper.wake();
        }
        self.wait_for_p(m)
    }

    /// Sleeps until `until_ns`, as the keeper.
    fn keep_time(&self, m: &Arc<M>, mut until_ns: u64) -> bool {
        loop {
            if let Some(p) = m.take_handed() {
                self.took_p(m, p);
                return true;
            }
            let now = self.refresh_clock();
            if until_ns <= now {
                return self.deadline_passed(m);
            }
            if until_ns == NEVER {
                std::thread::park();
            } else {
                std::thread::park_timeout(Duration::from_nanos(until_ns - now));
            }
            if self.must_stop(m) {
                return false;
            }
            let queues = self.lock();
            if is_keeper(&queues, m) {
                // Woken for an earlier timer, or in vain.
                until_ns = self.keeper.take_up(|| self.earliest_ns());
            }
        }
    }

    /// The keeper's deadline has come: it takes an idle P and looks at the timers. Without an idle P, the Ms of the
    /// others do.
    fn deadline_passed(&self, m: &Arc<M>) -> bool {
        if self.must_stop(m) {
            return false;
        }
        let mut queues = self.lock();
        if !is_keeper(&queues, m) {
            // Somebody has handed it a P.
            drop(queues);
            return self.wait_for_p(m);
        }
        queues.keeper = None;
        self.keeper.lay_down();
        match self.search_with_idle_p(m, queues) {
            Ok(()) => true,
            Err(mut queues) => {
                queues.idle_ms.push(m.clone());
                drop(queues);
                self.wait_for_p(m)
            }
        }
    }

    /// Sleeps until somebody hands it a P, or until it is not needed any more.
    fn wait_for_p(&self, m: &M) -> bool {
        let mut leaves_at = Some(Instant::now() + Duration::from_nanos(M_KEPT_NS));
        loop {
            if let Some(p) = m.take_handed() {
                self.took_p(m, p);
                return true;
            }
            match leaves_at {
                Some(moment) => std::thread::park_timeout(moment.saturating_duration_since(Instant::now())),
                None => std::thread::park(),
            }
            if self.must_stop(m) {
                return false;
            }
            if leaves_at.is_some_and(|moment| moment <= Instant::now()) {
                leaves_at = None;
                if self.may_leave(m) {
                    return false;
                }
            }
        }
    }

    /// The M has slept for long, and others sleep too, as many as there are Ps: it leaves, and its thread ends.
    fn may_leave(&self, m: &M) -> bool {
        let mut queues = self.lock();
        // Without its lock nobody can take it out of the list, so nobody hands it a P.
        let spare = queues.idle_ms.len() > self.ps.len();
        let Some(at) = queues.idle_ms.iter().position(|other| spare && std::ptr::eq(&**other, m)) else {
            return false;
        };
        queues.idle_ms.remove(at);
        drop(queues);
        self.depart(m);
        true
    }

    /// The M ends before its runtime does.
    #[cold]
    pub(super) fn depart(&self, m: &M) {
        let mut queues = self.lock();
        m.has_departed.store(true, Ordering::Relaxed);
        let ended = |thread: &Option<JoinHandle<()>>| thread.as_ref().is_none_or(JoinHandle::is_finished);
        let gone: Vec<_> = queues.departed.extract_if(.., |(_, thread)| ended(thread)).collect();
        // Whoever is just starting it looks for it in the list, and does this then.
        if let Some(at) = queues.ms.iter().position(|(other, thread)| std::ptr::eq(&**other, m) && thread.is_some()) {
            let departs = queues.ms.swap_remove(at);
            queues.departed.push(departs);
        }
        drop(queues);
        // Not under the lock: it is a system call for each.
        drop(gone);
    }

    /// The runtime stops, and nobody has handed this M a P: it leaves the lists.
    fn must_stop(&self, m: &M) -> bool {
        let mut queues = self.lock();
        if !queues.stopping || m.has_handed() {
            return false;
        }
        queues.idle_ms.retain(|other| !std::ptr::eq(&**other, m));
        if queues.keeper.as_ref().is_some_and(|keeper| std::ptr::eq(&**keeper, m)) {
            queues.keeper = None;
            self.keeper.lay_down();
        }
        true
    }

    /// The M has got a P that was idle, or was handed over.
    pub(super) fn took_p(&self, m: &M, p: *const P) {
        m.set_p(p);
        m.note_regained();
        // SAFETY: this is the M itself, in its section, and the P was taken off the idle list for it.
        if let Some(p) = unsafe { m.p() } {
            let now = self.refresh_clock();
            p.set_holder(m.id, now);
            p.restart_clock(now);
            emit!(p, Acquire { p: p.id, m: m.id }).deliver();
        }
        self.wake_sysmon();
    }

    /// The earliest deadline of all Ps.
    pub(crate) fn earliest_ns(&self) -> u64 {
        self.ps.iter().map(|p| p.timers.earliest_ns()).min().unwrap_or(NEVER)
    }
}

fn is_keeper(queues: &Queues, m: &Arc<M>) -> bool {
    queues.keeper.as_ref().is_some_and(|keeper| Arc::ptr_eq(keeper, m))
}
