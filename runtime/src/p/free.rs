//! A P on its way from one holder to the next.

use super::{OwnedP, P};
use std::ops::Deref;

/// A P that no M holds and that is not on the idle list. The holder of this owns the P (I1), and gives it to an M, or
/// puts it on the list. It cannot be copied, so the P has one owner, as a [`Runnable`](crate::g::Runnable) gives a G
/// one. If it were dropped, the P would be lost.
#[derive(Debug)]
#[must_use]
pub(crate) struct FreeP<'a>(&'a P);

impl<'a> FreeP<'a> {
    /// Takes ownership of a P.
    ///
    /// # Safety
    /// The caller owns the P by I1, uses no other right to it from now on, and makes no second `FreeP` of it.
    #[inline]
    pub(crate) unsafe fn own(p: &'a P) -> FreeP<'a> {
        FreeP(p)
    }

    /// Its owner's side, for as long as it is on its way.
    #[inline]
    pub(crate) fn owned(&self) -> OwnedP<'_> {
        // SAFETY: as `own` was promised, nothing else owns it.
        unsafe { OwnedP::of(self.0) }
    }

    /// Turns the ownership into a pointer, for where the P is kept as one.
    #[inline]
    pub(crate) fn into_ptr(self) -> *const P {
        self.0
    }
}

impl Deref for FreeP<'_> {
    type Target = P;

    #[inline(always)]
    fn deref(&self) -> &P {
        self.0
    }
}
