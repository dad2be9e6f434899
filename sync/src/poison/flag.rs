//! Whether a lock is poisoned.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::thread::panicking;

/// Whether one has panicked that held a lock to write.
#[derive(Debug, Default)]
pub(super) struct Flag(pub(super) AtomicBool);

impl Flag {
    pub(super) const fn new() -> Flag {
        Flag(AtomicBool::new(false))
    }

    pub(super) fn get(&self) -> bool {
        // The lock orders what was written under it, this too.
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn result<G>(&self, guard: G) -> LockResult<G> {
        if self.get() { Err(PoisonError::new(guard)) } else { Ok(guard) }
    }

    pub(super) fn try_result<G>(&self, guard: Option<G>) -> TryLockResult<G> {
        match guard {
            None => Err(TryLockError::WouldBlock),
            Some(guard) => self.result(guard).map_err(TryLockError::Poisoned),
        }
    }
}

/// What a guard that writes poisons when it goes, if its thread unwinds then and did not when it came. It lies before
/// the guard of the lock, so that it goes first.
pub(super) struct Watch<'a> {
    pub(super) poison: &'a Flag,
    unwound_before: bool,
}

impl<'a> Watch<'a> {
    #[inline]
    pub(super) fn new(poison: &'a Flag) -> Watch<'a> {
        Watch { poison, unwound_before: panicking() }
    }
}

impl Drop for Watch<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.unwound_before && panicking() {
            self.poison.0.store(true, Ordering::Relaxed);
        }
    }
}
