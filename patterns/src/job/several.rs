//! Waits for several jobs.

use super::error::JobError;
use super::handle::Job;
use pirn_channels::{Receiver, select, unbounded};
use pirn_sync::Event;
use pirn_sync::context::{Context, ContextError};
use std::fmt;
use std::sync::Arc;

/// Gives the results of jobs as they end, each with the place of its handle in `jobs`: Python's `as_completed`.
///
/// Each step waits for the next end. For the results in the order of the jobs, call [`Job::result`] for one after the
/// other.
///
/// ```
/// use pirn::patterns::executor::Executor;
/// use pirn::patterns::job::as_completed;
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let executor = Executor::new(2);
///     let jobs = [40, 1].map(|ms| executor.submit(move |_context| pirn::sleep(Duration::from_millis(ms))).unwrap());
///     let (nth, result) = as_completed(jobs).next().unwrap();
///     assert_eq!(nth, 1);
///     result.unwrap();
/// });
/// ```
pub fn as_completed<T: Send + 'static>(jobs: impl IntoIterator<Item = Job<T>>) -> AsCompleted<T> {
    let (sender, receiver) = unbounded();
    for (nth, job) in jobs.into_iter().enumerate() {
        let (cell, sender) = (job.0.clone(), sender.clone());
        // Nobody may be interested any more.
        job.on_done(move || _ = sender.send((nth, cell.take())));
    }
    AsCompleted(receiver)
}

/// What [`as_completed`] returns.
pub struct AsCompleted<T>(Receiver<(usize, Result<T, JobError>)>);

impl<T> AsCompleted<T> {
    /// As `next`, but waits no longer than until the context ends.
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile. Nothing is lost: the next call goes on.
    #[expect(clippy::type_complexity, reason = "what `next` returns, or why it does not")]
    pub fn next_ctx(&mut self, context: &Context) -> Result<Option<(usize, Result<T, JobError>)>, ContextError> {
        context.check()?;
        select! {
            recv(self.0) -> ended => Ok(ended.ok()),
            recv(context.done()) -> _ => Err(context.err().expect("its channel was closed")),
        }
    }
}

impl<T> Iterator for AsCompleted<T> {
    type Item = (usize, Result<T, JobError>);

    fn next(&mut self) -> Option<(usize, Result<T, JobError>)> {
        self.0.recv().ok()
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsCompleted { .. }")
    }
}

/// Waits until all of the jobs have ended, or until the context ends.
///
/// # Errors
/// If the context has ended: before, or meanwhile.
pub fn wait_all<T>(context: &Context, jobs: &[Job<T>]) -> Result<(), ContextError> {
    jobs.iter().try_for_each(|job| job.0.done.wait_ctx(context))
}

/// Waits until one of the jobs has ended, or until the context ends. Returns the place of the first one in `jobs` that has.
///
/// # Errors
/// If the context has ended: before, or meanwhile. With no jobs it waits for that.
pub fn wait_any<T>(context: &Context, jobs: &[Job<T>]) -> Result<usize, ContextError> {
    let first = Arc::new(Event::new());
    for job in jobs {
        let first = first.clone();
        job.on_done(move || first.set());
    }
    first.wait_ctx(context)?;
    Ok(jobs.iter().position(Job::is_done).expect("one has said so"))
}
