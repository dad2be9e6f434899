//! The blocking operations on one channel: what they do when they can not be done at once.

use crate::core::{CAN_GIVE, CAN_TAKE, Channel, Given, Taken};
use crate::error::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use crate::loom::{Unparker, WaitReason};
use crate::waiter::{Outcome, Ticket, Waiter};
use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// How long an operation may wait. The clock is read only when it has to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Ever,
    At(Instant),
    For(Duration),
}

impl Until {
    /// The deadline, if there is one.
    #[inline]
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Until::Ever => None,
            Until::At(deadline) => Some(deadline),
            // What does not fit waits for ever.
            Until::For(duration) => Instant::now().checked_add(duration),
        }
    }
}

/// Wakes whom an operation has told.
#[inline]
pub(crate) fn wake(told: Option<Unparker>) {
    if let Some(unparker) = told {
        unparker.unpark();
    }
}

impl<T> Channel<T> {
    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        if self.hint() & CAN_GIVE == 0 {
            return Err(TrySendError::Full(value));
        }
        let mut state = self.lock();
        let given = state.give(value);
        drop(state);
        match given {
            Given::Done(told) => {
                wake(told);
                Ok(())
            }
            Given::Full(value) => Err(TrySendError::Full(value)),
            Given::Closed(value) => Err(TrySendError::Disconnected(value)),
        }
    }

    #[inline]
    pub(crate) fn send(&self, value: T, until: Until) -> Result<(), SendTimeoutError<T>> {
        let mut value = value;
        loop {
            let mut state = self.lock();
            value = match state.give(value) {
                Given::Done(told) => {
                    drop(state);
                    wake(told);
                    return Ok(());
                }
                Given::Closed(value) => return Err(SendTimeoutError::Disconnected(value)),
                Given::Full(value) => value,
            };
            let deadline = until.deadline();
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(SendTimeoutError::Timeout(value));
            }
            let waits = Waits::new(self, MaybeUninit::new(value), true);
            let waiter = waits.arm();
            // SAFETY: `Waits` takes it out of the line before it goes.
            unsafe { state.senders.push(waiter) };
            drop(state);
            match waits.wait(WaitReason::ChanSend, deadline) {
                Some(Outcome::Done) => return Ok(()),
                // SAFETY: a sender whose value was not taken has it.
                Some(Outcome::Closed) => return Err(SendTimeoutError::Disconnected(unsafe { waits.value() })),
                // SAFETY: as above.
                None => return Err(SendTimeoutError::Timeout(unsafe { waits.value() })),
                // SAFETY: as above.
                Some(_) => value = unsafe { waits.value() },
            }
        }
    }

    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        if self.hint() & CAN_TAKE == 0 {
            return Err(TryRecvError::Empty);
        }
        loop {
            let mut state = self.lock();
            match state.take() {
                Taken::Value(value, told) => {
                    drop(state);
                    wake(told);
                    return Ok(value);
                }
                Taken::Empty => return Err(TryRecvError::Empty),
                Taken::Closed => return Err(TryRecvError::Disconnected),
                Taken::Claimed(sender) => {
                    // A select has chosen to send, and its value is on the way.
                    let waits = Waits::new(self, MaybeUninit::uninit(), false);
                    let waiter = waits.arm();
                    let told = state.promise(sender, waiter);
                    drop(state);
                    told.unpark();
                    if waits.wait(WaitReason::ChanReceive, None) == Some(Outcome::Done) {
                        // SAFETY: it was put there.
                        return Ok(unsafe { waits.value() });
                    }
                }
            }
        }
    }

    #[inline]
    pub(crate) fn recv(&self, until: Until) -> Result<T, RecvTimeoutError> {
        loop {
            let mut state = self.lock();
            let claimed = match state.take() {
                Taken::Value(value, told) => {
                    drop(state);
                    wake(told);
                    return Ok(value);
                }
                Taken::Closed => return Err(RecvTimeoutError::Disconnected),
                Taken::Empty => None,
                Taken::Claimed(sender) => Some(sender),
            };
            let deadline = until.deadline();
            if claimed.is_none() && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(RecvTimeoutError::Timeout);
            }
            let waits = Waits::new(self, MaybeUninit::uninit(), false);
            let waiter = waits.arm();
            let told = match claimed {
                Some(sender) => Some(state.promise(sender, waiter)),
                None => {
                    // SAFETY: `Waits` takes it out of the line before it goes.
                    unsafe { state.receivers.push(waiter) };
                    None
                }
            };
            drop(state);
            wake(told);
            match waits.wait(WaitReason::ChanReceive, deadline) {
                // SAFETY: it was put there.
                Some(Outcome::Done) => return Ok(unsafe { waits.value() }),
                Some(Outcome::Closed) => return Err(RecvTimeoutError::Disconnected),
                None => return Err(RecvTimeoutError::Timeout),
                Some(_) => {}
            }
        }
    }
}

/// An operation that waits, on the stack of who waits.
struct Waits<'a, T> {
    channel: &'a Channel<T>,
    ticket: Ticket,
    slot: UnsafeCell<MaybeUninit<T>>,
    sends: bool,
    waiter: Waiter,
    /// It is in the middle of its wait: if it is dropped so, the G is being unwound.
    is_waiting: Cell<bool>,
}

impl<'a, T> Waits<'a, T> {
    #[inline]
    fn new(channel: &'a Channel<T>, slot: MaybeUninit<T>, sends: bool) -> Waits<'a, T> {
        Waits {
            channel,
            ticket: Ticket::new(false),
            slot: UnsafeCell::new(slot),
            sends,
            waiter: Waiter::new(0, false),
            is_waiting: Cell::new(false),
        }
    }

    /// The waiter, ready to stand in the line.
    #[inline]
    fn arm(&self) -> *const Waiter {
        // SAFETY: this stays where it is from here on, and takes the waiter out of the line before it goes.
        unsafe { self.waiter.belongs_to(&raw const self.ticket, self.slot.get().cast()) }
    }

    /// Takes the value out of the slot.
    ///
    /// # Safety
    /// There is one, and it is taken once.
    #[inline]
    unsafe fn value(&self) -> T {
        // SAFETY: who was told is alone with its slot.
        let slot = unsafe { &*self.slot.get() };
        // SAFETY: as the caller promises.
        unsafe { slot.assume_init_read() }
    }

    /// Waits. None: the deadline has passed, and the operation is out of the line.
    #[inline]
    fn wait(&self, reason: WaitReason, deadline: Option<Instant>) -> Option<Outcome> {
        self.is_waiting.set(true);
        let in_time = self.ticket.wait(reason, deadline);
        self.is_waiting.set(false);
        if in_time { self.ticket.outcome() } else { self.leave() }
    }

    /// Gives up. If it has been claimed already it waits for what comes of it.
    #[cold]
    fn leave(&self) -> Option<Outcome> {
        let mut state = self.channel.lock();
        let line = if self.sends { &mut state.senders } else { &mut state.receivers };
        if line.remove(&self.waiter) {
            return None;
        }
        drop(state);
        Some(self.ticket.wait_claimed(if self.sends { WaitReason::ChanSend } else { WaitReason::ChanReceive }))
    }
}

impl<T> Drop for Waits<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.is_waiting.get() {
            self.unwound();
        }
    }
}

impl<T> Waits<'_, T> {
    /// The runtime is closing, and the G unwinds in the middle of its wait. No value is lost: it stays in the channel.
    #[cold]
    fn unwound(&self) {
        let outcome = self.leave();
        match (self.sends, outcome) {
            (true, Some(Outcome::Done)) => {}
            // SAFETY: a sender whose value was not taken has it. It ends with its G.
            (true, _) => drop(unsafe { self.value() }),
            (false, Some(Outcome::Done)) => {
                // SAFETY: it was put there.
                let value = unsafe { self.value() };
                let told = self.channel.lock().give_back(value);
                wake(told);
            }
            (false, _) => {}
        }
    }
}
