//! Wakes an M with an idle P, or has one started.

#![cfg(not(loom))]

use super::queues::Queues;
use super::shared::Shared;
use crate::m::emit::emit;
use crate::os::MutexGuard;
use crate::p::{FreeP, OwnedP};

impl Shared {
    /// Whether a G on `p` that waits for a lock should try again before it parks: other Ms run, and nothing waits for
    /// `p`.
    pub(crate) fn may_spin(&self, p: OwnedP<'_>) -> bool {
        p.is_empty() && self.idle.idle_ps() as usize + 1 < self.ps.len()
    }

    /// Wakes one P for the search that the caller has announced ([`Idle::announce`](super::idle::Idle::announce)).
    /// Returns whether there was an idle P, and an M for it.
    #[cold]
    pub(crate) fn wake_p(&self) -> bool {
        let mut queues = self.lock();
        match self.take_idle_p(&mut queues) {
            Some(p) => self.start_m(queues, p),
            None => {
                self.call_off_search();
                false
            }
        }
    }

    /// Gives `p` to an M that sleeps, or to a new one, with the announced search. If there is no M, `p` becomes
    /// idle and the work stays where it is: the Ms that exist come to it later, and sysmon tries again.
    pub(super) fn start_m(&self, mut queues: MutexGuard<'_, Queues>, p: FreeP<'_>) -> bool {
        if let Some(m) = self.take_idle_m(&mut queues) {
            queues.starved = false;
            self.give_search(&m);
            let id = m.id;
            // Heard before the M can have the P: it may be awake.
            let wake = emit!(&self.counters, Wake { m: id });
            // Under the lock: an M that is to stop looks there whether it has been handed a P.
            m.hand(p);
            drop(queues);
            self.poller.wake(&m);
            wake.deliver();
            return true;
        }
        if !self.may_start_m(&queues) || !self.may_ask_for_m(&queues) {
            return self.starve(queues, p);
        }
        self.ask_for_m(queues, p);
        true
    }
}
