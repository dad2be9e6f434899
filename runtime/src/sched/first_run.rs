//! The first run of a G: it gets a stack, thread-locals and a coroutine.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the owner of a G binds its stack")]

use super::direct::{self, After};
use super::shared::Shared;
use crate::coro::{Arrival, Coro, LeaveFor};
use crate::g::{G, Runnable};
use crate::m::Me;
use crate::m::emit::emit;
use crate::m::fork::{end_in_fork, is_fork};
use crate::os::ThreadPointer;
use crate::p::OwnedP;
use crate::stack::{GStack, Slot, StackError};
use std::ptr;

impl Shared {
    /// Gives a G a coroutine for its first run. The caller runs it next.
    ///
    /// # Errors
    /// There is no stack for it.
    #[inline(always)]
    pub(super) fn prepare<const HEARD: bool>(&self, me: &Me<'_>, runnable: &Runnable) -> Result<(), StackError> {
        let g = runnable.g();
        if g.has_coro() {
            emit!(&self.counters, Run { g: g.id() }, if HEARD).deliver();
            return Ok(());
        }
        let p = me.p().expect("an M that runs Gs has a P");
        let coro = self.bind(p, g)?;
        // SAFETY: the Runnable says that the caller owns the G.
        unsafe { *g.coro.get() = Some(coro) };
        emit!(p, Begin { g: g.id() }, if HEARD).deliver();
        if self.has_stackless() {
            self.got_stack();
        }
        Ok(())
    }

    /// Gives a G that has never run a stack, thread-locals and a coroutine.
    #[inline(always)]
    fn bind(&self, p: OwnedP<'_>, g: &'static G) -> Result<Coro, StackError> {
        let slot = p.stacks().take(g.class())?;
        let block = match self.setup.locals.block_for(&slot, g.leaves_room.get()) {
            Ok(block) => block,
            Err(error) => {
                p.stacks().give(slot);
                return Err(error);
            }
        };
        Ok(seat(g, slot, block))
    }

    /// As `prepare`, for a G that has never run, by another G that leaves its stack for it: only if there is a stack
    /// with thread-locals at hand, so that it needs no memory, and little of the caller's stack.
    #[inline(never)]
    pub(super) fn prepare_at_hand(&self, p: OwnedP<'_>, g: &'static G) -> bool {
        if self.has_stackless() {
            return false;
        }
        let Some(slot) = p.stacks().take_cached(g.class()) else { return false };
        let Some(block) = self.setup.locals.block_at_hand(&slot, g.leaves_room.get()) else {
            p.stacks().give(slot);
            return false;
        };
        let coro = seat(g, slot, block);
        // SAFETY: the caller owns the G.
        unsafe { *g.coro.get() = Some(coro) };
        true
    }
}

/// Gives a G its slot, and makes a coroutine on it.
#[inline(always)]
fn seat(g: &'static G, slot: Slot, block: Option<ThreadPointer>) -> Coro {
    slot.set_owner(ptr::from_ref(g).cast());
    // SAFETY: the coroutine is the slot's only one; the slot is given back when it has finished (`retire`).
    let stack = unsafe { GStack::on(&slot) };
    g.block.set(block);
    g.clear_m();
    // SAFETY: the caller owns the G.
    unsafe { *g.slot.get() = Some(slot) };
    Coro::new(stack, g, entry)
}

/// The first function on a stack: a G, and those that begin after it on the same stack. When the body of one returns, it
/// has no thread-locals any more, and nothing may use one until the next has new ones.
fn entry(mut g: &'static G, arrival: Arrival) -> LeaveFor<'static> {
    // SAFETY: this is the G itself.
    let locals = unsafe { g.shared() }.setup.locals;
    locals.init();
    direct::begin(arrival);
    loop {
        let body = g.body().expect("go has set it");
        // SAFETY: `go` has put what the body takes into the record, and this is its only run.
        unsafe { body(g) };
        if is_fork() {
            end_in_fork("a goroutine that has forked has come to its end in the child");
        }
        // SAFETY: this is the G itself.
        match unsafe { direct::end(g) } {
            After::Leave(to) => return to,
            After::Begin(next) => g = next,
        }
        locals.init();
    }
}
