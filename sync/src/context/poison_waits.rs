//! Waits of the locks with poisoning that end with a context: as those without it (`waits.rs`), with std's results inside.

#![cfg(not(loom))]

use super::error::ContextError;
use super::handle::Context;
use crate::poison::{Condvar, LockResult, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock, or until the context ends. The result inside says whether the mutex is poisoned.
    ///
    /// # Errors
    /// If the context has ended: before, also if the lock is free, or meanwhile.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    /// use pirn::sync::poison::Mutex;
    ///
    /// fn add(context: &Context, sum: &Mutex<u32>) -> Result<(), ContextError> {
    ///     *sum.lock_ctx(context)?.unwrap() += 1;
    ///     Ok(())
    /// }
    ///
    /// let (context, cancel) = Context::background().with_cancel();
    /// let sum = Mutex::new(1);
    /// add(&context, &sum).unwrap();
    /// cancel.cancel();
    /// assert_eq!(add(&context, &sum), Err(ContextError::Cancelled));
    /// assert_eq!(*sum.lock().unwrap(), 2);
    /// ```
    pub fn lock_ctx(&self, context: &Context) -> Result<LockResult<MutexGuard<'_, T>>, ContextError> {
        context.limit_strictly(|until| self.lock_within(until))
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits as [`read`](Self::read), or until the context ends. The result inside says whether the lock is poisoned.
    ///
    /// # Errors
    /// If the context has ended: before, also if the lock is free, or meanwhile.
    pub fn read_ctx(&self, context: &Context) -> Result<LockResult<RwLockReadGuard<'_, T>>, ContextError> {
        context.limit_strictly(|until| self.read_within(until))
    }

    /// Waits as [`write`](Self::write), or until the context ends. The result inside says whether the lock is poisoned.
    ///
    /// # Errors
    /// If the context has ended: before, also if the lock is free, or meanwhile.
    pub fn write_ctx(&self, context: &Context) -> Result<LockResult<RwLockWriteGuard<'_, T>>, ContextError> {
        context.limit_strictly(|until| self.write_within(until))
    }
}

impl Condvar {
    /// Unlocks the mutex, waits until notified or until the context ends, and locks it again. The guard comes back with
    /// what has ended the wait: an error if the context has ended, before or meanwhile; it has not been notified then.
    ///
    /// # Errors
    /// The same, if the mutex is poisoned.
    pub fn wait_ctx<'a, T: ?Sized>(
        &self,
        context: &Context,
        guard: MutexGuard<'a, T>,
    ) -> LockResult<(MutexGuard<'a, T>, Result<(), ContextError>)> {
        self.wait_by(guard, |condvar, guard| condvar.wait_ctx(context, guard))
    }

    /// Waits as long as `condition` holds, or until the context ends. The guard comes back with what has ended the wait:
    /// an error if the context has ended and the condition still holds.
    ///
    /// # Errors
    /// The same, if the mutex is poisoned.
    pub fn wait_while_ctx<'a, T: ?Sized>(
        &self,
        context: &Context,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, Result<(), ContextError>)> {
        self.wait_by(guard, |condvar, guard| condvar.wait_while_ctx(context, guard, condition))
    }
}
