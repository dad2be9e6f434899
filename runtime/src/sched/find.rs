//! Where the next G comes from.

#![cfg(not(loom))]

use super::shared::Shared;
use crate::clock::stands_still;
use crate::config::{DRAW_MIN, FAIRNESS_TICKS, GLOBAL_BATCH_MAX, POLL_QUEUE_MAX, SEARCH_NS, STRANDED_NS};
use crate::g::Runnable;
use crate::m::emit::emit;
use crate::m::{M, Me};
use crate::p::{OwnedP, P};
use crate::timers::NEVER;
use std::sync::atomic::Ordering;

impl Shared {
    /// The next G to run. None when the runtime stops.
    #[inline]
    pub(super) fn find(&self, me: &mut Me<'_>) -> Option<Runnable> {
        if let Some(g) = me.picked.take() {
            return Some(g);
        }
        if let Some(p) = me.p()
            && let Some(g) = self.pick(p)
        {
            // It was woken to search, but its P had work already.
            if me.searching.load(Ordering::Relaxed) {
                self.found(me, p);
            }
            return Some(g);
        }
        self.find_elsewhere(me)
    }

    /// Takes the next G of this P; every 61st time it looks elsewhere first.
    #[inline]
    pub(super) fn pick(&self, p: OwnedP<'_>) -> Option<Runnable> {
        if p.has_lane() {
            self.offer(p);
        }
        if p.count_pick().is_multiple_of(FAIRNESS_TICKS) {
            if let Some(g) = self.look_round(p) {
                return Some(g);
            }
        } else if p.is_coarse() {
            self.look_while_coarse(p);
        }
        p.next()
    }

    /// At each pick while slices are long: the clock costs little then, and what comes from outside, or waits in the
    /// global queue because sysmon has put it there, cannot wait for 61 slices.
    #[inline]
    fn look_while_coarse(&self, p: OwnedP<'_>) {
        self.offer_rest(p);
        if !self.is_global_empty() {
            let room = p.room_in_half();
            // Not for one or two at a time: every P takes the same lock.
            if room >= DRAW_MIN {
                self.draw_global(p, room);
            }
        }
        let (has_timers, may_poll) = (p.timers.earliest_ns() != NEVER, self.watches_descriptors() && self.may_poll(p));
        if has_timers || may_poll {
            let now = self.refresh_clock();
            self.run_due(p, &p, now);
            if may_poll {
                self.look_at_late_descriptors(p, now);
            }
        }
    }

    /// Whether a P with work of its own may poll.
    ///
    /// What the global queue has came before what a poll would bring now. As long as there is some, nothing is polled:
    /// otherwise new events would overtake what waits there again and again. Nor is anything polled for a queue that is
    /// long. It would only wait here, where it waits for this M, which may lose its CPU; in the kernel it waits for any.
    /// And it would make the queue overflow, which sends the oldest to the global queue.
    ///
    /// Gs that yield, or wake each other, keep the queues long. So at the latest it polls when all have had their turn that
    /// were queued at the last poll.
    fn may_poll(&self, p: OwnedP<'_>) -> bool {
        p.queue_len() <= POLL_QUEUE_MAX && self.is_global_empty() || p.has_turned_over()
    }

    /// Every 61st pick: the clock, the timers of all Ps, a fair share of the global queue, descriptors.
    #[cold]
    pub(super) fn look_round(&self, p: OwnedP<'_>) -> Option<Runnable> {
        let now = self.refresh_clock();
        p.judge_slices(FAIRNESS_TICKS, now);
        p.age_stacks(now);
        self.run_all_due(p, now);
        let first = self.take_global(p, 1 + p.room_in_half());
        if first.is_some() && self.watches_descriptors() {
            // As in `arrivals.rs`. They were announced when they came.
            p.show_all();
        }
        if self.watches_descriptors() && self.may_poll(p) {
            self.poll_with_work(p, now);
        }
        self.offer_rest(p);
        first
    }

    /// Takes what comes from descriptors, for a P with work of its own. What waits for an M without a CPU came before
    /// that, and would wait as long as there is something new: then it is taken in its place.
    #[cold]
    pub(super) fn poll_with_work(&self, p: OwnedP<'_>, now_ns: u64) {
        if !self.take_stranded(p, now_ns) {
            self.look_at_descriptors(p, now_ns);
        }
    }

    /// Takes all that waits on another P, if its M seems to have no CPU: the kernel may run another thread there for some
    /// milliseconds, perhaps the calling one. Looks at one P at a time. Whether there was any.
    fn take_stranded(&self, p: OwnedP<'_>, now_ns: u64) -> bool {
        let n = self.ps.len();
        if n == 1 {
            return false;
        }
        let victim = &self.ps[(p.id + 1 + p.random_below(n - 1)) % n];
        let is_stranded = || victim.note_thief(now_ns).is_some_and(|ns| ns >= STRANDED_NS);
        if !victim.has_queued() || !is_stranded() || !p.steal_all_from(victim) {
            return false;
        }
        emit!(p, Steal { p: p.id, from: victim.id }).deliver();
        // A last look at all queues may have missed it on its way (`idle.rs`).
        self.announce();
        true
    }

    /// The P's own queue is empty: looks at timers, the global queue, descriptors and other Ps, and sleeps if
    /// there is nothing.
    #[cold]
    fn find_elsewhere(&self, me: &mut Me<'_>) -> Option<Runnable> {
        loop {
            if let Some(p) = me.p() {
                let began = self.refresh_clock();
                let found = self.look_elsewhere(me, p, began);
                // Another thread may have stored an earlier reading of the clock meanwhile.
                p.exclude(self.coarse_ns().saturating_sub(began));
                if found.is_some() {
                    if me.searching.load(Ordering::Relaxed) {
                        self.found(me, p);
                    }
                    return found;
                }
            }
            if !self.rest(me) {
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
        if self.is_surplus(m) {
            return None;
        }
        if self.watches_descriptors() {
            // What waits for an M without a CPU came before what a poll would bring.
            let stolen = self.steal_where(p, |victim| victim.note_thief(began).is_some());
            if stolen.is_some() {
                return stolen;
            }
            self.look_at_descriptors(p, began);
            if let Some(g) = p.next() {
                return Some(g);
            }
        }
        if !m.searching.load(Ordering::Relaxed) {
            let busy = self.ps.len() as u32 - self.idle.idle_ps();
            if 2 * self.idle.searching() >= busy.max(1) {
                return None;
            }
            self.begin_search(m);
        }
        let (mut now, until) = (began, began + self.search_ns(began));
        loop {
            if !self.is_global_empty()
                && let Some(g) = self.take_global(p, GLOBAL_BATCH_MAX)
            {
                return Some(g);
            }
            if let Some(g) = self.steal(p) {
                return Some(g);
            }
            self.run_all_due(p, now);
            if now != began {
                // Otherwise they were asked just now.
                self.look_at_descriptors(p, now);
            }
            if let Some(g) = p.next() {
                return Some(g);
            }
            for _ in 0..16 {
                std::hint::spin_loop();
            }
            now = self.refresh_clock();
            if now >= until || stands_still() {
                return None;
            }
        }
    }

    /// How long an M searches: one round alone while descriptors bring work. Then it sleeps in the epoll, which ends with
    /// the next event; a search would ask the kernel again and again for that, on a CPU that those who send may need.
    pub(super) fn search_ns(&self, now_ns: u64) -> u64 {
        if self.has_events_lately(now_ns) { 0 } else { SEARCH_NS }
    }

    /// Steals half of the queue of the first P that has Gs, starting at a random one.
    fn steal(&self, p: OwnedP<'_>) -> Option<Runnable> {
        self.steal_where(p, |_| true)
    }

    /// The same from the Ps that `may_steal` chooses among those that have Gs.
    fn steal_where(&self, p: OwnedP<'_>, may_steal: impl Fn(&P) -> bool) -> Option<Runnable> {
        let n = self.ps.len();
        if n == 1 {
            return None;
        }
        let first = p.random_below(n);
        (0..n)
            .map(|i| &self.ps[(first + i) % n])
            .filter(|victim| victim.id != p.id && victim.has_queued() && may_steal(victim))
            .find_map(|victim| {
                let stolen = p.steal_from(victim)?;
                p.expect_long();
                emit!(p, Steal { p: p.id, from: victim.id }).deliver();
                Some(stolen)
            })
    }

    /// An M that searched has found a G. If there is more to do, the next one is woken; but not for a few Gs that have
    /// come to this P from outside (`arrivals.rs`).
    #[cold]
    fn found(&self, m: &M, p: OwnedP<'_>) {
        self.end_search(m);
        self.offer(p);
        let others_have = || self.ps.iter().any(|other| other.id != p.id && other.has_queued());
        let is_more = || self.are_worth_wake(p, p.shown_len()) || !self.is_global_empty() || others_have();
        if self.idle.idle_ps() > 0 && is_more() {
            self.announce();
        }
    }
}
