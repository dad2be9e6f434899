//! The table of Gs that wait for futexes: a list for each of some addresses.
//!
//! # The argument
//! *No wake is lost.* As the kernel's futexes:
//!
//! ```text
//! a wait                              a wake, by anybody
//!   waiting += 1                        (the caller has changed the word)
//!   fence                               fence
//!   lock                                if waiting == 0: nobody is here
//!   if the word has changed: unlock,    lock
//!     waiting -= 1, no wait             take some out, waiting -= 1 for each, tell them
//!   put it into the list                unlock
//!   unlock; park until it is told       wake those that were told
//! ```
//! Of the two fences one is first. If it is the wait's, the wake sees that somebody is here, and takes the lock. Then it
//! comes either before the wait has looked at the word, which has changed by then, or after it has put itself into the list.
//! If it is the wake's, the wait sees the changed word. So a wake by which nobody waits costs one fence and one load.
//!
//! *Who has been taken out has been told under the lock*, so one that ends its wait itself finds itself in the list, or has
//! been told (`wait/mod.rs` of the runtime, I3). It is woken after unlocking.
//!
//! *A wake of many* takes some at a time, so that the lock is held shortly. It takes none that came after it had begun: one
//! that was woken may wait again at once.
//!
//! `futex_table_loom.rs` models it.

#![allow(unsafe_code, reason = "waiters on stacks that wait")]

use pirn_runtime::internal::{AtomicUsize, Lock, Ordering, Ticket, Told, fence};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;

/// How many a wake takes out at a time.
const TAKEN_MAX: usize = if cfg!(loom) { 1 } else { 16 };

/// A list of those that wait at some addresses.
#[repr(align(64))]
pub(crate) struct Bucket {
    /// How many are in the list, or are about to look.
    waiting: AtomicUsize,
    lock: Lock,
    /// These are guarded by the lock.
    first: Cell<*const Spot>,
    last: Cell<*const Spot>,
    /// How many have been here. It may wrap: numbers are compared as of one moment.
    count: Cell<usize>,
}

// SAFETY: the cells are guarded by the lock.
unsafe impl Sync for Bucket {}
// SAFETY: as above.
unsafe impl Send for Bucket {}

/// Where one waits. It lies on its stack.
struct Spot {
    ticket: Ticket<()>,
    address: usize,
    /// Which wakes it is for.
    bits: u32,
    /// These are guarded by the lock of its bucket.
    number: Cell<usize>,
    is_in: Cell<bool>,
    next: Cell<*const Spot>,
    before: Cell<*const Spot>,
}

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The word was another one.
    Changed,
    /// It was woken.
    Woken,
    /// It has ended by itself.
    Ended,
}

impl Bucket {
    /// Nobody waits.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Bucket {
        Bucket {
            waiting: AtomicUsize::new(0),
            lock: Lock::new(),
            first: Cell::new(ptr::null()),
            last: Cell::new(ptr::null()),
            count: Cell::new(0),
        }
    }

    /// Nobody waits.
    #[cfg(loom)]
    pub(crate) fn new() -> Bucket {
        Bucket {
            waiting: AtomicUsize::new(0),
            lock: Lock::new(),
            first: Cell::new(ptr::null()),
            last: Cell::new(ptr::null()),
            count: Cell::new(0),
        }
    }

    /// The caller waits at that address if the word is `still` what it should be. `sleep` returns when the ticket has been
    /// told, or, with false, when the wait shall end by itself. It does not unwind.
    pub(crate) fn wait(
        &self,
        address: usize,
        bits: u32,
        still: impl Fn() -> bool,
        sleep: impl FnOnce(&Ticket<()>) -> bool,
    ) -> Waited {
        let spot = Spot {
            ticket: Ticket::for_caller(),
            address,
            bits,
            number: Cell::new(0),
            is_in: Cell::new(false),
            next: Cell::new(ptr::null()),
            before: Cell::new(ptr::null()),
        };
        // Relaxed: the fence orders it (partner: the fence in `is_empty`).
        self.waiting.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.lock.lock();
        if !still() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.lock.unlock();
            return Waited::Changed;
        }
        self.push(&spot);
        self.lock.unlock();
        if sleep(&spot.ticket) {
            return Waited::Woken;
        }
        self.lock.lock();
        let was_in = self.remove(&spot);
        self.lock.unlock();
        if was_in { Waited::Ended } else { Waited::Woken }
    }

    /// Whether nobody waits here whom the caller has to wake. It has changed the word before.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Partner: the fence in `wait`.
        fence(Ordering::SeqCst);
        self.seems_empty()
    }

    /// The same, for a caller that has changed the word and has had a full fence after that; or as a hint.
    #[inline]
    pub(crate) fn seems_empty(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }

    /// How many wait here, or are about to look.
    #[cfg(not(loom))]
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Takes out up to `most` of those that wait at that address for one of these bits, first come, first served, and has
    /// them woken by `wake`, which is called without the lock. Returns how many there were.
    pub(crate) fn wake(&self, address: usize, bits: u32, most: usize, mut wake: impl FnMut(Told)) -> usize {
        let mut woken = 0;
        let mut began_at = None;
        while woken < most {
            let mut told = [const { MaybeUninit::uninit() }; TAKEN_MAX];
            let mut taken = 0;
            self.lock.lock();
            let began_at = *began_at.get_or_insert(self.count.get());
            let mut next = self.first.get();
            // SAFETY: a spot in the list is there until it is told, which is below.
            while let Some(spot) = unsafe { next.as_ref() }
                && taken < TAKEN_MAX.min(most - woken)
            {
                next = spot.next.get();
                // It came before if it is less, though the numbers may wrap.
                let came_before = spot.number.get().wrapping_sub(began_at).cast_signed() < 0;
                if spot.address == address && spot.bits & bits != 0 && came_before {
                    self.remove(spot);
                    // SAFETY: it has been taken out of the list, once.
                    told[taken].write(unsafe { Ticket::tell(&raw const spot.ticket, ()) });
                    taken += 1;
                }
            }
            self.lock.unlock();
            for told in &told[..taken] {
                // SAFETY: so many were written, and each is read once.
                wake(unsafe { told.assume_init_read() });
            }
            woken += taken;
            if taken < TAKEN_MAX {
                // These are enough, or there are no more.
                break;
            }
        }
        woken
    }

    /// Has the first woken, whatever it waits for; or calls `otherwise`, under the lock, if nobody is in the list.
    pub(crate) fn wake_first_or(&self, otherwise: impl FnOnce(), wake: impl FnOnce(Told)) {
        self.lock.lock();
        // SAFETY: a spot in the list is there until it is told, which is below.
        let told = match unsafe { self.first.get().as_ref() } {
            Some(spot) => {
                self.remove(spot);
                // SAFETY: it has been taken out of the list, once.
                Some(unsafe { Ticket::tell(&raw const spot.ticket, ()) })
            }
            None => {
                otherwise();
                None
            }
        };
        self.lock.unlock();
        if let Some(told) = told {
            wake(told);
        }
    }

    /// Puts it at the end. For the holder of the lock.
    fn push(&self, spot: &Spot) {
        spot.number.set(self.count.get());
        self.count.set(self.count.get().wrapping_add(1));
        spot.is_in.set(true);
        let last = self.last.replace(spot);
        spot.before.set(last);
        // SAFETY: a spot in the list is there.
        match unsafe { last.as_ref() } {
            Some(last) => last.next.set(spot),
            None => self.first.set(spot),
        }
    }

    /// Takes it out. False: it was not in. For the holder of the lock.
    fn remove(&self, spot: &Spot) -> bool {
        if !spot.is_in.replace(false) {
            return false;
        }
        let (before, next) = (spot.before.get(), spot.next.get());
        // SAFETY: a spot in the list is there.
        match unsafe { before.as_ref() } {
            Some(before) => before.next.set(next),
            None => self.first.set(next),
        }
        // SAFETY: as above.
        match unsafe { next.as_ref() } {
            Some(next) => next.before.set(before),
            None => self.last.set(before),
        }
        // Relaxed: who sees less than there are about to be comes before them (`is_empty`).
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        true
    }
}

#[cfg(all(test, loom))]
#[path = "futex_table_loom.rs"]
mod tests;
