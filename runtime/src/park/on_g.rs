//! How a G leaves its stack: parking and yielding.

#![allow(unsafe_code, reason = "which G and which M call")]

use crate::config::UNWINDS;
use crate::coro::{PackedOutcome, Suspend};
use crate::g::G;
use crate::m::{M, current, is_any_asked};
use crate::reason::{Kind, Reason};
use crate::sched::direct;
use crate::shut_down::ShutDown;
use std::thread::panicking;

/// The reason of the user's own parks: [`park`](crate::park) and [`park_timeout`](crate::park_timeout).
pub(super) static PARK: Reason = Reason::new("park", Kind::Event);

/// Parks the G `g`, which is the caller.
#[inline(always)]
pub(super) fn park(g: &'static G, reason: &'static Reason) {
    unwind_if_closing(g);
    park_uninterruptibly(g, reason);
    unwind_if_closing(g);
}

/// Parks the G `g`, which is the caller, also when its runtime closes.
#[inline(always)]
pub(super) fn park_uninterruptibly(g: &'static G, reason: &'static Reason) {
    if g.word.take_token() {
        return;
    }
    if stays(g) {
        return suspend_locked(g, Suspend::Park(reason));
    }
    suspend(g, Suspend::Park(reason));
}

#[inline(always)]
pub(super) fn suspend(g: &'static G, what: Suspend) {
    // SAFETY: `g` is the caller, on its own stack.
    unsafe { direct::suspend(g, PackedOutcome::of(what)) };
}

/// Whether the G must stay with its M: it unwinds, and uses the thread-locals of its M (park I4).
#[inline(always)]
fn stays(g: &'static G) -> bool {
    panicking() && g.block.get().is_none()
}

/// Leaves the stack, but not the M.
#[cold]
fn suspend_locked(g: &'static G, what: Suspend) {
    let before = g.locked_m.replace(current::machine());
    suspend(g, what);
    g.locked_m.set(before);
}

/// Whether the G is to be unwound instead of parked.
#[inline]
pub(crate) fn in_closing(g: &'static G) -> bool {
    // SAFETY: `g` is the caller, so its runtime is there.
    unsafe { g.shared() }.is_closing()
}

/// Unwinds the G `g`, which is the caller, if its runtime closes; but not in a destructor.
#[inline(always)]
pub(crate) fn unwind_if_closing(g: &'static G) {
    if in_closing(g) {
        unwind(g);
    }
}

#[cold]
fn unwind(g: &'static G) {
    // A panic in a destructor would abort, so a destructor's wait is not unwound.
    if panicking() || g.ending.get() {
        return;
    }
    if UNWINDS {
        std::panic::resume_unwind(Box::new(ShutDown));
    }
    // Any panic would abort. The G stays here for good, whole.
    loop {
        suspend(g, Suspend::Park(&PARK));
    }
}

/// Yields: the caller goes to the end of the local queue, or of the global one.
#[inline(always)]
pub(crate) fn yield_on_g(g: &'static G, what: Suspend) {
    if !alone(g) {
        give_way(g, what);
    }
    unwind_if_closing(g);
}

/// Yields. This never unwinds, even if the runtime closes.
#[inline(always)]
pub(crate) fn give_way(g: &'static G, what: Suspend) {
    if stays(g) {
        return suspend_locked(g, what);
    }
    suspend(g, what);
}

/// Yields if the caller has been asked to: it has run for long, or it has lost its P. For calls that need not park.
/// This never unwinds.
#[inline(always)]
pub fn checkpoint() {
    checkpoint_if(|_| true);
}

/// The same, if `may` says that it may, which is asked at last.
#[inline(always)]
pub(crate) fn checkpoint_if(may: impl FnOnce(&M) -> bool) {
    if is_any_asked() {
        heed(may);
    }
}

#[cold]
#[inline(never)]
fn heed(may: impl FnOnce(&M) -> bool) {
    // SAFETY: the caller runs on an M, which lives as long as its thread (m I3).
    let asked = unsafe { current::machine().as_ref() }.is_some_and(|m| m.is_asked() && may(m));
    if asked && let Some(g) = super::current_g() {
        give_way(g, Suspend::YieldGlobal);
    }
}

/// Whether nothing else can run here, so that a yield needs no switch. False at every 61st time: then the M looks at
/// the other queues too.
///
/// It reads hints, and counts that only this M changes, so it does not enter the runtime.
#[inline(always)]
fn alone(g: &'static G) -> bool {
    // SAFETY: `g` is the caller.
    let Some(p) = unsafe { g.m() }.p_hint() else { return false };
    // SAFETY: as above, so its runtime is there.
    p.is_empty() && unsafe { g.shared() }.is_global_empty() && p.count_idle_yield()
}
