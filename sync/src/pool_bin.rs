//! A bin of a pool: values that are not in use, one in a slot, the others under a lock that nobody waits for.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the values in a bin")]

use crate::pool_slot::{Held, Slot};
use pirn_runtime::internal::run_due;
use std::cell::UnsafeCell;
use std::mem::{ManuallyDrop, replace, take};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread::yield_now;

/// A thread looks whether a step of age is due each time a bin was used so often: that reads the clock.
const LOOK_EVERY: u32 = 16;

/// The values of one thread, more or less. Aligned so that no two have lines that the CPU fetches together.
#[repr(align(128))]
pub(crate) struct Bin<T> {
    slot: Slot<T>,
    is_locked: AtomicBool,
    /// How many are in the generations: a hint for those that look for one. Written under the lock.
    len: AtomicUsize,
    generations: UnsafeCell<Generations<T>>,
    /// How often threads that run no Gs have used it, about. It may wrap.
    uses: AtomicU32,
}

struct Generations<T> {
    young: Vec<T>,
    old: Vec<T>,
}

// SAFETY: the values may be sent, and are used under the lock.
unsafe impl<T: Send> Sync for Bin<T> {}

impl<T> Bin<T> {
    pub(crate) fn new() -> Bin<T> {
        Bin {
            slot: Slot::new(),
            is_locked: AtomicBool::new(false),
            len: AtomicUsize::new(0),
            generations: UnsafeCell::new(Generations { young: Vec::new(), old: Vec::new() }),
            uses: AtomicU32::new(0),
        }
    }

    /// How many it has: a hint, as it may change at once.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed) + usize::from(self.slot.has_value())
    }

    /// Holds the slot, and takes a value if there is one. None: another one holds it.
    #[inline]
    pub(crate) fn hold(&self) -> Option<(Held<'_, T>, Option<T>)> {
        self.slot.hold()
    }

    /// Calls `f` under the lock, if that is free; if not, returns `f`.
    #[inline]
    fn with<R, F: FnOnce(&mut Generations<T>) -> R>(&self, f: F) -> Result<R, F> {
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

    /// Takes a value out, if there is one that can be had now.
    #[inline]
    pub(crate) fn pop(&self) -> Option<T> {
        self.slot.take().or_else(|| self.pop_locked())
    }

    fn pop_locked(&self) -> Option<T> {
        if self.len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.with(|bin| bin.young.pop().or_else(|| bin.old.pop())).ok().flatten()
    }

    /// Puts a value in, if the slot is empty or the lock is free; if not, returns it.
    #[inline]
    pub(crate) fn push(&self, value: T) -> Result<(), T> {
        self.slot.put(value).or_else(|value| self.push_locked(value))
    }

    fn push_locked(&self, value: T) -> Result<(), T> {
        let mut value = ManuallyDrop::new(value);
        // SAFETY: it is taken once: here if the lock is free, or else below.
        let push = |bin: &mut Generations<T>| bin.young.push(unsafe { ManuallyDrop::take(&mut value) });
        if self.with(push).is_ok() {
            return Ok(());
        }
        // SAFETY: as above.
        Err(unsafe { ManuallyDrop::take(&mut value) })
    }

    /// A thread that runs no G has used it. It does the steps of age that are due, if there were enough uses since it last
    /// looked.
    pub(crate) fn count_use(&self) {
        // Two at once may count one: who reaches a number that is looked at looks, so none of these is missed.
        let uses = self.uses.load(Ordering::Relaxed).wrapping_add(1);
        self.uses.store(uses, Ordering::Relaxed);
        if uses.is_multiple_of(LOOK_EVERY) {
            run_due();
        }
    }

    /// A step of age: returns what has become too old. If the lock is in use now, the next step ages the generations.
    pub(crate) fn age(&self) -> Vec<T> {
        let step = |bin: &mut Generations<T>| {
            let young = take(&mut bin.young);
            replace(&mut bin.old, young)
        };
        let mut old = self.with(step).unwrap_or_else(|_| Vec::new());
        old.extend(self.slot.age());
        old
    }

    /// Whether it has a value, or may have one soon (see `pool_slot.rs`). This waits for the lock, which is held for some
    /// instructions.
    pub(crate) fn may_have_some(&self) -> bool {
        self.slot.may_have_value()
            || loop {
                if let Ok(has_some) = self.with(|bin| !bin.young.is_empty() || !bin.old.is_empty()) {
                    break has_some;
                }
                yield_now();
            }
    }
}
