//! Who waits: a [`Ticket`] for each operation that waits, a [`Waiter`] for each channel that it waits at, and the line
//! in which they stand.

use crate::loom::{AtomicU8, Ordering, Unparker, UnsafeCell, WaitReason, park_for, park_uninterruptibly, park_until};
use std::cell::Cell;
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
#[derive(Debug)]
pub(crate) struct Ticket {
    state: AtomicU8,
    is_select: bool,
    /// Both are the waiting operation's until it stands in a line, then the one's who claims it, or who holds the lock
    /// of the one channel that it waits at; and after TOLD the operation's again.
    unparker: UnsafeCell<Option<Unparker>>,
    outcome: Cell<Outcome>,
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
    /// A select may go on with this case.
    Selected(usize, Token),
}

/// What a select has got hold of, until the operation is completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Room for a value.
    Reserved,
    /// A receiver that waits for the value: a transfer of that number.
    Promised(usize),
    /// A value has been put aside: a transfer of that number.
    Staged(usize),
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
    pub(crate) fn of(unparker: Unparker, is_select: bool) -> Ticket {
        Ticket {
            state: AtomicU8::new(WAITING),
            is_select,
            unparker: UnsafeCell::new(Some(unparker)),
            outcome: Cell::new(Outcome::Retry),
        }
    }

    /// Has another be woken in its place. Returns what there was.
    ///
    /// # Safety
    /// The caller is the operation itself and holds the lock of the only channel that it waits at.
    pub(crate) unsafe fn replace_unparker(&self, unparker: Unparker) -> Option<Unparker> {
        // SAFETY: who would take it needs the lock that the caller holds.
        self.unparker.with_mut(|place| unsafe { ptr::replace(place, Some(unparker)) })
    }

    /// Claims the operation. False: another was faster.
    #[inline]
    pub(crate) fn claim(&self) -> bool {
        // Acquire and Release: a claim that comes after sees what was done before this one was given up; there is none
        // today, but the pair costs nothing here.
        !self.is_select || self.state.compare_exchange(WAITING, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Tells the operation what became of it. From here on it may be gone; who is returned has to be unparked, and
    /// better after the lock was given back.
    ///
    /// # Safety
    /// The caller has claimed it, and tells it once.
    #[inline]
    #[must_use = "it sleeps"]
    pub(crate) unsafe fn tell(ticket: *const Ticket, outcome: Outcome) -> Unparker {
        // SAFETY: it waits until it is told, which is below.
        let ticket = unsafe { &*ticket };
        ticket.outcome.set(outcome);
        // SAFETY: the caller has claimed it.
        let unparker = ticket.unparker.with_mut(|place| unsafe { (*place).take() });
        // Release: the outcome and what lies in the slot (partner: `outcome`).
        ticket.state.store(TOLD, Ordering::Release);
        unparker.expect("an operation is told once")
    }

    /// What became of it, once it has been told.
    #[inline]
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        (self.state.load(Ordering::Acquire) == TOLD).then(|| self.outcome.get())
    }

    /// Waits until it is told. False: the deadline has passed.
    pub(crate) fn wait(&self, reason: WaitReason, deadline: Option<Instant>) -> bool {
        while self.outcome().is_none() {
            match deadline {
                None => park_for(reason),
                Some(deadline) if Instant::now() >= deadline => return false,
                Some(deadline) => park_until(reason, deadline),
            }
        }
        true
    }

    /// Waits until it is told, come what may. For who has been claimed: it does not take long.
    pub(crate) fn wait_claimed(&self, reason: WaitReason) -> Outcome {
        loop {
            match self.outcome() {
                Some(outcome) => return outcome,
                None => park_uninterruptibly(reason),
            }
        }
    }
}

/// An operation's place in the line of one channel.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// These two are set by whoever waits, once the waiter lies where it stays.
    ticket: Cell<*const Ticket>,
    /// Where its value lies or is to be put. Null for a select, whose values are put aside.
    slot: Cell<*mut ()>,
    /// Which case of a select.
    pub(crate) case: usize,
    /// It wants to know when the channel is ready, and does nothing itself.
    pub(crate) watches: bool,
    /// The transfer that has been promised to it, plus one.
    pub(crate) promise: Cell<usize>,
    /// These are guarded by the channel's lock.
    queued: Cell<bool>,
    next: Cell<*const Waiter>,
    prev: Cell<*const Waiter>,
}

impl Waiter {
    /// For a case of an operation.
    #[inline]
    pub(crate) fn new(case: usize, watches: bool) -> Waiter {
        Waiter {
            ticket: Cell::new(ptr::null()),
            slot: Cell::new(ptr::null_mut()),
            case,
            watches,
            promise: Cell::new(0),
            queued: Cell::new(false),
            next: Cell::new(ptr::null()),
            prev: Cell::new(ptr::null()),
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

    /// Tells a waiter that only watches and has been taken out of the line, if nobody has told it before.
    pub(crate) fn tell_watcher(&self) {
        let ticket = self.ticket.get();
        // SAFETY: a waiter's ticket lives as long as it.
        if unsafe { &*ticket }.claim() {
            // SAFETY: it has just been claimed. It may be gone afterwards.
            unsafe { Ticket::tell(ticket, Outcome::Selected(self.case, Token::Watched)) }.unpark();
        }
    }

    /// The operation that it belongs to.
    #[inline]
    pub(crate) fn ticket(&self) -> *const Ticket {
        self.ticket.get()
    }

    /// Where its value lies or is to be put.
    #[inline]
    pub(crate) fn slot(&self) -> *mut () {
        self.slot.get()
    }
}

/// A line of waiters, first come first served. Only under the channel's lock; so is everything that is said here.
#[derive(Debug)]
pub(crate) struct Line {
    first: *const Waiter,
    last: *const Waiter,
    /// How many would take part in an operation, and how many only watch.
    takers: usize,
    watchers: usize,
}

impl Line {
    pub(crate) fn new() -> Line {
        Line { first: ptr::null(), last: ptr::null(), takers: 0, watchers: 0 }
    }

    /// Whether nobody is in it who would take part in an operation.
    #[inline]
    pub(crate) fn has_nobody(&self) -> bool {
        self.takers == 0
    }

    fn count_of(&mut self, waiter: &Waiter) -> &mut usize {
        if waiter.watches { &mut self.watchers } else { &mut self.takers }
    }

    /// Tells those who watch: somebody has come to the other line. They are blocking operations of Gs and threads, so
    /// nothing of the user's runs when they are unparked.
    #[inline]
    pub(crate) fn tell_watchers(&mut self) {
        if self.watchers > 0 {
            self.tell_all_watchers();
        }
    }

    #[cold]
    fn tell_all_watchers(&mut self) {
        let mut at = self.first;
        // SAFETY: who is in the line is there.
        while let Some(waiter) = unsafe { at.as_ref() } {
            at = waiter.next.get();
            if waiter.watches {
                self.remove(waiter);
                waiter.tell_watcher();
            }
        }
    }

    /// Appends a waiter.
    ///
    /// # Safety
    /// It stays where it is until it is out of the line again.
    pub(crate) unsafe fn push(&mut self, waiter: *const Waiter) {
        // SAFETY: as the caller promises.
        let new = unsafe { &*waiter };
        debug_assert!(!new.queued.get());
        new.queued.set(true);
        *self.count_of(new) += 1;
        new.next.set(ptr::null());
        new.prev.set(self.last);
        // SAFETY: who is in the line is there.
        match unsafe { self.last.as_ref() } {
            None => self.first = waiter,
            Some(last) => last.next.set(waiter),
        }
        self.last = waiter;
    }

    /// Takes the first waiter that can still be had and takes part in an operation, and claims it. Those before it that
    /// only watch are told.
    #[inline]
    pub(crate) fn claim_first(&mut self) -> Option<*const Waiter> {
        loop {
            // SAFETY: who is in the line is there.
            let first = unsafe { self.first.as_ref() }?;
            self.remove(first);
            if first.watches {
                first.tell_watcher();
                continue;
            }
            // SAFETY: a waiter's ticket lives as long as it.
            if unsafe { &*first.ticket() }.claim() {
                return Some(first);
            }
        }
    }

    /// Takes a waiter out. False: it is not in the line any more.
    pub(crate) fn remove(&mut self, waiter: &Waiter) -> bool {
        if !waiter.queued.replace(false) {
            return false;
        }
        *self.count_of(waiter) -= 1;
        let (next, prev) = (waiter.next.get(), waiter.prev.get());
        // SAFETY: who is in the line is there.
        match unsafe { prev.as_ref() } {
            None => self.first = next,
            Some(prev) => prev.next.set(next),
        }
        // SAFETY: as above.
        match unsafe { next.as_ref() } {
            None => self.last = prev,
            Some(next) => next.prev.set(prev),
        }
        true
    }
}
