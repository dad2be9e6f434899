//! How a job comes into a pool.

use super::error::{Refusal, SubmitError};
use super::queue::Priority;
use super::state::{About, Queued, Shared};
use super::worker;
use crate::job::{self, Job};
use pirn_runtime::internal::now;
use pirn_sync::context::Context;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A job with a name, a priority or a deadline: [`WorkerPool::job`](super::WorkerPool::job).
#[derive(Clone)]
#[must_use = "nothing is run until submit() is called"]
pub struct JobBuilder<'a> {
    shared: &'a Arc<Shared>,
    name: Option<Arc<str>>,
    priority: Priority,
    deadline: Option<Duration>,
    context: Context,
}

/// How long a submitter waits for room.
enum Wait<'a> {
    No,
    Until(&'a Context),
}

impl<'a> JobBuilder<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>) -> JobBuilder<'a> {
        JobBuilder { shared, name: None, priority: Priority::Normal, deadline: None, context: Context::background() }
    }

    /// What it is called among the stragglers and what is left.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How urgent it is.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// It has so much time from when it is handed in. If it has not begun then, it never does. If it runs, its context
    /// ends, and it is a [straggler](super::WorkerPool::stragglers) until it returns.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The context that its own is made from.
    pub fn context(mut self, context: &Context) -> Self {
        self.context = context.clone();
        self
    }

    /// Hands it in. If the queue is full this waits for room.
    ///
    /// # Errors
    /// If the pool is shut down: before, or meanwhile.
    #[track_caller]
    pub fn submit<T, F>(self, f: F) -> Result<Job<T>, SubmitError<F>>
    where
        F: FnOnce(&Context) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit_ctx(&Context::background(), f)
    }

    /// As [`submit`](Self::submit), but waits no longer than until the context ends. The job has nothing to do with this
    /// context: see [`context`](Self::context).
    ///
    /// # Errors
    /// If the pool is shut down, or the context has ended: before, or meanwhile.
    #[track_caller]
    pub fn submit_ctx<T, F>(self, context: &Context, f: F) -> Result<Job<T>, SubmitError<F>>
    where
        F: FnOnce(&Context) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(Wait::Until(context), f)
    }

    /// As [`submit`](Self::submit), without waiting.
    ///
    /// # Errors
    /// If there is no room, or the pool is shut down.
    #[track_caller]
    pub fn try_submit<T, F>(self, f: F) -> Result<Job<T>, SubmitError<F>>
    where
        F: FnOnce(&Context) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(Wait::No, f)
    }

    #[track_caller]
    fn hand_in<T, F>(self, wait: Wait<'_>, f: F) -> Result<Job<T>, SubmitError<F>>
    where
        F: FnOnce(&Context) -> T + Send + 'static,
        T: Send + 'static,
    {
        let shared = self.shared;
        // The deadline counts from here, and not from when there is room.
        let deadline = self.deadline.and_then(|deadline| now().checked_add(deadline));
        let (job_context, cancel) = match deadline {
            Some(deadline) => self.context.with_deadline(deadline),
            None => self.context.with_cancel(),
        };
        let mut state = shared.state.lock();
        let refusal = loop {
            if !state.is_open {
                break Some(Refusal::Closed);
            }
            if state.has_room(&shared.config) {
                break None;
            }
            match wait {
                Wait::No => break Some(Refusal::Full),
                Wait::Until(context) => {
                    if let Err(error) = shared.room.wait_ctx(context, &mut state) {
                        break Some(Refusal::Ended(error));
                    }
                }
            }
        };
        if let Some(why) = refusal {
            state.figures.refused += 1;
            drop(state);
            return Err(SubmitError { why, f });
        }
        let about = About { name: self.name, priority: self.priority, deadline, cancel: cancel.clone() };
        let (job, work) = job::new((job_context, cancel), f);
        let needs_worker = state.add(Queued { work, about }, &shared.config);
        drop(state);
        if needs_worker {
            worker::start(shared);
        } else {
            shared.work.notify_one();
        }
        Ok(job)
    }
}

impl fmt::Debug for JobBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobBuilder").field("name", &self.name).field("priority", &self.priority).finish_non_exhaustive()
    }
}
