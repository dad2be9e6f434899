//! [`WorkerPool`], and how one is made.

use super::config::Config;
use super::error::SubmitError;
use super::leftover::Leftover;
use super::state::{PoolMetrics, Shared, State, Straggler};
use super::submit::JobBuilder;
use super::worker;
use crate::job::Job;
use crate::place::Place;
use pirn_runtime::internal::now;
use pirn_sync::context::{Context, ContextError};
use pirn_sync::{Condvar, Mutex};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Workers that run jobs. Dropping it shuts it down in the graceful way, without waiting: what was handed in is run.
///
/// A job that panics ends alone: its handle has the payload, and the worker takes the next job.
pub struct WorkerPool {
    shared: Arc<Shared>,
}

impl WorkerPool {
    /// A pool of `workers`, no more and no less.
    ///
    /// # Panics
    /// If there are none.
    #[track_caller]
    pub fn fixed(workers: usize) -> PoolBuilder {
        PoolBuilder(Config::new(workers, workers))
    }

    /// A pool of at least `min` workers, which has up to `max` while there is work for them.
    ///
    /// # Panics
    /// If `max` is zero or less than `min`.
    #[track_caller]
    pub fn dynamic(min: usize, max: usize) -> PoolBuilder {
        PoolBuilder(Config::new(min, max))
    }

    #[track_caller]
    fn start(config: Config) -> WorkerPool {
        let min = config.min;
        let mut state = State::new();
        state.workers = min;
        let pool = WorkerPool {
            shared: Arc::new(Shared {
                config,
                place: Place::current(),
                state: Mutex::new(state),
                work: Condvar::new(),
                room: Condvar::new(),
                ended: Condvar::new(),
            }),
        };
        (0..min).for_each(|_| worker::start(&pool.shared));
        pool
    }

    /// Hands in a job of normal priority. If the queue is full this waits for room.
    ///
    /// # Errors
    /// If the pool is shut down: before, or meanwhile.
    #[track_caller]
    pub fn submit<T, F>(&self, f: F) -> Result<Job<T>, SubmitError<F>>
    where
        F: FnOnce(&Context) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.job().submit(f)
    }

    /// A job with a name, a priority or a deadline; or one that does not wait for room, or not for ever.
    pub fn job(&self) -> JobBuilder<'_> {
        JobBuilder::new(&self.shared)
    }

    /// What it did and does.
    pub fn metrics(&self) -> PoolMetrics {
        self.shared.state.lock().metrics()
    }

    /// The jobs that run though their deadlines have passed.
    ///
    /// ```
    /// use pirn::patterns::pool::WorkerPool;
    /// use std::time::Duration;
    ///
    /// pirn::run(|| {
    ///     let (s, r) = pirn::channel::bounded::<()>(0);
    ///     let pool = WorkerPool::fixed(1).build();
    ///     let job = pool.job().name("report").deadline(Duration::from_millis(1));
    ///     let job = job.submit(move |_context| r.recv()).unwrap();
    ///     pirn::sleep(Duration::from_millis(20));
    ///     // It has not begun, or it is late.
    ///     for straggler in pool.stragglers() {
    ///         assert_eq!(straggler.name.as_deref(), Some("report"));
    ///     }
    ///     drop(s);
    ///     _ = job.result();
    /// });
    /// ```
    pub fn stragglers(&self) -> Vec<Straggler> {
        let now = now();
        let late: Vec<_> = {
            let state = self.shared.state.lock();
            let late = state.running.values().filter_map(|running| {
                let overdue = now.checked_duration_since(running.about.deadline?)?;
                let straggler = Straggler {
                    name: running.about.name.clone(),
                    priority: running.about.priority,
                    running_for: now.saturating_duration_since(running.since),
                    overdue,
                    goroutine: None,
                };
                Some((straggler, running.g))
            });
            late.collect()
        };
        let gs = self.shared.place.home().filter(|_| !late.is_empty()).map_or_else(Vec::new, |home| home.goroutines());
        let with_g = |(straggler, g): (Straggler, Option<u64>)| Straggler {
            goroutine: gs.iter().find(|there| Some(there.id.as_u64()) == g).cloned(),
            ..straggler
        };
        late.into_iter().map(with_g).collect()
    }

    /// Takes no more jobs, and waits until those that it has taken have ended, and the workers.
    pub fn shutdown(&self) {
        self.close();
        let mut state = self.shared.state.lock();
        self.shared.ended.wait_while(&mut state, |state| state.workers > 0);
    }

    /// As [`shutdown`](Self::shutdown), but waits no longer than until the context ends. The jobs go on then;
    /// [`shutdown_now`](Self::shutdown_now) may follow.
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile. No more jobs are taken in this case, too.
    pub fn shutdown_ctx(&self, context: &Context) -> Result<(), ContextError> {
        self.close();
        let mut state = self.shared.state.lock();
        self.shared.ended.wait_while_ctx(context, &mut state, |state| state.workers > 0)
    }

    /// Takes no more jobs, ends the contexts of those that run, and hands back those that have not begun: the most urgent
    /// first. It waits for nothing; [`shutdown`](Self::shutdown) afterwards waits for those that run.
    ///
    /// ```
    /// use pirn::patterns::pool::WorkerPool;
    ///
    /// pirn::run(|| {
    ///     let pool = WorkerPool::fixed(1).build();
    ///     let jobs: Vec<_> = (0..10).map(|n| pool.submit(move |context| (n, context.wait())).unwrap()).collect();
    ///     let left = pool.shutdown_now();
    ///     pool.shutdown();
    ///     // The jobs that run were told; those that have not begun are ours.
    ///     assert!(left.len() >= 9);
    ///     # drop((jobs, left));
    /// });
    /// ```
    pub fn shutdown_now(&self) -> Vec<Leftover> {
        let (left, cancels) = {
            let mut state = self.shared.state.lock();
            state.is_open = false;
            let left = state.queue.take();
            state.figures.handed_back += left.len() as u64;
            (left, state.running.values().map(|running| running.about.cancel.clone()).collect::<Vec<_>>())
        };
        self.shared.notify_all();
        cancels.iter().for_each(|cancel| cancel.cancel_with("the pool is shut down"));
        left.into_iter().map(Leftover).collect()
    }

    fn close(&self) {
        self.shared.state.lock().is_open = false;
        self.shared.notify_all();
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for WorkerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}

/// Makes a [`WorkerPool`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until build() is called"]
pub struct PoolBuilder(Config);

impl PoolBuilder {
    /// At most so many jobs wait for a worker; without this there is no limit. With 0 a job is taken only if a worker can
    /// run it at once.
    pub fn queue(mut self, jobs: usize) -> PoolBuilder {
        self.0.queue = jobs;
        self
    }

    /// A worker above the minimum leaves when it has had nothing to do for so long: 10 seconds without this.
    pub fn idle_time(mut self, idle: Duration) -> PoolBuilder {
        self.0.idle = idle;
        self
    }

    /// The pool. Its workers are goroutines of the runtime that the caller runs on; on a thread that is on none, they are
    /// threads. The minimum is started now.
    #[track_caller]
    pub fn build(self) -> WorkerPool {
        WorkerPool::start(self.0)
    }
}
