//! Reading without a lock what others replace: what was taken out is dropped when nobody can see it any more.
//!
//! # The protocol
//! A reader adds itself to a count ([`Readers::read`]), then looks at pointers that others replace, and subtracts itself
//! when it needs them no more. Counts are many: a reader takes one that other Ps seldom use, so readers on different Ps
//! write to no common memory. Who takes something out does that first, and then hands it over
//! ([`Readers::drop_later`]), which drops it when each count has been 0 once since. If that is not so soon it goes to a list.
//!
//! The list is emptied in batches. A batch waits until each count has been 0 once since the batch began: `awaited` says
//! which have not. A reader that makes an awaited count 0 looks at the list. So that counts become 0 although new
//! readers come all the time, there are two sides of counts: when no count of the other side is awaited any more, new
//! readers go to that side.
//!
//! Readers never wait and never make others wait: one that reads for long only keeps the list full.
//!
//! # Invariants
//! 1. *What a reader sees is there until it goes.* Its addition, its load of the pointer, the exchange that takes the
//!    pointer out, and the load of the count are `SeqCst`, and in this order if the reader has seen the pointer. So the
//!    count is not found 0 before the reader has gone. A pointer that lies in memory which was itself taken out is
//!    exchanged after that, so the same holds.
//! 2. *The list is emptied.* Who sets a bit of `awaited` looks at the count after that; who makes a count 0 looks at
//!    `awaited` after that (all `SeqCst`). So one of them sees the other.
//! 3. The lock guards the list, and all changes of `awaited` and `side`. What was in the list is dropped after unlocking.

#![cfg(any(not(loom), test))]
#![allow(unsafe_code, reason = "the list under its lock")]

use crate::holder::me;
use crate::loom::{AtomicUsize, Ordering, pause};
use pirn_runtime::internal::Lock;
use std::cell::UnsafeCell;
use std::mem::swap;

/// How many counts a side has: several Ps that share one only slow each other down.
#[cfg(not(loom))]
const STRIPES: usize = 8;
#[cfg(loom)]
const STRIPES: usize = 2;

const SIDES: usize = 2;

/// How often one looks again for a count to be 0, with pauses, before it uses the list.
#[cfg(not(loom))]
const LOOKS: u32 = 8;
#[cfg(loom)]
const LOOKS: u32 = 1;

const ALL: usize = (1 << (SIDES * STRIPES)) - 1;
/// The counts of the first side. Those of the other are the next bits.
const FIRST_SIDE: usize = (1 << STRIPES) - 1;

/// Who reads, and what was taken out meanwhile.
pub(crate) struct Readers<G> {
    stripes: [Stripe; STRIPES],
    /// The side that new readers go to. One that knows the old value goes to the other, which is as right.
    side: AtomicUsize,
    /// The counts that the oldest batch waits for.
    awaited: AtomicUsize,
    lock: Lock,
    list: UnsafeCell<List<G>>,
}

// SAFETY: the list is guarded by the lock, and what is in it goes to whoever empties it.
unsafe impl<G: Send> Sync for Readers<G> {}

#[repr(align(64))]
struct Stripe([AtomicUsize; SIDES]);

struct List<G> {
    /// The batch that waits.
    old: Vec<G>,
    /// What has come since it began.
    new: Vec<G>,
}

impl<G> Readers<G> {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Readers<G> {
        Readers {
            stripes: [const { Stripe([const { AtomicUsize::new(0) }; SIDES]) }; STRIPES],
            side: AtomicUsize::new(0),
            awaited: AtomicUsize::new(0),
            lock: Lock::new(),
            list: UnsafeCell::new(List { old: Vec::new(), new: Vec::new() }),
        }
    }

    #[cfg(all(test, loom))]
    pub(crate) fn new() -> Readers<G> {
        Readers {
            stripes: std::array::from_fn(|_| Stripe(std::array::from_fn(|_| AtomicUsize::new(0)))),
            side: AtomicUsize::new(0),
            awaited: AtomicUsize::new(0),
            lock: Lock::new(),
            list: UnsafeCell::new(List { old: Vec::new(), new: Vec::new() }),
        }
    }

    /// What the caller sees of what may be taken out is there until it drops this.
    #[inline]
    pub(crate) fn read(&self) -> Reading<'_, G> {
        // Relaxed: any side is right.
        let count = stripe() % STRIPES + self.side.load(Ordering::Relaxed) * STRIPES;
        self.count(count).fetch_add(1, Ordering::SeqCst);
        order();
        Reading { readers: self, count }
    }

    #[inline]
    fn count(&self, number: usize) -> &AtomicUsize {
        &self.stripes[number % STRIPES].0[number / STRIPES]
    }

    /// Drops what has been taken out, when no reader can see it.
    pub(crate) fn drop_later(&self, garbage: G) {
        order();
        if (0..SIDES * STRIPES).all(|number| self.becomes_zero(number)) {
            drop(garbage);
        } else {
            self.empty(Some(garbage));
        }
    }

    /// Whether a count is 0 once while the caller looks: most readers go soon.
    fn becomes_zero(&self, number: usize) -> bool {
        self.is_zero(number)
            || (0..LOOKS).any(|_| {
                pause(1);
                self.is_zero(number)
            })
    }

    fn is_zero(&self, number: usize) -> bool {
        self.count(number).load(Ordering::SeqCst) == 0
    }

    /// Puts `more` into the list, and drops what nobody can see.
    #[cold]
    fn empty(&self, more: Option<G>) {
        self.lock.lock();
        // SAFETY: the lock is held.
        let list = unsafe { &mut *self.list.get() };
        list.new.extend(more);
        let dead = self.take_dead(list);
        self.lock.unlock();
        drop(dead);
    }

    /// Under the lock: takes out what nobody can see.
    fn take_dead(&self, list: &mut List<G>) -> Vec<G> {
        let mut dead = Vec::new();
        loop {
            if list.old.is_empty() {
                swap(&mut list.old, &mut list.new);
                let awaited = if list.old.is_empty() { 0 } else { ALL };
                self.awaited.store(awaited, Ordering::SeqCst);
                if awaited == 0 {
                    return dead;
                }
                order();
            }
            let awaited = self.awaited.load(Ordering::Relaxed);
            let left = (0..SIDES * STRIPES).filter(|number| awaited & (1 << number) != 0 && !self.is_zero(*number));
            let left = left.fold(0, |left, number| left | (1 << number));
            self.awaited.store(left, Ordering::SeqCst);
            if left != 0 {
                self.change_side(left);
                return dead;
            }
            dead.append(&mut list.old);
        }
    }

    /// Under the lock: new readers leave a side that is awaited, when the other is not.
    fn change_side(&self, awaited: usize) {
        let other = 1 - self.side.load(Ordering::Relaxed);
        if awaited & (FIRST_SIDE << (other * STRIPES)) == 0 {
            self.side.store(other, Ordering::Relaxed);
        }
    }
}

/// One reads: see [`Readers::read`].
#[must_use = "what is read may go at once if this is not kept"]
pub(crate) struct Reading<'a, G> {
    readers: &'a Readers<G>,
    count: usize,
}

impl<G> Drop for Reading<'_, G> {
    #[inline]
    fn drop(&mut self) {
        let is_last = self.readers.count(self.count).fetch_sub(1, Ordering::SeqCst) == 1;
        order();
        if is_last && self.readers.awaited.load(Ordering::SeqCst) & (1 << self.count) != 0 {
            self.readers.empty(None);
        }
    }
}

/// A number that callers on other Ms do not have; of threads that are none, others may.
#[cfg(not(loom))]
#[inline]
fn stripe() -> usize {
    pirn_runtime::internal::m_number().unwrap_or_else(me) as usize
}

#[cfg(loom)]
fn stripe() -> usize {
    me() as usize
}

/// In the models `SeqCst` is no more than acquire and release, and this makes up for it.
#[inline]
fn order() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

#[cfg(all(test, loom))]
#[path = "reading_loom.rs"]
mod models;
