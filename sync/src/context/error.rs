//! Why a context has ended.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// How a [`Context`](super::Context) has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContextError {
    /// It was cancelled: Go's `context.Canceled`.
    Cancelled,
    /// Its deadline, or one of its ancestors', has passed: Go's `context.DeadlineExceeded`.
    DeadlineExceeded,
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ContextError::Cancelled => "context cancelled",
            ContextError::DeadlineExceeded => "context deadline exceeded",
        })
    }
}

impl Error for ContextError {}

/// What has caused the end of a context: an error of the user's, shared by all contexts that it has ended.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Shares what the user gives as a cause.
pub(super) fn cause_of(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Cause {
    Arc::from(cause.into())
}
