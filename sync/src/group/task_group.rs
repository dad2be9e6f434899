//! [`task_group`]: tasks that borrow from the caller's stack and end with it.

#![cfg(not(loom))]

use super::shared::Shared;
use crate::context::Context;
use pirn_runtime::internal::Home;
use pirn_runtime::{Gid, GoBuilder, Goroutine, Scope, ScopedJoinHandle, ShutDown, scope};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

/// Runs `f`, which may start tasks that borrow from the caller's stack, and waits for all of them.
///
/// Each task gets the context of the group. The first error, of a task or of `f`, cancels it, and so does a panic and
/// [`TaskGroup::cancel`]. When all tasks have ended, a panic is resumed; otherwise the first error is returned, or what
/// `f` has returned.
///
/// # Errors
/// The first error, of a task or of `f`. After a [`TaskGroup::cancel`], errors of tasks do not count: they
/// come from it.
///
/// # Panics
/// With the payload of the first panic, of a task or of `f`.
///
/// ```
/// use pirn::group::task_group;
///
/// pirn::run(|| {
///     let numbers = vec![1, 2, 3, 4];
///     let (left, right) = numbers.split_at(2);
///     let sum = task_group(|tasks| {
///         let half = tasks.go(|_| Ok::<i32, ()>(left.iter().sum()));
///         Ok(right.iter().sum::<i32>() + half.join().unwrap())
///     });
///     assert_eq!(sum, Ok(10));
/// });
/// ```
#[track_caller]
pub fn task_group<'env, R, E, F>(f: F) -> Result<R, E>
where
    F: for<'scope> FnOnce(&TaskGroup<'scope, 'env, E>) -> Result<R, E>,
    E: Send + 'env,
{
    task_group_with(&Context::background(), f)
}

/// As [`task_group`], with a context that the group's is made from: its end ends the group's context, too. So a group
/// has a timeout:
///
/// ```
/// use pirn::context::{Context, ContextError};
/// use pirn::group::task_group_with;
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
///     let result = task_group_with(&context, |tasks| {
///         tasks.go(|context| context.sleep(Duration::from_secs(3600)));
///         Ok(())
///     });
///     assert_eq!(result, Err(ContextError::DeadlineExceeded));
/// });
/// ```
#[track_caller]
pub fn task_group_with<'env, R, E, F>(parent: &Context, f: F) -> Result<R, E>
where
    F: for<'scope> FnOnce(&TaskGroup<'scope, 'env, E>) -> Result<R, E>,
    E: Send + 'env,
{
    let shared = Arc::new(Shared::new(parent, Home::current()));
    let result = scope(|scope| {
        let tasks = TaskGroup { scope, shared: shared.clone() };
        match catch_unwind(AssertUnwindSafe(|| f(&tasks))) {
            Ok(Ok(result)) => Some(result),
            Ok(Err(error)) => shared.failed(error, false),
            Err(payload) => shared.panicked(payload),
        }
    });
    let (error, panic) = shared.finish();
    match (panic, error, result) {
        // In a destructor of a G that unwinds because its runtime ends.
        (Some(payload), None, Some(result)) if payload.is::<ShutDown>() && thread::panicking() => Ok(result),
        (Some(payload), ..) => resume_unwind(payload),
        (None, Some(error), _) => Err(error),
        (None, None, Some(result)) => Ok(result),
        (None, None, None) => unreachable!("`f` has returned, or the group knows why not"),
    }
}

/// Starts the tasks of a [`task_group`]. Clones start tasks of the same group, and may be moved into tasks.
pub struct TaskGroup<'scope, 'env: 'scope, E> {
    scope: &'scope Scope<'scope, 'env>,
    shared: Arc<Shared<E>>,
}

impl<'scope, 'env, E: Send + 'scope> TaskGroup<'scope, 'env, E> {
    /// Starts a task on a G of its own. It gets the context of the group. Its error is the group's; what it returns is in
    /// the handle.
    ///
    /// # Panics
    /// As [`GoBuilder::go`].
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> TaskHandle<'scope, T, E>
    where
        F: FnOnce(&Context) -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
    {
        self.go_with(GoBuilder::new(), f)
    }

    /// As [`go`](Self::go), with a name or a stack limit.
    #[track_caller]
    pub fn go_with<F, T>(&self, builder: GoBuilder, f: F) -> TaskHandle<'scope, T, E>
    where
        F: FnOnce(&Context) -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
    {
        let shared = self.shared.clone();
        let handle = self.scope.go_with(builder, move || shared.run(|| f(&shared.context)));
        TaskHandle { handle, shared: self.shared.clone() }
    }

    /// Ends the group's context: the tasks can give up. Errors of tasks that come after this do
    /// not count.
    pub fn cancel(&self) {
        self.shared.cancel();
    }

    /// The context that the tasks get.
    pub fn context(&self) -> &Context {
        &self.shared.context
    }

    /// The tasks that still run: their numbers, names, birthplaces, and what they wait for.
    pub fn stragglers(&self) -> Vec<Goroutine> {
        self.shared.home.as_ref().map_or_else(Vec::new, |home| home.goroutines_of(self.scope))
    }
}

impl<E> Clone for TaskGroup<'_, '_, E> {
    fn clone(&self) -> Self {
        TaskGroup { scope: self.scope, shared: self.shared.clone() }
    }
}

impl<E> fmt::Debug for TaskGroup<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Waits for the end of a task of a [`task_group`]. Dropping it changes nothing: the group waits.
pub struct TaskHandle<'scope, T, E> {
    handle: ScopedJoinHandle<'scope, Option<T>>,
    shared: Arc<Shared<E>>,
}

impl<T, E> TaskHandle<'_, T, E> {
    /// Waits for the task to end, and returns what it has returned. None: it has failed or panicked; the group knows why.
    #[track_caller]
    pub fn join(self) -> Option<T> {
        // It may have been ended by a shutdown before it began.
        self.handle.join().unwrap_or_else(|payload| self.shared.panicked(payload))
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The number of its G.
    pub fn id(&self) -> Gid {
        self.handle.id()
    }
}

impl<T, E> fmt::Debug for TaskHandle<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskHandle").field(&self.id()).finish()
    }
}
