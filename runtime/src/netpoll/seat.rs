//! The seat of who waits in the epoll: one M at a time.
//!
//! The bell rings for whoever waits there. If two did, one could silence it that is not meant, and the other would
//! sleep on. Two would: an M that has been the keeper is woken for work by the bell, and needs a moment to leave;
//! meanwhile another M becomes the keeper. So that one parks as any M does, and the one that leaves wakes the keeper of
//! then, which takes the seat.
//!
//! ```text
//!   FREE --take--> TAKEN --take: refused--> WANTED
//!     ^--leave: nothing to do---'               |
//!     '------leave: wake the keeper-------------'
//! ```
//! An M that is refused has made the seat WANTED before it parks. So the one that leaves after that wakes the keeper,
//! whose wake is a token if it does not park yet.

use crate::loom::{AtomicU8, Ordering};

const FREE: u8 = 0;
const TAKEN: u8 = 1;
const WANTED: u8 = 2;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Seat(AtomicU8);

impl Seat {
    /// A free one.
    pub(crate) fn new() -> Seat {
        Seat(AtomicU8::new(FREE))
    }

    /// Takes it. False: another has it, and will wake the keeper when it leaves.
    pub(crate) fn take(&self) -> bool {
        // An exchange in both cases: if it is refused, the one that leaves sees that (partner: `leave`).
        let take_or_want = |now| Some(if now == FREE { TAKEN } else { WANTED });
        self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, take_or_want) == Ok(FREE)
    }

    /// Leaves it. Whether the caller has to wake the keeper.
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        self.0.swap(FREE, Ordering::AcqRel) == WANTED
    }

    /// Whether somebody has it: a hint.
    #[cfg_attr(loom, allow(dead_code, reason = "the models do not ask"))]
    pub(crate) fn is_taken(&self) -> bool {
        self.0.load(Ordering::Relaxed) != FREE
    }
}

#[cfg(all(test, loom))]
#[path = "seat_loom.rs"]
mod tests;
