//! The place of an operation on one channel in its line: ticket, waiter and value together.

use crate::waiter::{Ticket, Waiter};
use std::cell::UnsafeCell;
use std::marker::PhantomPinned;
use std::mem::MaybeUninit;

/// It lies on the stack of who waits, or in a pinned future. Others may look at it until it is told or out of the line,
/// also while its owner is being dropped.
pub(crate) struct Place<T> {
    pub(crate) ticket: Ticket,
    pub(crate) waiter: Waiter,
    slot: UnsafeCell<MaybeUninit<T>>,
    _pinned: PhantomPinned,
}

impl<T> Place<T> {
    /// For an operation that sends what is in `slot`, or has nothing in it yet and receives.
    #[inline]
    pub(crate) fn new(ticket: Ticket, slot: MaybeUninit<T>) -> Place<T> {
        Place { ticket, waiter: Waiter::new(0, false), slot: UnsafeCell::new(slot), _pinned: PhantomPinned }
    }

    /// The waiter, ready to stand in the line.
    ///
    /// # Safety
    /// The place stays where it is until it has been told or is out of the line.
    #[inline]
    pub(crate) unsafe fn arm(&self) -> *const Waiter {
        // SAFETY: as the caller promises.
        unsafe { self.waiter.belongs_to(&raw const self.ticket, self.slot.get().cast()) }
    }

    /// Takes the value out of the slot.
    ///
    /// # Safety
    /// It has been told, or is out of the line; there is a value, and it is taken once.
    #[inline]
    pub(crate) unsafe fn value(&self) -> T {
        // SAFETY: who is told, or out of the line, is alone with its slot.
        let slot = unsafe { &*self.slot.get() };
        // SAFETY: as the caller promises.
        unsafe { slot.assume_init_read() }
    }
}
