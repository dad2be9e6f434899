//! The blocking operations on one channel: what they do when they cannot complete at once.

#![allow(unsafe_code, reason = "waiters on stacks that wait")]

use crate::core::{Answer, Channel, Claimed, Given, Head, Left, Locked, Side, Taken, Ticket, Waiter};
use crate::error::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use crate::loom::{checkpoint, has_come, now};
use crate::operation::Operation;
use crate::until::{Until, end_of_grace};
use pirn_runtime::internal::{Kind, Reason, on_unwind, wake};
use std::convert::Infallible;
use std::mem::{self, MaybeUninit};
use std::time::Instant;

/// What is waited for; dumps show which by its address.
const CHANNEL: Kind = Kind::Object("chan");
/// A receive on a channel.
pub(crate) static CHAN_RECEIVE: Reason = Reason::new("chan receive", CHANNEL);
/// A send on a channel.
static CHAN_SEND: Reason = Reason::new("chan send", CHANNEL);

impl<T> Channel<T> {
    #[inline]
    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        checkpoint();
        if !self.may(Head::can_give) {
            return Err(TrySendError::Full(value));
        }
        let channel = self.lock();
        let given = channel.give(value);
        drop(channel);
        match given {
            Given::Done(told) => {
                wake(told);
                Ok(())
            }
            Given::Full(value) => Err(TrySendError::Full(value)),
            Given::Closed(value) => Err(TrySendError::Disconnected(value)),
        }
    }

    #[inline(always)]
    pub(crate) fn send(&self, value: T, until: Until) -> Result<(), SendTimeoutError<T>> {
        checkpoint();
        let channel = self.lock();
        if channel.can_put() {
            channel.put(value);
            return Ok(());
        }
        self.send_or_wait(channel, value, until)
    }

    /// The send that cannot simply put its value into the buffer. This is the only frame between the caller and the
    /// switch of stacks: each frame costs a mispredicted return.
    #[inline(never)]
    fn send_or_wait(&self, channel: Locked<'_, T>, value: T, until: Until) -> Result<(), SendTimeoutError<T>> {
        match channel.give(value) {
            Given::Done(told) => {
                drop(channel);
                wake(told);
                Ok(())
            }
            Given::Closed(value) => Err(SendTimeoutError::Disconnected(value)),
            Given::Full(value) => self.send_waiting(channel, value, until),
        }
    }

    /// The channel is full: waits until a receiver takes the value.
    #[inline(always)]
    fn send_waiting(&self, channel: Locked<'_, T>, value: T, until: Until) -> Result<(), SendTimeoutError<T>> {
        let deadline = until.deadline();
        if deadline.is_some_and(has_come) {
            return Err(SendTimeoutError::Timeout(value));
        }
        let waits = Waits::new(self, MaybeUninit::new(value), Side::Sends);
        let waiter = waits.prepare();
        // SAFETY: `Waits` takes it out of the line before it goes.
        unsafe { channel.senders.push(waiter) };
        match waits.wait_unlocking(channel, &CHAN_SEND, deadline) {
            Some(Answer::Done) => Ok(()),
            // SAFETY: a sender whose value was not taken has it.
            Some(_) => Err(SendTimeoutError::Disconnected(unsafe { waits.operation.value() })),
            // SAFETY: as above.
            None => Err(SendTimeoutError::Timeout(unsafe { waits.operation.value() })),
        }
    }

    #[inline]
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        checkpoint();
        if !self.may(Head::can_take) {
            return Err(TryRecvError::Empty);
        }
        loop {
            let channel = self.lock();
            let sender = match channel.take() {
                Taken::Value(value, told) => {
                    drop(channel);
                    wake(told);
                    return Ok(value);
                }
                Taken::Empty => return Err(TryRecvError::Empty),
                Taken::Closed => return Err(TryRecvError::Disconnected),
                Taken::Claimed(sender) => sender,
            };
            if let Some(value) = self.receive_promised(channel, sender, &CHAN_RECEIVE, || Some(now())) {
                return Ok(value);
            }
        }
    }

    /// Waits for the value of a select that wants to send. None: the value does not come after all, or not in time.
    #[cold]
    pub(crate) fn receive_promised(
        &self,
        channel: Locked<'_, T>,
        sender: Claimed,
        reason: &'static Reason,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Option<T> {
        let waits = Waits::new(self, MaybeUninit::uninit(), Side::Receives);
        let waiter = waits.prepare();
        // SAFETY: `Waits` leaves the promise before it goes.
        let told = unsafe { channel.promise(sender, waiter) };
        drop(channel);
        told.wake();
        let answer = waits.wait(reason, deadline());
        // SAFETY: it was put there.
        matches!(answer, Some(Answer::Done)).then(|| unsafe { waits.operation.value() })
    }

    #[inline(always)]
    pub(crate) fn recv(&self, until: Until) -> Result<T, RecvTimeoutError> {
        checkpoint();
        let channel = self.lock();
        if channel.can_pull() {
            return Ok(channel.pull());
        }
        self.recv_or_wait(channel, until)
    }

    /// The receive that cannot simply take a value out of the buffer. It is one frame, as `send_or_wait`.
    #[inline(never)]
    fn recv_or_wait<'a>(&'a self, mut channel: Locked<'a, T>, mut until: Until) -> Result<T, RecvTimeoutError> {
        loop {
            match channel.take() {
                Taken::Value(value, told) => {
                    drop(channel);
                    wake(told);
                    return Ok(value);
                }
                Taken::Closed => return Err(RecvTimeoutError::Disconnected),
                Taken::Empty => {
                    if let Some(result) = self.recv_waiting(channel, &mut until, &CHAN_RECEIVE) {
                        return result;
                    }
                }
                Taken::Claimed(sender) => {
                    if let Some(value) = self.receive_promised(channel, sender, &CHAN_RECEIVE, || until.fix()) {
                        return Ok(value);
                    }
                }
            }
            // A select had promised a value, and has not sent it, or not yet.
            channel = self.lock();
        }
    }

    /// The channel is empty: waits for a value. None: the caller tries again.
    #[inline(always)]
    fn recv_waiting(
        &self,
        channel: Locked<'_, T>,
        until: &mut Until,
        reason: &'static Reason,
    ) -> Option<Result<T, RecvTimeoutError>> {
        let deadline = until.fix();
        if deadline.is_some_and(has_come) {
            return Some(Err(RecvTimeoutError::Timeout));
        }
        let waits = Waits::new(self, MaybeUninit::uninit(), Side::Receives);
        let waiter = waits.prepare();
        // SAFETY: `Waits` takes it out of the line before it goes.
        unsafe { channel.receivers.push(waiter) };
        Some(match waits.wait_unlocking(channel, reason, deadline) {
            // SAFETY: it was put there.
            Some(Answer::Done) => Ok(unsafe { waits.operation.value() }),
            Some(Answer::Closed) => Err(RecvTimeoutError::Disconnected),
            None => Err(RecvTimeoutError::Timeout),
            Some(_) => return None,
        })
    }
}

impl Channel<Infallible> {
    /// Waits for the end of a channel on which nothing is sent, for a reason of the caller's. False: the time is over.
    pub(crate) fn wait_for_end(&self, mut until: Until, reason: &'static Reason) -> bool {
        checkpoint();
        let channel = self.lock();
        if let Taken::Closed = channel.take() {
            return true;
        }
        !matches!(self.recv_waiting(channel, &mut until, reason), Some(Err(RecvTimeoutError::Timeout)))
    }
}

/// An operation that waits, on the stack of the caller.
struct Waits<'a, T> {
    channel: &'a Channel<T>,
    operation: Operation<T>,
    side: Side,
}

impl<'a, T> Waits<'a, T> {
    #[inline]
    fn new(channel: &'a Channel<T>, slot: MaybeUninit<T>, side: Side) -> Waits<'a, T> {
        Waits { channel, operation: Operation::new(Ticket::for_caller(), slot), side }
    }

    /// The waiter, ready to stand in the line.
    #[inline]
    fn prepare(&self) -> *const Waiter {
        // SAFETY: this stays where it is from here on, and takes the waiter out of the line before it goes.
        unsafe { self.operation.prepare() }
    }

    /// Unlocks the channel, in whose line it stands, and waits. None: the deadline has passed, and no other operation
    /// looks at this one any more.
    #[inline(always)]
    fn wait_unlocking(
        &self,
        channel: Locked<'_, T>,
        reason: &'static Reason,
        deadline: Option<Instant>,
    ) -> Option<&Answer> {
        // Who unlocks for a G that has parked tells no watchers.
        if deadline.is_some() || channel.is_watched.get() {
            drop(channel);
            return self.wait(reason, deadline);
        }
        let unwound = on_unwind(|| self.unwound());
        let ticket = &self.operation.ticket;
        mem::forget(channel);
        // SAFETY: `channel` held it until just now. All that claim a waiter of one channel tell it under the lock.
        unsafe { ticket.wait_unlocking(&self.channel.lock, reason, self.what()) };
        let answer = ticket.told();
        unwound.disarm();
        answer
    }

    /// Waits. None: the deadline has passed, and no other operation looks at this one any more.
    fn wait(&self, reason: &'static Reason, deadline: Option<Instant>) -> Option<&Answer> {
        let unwound = on_unwind(|| self.unwound());
        let ticket = &self.operation.ticket;
        let in_time = ticket.wait(reason, self.what(), deadline);
        let answer = if in_time { ticket.told() } else { self.withdraw(reason) };
        unwound.disarm();
        answer
    }

    /// What it waits on, for observers.
    #[inline(always)]
    fn what(&self) -> usize {
        std::ptr::from_ref(self.channel).addr()
    }

    /// The time is over: leaves the line. If a select has promised a value, this waits a little longer for it.
    #[cold]
    fn withdraw(&self, reason: &'static Reason) -> Option<&Answer> {
        let Operation { ticket, waiter, .. } = &self.operation;
        let left = self.channel.lock().leave(self.side, waiter);
        match left {
            Left::Gone => None,
            Left::Answered(answer) => Some(answer),
            Left::Promised => {
                let in_time = ticket.wait(reason, self.what(), Some(end_of_grace()));
                if !in_time && self.channel.lock().abandon(waiter) { None } else { ticket.told() }
            }
        }
    }

    /// The runtime is closing, and the G unwinds in the middle of its wait. No value is lost: it stays in the channel.
    #[cold]
    fn unwound(&self) {
        let reason = match self.side {
            Side::Sends => &CHAN_SEND,
            Side::Receives => &CHAN_RECEIVE,
        };
        let answer = self.withdraw(reason);
        match (self.side, answer) {
            (Side::Sends, Some(Answer::Done)) => {}
            // SAFETY: a sender whose value was not taken has it. It ends with its G.
            (Side::Sends, _) => drop(unsafe { self.operation.value() }),
            (Side::Receives, Some(Answer::Done)) => {
                // SAFETY: it was put there.
                let value = unsafe { self.operation.value() };
                let told = self.channel.lock().give_back(value);
                wake(told);
            }
            (Side::Receives, _) => {}
        }
    }
}
