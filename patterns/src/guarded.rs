//! A bulkhead and a circuit breaker around the same calls, in the right order.

use crate::breaker::{BreakerError, CircuitBreaker, Rejected};
use crate::bulkhead::{Bulkhead, BulkheadError};
use crate::keyed::{self, AsNew};
use pirn_sync::context::{Context, ContextError};
use std::fmt;

/// Calls in a [`Bulkhead`] behind a [`CircuitBreaker`].
///
/// While the breaker is open, calls are rejected at once: they neither wait in the line nor take a place. A call that
/// comes to its place asks the breaker then, which may have opened meanwhile; so no trial of a half-open breaker waits
/// in the line. A full bulkhead is no failure of the other side, and does not count as one.
///
/// ```
/// use pirn::patterns::breaker::CircuitBreaker;
/// use pirn::patterns::bulkhead::Bulkhead;
/// use pirn::patterns::guarded::{Guarded, GuardedError};
///
/// let payments = Guarded::new(CircuitBreaker::builder().failures(1).build(), Bulkhead::new(10, 20));
/// assert_eq!(payments.call(|| Ok::<_, &str>(7)), Ok(7));
/// assert_eq!(payments.call(|| Err::<(), _>("refused")), Err(GuardedError::Failed("refused")));
/// assert!(matches!(payments.call(|| Ok::<_, &str>(7)), Err(GuardedError::Broken(_))));
/// ```
#[derive(Debug)]
pub struct Guarded {
    breaker: CircuitBreaker,
    bulkhead: Bulkhead,
}

/// Why there is no result of a guarded call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardedError<E> {
    /// The breaker is not closed. The call was not made.
    Broken(Rejected),
    /// All places are taken, and the line is full. The call was not made.
    Full,
    /// No place became free in time. The call was not made.
    TimedOut,
    /// The context has ended. The call was not made.
    Ended(ContextError),
    /// The call was made, and failed.
    Failed(E),
}

impl Guarded {
    /// Both around the same calls.
    pub const fn new(breaker: CircuitBreaker, bulkhead: Bulkhead) -> Guarded {
        Guarded { breaker, bulkhead }
    }

    /// Calls `f` if the breaker admits it, when there is a place.
    ///
    /// # Errors
    /// If the call was not made, or has failed.
    pub fn call<T, E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, GuardedError<E>> {
        self.call_ctx(&Context::background(), |_| f())
    }

    /// As [`call`](Self::call), with a context, which ends a wait, and which `f` gets.
    ///
    /// # Errors
    /// If the call was not made, or has failed.
    pub fn call_ctx<T, E>(
        &self,
        context: &Context,
        f: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<T, GuardedError<E>> {
        self.breaker.reject_early().map_err(GuardedError::Broken)?;
        let _place = self.bulkhead.enter_ctx(context).map_err(|error| match error {
            BulkheadError::Full => GuardedError::Full,
            BulkheadError::TimedOut => GuardedError::TimedOut,
            BulkheadError::Ended(error) => GuardedError::Ended(error),
        })?;
        self.breaker.call_ctx(context, f).map_err(|error| match error {
            BreakerError::Rejected(rejected) => GuardedError::Broken(rejected),
            BreakerError::Ended(error) => GuardedError::Ended(error),
            BreakerError::Failed(error) => GuardedError::Failed(error),
        })
    }

    /// The breaker.
    pub const fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    /// The bulkhead.
    pub const fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }
}

impl AsNew for Guarded {}

impl keyed::Sealed for Guarded {
    fn is_as_new(&self) -> bool {
        keyed::Sealed::is_as_new(&self.breaker) && keyed::Sealed::is_as_new(&self.bulkhead)
    }
}

impl<E: fmt::Display> fmt::Display for GuardedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuardedError::Broken(rejected) => rejected.fmt(f),
            GuardedError::Full => BulkheadError::Full.fmt(f),
            GuardedError::TimedOut => BulkheadError::TimedOut.fmt(f),
            GuardedError::Ended(error) => error.fmt(f),
            GuardedError::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for GuardedError<E> {}
