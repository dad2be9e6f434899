//! [`RwLock`].

use super::flag::{Flag, Watch, derefs, maps, poisonable};
use crate::guard::show;
use crate::lot::Until;
use crate::mapped::{self, MappedRwLockReadGuard};
use crate::rwlock as inner;
use std::fmt;
use std::ops::Deref;
use std::sync::{LockResult, TryLockResult};

/// As [`std::sync::RwLock`]; see [`crate::RwLock`] for how it waits.
#[derive(Default)]
pub struct RwLock<T: ?Sized> {
    poison: Flag,
    inner: inner::RwLock<T>,
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

    /// Locks it to read, and waits for as long as that says.
    pub(crate) fn read_within(&self, until: Until<'_>) -> Option<LockResult<RwLockReadGuard<'_, T>>> {
        Some(self.poison.result(RwLockReadGuard::new(self.inner.read_within(until)?)))
    }

    /// Locks it to write, and waits for as long as that says.
    pub(crate) fn write_within(&self, until: Until<'_>) -> Option<LockResult<RwLockWriteGuard<'_, T>>> {
        Some(self.poison.result(RwLockWriteGuard::new(&self.poison, self.inner.write_within(until)?)))
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
    inner: MappedRwLockReadGuard<'a, T>,
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    #[inline]
    fn new(inner: inner::RwLockReadGuard<'a, T>) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { inner: inner::RwLockReadGuard::map(inner, |value| value) }
    }

    /// A guard for a part of the value. (Who reads poisons nothing, so it is that of the lock without poisoning.)
    pub fn map<U: ?Sized, F: FnOnce(&T) -> &U>(this: Self, part: F) -> MappedRwLockReadGuard<'a, U> {
        MappedRwLockReadGuard::map(this.inner, part)
    }

    /// As [`map`](Self::map), for a part that may not be there: then the guard comes back.
    ///
    /// # Errors
    /// The guard, if `part` returns none.
    #[doc(alias = "try_map")]
    pub fn filter_map<U: ?Sized, F: FnOnce(&T) -> Option<&U>>(
        this: Self,
        part: F,
    ) -> Result<MappedRwLockReadGuard<'a, U>, Self> {
        MappedRwLockReadGuard::filter_map(this.inner, part).map_err(|inner| RwLockReadGuard { inner })
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
    watch: Watch<'a>,
    inner: inner::RwLockWriteGuard<'a, T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    #[inline]
    fn new(poison: &'a Flag, inner: inner::RwLockWriteGuard<'a, T>) -> RwLockWriteGuard<'a, T> {
        RwLockWriteGuard { watch: Watch::new(poison), inner }
    }

    /// Reads from now on; nobody writes in between.
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T> {
        let RwLockWriteGuard { watch: _, inner } = this;
        RwLockReadGuard::new(inner::RwLockWriteGuard::downgrade(inner))
    }
}

/// A part of the value of an [`RwLock`] that is locked to write: see [`RwLockWriteGuard::map`].
#[must_use = "the lock is unlocked at once if the guard is not kept"]
pub struct MappedRwLockWriteGuard<'a, T: ?Sized> {
    watch: Watch<'a>,
    inner: mapped::MappedRwLockWriteGuard<'a, T>,
}

poisonable!(RwLock);
maps!(RwLockWriteGuard => MappedRwLockWriteGuard in inner, MappedRwLockWriteGuard => MappedRwLockWriteGuard in mapped);
derefs!(RwLockWriteGuard, MappedRwLockWriteGuard);
show!(RwLockReadGuard, RwLockWriteGuard, MappedRwLockWriteGuard);
