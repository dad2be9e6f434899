//! The raw locks under the guards of lock_api 0.5.
//!
//! Our condition variable is under that of lock_api too: `lock_api::Condvar<pirn::sync::Condvar>`.
//!
//! lock_api locks in destructors (`unlocked`, `bump`), whose unwinding would leave a guard of a lock that is free. So a
//! wait without a deadline is not unwound here.

#![cfg(feature = "lock_api_05")]
#![allow(unsafe_code, reason = "what lock_api asks of a lock")]

use crate::condvar::Condvar;
use crate::loom::deadline;
use crate::lot::Until;
use crate::raw_mutex::RawMutex;
use crate::raw_rwlock::RawRwLock;
use lock_api_05 as lock_api;
use std::time::{Duration, Instant};

// SAFETY: it has one holder at a time (`raw_mutex.rs`, I1), and may be unlocked on another thread.
unsafe impl lock_api::RawMutex for RawMutex {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
    const INIT: RawMutex = RawMutex::new();

    type Guard = ();

    #[inline]
    fn lock(&self) -> Self::Guard {
        self.lock_for_certain();
    }

    #[inline]
    fn try_lock(&self) -> Option<Self::Guard> {
        RawMutex::try_lock(self).then_some(())
    }

    #[inline]
    unsafe fn unlock(&self, _: Self::Guard) {
        RawMutex::unlock(self);
    }

    fn is_locked(&self) -> bool {
        RawMutex::is_locked(self)
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexFair for RawMutex {
    unsafe fn unlock_fair(&self, _: Self::Guard) {
        RawMutex::unlock_fair(self);
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> Option<Self::Guard> {
        match deadline(timeout) {
            Some(deadline) => self.try_lock_until(deadline),
            None => {
                self.lock_for_certain();
                Some(())
            }
        }
    }

    fn try_lock_until(&self, timeout: Instant) -> Option<Self::Guard> {
        self.lock_until(timeout).then_some(())
    }
}

// SAFETY: one writes, or some read (`raw_rwlock.rs`, I1), and any thread may unlock it.
unsafe impl lock_api::RawRwLock for RawRwLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
    const INIT: RawRwLock = RawRwLock::new();

    type SharedGuard = ();
    type ExclusiveGuard = ();

    #[inline]
    fn lock_shared(&self) -> Self::SharedGuard {
        self.read_for_certain(false);
    }

    #[inline]
    fn try_lock_shared(&self) -> Option<Self::SharedGuard> {
        self.try_read().then_some(())
    }

    #[inline]
    unsafe fn unlock_shared(&self, _: Self::SharedGuard) {
        self.unlock_read();
    }

    #[inline]
    fn lock_exclusive(&self) -> Self::ExclusiveGuard {
        self.write_for_certain();
    }

    #[inline]
    fn try_lock_exclusive(&self) -> Option<Self::ExclusiveGuard> {
        self.try_write().then_some(())
    }

    #[inline]
    unsafe fn unlock_exclusive(&self, _: Self::ExclusiveGuard) {
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
    unsafe fn downgrade(&self, _: Self::ExclusiveGuard) -> Self::SharedGuard {
        RawRwLock::downgrade(self);
    }
}

// SAFETY: as of `RawRwLock`.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_shared_for(&self, timeout: Duration) -> Option<Self::SharedGuard> {
        match deadline(timeout) {
            Some(deadline) => self.try_lock_shared_until(deadline),
            None => {
                self.read_for_certain(false);
                Some(())
            }
        }
    }

    fn try_lock_shared_until(&self, timeout: Instant) -> Option<Self::SharedGuard> {
        self.read_until(timeout).then_some(())
    }

    fn try_lock_exclusive_for(&self, timeout: Duration) -> Option<Self::ExclusiveGuard> {
        match deadline(timeout) {
            Some(deadline) => self.try_lock_exclusive_until(deadline),
            None => {
                self.write_for_certain();
                Some(())
            }
        }
    }

    fn try_lock_exclusive_until(&self, timeout: Instant) -> Option<Self::ExclusiveGuard> {
        self.write_until(timeout).then_some(())
    }
}

// SAFETY: the upgradable reader is one at a time (`raw_rwlock_upgrade.rs`), and a reader or the writer (I1).
unsafe impl lock_api::RawRwLockUpgrade for RawRwLock {
    type UpgradableGuard = ();

    fn lock_upgradable(&self) -> Self::UpgradableGuard {
        self.read_upgradable(Until::ToldForCertain);
    }

    fn try_lock_upgradable(&self) -> Option<Self::UpgradableGuard> {
        self.try_read_upgradable().then_some(())
    }

    unsafe fn unlock_upgradable(&self, _: Self::UpgradableGuard) {
        RawRwLock::unlock_upgradable(self);
    }

    unsafe fn upgrade(&self, _: Self::UpgradableGuard) -> Self::ExclusiveGuard {
        RawRwLock::upgrade(self, Until::ToldForCertain);
    }

    unsafe fn try_upgrade(&self, _: Self::UpgradableGuard) -> Result<Self::ExclusiveGuard, Self::UpgradableGuard> {
        RawRwLock::try_upgrade(self).then_some(()).ok_or(())
    }
}

// SAFETY: nobody writes in between.
unsafe impl lock_api::RawRwLockUpgradeDowngrade for RawRwLock {
    unsafe fn downgrade_upgradable(&self, _: Self::UpgradableGuard) -> Self::SharedGuard {
        RawRwLock::downgrade_upgradable(self);
    }

    unsafe fn downgrade_to_upgradable(&self, _: Self::ExclusiveGuard) -> Self::UpgradableGuard {
        RawRwLock::downgrade_to_upgradable(self);
    }
}

// SAFETY: as of `RawRwLockUpgrade`.
unsafe impl lock_api::RawRwLockUpgradeTimed for RawRwLock {
    fn try_lock_upgradable_for(&self, timeout: Duration) -> Option<Self::UpgradableGuard> {
        self.read_upgradable(within(timeout)).then_some(())
    }

    fn try_lock_upgradable_until(&self, timeout: Instant) -> Option<Self::UpgradableGuard> {
        self.read_upgradable(Until::Deadline(timeout)).then_some(())
    }

    unsafe fn try_upgrade_for(
        &self,
        _: Self::UpgradableGuard,
        timeout: Duration,
    ) -> Result<Self::ExclusiveGuard, Self::UpgradableGuard> {
        RawRwLock::upgrade(self, within(timeout)).then_some(()).ok_or(())
    }

    unsafe fn try_upgrade_until(
        &self,
        _: Self::UpgradableGuard,
        timeout: Instant,
    ) -> Result<Self::ExclusiveGuard, Self::UpgradableGuard> {
        RawRwLock::upgrade(self, Until::Deadline(timeout)).then_some(()).ok_or(())
    }
}

/// For so long; without an end if that is too long to have one.
fn within(timeout: Duration) -> Until<'static> {
    deadline(timeout).map_or(Until::ToldForCertain, Until::Deadline)
}

// SAFETY: whoever waits has the mutex again when the wait ends, also if it is unwound. It waits with any mutex.
unsafe impl lock_api::RawCondvar for Condvar {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
    const INIT: Condvar = Condvar::new();

    type RawMutex = RawMutex;

    unsafe fn wait(&self, mutex: &RawMutex, (): &mut ()) {
        self.wait_within(mutex, Until::Told);
    }

    fn notify_one(&self) -> bool {
        self.tells_one()
    }

    fn notify_all(&self) -> usize {
        self.tells_all()
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawCondvarTimed for Condvar {
    fn checked_duration_to_instant(timeout: &Duration) -> Option<Instant> {
        deadline(*timeout)
    }

    unsafe fn wait_until(&self, mutex: &RawMutex, (): &mut (), timeout: &Instant) -> bool {
        !self.wait_within(mutex, Until::Deadline(*timeout))
    }
}
