//! [`RwLock`].

use super::flag::{Flag, Watch};
use crate::guard::show;
use crate::rwlock;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::sync::{LockResult, TryLockResult};

/// As [`std::sync::RwLock`]; see [`crate::RwLock`] for how it waits.
#[derive(Default)]
pub struct RwLock<T: ?Sized> {
    poison: Flag,
    inner: rwlock::RwLock<T>,
}

impl<T> RwLock<T> {
    /// A lock around that value.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { poison: Flag::new(), inner: rwlock::RwLock::new(value) }
    }

    /// The value.
    ///
    /// # Errors
    /// The value, if the lock is poisoned.
    pub fn into_inner(self) -> LockResult<T> {
        let RwLock { poison, inner } = self;
        poison.result(inner.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, and no writer waits.
    ///
    /// # Errors
    /// The guard, if the lock is poisoned.
    #[inline]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.poison.result(RwLockReadGuard::new(self.inner.read()))
    }

    /// Waits until nobody has it.
    ///
    /// # Errors
    /// The guard, if the lock is poisoned.
    #[inline]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.poison.result(RwLockWriteGuard::new(&self.poison, self.inner.write()))
    }

    /// Locks it to read, if that needs no wait.
    ///
    /// # Errors
    /// If it does, or the lock is poisoned.
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        self.poison.try_result(self.inner.try_read().map(RwLockReadGuard::new))
    }

    /// Locks it to write, if nobody has it.
    ///
    /// # Errors
    /// If somebody has, or the lock is poisoned.
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let guard = self.inner.try_write().map(|inner| RwLockWriteGuard::new(&self.poison, inner));
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

    /// The value, of a lock that nobody can have locked.
    ///
    /// # Errors
    /// The same, if the lock is poisoned.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let RwLock { poison, inner } = self;
        poison.result(inner.get_mut())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RwLock");
        match self.inner.try_read_recursive() {
            Some(guard) => debug.field("data", &&*guard),
            None => debug.field("data", &format_args!("<locked>")),
        };
        debug.field("poisoned", &self.poison.get()).finish_non_exhaustive()
    }
}

/// As [`std::sync::RwLockReadGuard`], but it may be sent.
#[must_use = "the lock is unlocked at once if the guard is not kept"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    /// The whole value. A guard that knows its lock is invariant in `T`, and that of std is not.
    inner: rwlock::MappedRwLockReadGuard<'a, T>,
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    #[inline]
    fn new(inner: rwlock::RwLockReadGuard<'a, T>) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { inner: rwlock::RwLockReadGuard::map(inner, |value| value) }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

/// As [`std::sync::RwLockWriteGuard`], but it may be sent.
#[must_use = "the lock is unlocked at once if the guard is not kept"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    #[expect(dead_code, reason = "it does its work when it is dropped")]
    watch: Watch<'a>,
    inner: rwlock::RwLockWriteGuard<'a, T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    #[inline]
    fn new(poison: &'a Flag, inner: rwlock::RwLockWriteGuard<'a, T>) -> RwLockWriteGuard<'a, T> {
        RwLockWriteGuard { watch: Watch::new(poison), inner }
    }

    /// Reads from now on; nobody writes in between.
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T> {
        let RwLockWriteGuard { watch: _, inner } = this;
        RwLockReadGuard::new(rwlock::RwLockWriteGuard::downgrade(inner))
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

show!(RwLockReadGuard, RwLockWriteGuard);
