//! The other half of a job: its closure, for who runs it.

use super::cell::{Cell, Phase};
use super::error::JobError;
use super::handle::Job;
use pirn_runtime::ShutDown;
use pirn_sync::context::{Cancel, Context, ContextError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// How the run of a job went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    Returned,
    Panicked,
    /// It was cancelled before it began.
    Cancelled,
    /// Its deadline came before it began.
    Expired,
    /// Its runtime ends: the goroutine that runs it is to be unwound.
    ShutDown,
}

/// The closure of a job. Dropping it ends the job without a result.
pub(crate) trait Work: Send {
    fn run(self: Box<Self>) -> Ran;
}

/// A new job: its handle, and its closure, which gets the context.
pub(crate) fn new<T, F>(context: (Context, Cancel), f: F) -> (Job<T>, Box<dyn Work>)
where
    T: Send + 'static,
    F: FnOnce(&Context) -> T + Send + 'static,
{
    let cell = Arc::new(Cell::new(context));
    (Job(cell.clone()), Box::new(Closure { f: Some(f), cell }))
}

struct Closure<T, F> {
    f: Option<F>,
    cell: Arc<Cell<T>>,
}

impl<T: Send, F: FnOnce(&Context) -> T + Send> Work for Closure<T, F> {
    fn run(mut self: Box<Self>) -> Ran {
        let cell = &self.cell;
        match cell.context.err() {
            Some(ContextError::DeadlineExceeded) if cell.phase() == Phase::Waits => {
                cell.finish(Err(JobError::DeadlineExceeded));
                return Ran::Expired;
            }
            Some(_) => _ = cell.cancel(),
            None => {}
        }
        if !cell.begin() {
            return Ran::Cancelled;
        }
        let f = self.f.take().expect("it is run once");
        match catch_unwind(AssertUnwindSafe(|| f(&cell.context))) {
            Ok(value) => {
                cell.finish(Ok(value));
                Ran::Returned
            }
            Err(payload) => {
                let ran = if payload.is::<ShutDown>() { Ran::ShutDown } else { Ran::Panicked };
                cell.finish(Err(JobError::Panicked(payload)));
                ran
            }
        }
    }
}

impl<T, F> Drop for Closure<T, F> {
    /// Its context goes with it: what was made from that ends, too.
    fn drop(&mut self) {
        self.cell.finish(Err(JobError::Dropped));
        self.cell.cancel.cancel();
    }
}
