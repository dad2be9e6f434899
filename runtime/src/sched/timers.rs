//! Timers: which M wakes for a new one, and what happens to those that are due.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "who has become the owner of a G")]

use super::entered::Entered;
use super::keeper::ToWake;
use super::shared::Shared;
use crate::g::{G, Runnable, Unparked, prefetch_stack};
use crate::m::emit::emit;
use crate::p::{OwnedP, P};
use crate::probe::Status;
use crate::timers::{Action, NEVER, TimerKey};

/// How many due timers are taken out under the lock at a time.
const DUE_AT_ONCE: usize = 64;

impl Shared {
    /// Starts a timer, on the caller's P if it has one. None if the runtime has ended.
    pub(crate) fn add_timer(&self, when_ns: u64, action: Action) -> Option<TimerKey> {
        let (key, is_unseen) = self.insert_timer(when_ns, action)?;
        if is_unseen {
            self.wake_for_timer(when_ns);
        }
        Some(key)
    }

    /// As `add_timer`, for a caller that holds a lock: true says that it must call `wake_for_timer` after unlocking.
    /// That call may start an M, which runs the user's callbacks.
    pub(crate) fn insert_timer(&self, when_ns: u64, action: Action) -> Option<(TimerKey, bool)> {
        if let Some(p) = Entered::new().as_ref().and_then(|e| e.p_of(self)) {
            return Some((p.timers.insert(p.id, when_ns, action)?, false));
        }
        let p = &self.ps[when_ns as usize % self.ps.len()];
        Some((p.timers.insert(p.id, when_ns, action)?, true))
    }

    /// Cancels a timer; false if it was due already.
    pub(crate) fn cancel_timer(&self, key: TimerKey) -> bool {
        self.ps[key.p()].timers.cancel(key)
    }

    /// Wakes an M for the timer that is due at `when_ns`, if the caller's thread will not look at it before it sleeps.
    pub(crate) fn wake_for_timer(&self, when_ns: u64) {
        if when_ns == NEVER {
            return;
        }
        let keeper = match self.keeper.added(when_ns) {
            ToWake::Nobody => return,
            ToWake::Keeper => self.lock().idle.keeper().cloned(),
            ToWake::IdleP => None,
        };
        match keeper {
            Some(keeper) => self.poller.wake(&keeper),
            None => _ = self.announce(),
        }
    }

    /// The earliest deadline of all Ps.
    pub(crate) fn earliest_ns(&self) -> u64 {
        self.ps.iter().map(|p| p.timers.earliest_ns()).min().unwrap_or(NEVER)
    }

    /// Runs what is due in the timers of all Ps. Gs that become ready go to the end of the caller's queue.
    #[inline]
    pub(super) fn run_all_due(&self, p: OwnedP<'_>, now_ns: u64) {
        for of in &self.ps {
            self.run_due(p, of, now_ns);
        }
    }

    /// Runs what is due in the timers of `of`. Gs that become ready go to the end of the caller's queue.
    #[inline]
    pub(super) fn run_due(&self, p: OwnedP<'_>, of: &P, now_ns: u64) {
        if of.timers.earliest_ns() <= now_ns {
            self.run_due_slowly(p, of, now_ns);
        }
    }

    #[cold]
    fn run_due_slowly(&self, p: OwnedP<'_>, of: &P, now_ns: u64) {
        let mut due = Vec::with_capacity(DUE_AT_ONCE);
        let mut ready = 0;
        loop {
            of.timers.take_due(now_ns, DUE_AT_ONCE, &mut due);
            if due.is_empty() {
                break;
            }
            // Memory brings all these records at once. Asked for one after the other they take half as long again.
            due.iter().for_each(|(_, action)| action.prefetch());
            let before = ready;
            for (when_ns, action) in due.drain(..) {
                emit!(p, Fire { p: of.id, when_ns, now_ns }).deliver();
                match action {
                    Action::Wake(g, id) => ready += usize::from(self.wake_by_timer(p, g, id)),
                    Action::Call(fire) => fire.fire(when_ns, now_ns),
                }
            }
            // They have been cold for as long as they have slept, and the lane prefetches only when it is long.
            p.for_last(ready - before, prefetch_stack);
        }
        // One G is for this M itself; a wake would cost more than running it.
        if ready > 1 {
            self.offer(p);
        }
    }

    /// Wakes a G whose timer is due. False if it was awake.
    fn wake_by_timer(&self, p: OwnedP<'_>, g: &'static G, id: u64) -> bool {
        if g.word.unpark(id) != Unparked::Claimed {
            return false;
        }
        g.set_status(Status::Runnable);
        let ready = emit!(p, Ready { g: id });
        // SAFETY: it has just been claimed.
        self.append(p, unsafe { Runnable::own(g) });
        ready.deliver();
        true
    }
}
