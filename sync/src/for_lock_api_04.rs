//! The raw locks under the guards of lock_api 0.4.
//!
//! lock_api locks in destructors (`unlocked`, `bump`), whose unwinding would leave a guard of a lock that is free. So a
//! wait without a deadline is not unwound here.

#![cfg(feature = "lock_api_04")]
#![allow(unsafe_code, reason = "what lock_api asks of a lock")]

use crate::loom::deadline;
use crate::lot::Until;
use crate::raw_mutex::RawMutex;
use crate::raw_rwlock::RawRwLock;
use lock_api_04 as lock_api;
use std::time::{Duration, Instant};

// SAFETY: it has one holder at a time (`raw_mutex.rs`, I1), and may be unlocked on another thread.
unsafe impl lock_api::RawMutex for RawMutex {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
    const INIT: RawMutex = RawMutex::new();

    type GuardMarker = lock_api::GuardSend;

    #[inline]
    fn lock(&self) {
        self.lock_for_certain();
    }

    #[inline]
    fn try_lock(&self) -> bool {
        RawMutex::try_lock(self)
    }

    #[inline]
    unsafe fn unlock(&self) {
        RawMutex::unlock(self);
    }

    fn is_locked(&self) -> bool {
        RawMutex::is_locked(self)
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexFair for RawMutex {
    unsafe fn unlock_fair(&self) {
        RawMutex::unlock_fair(self);
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> bool {
        match deadline(timeout) {
            Some(deadline) => self.try_lock_until(deadline),
            None => {
                self.lock_for_certain();
                true
            }
        }
    }

    fn try_lock_until(&self, timeout: Instant) -> bool {
        self.lock_until(timeout)
    }
}

// SAFETY: one writes, or some read (`raw_rwlock.rs`, I1), and any thread may unlock it.
unsafe impl lock_api::RawRwLock for RawRwLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
    const INIT: RawRwLock = RawRwLock::new();

    type GuardMarker = lock_api::GuardSend;

    #[inline]
    fn lock_shared(&self) {
        self.read_for_certain(false);
    }

    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.try_read()
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        self.unlock_read();
    }

    #[inline]
    fn lock_exclusive(&self) {
        self.write_for_certain();
    }

    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.try_write()
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        self.unlock_write();
    }

    fn is_locked(&self) -> bool {
        RawRwLock::is_locked(self)
    }

    fn is_locked_exclusive(&self) -> bool {
        RawRwLock::is_locked_exclusive(self)
    }
}

// SAFETY: nobody writes in between.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    unsafe fn downgrade(&self) {
        RawRwLock::downgrade(self);
    }
}

// SAFETY: as of `RawRwLock`.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_shared_for(&self, timeout: Duration) -> bool {
        match deadline(timeout) {
            Some(deadline) => self.try_lock_shared_until(deadline),
            None => {
                self.read_for_certain(false);
                true
            }
        }
    }

    fn try_lock_shared_until(&self, timeout: Instant) -> bool {
        self.read_until(timeout)
    }

    fn try_lock_exclusive_for(&self, timeout: Duration) -> bool {
        match deadline(timeout) {
            Some(deadline) => self.try_lock_exclusive_until(deadline),
            None => {
                self.write_for_certain();
                true
            }
        }
    }

    fn try_lock_exclusive_until(&self, timeout: Instant) -> bool {
        self.write_until(timeout)
    }
}

// SAFETY: as of `RawRwLock`.
unsafe impl lock_api::RawRwLockRecursive for RawRwLock {
    fn lock_shared_recursive(&self) {
        self.read_for_certain(true);
    }

    fn try_lock_shared_recursive(&self) -> bool {
        self.try_read_recursive()
    }
}

// SAFETY: the upgradable reader is one at a time (`raw_rwlock_upgrade.rs`), and a reader or the writer (I1).
unsafe impl lock_api::RawRwLockUpgrade for RawRwLock {
    fn lock_upgradable(&self) {
        self.read_upgradable(Until::ToldForCertain);
    }

    fn try_lock_upgradable(&self) -> bool {
        self.try_read_upgradable()
    }

    unsafe fn unlock_upgradable(&self) {
        RawRwLock::unlock_upgradable(self);
    }

    unsafe fn upgrade(&self) {
        RawRwLock::upgrade(self, Until::ToldForCertain);
    }

    unsafe fn try_upgrade(&self) -> bool {
        RawRwLock::try_upgrade(self)
    }
}

// SAFETY: nobody writes in between.
unsafe impl lock_api::RawRwLockUpgradeDowngrade for RawRwLock {
    unsafe fn downgrade_upgradable(&self) {
        RawRwLock::downgrade_upgradable(self);
    }

    unsafe fn downgrade_to_upgradable(&self) {
        RawRwLock::downgrade_to_upgradable(self);
    }
}

// SAFETY: as of `RawRwLockUpgrade`.
unsafe impl lock_api::RawRwLockUpgradeTimed for RawRwLock {
    fn try_lock_upgradable_for(&self, timeout: Duration) -> bool {
        self.read_upgradable(within(timeout))
    }

    fn try_lock_upgradable_until(&self, timeout: Instant) -> bool {
        self.read_upgradable(Until::Deadline(timeout))
    }

    unsafe fn try_upgrade_for(&self, timeout: Duration) -> bool {
        RawRwLock::upgrade(self, within(timeout))
    }

    unsafe fn try_upgrade_until(&self, timeout: Instant) -> bool {
        RawRwLock::upgrade(self, Until::Deadline(timeout))
    }
}

/// For so long; without an end if that is too long to have one.
fn within(timeout: Duration) -> Until<'static> {
    deadline(timeout).map_or(Until::ToldForCertain, Until::Deadline)
}
