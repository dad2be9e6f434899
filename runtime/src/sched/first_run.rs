//! The first run of a G: it gets a stack, thread-locals and a coroutine.

#![cfg(not(loom))]

use super::shared::Shared;
use crate::coro::{Coro, WayOut};
use crate::g::{G, Runnable};
use crate::m::Me;
use crate::m::emit::emit;
use crate::m::fork::{end_in_fork, is_fork};
use crate::p::OwnedP;
use crate::stack::{GStack, StackError};
use std::ptr;

impl Shared {
    /// The coroutine of a G, which is made for its first run.
    ///
    /// # Errors
    /// There is no stack for it.
    #[inline(always)]
    pub(super) fn coroutine<'g, const HEARD: bool>(
        &self,
        me: &Me<'_>,
        runnable: &'g mut Runnable,
    ) -> Result<&'g mut Coro, StackError> {
        let g = runnable.g();
        // SAFETY: the Runnable says that the caller owns the G.
        let coro = unsafe { &mut *g.coro.get() };
        if coro.is_some() {
            emit!(&self.counters, Run { g: g.id() }, if HEARD).deliver();
        } else {
            let p = me.p().expect("an M that runs Gs has a P");
            *coro = Some(self.bind(p, g)?);
            emit!(p, Begin { g: g.id() }, if HEARD).deliver();
            if self.has_stackless() {
                self.got_stack();
            }
        }
        Ok(coro.as_mut().expect("it has just been made"))
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
        slot.set_owner(ptr::from_ref(g).cast());
        // SAFETY: the coroutine is the slot's only one; the slot is given back when it has finished (`retire`).
        let stack = unsafe { GStack::on(&slot) };
        g.block.set(block);
        // SAFETY: this M owns the G.
        unsafe { *g.slot.get() = Some(slot) };
        Ok(Coro::new(stack, g, entry))
    }
}

/// The first frame of every G. When the body returns it has no thread-locals any more: nothing may use one from then
/// on.
fn entry(g: &'static G, way_out: WayOut) {
    g.way_out.set(Some(way_out));
    // SAFETY: this is the G itself.
    let locals = unsafe { g.shared() }.setup.locals;
    locals.init();
    let body = g.body().expect("go has set it");
    // SAFETY: `go` has put what the body takes into the record, and this is its only run.
    unsafe { body(g) };
    if is_fork() {
        end_in_fork("a goroutine that has forked has come to its end in the child");
    }
}
