//! How a G leaves its stack: for the next G directly, or for the M's loop.
//!
//! # The direct switch
//! A G that parks, yields or ends looks for the next one itself, and switches to it. What an M does for a G that has
//! left its stack (commit the park word, queue a yield, retire an ended G) cannot be done by the one who leaves: from
//! then on another M may run it, or its stack may be used again. So who is switched to does it, first of all
//! ([`finish`]).
//!
//! ```text
//!   G1, on its stack                     G2, on its stack
//!     enter the section
//!     take G2 off P's own queue
//!     left = (G1, what it asks for)
//!     the M's G = G2
//!     load G2's thread-locals
//!     switch ------------------------>   finish G1: commit, queue or retire
//!                                        leave the section
//! ```
//! All of it is one stay in the section (`m/section.rs`), so the P stays the M's, and nobody sees it half done. G2 was
//! a [`Runnable`] of the M's, so nobody else goes on with it. G1 is the M's until `finish`: it is in no queue, and its
//! park word says that it is awake, so who unparks it meanwhile leaves a token. `finish` finds the token, and makes G1
//! ready as the unparker would have done. In a line park (`g/line_park.rs`) it holds the lock of the line until then.
//!
//! The usual alone is done here. Everything else goes to the M's loop (`run.rs`), by way of the M's own stack: when the
//! M has no P, or its G is asked to let others run; when the G is locked to its thread; when events are heard; at every
//! 61st pick; when the P's own queue is empty; while slices are long, when a switch costs little beside them; when the
//! next G is locked to an M; and when it has never run and there is no stack at hand for it. The loop does with a G that came to it what it did before there was a direct switch.

#![cfg(not(loom))]

use super::shared::Shared;
use crate::config::FAIRNESS_TICKS;
use crate::coro::{Arrival, Coro, DIRECT, Handover, Home, LeaveFor, PackedOutcome};
use crate::g::{G, Runnable};
use crate::m::emit::{emit, may_be_asked_for};
use crate::m::{M, Me, current};
use crate::os::load_block;
use crate::p::OwnedP;
use crate::probe::Status;
use std::ptr;

/// The G `g`, which is the caller, leaves its stack. This returns when it goes on, perhaps on another M.
///
/// Not inlined: code that switches has to save all registers, here once for all. All Gs come back to this function, so
/// its return is predicted wherever they left from the same place.
///
/// # Safety
/// `g` is the caller, on its own stack.
#[inline(never)]
pub(crate) unsafe fn suspend(g: &'static G, asks: PackedOutcome) {
    // SAFETY: as the caller promises.
    let m = unsafe { g.m() };
    let next = if DIRECT { leave_for::<false>(m, g, asks) } else { None };
    let to = match next {
        Some(next) => LeaveFor::Coro(next, handover(m)),
        None => LeaveFor::Home(&m.home, asks),
    };
    // SAFETY: the caller has begun, so it has one, which stays until it ends.
    let coro = unsafe { g.coro() };
    // SAFETY: it is the caller's own, and the home that of this thread. The next coroutine came with a Runnable.
    if let Some(m) = unsafe { coro.leave(to) } {
        // SAFETY: the one that has left for this G has handed its M over.
        finish(unsafe { handed_over(m) });
    }
}

/// The G `g`, which is the caller, ends: it leaves its stack for good. Where to, if this returns.
///
/// # Safety
/// As for [`suspend`]; and it has no thread-locals any more.
pub(super) unsafe fn end(g: &'static G) -> *const Home {
    // SAFETY: as the caller promises.
    let m = unsafe { g.m() };
    if DIRECT && let Some(next) = leave_for::<true>(m, g, PackedOutcome::FINISHED) {
        // SAFETY: as in `suspend`.
        let coro = unsafe { g.coro() };
        // SAFETY: as in `suspend`.
        unsafe { coro.leave(LeaveFor::Coro(next, handover(m))) };
        unreachable!("a G that has ended was continued");
    }
    &raw const m.home
}

/// The first thing that a G does: what it was switched to with.
#[inline(always)]
pub(super) fn begin(arrival: Arrival) {
    if let Some(m) = arrival {
        // SAFETY: as in `suspend`.
        finish(unsafe { handed_over(m) });
    }
}

/// The word that a G hands over to the one that it switches to: their M.
#[inline(always)]
fn handover(m: &M) -> Handover {
    Handover::new(ptr::from_ref(m).expose_provenance()).expect("an M is not at address 0")
}

/// # Safety
/// It is a [`handover`], and the caller runs on that M.
#[inline(always)]
unsafe fn handed_over(word: Handover) -> &'static M {
    // SAFETY: an M lives as long as its thread runs (m I3), on which the caller is.
    unsafe { &*ptr::with_exposed_provenance::<M>(word.get()) }
}

/// Enters the section, and prepares the switch of the M from the G `g`, the caller, to the next one: its coroutine. If
/// that is not usual, None: then the M's loop goes on. In both cases the section is not left.
#[inline(always)]
fn leave_for<const ENDS: bool>(m: &'static M, g: &'static G, asks: PackedOutcome) -> Option<&'static Coro> {
    m.section.enter();
    // SAFETY: a G runs on its M's own thread, which is inside.
    let me = unsafe { Me::of(m) };
    let p = me.p()?;
    // SAFETY: an M's runtime lives as long as its thread.
    let shared = unsafe { &*m.shared_ptr() };
    if asks.is_global() || m.is_asked() || !g.locked_m.get().is_null() || shared.is_heard || may_be_asked_for() {
        return None;
    }
    // What takes a lock, or much of the next one's stack, is for the loop.
    if ENDS && !(p.stacks().has_place(g.class()) && p.free_gs().has_place() && !shared.has_stackless()) {
        return None;
    }
    let runnable = shared.pick_own::<ENDS>(p)?;
    let next = runnable.g();
    let is_first = !next.has_coro();
    if is_first && !shared.prepare_at_hand(p, next) || !next.locked_m.get().is_null() {
        m.picked.set(Some(runnable));
        return None;
    }
    if let Some(reason) = asks.parks() {
        // Before the M says that it runs another G: until then observers take the G to be here.
        g.set_waiting(reason, shared.coarse_ms());
    }
    m.left.set((g, asks));
    let moves = continue_on(m, next);
    if let Some(block) = next.block.get() {
        // SAFETY: the Runnable says that it is loaded nowhere. What follows uses no thread-local but the runtime's own.
        unsafe { load_block(block) };
        if moves || is_first {
            current::set_machine(m);
        }
    }
    // SAFETY: it is a Runnable's.
    Some(unsafe { next.coro() })
}

/// Does what the G asked for that has left its stack for the caller's, and leaves the section.
#[inline(always)]
fn finish(m: &'static M) {
    // SAFETY: a G runs on its M's own thread, which is inside since `leave_for`.
    let me = unsafe { Me::of(m) };
    let p = me.p().expect("nobody takes a P from an M that is inside");
    // SAFETY: an M's runtime lives as long as its thread.
    let shared = unsafe { &*m.shared_ptr() };
    let (g, asks) = m.left.get();
    // SAFETY: records are never freed; `leave_for` has set it.
    let g = unsafe { &*g };
    if let Some(reason) = asks.parks() {
        let id = g.id();
        if g.commit_park(id) {
            // From here on `g` belongs to its claimer.
            let parked = emit!(p, Park { g: id, reason }, if false);
            m.section.leave();
            return parked.deliver();
        }
        // It was unparked before it was parked.
        // SAFETY: it was the M's, and has left its stack.
        shared.put_ready(p, unsafe { Runnable::own(g) });
        m.section.leave();
    } else {
        // SAFETY: as above.
        let left = unsafe { Runnable::own(g) };
        if asks.is_finished() {
            return shared.finish_ended(m, p, left);
        }
        let yielded = emit!(p, Yield { g: g.id() }, if false);
        shared.put_back(p, left);
        m.section.leave();
        yielded.deliver();
    }
}

/// The G runs on the M from now on. Whether that is another M than before.
#[inline(always)]
pub(super) fn continue_on(m: &M, g: &'static G) -> bool {
    m.set_g(Some(g));
    g.set_status(Status::Running);
    g.set_m(m)
}

impl Shared {
    #[inline(never)]
    fn finish_ended(&self, m: &M, p: OwnedP<'_>, left: Runnable) {
        let id = left.g().id();
        self.retire(p, left);
        let ended = emit!(p, End { g: id }, if false);
        m.section.leave();
        ended.deliver();
    }

    /// The next G of the P's own, for a G that leaves. None if there is none, or if it is for the M's loop to look.
    #[inline(always)]
    fn pick_own<const ENDS: bool>(&self, p: OwnedP<'_>) -> Option<Runnable> {
        // With long slices the loop looks at timers, and costs little.
        if p.is_coarse() || p.picks().wrapping_add(1).is_multiple_of(FAIRNESS_TICKS) {
            return None;
        }
        let shows = self.should_show(p);
        // The deque has thread-locals with destructors, but those of a G that ends have been destroyed.
        if ENDS && (shows || p.has_queued()) {
            return None;
        }
        if shows {
            self.show(p);
        }
        let next = p.next()?;
        p.count_pick();
        Some(next)
    }
}
