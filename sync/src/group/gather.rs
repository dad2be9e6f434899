//! Several closures at once: all results in their order, or the first.

#![cfg(not(loom))]

use super::task_group::task_group;
use crate::context::Context;
use pirn_runtime::internal::builder_at;
use std::convert::Infallible;
use std::panic::Location;
use std::sync::Mutex;

/// Runs the closures, each on a G of its own, and returns what they return, in their order: Python's `gather`.
///
/// They may borrow from the caller's stack.
///
/// # Panics
/// If one panics: when all have ended, with its payload.
///
/// ```
/// use pirn::group::gather;
///
/// pirn::run(|| {
///     let words = ["three", "word", "s"];
///     let lengths = gather(words.iter().map(|word| || word.len()));
///     assert_eq!(lengths, [5, 4, 1]);
/// });
/// ```
#[track_caller]
pub fn gather<T, F>(closures: impl IntoIterator<Item = F>) -> Vec<T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    let Ok(results) = try_gather(closures.into_iter().map(|f| move |_: &Context| Ok::<T, Infallible>(f())));
    results
}

/// As [`gather`], with closures that may fail: the first error ends the context that they get, and is returned when all
/// have ended.
///
/// # Errors
/// The first error.
///
/// # Panics
/// If one panics: when all have ended, with its payload.
///
/// ```
/// use pirn::group::try_gather;
///
/// pirn::run(|| {
///     let numbers = try_gather(["1", "2", "x"].map(|text| move |_: &_| text.parse::<u32>()));
///     assert!(numbers.is_err());
/// });
/// ```
#[track_caller]
pub fn try_gather<T, E, F>(closures: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>
where
    F: FnOnce(&Context) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    let builder = builder_at(Location::caller());
    let results: Option<Vec<T>> = task_group(|tasks| {
        let handles: Vec<_> = closures.into_iter().map(|f| tasks.go_with(builder.clone(), f)).collect();
        Ok(handles.into_iter().map(|handle| handle.join()).collect())
    })?;
    Ok(results.expect("a closure could not run, because the runtime is being shut down"))
}

/// Runs the closures, each on a G of its own, and returns what the first of them returns; that ends the context that the
/// others get. All have ended when it returns. None: there was no closure.
///
/// # Panics
/// If one panics: when all have ended, with its payload.
///
/// ```
/// use pirn::group::race;
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let first = race([3600, 0].map(|secs| {
///         move |context: &pirn::context::Context| {
///             _ = context.sleep(Duration::from_secs(secs));
///             secs
///         }
///     }));
///     assert_eq!(first, Some(0));
/// });
/// ```
#[track_caller]
pub fn race<T, F>(closures: impl IntoIterator<Item = F>) -> Option<T>
where
    F: FnOnce(&Context) -> T + Send,
    T: Send,
{
    let (first, builder) = (Mutex::new(None), builder_at(Location::caller()));
    let Ok(()) = task_group::<_, Infallible, _>(|tasks| {
        for f in closures {
            let (group, first) = (tasks.clone(), &first);
            tasks.go_with(builder.clone(), move |context| {
                let mut result = Some(f(context));
                {
                    let mut first = first.lock().unwrap_or_else(|e| e.into_inner());
                    if first.is_none() {
                        *first = result.take();
                    }
                }
                group.cancel();
                // A result that came too late is dropped here: not under the lock.
                Ok(())
            });
        }
        Ok(())
    });
    first.into_inner().unwrap_or_else(|e| e.into_inner())
}
