//! Closures in, results out: Python's `concurrent.futures`.
//!
//! ```
//! use pirn::patterns::executor::Executor;
//!
//! pirn::run(|| {
//!     let executor = Executor::new(4);
//!     let job = executor.submit(|_context| 6 * 7).unwrap();
//!     assert_eq!(job.result().unwrap(), 42);
//!     let lengths: Vec<_> = executor.map(["three", "word", "s"], |_context, word| word.len()).unwrap().collect();
//!     assert_eq!(lengths.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [5, 4, 1]);
//!     executor.shutdown();
//! });
//! ```
//!
//! What is in the hands of the caller is a [`Job`]. An executor is a [`WorkerPool`] with a queue without end, whose workers
//! come when they are needed and leave when they are not.

use crate::job::{Job, JobError};
use crate::pool::{Leftover, PoolMetrics, Refusal, SubmitError, WorkerPool};
use pirn_sync::context::{Context, ContextError};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Runs closures, at most so many at a time. Dropping it takes no more; what was handed in is run.
pub struct Executor(WorkerPool);

impl Executor {
    /// An executor of at most `workers` goroutines of the caller's runtime; on a thread that is on none, of threads.
    ///
    /// # Panics
    /// If `workers` is zero.
    #[track_caller]
    pub fn new(workers: usize) -> Executor {
        Executor(WorkerPool::dynamic(0, workers).build())
    }

    /// Hands in a closure. This does not wait.
    ///
    /// # Errors
    /// If the executor is shut down.
    #[track_caller]
    pub fn submit<T, F>(&self, f: F) -> Result<Job<T>, SubmitError<F>>
    where
        F: FnOnce(&Context) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.0.submit(f)
    }

    /// Hands in a call of `f` for each item, now, and gives the results in the order of the items. Dropping what it
    /// returns cancels the calls whose results have not been taken. For an iterator that is long, see
    /// [`ParallelMap`](crate::parallel::ParallelMap).
    ///
    /// # Errors
    /// If the executor is shut down: before, or meanwhile. The calls that were handed in are cancelled.
    #[track_caller]
    pub fn map<I, T, F>(&self, items: I, f: F) -> Result<Results<T>, Refusal>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(&Context, I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let f = Arc::new(f);
        let mut results = Results(VecDeque::new());
        for item in items {
            let f = f.clone();
            // What was handed in before is cancelled as `results` is dropped.
            let job = self.submit(move |context: &Context| f(context, item)).map_err(|error| error.why)?;
            results.0.push_back(job);
        }
        Ok(results)
    }

    /// What it did and does.
    pub fn metrics(&self) -> PoolMetrics {
        self.0.metrics()
    }

    /// Takes no more closures, and waits until those that it has taken have ended: `shutdown(wait=True)`.
    pub fn shutdown(&self) {
        self.0.shutdown();
    }

    /// As [`shutdown`](Self::shutdown), but waits no longer than until the context ends.
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile.
    pub fn shutdown_ctx(&self, context: &Context) -> Result<(), ContextError> {
        self.0.shutdown_ctx(context)
    }

    /// Takes no more closures, ends the contexts of those that run, and hands back those that have not begun. It waits for
    /// nothing. Dropping what is handed back is `shutdown(cancel_futures=True)`.
    pub fn shutdown_now(&self) -> Vec<Leftover> {
        self.0.shutdown_now()
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}

/// The results of [`Executor::map`], in the order of the items. Each step waits for the next one.
pub struct Results<T>(VecDeque<Job<T>>);

impl<T> Results<T> {
    /// The next result, or none if there are no more; waits no longer than until the context ends.
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile. The next call waits for the same result.
    pub fn next_ctx(&mut self, context: &Context) -> Result<Option<Result<T, JobError>>, ContextError> {
        let Some(first) = self.0.pop_front() else { return Ok(None) };
        match first.result_ctx(context) {
            Ok(result) => Ok(Some(result)),
            Err((first, error)) => {
                self.0.push_front(first);
                Err(error)
            }
        }
    }
}

impl<T> Iterator for Results<T> {
    type Item = Result<T, JobError>;

    fn next(&mut self) -> Option<Result<T, JobError>> {
        Some(self.0.pop_front()?.result())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

impl<T> ExactSizeIterator for Results<T> {}

impl<T> Drop for Results<T> {
    fn drop(&mut self) {
        self.0.iter().for_each(|job| _ = job.cancel());
    }
}

impl<T> fmt::Debug for Results<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("left", &self.0.len()).finish_non_exhaustive()
    }
}
