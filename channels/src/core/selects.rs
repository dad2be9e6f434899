//! What selects do to a channel: choose now, complete later; stand in its lines; watch.

use super::channel::{Head, Locked};
use super::results::{Choice, Taken};
use super::waiting::{Answer, Claimed, Line, Reservation, Waiter};
use crate::parcel::Parcel;
use pirn_runtime::internal::{Told, wake};

impl<T> Locked<'_, T> {
    /// Chooses to send, if it can be done now; the value comes later ([`complete_send`](Self::complete_send)).
    pub(crate) fn choose_send(&self) -> Option<Reservation> {
        if self.is_closed.get() {
            return Some(Reservation::Closed);
        }
        if self.room.get() > 0 {
            self.room.add(-1);
            return Some(Reservation::Room);
        }
        // Also if all room is reserved: a receiver does not have to wait for the selects that have reserved it.
        self.receivers.claim_first().map(|receiver| self.promise_to(receiver))
    }

    /// Chooses to receive, if it can be done now; the value is taken later
    /// ([`complete_receive`](Self::complete_receive)).
    pub(crate) fn choose_receive(&self) -> Choice {
        if self.values.get() > 0 {
            self.values.add(-1);
            return Choice::Chosen(Reservation::Value, None);
        }
        match self.take() {
            Taken::Value(value, told) => Choice::Chosen(Reservation::Parcel(Parcel::pack(value)), told),
            Taken::Claimed(sender) => Choice::Claimed(sender),
            Taken::Closed => Choice::Chosen(Reservation::Closed, None),
            Taken::Empty => Choice::NotReady,
        }
    }

    /// Makes the select whose send has been claimed give its value to `receiver`, which waits until it is told.
    ///
    /// # Safety
    /// The receiver is prepared, stands in no line, and stays until it is told or has left the promise (`abandon`).
    pub(crate) unsafe fn promise(&self, sender: Claimed, receiver: *const Waiter) -> Told {
        // SAFETY: as the caller promises.
        let reservation = self.promise_to(unsafe { Claimed::of(receiver) });
        let answer = sender.data().selected(reservation);
        sender.tell(answer)
    }

    fn promise_to(&self, receiver: Claimed) -> Reservation {
        self.with_promises(|promises| {
            let entry = promises.vacant_entry();
            let number = entry.key();
            receiver.data().promise.set(number + 1);
            entry.insert(Some(receiver));
            Reservation::Promise(number)
        })
    }

    /// A receiver leaves the promise that was made to it. False: there is no promise, or the receiver has been told.
    pub(crate) fn abandon(&self, receiver: &Waiter) -> bool {
        match receiver.data().promise.get().checked_sub(1) {
            Some(number) if receiver.told().is_none() => {
                self.with_promises(|promises| promises[number] = None);
                true
            }
            _ => false,
        }
    }

    /// Sends the value that a select has chosen to send. It comes back if the channel is closed.
    pub(crate) fn complete_send(&self, reservation: Reservation, value: T) -> Result<Option<Told>, T> {
        let receiver = match reservation {
            Reservation::Room => {
                self.room.add(1);
                None
            }
            Reservation::Promise(number) => self.with_promises(|promises| promises.remove(number)),
            _ => return Err(value),
        };
        // It was claimed for this select, and waits until it is told.
        if let Some(receiver) = receiver {
            return Ok(Some(self.hand_over(receiver, value)));
        }
        if self.is_closed.get() {
            return Err(value);
        }
        // This includes a value whose receiver has gone: it is sent, and the next receiver gets it.
        match self.receivers.claim_first() {
            Some(receiver) => Ok(Some(self.hand_over(receiver, value))),
            None => {
                self.put(value);
                Ok(None)
            }
        }
    }

    /// Takes the value out of the buffer that a select has chosen.
    pub(crate) fn complete_receive(&self) -> (T, Option<Told>) {
        (self.pull_chosen(), self.refill())
    }

    /// Undoes what a select has chosen and not completed.
    ///
    /// # Safety
    /// The reservation is of this channel, and is not used again.
    pub(crate) unsafe fn release(&self, reservation: Reservation) -> Option<Told> {
        match reservation {
            Reservation::Room => {
                self.room.add(1);
                self.refill()
            }
            // SAFETY: as this promises.
            Reservation::Parcel(parcel) => self.give_back(unsafe { parcel.unpack() }),
            Reservation::Value => {
                let value = self.pull_chosen();
                self.give_back(value)
            }
            Reservation::Promise(number) => {
                let receiver = self.with_promises(|promises| promises.remove(number));
                Some(receiver?.tell(Answer::Retry))
            }
            _ => None,
        }
    }
}

/// Which side of a channel a case of a select is on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Sends,
    Receives,
}

impl Head {
    /// Whether an operation of that side could complete. Without the lock this is a hint.
    #[inline]
    pub(crate) fn can(&self, side: Side) -> bool {
        match side {
            Side::Sends => self.can_give(),
            Side::Receives => self.can_take(),
        }
    }

    /// The line for such a waiter of that side.
    #[inline]
    fn line(&self, side: Side, watches: bool) -> &Line {
        match (side, watches) {
            (Side::Sends, false) => &self.senders,
            (Side::Receives, false) => &self.receivers,
            (Side::Sends, true) => &self.room_watchers,
            (Side::Receives, true) => &self.value_watchers,
        }
    }

    /// A select stands in line. Only under the lock.
    ///
    /// # Safety
    /// The waiter stays where it is until it is out of the line again.
    #[inline]
    pub(crate) unsafe fn queue(&self, side: Side, waiter: *const Waiter) {
        // SAFETY: as the caller promises.
        let watches = unsafe { &*waiter }.data().watches;
        if watches {
            self.is_watched.set(true);
        }
        // SAFETY: as above.
        unsafe { self.line(side, watches).push(waiter) };
    }

    /// Takes the lock, and takes a select's waiter out of the line, if it still stands there.
    #[inline]
    pub(crate) fn lock_and_leave(&self, side: Side, waiter: &Waiter) {
        self.lock.lock();
        self.line(side, waiter.data().watches).remove(waiter);
        self.unlock();
    }

    /// Tells the watchers of what can be done now. Each gets a turn of the lock of its own, because waking one may run
    /// the user's code (a subscriber of `tracing`, the callback that names a new thread).
    #[cold]
    pub(crate) fn tell_watchers(&self) {
        while let told @ Some(_) = self.tell_watcher() {
            wake(told);
        }
    }

    fn tell_watcher(&self) -> Option<Told> {
        self.lock.lock();
        let claim = |side| self.can(side).then(|| self.line(side, true).claim_first()).flatten();
        let watcher = claim(Side::Sends).or_else(|| claim(Side::Receives));
        let told = watcher.map(|watcher| {
            let answer = watcher.data().selected(Reservation::Watched);
            watcher.tell(answer)
        });
        self.is_watched.set(!self.room_watchers.is_empty() || !self.value_watchers.is_empty());
        self.lock.unlock();
        told
    }
}
