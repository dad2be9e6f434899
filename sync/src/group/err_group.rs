//! [`ErrGroup`]: tasks that may fail, and the first error of them.

#![cfg(not(loom))]

use super::tasks::{Outcome, Running, Tasks};
use crate::context::{Cancel, Context, ContextError};
use crate::loom::deadline;
use crate::lot::Until;
use pirn_runtime::internal::{Ending, Home, Task, go_task};
use pirn_runtime::{GoBuilder, Goroutine, ShutDown};
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// Starts Gs that may fail, and waits for all of them: Go's `errgroup.Group`.
///
/// With a context the first error, or panic, cancels it, so that the other tasks can give up. Dropping the group waits
/// for nothing, and cancels nothing.
///
/// ```
/// use pirn::context::Context;
/// use pirn::group::ErrGroup;
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let (group, context) = ErrGroup::with_context(&Context::background());
///     group.go(|| Err("broken"));
///     group.go(move || {
///         context.sleep(Duration::from_secs(3600)).unwrap_err();
///         Err("cancelled")
///     });
///     assert_eq!(group.wait(), Err("broken"));
/// });
/// ```
#[must_use = "the errors are lost unless somebody waits"]
pub struct ErrGroup<E> {
    tasks: Arc<Tasks<E>>,
    home: OnceLock<Option<Home>>,
}

/// What the G of a task owns.
impl<E: Send + 'static> Task<Result<(), E>> for Running<E> {
    fn tag(&self) -> usize {
        self.tasks().tag()
    }

    fn end(self, result: thread::Result<Result<(), E>>, ending: Ending) {
        if !matches!(result, Ok(Ok(()))) {
            ending.with_user_code(|| self.tasks().hear(result));
        }
        ending.untag();
        if let Some(last) = Running::end(self) {
            ending.with_user_code(|| drop(last));
        }
    }
}

impl<E: Send + 'static> ErrGroup<E> {
    /// A group without a context and a limit.
    pub fn new() -> ErrGroup<E> {
        ErrGroup::with(None)
    }

    /// A group, and a context for its tasks that is made from `parent`. It ends with the first task that fails, and at
    /// the end of a [`wait`](Self::wait).
    pub fn with_context(parent: &Context) -> (ErrGroup<E>, Context) {
        let (context, cancel) = parent.with_cancel();
        (ErrGroup::with(Some(cancel)), context)
    }

    fn with(cancel: Option<Cancel>) -> ErrGroup<E> {
        ErrGroup { tasks: Arc::new(Tasks::new(cancel)), home: OnceLock::new() }
    }

    /// The same group, in which at most `tasks` run at a time: [`go`](Self::go) waits for room.
    ///
    /// # Panics
    /// If `tasks` is zero, as no task could ever run; or while tasks run.
    ///
    /// ```
    /// use pirn::group::ErrGroup;
    ///
    /// pirn::run(|| {
    ///     let group = ErrGroup::<()>::new().limit(2);
    ///     (0..10).for_each(|_| group.go(|| Ok(())));
    ///     group.wait().unwrap();
    /// });
    /// ```
    #[track_caller]
    pub fn limit(mut self, tasks: usize) -> ErrGroup<E> {
        assert!(tasks > 0, "a limit of 0 tasks: no task could run");
        assert!(self.running() == 0, "the limit of a group was changed while tasks run");
        self.tasks = Arc::new(self.tasks.limited(tasks));
        self
    }

    /// Starts a task on a G of its own. With a limit, it waits until there is room.
    ///
    /// # Panics
    /// As [`GoBuilder::go`].
    #[track_caller]
    pub fn go(&self, f: impl FnOnce() -> Result<(), E> + Send + 'static) {
        self.go_with(GoBuilder::new(), f);
    }

    /// As [`go`](Self::go), with a name or a stack limit.
    #[track_caller]
    pub fn go_with(&self, builder: GoBuilder, f: impl FnOnce() -> Result<(), E> + Send + 'static) {
        self.start(builder, self.tasks.begin(), f);
    }

    /// Starts a task if there is room. Returns whether it has.
    #[track_caller]
    pub fn try_go(&self, f: impl FnOnce() -> Result<(), E> + Send + 'static) -> bool {
        let Some(task) = self.tasks.try_begin() else { return false };
        self.start(GoBuilder::new(), task, f);
        true
    }

    #[track_caller]
    fn start(&self, builder: GoBuilder, task: Running<E>, f: impl FnOnce() -> Result<(), E> + Send + 'static) {
        self.home.get_or_init(Home::current);
        go_task(builder, f, task);
    }

    /// Waits until no task runs, and returns the first error since the last wait. Then it cancels the context. A group
    /// without a context may be used again.
    ///
    /// # Errors
    /// The first error of a task.
    ///
    /// # Panics
    /// With the payload of the first task that has panicked.
    pub fn wait(&self) -> Result<(), E> {
        self.wait_all().map_err(|errors| errors.into_iter().next().expect("it has errors"))
    }

    /// As [`wait`](Self::wait), but returns all errors, in the order in which they came.
    ///
    /// # Errors
    /// The errors of all tasks that failed.
    ///
    /// # Panics
    /// With the payload of the first task that has panicked.
    ///
    /// ```
    /// use pirn::group::ErrGroup;
    ///
    /// pirn::run(|| {
    ///     let group = ErrGroup::new();
    ///     (0..6).for_each(|n| group.go(move || if n % 2 == 0 { Ok(()) } else { Err(n) }));
    ///     let mut errors = group.wait_all().unwrap_err();
    ///     errors.sort();
    ///     assert_eq!(errors, [1, 3, 5]);
    /// });
    /// ```
    pub fn wait_all(&self) -> Result<(), Vec<E>> {
        self.tasks.wait(Until::Told);
        self.finish()
    }

    /// As [`wait`](Self::wait), for `timeout` at most. None: tasks still run; [`stragglers`](Self::stragglers) says
    /// which. Then nothing is cancelled.
    ///
    /// ```
    /// use pirn::group::ErrGroup;
    /// use std::time::Duration;
    ///
    /// pirn::run(|| {
    ///     let (s, r) = pirn::channel::bounded(0);
    ///     let group = ErrGroup::<()>::new();
    ///     group.go_with(pirn::GoBuilder::new().name("slow"), move || Ok(r.recv().unwrap()));
    ///     assert!(group.wait_timeout(Duration::from_millis(5)).is_none());
    ///     assert_eq!(group.stragglers()[0].name.as_deref(), Some("slow"));
    ///     s.send(()).unwrap();
    ///     group.wait().unwrap();
    /// });
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<(), E>> {
        self.tasks.wait(deadline(timeout).map_or(Until::Told, Until::Deadline)).then(|| self.wait())
    }

    /// As [`wait`](Self::wait), or until `context` ends: then tasks still run, and nothing is cancelled. The context of
    /// the group itself ends with the first error, and not with the last task.
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    /// use pirn::group::ErrGroup;
    /// use std::time::Duration;
    ///
    /// pirn::run(|| {
    ///     let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
    ///     let (s, r) = pirn::channel::bounded(0);
    ///     let group = ErrGroup::<()>::new();
    ///     group.go(move || Ok(r.recv().unwrap()));
    ///     assert_eq!(group.wait_ctx(&context), Err(ContextError::DeadlineExceeded));
    ///     s.send(()).unwrap();
    ///     assert_eq!(group.wait_ctx(&Context::background()), Ok(Ok(())));
    /// });
    /// ```
    pub fn wait_ctx(&self, context: &Context) -> Result<Result<(), E>, ContextError> {
        context.limit(|until| self.tasks.wait(until).then_some(()))?;
        Ok(self.wait())
    }

    fn finish(&self) -> Result<(), Vec<E>> {
        let Outcome { errors, panic } = self.tasks.take_outcome();
        match panic {
            // In a destructor of a G that unwinds because its runtime ends.
            Some(payload) if payload.is::<ShutDown>() && thread::panicking() => {}
            Some(payload) => resume_unwind(payload),
            None => {}
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// How many tasks run.
    pub fn running(&self) -> usize {
        self.tasks.count()
    }

    /// The tasks that still run: their numbers, names, birthplaces, and what they wait for.
    pub fn stragglers(&self) -> Vec<Goroutine> {
        let Some(Some(home)) = self.home.get() else { return Vec::new() };
        home.goroutines_tagged(self.tasks.tag())
    }
}

impl<E: Send + 'static> Default for ErrGroup<E> {
    fn default() -> ErrGroup<E> {
        ErrGroup::new()
    }
}

impl<E> fmt::Debug for ErrGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrGroup").field("running", &self.tasks.count()).finish_non_exhaustive()
    }
}
