//! [`Mutex`].

use super::flag::{Flag, Watch};
use crate::guard::show;
use crate::mutex;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::sync::{LockResult, TryLockResult};

/// As [`std::sync::Mutex`]; see [`crate::Mutex`] for how it waits.
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    poison: Flag,
    inner: mutex::Mutex<T>,
}

impl<T> Mutex<T> {
    /// A mutex around that value.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { poison: Flag::new(), inner: mutex::Mutex::new(value) }
    }

    /// The value.
    ///
    /// # Errors
    /// The value, if the mutex is poisoned.
    pub fn into_inner(self) -> LockResult<T> {
        let Mutex { poison, inner } = self;
        poison.result(inner.into_inner())
    }
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

    /// Locks it if it is free.
    ///
    /// # Errors
    /// If it is not free, or poisoned.
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let guard = self.inner.try_lock().map(|inner| MutexGuard::new(&self.poison, inner));
        self.poison.try_result(guard)
    }

    /// Whether it is poisoned.
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// It is not poisoned any more.
    pub fn clear_poison(&self) {
        self.poison.0.store(false, Ordering::Relaxed);
    }

    /// The value, of a mutex that nobody can have locked.
    ///
    /// # Errors
    /// The same, if the mutex is poisoned.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let Mutex { poison, inner } = self;
        poison.result(inner.get_mut())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
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
    pub(super) inner: mutex::MutexGuard<'a, T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    #[inline]
    fn new(poison: &'a Flag, inner: mutex::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard { watch: Watch::new(poison), inner }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

show!(MutexGuard);
