//! Makes Gs ready: which queue a G goes to, and whether an M is woken for it.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "who has become the owner of a G")]

use super::entered::Entered;
use super::shared::Shared;
use crate::g::{Runnable, Runs};
use crate::m::emit::{Emitted, emit};
use crate::m::fork::is_fork;
use crate::p::OwnedP;
use crate::probe::Status;

/// Makes a G ready that was parked and has been claimed. It runs next.
#[inline]
pub(crate) fn ready(g: Runnable) {
    ready_to_run(g, Runs::Next);
}

/// The same for one of those that one call wakes.
#[inline]
pub(crate) fn ready_last(g: Runnable) {
    ready_to_run(g, Runs::Last);
}

#[inline(always)]
fn ready_to_run(g: Runnable, when: Runs) {
    // SAFETY: the caller owns the G, so its runtime is there.
    let shared = unsafe { g.g().shared() };
    if shared.is_heard { ready_heard(shared, g, when) } else { make_ready::<false>(shared, g, when) }
}

#[cold]
#[inline(never)]
fn ready_heard(shared: *const Shared, g: Runnable, when: Runs) {
    make_ready::<true>(shared, g, when);
}

#[inline(always)]
fn make_ready<const HEARD: bool>(shared: *const Shared, g: Runnable, when: Runs) {
    // SAFETY: as in `ready`. It is not passed as a reference: it may be gone before this returns.
    let shared = unsafe { &*shared };
    let entered = Entered::new();
    if let Some(p) = entered.as_ref().and_then(|e| e.p_of(shared)) {
        let ready = shared.ready_on::<HEARD>(p, g, when);
        drop(entered);
        return ready.deliver();
    }
    drop(entered);
    if is_fork() {
        // No M is there to run it, and locks that were held in the parent are still held here.
        return;
    }
    // Once it is in the queue the G may run and end, and its runtime with it, before this returns.
    let kept = shared.arc();
    let record = g.g();
    let ready = emit!(&kept.counters, Ready { g: record.id() }, if HEARD);
    kept.inject_foreign(g);
    ready.deliver();
}

impl Shared {
    /// Makes a G ready from a P.
    #[inline(always)]
    fn ready_on<const HEARD: bool>(&self, p: OwnedP<'_>, g: Runnable, when: Runs) -> Emitted {
        let record = g.g();
        let ready = emit!(p, Ready { g: record.id() }, if HEARD);
        match when {
            Runs::Next => self.put_ready(p, g),
            Runs::Last => {
                record.set_status(Status::Runnable);
                self.queue(p, g);
            }
        }
        ready
    }

    /// Puts a G that is ready where it runs next here, or, if slices are long, as soon as any P takes it.
    #[inline(always)]
    pub(super) fn put_ready(&self, p: OwnedP<'_>, g: Runnable) {
        g.g().set_status(Status::Runnable);
        if p.is_coarse() && self.ps.len() > 1 {
            self.queue(p, g);
        } else if let Some(driven_out) = p.put_next(g) {
            self.queue(p, driven_out);
        }
    }

    /// Starts a new G on a P: it runs next, and the G that it drives out of runnext may be stolen. Returns whether the
    /// caller should yield, because its queue has overflowed more than once in its slice.
    #[inline]
    pub(crate) fn start_on(&self, p: OwnedP<'_>, g: Runnable) -> bool {
        match p.put_next(g) {
            Some(driven_out) => self.queue(p, driven_out),
            None => {
                // With long slices a lone G in runnext would wait long for its maker.
                if p.is_coarse()
                    && self.ps.len() > 1
                    && let Some(g) = p.take_next()
                {
                    return self.queue(p, g);
                }
                false
            }
        }
    }

    /// Appends a G to the local queue, and leaves it to the next pick, or to the caller, to show it.
    #[inline(always)]
    pub(super) fn append(&self, p: OwnedP<'_>, g: Runnable) {
        if let Err(g) = p.push(g) {
            self.queue(p, g);
        }
    }

    /// Appends a G to the local queue. Returns true after a repeated overflow.
    #[inline]
    pub(crate) fn queue(&self, p: OwnedP<'_>, g: Runnable) -> bool {
        let again = match p.push(g) {
            Ok(()) => false,
            Err(g) => self.overflow(p, g),
        };
        self.offer(p);
        again
    }

    /// Shows what the lane hides, if another P should run it: always while slices are long, otherwise when a P is idle,
    /// no M searches, and it is worth a wake. There is no fence, so this may miss a P that becomes idle just now; then
    /// the next pick sees it (p I3).
    #[inline]
    pub(crate) fn offer(&self, p: OwnedP<'_>) {
        if p.is_coarse() || self.should_show(p) {
            self.show(p);
        }
    }

    /// Whether what the lane hides is worth the idle P that there is.
    #[inline(always)]
    pub(super) fn should_show(&self, p: OwnedP<'_>) -> bool {
        p.is_worth_wake() && self.idle.wants_work()
    }

    #[cold]
    fn show(&self, p: OwnedP<'_>) {
        // There is no other P that could take it.
        if self.ps.len() == 1 || !p.has_lane() {
            return;
        }
        if p.is_coarse() {
            p.show_all();
        } else {
            p.show_half();
        }
        self.announce();
    }

    /// The queue is full: half of it goes to the global queue, and the new one behind it.
    #[cold]
    fn overflow(&self, p: OwnedP<'_>, g: Runnable) -> bool {
        let mut queues = self.lock();
        for _ in 0..crate::config::LOCAL_QUEUE_MAX / 2 {
            match p.pop() {
                Some(g) => queues.global.push(g),
                None => break,
            }
        }
        queues.global.push(g);
        self.publish_global(&queues);
        drop(queues);
        self.announce();
        p.note_overflow()
    }

    /// Wakes a P for work that has become visible, if one is needed. Returns whether one was needed and there was an M
    /// for it.
    pub(crate) fn announce(&self) -> bool {
        self.idle.announce() && self.wake_p()
    }

    /// Whether a G can be seen from outside its P.
    pub(crate) fn has_visible_work(&self) -> bool {
        !self.is_global_empty() || self.ps.iter().any(|p| p.has_queued())
    }
}
