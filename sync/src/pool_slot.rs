//! A slot: a place in a pool for one value, to which its holder gives it back without a locked instruction.
//!
//! # The protocol
//! ```text
//!   EMPTY   no value; nobody's
//!   HELD    somebody's: its value is in use, or the holder has found none there
//!   YOUNG   a value that nobody uses
//!   OLD     the same, and a step of age has seen it
//!
//!   EMPTY, YOUNG, OLD -> HELD     hold, put, take: an exchange; whoever finds one of the three is the holder
//!   HELD -> YOUNG, EMPTY          give back, leave: a store of the holder
//!   YOUNG -> OLD                  a step of age
//! ```
//! The value belongs to the holder while the slot is HELD, and is there while it is YOUNG or OLD. A slot that is HELD is
//! written by its holder alone: the exchange of another one fails. So the holder's store overwrites nothing.
//!
//! # The look
//! A pool is on a list of those that age while it has something, and a flag says so. A step clears the flag, looks at all
//! slots, and sets it again if it has found something. One that gives a value back looks at the flag afterwards, with no
//! fence between the two: its load may be early. So a step counts a slot that is HELD as one with a value. If it finds
//! the slot EMPTY, its look, which writes, comes before the exchange by which the slot was held; so that holder sees the
//! cleared flag.

#![allow(unsafe_code, reason = "the value in a slot")]
#![cfg_attr(loom, allow(dead_code, reason = "only the models use it: there is no pool"))]

use crate::loom::{AtomicU32, Ordering};
use pirn_runtime::internal::UnsafeCell;
use std::fmt;
use std::mem::{MaybeUninit, forget};

const EMPTY: u32 = 0;
const HELD: u32 = 1;
const YOUNG: u32 = 2;
const OLD: u32 = 3;

/// A place for a value.
pub(crate) struct Slot<T> {
    state: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// The proof that the caller holds a slot, which is empty again when this is dropped.
pub(crate) struct Held<'a, T>(&'a Slot<T>);

// SAFETY: a value is sent from one holder to the next, and used by that alone.
unsafe impl<T: Send> Sync for Slot<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Slot<T> {}

impl<T> Slot<T> {
    pub(crate) fn new() -> Slot<T> {
        Slot { state: AtomicU32::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Holds the slot, and takes the value that is there. None: another one holds it.
    #[inline]
    pub(crate) fn hold(&self) -> Option<(Held<'_, T>, Option<T>)> {
        // Acquire: the value (partner: the Release in `give_back`; a step of age in between passes it on), and a flag that
        // was cleared before a look (partner: `may_have_value`).
        let mut state = YOUNG;
        while let Err(other) = self.state.compare_exchange(state, HELD, Ordering::Acquire, Ordering::Relaxed) {
            if other == HELD {
                return None;
            }
            state = other;
        }
        let held = Held(self);
        // SAFETY: the slot is held, and there is a value, which is read once: the state tells of none now.
        let value = (state != EMPTY).then(|| unsafe { held.read() });
        Some((held, value))
    }

    /// Puts a value in, if the slot is empty; if not, returns it.
    #[inline]
    pub(crate) fn put(&self, value: T) -> Result<(), T> {
        // Acquire: as in `hold`.
        if self.has_state(EMPTY) && self.exchange(EMPTY, HELD, Ordering::Acquire) {
            Held(self).give_back(value);
            return Ok(());
        }
        Err(value)
    }

    /// Takes the value, if there is one.
    #[inline]
    pub(crate) fn take(&self) -> Option<T> {
        let state = self.state.load(Ordering::Relaxed);
        // Acquire: as in `hold`.
        if matches!(state, YOUNG | OLD) && self.exchange(state, HELD, Ordering::Acquire) {
            // SAFETY: as in `hold`.
            return Some(unsafe { Held(self).read() });
        }
        None
    }

    /// A step of age: a young value becomes old; an old one is taken.
    pub(crate) fn age(&self) -> Option<T> {
        // Relaxed: it passes on what the exchange of another one acquires.
        if self.exchange(YOUNG, OLD, Ordering::Relaxed) || !self.has_state(OLD) { None } else { self.take() }
    }

    /// Whether there is a value, or may be one soon: for a step that has cleared the pool's flag.
    pub(crate) fn may_have_value(&self) -> bool {
        // Release: the flag (partner: the Acquire in `hold`, of one that holds it later).
        !self.exchange(EMPTY, EMPTY, Ordering::AcqRel)
    }

    /// Whether there is a value: a hint, as it may change at once.
    pub(crate) fn has_value(&self) -> bool {
        self.has_state(YOUNG) || self.has_state(OLD)
    }

    #[inline]
    fn has_state(&self, state: u32) -> bool {
        self.state.load(Ordering::Relaxed) == state
    }

    #[inline]
    fn exchange(&self, from: u32, to: u32, ordering: Ordering) -> bool {
        self.state.compare_exchange(from, to, ordering, Ordering::Relaxed).is_ok()
    }
}

impl<T> Held<'_, T> {
    /// Gives a value to the slot, which is nobody's then.
    #[inline]
    pub(crate) fn give_back(self, value: T) {
        // SAFETY: the slot is held by this.
        self.0.value.with_mut(|place| unsafe { place.cast::<T>().write(value) });
        // Release: the value (partner: the Acquire of the next holder).
        self.0.state.store(YOUNG, Ordering::Release);
        forget(self);
    }

    /// # Safety
    /// There is a value, and it is read once.
    #[inline]
    unsafe fn read(&self) -> T {
        // SAFETY: as the caller promises; the slot is held by this.
        self.0.value.with_mut(|place| unsafe { place.cast::<T>().read() })
    }
}

impl<T> Drop for Held<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Release: the value has been read (partner: the Acquire of the next holder).
        self.0.state.store(EMPTY, Ordering::Release);
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<T> fmt::Debug for Held<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held { .. }")
    }
}

#[cfg(all(test, loom))]
#[path = "pool_slot_loom.rs"]
mod models;
