//! The one reader of an [`RwLock`] that may become a writer: [`RwLockUpgradableReadGuard`].

#![allow(unsafe_code, reason = "the value under the lock")]

use crate::guard::show;
use crate::loom::deadline;
use crate::lot::Until;
use crate::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::time::{Duration, Instant};

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, no writer waits, and there is no other such guard. It is a reader beside others, and may
    /// become a writer without anybody's writing in between: see [`RwLockUpgradableReadGuard::upgrade`]. For who reads
    /// first and then mostly need not write. While it waits, new readers wait behind it.
    pub fn upgradable_read(&self) -> RwLockUpgradableReadGuard<'_, T> {
        self.raw.read_upgradable(Until::Told);
        RwLockUpgradableReadGuard::new(self)
    }

    /// Locks it to read and perhaps to upgrade, if [`upgradable_read`](Self::upgradable_read) need not wait.
    pub fn try_upgradable_read(&self) -> Option<RwLockUpgradableReadGuard<'_, T>> {
        self.raw.try_read_upgradable().then(|| RwLockUpgradableReadGuard::new(self))
    }

    /// Waits as [`upgradable_read`](Self::upgradable_read), for `timeout` at most.
    pub fn try_upgradable_read_for(&self, timeout: Duration) -> Option<RwLockUpgradableReadGuard<'_, T>> {
        match deadline(timeout) {
            Some(deadline) => self.try_upgradable_read_until(deadline),
            None => Some(self.upgradable_read()),
        }
    }

    /// Waits as [`upgradable_read`](Self::upgradable_read), until `deadline` at most.
    pub fn try_upgradable_read_until(&self, deadline: Instant) -> Option<RwLockUpgradableReadGuard<'_, T>> {
        self.raw.read_upgradable(Until::Deadline(deadline)).then(|| RwLockUpgradableReadGuard::new(self))
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Reads from now on, as the one that may write again: see [`RwLock::upgradable_read`]. Nobody writes in between.
    pub fn downgrade_to_upgradable(this: Self) -> RwLockUpgradableReadGuard<'a, T> {
        let lock = RwLockWriteGuard::rwlock(&ManuallyDrop::new(this));
        lock.raw.downgrade_to_upgradable();
        RwLockUpgradableReadGuard::new(lock)
    }
}

/// The value of an [`RwLock`] that is locked to read, by the one reader that may become a writer: see
/// [`RwLock::upgradable_read`]. Unlocks it when it is dropped.
#[must_use = "the lock is unlocked at once if the guard is not kept"]
pub struct RwLockUpgradableReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

impl<'a, T: ?Sized> RwLockUpgradableReadGuard<'a, T> {
    /// For a lock that the caller has locked so.
    pub(crate) fn new(lock: &'a RwLock<T>) -> Self {
        RwLockUpgradableReadGuard { lock }
    }

    /// The lock.
    pub fn rwlock(this: &Self) -> &'a RwLock<T> {
        this.lock
    }

    /// Waits until nobody else reads, and writes then. Nobody writes in between, also if somebody waits to; and new readers
    /// wait until it has written. A caller that has another guard of the lock, to read, waits for itself.
    ///
    /// While the runtime of a goroutine shuts down this unwinds it, and unlocks.
    ///
    /// ```
    /// use pirn::sync::{RwLock, RwLockUpgradableReadGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let seen = lock.upgradable_read();
    /// if *seen == 1 {
    ///     *RwLockUpgradableReadGuard::upgrade(seen) = 2;
    /// }
    /// assert_eq!(*lock.read(), 2);
    /// ```
    pub fn upgrade(this: Self) -> RwLockWriteGuard<'a, T> {
        // If this is unwound, `this` is dropped as a reader.
        this.lock.raw.upgrade(Until::Told);
        this.upgraded()
    }

    /// Writes, if nobody else reads.
    ///
    /// # Errors
    /// The guard, if others read.
    pub fn try_upgrade(this: Self) -> Result<RwLockWriteGuard<'a, T>, Self> {
        if this.lock.raw.try_upgrade() { Ok(this.upgraded()) } else { Err(this) }
    }

    /// Waits as [`upgrade`](Self::upgrade), for `timeout` at most.
    ///
    /// # Errors
    /// The guard, if others read still.
    pub fn try_upgrade_for(this: Self, timeout: Duration) -> Result<RwLockWriteGuard<'a, T>, Self> {
        match deadline(timeout) {
            Some(deadline) => Self::try_upgrade_until(this, deadline),
            None => Ok(Self::upgrade(this)),
        }
    }

    /// Waits as [`upgrade`](Self::upgrade), until `deadline` at most.
    ///
    /// # Errors
    /// The guard, if others read still.
    pub fn try_upgrade_until(this: Self, deadline: Instant) -> Result<RwLockWriteGuard<'a, T>, Self> {
        if this.lock.raw.upgrade(Until::Deadline(deadline)) { Ok(this.upgraded()) } else { Err(this) }
    }

    fn upgraded(self) -> RwLockWriteGuard<'a, T> {
        RwLockWriteGuard::new(ManuallyDrop::new(self).lock)
    }

    /// Reads on as any other. Another one may be the upgradable reader.
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T> {
        let lock = ManuallyDrop::new(this).lock;
        lock.raw.downgrade_upgradable();
        RwLockReadGuard::new(lock)
    }
}

impl<T: ?Sized> Deref for RwLockUpgradableReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held to read.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockUpgradableReadGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.raw.unlock_upgradable();
    }
}

show!(RwLockUpgradableReadGuard);
