//! An operation on one channel that waits: its ticket, its waiter and its value together.

#![allow(unsafe_code, reason = "values in slots; waiters on stacks that wait")]

use crate::core::{Purpose, Ticket, Waiter};
use std::cell::UnsafeCell;
use std::marker::PhantomPinned;
use std::mem::MaybeUninit;

/// It lies on the stack of the caller that waits, or in a pinned future. Others may look at it until it is told or out
/// of the line, also while its owner is being dropped.
pub(crate) struct Operation<T> {
    pub(crate) ticket: Ticket,
    pub(crate) waiter: Waiter,
    slot: UnsafeCell<MaybeUninit<T>>,
    _pinned: PhantomPinned,
}

impl<T> Operation<T> {
    /// For an operation that sends what is in `slot`, or has nothing in it yet and receives.
    #[inline]
    pub(crate) fn new(ticket: Ticket, slot: MaybeUninit<T>) -> Operation<T> {
        let waiter = Waiter::new(Purpose::value());
        Operation { ticket, waiter, slot: UnsafeCell::new(slot), _pinned: PhantomPinned }
    }

    /// The waiter, ready to stand in the line.
    ///
    /// # Safety
    /// The operation stays where it is until it has been told or is out of the line.
    #[inline]
    pub(crate) unsafe fn prepare(&self) -> *const Waiter {
        self.waiter.data().set_slot(self.slot.get().cast());
        // SAFETY: as the caller promises.
        unsafe { self.waiter.belongs_to(&raw const self.ticket) }
    }

    /// Takes the value out of the slot.
    ///
    /// # Safety
    /// It has been told, or is out of the line; there is a value, and it is taken once.
    #[inline]
    pub(crate) unsafe fn value(&self) -> T {
        // SAFETY: an operation that is told, or out of the line, owns its slot alone.
        let slot = unsafe { &*self.slot.get() };
        // SAFETY: as the caller promises.
        unsafe { slot.assume_init_read() }
    }
}
