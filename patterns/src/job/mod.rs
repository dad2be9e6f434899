//! A job that was handed in: its end, its result, and how it is taken back.
//!
//! [`WorkerPool`](crate::pool::WorkerPool) and [`Executor`](crate::executor::Executor) give a [`Job`] for each closure that
//! they take.
//!
//! | Python's `Future` | here |
//! | --- | --- |
//! | `result()`, `result(timeout)` | [`Job::result`], [`Job::result_timeout`], [`Job::result_ctx`] |
//! | `exception()` | the error of those |
//! | `done()`, `running()`, `cancelled()` | [`Job::is_done`], [`Job::is_running`], [`Job::is_cancelled`] |
//! | `cancel()` | [`Job::cancel`]; it ends the context of a job that runs, too |
//! | `add_done_callback(f)` | [`Job::on_done`] |
//! | `wait(jobs, timeout, return_when)` | [`wait_all`], [`wait_any`], with a context |
//! | `as_completed(jobs)` | [`as_completed`] |
//!
//! The rest of this page is for those who work on it.
//!
//! # What lives here
//! `cell` (what a job and its handle share), `handle` ([`Job`]), `work` (the other half: the closure, for who runs it),
//! `several` (waits for many), `error`.
//!
//! # Who may come in
//! Users, by [`Job`]. `pool` makes jobs and runs them.
//!
//! # Invariants
//! 1. A job has one end: its result, or the reason why there is none. It is written once, under the lock of the cell. It
//!    comes also if the closure is dropped without a call.
//! 2. A job that was cancelled before it began is never called.
//! 3. The callbacks of a job are called once each, after the end was written, under no lock.
//!
//! # Tests
//! `tests/executor.rs`: Python's tests by name.

mod cell;
mod error;
mod handle;
mod several;
mod work;

pub use error::JobError;
pub use handle::Job;
pub use several::{AsCompleted, as_completed, wait_all, wait_any};
pub(crate) use work::{Ran, Work, new};
