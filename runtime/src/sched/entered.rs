//! The way into the runtime from a G.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a `Me` is made here: the caller is an M inside its section")]

use super::shared::Shared;
use crate::m::{M, Me, current};
use crate::p::OwnedP;

/// The runtime, entered from a G's own code: the M may use its P until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    me: Me<'a>,
    leave: bool,
}

impl<'a> Entered<'a> {
    /// Enters. None on a thread that is no M. `'a` must end before the next suspension point: it is the caller's
    /// function, which does not suspend while it has this.
    #[inline(always)]
    pub(crate) fn new() -> Option<Entered<'a>> {
        let m = current::machine();
        // SAFETY: an M lives as long as its thread runs (m I3).
        let m = unsafe { m.as_ref() }?;
        let leave = m.section.enter();
        // SAFETY: this is its own thread, which is inside until `leave`.
        let me = unsafe { Me::of(m) };
        Some(Entered { me, leave })
    }

    /// The P of this M, if it has one and it belongs to that runtime.
    #[inline(always)]
    pub(crate) fn p_of(&self, shared: *const Shared) -> Option<OwnedP<'_>> {
        if self.me.shared_ptr() != shared {
            return None;
        }
        self.p()
    }

    /// The P of this M.
    #[inline(always)]
    pub(crate) fn p(&self) -> Option<OwnedP<'_>> {
        self.me.p()
    }

    /// This M, for a caller that changes which P it holds.
    pub(super) fn me(&mut self) -> &mut Me<'a> {
        &mut self.me
    }

    /// This M.
    #[inline(always)]
    pub(crate) fn m(&self) -> &'a M {
        self.me.m()
    }

    /// Whether the caller is a G, and not the M loop.
    #[inline(always)]
    pub(crate) fn on_g(&self) -> bool {
        self.me.g().is_some()
    }

    /// The runtime of this M.
    #[inline(always)]
    pub(crate) fn shared(&self) -> &'a Shared {
        // SAFETY: an M's runtime lives as long as its thread.
        unsafe { &*self.me.shared_ptr() }
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.leave {
            self.me.section.leave();
        }
    }
}
