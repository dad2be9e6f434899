//! One channel: its lock, what lies in it, and what each operation does to it. [`State`] is what the lock guards; all of
//! its verbs return who has to be unparked after the lock was given back.

use crate::lock::Lock;
use crate::loom::{AtomicUsize, Ordering, Unparker, UnsafeCell};
use crate::waiter::{Line, Outcome, Ticket, Token, Waiter};
use crossbeam_utils::CachePadded;
use slab::Slab;
use std::collections::VecDeque;
use std::mem::{self, ManuallyDrop};
use std::ops::{Deref, DerefMut};

/// A queue of values that has been longer than this gives its memory back when it is empty.
const KEPT_MAX: usize = 1024;
/// Bounded channels up to this size have their room from the beginning.
const PREPARED_MAX: usize = 1 << 16;

/// A receive could do something.
pub(crate) const CAN_TAKE: usize = 1;
/// A send could do something.
pub(crate) const CAN_GIVE: usize = 2;
/// Counts the changes in the bits above.
const CHANGE: usize = 4;

/// A channel that is not one of the clock's.
#[derive(Debug)]
pub(crate) struct Channel<T> {
    pub(crate) lock: Lock,
    /// What can be done, for who looks without the lock: [`CAN_TAKE`], [`CAN_GIVE`], and above them the number of the
    /// change. Who has synchronised with whoever changed the channel last sees the truth.
    hint: AtomicUsize,
    len: AtomicUsize,
    /// `usize::MAX` if there is no limit.
    capacity: usize,
    state: UnsafeCell<State<T>>,
    /// How many handles there are.
    pub(crate) senders: CachePadded<AtomicUsize>,
    pub(crate) receivers: AtomicUsize,
}

// SAFETY: the state is used under the lock, by one thread at a time. It moves values between threads, which is what
// `Send` allows; it shares none.
unsafe impl<T: Send> Send for Channel<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Channel<T> {}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct State<T> {
    capacity: usize,
    is_closed: bool,
    /// Values that have been received and given back. They come first.
    returned: VecDeque<T>,
    buffer: VecDeque<T>,
    /// How much room is reserved for selects that have chosen to send.
    reserved: usize,
    pub(crate) senders: Line,
    pub(crate) receivers: Line,
    transfers: Slab<Transfer<T>>,
}

/// A value on its way between a select and somebody else.
#[derive(Debug)]
enum Transfer<T> {
    /// It waits until the select that has chosen to receive takes it.
    Staged(T),
    /// The select that has chosen to send has not given it yet; this receiver waits for it.
    Promised(*const Waiter),
    /// As before, but the receiver has gone.
    Abandoned,
}

/// What came of a send.
#[must_use]
pub(crate) enum Given<T> {
    /// Somebody has the value, or the buffer.
    Done(Option<Unparker>),
    Full(T),
    Closed(T),
}

/// What came of a receive.
#[must_use]
pub(crate) enum Taken<T> {
    Value(T, Option<Unparker>),
    /// A select that wants to send has been claimed: the caller has to [`promise`](State::promise) its value to
    /// somebody, under the same lock.
    Claimed(*const Waiter),
    Empty,
    Closed,
}

/// What came of a select's wish to send.
#[must_use]
pub(crate) enum Offered {
    Chosen(Token),
    Full,
}

/// The state, locked.
pub(crate) struct Locked<'a, T> {
    channel: &'a Channel<T>,
    state: &'a mut State<T>,
}

impl<T> Deref for Locked<'_, T> {
    type Target = State<T>;

    #[inline]
    fn deref(&self) -> &State<T> {
        self.state
    }
}

impl<T> DerefMut for Locked<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State<T> {
        self.state
    }
}

impl<T> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.channel.publish(self.state);
        self.channel.lock.unlock();
    }
}

impl<T> Channel<T> {
    pub(crate) fn new(capacity: Option<usize>) -> Channel<T> {
        let capacity = capacity.unwrap_or(usize::MAX);
        let prepared = if capacity <= PREPARED_MAX { capacity } else { 0 };
        Channel {
            lock: Lock::new(),
            hint: AtomicUsize::new(if capacity > 0 { CAN_GIVE } else { 0 }),
            len: AtomicUsize::new(0),
            capacity,
            state: UnsafeCell::new(State {
                capacity,
                is_closed: false,
                returned: VecDeque::new(),
                buffer: VecDeque::with_capacity(prepared),
                reserved: 0,
                senders: Line::new(),
                receivers: Line::new(),
                transfers: Slab::new(),
            }),
            senders: CachePadded::new(AtomicUsize::new(1)),
            receivers: AtomicUsize::new(1),
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_, T> {
        self.lock.lock();
        // SAFETY: the lock is held, and `Locked` gives it back.
        unsafe { self.locked() }
    }

    /// The state, for who has the lock already. Dropping it gives the lock back; a select, which holds several and
    /// gives them back by itself, keeps it from that with [`Locked::keep`].
    ///
    /// # Safety
    /// The caller holds the lock.
    #[inline]
    pub(crate) unsafe fn locked(&self) -> Locked<'_, T> {
        // SAFETY: as the caller promises, nobody else uses the state.
        let state = self.state.with_mut(|state| unsafe { &mut *state });
        Locked { channel: self, state }
    }

    /// Writes the hint.
    #[inline]
    fn publish(&self, state: &State<T>) {
        let len = state.buffer.len() + state.returned.len();
        let can_take = len > 0 || !state.senders.has_nobody() || state.is_closed;
        let can_give = state.has_room() || !state.receivers.has_nobody() || state.is_closed;
        let change = (self.hint.load(Ordering::Relaxed) & !(CAN_TAKE | CAN_GIVE)).wrapping_add(CHANGE);
        let hint = change | if can_take { CAN_TAKE } else { 0 } | if can_give { CAN_GIVE } else { 0 };
        self.len.store(len, Ordering::Relaxed);
        // Release: who sees this sees what this thread did to other channels before (partner: `hint`).
        self.hint.store(hint, Ordering::Release);
    }

    /// What can be done, as far as one sees without the lock. Two equal ones: nothing has changed in between.
    #[inline]
    pub(crate) fn hint(&self) -> usize {
        self.hint.load(Ordering::Acquire)
    }

    /// How many values lie in it.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// None: there is no limit.
    pub(crate) fn capacity(&self) -> Option<usize> {
        (self.capacity != usize::MAX).then_some(self.capacity)
    }

    /// Ends the channel for senders. Returns whether this call did.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.lock();
        let first = !mem::replace(&mut state.is_closed, true);
        drop(state);
        if first {
            self.tell_all();
        }
        first
    }

    /// Ends the channel, as nobody is left who could receive: what lies in it is dropped.
    pub(crate) fn close_and_discard(&self) {
        self.close();
        let mut state = self.lock();
        let rest = (mem::take(&mut state.returned), mem::take(&mut state.buffer));
        drop(state);
        // The values' destructors are the user's code, so the lock has been given back. If one panics the others are
        // left: a second panic would abort.
        let mut rest = ManuallyDrop::new(rest.0.into_iter().chain(rest.1));
        rest.by_ref().for_each(drop);
        // SAFETY: it is not used any more; what is left is memory without values.
        unsafe { ManuallyDrop::drop(&mut rest) };
    }

    /// Tells all that wait that the channel is closed: one at a time, so that the lock is never held for long.
    fn tell_all(&self) {
        loop {
            let mut state = self.lock();
            let Some(waiter) = state.senders.claim_first().or_else(|| state.receivers.claim_first()) else { return };
            // SAFETY: it has just been claimed.
            let wake = unsafe { tell(waiter, Outcome::Closed, Token::Closed) };
            drop(state);
            wake.unpark();
        }
    }
}

impl<T> Locked<'_, T> {
    /// Writes the hints and does not give the lock back.
    pub(crate) fn keep(self) {
        self.channel.publish(self.state);
        mem::forget(self);
    }
}

impl<T> State<T> {
    #[inline]
    fn has_room(&self) -> bool {
        self.buffer.len() + self.reserved < self.capacity
    }

    /// Sends a value if it can be done now.
    #[inline]
    pub(crate) fn give(&mut self, value: T) -> Given<T> {
        if self.is_closed {
            return Given::Closed(value);
        }
        if let Some(receiver) = self.receivers.claim_first() {
            return Given::Done(Some(self.hand_over(receiver, value)));
        }
        if self.has_room() {
            self.buffer.push_back(value);
            return Given::Done(None);
        }
        Given::Full(value)
    }

    /// Receives a value if it can be done now.
    #[inline]
    pub(crate) fn take(&mut self) -> Taken<T> {
        if !self.returned.is_empty()
            && let Some(value) = self.returned.pop_front()
        {
            return Taken::Value(value, None);
        }
        if let Some(value) = self.buffer.pop_front() {
            let wake = self.refill();
            if self.buffer.is_empty() && self.capacity == usize::MAX && self.buffer.capacity() > KEPT_MAX {
                self.buffer = VecDeque::new();
            }
            return Taken::Value(value, wake);
        }
        match self.senders.claim_first() {
            None if self.is_closed => Taken::Closed,
            None => Taken::Empty,
            // SAFETY: it has been claimed, so it waits.
            Some(sender) if unsafe { &*sender }.slot().is_null() => Taken::Claimed(sender),
            Some(sender) => {
                // SAFETY: as above, and a sender's slot holds its value.
                let value = unsafe { read_slot(sender) };
                // SAFETY: it has just been claimed.
                Taken::Value(value, Some(unsafe { tell(sender, Outcome::Done, Token::Watched) }))
            }
        }
    }

    /// There is room: the sender that has waited longest comes in.
    #[inline]
    fn refill(&mut self) -> Option<Unparker> {
        if !self.has_room() {
            return None;
        }
        let sender = self.senders.claim_first()?;
        // SAFETY: it has been claimed, so it waits.
        if unsafe { &*sender }.slot().is_null() {
            self.reserved += 1;
        } else {
            // SAFETY: as above, and a sender's slot holds its value.
            self.buffer.push_back(unsafe { read_slot(sender) });
        }
        // SAFETY: it has just been claimed.
        Some(unsafe { tell(sender, Outcome::Done, Token::Reserved) })
    }

    /// Gives a value to a receiver that has been claimed.
    #[inline]
    fn hand_over(&mut self, receiver: *const Waiter, value: T) -> Unparker {
        // SAFETY: it has been claimed, so it waits.
        let slot = unsafe { &*receiver }.slot().cast::<T>();
        let mut token = Token::Watched;
        if slot.is_null() {
            token = Token::Staged(self.transfers.insert(Transfer::Staged(value)));
        } else {
            // SAFETY: a receiver's slot is room for a value.
            unsafe { slot.write(value) };
        }
        // SAFETY: it has been claimed, and this is the only place that tells it.
        unsafe { tell(receiver, Outcome::Done, token) }
    }

    /// A select stands in the line of senders.
    ///
    /// # Safety
    /// The waiter stays where it is until it is out of the line again.
    pub(crate) unsafe fn queue_sender(&mut self, waiter: *const Waiter) {
        // SAFETY: as the caller promises.
        unsafe { self.senders.push(waiter) };
        // Receivers that only watch have something to receive now; plain sends have told them before (`give`).
        // SAFETY: as above.
        if !unsafe { &*waiter }.watches {
            self.receivers.tell_watchers();
        }
    }

    /// A select stands in the line of receivers.
    ///
    /// # Safety
    /// As above.
    pub(crate) unsafe fn queue_receiver(&mut self, waiter: *const Waiter) {
        // SAFETY: as the caller promises.
        unsafe { self.receivers.push(waiter) };
        // SAFETY: as above.
        if !unsafe { &*waiter }.watches {
            self.senders.tell_watchers();
        }
    }

    /// Puts a value back that was received by who does not want it after all: it goes to the next, or to the front.
    pub(crate) fn give_back(&mut self, value: T) -> Option<Unparker> {
        match self.receivers.claim_first() {
            Some(receiver) => Some(self.hand_over(receiver, value)),
            None => {
                self.returned.push_front(value);
                None
            }
        }
    }

    // ------------------------------------------------------------------------------------------------ selects

    /// Chooses to send, if it can be done now; the value comes later ([`complete_send`](Self::complete_send)).
    pub(crate) fn offer(&mut self) -> Offered {
        if self.is_closed {
            return Offered::Chosen(Token::Closed);
        }
        if self.has_room() {
            self.reserved += 1;
            return Offered::Chosen(Token::Reserved);
        }
        // Also if all room is reserved: a receiver need not wait for those.
        if let Some(receiver) = self.receivers.claim_first() {
            return Offered::Chosen(Token::Promised(self.promise_to(receiver)));
        }
        Offered::Full
    }

    /// Chooses to receive: as [`take`](Self::take), but the value is put aside until it is asked for.
    pub(crate) fn stage(&mut self, value: T) -> Token {
        Token::Staged(self.transfers.insert(Transfer::Staged(value)))
    }

    /// Has the select whose send has been claimed give its value to `receiver`, who waits until it is told.
    pub(crate) fn promise(&mut self, sender: *const Waiter, receiver: *const Waiter) -> Unparker {
        let token = Token::Promised(self.promise_to(receiver));
        // SAFETY: `take` has claimed it, and this is what it was claimed for.
        unsafe { tell(sender, Outcome::Retry, token) }
    }

    fn promise_to(&mut self, receiver: *const Waiter) -> usize {
        let number = self.transfers.insert(Transfer::Promised(receiver));
        // SAFETY: it waits until it is told, or says that it has gone (`abandon`).
        unsafe { &*receiver }.promise.set(number + 1);
        number
    }

    /// A receiver that was promised a value goes away without being told.
    pub(crate) fn abandon(&mut self, receiver: &Waiter) {
        let number = receiver.promise.get() - 1;
        self.transfers[number] = Transfer::Abandoned;
    }

    /// Sends the value that a select has chosen to send.
    pub(crate) fn complete_send(&mut self, token: Token, value: T) -> Given<T> {
        match token {
            Token::Reserved => {
                self.reserved -= 1;
                self.give(value)
            }
            Token::Promised(number) => Given::Done(match self.transfers.remove(number) {
                Transfer::Promised(receiver) => Some(self.hand_over(receiver, value)),
                // It is sent, and the next receiver's.
                Transfer::Abandoned if !self.is_closed => self.give_back(value),
                _ => return Given::Closed(value),
            }),
            _ => Given::Closed(value),
        }
    }

    /// Takes the value that a select has chosen to receive. None: the channel is closed.
    pub(crate) fn complete_receive(&mut self, token: Token) -> Option<T> {
        let Token::Staged(number) = token else { return None };
        match self.transfers.remove(number) {
            Transfer::Staged(value) => Some(value),
            _ => unreachable!("only a staged value is received by its number"),
        }
    }

    /// Undoes what a select has chosen and not completed.
    pub(crate) fn release(&mut self, token: Token) -> Option<Unparker> {
        match token {
            Token::Reserved => {
                self.reserved -= 1;
                self.refill()
            }
            Token::Staged(_) => {
                let value = self.complete_receive(token)?;
                self.give_back(value)
            }
            Token::Promised(number) => match self.transfers.remove(number) {
                Transfer::Promised(receiver) => {
                    // SAFETY: it was claimed for this select, and waits until it is told.
                    let ticket = unsafe { &*receiver }.ticket();
                    // SAFETY: this select is the only one that tells it.
                    Some(unsafe { Ticket::tell(ticket, Outcome::Retry) })
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// Tells a waiter that has been claimed: an operation on one channel the outcome, a case of a select what it has got.
///
/// # Safety
/// The caller has claimed it, and tells it once.
#[inline]
#[must_use = "it sleeps"]
unsafe fn tell(waiter: *const Waiter, plain: Outcome, selected: Token) -> Unparker {
    // SAFETY: it waits until it is told.
    let waiter = unsafe { &*waiter };
    let outcome = if waiter.slot().is_null() { Outcome::Selected(waiter.case, selected) } else { plain };
    // SAFETY: as the caller promises.
    unsafe { Ticket::tell(waiter.ticket(), outcome) }
}

/// Takes the value out of a sender's slot.
///
/// # Safety
/// The sender has been claimed, is no select, and its value is taken once.
#[inline]
unsafe fn read_slot<T>(sender: *const Waiter) -> T {
    // SAFETY: it waits until it is told.
    let slot = unsafe { &*sender }.slot().cast::<T>();
    // SAFETY: as the caller promises.
    unsafe { slot.read() }
}
