//! One case of a select: an operation on one channel, of which the select knows only a [`Selectable`].

#![allow(unsafe_code, reason = "reservations of selects, each used once")]

use crate::channel::{Flavor, Receiver, Sender};
use crate::core::{Choice, Head, Reservation, Side, Waiter};
use crate::loom::has_come;
use crate::parcel::Parcel;
use std::time::Instant;

use pirn_runtime::internal::{Kind, Reason, wake};

/// A select.
pub(crate) static SELECT: Reason = Reason::new("select", Kind::Event);

/// What a case does to its channel where the type of the values matters. Its functions take the lock, if there is one.
pub(crate) trait Selectable {
    /// The channel, and the side of it. None: there is nothing to lock.
    fn end(&self) -> Option<(&Head, Side)>;

    /// When it may become ready by itself.
    fn due(&self) -> Option<Instant>;

    /// Chooses the operation if it is ready. It may have to wait for another select, and does so until `deadline`.
    fn choose(&self, deadline: &mut dyn FnMut() -> Option<Instant>) -> Option<Reservation>;

    /// A case that waits leaves the promise that was made to it. False: there is no promise, or the case has been told.
    /// This is final: it takes the lock, also for a send, so it comes after the turn of the operation that has claimed
    /// the case.
    fn abandon(&self, waiter: &Waiter) -> bool;

    /// Undoes what was chosen.
    ///
    /// # Safety
    /// The reservation is of this handle, and is not used again.
    unsafe fn release(&self, reservation: Reservation);
}

/// One of the operations that a select chooses from.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) handle: &'a dyn Selectable,
    pub(crate) end: Option<(&'a Head, Side)>,
    /// The number that the user knows it by.
    pub(crate) index: usize,
    /// What the last look saw: whether it was ready, and the number of that moment.
    pub(crate) seemed_ready: bool,
    moment: usize,
}

impl<'a> Case<'a> {
    #[inline]
    pub(crate) fn new<H: Selectable>(handle: &'a H, index: usize) -> Case<'a> {
        Case { handle, end: handle.end(), index, seemed_ready: false, moment: 0 }
    }

    /// Whether it is ready. Without the lock this is a hint.
    #[inline]
    pub(crate) fn seems_ready(&self) -> bool {
        match self.end {
            Some((head, side)) => head.can(side),
            None => self.handle.due().is_some_and(has_come),
        }
    }

    /// Whether it is ready, after the operations that hold the lock now.
    pub(crate) fn is_ready(&self) -> bool {
        let lock = self.end.map(|(head, _)| &head.lock);
        lock.inspect(|lock| lock.lock());
        let is_ready = self.seems_ready();
        lock.inspect(|lock| lock.unlock());
        is_ready
    }

    /// Looks, and keeps what it has seen.
    #[inline]
    pub(crate) fn look(&mut self) -> bool {
        self.moment = self.end.map_or(0, |(head, _)| head.lock.moment());
        self.seemed_ready = self.seems_ready();
        self.seemed_ready
    }

    /// Whether nothing has been done to it since the last look.
    pub(crate) fn is_still(&self) -> bool {
        match self.end {
            Some((head, _)) => head.lock.is_still(self.moment),
            // It was not due then and is not due now, so it was not due in between; or it was, and another receiver has
            // taken the value.
            None => !self.seems_ready(),
        }
    }

    /// Whether it has become ready since the last look, at which it was not. Only under the lock. This is wrong if all
    /// waiters in the line are selects that other operations have claimed already. A choice removes these waiters.
    #[inline]
    pub(crate) fn has_become_ready(&self) -> bool {
        self.end.is_some_and(|(head, side)| head.lock.moment() != self.moment.wrapping_add(1) && head.can(side))
    }
}

impl<T> Selectable for Sender<T> {
    #[inline]
    fn end(&self) -> Option<(&Head, Side)> {
        Some((&self.channel, Side::Sends))
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn choose(&self, _: &mut dyn FnMut() -> Option<Instant>) -> Option<Reservation> {
        self.channel.lock().choose_send()
    }

    fn abandon(&self, waiter: &Waiter) -> bool {
        self.channel.lock().abandon(waiter)
    }

    unsafe fn release(&self, reservation: Reservation) {
        // SAFETY: as the caller promises.
        let told = unsafe { self.channel.lock().release(reservation) };
        wake(told);
    }
}

impl<T> Selectable for Receiver<T> {
    #[inline]
    fn end(&self) -> Option<(&Head, Side)> {
        match &self.flavor {
            Flavor::Channel(channel) => Some((channel, Side::Receives)),
            _ => None,
        }
    }

    fn due(&self) -> Option<Instant> {
        match &self.flavor {
            Flavor::Clock(clock, _) => clock.due(),
            _ => None,
        }
    }

    fn choose(&self, deadline: &mut dyn FnMut() -> Option<Instant>) -> Option<Reservation> {
        let channel = match &self.flavor {
            Flavor::Channel(channel) => channel,
            Flavor::Clock(clock, _) => return clock.take().map(Reservation::Moment),
            Flavor::Never => return None,
        };
        let locked = channel.lock();
        match locked.choose_receive() {
            Choice::NotReady => None,
            Choice::Chosen(reservation, told) => {
                drop(locked);
                wake(told);
                Some(reservation)
            }
            Choice::Claimed(sender) => {
                let value = channel.receive_promised(locked, sender, &SELECT, deadline)?;
                Some(Reservation::Parcel(Parcel::pack(value)))
            }
        }
    }

    fn abandon(&self, waiter: &Waiter) -> bool {
        match &self.flavor {
            Flavor::Channel(channel) => channel.lock().abandon(waiter),
            _ => false,
        }
    }

    unsafe fn release(&self, reservation: Reservation) {
        if let Flavor::Channel(channel) = &self.flavor {
            // SAFETY: as the caller promises.
            let told = unsafe { channel.lock().release(reservation) };
            wake(told);
        }
    }
}
