//! The end of a G: its stack and its record become free.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the owner of a G takes its stack away")]

use super::shared::Shared;
use crate::g::{G, Runnable, give_free};
use crate::locals::Locals;
use crate::m::emit::emit;
use crate::p::OwnedP;
use crate::probe::Status;
use crate::stack::{Cache, Slot};
use std::ptr;

impl Shared {
    /// A G has ended: frees its stack, and its record if there is no handle. The caller counts it.
    #[inline(always)]
    pub(super) fn retire(&self, p: OwnedP<'_>, runnable: Runnable) {
        let g = runnable.g();
        // SAFETY: this M owns the G, whose coroutine has finished.
        let slot = unsafe { end_coroutine(g) };
        p.stacks().give(slot);
        retire_record(p, g);
        if self.has_stackless() {
            // The stack is for the G that tries again, on whichever P.
            p.stacks().flush();
            self.retry_stackless();
        }
    }

    /// A G has ended, and the next one gets its stack and its block of thread-locals.
    ///
    /// # Safety
    /// The caller owns both: the one is done with its stack, and the other has never run and has the same class.
    #[inline(always)]
    pub(super) unsafe fn succeed(&self, p: OwnedP<'_>, ended: &'static G, next: &'static G) {
        // SAFETY: as the caller promises.
        unsafe { inherit(ended, next, self.setup.locals) };
        let id = ended.id();
        retire_record(p, ended);
        emit!(p, End { g: id }, if false).deliver();
    }

    /// A G has ended on an M that has no P: everything goes to the common stores.
    #[cold]
    pub(super) fn retire_foreign(&self, runnable: Runnable) {
        let g = runnable.g();
        let id = g.id();
        // SAFETY: this M owns the G, whose coroutine has finished.
        let slot = unsafe { end_coroutine(g) };
        // Dropping the cache gives back what is in it.
        Cache::new().give(slot);
        g.set_status(Status::Dead);
        if g.join.retire() {
            g.clear();
            give_free(g);
        }
        if self.has_stackless() {
            self.retry_stackless();
        }
        emit!(&self.counters, End { g: id }).deliver();
    }
}

/// A G has ended: frees its record if there is no handle.
#[inline(always)]
fn retire_record(p: OwnedP<'_>, g: &'static G) {
    g.set_status(Status::Dead);
    if g.join.retire() {
        g.clear();
        p.free_gs().give(g);
    }
}

/// Gives the coroutine, the slot and the block of a G that has ended to one that begins. Its thread-locals are new then;
/// the runtime's own is for the caller to set.
///
/// # Safety
/// The caller owns both.
#[inline(always)]
unsafe fn inherit(ended: &'static G, next: &'static G, locals: Locals) {
    // SAFETY: as the caller promises.
    let coro = unsafe { &mut *ended.coro.get() }.take();
    // SAFETY: as above.
    unsafe { *next.coro.get() = coro };
    // SAFETY: as above.
    let slot = unsafe { &mut *ended.slot.get() }.take();
    if let Some(slot) = &slot {
        slot.set_owner(ptr::from_ref(next).cast());
        locals.renew_in(slot);
    }
    // SAFETY: as above.
    unsafe { *next.slot.get() = slot };
    next.block.set(ended.block.get());
}

/// Takes the stack of a G that has ended.
///
/// # Safety
/// The caller owns the G, and its coroutine has finished.
#[inline(always)]
unsafe fn end_coroutine(g: &'static G) -> Slot {
    // SAFETY: as the caller promises.
    unsafe { *g.coro.get() = None };
    // SAFETY: as above.
    unsafe { &mut *g.slot.get() }.take().expect("a G that ran has a stack")
}
