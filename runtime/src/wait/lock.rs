//! The lock of a line's owner: held for some tens of nanoseconds, also over the switch of a G that waits, which does not
//! need its park word then. It counts how often it was held, so a reader without the lock can tell whether all that it
//! saw held at one moment.

#![allow(unsafe_code, reason = "a promise of the lock to the runtime")]

use crate::g::LineLock;
use crate::loom::{AtomicUsize, Gate, Ordering, fence, nap, pause, yield_thread};
use std::ptr;
use std::time::Duration;

/// How long a thread that finds the lock held waits at first, in pause instructions; the wait doubles each time. A long
/// wait is unfair: the holder does several operations in a row meanwhile. This makes several Ps on one line fast.
const PAUSES_MIN: u32 = 16;
const PAUSES_MAX: u32 = 256;
/// After so many rounds of pauses the waiter asks the system to run another thread: the holder may have lost its CPU.
const ROUNDS_PAUSED: u32 = 20;
/// After so many rounds the waiter sleeps.
const ROUNDS_AWAKE: u32 = 60;
const NAP: Duration = Duration::from_micros(20);

/// Unlocking is a plain store. This costs nothing, but wakes no waiter, so a thread that waits long sleeps by the
/// clock.
#[derive(Debug)]
pub struct Lock {
    /// Odd while it is held, and one more each time it is taken or given back. It may wrap: only a reader
    /// that looks for 2^63 turns could see the same count again.
    count: AtomicUsize,
    gate: Gate,
}

impl Lock {
    /// A free one.
    #[cfg(not(loom))]
    #[inline]
    pub const fn new() -> Lock {
        Lock { count: AtomicUsize::new(0), gate: Gate::new() }
    }

    /// A free one.
    #[cfg(loom)]
    pub fn new() -> Lock {
        Lock { count: AtomicUsize::new(0), gate: Gate::new() }
    }

    /// Takes the lock. The caller gives it back with `unlock` and does nothing in between that could wait or call the
    /// user's code.
    #[inline]
    pub fn lock(&self) {
        self.gate.enter();
        self.acquire();
    }

    /// Unlocks it. Only for its holder.
    #[inline]
    pub fn unlock(&self) {
        self.release();
        self.gate.leave();
    }

    /// A caller that takes several locks takes them in this order.
    #[inline]
    pub fn order(&self) -> usize {
        self.gate.order(ptr::from_ref(self).addr())
    }

    #[inline]
    fn acquire(&self) {
        if !self.try_acquire() {
            self.wait();
        }
        // A reader that sees something written from here on sees in `is_still` that the lock was taken.
        fence(Ordering::Release);
    }

    #[inline]
    fn try_acquire(&self) -> bool {
        let free = self.count.load(Ordering::Relaxed);
        // Acquire: what was done under the lock before (partner: `release`).
        free & 1 == 0
            && self
                .count
                .compare_exchange_weak(free, free.wrapping_add(1), Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    #[inline]
    fn release(&self) {
        // No other thread writes it while it is held.
        let held = self.count.load(Ordering::Relaxed);
        self.count.store(held.wrapping_add(1), Ordering::Release);
    }

    #[cold]
    fn wait(&self) {
        let (mut pauses, mut round) = (PAUSES_MIN, 0);
        loop {
            match round {
                0..ROUNDS_PAUSED => pause(pauses),
                ROUNDS_PAUSED..ROUNDS_AWAKE => yield_thread(),
                _ => nap(NAP),
            }
            pauses = (pauses * 2).min(PAUSES_MAX);
            round = (round + 1).min(ROUNDS_AWAKE);
            if self.try_acquire() {
                return;
            }
        }
    }

    /// Begins a look without the lock, and returns the count. If [`is_still`] returns true later, all that the caller
    /// has read in between held at one moment. A thread that has synchronised with the last holder of the lock sees
    /// what that holder did.
    ///
    /// [`is_still`]: Self::is_still
    #[inline]
    pub fn moment(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether the lock was free when `moment` was read, and has not been taken since.
    #[inline]
    pub fn is_still(&self, moment: usize) -> bool {
        // The caller's reads come before the read of the count (partner: the fence in `acquire`).
        fence(Ordering::Acquire);
        moment & 1 == 0 && self.count.load(Ordering::Relaxed) == moment
    }
}

impl Default for Lock {
    fn default() -> Lock {
        Lock::new()
    }
}

// SAFETY: one thread at a time makes the count odd, with Acquire; to add one to it is what `give` does.
unsafe impl LineLock for Lock {
    fn lock(&self) {
        Lock::lock(self);
    }

    #[inline]
    fn unlock(&self) {
        Lock::unlock(self);
    }

    #[inline]
    fn count(&self) -> &AtomicUsize {
        &self.count
    }
}

#[cfg(all(test, loom))]
#[path = "lock_loom.rs"]
mod tests;
