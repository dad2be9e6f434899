//! A limit that several processes share, by a store that all of them reach.

use super::algorithm::Refused;
use super::limiter::WaitError;
use pirn_sync::context::Context;
use std::fmt;
use std::time::Duration;

/// A rate, and the size of a burst, in whole numbers, so that all who share it compute alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many nanoseconds one permit stands for.
    pub interval_ns: u64,
    /// How many may be used at once after a pause.
    pub burst: u64,
}

impl Quota {
    /// One permit in each interval, and up to `burst` at once.
    ///
    /// # Panics
    /// If the interval is zero, or more than 584 years.
    pub fn every(interval: Duration, burst: u64) -> Quota {
        let interval_ns = u64::try_from(interval.as_nanos()).expect("an interval that fits 64 bits of nanoseconds");
        assert!(interval_ns > 0, "an interval of zero is no limit");
        Quota { interval_ns, burst }
    }

    /// What an atomic step of a store does: GCRA, the generic cell rate algorithm. A store keeps one number for each
    /// key, `owed_until_ns`: the moment at which its bucket is full again. It is zero where the store has none.
    ///
    /// All times are in nanoseconds since any moment that all who share the store count from: use the store's clock.
    ///
    /// Returns what is to be kept, and how long the caller has to wait.
    ///
    /// # Errors
    /// Nothing is to be kept then. If the wait would be longer than `wait_max_ns`, or `n` more than the burst.
    ///
    /// ```
    /// use pirn::patterns::rate::{Quota, Refused};
    /// use std::time::Duration;
    ///
    /// let quota = Quota::every(Duration::from_nanos(10), 2);
    /// // Two at once, and the third 10 ns later.
    /// let (kept, wait) = quota.step(0, 1000, 2, 0).unwrap();
    /// assert_eq!((kept, wait), (1020, Duration::ZERO));
    /// assert_eq!(quota.step(kept, 1000, 1, 0), Err(Refused::NotYet(Duration::from_nanos(10))));
    /// assert_eq!(quota.step(kept, 1000, 1, 50), Ok((1030, Duration::from_nanos(10))));
    /// ```
    pub fn step(self, owed_until_ns: u64, now_ns: u64, n: u64, wait_max_ns: u64) -> Result<(u64, Duration), Refused> {
        if n > self.burst {
            return Err(Refused::Never);
        }
        let cost = n.checked_mul(self.interval_ns).ok_or(Refused::Never)?;
        let full_at = owed_until_ns.max(now_ns).checked_add(cost).ok_or(Refused::Never)?;
        let capacity = self.interval_ns.saturating_mul(self.burst);
        let wait = full_at.saturating_sub(now_ns.saturating_add(capacity));
        if wait > wait_max_ns {
            return Err(Refused::NotYet(Duration::from_nanos(wait - wait_max_ns)));
        }
        Ok((full_at, Duration::from_nanos(wait)))
    }
}

/// Where the state of limits is kept: a table of numbers that all who share a limit reach.
///
/// Its one step has to be atomic: a script of Redis, a transaction, a lock. It may block the goroutine that calls it.
/// The example `shared_limit` has one for Redis; [`MemoryStore`](super::MemoryStore) is for tests and single processes.
pub trait Store: Send + Sync {
    /// Why the store could not be asked.
    type Error;

    /// Does what [`Quota::step`] says with the number of `key`, atomically, by the store's own clock. A number that has
    /// passed may be deleted.
    ///
    /// # Errors
    /// The outer error: the store could not be asked. The inner one is that of `Quota::step`.
    fn step(
        &self,
        key: &str,
        quota: Quota,
        n: u64,
        wait_max: Duration,
    ) -> Result<Result<Duration, Refused>, Self::Error>;
}

/// A rate limit that several processes share by way of a [`Store`], with a key for each thing that is limited.
///
/// A caller that waits has taken its permits in the store before it sleeps. So all callers of all processes are served
/// in the order in which the store has seen them, and no more events happen than the limit says. Permits of a wait that
/// is given up are lost.
///
/// Each call asks the store once. Where several permits in one process may come from one call, take them in blocks
/// (`allow_n`), and give them out by a [`RateLimiter`](super::RateLimiter).
///
/// ```
/// use pirn::patterns::rate::{MemoryStore, Quota, SharedLimiter};
/// use std::time::Duration;
///
/// let store = MemoryStore::new();
/// let limit = SharedLimiter::new(&store, Quota::every(Duration::from_secs(60), 2));
/// assert_eq!(limit.allow_n("ann", 2), Ok(true));
/// assert_eq!(limit.allow_n("ann", 1), Ok(false));
/// assert_eq!(limit.allow_n("bob", 1), Ok(true));
/// ```
#[derive(Clone, Debug)]
pub struct SharedLimiter<S> {
    store: S,
    quota: Quota,
}

/// Why a wait for a shared limit has no permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedError<E> {
    /// The store could not be asked. Whether the event may happen all the same, the caller has to decide.
    Store(E),
    /// There are none in time, or the context has ended.
    Wait(WaitError),
}

impl<S: Store> SharedLimiter<S> {
    /// Limits each key of a store to a quota. All who share it have to say the same.
    pub const fn new(store: S, quota: Quota) -> SharedLimiter<S> {
        SharedLimiter { store, quota }
    }

    /// Whether `n` events may happen now. If so, they count.
    ///
    /// # Errors
    /// If the store could not be asked.
    pub fn allow_n(&self, key: &str, n: u64) -> Result<bool, S::Error> {
        Ok(self.store.step(key, self.quota, n, Duration::ZERO)?.is_ok())
    }

    /// Waits until `n` events may happen, or the context ends. A wait past its deadline is not begun.
    ///
    /// # Errors
    /// If the store could not be asked; if there are none before the deadline, or ever; if the context has ended,
    /// before or meanwhile: in the last case the permits are lost.
    pub fn wait_ctx(&self, context: &Context, key: &str, n: u64) -> Result<(), SharedError<S::Error>> {
        let ended = |error| SharedError::Wait(WaitError::Ended(error));
        context.check().map_err(ended)?;
        let now = pirn_runtime::internal::now;
        let left = context.deadline().map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now()));
        let stepped = self.store.step(key, self.quota, n, left).map_err(SharedError::Store)?;
        let wait = stepped.map_err(|refused| SharedError::Wait(WaitError::Refused(refused)))?;
        if wait.is_zero() {
            return Ok(());
        }
        context.sleep(wait).map_err(ended)
    }
}

impl<S: Store + ?Sized> Store for &S {
    type Error = S::Error;

    fn step(
        &self,
        key: &str,
        quota: Quota,
        n: u64,
        wait_max: Duration,
    ) -> Result<Result<Duration, Refused>, Self::Error> {
        (**self).step(key, quota, n, wait_max)
    }
}

impl<E: fmt::Display> fmt::Display for SharedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SharedError::Store(error) => write!(f, "the store of the rate limit: {error}"),
            SharedError::Wait(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for SharedError<E> {}
