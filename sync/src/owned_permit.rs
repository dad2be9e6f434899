//! [`OwnedPermit`]: permits that keep their semaphore.

use crate::semaphore::{AcquireError, Permit, Semaphore, TryAcquireError};
use std::fmt;
use std::future::Future;
use std::mem::take;
use std::sync::Arc;

/// Permits of a [`Semaphore`] that is shared by an [`Arc`]. They go back when this is dropped.
///
/// Unlike a [`Permit`] they borrow nothing, so they can be acquired before a goroutine is started, and move into it.
///
/// ```
/// use pirn::sync::Semaphore;
/// use std::sync::Arc;
///
/// pirn::run(|| {
///     let at_once = Arc::new(Semaphore::new(3));
///     let gs: Vec<_> = (0..10)
///         .map(|n| {
///             // No more than three are started before one has ended.
///             let permit = at_once.acquire_owned(1).unwrap();
///             pirn::go(move || {
///                 let _permit = permit;
///                 n
///             })
///         })
///         .collect();
///     assert_eq!(gs.into_iter().map(|g| g.join().unwrap()).sum::<u32>(), 45);
/// });
/// ```
#[must_use = "the permits go back at once if this is not kept"]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    n: usize,
}

impl Semaphore {
    /// As [`acquire`](Self::acquire), with permits that keep the semaphore.
    ///
    /// # Errors
    /// If the semaphore was closed.
    pub fn acquire_owned(self: &Arc<Self>, n: usize) -> Result<OwnedPermit, AcquireError> {
        self.acquire(n).map(|permit| OwnedPermit::of(permit, self))
    }

    /// As [`try_acquire`](Self::try_acquire), with permits that keep the semaphore.
    ///
    /// # Errors
    /// If they are not to be had now, or never.
    pub fn try_acquire_owned(self: &Arc<Self>, n: usize) -> Result<OwnedPermit, TryAcquireError> {
        self.try_acquire(n).map(|permit| OwnedPermit::of(permit, self))
    }

    /// As [`acquire_async`](Self::acquire_async), with a future and permits that keep the semaphore.
    pub fn acquire_owned_async(
        self: &Arc<Self>,
        n: usize,
    ) -> impl Future<Output = Result<OwnedPermit, AcquireError>> + Send + Sync + use<> {
        let semaphore = self.clone();
        async move {
            semaphore.acquire_async(n).await?.forget();
            Ok(OwnedPermit { semaphore, n })
        }
    }
}

impl OwnedPermit {
    /// The same permits of that semaphore.
    pub(crate) fn of(permit: Permit<'_>, semaphore: &Arc<Semaphore>) -> OwnedPermit {
        let n = permit.count();
        permit.forget();
        OwnedPermit { semaphore: semaphore.clone(), n }
    }

    /// How many permits these are.
    pub fn count(&self) -> usize {
        self.n
    }

    /// The semaphore that they are of.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// The permits do not go back.
    pub fn forget(mut self) {
        self.n = 0;
    }

    /// Splits off `n` of them. None if these are fewer.
    pub fn split(&mut self, n: usize) -> Option<OwnedPermit> {
        self.n = self.n.checked_sub(n)?;
        Some(OwnedPermit { semaphore: self.semaphore.clone(), n })
    }

    /// Adds others of the same semaphore to these.
    ///
    /// # Panics
    /// If they are another semaphore's.
    #[track_caller]
    pub fn merge(&mut self, mut other: OwnedPermit) {
        assert!(Arc::ptr_eq(&self.semaphore, &other.semaphore), "permits of two semaphores cannot be merged");
        self.n += take(&mut other.n);
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if self.n > 0 {
            self.semaphore.add_permits(self.n);
        }
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("count", &self.n).finish_non_exhaustive()
    }
}
