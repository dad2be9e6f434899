//! [`Job`]: the handle of a job.

use super::cell::{Cell, Phase};
use super::error::JobError;
use pirn_sync::context::{Context, ContextError};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A job that was handed in. Dropping it changes nothing: the job runs.
pub struct Job<T>(pub(super) Arc<Cell<T>>);

impl<T> Job<T> {
    /// Waits for the end and returns the result.
    ///
    /// # Errors
    /// Why there is none.
    pub fn result(self) -> Result<T, JobError> {
        self.0.done.wait();
        self.0.take()
    }

    /// As [`result`](Self::result), for `timeout` at most. The job is not told.
    ///
    /// # Errors
    /// The handle, if the end has not come.
    pub fn result_timeout(self, timeout: Duration) -> Result<Result<T, JobError>, Job<T>> {
        if self.0.done.wait_timeout(timeout) { Ok(self.0.take()) } else { Err(self) }
    }

    /// As [`result`](Self::result), or until the context ends. The job is not told.
    ///
    /// # Errors
    /// The handle, if the context has ended: before, or meanwhile.
    pub fn result_ctx(self, context: &Context) -> Result<Result<T, JobError>, (Job<T>, ContextError)> {
        match self.0.done.wait_ctx(context) {
            Ok(()) => Ok(self.0.take()),
            Err(error) => Err((self, error)),
        }
    }

    /// As [`result`](Self::result), for async tasks.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn result_async(self) -> Result<T, JobError> {
        self.0.done.wait_async().await;
        self.0.take()
    }

    /// Whether it has ended, in whatever way, so that [`result`](Self::result) returns at once.
    pub fn is_done(&self) -> bool {
        self.0.done.is_set()
    }

    /// Whether it has begun and not ended.
    pub fn is_running(&self) -> bool {
        self.0.phase() == Phase::Runs
    }

    /// Whether it was cancelled before it began.
    pub fn is_cancelled(&self) -> bool {
        self.0.phase() == Phase::Cancelled
    }

    /// Cancels it if it has not begun: then this is true, and it never will. If it runs its context ends, and what it
    /// makes of that is its own affair; then this is false, as it is if it has ended.
    ///
    /// It keeps its place in the queue until a worker comes to it.
    pub fn cancel(&self) -> bool {
        let is_cancelled = self.0.cancel();
        if !is_cancelled {
            self.0.cancel.cancel();
        }
        is_cancelled
    }

    /// Has `f` called when the job has ended; now, if it has. It is called by the goroutine that ends the job, so it should
    /// be short. A panic of it is printed, and has no consequences.
    pub fn on_done(&self, f: impl FnOnce() + Send + 'static) {
        self.0.on_done(Box::new(f));
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.phase() {
            Phase::Waits => "Job(waits)",
            Phase::Runs => "Job(runs)",
            Phase::Cancelled => "Job(cancelled)",
            Phase::Done => "Job(done)",
        })
    }
}
