//! Who waits: a [`Ticket`] for each operation that waits, a [`Waiter`] for each channel that it waits at, and the line
//! in which they stand.

use crate::loom::{AtomicPtr, AtomicU8, Ordering, Unparker, UnsafeCell, has_come, park_on, park_until};
use crate::parcel::Parcel;
use crate::wake::discard;
use pirn_runtime::internal::Reason;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Instant;

const WAITING: u8 = 0;
const CLAIMED: u8 = 1;
const TOLD: u8 = 2;

/// One waiting operation. It lies where the operation waits: on a stack, or in a future.
///
/// ```text
///   WAITING --claim--> CLAIMED --tell--> TOLD
///      `-----------------tell--------------^
/// ```
/// A select is at several channels, so whoever comes first claims it, and others pass it by. An operation on one channel
/// is claimed by being taken out of the line.
pub(crate) struct Ticket {
    state: AtomicU8,
    is_select: bool,
    /// Both are the waiting operation's until it stands in a line, then the one's who claims it, or who holds the lock
    /// of the one channel that it waits at; and after TOLD the operation's again. There is an unparker until TOLD.
    unparker: UnsafeCell<MaybeUninit<Unparker>>,
    outcome: Cell<Outcome>,
    /// What a select has got hold of. Apart from the outcome, which would else be longer for everybody.
    token: Cell<Token>,
}

/// What became of a waiting operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its value has been taken, or one has been put into its slot.
    Done,
    /// The channel is closed.
    Closed,
    /// Who had claimed it has gone back on it: begin again.
    Retry,
    /// A select may go on with this case, and has its token.
    Selected(usize),
}

/// What a select has got hold of, until the operation is completed.
#[derive(Clone, Copy)]
pub(crate) enum Token {
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

impl Ticket {
    /// For the caller, who waits for one operation, or for the first of several.
    #[inline]
    pub(crate) fn new(is_select: bool) -> Ticket {
        Ticket::of(Unparker::current(), is_select)
    }

    /// For who is woken so.
    #[inline]
    pub(crate) fn of(unparker: Unparker, is_select: bool) -> Ticket {
        Ticket {
            state: AtomicU8::new(WAITING),
            is_select,
            unparker: UnsafeCell::new(MaybeUninit::new(unparker)),
            outcome: Cell::new(Outcome::Retry),
            token: Cell::new(Token::Watched),
        }
    }

    /// Has another be woken in its place. Returns what there was.
    ///
    /// # Safety
    /// The caller is the operation itself, holds the lock of the only channel that it waits at, and has not been told.
    pub(crate) unsafe fn replace_unparker(&self, unparker: Unparker) -> Unparker {
        // SAFETY: who would take it needs the lock that the caller holds.
        let old = self.unparker.with_mut(|place| unsafe { ptr::replace(place, MaybeUninit::new(unparker)) });
        // SAFETY: it has not been told.
        unsafe { old.assume_init() }
    }

    /// Claims the operation. False: another was faster.
    #[inline]
    pub(crate) fn claim(&self) -> bool {
        // Acquire and Release: a claim that comes after sees what was done before this one was given up; there is none
        // today, but the pair costs nothing here.
        !self.is_select || self.state.compare_exchange(WAITING, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Tells the operation what became of it. From here on it may be gone; who is returned has to be woken, after the lock
    /// was given back.
    ///
    /// # Safety
    /// The caller has claimed it, and tells it once.
    #[inline(always)]
    #[must_use = "it sleeps"]
    pub(crate) unsafe fn tell(ticket: *const Ticket, outcome: Outcome) -> Unparker {
        // SAFETY: it waits until it is told, which is below.
        let ticket = unsafe { &*ticket };
        ticket.outcome.set(outcome);
        // SAFETY: the caller has claimed it, and nobody has told it before.
        let unparker = ticket.unparker.with_mut(|place| unsafe { place.cast::<Unparker>().read() });
        // Release: the outcome and what lies in the slot (partner: `outcome`).
        ticket.state.store(TOLD, Ordering::Release);
        unparker
    }

    /// What became of it, once it has been told.
    #[inline]
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.is_told().then(|| self.outcome.get())
    }

    #[inline]
    fn is_told(&self) -> bool {
        self.state.load(Ordering::Acquire) == TOLD
    }

    /// Gives a select that is about to be told the token of what it may go on with.
    ///
    /// # Safety
    /// The caller has claimed it, and has not told it yet.
    #[inline]
    pub(crate) unsafe fn give(&self, token: Token) {
        self.token.set(token);
    }

    /// What a select that was told has got hold of.
    #[inline]
    pub(crate) fn token(&self) -> Token {
        debug_assert!(self.is_told());
        self.token.get()
    }

    /// Waits until it is told; `what` is the address of the channel, for observers, or 0. False: the deadline has passed.
    #[inline(always)]
    pub(crate) fn wait(&self, reason: &'static Reason, what: usize, deadline: Option<Instant>) -> bool {
        while !self.is_told() {
            match deadline {
                None => park_on(reason, what),
                Some(deadline) if has_come(deadline) => return false,
                Some(deadline) => park_until(reason, what, deadline),
            }
        }
        true
    }
}

impl Drop for Ticket {
    #[inline]
    fn drop(&mut self) {
        if !self.is_told() {
            // SAFETY: nobody has taken it, and nobody will: the operation is over.
            discard(self.unparker.with_mut(|place| unsafe { place.cast::<Unparker>().read() }));
        }
    }
}

/// An operation's place in the line of one channel.
pub(crate) struct Waiter {
    /// These two are set by whoever waits, once the waiter lies where it stays.
    ticket: Cell<*const Ticket>,
    /// Where its value lies or is to be put. Null for a select, whose values go as parcels.
    slot: Cell<*mut ()>,
    /// Which case of a select.
    pub(crate) case: usize,
    /// The promise that has been made to it, plus one.
    pub(crate) promise: Cell<usize>,
    /// These are guarded by the channel's lock.
    next: Cell<*mut Waiter>,
    prev: Cell<*mut Waiter>,
    queued: Cell<bool>,
    /// It wants to know when the operation is ready, and does nothing itself.
    pub(crate) watches: bool,
}

impl Waiter {
    /// For a case of an operation.
    #[inline]
    pub(crate) fn new(case: usize, watches: bool) -> Waiter {
        Waiter {
            ticket: Cell::new(ptr::null()),
            slot: Cell::new(ptr::null_mut()),
            case,
            promise: Cell::new(0),
            next: Cell::new(ptr::null_mut()),
            prev: Cell::new(ptr::null_mut()),
            queued: Cell::new(false),
            watches,
        }
    }

    /// Says whose it is, and where its value lies or is to be put: null for a select.
    ///
    /// # Safety
    /// All three stay where they are until the waiter has been told or is out of the line.
    #[inline]
    pub(crate) unsafe fn belongs_to(&self, ticket: *const Ticket, slot: *mut ()) -> *const Waiter {
        self.ticket.set(ticket);
        self.slot.set(slot);
        self
    }

    /// Whether it is a select's.
    #[inline]
    pub(crate) fn is_of_select(&self) -> bool {
        self.slot.get().is_null()
    }

    /// Where its value lies or is to be put.
    #[inline]
    pub(crate) fn slot(&self) -> *mut () {
        self.slot.get()
    }

    /// The operation that it belongs to.
    #[inline]
    pub(crate) fn ticket(&self) -> *const Ticket {
        self.ticket.get()
    }
}

/// A line of waiters, first come first served. Only under the channel's lock, unless something else is said; so is
/// everything that is said here.
pub(crate) struct Line {
    first: AtomicPtr<Waiter>,
    /// Only if there is a first.
    last: Cell<*mut Waiter>,
}

impl Line {
    pub(crate) fn new() -> Line {
        Line { first: AtomicPtr::new(ptr::null_mut()), last: Cell::new(ptr::null_mut()) }
    }

    /// Whether nobody is in it. Without the lock: as far as one sees.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first().is_null()
    }

    #[inline]
    fn first(&self) -> *mut Waiter {
        self.first.load(Ordering::Relaxed)
    }

    /// Appends a waiter.
    ///
    /// # Safety
    /// It stays where it is until it is out of the line again.
    #[inline]
    pub(crate) unsafe fn push(&self, waiter: *const Waiter) {
        let waiter = waiter.cast_mut();
        // SAFETY: as the caller promises.
        let new = unsafe { &*waiter };
        debug_assert!(!new.queued.get());
        new.queued.set(true);
        new.next.set(ptr::null_mut());
        if self.is_empty() {
            new.prev.set(ptr::null_mut());
            self.first.store(waiter, Ordering::Relaxed);
        } else {
            new.prev.set(self.last.get());
            // SAFETY: who is in the line is there.
            unsafe { &*self.last.get() }.next.set(waiter);
        }
        self.last.set(waiter);
    }

    /// Takes the first waiter that can still be had, and claims it.
    #[inline]
    pub(crate) fn claim_first(&self) -> Option<*const Waiter> {
        loop {
            // SAFETY: who is in the line is there.
            let first = unsafe { self.first().as_ref() }?;
            let next = first.next.get();
            first.queued.set(false);
            self.first.store(next, Ordering::Relaxed);
            // SAFETY: as above.
            if let Some(next) = unsafe { next.as_ref() } {
                next.prev.set(ptr::null_mut());
            }
            // SAFETY: a waiter's ticket lives as long as it.
            if unsafe { &*first.ticket() }.claim() {
                return Some(first);
            }
        }
    }

    /// Takes a waiter out. False: it is not in the line any more.
    pub(crate) fn remove(&self, waiter: &Waiter) -> bool {
        if !waiter.queued.replace(false) {
            return false;
        }
        let (next, prev) = (waiter.next.get(), waiter.prev.get());
        // SAFETY: who is in the line is there.
        match unsafe { prev.as_ref() } {
            None => self.first.store(next, Ordering::Relaxed),
            Some(prev) => prev.next.set(next),
        }
        // SAFETY: as above.
        match unsafe { next.as_ref() } {
            None => self.last.set(prev),
            Some(next) => next.prev.set(prev),
        }
        true
    }
}

#[cfg(all(test, loom))]
#[path = "waiter_loom.rs"]
mod tests;
