//! Why a breaker does not make a call.

use pirn_sync::context::ContextError;
use std::fmt;
use std::time::Duration;

/// A breaker has not admitted a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It is open for this time.
    Open(Duration),
    /// It is half-open, and as many trials as it wants are running.
    HalfOpen,
}

/// Why there is no result of a call through a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerError<E> {
    /// The call was not made.
    Rejected(Rejected),
    /// The context had ended before: the call was not made.
    Ended(ContextError),
    /// The call was made, and failed.
    Failed(E),
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejected::Open(left) => write!(f, "the circuit breaker is open for {left:?}"),
            Rejected::HalfOpen => f.write_str("the circuit breaker is half-open, and its trials are running"),
        }
    }
}

impl std::error::Error for Rejected {}

impl<E: fmt::Display> fmt::Display for BreakerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BreakerError::Rejected(rejected) => rejected.fmt(f),
            BreakerError::Ended(error) => error.fmt(f),
            BreakerError::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for BreakerError<E> {}
