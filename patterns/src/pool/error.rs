//! Why a pool does not take a job.

use pirn_sync::context::ContextError;
use std::error::Error;
use std::fmt;

/// A job that a pool has not taken: why, and the closure.
pub struct SubmitError<F> {
    /// Why.
    pub why: Refusal,
    /// What was to be run.
    pub f: F,
}

/// Why a pool does not take a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room in its queue.
    Full,
    /// It is shut down.
    Closed,
    /// The caller's context has ended.
    Ended(ContextError),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Full => f.write_str("the queue of the pool is full"),
            Refusal::Closed => f.write_str("the pool is shut down"),
            Refusal::Ended(error) => error.fmt(f),
        }
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError").field("why", &self.why).finish_non_exhaustive()
    }
}

impl Error for Refusal {}

impl<F> Error for SubmitError<F> {}
