//! Waits that end with a context: of all that can be locked, acquired or waited for here.
//!
//! Such a wait stands in its line as any other. When it has to wait it also has itself unparked at the end of the context
//! (`end.rs`). Awake, it looks whether it has been told, and then whether the context has ended; then it withdraws, as at
//! a deadline.

use super::end::End;
use super::error::ContextError;
use super::handle::Context;
use crate::barrier::{Barrier, BarrierWaitResult};
use crate::condvar::Condvar;
use crate::event::Event;
use crate::lot::Until;
use crate::mutex::{Mutex, MutexGuard};
use crate::notify::Notify;
use crate::owned_permit::OwnedPermit;
use crate::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::semaphore::{Permit, Semaphore, TryAcquireError};
use crate::wait_group::WaitGroup;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

impl Context {
    /// Does a wait of which nothing is left if it returns none, unless the context has ended before. What it has got
    /// counts, also if the context ends meanwhile.
    pub(crate) fn limit<R>(&self, wait: impl FnOnce(Until<'_>) -> Option<R>) -> Result<R, ContextError> {
        self.check()?;
        let result = match &self.branch {
            None => wait(Until::Told),
            Some(branch) => wait(Until::Ended(&End::of(branch))),
        };
        result.ok_or_else(|| self.err().expect("only the end of the context ends the wait"))
    }

    /// The same, for what is given back when it is dropped: that does not outlive the context's end.
    pub(super) fn limit_strictly<R>(&self, wait: impl FnOnce(Until<'_>) -> Option<R>) -> Result<R, ContextError> {
        let result = self.limit(wait)?;
        self.check()?;
        Ok(result)
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock, or until the context ends.
    ///
    /// # Errors
    /// If the context has ended: before, also if the lock is free, or meanwhile.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    /// use pirn::sync::Mutex;
    /// use std::time::Duration;
    ///
    /// let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(1));
    /// let mutex = Mutex::new(1);
    /// let guard = mutex.lock();
    /// assert_eq!(mutex.lock_ctx(&context).err(), Some(ContextError::DeadlineExceeded));
    /// # drop(guard);
    /// ```
    pub fn lock_ctx(&self, context: &Context) -> Result<MutexGuard<'_, T>, ContextError> {
        context.limit_strictly(|until| self.lock_within(until))
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits as [`read`](Self::read), or until the context ends.
    ///
    /// # Errors
    /// If the context has ended: before, also if the lock is free, or meanwhile.
    pub fn read_ctx(&self, context: &Context) -> Result<RwLockReadGuard<'_, T>, ContextError> {
        context.limit_strictly(|until| self.read_within(until))
    }

    /// Waits as [`write`](Self::write), or until the context ends.
    ///
    /// # Errors
    /// If the context has ended: before, also if the lock is free, or meanwhile.
    pub fn write_ctx(&self, context: &Context) -> Result<RwLockWriteGuard<'_, T>, ContextError> {
        context.limit_strictly(|until| self.write_within(until))
    }
}

impl Semaphore {
    /// Waits for `n` permits as [`acquire`](Self::acquire), or until the context ends: `Weighted.Acquire` of Go's
    /// `x/sync/semaphore`.
    ///
    /// # Errors
    /// If the context has ended: before, also if there are permits, or meanwhile; or if the semaphore was closed.
    ///
    /// ```
    /// use pirn::context::{AcquireCtxError, Context, ContextError};
    /// use pirn::sync::Semaphore;
    ///
    /// let (context, cancel) = Context::background().with_cancel();
    /// let semaphore = Semaphore::new(2);
    /// assert_eq!(semaphore.acquire_ctx(&context, 2).unwrap().count(), 2);
    /// cancel.cancel();
    /// assert_eq!(semaphore.acquire_ctx(&context, 1).err(), Some(AcquireCtxError::Ended(ContextError::Cancelled)));
    /// ```
    pub fn acquire_ctx(&self, context: &Context, n: usize) -> Result<Permit<'_>, AcquireCtxError> {
        let acquired = context.limit_strictly(|until| match self.acquire_within(n, until) {
            Err(TryAcquireError::NoPermits) => None,
            result => Some(result),
        });
        match acquired {
            Ok(permit) => permit.map_err(|_| AcquireCtxError::Closed),
            Err(error) => Err(AcquireCtxError::Ended(error)),
        }
    }

    /// As [`acquire_ctx`](Self::acquire_ctx), with permits that keep the semaphore.
    ///
    /// # Errors
    /// As there.
    pub fn acquire_owned_ctx(self: &Arc<Self>, context: &Context, n: usize) -> Result<OwnedPermit, AcquireCtxError> {
        self.acquire_ctx(context, n).map(|permit| OwnedPermit::of(permit, self))
    }
}

/// Why [`Semaphore::acquire_ctx`] has no permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireCtxError {
    /// The semaphore was closed: there will be none.
    Closed,
    /// The context has ended.
    Ended(ContextError),
}

impl fmt::Display for AcquireCtxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcquireCtxError::Closed => f.write_str("the semaphore is closed"),
            AcquireCtxError::Ended(error) => error.fmt(f),
        }
    }
}

impl Error for AcquireCtxError {}

impl Condvar {
    /// Unlocks the mutex, waits until notified or until the context ends, and locks it again.
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile. It has not been notified then.
    pub fn wait_ctx<T: ?Sized>(&self, context: &Context, guard: &mut MutexGuard<'_, T>) -> Result<(), ContextError> {
        context.limit(|until| self.wait_within(guard.raw(), until).then_some(()))
    }

    /// Waits as long as `condition` holds, which is called with the mutex locked, or until the context ends.
    ///
    /// # Errors
    /// If the context has ended and the condition still holds.
    pub fn wait_while_ctx<T: ?Sized>(
        &self,
        context: &Context,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<(), ContextError> {
        while condition(guard) {
            if let Err(error) = self.wait_ctx(context, guard) {
                return if condition(guard) { Err(error) } else { Ok(()) };
            }
        }
        Ok(())
    }
}

impl WaitGroup {
    /// Waits until the count is zero, or until the context ends.
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    /// use pirn::sync::WaitGroup;
    ///
    /// pirn::run(|| {
    ///     let (context, cancel) = Context::background().with_cancel();
    ///     let group = WaitGroup::new();
    ///     let token = group.token();
    ///     pirn::go(move || cancel.cancel());
    ///     assert_eq!(group.wait_ctx(&context), Err(ContextError::Cancelled));
    ///     drop(token);
    ///     assert_eq!(group.wait_ctx(&Context::background()), Ok(()));
    /// });
    /// ```
    pub fn wait_ctx(&self, context: &Context) -> Result<(), ContextError> {
        context.limit(|until| self.wait_within(until).then_some(()))
    }
}

impl Event {
    /// Waits until it is set, or until the context ends.
    ///
    /// # Errors
    /// If the context has ended: before, also if the event is set, or meanwhile.
    pub fn wait_ctx(&self, context: &Context) -> Result<(), ContextError> {
        context.limit(|until| self.wait_within(until).then_some(()))
    }
}

impl Notify {
    /// Waits until notified, or until the context ends.
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile. It has not been notified then, and a permit stays.
    pub fn wait_ctx(&self, context: &Context) -> Result<(), ContextError> {
        context.limit(|until| self.wait_within(until).then_some(()))
    }
}

impl Barrier {
    /// Arrives, and waits until all have, or until the context ends: then the caller has not arrived.
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile.
    pub fn wait_ctx(&self, context: &Context) -> Result<BarrierWaitResult, ContextError> {
        context.limit(|until| self.wait_within(until))
    }
}
