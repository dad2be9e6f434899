//! [`pipeline`]: the group of all stages, and how it ends.

use super::error::PipelineError;
use pirn_channels::Receiver;
use pirn_sync::context::{Context, ContextError};
use pirn_sync::group::{TaskGroup, task_group_with};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs `f`, which puts a pipeline together and takes its output, and waits until all stages have ended.
///
/// The first error, of a stage or of `f`, ends the context that the stages get, and all stages. What `f` does not take is
/// not made: dropping a flow ends the stages before it. The stages may borrow from the caller's stack.
///
/// # Errors
/// The first error, of a stage or of `f`.
///
/// # Panics
/// If a stage or `f` panics: when all have ended, with the first payload. Outside of any runtime.
#[track_caller]
pub fn pipeline<'env, R, E, F>(f: F) -> Result<R, E>
where
    F: for<'scope> FnOnce(&Pipeline<'scope, 'env, E>) -> Result<R, E>,
    E: Send + 'env,
{
    pipeline_ctx(&Context::background(), f).map_err(|error| match error {
        PipelineError::Failed(error) => error,
        PipelineError::Ended(_) => unreachable!("this context never ends"),
    })
}

/// As [`pipeline`], with a context that the stages' is made from. When it ends they end too, at their next items.
///
/// # Errors
/// The first error; or the end of the context, if a stage has left items behind because of it.
///
/// # Panics
/// As [`pipeline`].
///
/// ```
/// use pirn::context::{Context, ContextError};
/// use pirn::patterns::pipeline::{PipelineError, pipeline_ctx};
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
///     let count = pipeline_ctx::<_, (), _>(&context, |p| Ok(p.source(0_u64..).into_iter().count()));
///     assert_eq!(count, Err(PipelineError::Ended(ContextError::DeadlineExceeded)));
/// });
/// ```
#[track_caller]
pub fn pipeline_ctx<'env, R, E, F>(context: &Context, f: F) -> Result<R, PipelineError<E>>
where
    F: for<'scope> FnOnce(&Pipeline<'scope, 'env, E>) -> Result<R, E>,
    E: Send + 'env,
{
    let is_cut = Arc::new(AtomicBool::new(false));
    let result =
        task_group_with(context, |tasks| f(&Pipeline { tasks: tasks.clone(), is_cut: is_cut.clone(), capacity: 0 }));
    let result = result.map_err(PipelineError::Failed)?;
    // Relaxed: all stages have ended, and the group has waited for them.
    match context.err() {
        Some(error) if is_cut.load(Ordering::Relaxed) => Err(PipelineError::Ended(error)),
        _ => Ok(result),
    }
}

/// Starts flows: what [`pipeline`] gives to its closure. Clones start flows of the same pipeline.
pub struct Pipeline<'scope, 'env: 'scope, E> {
    pub(super) tasks: TaskGroup<'scope, 'env, E>,
    is_cut: Arc<AtomicBool>,
    /// How many items wait between two stages.
    pub(super) capacity: usize,
}

impl<'scope, 'env, E: Send + 'scope> Pipeline<'scope, 'env, E> {
    /// The same, for flows with room for so many items between two stages. Without it there is none: an item is handed
    /// over when the next stage takes it.
    pub fn buffered(&self, capacity: usize) -> Pipeline<'scope, 'env, E> {
        Pipeline { capacity, ..self.clone() }
    }

    /// The context that the stages get.
    pub fn context(&self) -> &Context {
        self.tasks.context()
    }

    /// Starts a stage.
    #[track_caller]
    pub(super) fn start<F>(&self, f: F)
    where
        F: FnOnce(&Stage<'_>) -> Result<(), E> + Send + 'scope,
    {
        let is_cut = self.is_cut.clone();
        self.tasks.go(move |context| f(&Stage { context, is_cut: &is_cut }));
    }
}

impl<E> Clone for Pipeline<'_, '_, E> {
    fn clone(&self) -> Self {
        Pipeline { tasks: self.tasks.clone(), is_cut: self.is_cut.clone(), capacity: self.capacity }
    }
}

impl<E> fmt::Debug for Pipeline<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// A stage that runs.
pub(super) struct Stage<'a> {
    pub(super) context: &'a Context,
    is_cut: &'a AtomicBool,
}

impl Stage<'_> {
    /// Why it has to end, though there may be items left.
    pub(super) fn end(&self) -> Option<ContextError> {
        let error = self.context.err()?;
        // pipeline I4
        self.is_cut.store(true, Ordering::Relaxed);
        Some(error)
    }

    /// The next item. None: the input has ended, or the context.
    pub(super) fn next<T>(&self, items: &Receiver<T>) -> Option<T> {
        let item = items.recv().ok()?;
        self.end().is_none().then_some(item)
    }
}
