//! The place of one waiter in the list of a direction.

use crate::netpoll::{Armed, Direction, Locked, Record, Who};
use crate::park::unpark_g;
use std::fmt;

/// A side that the caller has locked.
pub(super) type Guard<'a> = Locked<'a, Who, Armed>;

/// Where one operation waits. Dropping it ends the wait. An async operation keeps one as long as it lives.
#[derive(Default)]
pub struct Place(Option<(&'static Record, Direction, u64)>);

impl Place {
    /// Nobody waits in it.
    pub(super) fn new() -> Place {
        Place(None)
    }

    /// Puts a waiter there.
    pub(super) fn put(&mut self, (record, direction): (&'static Record, Direction), number: u64) {
        self.0 = Some((record, direction, number));
    }

    /// Takes the waiter out, if it is still in the list. The lock of its side is free. Not inlined, as its frame is no part
    /// of a wait.
    #[inline(never)]
    pub(super) fn leave(&mut self) {
        let Some((record, direction, number)) = self.0.take() else { return };
        let left = record.side(direction).lock().remove(number);
        if let Some(who) = left {
            who.discard();
        }
    }

    /// The waiter was taken out by another.
    #[inline]
    pub(super) fn was_taken(&mut self) {
        self.0 = None;
    }
}

impl Drop for Place {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.leave();
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("waits", &self.0.is_some()).finish()
    }
}

/// Wakes one that was taken out of the list.
pub(super) fn wake(who: Who) {
    if let Err((g, id)) = who.wake_other() {
        unpark_g(g, id);
    }
}
