//! What a pool is doing: its queue, its workers, its figures. All under one lock.

use super::config::Config;
use super::queue::{Priority, Queue};
use crate::job::{Ran, Work};
use crate::place::Place;
use pirn_runtime::Goroutine;
use pirn_runtime::internal::now;
use pirn_sync::context::Cancel;
use pirn_sync::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a [`WorkerPool`](super::WorkerPool) did and does. `submitted` is always the sum of `queued`, `running`, `completed`,
/// `panicked`, `cancelled`, `expired`, `handed_back` and `dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolMetrics {
    /// Workers that there are.
    pub workers: usize,
    /// Those that wait for a job.
    pub idle: usize,
    /// All jobs that were taken.
    pub submitted: u64,
    /// Jobs that were not.
    pub refused: u64,
    /// Jobs that wait for a worker, with those that were cancelled and have not been come to.
    pub queued: u64,
    /// Jobs that run. Who has the result of a job may still find it here for a moment.
    pub running: u64,
    /// Jobs that have returned.
    pub completed: u64,
    /// Jobs that have panicked.
    pub panicked: u64,
    /// Jobs that were cancelled before they began.
    pub cancelled: u64,
    /// Jobs whose deadline came before they began.
    pub expired: u64,
    /// Jobs that an immediate shutdown has handed back.
    pub handed_back: u64,
    /// Jobs that were dropped because the runtime ended.
    pub dropped: u64,
}

/// A job that runs though its deadline has passed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Straggler {
    /// Its name, if it was given one.
    pub name: Option<Arc<str>>,
    /// How urgent it was.
    pub priority: Priority,
    /// Since when it runs.
    pub running_for: Duration,
    /// Since when it should have ended.
    pub overdue: Duration,
    /// The goroutine that runs it, with what it waits for. None: it is a thread, or the job ends just now.
    pub goroutine: Option<Goroutine>,
}

/// What is known of a job beside its closure.
#[derive(Clone)]
pub(super) struct About {
    pub(super) name: Option<Arc<str>>,
    pub(super) priority: Priority,
    pub(super) deadline: Option<Instant>,
    pub(super) cancel: Cancel,
}

/// A job that waits for a worker.
pub(super) struct Queued {
    pub(super) work: Box<dyn Work>,
    pub(super) about: About,
}

pub(super) struct Running {
    pub(super) about: About,
    pub(super) since: Instant,
    /// The number of the G that runs it.
    pub(super) g: Option<u64>,
}

/// What the workers and the users of a pool share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) place: Place,
    pub(super) state: Mutex<State>,
    pub(super) work: Condvar,
    pub(super) room: Condvar,
    pub(super) ended: Condvar,
}

pub(super) struct State {
    pub(super) queue: Queue<Queued>,
    pub(super) running: BTreeMap<u64, Running>,
    pub(super) is_open: bool,
    pub(super) workers: usize,
    pub(super) idle: usize,
    next_number: u64,
    /// Those that only grow.
    pub(super) figures: PoolMetrics,
}

impl State {
    pub(super) fn new() -> State {
        State {
            queue: Queue::new(),
            running: BTreeMap::new(),
            is_open: true,
            workers: 0,
            idle: 0,
            next_number: 0,
            figures: PoolMetrics::default(),
        }
    }

    /// Whether one more job may come.
    pub(super) fn has_room(&self, config: &Config) -> bool {
        // Those that a worker takes at once do not count as waiting.
        let at_once = self.idle + (config.max - self.workers);
        self.queue.len() < config.queue.saturating_add(at_once)
    }

    /// Adds a job. True: one more worker is needed; it is counted already.
    pub(super) fn add(&mut self, job: Queued, config: &Config) -> bool {
        self.queue.push(job.about.priority, job);
        self.figures.submitted += 1;
        // pool I2
        let is_needed = self.queue.len() > self.idle && self.workers < config.max;
        self.workers += usize::from(is_needed);
        is_needed
    }

    /// The next job, which runs from now on.
    pub(super) fn begin(&mut self, g: Option<u64>) -> Option<(u64, Box<dyn Work>)> {
        let Queued { work, about } = self.queue.pick()?;
        self.next_number += 1;
        self.running.insert(self.next_number, Running { about, since: now(), g });
        Some((self.next_number, work))
    }

    /// A job has ended.
    #[must_use = "it is dropped after unlocking"]
    pub(super) fn end(&mut self, number: u64, ran: Ran) -> Option<Running> {
        let figures = &mut self.figures;
        *match ran {
            Ran::Returned => &mut figures.completed,
            Ran::Panicked | Ran::ShutDown => &mut figures.panicked,
            Ran::Cancelled => &mut figures.cancelled,
            Ran::Expired => &mut figures.expired,
        } += 1;
        self.running.remove(&number)
    }

    pub(super) fn metrics(&self) -> PoolMetrics {
        PoolMetrics {
            workers: self.workers,
            idle: self.idle,
            queued: self.queue.len() as u64,
            running: self.running.len() as u64,
            ..self.figures
        }
    }
}

impl Shared {
    /// The pool is closed: tells the workers that are idle, and those that wait for room.
    pub(super) fn notify_all(&self) {
        self.work.notify_all();
        self.room.notify_all();
    }
}
