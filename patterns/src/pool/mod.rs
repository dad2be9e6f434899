//! A pool of workers for jobs: so many at a time, with a queue, priorities and deadlines.
//!
//! Goroutines are cheap: to start one per job and to limit them, `pirn::group::ErrGroup` with a limit and
//! [`parallel_map`](crate::parallel::parallel_map) are enough. A pool is for jobs that come from many places and share a
//! queue, for priorities, and for figures.
//!
//! ```
//! use pirn::patterns::pool::{Priority, WorkerPool};
//!
//! pirn::run(|| {
//!     let pool = WorkerPool::fixed(4).queue(100).build();
//!     let squares: Vec<_> = (0..10).map(|n| pool.submit(move |_context| n * n).unwrap()).collect();
//!     let urgent = pool.job().priority(Priority::High).name("urgent").submit(|_context| "now").unwrap();
//!     assert_eq!(urgent.result().unwrap(), "now");
//!     // In their order; `job::as_completed` gives them as they come.
//!     let squares: Vec<_> = squares.into_iter().map(|job| job.result().unwrap()).collect();
//!     assert_eq!(squares[..4], [0, 1, 4, 9]);
//!     pool.shutdown();
//! });
//! ```
//!
//! The rest of this page is for those who work on it.
//!
//! # What lives here
//! `config` (the numbers), `queue` (who is next), `state` (queue, workers and figures, under one lock), `worker` (the loop of
//! one), `submit` (how a job comes in), `workers` ([`WorkerPool`], what users ask of it), `leftover` (what is handed back),
//! `error`.
//!
//! # Who may come in
//! Users. `executor` is made of a pool.
//!
//! # Invariants
//! 1. All figures change under the lock of the state, together with what they count. So `submitted` is always the sum of
//!    `queued`, `running`, `completed`, `panicked`, `cancelled`, `expired`, `handed_back` and `dropped`.
//! 2. If more jobs are queued than workers are idle, all workers that may be there are there. So a job waits only if as
//!    many run as may.
//! 3. A worker that leaves takes itself off under the same lock under which it has found nothing to do.
//! 4. A job of a priority is passed over by at most `PASSES` picks of higher ones, then it is next, but for the other
//!    priority of which the same is true (`queue`).
//! 5. No job, and no destructor of one, runs under the lock.
//! 6. If the last worker is unwound, because its runtime ends, the pool is closed and its queue dropped: whoever waits for a
//!    job is told.
//!
//! # Locks and ordering
//! One lock and three condition variables: `work` (a worker waits for a job), `room` (a submitter waits for room), `ended`
//! (a shutdown waits for the workers). Each change that could end such a wait notifies.
//!
//! # Tests
//! `tests/pool.rs`; `queue.rs` has the property of the priorities.

mod config;
mod error;
mod leftover;
mod queue;
mod state;
mod submit;
mod worker;
mod workers;

pub use error::{Refusal, SubmitError};
pub use leftover::Leftover;
pub use queue::Priority;
pub use state::{PoolMetrics, Straggler};
pub use submit::JobBuilder;
pub use workers::{PoolBuilder, WorkerPool};
