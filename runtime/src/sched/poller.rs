//! The poller: where the keeper sleeps, and what its sleep waits for. It is the seam between the scheduler and events
//! that come from outside by themselves. Today these are timers alone.
//!
//! # Who uses it
//! | question | verb | asked by |
//! | --- | --- | --- |
//! | sleep until something comes | [`Poller::sleep`] | the keeper only (`rest.rs`) |
//! | end that sleep | [`Poller::wake`] | whoever wakes an M that rests, which may be the keeper (`wake.rs`, `timers.rs`, `machines.rs`) |
//! | take what has come | [`look_outside`](Shared::look_outside) | an M at every 61st pick and while it searches (`find.rs`), sysmon when it stands in (`starved.rs`) |
//! | has something come? | [`has_come`](Shared::has_come) | sysmon, which then wakes an M, or takes the P of one that does not look |
//! | will something come? | [`awaits`](Shared::awaits) | the deadlock check |
//!
//! Another source of events, such as descriptors, will be added to these five verbs; no other place looks, sleeps or
//! is woken for it. While no source is registered, the keeper sleeps as every M does, which is the cheapest sleep.
//! Only timers are known beforehand: so the keeper has their deadline (`keeper.rs`), and sysmon ends a pause when one
//! is due (`sysmon/pace.rs`).
//!
//! # The argument
//! No event is overlooked. An M looks before it sleeps. An M that becomes the keeper sleeps here until the first
//! event. If the keeper is taken away for work, no other M slept ([`take_idle_m`](Shared::take_idle_m) takes the
//! keeper last), so each M will look again, and one of them becomes the keeper. If all are busy, they look at every
//! 61st pick; and sysmon takes the P of one that does not pick.
//!
//! A wake is kept: it is the token of `m/sleep.rs`, which the keeper's next sleep takes. A poller in which the keeper
//! sleeps differently must keep a token too. Only this file knows how an M sleeps, so an M that rests is woken by way
//! of the poller.

use super::shared::Shared;
use crate::m::M;
use crate::p::OwnedP;
use crate::timers::NEVER;

/// See the head of this file. It has no state, as long as time is all that comes.
#[derive(Debug)]
pub(super) struct Poller;

impl Poller {
    /// The keeper sleeps until something comes, at `until_ns` at the latest, or until it is woken.
    pub(super) fn sleep(&self, keeper: &M, until_ns: u64) {
        keeper.sleep(until_ns);
    }

    /// Wakes an M that rests, as the keeper or not.
    pub(super) fn wake(&self, m: &M) {
        m.wake();
    }
}

impl Shared {
    /// Makes ready what has come, without waiting: what is due on all Ps. Gs go to the end of the caller's queue.
    #[inline]
    pub(super) fn look_outside(&self, p: OwnedP<'_>, now_ns: u64) {
        for of in &self.ps {
            self.run_due(p, of, now_ns);
        }
    }

    /// Whether something has come that no M has looked at: a hint.
    pub(crate) fn has_come(&self, now_ns: u64) -> bool {
        self.earliest_ns() <= now_ns
    }

    /// Whether something will come by itself: a timer is pending.
    pub(crate) fn awaits(&self) -> bool {
        self.earliest_ns() != NEVER
    }
}
