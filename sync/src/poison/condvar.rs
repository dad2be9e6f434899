//! [`Condvar`].

use super::mutex::MutexGuard;
use crate::condvar::{self, WaitTimeoutResult};
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
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let result = self.inner.wait_timeout(&mut guard.inner, timeout);
        with(result, again(guard))
    }

    /// Waits as long as `condition` holds, or until `timeout` has passed.
    ///
    /// # Errors
    /// The guard, if the mutex is poisoned.
    pub fn wait_timeout_while<'a, T: ?Sized, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let result = self.inner.wait_timeout_while(&mut guard.inner, timeout, condition);
        with(result, again(guard))
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

/// The guard with what the wait said.
fn with<G>(result: WaitTimeoutResult, guard: LockResult<G>) -> LockResult<(G, WaitTimeoutResult)> {
    match guard {
        Ok(guard) => Ok((guard, result)),
        Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), result))),
    }
}
