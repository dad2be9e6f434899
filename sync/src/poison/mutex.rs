//! [`Mutex`].

use super::flag::{Flag, Watch, derefs, maps, poisonable};
use crate::guard::show;
use crate::lot::Until;
use crate::mapped;
use crate::mutex as inner;
use std::fmt;
use std::sync::{LockResult, TryLockResult};

/// As [`std::sync::Mutex`]; see [`crate::Mutex`] for how it waits.
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    poison: Flag,
    inner: inner::Mutex<T>,
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    ///
    /// # Errors
    /// The guard, if the mutex is poisoned.
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let guard = MutexGuard::new(&self.poison, self.inner.lock());
        self.poison.result(guard)
    }

    /// Waits for the lock for as long as that says.
    pub(crate) fn lock_within(&self, until: Until<'_>) -> Option<LockResult<MutexGuard<'_, T>>> {
        let guard = MutexGuard::new(&self.poison, self.inner.lock_within(until)?);
        Some(self.poison.result(guard))
    }

    /// Locks it if it is free.
    ///
    /// # Errors
    /// If it is not free, or poisoned.
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let guard = self.inner.try_lock().map(|inner| MutexGuard::new(&self.poison, inner));
        self.poison.try_result(guard)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mutex");
        match self.inner.try_lock() {
            Some(guard) => debug.field("data", &&*guard),
            None => debug.field("data", &format_args!("<locked>")),
        };
        debug.field("poisoned", &self.poison.get()).finish_non_exhaustive()
    }
}

/// As [`std::sync::MutexGuard`], but it may be sent.
#[must_use = "the mutex is unlocked at once if the guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    pub(super) watch: Watch<'a>,
    pub(super) inner: inner::MutexGuard<'a, T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    #[inline]
    fn new(poison: &'a Flag, inner: inner::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard { watch: Watch::new(poison), inner }
    }
}

/// A part of the value of a locked [`Mutex`]: see [`MutexGuard::map`].
#[must_use = "the mutex is unlocked at once if the guard is not kept"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    watch: Watch<'a>,
    inner: mapped::MappedMutexGuard<'a, T>,
}

poisonable!(Mutex);
maps!(MutexGuard => MappedMutexGuard in inner, MappedMutexGuard => MappedMutexGuard in mapped);
derefs!(MutexGuard, MappedMutexGuard);
show!(MutexGuard, MappedMutexGuard);
