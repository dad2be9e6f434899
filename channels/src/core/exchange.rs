//! Send and receive: what one who comes does with one who waits.

use super::answers::{Given, Left, Taken};
use super::channel::Locked;
use super::selects::Side;
use crate::loom::Unparker;
use crate::parcel::Parcel;
use crate::waiter::{Outcome, Ticket, Token, Waiter};

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
            // SAFETY: it has been claimed, so it waits.
            Some(sender) if unsafe { &*sender }.is_of_select() => Taken::Claimed(sender),
            Some(sender) => {
                // SAFETY: as above, and a sender's slot holds its value.
                let value = unsafe { read_slot(sender) };
                // SAFETY: it has just been claimed.
                Taken::Value(value, Some(unsafe { tell(sender, Outcome::Done, Token::Watched) }))
            }
        }
    }

    /// There may be room: the sender that has waited longest comes in.
    #[inline]
    pub(super) fn refill(&self) -> Option<Unparker> {
        if self.senders.is_empty() || self.room.get() <= 0 {
            return None;
        }
        let sender = self.senders.claim_first()?;
        // SAFETY: it has been claimed, so it waits.
        if unsafe { &*sender }.is_of_select() {
            self.room.add(-1);
            // SAFETY: it has just been claimed.
            return Some(unsafe { tell(sender, Outcome::Done, Token::Room) });
        }
        // In the buffer before the sender hears that it is sent: it may look.
        // SAFETY: as above, and a sender's slot holds its value.
        self.put(unsafe { read_slot(sender) });
        // SAFETY: it has just been claimed.
        Some(unsafe { tell(sender, Outcome::Done, Token::Watched) })
    }

    /// Gives a value to a receiver that has been claimed.
    #[inline(always)]
    pub(super) fn hand_over(&self, receiver: *const Waiter, value: T) -> Unparker {
        // SAFETY: it has been claimed, so it waits.
        let slot = unsafe { &*receiver }.slot().cast::<T>();
        let mut token = Token::Watched;
        if slot.is_null() {
            token = Token::Parcel(Parcel::pack(value));
        } else {
            // SAFETY: a receiver's slot is room for a value.
            unsafe { slot.write(value) };
        }
        // SAFETY: it has been claimed, and this is the only place that tells it.
        unsafe { tell(receiver, Outcome::Done, token) }
    }

    /// An operation that waits leaves the line.
    pub(crate) fn leave(&self, side: Side, waiter: &Waiter) -> Left {
        let line = match side {
            Side::Sends => &self.senders,
            Side::Receives => &self.receivers,
        };
        if line.remove(waiter) {
            return Left::Gone;
        }
        // SAFETY: a waiter's ticket lives as long as it.
        let outcome = unsafe { &*waiter.ticket() }.outcome();
        // Whoever has claimed it has told it in the same turn of the lock, or has promised it a value.
        outcome.map_or(Left::Promised, Left::Told)
    }

    /// Puts a value back that was received by who does not want it after all: it goes to the next, or to the front.
    pub(crate) fn give_back(&self, value: T) -> Option<Unparker> {
        if let Some(receiver) = self.receivers.claim_first() {
            return Some(self.hand_over(receiver, value));
        }
        self.with_buffer(|buffer| buffer.push_front(value));
        self.values.add(1);
        self.room.add(-1);
        None
    }
}

/// Tells a waiter that has been claimed: an operation on one channel the outcome, a case of a select what it has got.
///
/// # Safety
/// The caller has claimed it, and tells it once.
#[inline(always)]
#[must_use = "it sleeps"]
pub(super) unsafe fn tell(waiter: *const Waiter, plain: Outcome, selected: Token) -> Unparker {
    // SAFETY: it waits until it is told.
    let waiter = unsafe { &*waiter };
    let ticket = waiter.ticket();
    let outcome = if waiter.is_of_select() {
        // SAFETY: a waiter's ticket lives as long as it.
        let ticket = unsafe { &*ticket };
        // SAFETY: as the caller promises.
        unsafe { ticket.give(selected) };
        Outcome::Selected(waiter.case)
    } else {
        plain
    };
    // SAFETY: as the caller promises.
    unsafe { Ticket::tell(ticket, outcome) }
}

/// Takes the value out of a sender's slot.
///
/// # Safety
/// The caller has claimed the sender, it is no select, and its value is taken once.
#[inline(always)]
unsafe fn read_slot<T>(sender: *const Waiter) -> T {
    // SAFETY: it waits until it is told.
    let slot = unsafe { &*sender }.slot().cast::<T>();
    // SAFETY: a sender's slot holds its value.
    unsafe { slot.read() }
}
