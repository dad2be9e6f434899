//! Makes ready what waits for descriptors that are ready now, and says how many Ps may be awake for it: the **width**.
//!
//! Where the machine has a CPU for each P, that is all of them. Where other programs run, sysmon tries whether fewer get
//! more done (`sysmon/crowd.rs`). Then an idle P is woken only for so many Gs that some would wait for a slice, and an M that
//! has nothing left to run and is one too many, is **surplus**: it does not ask for events or search, and rests (`rest.rs`).
//! All other work is announced as always, and a P that has work for longer than a slice announces it again.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "who has become the owner of a G")]

use super::ready::ready;
use super::shared::Shared;
use crate::clock::stands_still;
use crate::config::{ARRIVALS_WORTH_WAKE_NS, LATELY_NS, SLICE_NS};
use crate::g::{G, Runnable, Unparked, prefetch_all, prefetch_record};
use crate::m::M;
use crate::m::emit::{Emitted, emit};
use crate::netpoll::{Came, Direction, Who, find, prefetch};
use crate::p::{OwnedP, P};
use crate::probe::Status;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many Ps may be awake for what comes from outside: sysmon says (`sysmon/crowd.rs`).
#[derive(Debug)]
pub(super) struct Width(AtomicUsize);

impl Width {
    /// So many.
    pub(super) fn new(procs: usize) -> Width {
        Width(AtomicUsize::new(procs))
    }
}

impl Shared {
    /// From now on so many Ps may be awake for what comes from outside.
    pub(crate) fn set_width(&self, width: usize) {
        self.width.0.store(width, Ordering::Relaxed);
    }

    fn width(&self) -> usize {
        self.width.0.load(Ordering::Relaxed)
    }

    /// Whether so many Gs that have come to `p` from outside are worth an idle P. Where the machine has no CPU for it, they
    /// are if some of them would wait for a slice.
    pub(super) fn are_worth_wake(&self, p: OwnedP<'_>, count: usize) -> bool {
        p.worth_ns(count) >= if self.busy_ps() < self.width() { ARRIVALS_WORTH_WAKE_NS } else { SLICE_NS }
    }

    /// Whether the M, which has nothing to run, is one more than there are CPUs for what comes from outside. One that was
    /// woken to search is not: somebody wants it. A P whose G computes or blocks does nothing for what comes from outside,
    /// so it does not count.
    pub(super) fn is_surplus(&self, m: &M) -> bool {
        let width = self.width();
        if self.busy_ps() <= width || m.searching.load(Ordering::Relaxed) || stands_still() {
            return false;
        }
        let now_ns = self.coarse_ns();
        let picks_lately = |p: &&P| p.same_pick_since_ns().is_none_or(|ns| now_ns < ns + LATELY_NS);
        self.has_events_lately(now_ns) && self.ps.iter().filter(picks_lately).count() > width
    }

    /// What waits on `p` waits for longer than a slice: an idle P is woken for it, again and again, as an M that was surplus
    /// has not searched before it rested.
    #[inline]
    pub(super) fn offer_rest(&self, p: OwnedP<'_>) {
        if self.idle.wants_work() && p.worth_ns(p.shown_len()) >= SLICE_NS {
            self.announce();
        }
    }

    fn busy_ps(&self) -> usize {
        self.ps.len() - self.idle.idle_ps() as usize
    }

    /// The events are on a P: Gs go to the end of the caller's queue.
    pub(super) fn deliver_on(&self, p: OwnedP<'_>, came: &Came) {
        let mut woken = 0;
        let others = each_woken(came, |g, id| woken += usize::from(self.wake_on(p, g, id)));
        // Nothing of them is in the cache, where there are many connections, and their pages are not in the TLB either. A
        // CPU walks the page table for several at the same time, but not beyond a locked instruction, as each wake has.
        p.for_last(woken, prefetch_all);
        if woken > 0 && self.ps.len() > 1 {
            self.share(p);
        }
        wake_others(others);
    }

    /// Some Gs have come from outside. Ms that are awake may take them: the kernel may give the CPU of this one to
    /// another thread for some milliseconds, most of all where those who send run on the same CPUs. Another M is woken
    /// only for as many as cost more than the wake. A few are as good as hidden for those that sleep (p I3).
    fn share(&self, p: OwnedP<'_>) {
        // One is for this M itself, which runs it next.
        let others = p.queue_len().saturating_sub(1);
        if others > 0 && p.has_lane() {
            p.show_all();
            if self.are_worth_wake(p, others) {
                self.announce();
            }
        }
    }

    /// The events have no P: Gs go to the global queue.
    pub(super) fn deliver_to_all(&self, came: &Came) {
        let mut woken = Vec::new();
        let others = each_woken(came, |g, id| woken.extend(self.claim_own(g, id)));
        if !woken.is_empty() {
            let emitted: Vec<_> = woken.iter().map(|g| emit!(&self.counters, Ready { g: g.g().id() })).collect();
            self.inject_all(woken);
            emitted.into_iter().for_each(Emitted::deliver);
        }
        wake_others(others);
    }

    /// Claims a parked G. None: it was not parked, or it is another runtime's, and ready there.
    fn claim_own(&self, g: &'static G, id: u64) -> Option<Runnable> {
        if g.word.unpark(id) != Unparked::Claimed {
            return None;
        }
        // SAFETY: it has just been claimed.
        let runnable = unsafe { Runnable::own(g) };
        if std::ptr::eq(g.shared_ptr(), self) {
            g.set_status(Status::Runnable);
            return Some(runnable);
        }
        ready(runnable);
        None
    }

    /// Wakes a G that waited for something from outside: it goes to the end of the caller's queue. False if it was
    /// awake or is another runtime's.
    #[inline]
    pub(super) fn wake_on(&self, p: OwnedP<'_>, g: &'static G, id: u64) -> bool {
        let Some(runnable) = self.claim_own(g, id) else { return false };
        let ready = emit!(p, Ready { g: id });
        self.append(p, runnable);
        ready.deliver();
        true
    }
}

/// How many events ahead a record is prefetched; and so long a G is on its way into the cache before it is woken.
const LOOKAHEAD: usize = 6;

/// Gs that were taken out of their lists, and are woken by `f` when their records have had time to come into the cache.
struct Woken<F> {
    taken: [Option<(&'static G, u64)>; LOOKAHEAD],
    /// The place of the one that was taken first.
    oldest: usize,
    f: F,
}

impl<F: FnMut(&'static G, u64)> Woken<F> {
    fn new(f: F) -> Woken<F> {
        Woken { taken: [None; LOOKAHEAD], oldest: 0, f }
    }

    fn push(&mut self, g: &'static G, id: u64) {
        prefetch_record(g);
        self.wake_oldest(Some((g, id)));
    }

    /// `next` has the place of the one that is woken.
    fn wake_oldest(&mut self, next: Option<(&'static G, u64)>) {
        let oldest = mem::replace(&mut self.taken[self.oldest], next);
        self.oldest = (self.oldest + 1) % LOOKAHEAD;
        if let Some((g, id)) = oldest {
            (self.f)(g, id);
        }
    }

    fn wake_rest(mut self) {
        (0..LOOKAHEAD).for_each(|_| self.wake_oldest(None));
    }
}

/// Calls `f` with each G that the events are for, in their order. Returns the other waiters.
#[must_use = "they wait until they are woken"]
fn each_woken(came: &Came, f: impl FnMut(&'static G, u64)) -> Vec<Who> {
    let mut others = Vec::new();
    let mut woken = Woken::new(f);
    let mut wake = |who| match who {
        Who::G(g, id) => woken.push(g, id),
        other => others.push(other),
    };
    let mut ahead = came.iter();
    ahead.by_ref().take(LOOKAHEAD).for_each(|event| prefetch(event.token));
    for event in came.iter() {
        ahead.by_ref().take(1).for_each(|event| prefetch(event.token));
        let Some(record) = find(event.token) else { continue };
        // Nothing is armed after an event of one: all that wait have to try, and to arm it again.
        let is_for_all = record.is_armed();
        if event.reads || is_for_all {
            record.side(Direction::Read).event_with(event.is_special).for_each(&mut wake);
        }
        if (event.writes || is_for_all) && record.counts_writes() {
            record.side(Direction::Write).event().for_each(&mut wake);
        }
    }
    woken.wake_rest();
    others
}

/// Wakes those that are no Gs, when nothing is half done: the waker of a task is the user's code.
fn wake_others(others: Vec<Who>) {
    for other in others {
        // It is no G.
        let _ = other.wake_other();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g::{give_free, take_free};
    use std::ptr;

    #[test]
    fn all_are_woken_in_their_order() {
        for count in [0, 1, LOOKAHEAD - 1, LOOKAHEAD, 3 * LOOKAHEAD + 1] {
            let gs: Vec<_> = (0..count).map(|_| take_free()).collect();
            let mut order = Vec::new();
            let mut woken = Woken::new(|g, id| order.push((ptr::from_ref(g), id)));
            gs.iter().zip(0..).for_each(|(g, id)| woken.push(g, id));
            woken.wake_rest();
            let came: Vec<_> = gs.iter().map(|g| ptr::from_ref(*g)).zip(0..).collect();
            assert_eq!(order, came);
            gs.into_iter().for_each(give_free);
        }
    }
}
