//! Operations of one line that have been told in a turn of its lock, to be woken after it.

use super::line::{Claimed, Waiter};
use super::told::Told;
use crate::g::Runs;
use std::fmt;
use std::ptr;

/// See the head of this file. It is small: Gs that were parked in the line stand in a list of their own waiters, as they
/// stay until they are made ready. Of all others it keeps one.
pub struct ToldLine<A: Copy, D = ()> {
    first: *const Waiter<A, D>,
    /// Only if there is a first.
    last: *const Waiter<A, D>,
    len: usize,
    other: Option<Told>,
}

impl<A: Copy, D> ToldLine<A, D> {
    /// An empty one.
    #[inline(always)]
    pub fn new() -> ToldLine<A, D> {
        ToldLine { first: ptr::null(), last: ptr::null(), len: 0, other: None }
    }

    /// Whether there is nobody in it.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether one more can be told: there are fewer than `most`, and none that is no parked G.
    #[inline(always)]
    pub fn has_room(&self, most: usize) -> bool {
        self.len < most && self.other.is_none()
    }

    /// Tells the operation the answer. It has room.
    #[inline(always)]
    pub fn tell(&mut self, claimed: Claimed<A, D>, answer: A) {
        debug_assert!(self.other.is_none());
        self.len += 1;
        let waiter = claimed.waiter_at();
        match claimed.tell_or_take(answer) {
            Some(told) => self.other = Some(told),
            None => self.push(waiter),
        }
    }

    #[inline(always)]
    fn push(&mut self, waiter: *const Waiter<A, D>) {
        // SAFETY: it is a parked G's, which stays until it is made ready.
        unsafe { (*waiter).set_next_told(ptr::null()) };
        if self.first.is_null() {
            self.first = waiter;
        } else {
            // SAFETY: as above.
            unsafe { (*self.last).set_next_told(waiter) };
        }
        self.last = waiter;
    }

    /// Wakes all, in the order in which they were told: the first one runs when `first` says, the others last. Not under the
    /// lock.
    #[inline(always)]
    pub fn wake(&mut self, first: Runs) {
        let mut when = first;
        let mut next = self.first;
        while !next.is_null() {
            let waiter = next;
            // SAFETY: as in `push`; it is made ready once, below.
            next = unsafe { (*waiter).next_told() };
            // SAFETY: as above.
            unsafe { Waiter::ready(waiter, when) };
            when = Runs::Last;
        }
        self.first = ptr::null();
        self.len = 0;
        if let Some(told) = self.other.take() {
            told.wake_to_run(when);
        }
    }
}

impl<A: Copy, D> Default for ToldLine<A, D> {
    fn default() -> ToldLine<A, D> {
        ToldLine::new()
    }
}

impl<A: Copy, D> fmt::Debug for ToldLine<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToldLine").field("len", &self.len).finish_non_exhaustive()
    }
}
