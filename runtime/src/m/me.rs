//! The evidence that the caller is an M's own thread, inside its section: by it an M uses its P.

#![cfg(not(loom))]

use super::M;
use crate::p::{FreeP, OwnedP};
use std::marker::PhantomData;
use std::ops::Deref;

/// This M. Its holder may use the P that the M holds (I1, I2).
///
/// The P comes as an [`OwnedP`] that borrows from this. So it cannot be kept over what needs this exclusively: putting
/// or taking a P, and leaving the section, as the P may be taken away outside of it.
#[derive(Debug)]
pub(crate) struct Me<'a> {
    m: &'a M,
    /// It stands for a thread.
    not_send: PhantomData<*mut ()>,
}

impl<'a> Me<'a> {
    /// Makes it.
    ///
    /// # Safety
    /// The caller is on the M's own thread, and in its section whenever it uses this. If there is another of the same M
    /// further up the stack, which is not `outside`, the M keeps the P that it holds.
    #[inline(always)]
    pub(crate) unsafe fn of(m: &'a M) -> Me<'a> {
        Me { m, not_send: PhantomData }
    }

    /// The M, for as long as it lives.
    #[inline(always)]
    pub(crate) fn m(&self) -> &'a M {
        self.m
    }

    /// The P that it holds.
    #[inline(always)]
    pub(crate) fn p(&self) -> Option<OwnedP<'_>> {
        // SAFETY: this is the M's own thread in its section, as `of` was promised.
        unsafe { self.m.p() }
    }

    /// Gives it a P; it has none.
    #[inline]
    pub(crate) fn set_p(&mut self, p: FreeP<'_>) {
        self.m.set_p(p.into_ptr());
    }

    /// Takes the P that it holds from it.
    #[inline]
    pub(crate) fn take_p(&mut self) -> Option<FreeP<'a>> {
        // SAFETY: as in `p`; an OwnedP would borrow from this.
        unsafe { self.m.take_p() }
    }

    /// Runs `f`, a G's own code, outside of the section. Meanwhile the P may be taken away.
    #[inline(always)]
    pub(crate) fn outside<R>(&mut self, f: impl FnOnce(&M) -> R) -> R {
        self.m.section.leave();
        let result = f(self.m);
        self.m.section.enter();
        result
    }
}

impl Deref for Me<'_> {
    type Target = M;

    #[inline(always)]
    fn deref(&self) -> &M {
        self.m
    }
}
