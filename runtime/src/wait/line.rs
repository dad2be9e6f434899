//! The line, and the waiter: the place of an operation in one line.

use super::ticket::Ticket;
use super::told::Told;
use crate::g::Runs;
use crate::loom::{AtomicPtr, Ordering};
use std::cell::Cell;
use std::fmt;
use std::ptr;

/// An operation's place in one line. `D` is what the owner of the line wants to know of it.
pub struct Waiter<A: Copy, D = ()> {
    /// Set by the operation, once the waiter lies where it stays.
    ticket: Cell<*const Ticket<A>>,
    /// These are guarded by the line's lock.
    next: Cell<*mut Waiter<A, D>>,
    prev: Cell<*mut Waiter<A, D>>,
    is_queued: Cell<bool>,
    data: D,
}

impl<A: Copy, D> Waiter<A, D> {
    /// A waiter that is in no line.
    #[inline]
    pub fn new(data: D) -> Waiter<A, D> {
        Waiter {
            ticket: Cell::new(ptr::null()),
            next: Cell::new(ptr::null_mut()),
            prev: Cell::new(ptr::null_mut()),
            is_queued: Cell::new(false),
            data,
        }
    }

    /// Says whose waiter it is.
    ///
    /// # Safety
    /// Both stay where they are until the ticket has been told, or the waiter is out of the line and the ticket
    /// withdrawn (I3). The ticket lives as long as the waiter is used.
    #[inline(always)]
    pub unsafe fn belongs_to(&self, ticket: *const Ticket<A>) -> *const Waiter<A, D> {
        self.ticket.set(ticket);
        self
    }

    /// What the owner of the line knows of it.
    #[inline(always)]
    pub fn data(&self) -> &D {
        &self.data
    }

    /// Out of its line, that one is the next in a list of Gs that were taken (`told_line.rs`).
    #[inline(always)]
    pub(super) fn set_next_told(&self, next: *const Waiter<A, D>) {
        self.next.set(next.cast_mut());
    }

    /// The next one there.
    #[inline(always)]
    pub(super) fn next_told(&self) -> *const Waiter<A, D> {
        self.next.get()
    }

    /// Makes the G ready whose waiter it is.
    ///
    /// # Safety
    /// It was taken by `Claimed::tell_or_take`; and this is called once, as afterwards the waiter may be gone.
    #[inline(always)]
    pub(super) unsafe fn ready(this: *const Waiter<A, D>, when: Runs) {
        // SAFETY: it waits until it is made ready.
        let ticket = unsafe { &*this }.ticket.get();
        // SAFETY: as the caller promises, and the ticket lives as long as the waiter.
        unsafe { Ticket::ready(ticket, when) }
    }

    /// What its operation has been told. Nothing, if it belongs to none yet.
    #[inline]
    pub fn told(&self) -> Option<&A> {
        // SAFETY: its ticket lives as long as it (`belongs_to`).
        unsafe { self.ticket.get().as_ref() }?.told()
    }
}

impl<A: Copy, D> fmt::Debug for Waiter<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").field("is_queued", &self.is_queued.get()).finish_non_exhaustive()
    }
}

/// A waiter whose operation has been claimed. The operation waits, so the waiter is there, until it is told (I3). The
/// holder of this must tell it; otherwise the operation waits for ever, unless it takes this back.
#[must_use = "it waits until it is told"]
pub struct Claimed<A: Copy, D = ()>(ptr::NonNull<Waiter<A, D>>);

impl<A: Copy, D> Claimed<A, D> {
    /// Claims the caller's own operation, which is in no line, for another.
    ///
    /// # Safety
    /// The waiter belongs to a ticket, has not been told, and stays until it has been told or has taken this back from
    /// where it is kept.
    #[inline]
    pub unsafe fn of(waiter: *const Waiter<A, D>) -> Claimed<A, D> {
        // SAFETY: the waiter is there, as the caller promises.
        Claimed(unsafe { ptr::NonNull::new_unchecked(waiter.cast_mut()) })
    }

    #[inline(always)]
    fn waiter(&self) -> &Waiter<A, D> {
        // SAFETY: it waits until it is told (I3).
        unsafe { self.0.as_ref() }
    }

    /// What the owner of the line knows of it.
    #[inline(always)]
    pub fn data(&self) -> &D {
        self.waiter().data()
    }

    /// Tells the operation the answer. The caller must wake what this returns, after unlocking.
    #[inline(always)]
    pub fn tell(self, answer: A) -> Told {
        let ticket = self.waiter().ticket.get();
        // SAFETY: it has been claimed, and this is used up (I1).
        unsafe { Ticket::tell(ticket, answer) }
    }

    pub(super) fn waiter_at(&self) -> *const Waiter<A, D> {
        self.0.as_ptr()
    }

    /// Tells the operation the answer. None: it was parked in its line, and is the caller's, who makes it ready.
    #[inline(always)]
    pub(super) fn tell_or_take(self, answer: A) -> Option<Told> {
        let ticket = self.waiter().ticket.get();
        // SAFETY: it has been claimed, and this is used up (I1).
        unsafe { Ticket::tell_or_take(ticket, answer) }
    }
}

impl<A: Copy, D> fmt::Debug for Claimed<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claimed").field(&self.0).finish()
    }
}

/// A line of waiters, first come first served. Its functions are for holders of its owner's lock, unless they say
/// otherwise. It is not `Sync`: an owner that shares it promises the lock.
pub struct Line<A: Copy, D = ()> {
    first: AtomicPtr<Waiter<A, D>>,
    /// Only if there is a first.
    last: Cell<*mut Waiter<A, D>>,
}

// SAFETY: it sends answers to operations on other threads, and lends what is known of them.
unsafe impl<A: Copy + Send, D: Sync> Send for Line<A, D> {}

impl<A: Copy, D> Line<A, D> {
    /// An empty line.
    #[cfg(not(loom))]
    pub const fn new() -> Line<A, D> {
        Line { first: AtomicPtr::new(ptr::null_mut()), last: Cell::new(ptr::null_mut()) }
    }

    /// An empty line.
    #[cfg(loom)]
    pub fn new() -> Line<A, D> {
        Line { first: AtomicPtr::new(ptr::null_mut()), last: Cell::new(ptr::null_mut()) }
    }

    /// Whether it is empty. Without the lock this is a hint.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first().is_null()
    }

    #[inline]
    fn first(&self) -> *mut Waiter<A, D> {
        self.first.load(Ordering::Relaxed)
    }

    /// Appends a waiter.
    ///
    /// # Safety
    /// It belongs to a ticket and is in no line. It stays where it is until it is out of the line again, and is not
    /// given to [`remove`](Self::remove) of another line meanwhile.
    #[inline]
    pub unsafe fn push(&self, waiter: *const Waiter<A, D>) {
        let waiter = waiter.cast_mut();
        // SAFETY: as the caller promises.
        let new = unsafe { &*waiter };
        debug_assert!(!new.is_queued.get());
        new.is_queued.set(true);
        new.next.set(ptr::null_mut());
        if self.is_empty() {
            new.prev.set(ptr::null_mut());
            self.first.store(waiter, Ordering::Relaxed);
        } else {
            new.prev.set(self.last.get());
            // SAFETY: a waiter in the line is alive.
            unsafe { &*self.last.get() }.next.set(waiter);
        }
        self.last.set(waiter);
    }

    /// Puts a waiter before all others.
    ///
    /// # Safety
    /// As for [`push`](Self::push).
    pub unsafe fn push_first(&self, waiter: *const Waiter<A, D>) {
        // SAFETY: as the caller promises.
        let new = unsafe { &*waiter };
        debug_assert!(!new.is_queued.get());
        new.is_queued.set(true);
        new.prev.set(ptr::null_mut());
        let next = self.first();
        new.next.set(next);
        // SAFETY: a waiter in the line is alive.
        match unsafe { next.as_ref() } {
            None => self.last.set(waiter.cast_mut()),
            Some(next) => next.prev.set(waiter.cast_mut()),
        }
        self.first.store(waiter.cast_mut(), Ordering::Relaxed);
    }

    /// Takes over all waiters of `other`, which is empty then. This line is empty.
    pub fn take_over(&self, other: &Line<A, D>) {
        debug_assert!(self.is_empty());
        self.first.store(other.first(), Ordering::Relaxed);
        self.last.set(other.last.get());
        other.first.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// What is known of the first waiter. The caller holds the lock for as long as it uses this.
    #[inline]
    pub fn first_data(&self) -> Option<&D> {
        // SAFETY: a waiter in the line is alive.
        unsafe { self.first().as_ref() }.map(Waiter::data)
    }

    /// What is known of the last waiter. The caller holds the lock for as long as it uses this.
    #[inline]
    pub fn last_data(&self) -> Option<&D> {
        // SAFETY: a waiter in the line is alive.
        (!self.is_empty()).then(|| unsafe { &*self.last.get() }.data())
    }

    /// Calls `f` with what is known of each waiter, in their order.
    pub fn for_each(&self, mut f: impl FnMut(&D)) {
        let mut next = self.first();
        // SAFETY: a waiter in the line is alive.
        while let Some(waiter) = unsafe { next.as_ref() } {
            f(waiter.data());
            next = waiter.next.get();
        }
    }

    /// Takes the first waiter out that can still be claimed, and claims it.
    #[inline]
    pub fn claim_first(&self) -> Option<Claimed<A, D>> {
        loop {
            let first = ptr::NonNull::new(self.first())?;
            // SAFETY: a waiter in the line is alive.
            let waiter = unsafe { first.as_ref() };
            let next = waiter.next.get();
            waiter.is_queued.set(false);
            self.first.store(next, Ordering::Relaxed);
            // SAFETY: as above.
            if let Some(next) = unsafe { next.as_ref() } {
                next.prev.set(ptr::null_mut());
            }
            // SAFETY: a waiter's ticket lives as long as it (`belongs_to`).
            if unsafe { &*waiter.ticket.get() }.claim() {
                return Some(Claimed(first));
            }
        }
    }

    /// Takes a waiter out. False: it is not in the line any more.
    pub fn remove(&self, waiter: &Waiter<A, D>) -> bool {
        if !waiter.is_queued.replace(false) {
            return false;
        }
        let (next, prev) = (waiter.next.get(), waiter.prev.get());
        // SAFETY: a waiter in the line is alive.
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

impl<A: Copy, D> Default for Line<A, D> {
    fn default() -> Line<A, D> {
        Line::new()
    }
}

impl<A: Copy, D> fmt::Debug for Line<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("is_empty", &self.is_empty()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Line, Waiter};

    #[test]
    fn a_waiter_without_a_ticket_is_told_nothing_and_is_in_no_line() {
        let waiter = Waiter::<u64>::new(());
        assert_eq!(waiter.told(), None);
        assert!(!Line::new().remove(&waiter));
    }
}
