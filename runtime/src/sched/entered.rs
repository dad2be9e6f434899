//! The way into the runtime from a G.

use super::shared::Shared;
use crate::m::{M, current};
use crate::p::OwnedP;

/// The runtime, entered from a G's own code: the M may use its P until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    m: &'a M,
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
        Some(Entered { m, leave })
    }

    /// The P of this M, if it has one and it belongs to that runtime.
    #[inline(always)]
    pub(crate) fn p_of(&self, shared: *const Shared) -> Option<OwnedP<'a>> {
        if self.m.shared_ptr() != shared {
            return None;
        }
        self.p()
    }

    /// The P of this M.
    #[inline(always)]
    pub(crate) fn p(&self) -> Option<OwnedP<'a>> {
        // SAFETY: the M is in its section until `self` is dropped.
        unsafe { self.m.p() }
    }

    /// This M.
    #[inline(always)]
    pub(crate) fn m(&self) -> &'a M {
        self.m
    }

    /// Whether a G called, and not the M loop.
    #[inline(always)]
    pub(crate) fn on_g(&self) -> bool {
        self.m.g().is_some()
    }

    /// The runtime of this M.
    #[inline(always)]
    pub(crate) fn shared(&self) -> &'a Shared {
        // SAFETY: an M's runtime lives as long as its thread.
        unsafe { &*self.m.shared_ptr() }
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.leave {
            self.m.section.leave();
        }
    }
}
