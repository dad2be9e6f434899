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
//! 61st pick; when the P's own queue is empty, or others see it or are to see it; while slices are long, when a switch
//! costs little beside them; when the next G is locked to an M; and when it has never run and there is no stack at hand
//! for it. In the last two cases the next G has left the queue already, and the loop finds it in the M's `picked`.
//!
//! A G that ends and finds that the next one has never run leaves its stack and its block of thread-locals to that one,
//! which begins there: no switch at all.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the owner of a G switches to it, and finishes the one that has left")]

use super::shared::Shared;
use crate::config::FAIRNESS_TICKS;
use crate::coro::{Arrival, Coro, DIRECT, Handover, LeaveFor, PackedOutcome};
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
    let next = if DIRECT { leave_for(m, g, asks) } else { None };
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

/// What the end of a G leads to.
pub(super) enum After {
    /// Another G, which has never run: it begins on the same stack, with the same block of thread-locals.
    Begin(&'static G),
    /// The stack is left for good.
    Leave(LeaveFor<'static>),
}

/// The G `g`, which is the caller, ends.
///
/// # Safety
/// As for [`suspend`]; its thread-locals have been destroyed, and nothing of it is left on its stack.
#[inline(always)]
pub(super) unsafe fn end(g: &'static G) -> After {
    // SAFETY: as the caller promises.
    let m = unsafe { g.m() };
    match if DIRECT { next_after(m, g) } else { None } {
        None => After::Leave(LeaveFor::Home(&m.home, PackedOutcome::FINISHED)),
        Some(after) => after,
    }
}

/// As `leave_for`, for a G that has ended. What would take a lock is for the M's loop.
#[inline(always)]
fn next_after(m: &'static M, g: &'static G) -> Option<After> {
    let (shared, me) = enter(m, g)?;
    let p = me.p()?;
    if shared.has_stackless() || !p.free_gs().has_place() {
        return None;
    }
    let runnable = shared.pick_own(p)?;
    let next = runnable.g();
    let begins = !next.has_coro();
    let fits = if begins { may_succeed(shared, g, next) } else { p.stacks().has_place(g.class()) };
    if !fits || !next.locked_m.get().is_null() {
        m.picked.set(Some(runnable));
        return None;
    }
    if begins {
        // SAFETY: the M owns both; the one has ended.
        unsafe { shared.succeed(p, g, next) };
        continue_on(m, next);
        if next.block.get().is_some() {
            current::set_machine(m);
        }
        m.section.leave();
        return Some(After::Begin(next));
    }
    m.left.set((g, PackedOutcome::FINISHED));
    Some(After::Leave(LeaveFor::Coro(go_to(m, next), handover(m))))
}

/// Whether a G that has never run may begin on the stack of the calling one, which has ended.
#[inline(always)]
fn may_succeed(shared: &Shared, ended: &'static G, next: &'static G) -> bool {
    // SAFETY: it is the caller's own.
    let slot = unsafe { &*ended.slot.get() };
    next.class() == ended.class()
        && slot.as_ref().is_some_and(|slot| shared.setup.locals.may_begin_in(slot, next.leaves_room.get()))
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

/// Enters the section for the G `g`, the caller, which leaves its stack. None if that is not usual: then the M's loop
/// goes on. In both cases the section is not left.
#[inline(always)]
fn enter(m: &'static M, g: &'static G) -> Option<(&'static Shared, Me<'static>)> {
    m.section.enter();
    // SAFETY: a G runs on its M's own thread, which is inside.
    let me = unsafe { Me::of(m) };
    // SAFETY: an M's runtime lives as long as its thread.
    let shared = unsafe { &*m.shared_ptr() };
    let is_usual = !m.is_asked() && g.locked_m.get().is_null() && !shared.is_heard && !may_be_asked_for();
    is_usual.then_some((shared, me))
}

/// Prepares the switch of the M from the G `g`, the caller, to the next one: its coroutine. If that is not usual, None,
/// as in `enter`.
#[inline(always)]
fn leave_for(m: &'static M, g: &'static G, asks: PackedOutcome) -> Option<&'static Coro> {
    let (shared, me) = enter(m, g)?;
    let p = me.p()?;
    if asks.is_global() {
        return None;
    }
    let runnable = shared.pick_own(p)?;
    let next = runnable.g();
    let is_at_hand = next.has_coro() || shared.prepare_at_hand(p, next);
    if !is_at_hand || !next.locked_m.get().is_null() {
        m.picked.set(Some(runnable));
        return None;
    }
    if let Some(reason) = asks.parks() {
        // Before the M says that it runs another G: until then observers take the G to be here.
        g.set_waiting(reason, shared.coarse_ms());
    }
    m.left.set((g, asks));
    Some(go_to(m, next))
}

/// The M goes to the G `next` now, which is its own: all but the switch.
#[inline(always)]
fn go_to(m: &'static M, next: &'static G) -> &'static Coro {
    let moves = continue_on(m, next);
    if let Some(block) = next.block.get() {
        // SAFETY: the M owns the G, so it is loaded nowhere. What follows uses no thread-local but the runtime's own.
        unsafe { load_block(block) };
        if moves {
            current::set_machine(m);
        }
    }
    // SAFETY: as above.
    unsafe { next.coro() }
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
    fn pick_own(&self, p: OwnedP<'_>) -> Option<Runnable> {
        // With long slices the loop looks at timers, and costs little.
        if p.is_coarse() || p.picks().wrapping_add(1).is_multiple_of(FAIRNESS_TICKS) {
            return None;
        }
        // The deque has thread-locals: 2 KiB, which each G would keep that has used them. A G that ends has none.
        if self.should_show(p) {
            return None;
        }
        let next = p.next_hidden()?;
        p.count_pick();
        Some(next)
    }
}
