//! A bin of a pool: values that are not in use, under a lock that nobody waits for.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the values in a bin")]

use pirn_runtime::internal::run_due;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// A thread looks whether a step of age is due each time so many values were put into a bin: that reads the clock.
const LOOK_EVERY: u32 = 16;

/// The values of one thread, more or less. Aligned so that no two have lines that the CPU fetches together.
#[repr(align(128))]
pub(crate) struct Bin<T> {
    is_locked: AtomicBool,
    /// How many it has: a hint for those that look for one. Written under the lock.
    len: AtomicUsize,
    generations: UnsafeCell<Generations<T>>,
    /// How many were put in by threads that run no Gs, about. It may wrap.
    puts: AtomicU32,
}

pub(crate) struct Generations<T> {
    pub(crate) young: Vec<T>,
    pub(crate) old: Vec<T>,
}

// SAFETY: the values may be sent, and are used under the lock.
unsafe impl<T: Send> Sync for Bin<T> {}

impl<T> Bin<T> {
    pub(crate) fn new() -> Bin<T> {
        Bin {
            is_locked: AtomicBool::new(false),
            len: AtomicUsize::new(0),
            generations: UnsafeCell::new(Generations { young: Vec::new(), old: Vec::new() }),
            puts: AtomicU32::new(0),
        }
    }

    /// How many it has: a hint, as it may change at once.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Calls `f` under the lock, if that is free; if not, returns `f`.
    #[inline]
    pub(crate) fn with<R, F: FnOnce(&mut Generations<T>) -> R>(&self, f: F) -> Result<R, F> {
        /// Unlocks, also if there is no memory for a push.
        struct Unlock<'a>(&'a AtomicBool);
        impl Drop for Unlock<'_> {
            #[inline]
            fn drop(&mut self) {
                // Release: what was done to the bin (partner: the Acquire below).
                self.0.store(false, Ordering::Release);
            }
        }
        // Acquire: as above.
        if self.is_locked.swap(true, Ordering::Acquire) {
            return Err(f);
        }
        let _unlock = Unlock(&self.is_locked);
        // SAFETY: the lock is held.
        let generations = unsafe { &mut *self.generations.get() };
        let result = f(generations);
        self.len.store(generations.young.len() + generations.old.len(), Ordering::Relaxed);
        Ok(result)
    }

    /// Takes a value out, if there is one and the lock is free.
    #[inline]
    pub(crate) fn pop(&self) -> Option<T> {
        if self.len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.with(|bin| bin.young.pop().or_else(|| bin.old.pop())).ok().flatten()
    }

    /// Puts a value in, if the lock is free; if not, returns it.
    #[inline]
    pub(crate) fn push(&self, value: T) -> Result<(), T> {
        let mut value = ManuallyDrop::new(value);
        // SAFETY: it is taken once: here if the lock is free, or else below.
        let push = |bin: &mut Generations<T>| bin.young.push(unsafe { ManuallyDrop::take(&mut value) });
        if self.with(push).is_ok() {
            return Ok(());
        }
        // SAFETY: as above.
        Err(unsafe { ManuallyDrop::take(&mut value) })
    }

    /// A thread has put one in. It does the steps of age that are due, if there were enough puts since it last looked.
    pub(crate) fn count_put(&self) {
        // Two at once may count one: who reaches a number that is looked at looks, so none of these is missed.
        let puts = self.puts.load(Ordering::Relaxed).wrapping_add(1);
        self.puts.store(puts, Ordering::Relaxed);
        if puts.is_multiple_of(LOOK_EVERY) {
            run_due();
        }
    }
}
