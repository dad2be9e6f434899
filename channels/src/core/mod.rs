//! # What lives here
//! One channel: its lock, what lies in it, and what each operation does to it. [`Locked`] is the channel under its lock;
//! its verbs return who has to be woken after the lock was given back. What selects do more is in `selects.rs`, what
//! the verbs answer in `answers.rs`.
//!
//! # The protocol
//! Who can go on at once does, under the lock. Who can not puts a waiter, which lies on its stack or in its future, into
//! the channel's line under the same lock, gives the lock back, and waits until it is told (`waiter.rs`). Who comes later
//! and can use one who waits takes it out of the line, claims it, moves the value straight out of its slot or into it,
//! tells it, gives the lock back, and unparks it. So a value is moved once, nothing is allocated, and nobody who is woken
//! has to compete for what it was woken for. Go's channels work like this (`hchan`, `sudog`).
//!
//! A select stands in several lines with one ticket, and whoever claims the ticket first has it (`cases.rs`). What it has
//! chosen is completed later, by the user's call. Until then it has a token: room that is counted as taken, a value in
//! the buffer that is counted as gone, a value in a parcel, or a receiver that waits for it and nobody else (a promise).
//!
//! # Why it holds
//! 1. *Nobody who could go on waits.* Senders wait only when there is no room and no receiver, receivers only when there
//!    is no value and no sender; both find that out and stand in line in one turn of the lock, a select with all its
//!    locks held. So senders and receivers never wait at the same time, but for a select alone in both lines, and every
//!    verb has one line to look at: who makes room or takes a value looks at the senders (`take`, `refill`), who brings a
//!    value at the receivers (`give`, `give_back`), in the same turn of the lock. Whatever makes it possible to go on
//!    comes before the waiter stood in line, which has seen it, or after, and finds the waiter. Nobody stands in line any
//!    more once the channel is closed, and who closes it comes back until the lines are empty (`tell_all`).
//! 2. *No value is lost or there twice.* It belongs to the caller, to a slot whose owner is in the line, to the buffer,
//!    or to a token; it moves from one to the next under the lock. A slot belongs to the waiter before it stands in line
//!    and once it is told or gone, and in between to who holds the lock.
//! 3. *A waiter is there as long as others look at it.* Its owner goes on only when it has been told, or has taken it out
//!    of the line under the lock, or has struck itself off the promise that was made to it; who claims it takes it out of
//!    the line before and does not look at it after it is told.
//!    A waiter whose select was claimed in another line may still stand in this one: its owner takes all its waiters out
//!    under their locks before they go.
//! 4. *Two selects never wait for each other.* While a select makes up its mind it holds the locks, or it is in no line
//!    at all; who is in a line does nothing but wait. The locks are taken in one order.
//! 5. *Who is promised a value gets it, or is told, or goes.* Only a select promises, between its choice and its completion;
//!    if it is dropped in between it says so (`release`). The receiver is out of all lines until then. It goes first if its
//!    time is over, if its future is dropped, or if its G is unwound: it strikes itself off the promise under the lock
//!    (`abandon`), when it has not been told, and nobody looks at it after that. The value is the next receiver's then, or
//!    comes into the buffer, also of an unbuffered channel. Who waits with a timeout gives the select some time more before
//!    it goes (`GRACE`), so that what a select sends without delay has been received by the one who was there for it. Who
//!    has no timeout waits for as long as the select takes.
//! 6. *Who looks without the lock is not fooled.* The counts and the heads of the lines are atomic, and the lock counts
//!    its turns: equal before and after means that what was seen was one moment (`lock.rs`). Who has heard of a change
//!    in whatever way sees it, because reading the lock's count synchronises with the last turn. Who is told that its
//!    value was taken finds it in the buffer, or received.
//! 7. *No code of the user's runs under a lock, or in the middle of something.* That is: to clone, wake or drop a waker, to
//!    drop a value, and whatever an unpark calls (it may start a thread and ask for its name, and it tells `tracing`). It
//!    comes after the lock was given back, when all that the operation has changed is as it should be; so it may use the
//!    same channel. A panic in a waker ends there (`wake.rs`). Those who watch (`Select::ready`) change nothing, so they
//!    are told a little later: whoever has made it possible to go on looks for them in further turns of the lock, until
//!    nobody watches or it is not possible any more (`tell_watchers`).
//!
//! `channels_loom.rs` models all of this on small channels, `lock_loom.rs` and `waiter_loom.rs` the two parts.

mod answers;
mod selects;

pub(crate) use answers::{Choice, Given, Left, Taken};
pub(crate) use selects::Side;

use crate::lock::Lock;
use crate::loom::{AtomicBool, AtomicIsize, AtomicUsize, Ordering, Unparker, UnsafeCell};
use crate::parcel::Parcel;
use crate::waiter::{Line, Outcome, Ticket, Token, Waiter};
use crate::wake::wake;
use slab::Slab;
use std::cell::Cell;
use std::collections::VecDeque;
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::panicking;

/// A queue of values that has been longer than this gives its memory back when it is empty.
const KEPT_MAX: usize = 1024;
/// Bounded channels up to this size have their room from the beginning.
const PREPARED_MAX: usize = 1 << 16;
const PREPARED_BYTES_MAX: usize = 1 << 22;

/// A channel that is not one of the clock's.
#[repr(C, align(64))]
pub(crate) struct Channel<T> {
    head: Head,
    buffer: UnsafeCell<VecDeque<T>>,
    /// The receivers to whom selects have yet to give the value that they have chosen to send. Null: it has gone.
    promises: UnsafeCell<Slab<*const Waiter>>,
    /// How many handles there are. They can not overflow: each handle counts in the `Arc` too, which aborts the process at
    /// `isize::MAX`, also if handles are forgotten.
    pub(crate) senders_alive: AtomicUsize,
    pub(crate) receivers_alive: AtomicUsize,
}

impl<T> Deref for Channel<T> {
    type Target = Head;

    #[inline]
    fn deref(&self) -> &Head {
        &self.head
    }
}

/// What there is of a channel whatever its values are: all that a select looks at. The first of its cache lines is all
/// that a hand-over from one who waits to another needs.
#[repr(C)]
pub(crate) struct Head {
    pub(crate) lock: Lock,
    /// Who waits to send, and to receive. Not both, but for those who have been told elsewhere, and for a select that
    /// would do either.
    pub(crate) senders: Line,
    pub(crate) receivers: Line,
    /// How many values in the buffer may be had: selects have chosen the others. It does not matter which of them a
    /// select gets: whoever takes one first has received first.
    values: Count,
    /// How many more values there is room for: less those to come, for which selects have reserved room. Below zero
    /// when more has been given back than there is room for.
    room: Count,
    is_closed: Flag,
    /// Somebody is in a line of watchers.
    is_watched: Cell<bool>,
    /// None: there is no limit.
    capacity: Option<usize>,
    /// Selects that want to know when one could send, or receive.
    room_watchers: Line,
    value_watchers: Line,
}

// SAFETY: what is not atomic is used under the lock, by one thread at a time. It moves values between threads, which is
// what `Send` allows; it shares none.
unsafe impl<T: Send> Send for Channel<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Channel<T> {}

/// A number that is written under the lock and may be read without it. It counts values and can not overflow: it would take
/// 2^63 of them.
struct Count(AtomicIsize);

impl Count {
    #[inline]
    fn get(&self) -> isize {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn add(&self, n: isize) {
        // Relaxed, and no read-modify-write: nobody else writes it.
        self.0.store(self.get() + n, Ordering::Relaxed);
    }
}

/// The same for a truth.
struct Flag(AtomicBool);

impl Flag {
    #[inline]
    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The channel, locked.
pub(crate) struct Locked<'a, T>(&'a Channel<T>);

impl<T> Deref for Locked<'_, T> {
    type Target = Channel<T>;

    #[inline]
    fn deref(&self) -> &Channel<T> {
        self.0
    }
}

impl<T> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.unlock();
    }
}

impl Head {
    /// Gives the lock back, and then tells those who watch. Only for who has taken it, and holds no other.
    #[inline]
    pub(crate) fn unlock(&self) {
        if self.unlock_quietly() {
            self.tell_watchers();
        }
    }

    /// Gives the lock back. True: the caller has to tell those who watch, once it holds no lock.
    #[inline]
    #[must_use]
    pub(crate) fn unlock_quietly(&self) -> bool {
        let is_watched = self.is_watched.get();
        self.lock.unlock();
        is_watched
    }

    /// Whether a receive could do something; without the lock, as far as one sees.
    #[inline]
    pub(crate) fn can_take(&self) -> bool {
        self.values.get() > 0 || !self.senders.is_empty() || self.is_closed.get()
    }

    /// Whether a send could do something; without the lock, as far as one sees.
    #[inline]
    pub(crate) fn can_give(&self) -> bool {
        !self.receivers.is_empty() || self.room.get() > 0 || self.is_closed.get()
    }

    /// Whether it is worth while to take the lock for what `can` says.
    #[inline]
    pub(crate) fn may(&self, can: impl FnOnce(&Head) -> bool) -> bool {
        let moment = self.lock.moment();
        can(self) || !self.lock.is_still(moment)
    }

    /// How many values lie in it.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.values.get()).unwrap_or(0)
    }

    /// None: there is no limit.
    pub(crate) fn capacity(&self) -> Option<usize> {
        self.capacity
    }
}

impl<T> Channel<T> {
    pub(crate) fn new(capacity: Option<usize>) -> Channel<T> {
        let is_small = |n: &usize| *n <= PREPARED_MAX && n.saturating_mul(size_of::<T>()) <= PREPARED_BYTES_MAX;
        let prepared = capacity.filter(is_small).unwrap_or(0);
        // A channel without a limit has one here too, which nothing reaches: to send so often takes centuries.
        let room = capacity.and_then(|capacity| isize::try_from(capacity).ok()).unwrap_or(isize::MAX);
        Channel {
            head: Head {
                lock: Lock::new(),
                senders: Line::new(),
                receivers: Line::new(),
                values: Count(AtomicIsize::new(0)),
                room: Count(AtomicIsize::new(room)),
                is_closed: Flag(AtomicBool::new(false)),
                is_watched: Cell::new(false),
                capacity,
                room_watchers: Line::new(),
                value_watchers: Line::new(),
            },
            buffer: UnsafeCell::new(VecDeque::with_capacity(prepared)),
            promises: UnsafeCell::new(Slab::new()),
            senders_alive: AtomicUsize::new(1),
            receivers_alive: AtomicUsize::new(1),
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_, T> {
        self.lock.lock();
        Locked(self)
    }

    /// Ends the channel for senders. Returns whether this call did.
    pub(crate) fn close(&self) -> bool {
        let channel = self.lock();
        let first = !channel.is_closed.get();
        channel.is_closed.set();
        drop(channel);
        // Not only the first: after this call nobody waits, whoever else is about to tell them.
        self.tell_all();
        first
    }

    /// Ends the channel, as nobody is left who could receive: what lies in it is dropped. If destructors panic, the
    /// first payload goes on to the caller, and the others are forgotten.
    pub(crate) fn close_and_discard(&self) {
        self.close();
        let channel = self.lock();
        let rest = channel.with_buffer(mem::take);
        channel.values.add(-channel.values.get());
        drop(channel);
        // The values' destructors are the user's code, so the lock has been given back. If one panics the other values
        // are dropped none the less. The first payload goes on to the caller, unless that unwinds already.
        let drop_each = |value| catch_unwind(AssertUnwindSafe(|| drop(value))).err();
        let panics = rest.into_iter().filter_map(drop_each);
        // The payloads after the first are forgotten: dropping them might panic too.
        match panics.reduce(|first, other| (first, mem::forget(other)).0) {
            Some(first) if !panicking() => resume_unwind(first),
            first => mem::forget(first),
        }
    }

    /// Tells all that wait that the channel is closed: one at a time, so that the lock is never held for long.
    fn tell_all(&self) {
        loop {
            let channel = self.lock();
            let Some(waiter) = channel.senders.claim_first().or_else(|| channel.receivers.claim_first()) else {
                return;
            };
            // SAFETY: it has just been claimed.
            let told = unsafe { tell(waiter, Outcome::Closed, Token::Closed) };
            drop(channel);
            wake(Some(told));
        }
    }
}

impl<T> Locked<'_, T> {
    #[inline]
    fn with_buffer<R>(&self, f: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        // SAFETY: the lock is held, and `f` is given nothing to get at the buffer otherwise.
        self.buffer.with_mut(|buffer| f(unsafe { &mut *buffer }))
    }

    #[inline]
    fn with_promises<R>(&self, f: impl FnOnce(&mut Slab<*const Waiter>) -> R) -> R {
        // SAFETY: as above.
        self.promises.with_mut(|promises| f(unsafe { &mut *promises }))
    }

    // ------------------------------------------------------------------------------------------- the buffer's books

    /// Whether a send only has to [`put`](Self::put) its value into the buffer.
    #[inline]
    pub(crate) fn can_put(&self) -> bool {
        self.room.get() > 0 && self.receivers.is_empty() && !self.is_closed.get()
    }

    /// Whether a receive only has to [`pull`](Self::pull) a value out of the buffer.
    #[inline]
    pub(crate) fn can_pull(&self) -> bool {
        self.values.get() > 0 && self.senders.is_empty()
    }

    /// A value comes into the buffer.
    #[inline]
    pub(crate) fn put(&self, value: T) {
        // First, for it may panic, and then nothing has happened.
        self.with_buffer(|buffer| buffer.push_back(value));
        self.values.add(1);
        self.room.add(-1);
    }

    /// A value leaves the buffer.
    #[inline]
    pub(crate) fn pull(&self) -> T {
        self.values.add(-1);
        self.pull_chosen()
    }

    /// The same for one that a select has chosen before.
    #[inline]
    fn pull_chosen(&self) -> T {
        self.room.add(1);
        self.with_buffer(|buffer| {
            let value = buffer.pop_front();
            if self.capacity.is_none() && buffer.is_empty() && buffer.capacity() > KEPT_MAX {
                *buffer = VecDeque::new();
            }
            value.expect("values are counted")
        })
    }

    // ------------------------------------------------------------------------------------------- send and receive

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
    fn refill(&self) -> Option<Unparker> {
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
    fn hand_over(&self, receiver: *const Waiter, value: T) -> Unparker {
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
unsafe fn tell(waiter: *const Waiter, plain: Outcome, selected: Token) -> Unparker {
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
