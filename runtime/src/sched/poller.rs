//! The poller: where the keeper sleeps, and what its sleep waits for. It is the seam between the scheduler and events
//! that come from outside by themselves: timers, and descriptors (`netpoll`).
//!
//! # Who uses it
//! | question | verb | asked by |
//! | --- | --- | --- |
//! | sleep until something comes | [`sleep_as_keeper`](Shared::sleep_as_keeper) | the keeper only (`rest.rs`) |
//! | end that sleep | [`Poller::wake`] | whoever wakes an M that rests, which may be the keeper (`wake.rs`, `timers.rs`, `machines.rs`) |
//! | take what has come | [`look_outside`](Shared::look_outside) | an M at every 61st pick (while slices are long at each, if nobody has for [`ASK_NS`]) unless the global queue has more, its own is long or Gs are stranded on another P, before it steals and while it searches (`find.rs`; it searches shortly if there were events lately), sysmon when it stands in (`starved.rs`) |
//! | the same without a P | [`ask_as_sysmon`](Shared::ask_as_sysmon) | sysmon, if nobody has asked for a millisecond, or for ten while some M runs many Gs |
//! | has something come? | [`has_come`](Shared::has_come) | sysmon, which then wakes an M, or takes the P of one that does not look |
//! | will something come? | [`awaits`](Shared::awaits) | the deadlock check |
//!
//! No other place looks, sleeps or is woken for what comes from outside. While no descriptor is registered, the keeper
//! sleeps as every M does, which is the cheapest sleep, and nobody asks the kernel. Only timers are known beforehand:
//! so the keeper has their deadline (`keeper.rs`), and sysmon ends a pause when one is due (`sysmon/pace.rs`).
//!
//! # The argument
//! No event is overlooked. The kernel keeps the event of a descriptor until somebody asks for it, and a timer waits in
//! its heap. An M looks before it sleeps (one that is surplus does not: see below). An M that becomes the keeper sleeps
//! here until the first event. If the keeper
//! is taken away for work, no other M slept ([`take_idle_m`](Shared::take_idle_m) takes the keeper last), so each M
//! will look again, and one of them becomes the keeper. If the keeper goes on with a P because something has come, it
//! looks again itself. Other Ms may sleep meanwhile, and there is no keeper: sysmon asks if nobody has for a
//! millisecond, and wakes an M for what has come, which becomes the keeper when it finds no more. If all are busy, they
//! look at every 61st pick, and sysmon takes the P of one that does not pick. One with a long queue looks when all in it
//! have had their turn; while it picks quickly sysmon leaves it to it for ten milliseconds.
//!
//! *The keeper, and the first descriptor.* A keeper that became it before the first descriptor was registered sleeps
//! without the epoll. So whoever registers the first one takes the scheduler's lock afterwards and wakes the keeper
//! ([`has_registered`](Shared::has_registered)), which then sleeps in the epoll. An M that becomes the keeper later has
//! taken the same lock later, and sees that one is registered.
//!
//! *Two keepers.* One that is taken away for work may still wait in the epoll when another M becomes the keeper. Only
//! one waits there at a time, and the one that leaves wakes the other (`netpoll/seat.rs`).
//!
//! *No keeper.* Whoever makes the P of another idle wakes an M with it if descriptors are registered and there is no
//! keeper, as for timers (`hand_off.rs`).
//!
//! *One that is surplus* (`arrivals.rs`) leaves descriptors to the others, and does not become the keeper: it rests while, as
//! the lock shows, another P is held. The M of that one looks before it sleeps, and becomes the keeper, or is surplus in its
//! turn; the last of them is not. If that P becomes idle in another way, an M is woken (`hand_off.rs`). If its G blocks or
//! computes, sysmon, which is poked, asks in its place and sees to timers too, as if there were no keeper.
//!
//! *A wake* is kept, as a token of the thread or as one of the word by which a keeper in the epoll is woken
//! (`m/wake_word.rs`). Only this file knows how an M sleeps, so an M that rests is woken by way of the poller. The bell
//! of the epoll is dearer than an unpark, so the keeper is woken last.

#![cfg(not(loom))]

use super::shared::Shared;
use crate::clock::rest_ns;
use crate::config::{ASK_NS, POLL_LATER_NS, POLL_NS};
use crate::m::{M, WakeBy};
use crate::netpoll::{Came, Netpoll, is_waited_for};
use crate::p::OwnedP;
use crate::timers::NEVER;
use std::sync::Arc;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Poller {
    netpoll: Arc<Netpoll>,
}

impl Poller {
    /// One with which no descriptor is registered.
    pub(super) fn new() -> Poller {
        Poller { netpoll: Netpoll::new() }
    }

    /// Wakes an M that rests, as the keeper or not.
    pub(super) fn wake(&self, m: &M) {
        if m.wake() == WakeBy::Bell {
            self.netpoll.ring();
        }
    }
}

impl Shared {
    /// Where descriptors are registered.
    pub(crate) fn netpoll(&self) -> &Arc<Netpoll> {
        &self.poller.netpoll
    }

    /// Whether descriptors are registered.
    #[inline(always)]
    pub(super) fn watches_descriptors(&self) -> bool {
        self.netpoll().registered() != 0
    }

    /// Whether descriptors have had events lately: a hint.
    pub(crate) fn has_events_lately(&self, now_ns: u64) -> bool {
        self.watches_descriptors() && self.netpoll().has_had_events(now_ns)
    }

    /// The keeper sleeps until something comes, at `until_ns` at the latest, or until it is woken. Returns the events
    /// of descriptors, if there are any.
    pub(super) fn sleep_as_keeper(&self, keeper: &M, until_ns: u64) -> Option<Came> {
        let netpoll = self.netpoll();
        if netpoll.registered() == 0 || !netpoll.seat().take() {
            keeper.sleep(until_ns);
            return None;
        }
        let mut came = Came::new();
        keeper.poll(|| netpoll.wait(&mut came, rest_ns(until_ns)));
        // Before it leaves the seat: otherwise sysmon would see one that nobody has asked for as long as this slept.
        let now_ns = self.refresh_clock();
        netpoll.has_asked(now_ns);
        if !came.is_empty() {
            netpoll.had_events(now_ns);
        }
        if netpoll.seat().leave() {
            // This one is not the keeper any more, and the next one waits for the seat.
            self.wake_keeper();
        }
        (!came.is_empty()).then_some(came)
    }

    /// Wakes the keeper, if there is one: it sleeps in another way from now on.
    fn wake_keeper(&self) {
        let keeper = self.lock().idle.keeper().cloned();
        if let Some(keeper) = keeper {
            self.poller.wake(&keeper);
        }
    }

    /// The first descriptor has been registered: a keeper that sleeps without the epoll learns of it.
    pub(crate) fn has_registered(&self) {
        self.netpoll().has_asked(self.coarse_ns());
        self.wake_keeper();
        // sysmon may be in a long pause, and has to ask from now on.
        self.poke_sysmon();
    }

    /// A P has become idle, and its M did not see to it that there is a keeper: wakes an M, if descriptors need one.
    pub(super) fn wake_for_events(&self) {
        if self.watches_descriptors() && self.lock().idle.keeper().is_none() {
            self.announce();
        }
    }

    /// Makes ready what has come, without waiting: what is due on all Ps, and what waits for descriptors that are
    /// ready. Gs go to the end of the caller's queue.
    #[inline]
    pub(super) fn look_outside(&self, p: OwnedP<'_>, now_ns: u64) {
        self.run_all_due(p, now_ns);
        self.look_at_descriptors(p, now_ns);
    }

    /// Makes ready what waits for descriptors that are ready.
    #[inline]
    pub(super) fn look_at_descriptors(&self, p: OwnedP<'_>, now_ns: u64) {
        if self.watches_descriptors() {
            self.ask_on(p, now_ns);
        }
    }

    /// The same at each pick while slices are long, unless somebody has asked a moment ago.
    #[inline]
    pub(super) fn look_at_late_descriptors(&self, p: OwnedP<'_>, now_ns: u64) {
        if now_ns >= self.asks_again_ns(ASK_NS) {
            self.poll_with_work(p, now_ns);
        }
    }

    #[cold]
    fn ask_on(&self, p: OwnedP<'_>, now_ns: u64) {
        let mut came = Came::new();
        self.netpoll().ask(&mut came, now_ns);
        self.deliver_on(p, &came);
        p.note_poll(p.queue_len() + self.global_len());
    }

    /// For sysmon: asks for the events of descriptors, if nobody has done so for long; `picks_quickly`: some M will, when
    /// all in its queue have had their turn.
    pub(crate) fn ask_as_sysmon(&self, now_ns: u64, picks_quickly: bool) {
        if now_ns >= self.must_ask_ns(picks_quickly) {
            let mut came = Came::new();
            self.netpoll().ask(&mut came, now_ns);
            // If somebody else asks just now, that counts too: it may wait for a CPU there, and sysmon would come back
            // again and again until it is done.
            self.netpoll().has_asked(now_ns);
            self.deliver_to_all(&came);
        }
    }

    /// When sysmon has to ask, if nobody else does before: never while the keeper waits for events.
    pub(crate) fn must_ask_ns(&self, picks_quickly: bool) -> u64 {
        self.asks_again_ns(if picks_quickly { POLL_LATER_NS } else { POLL_NS })
    }

    /// When somebody has to ask who leaves so much time since the last one.
    fn asks_again_ns(&self, pause_ns: u64) -> u64 {
        let netpoll = self.netpoll();
        if netpoll.registered() == 0 || netpoll.has_waiter() { NEVER } else { netpoll.asked_ns() + pause_ns }
    }

    /// Whether something has come that no M has looked at: a hint.
    pub(crate) fn has_come(&self, now_ns: u64) -> bool {
        self.earliest_ns() <= now_ns
    }

    /// Whether something will come by itself: a timer is pending, or something waits for a descriptor, which others may
    /// make ready.
    pub(crate) fn awaits(&self) -> bool {
        self.earliest_ns() != NEVER || is_waited_for()
    }
}
