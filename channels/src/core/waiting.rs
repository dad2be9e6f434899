//! The waiters of a channel: the runtime's wait line, with what they want and what they are told.

use crate::parcel::Parcel;
use pirn_runtime::internal as wait;
use std::cell::Cell;
use std::ptr;
use std::time::Instant;

/// One waiting operation.
pub(crate) type Ticket = wait::Ticket<Answer>;
/// Its place in the line of one channel.
pub(crate) type Waiter = wait::Waiter<Answer, Purpose>;
/// A waiter that has been claimed.
pub(crate) type Claimed = wait::Claimed<Answer, Purpose>;
/// Those that wait to send to one channel, or to receive.
pub(crate) type Line = wait::Line<Answer, Purpose>;

/// What became of a waiting operation.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// Its value has been taken, or one has been put into its slot.
    Done,
    /// The channel is closed.
    Closed,
    /// The operation that had claimed it has released it: begin again.
    Retry,
    /// A select may complete this case, and has its reservation.
    Selected(usize, Reservation),
}

/// What a select has got hold of, until the operation is completed.
#[derive(Clone, Copy)]
pub(crate) enum Reservation {
    /// Room for a value.
    Room,
    /// A receiver that waits for the value: a promise of that number.
    Promise(usize),
    /// The first value in the buffer, when it is taken.
    Value,
    /// A value. One that was handed over in a rendezvous must not become another's.
    Parcel(Parcel),
    /// The moment that a channel of the clock has given.
    Moment(Instant),
    /// The end of the channel.
    Closed,
    /// Nothing: the operation may be ready, and that is all that was asked.
    Watched,
}

/// What a waiter is in the line for.
pub(crate) struct Purpose {
    /// Where its value lies or is to be put. Null for a select, whose values go as parcels. Set by the waiting
    /// operation, once the value lies where it stays.
    slot: Cell<*mut ()>,
    /// Which case of a select.
    pub(crate) case: usize,
    /// It wants to know when the operation is ready, and does nothing itself.
    pub(crate) watches: bool,
    /// The promise that has been made to it, plus one. Guarded by the channel's lock.
    pub(super) promise: Cell<usize>,
}

impl Purpose {
    /// A case of a select, or one that watches.
    #[inline]
    pub(crate) fn case(case: usize, watches: bool) -> Purpose {
        Purpose { slot: Cell::new(ptr::null_mut()), case, watches, promise: Cell::new(0) }
    }

    /// An operation on one channel, which says later where its value is ([`set_slot`](Self::set_slot)).
    #[inline]
    pub(crate) fn value() -> Purpose {
        Purpose::case(0, false)
    }

    #[inline]
    pub(crate) fn set_slot(&self, slot: *mut ()) {
        self.slot.set(slot);
    }

    /// Where its value lies or is to be put. Null for a select.
    #[inline]
    pub(super) fn slot(&self) -> *mut () {
        self.slot.get()
    }

    /// Whether it is a select's.
    #[inline]
    pub(super) fn is_of_select(&self) -> bool {
        self.slot.get().is_null()
    }

    /// What a select is told: this case, with what it has got hold of.
    #[inline(always)]
    pub(super) fn selected(&self, reservation: Reservation) -> Answer {
        Answer::Selected(self.case, reservation)
    }
}
