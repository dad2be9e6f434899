//! Send and receive: what an arriving operation does with a waiting one.

use super::channel::Locked;
use super::results::{Given, Left, Taken};
use super::selects::Side;
use super::waiting::{Answer, Claimed, Reservation, Waiter};
use crate::parcel::Parcel;
use pirn_runtime::internal::Told;

impl<T> Locked<'_, T> {
    /// Sends a value if it can be done now.
    #[inline(always)]
    pub(crate) fn give(&self, value: T) -> Given<T> {
        if self.is_closed.get() {
            return Given::Closed(value);
        }
        if let Some(receiver) = self.receivers.claim_first() {
            return Given::Done(Some(self.hand_over(receiver, value)));
        }
        if self.room.get() > 0 {
            self.put(value);
            return Given::Done(None);
        }
        Given::Full(value)
    }

    /// Receives a value if it can be done now.
    #[inline(always)]
    pub(crate) fn take(&self) -> Taken<T> {
        if self.values.get() > 0 {
            let value = self.pull();
            return Taken::Value(value, self.refill());
        }
        match self.senders.claim_first() {
            None if self.is_closed.get() => Taken::Closed,
            None => Taken::Empty,
            Some(sender) if sender.data().is_of_select() => Taken::Claimed(sender),
            Some(sender) => {
                // SAFETY: a sender's slot holds its value.
                let value = unsafe { read_slot(&sender) };
                Taken::Value(value, Some(sender.tell(Answer::Done)))
            }
        }
    }

    /// There may be room: the sender that has waited longest comes in.
    #[inline]
    pub(super) fn refill(&self) -> Option<Told> {
        if self.senders.is_empty() || self.room.get() <= 0 {
            return None;
        }
        let sender = self.senders.claim_first()?;
        if sender.data().is_of_select() {
            self.room.add(-1);
            let answer = sender.data().selected(Reservation::Room);
            return Some(sender.tell(answer));
        }
        // In the buffer before the sender is told that it is sent, as the sender may look. SAFETY: a sender's slot
        // holds its value.
        self.put(unsafe { read_slot(&sender) });
        Some(sender.tell(Answer::Done))
    }

    /// Gives a value to a receiver that has been claimed.
    #[inline(always)]
    pub(super) fn hand_over(&self, receiver: Claimed, value: T) -> Told {
        if receiver.data().is_of_select() {
            let answer = receiver.data().selected(Reservation::Parcel(Parcel::pack(value)));
            return receiver.tell(answer);
        }
        // SAFETY: a receiver's slot is room for a value, and it has been claimed.
        unsafe { receiver.data().slot().cast::<T>().write(value) };
        receiver.tell(Answer::Done)
    }

    /// An operation that waits leaves the line.
    pub(crate) fn leave<'a>(&self, side: Side, waiter: &'a Waiter) -> Left<'a> {
        let line = match side {
            Side::Sends => &self.senders,
            Side::Receives => &self.receivers,
        };
        if line.remove(waiter) {
            return Left::Gone;
        }
        // The operation that has claimed it has told it in the same turn of the lock, or has promised it a value.
        waiter.told().map_or(Left::Promised, Left::Answered)
    }

    /// Puts back a received value that its receiver does not want after all. It goes to the next receiver, or to the
    /// front.
    pub(crate) fn give_back(&self, value: T) -> Option<Told> {
        if let Some(receiver) = self.receivers.claim_first() {
            return Some(self.hand_over(receiver, value));
        }
        self.with_buffer(|buffer| buffer.push_front(value));
        self.values.add(1);
        self.room.add(-1);
        None
    }
}

/// Takes the value out of a sender's slot.
///
/// # Safety
/// The sender is no select, and its value is taken once.
#[inline(always)]
unsafe fn read_slot<T>(sender: &Claimed) -> T {
    // SAFETY: a sender's slot holds its value, and it has been claimed.
    unsafe { sender.data().slot().cast::<T>().read() }
}
