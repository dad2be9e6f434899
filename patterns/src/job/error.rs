//! Why a job has no result.

use std::any::Any;
use std::error::Error;
use std::fmt;

/// Why a job has no result.
pub enum JobError {
    /// It panicked, with this payload. If its runtime was shut down it is `pirn::ShutDown`.
    Panicked(Box<dyn Any + Send>),
    /// It was cancelled before it began.
    Cancelled,
    /// Its deadline came before it began.
    DeadlineExceeded,
    /// It was dropped before it began, by who had taken it back, or because its runtime was shut down.
    Dropped,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::Panicked(payload) => {
                let text = payload.downcast_ref::<&str>().copied();
                match text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)) {
                    Some(text) => write!(f, "the job panicked: {text}"),
                    None => f.write_str("the job panicked"),
                }
            }
            JobError::Cancelled => f.write_str("the job was cancelled before it began"),
            JobError::DeadlineExceeded => f.write_str("the deadline of the job came before it began"),
            JobError::Dropped => f.write_str("the job was dropped before it began"),
        }
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobError({self})")
    }
}

impl Error for JobError {}
