//! Why there are no more tries.

use pirn_sync::context::ContextError;
use std::fmt;

/// A call has failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryError<E> {
    /// Why there are no more tries.
    pub why: GaveUp,
    /// The error of the last try. None: the context had ended before the first one.
    pub error: Option<E>,
    /// How many tries there were.
    pub tries: u32,
}

/// Why a call is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// There were as many tries as there may be.
    Tries,
    /// The error is not one that another try helps against.
    NotRetryable,
    /// The next try would be too late, by the limit of the time for all of them.
    Time,
    /// The budget has no retry left.
    Budget,
    /// The context has ended, or will have before the next try.
    Ended(ContextError),
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GaveUp::Tries => f.write_str("no tries are left"),
            GaveUp::NotRetryable => f.write_str("the error is not to be retried"),
            GaveUp::Time => f.write_str("no time is left"),
            GaveUp::Budget => f.write_str("the retry budget is empty"),
            GaveUp::Ended(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Display> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gave up after {} tries, as {}", self.tries, self.why)?;
        self.error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for RetryError<E> {}
