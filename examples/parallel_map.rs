//! ParallelMap in three steps: the results in the order of the items; then with errors; then at most ten at a time.
//!
//! Go: a wait group and a slice with a place for each; `errgroup`; `errgroup` with `SetLimit`. Different here: in the
//! first step each goroutine borrows its own place, so no lock is needed, and the compiler knows it. The second starts
//! all of them at once; the first error ends the context of the others. The third needs no context: the first error
//! closes the channel of items, so no more are begun. Of the errors it returns that of the earliest item, whichever
//! came first.
//!
//! ```text
//! cargo run --example parallel_map
//! ```

use pirn::channel::{bounded, unbounded};
use pirn::context::Context;
use pirn::group::task_group;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LIMIT: usize = 10;

fn main() {
    pirn::run(|| {
        let squares = map((0..100).collect(), |n: u64| n * n);
        println!("1. in order: {}", squares.is_sorted() && squares.len() == 100);

        println!("2. {:?}", try_map(vec!["1", "2", "3"], |_, text| text.parse::<u32>()));
        let slow = |context: &Context, text: &str| {
            let number: Result<u64, _> = text.parse();
            let seconds = number.map_err(|_| format!("{text:?} is no number"))?;
            context.sleep(Duration::from_secs(seconds)).map_err(|error| error.to_string())
        };
        println!("2. {:?}", try_map(vec!["3600", "an hour", "7200"], slow));

        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let squares = try_map_limited((0..100).collect(), |n: u64| {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            pirn::sleep(Duration::from_millis(1));
            now.fetch_sub(1, Ordering::Relaxed);
            Ok::<_, String>(n * n)
        });
        let squares = squares.expect("no square fails");
        println!("3. in order: {}", squares.is_sorted() && squares.len() == 100);
        println!("3. at once: {}", most.into_inner());
        let halves = try_map_limited((0..100_u64).map(|n| n * 2 + n / 40).collect(), |n| match n % 2 {
            0 => Ok(n / 2),
            _ => Err(format!("{n} is odd")),
        });
        println!("3. {halves:?}");
    });
}

/// `f` of each item, in the order of the items.
fn map<T: Send, U: Send>(items: Vec<T>, f: impl Fn(T) -> U + Sync) -> Vec<U> {
    let mut results: Vec<Option<U>> = items.iter().map(|_| None).collect();
    pirn::scope(|s| {
        for (item, result) in items.into_iter().zip(&mut results) {
            let f = &f;
            s.go(move || *result = Some(f(item)));
        }
    });
    results.into_iter().map(|result| result.expect("each has its own")).collect()
}

/// `f` of each item, in the order of the items; or the error that comes first, which ends the context of the others.
fn try_map<T, U, E>(items: Vec<T>, f: impl Fn(&Context, T) -> Result<U, E> + Sync) -> Result<Vec<U>, E>
where
    T: Send,
    U: Send,
    E: Send,
{
    let f = &f;
    let results: Option<Vec<U>> = task_group(|tasks| {
        let handles: Vec<_> = items.into_iter().map(|item| tasks.go(move |context| f(context, item))).collect();
        Ok(handles.into_iter().map(|handle| handle.join()).collect())
    })?;
    Ok(results.expect("a task that fails fails the group"))
}

/// `f` of each item, in the order of the items, a few at a time; or the error of the earliest that has one.
fn try_map_limited<T, U, E>(items: Vec<T>, f: impl Fn(T) -> Result<U, E> + Sync) -> Result<Vec<U>, E>
where
    T: Send,
    U: Send,
    E: Send,
{
    let (items_in, queue) = bounded(0);
    let (results_in, results) = unbounded();
    pirn::scope(|s| {
        for _ in 0..LIMIT {
            let (queue, results_in, items_in, f) = (queue.clone(), results_in.clone(), items_in.clone(), &f);
            s.go(move || {
                for (place, item) in queue {
                    let result = f(item);
                    if result.is_err() {
                        items_in.close();
                    }
                    results_in.send((place, result)).expect("they are collected below");
                }
            });
        }
        // Ends early if it has been closed.
        items.into_iter().enumerate().try_for_each(|item| items_in.send(item)).ok();
        items_in.close();
    });
    drop(results_in);
    let mut results: Vec<_> = results.iter().collect();
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}
