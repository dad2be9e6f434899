//! The same call for many items, some at a time, with the results in the order of the items.
//!
//! | I want | use |
//! | --- | --- |
//! | all results; the call borrows from the stack | [`parallel_map`] |
//! | the same, and the first error to end it | [`try_parallel_map`], [`try_parallel_map_ctx`] |
//! | results one by one, from an iterator that is long or endless | [`ParallelMap`] |
//! | all at once, without a limit | `pirn::group::gather` |
//!
//! The items are taken from their iterator by the caller, and no earlier than there is a goroutine for them: at most `limit`
//! have been taken and not finished. Only so many goroutines are started as there are items.

use pirn_channels::{Receiver, Sender, bounded, select};
use pirn_runtime::internal::builder_at;
use pirn_runtime::{GoBuilder, JoinHandle};
use pirn_sync::context::{Cancel, Context, ContextError};
use pirn_sync::group::task_group_with;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::panic::{Location, resume_unwind};
use std::sync::Arc;
use std::thread;

/// Calls `f` for each item, at most `limit` at a time, and returns the results in the order of the items.
///
/// # Panics
/// If `f` panics: when all calls have ended, with its payload. If `limit` is zero. Outside of any runtime.
///
/// ```
/// use pirn::patterns::parallel::parallel_map;
///
/// pirn::run(|| {
///     let words = ["three", "word", "s"];
///     assert_eq!(parallel_map(2, &words, |word| word.len()), [5, 4, 1]);
/// });
/// ```
#[track_caller]
pub fn parallel_map<I, R, F>(limit: usize, items: I, f: F) -> Vec<R>
where
    I: IntoIterator<Item: Send>,
    R: Send,
    F: Fn(I::Item) -> R + Sync,
{
    let Ok(results) = run(&Context::background(), limit, items, |_, item| Ok::<R, Infallible>(f(item)));
    results.expect("nothing ends it")
}

/// As [`parallel_map`], with calls that may fail. The first error, in time, ends the context that the others get, and no
/// further item is taken.
///
/// # Errors
/// The first error, when all calls have ended.
///
/// # Panics
/// As [`parallel_map`].
///
/// ```
/// use pirn::patterns::parallel::try_parallel_map;
///
/// pirn::run(|| {
///     let numbers = try_parallel_map(10, ["1", "2", "x"], |_context, text| text.parse::<u32>());
///     assert!(numbers.is_err());
/// });
/// ```
#[track_caller]
pub fn try_parallel_map<I, R, E, F>(limit: usize, items: I, f: F) -> Result<Vec<R>, E>
where
    I: IntoIterator<Item: Send>,
    R: Send,
    E: Send,
    F: Fn(&Context, I::Item) -> Result<R, E> + Sync,
{
    Ok(run(&Context::background(), limit, items, f)?.expect("nothing ends it but an error"))
}

/// As [`try_parallel_map`], with a context: the calls get one that is made from it. When it ends no further item is taken,
/// and the calls that run are waited for.
///
/// # Errors
/// The first error of a call, or the end of the context if that has kept an item from being called.
///
/// # Panics
/// As [`parallel_map`].
///
/// ```
/// use pirn::context::{Context, ContextError};
/// use pirn::patterns::parallel::try_parallel_map_ctx;
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
///     let result = try_parallel_map_ctx(&context, 2, 0.., |context, _| context.sleep(Duration::from_secs(3600)));
///     assert_eq!(result, Err(ContextError::DeadlineExceeded));
/// });
/// ```
#[track_caller]
pub fn try_parallel_map_ctx<I, R, E, F>(context: &Context, limit: usize, items: I, f: F) -> Result<Vec<R>, E>
where
    I: IntoIterator<Item: Send>,
    R: Send,
    E: From<ContextError> + Send,
    F: Fn(&Context, I::Item) -> Result<R, E> + Sync,
{
    run(context, limit, items, f)?.ok_or_else(|| context.err().expect("it has ended the calls").into())
}

/// The results in order. None: the context has ended before all items were called.
#[track_caller]
fn run<I, R, E, F>(context: &Context, limit: usize, items: I, f: F) -> Result<Option<Vec<R>>, E>
where
    I: IntoIterator<Item: Send>,
    R: Send,
    E: Send,
    F: Fn(&Context, I::Item) -> Result<R, E> + Sync,
{
    check_limit(limit);
    let (f, builder) = (&f, builder_at(Location::caller()));
    let parts = task_group_with(context, |tasks| {
        let (items_in, rest) = bounded(0);
        let mut workers = Vec::new();
        for item in items.into_iter().enumerate() {
            if tasks.context().err().is_some() {
                return Ok(None);
            }
            if workers.len() < limit {
                let rest = rest.clone();
                workers.push(tasks.go_with(builder.clone(), move |context| work(context, item, &rest, f)));
            } else if !hand_over(tasks.context(), &items_in, item) {
                return Ok(None);
            }
        }
        drop(items_in);
        // None: the group knows why.
        Ok(workers.into_iter().map(|worker| worker.join()).collect::<Option<Vec<_>>>())
    })?;
    let Some(mut results) = parts.map(|parts| parts.into_iter().flatten().collect::<Vec<_>>()) else { return Ok(None) };
    results.sort_unstable_by_key(|(nth, _)| *nth);
    Ok(Some(results.into_iter().map(|(_, result)| result).collect()))
}

#[track_caller]
fn check_limit(limit: usize) {
    assert!(limit > 0, "a limit of 0 calls at a time: no call could run");
}

/// Gives an item to the next worker that is free. False: the context has ended.
fn hand_over<T>(context: &Context, items_in: &Sender<T>, item: T) -> bool {
    select! {
        send(items_in, item) -> sent => sent.is_ok(),
        recv(context.done()) -> _ => false,
    }
}

/// A worker calls `f` for its first item, and then for what is handed over.
fn work<T, R, E>(
    context: &Context,
    first: (usize, T),
    rest: &Receiver<(usize, T)>,
    f: &impl Fn(&Context, T) -> Result<R, E>,
) -> Result<Vec<(usize, R)>, E> {
    let mut results = Vec::new();
    let mut next = Some(first);
    while let Some((nth, item)) = next {
        results.push((nth, f(context, item)?));
        next = rest.recv().ok();
    }
    Ok(results)
}

/// An iterator that calls `f` for the items of another one, ahead of whoever takes the results: Python's `Executor.map`,
/// with a limit. At most `limit` items have been taken whose results have not; each is called on a goroutine of its own.
///
/// The first error, in the order of the items, is the last result: it ends the context of the calls that run. So does
/// dropping the iterator, which does not wait for them.
///
/// # Panics
/// `next`, if the call of its item panics: with its payload. Outside of any runtime.
///
/// ```
/// use pirn::patterns::parallel::ParallelMap;
///
/// pirn::run(|| {
///     let squares = ParallelMap::new(8, 1_u64.., |_context, n| Ok::<_, ()>(n * n));
///     let first: Result<Vec<_>, _> = squares.take(4).collect();
///     assert_eq!(first.unwrap(), [1, 4, 9, 16]);
/// });
/// ```
pub struct ParallelMap<I: Iterator, F, R, E> {
    /// None: it has ended, or an error has come.
    items: Option<I>,
    limit: usize,
    f: Arc<F>,
    builder: GoBuilder,
    calls: VecDeque<JoinHandle<Result<R, E>>>,
    context: Context,
    cancel: Cancel,
}

impl<I, F, R, E> ParallelMap<I, F, R, E>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(&Context, I::Item) -> Result<R, E> + Send + Sync + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    /// Nothing is called before the first `next`.
    ///
    /// # Panics
    /// If `limit` is zero.
    #[track_caller]
    pub fn new(limit: usize, items: impl IntoIterator<IntoIter = I>, f: F) -> ParallelMap<I, F, R, E> {
        ParallelMap::with_context(&Context::background(), limit, items, f)
    }

    /// With a context that the calls' is made from. Its end is theirs; it does not end the iterator, as they return what
    /// they like.
    ///
    /// # Panics
    /// If `limit` is zero.
    #[track_caller]
    pub fn with_context(
        parent: &Context,
        limit: usize,
        items: impl IntoIterator<IntoIter = I>,
        f: F,
    ) -> ParallelMap<I, F, R, E> {
        check_limit(limit);
        let (context, cancel) = parent.with_cancel();
        let (items, builder) = (Some(items.into_iter()), builder_at(Location::caller()));
        ParallelMap { items, limit, f: Arc::new(f), builder, calls: VecDeque::new(), context, cancel }
    }

    /// As `next`, but waits no longer than until the context ends.
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile. Nothing is lost: the next call waits for the same result.
    ///
    /// # Panics
    /// As `next`.
    pub fn next_ctx(&mut self, context: &Context) -> Result<Option<Result<R, E>>, ContextError> {
        context.check()?;
        self.fill();
        let Some(first) = self.calls.pop_front() else { return Ok(None) };
        match context.join(first) {
            Ok(result) => Ok(Some(self.after(result))),
            Err((first, error)) => {
                self.calls.push_front(first);
                Err(error)
            }
        }
    }

    /// The result of the first call. If it is not good nothing comes after it.
    fn after(&mut self, result: thread::Result<Result<R, E>>) -> Result<R, E> {
        if !matches!(result, Ok(Ok(_))) {
            self.cancel.cancel_with("a call for an item has failed");
            self.items = None;
            self.calls.clear();
        }
        result.unwrap_or_else(|payload| resume_unwind(payload))
    }

    /// Starts calls, as many as may be.
    fn fill(&mut self) {
        while self.calls.len() < self.limit {
            let Some(item) = self.items.as_mut().and_then(Iterator::next) else {
                self.items = None;
                return;
            };
            let (f, context) = (self.f.clone(), self.context.clone());
            self.calls.push_back(self.builder.clone().go(move || f(&context, item)));
        }
    }
}

impl<I, F, R, E> Iterator for ParallelMap<I, F, R, E>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(&Context, I::Item) -> Result<R, E> + Send + Sync + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    type Item = Result<R, E>;

    fn next(&mut self) -> Option<Result<R, E>> {
        self.fill();
        let result = self.calls.pop_front()?.join();
        Some(self.after(result))
    }
}

impl<I: Iterator, F, R, E> Drop for ParallelMap<I, F, R, E> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl<I: Iterator, F, R, E> fmt::Debug for ParallelMap<I, F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParallelMap")
            .field("limit", &self.limit)
            .field("running", &self.calls.len())
            .finish_non_exhaustive()
    }
}
