//! The handle of a G that may run.

#![cfg(not(loom))]

use super::control::G;

/// A G that may run. Its holder alone has it (I2).
#[must_use = "a Runnable that is dropped is a G that never runs"]
#[derive(Debug)]
pub(crate) struct Runnable(&'static G);

impl Runnable {
    /// Takes ownership of a G.
    ///
    /// # Safety
    /// The caller owns the G by I1, and makes no second one.
    #[inline]
    pub(crate) unsafe fn own(g: &'static G) -> Runnable {
        Runnable(g)
    }

    /// The record.
    #[inline]
    pub(crate) fn g(&self) -> &'static G {
        self.0
    }
}
