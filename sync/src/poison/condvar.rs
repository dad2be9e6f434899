//! [`Condvar`].

use super::mutex::MutexGuard;
use crate::condvar::{self, WaitTimeoutResult};
use crate::mutex;
use std::sync::{LockResult, PoisonError};
use std::time::Duration;

/// As [`std::sync::Condvar`], for the [`Mutex`](super::Mutex) of this module; see [`crate::Condvar`] for how it waits.
#[derive(Debug, Default)]
pub struct Condvar {
    inner: condvar::Condvar,
}

impl Condvar {
    /// One that nobody waits for.
    pub const fn new() -> Condvar {
        Condvar { inner: condvar::Condvar::new() }
    }

    /// Unlocks the mutex, waits until notified, and locks it again.
    ///
    /// # Errors
    /// The guard, if the mutex is poisoned.
    pub fn wait<'a, T: ?Sized>(&self, mut guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.inner.wait(&mut guard.inner);
        again(guard)
    }

    /// Waits as long as `condition` holds.
    ///
    /// # Errors
    /// The guard, if the mutex is poisoned.
    pub fn wait_while<'a, T: ?Sized, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits until notified, or until `timeout` has passed.
    ///
    /// # Errors
    /// The guard, if the mutex is poisoned.
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.wait_by(guard, |condvar, guard| condvar.wait_timeout(guard, timeout))
    }

    /// Waits as long as `condition` holds, or until `timeout` has passed.
    ///
    /// # Errors
    /// The guard, if the mutex is poisoned.
    pub fn wait_timeout_while<'a, T: ?Sized, F>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        self.wait_by(guard, |condvar, guard| condvar.wait_timeout_while(guard, timeout, condition))
    }

    /// Waits in that way. The guard comes back with what it says.
    pub(crate) fn wait_by<'a, T: ?Sized, R>(
        &self,
        mut guard: MutexGuard<'a, T>,
        wait: impl FnOnce(&condvar::Condvar, &mut mutex::MutexGuard<'a, T>) -> R,
    ) -> LockResult<(MutexGuard<'a, T>, R)> {
        let result = wait(&self.inner, &mut guard.inner);
        match again(guard) {
            Ok(guard) => Ok((guard, result)),
            Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), result))),
        }
    }

    /// Notifies the one that has waited longest, if there is one.
    pub fn notify_one(&self) {
        self.inner.notify_one();
    }

    /// Notifies all that wait.
    pub fn notify_all(&self) {
        self.inner.notify_all();
    }
}

/// The guard, after a wait in which others had the mutex.
fn again<T: ?Sized>(guard: MutexGuard<'_, T>) -> LockResult<MutexGuard<'_, T>> {
    let poison = guard.watch.poison;
    poison.result(guard)
}
