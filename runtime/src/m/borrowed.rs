//! An M that is outside, in a G's own code, while another thread acts in its place ([`section`](super::section)).

#![cfg(not(loom))]

use super::M;
use super::section::Borrowed;
use crate::p::{FreeP, OwnedP, P};
use std::ptr;

/// The evidence that what the M owns is the caller's alone, until this is dropped.
#[derive(Debug)]
pub(crate) struct BorrowedM<'a> {
    m: &'a M,
    _borrowed: Borrowed<'a>,
}

impl M {
    /// Tries to act in its place. None if it is inside, or if that is not known.
    pub(crate) fn borrow(&self) -> Option<BorrowedM<'_>> {
        Some(BorrowedM { m: self, _borrowed: self.section.borrow()? })
    }
}

impl<'a> BorrowedM<'a> {
    /// The P that the M holds.
    pub(crate) fn p(&self) -> Option<OwnedP<'_>> {
        // SAFETY: it is borrowed.
        unsafe { self.m.p() }
    }

    /// Takes `p` away from it, if it holds that.
    pub(crate) fn take_p(&mut self, p: &P) -> Option<FreeP<'a>> {
        if !ptr::eq(self.m.p_ptr(), p) {
            return None;
        }
        // SAFETY: it is borrowed.
        unsafe { self.m.take_p() }
    }
}
