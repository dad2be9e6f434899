//! A call that its caller waits for only for some time.

use crate::count::{Counter, EndsAs};
use crate::place::{End, Place};
use pirn_channels::{bounded, select};
use pirn_sync::context::{Context, ContextError};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Waits for calls only for some time, even for those that do not look at their context.
///
/// The call runs on a goroutine of its own (without a runtime, on a thread of its own), with a context that
/// ends when its caller stops to wait: by the timeout, by the end of the caller's context, or because the caller is
/// unwound. **A call that does not heed its context runs on**, and nobody gets its result; [`TimeoutMetrics::running`]
/// counts it.
///
/// Where the call does heed its context, [`Context::with_timeout`] alone does, costs less, and lets it borrow.
///
/// ```
/// use pirn::patterns::timeout::{Timeout, TimeoutError};
/// use std::time::Duration;
///
/// let quick = Timeout::new(Duration::from_secs(60));
/// assert_eq!(quick.call(|_| 7), Ok(7));
/// let slow = Timeout::new(Duration::from_millis(1));
/// // It does not look at its context.
/// assert_eq!(slow.call(|_| pirn::sleep(Duration::from_secs(1))), Err(TimeoutError::TimedOut));
/// ```
#[derive(Debug)]
pub struct Timeout {
    after: Duration,
    calls: Counter,
    completed: Counter,
    timed_out: Counter,
    ended: Counter,
    panicked: Counter,
    /// Calls that have run to their end; they may outlive the `Timeout`.
    run: Arc<Counter>,
}

/// What has become of the calls of a [`Timeout`]. When nobody waits, `completed`, `timed_out`, `ended` and `panicked`
/// add up to `calls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeoutMetrics {
    /// All calls.
    pub calls: u64,
    /// Those that ended in time.
    pub completed: u64,
    /// Those that did not.
    pub timed_out: u64,
    /// Those whose caller's context ended first, before or meanwhile; or whose caller was unwound.
    pub ended: u64,
    /// Those that panicked in time, or could not be started.
    pub panicked: u64,
    /// Those that run now, also if nobody waits for them any more.
    pub running: u64,
}

/// Why there is no result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutError {
    /// It has not ended in time.
    TimedOut,
    /// The context of the caller has ended, before or meanwhile.
    Ended(ContextError),
}

impl Timeout {
    /// Calls are waited for as long as this.
    pub fn new(after: Duration) -> Timeout {
        let (calls, run) = (Counter::new(), Arc::new(Counter::new()));
        let (completed, timed_out, ended, panicked) = (Counter::new(), Counter::new(), Counter::new(), Counter::new());
        Timeout { after, calls, completed, timed_out, ended, panicked, run }
    }

    /// Calls `f`, and waits for it.
    ///
    /// # Errors
    /// If it has not ended in time.
    ///
    /// # Panics
    /// If `f` panics in time. If no goroutine or thread can be started.
    #[track_caller]
    pub fn call<T, F>(&self, f: F) -> Result<T, TimeoutError>
    where
        T: Send + 'static,
        F: FnOnce(&Context) -> T + Send + 'static,
    {
        self.call_ctx(&Context::background(), f)
    }

    /// As [`call`](Self::call), until the context ends. `f` gets a context that is made from it.
    ///
    /// # Errors
    /// If it has not ended in time, or before the context has.
    ///
    /// # Panics
    /// As `call`.
    #[track_caller]
    pub fn call_ctx<T, F>(&self, context: &Context, f: F) -> Result<T, TimeoutError>
    where
        T: Send + 'static,
        F: FnOnce(&Context) -> T + Send + 'static,
    {
        self.calls.add_one();
        let ended = EndsAs(&self.ended);
        if let Some(error) = context.err() {
            // It counts as having run, as it does not run any more.
            self.run.add_one();
            return Err(TimeoutError::Ended(error));
        }
        let (bounded_by, cancel) = context.with_timeout(self.after);
        let _ends_with_the_wait = cancel.guard();
        let (to, result) = bounded(1);
        let (inner, run) = (bounded_by.clone(), CountsRun(self.run.clone()));
        Place::current().call(to, move || {
            let _run = run;
            f(&inner)
        });
        let received = select! {
            recv(result) -> result => result.ok(),
            // What came at the same moment counts.
            recv(bounded_by.done()) -> _ => result.try_recv().ok(),
        };
        match (received, context.err()) {
            (Some(End::Returned(value)), _) => {
                ended.ends_as(&self.completed);
                Ok(value)
            }
            (Some(end), _) => {
                ended.ends_as(&self.panicked);
                Ok(end.value())
            }
            (None, Some(error)) => Err(TimeoutError::Ended(error)),
            (None, None) => {
                ended.ends_as(&self.timed_out);
                Err(TimeoutError::TimedOut)
            }
        }
    }

    /// What has become of the calls so far.
    pub fn metrics(&self) -> TimeoutMetrics {
        // Beginnings last: there are never more ends.
        let (completed, timed_out, ended) = (self.completed.get(), self.timed_out.get(), self.ended.get());
        let (panicked, run) = (self.panicked.get(), self.run.get());
        let calls = self.calls.get();
        TimeoutMetrics { calls, completed, timed_out, ended, panicked, running: calls - run }
    }
}

/// Counts a call as having run when it is dropped.
struct CountsRun(Arc<Counter>);

impl Drop for CountsRun {
    fn drop(&mut self) {
        self.0.add_one();
    }
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeoutError::TimedOut => f.write_str("timed out"),
            TimeoutError::Ended(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TimeoutError {}
