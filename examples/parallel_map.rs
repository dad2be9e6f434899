//! ParallelMap: a function over many items, ten at a time, the results in the order of the items, or the first error.
//!
//! Go: `errgroup` with `SetLimit`, or `conc`'s `iter.MapErr`. The workers take items off a channel in their order and
//! send back results with their places. The first error that comes in closes the channel of items, so no more are
//! begun; of the errors the one of the earliest item is returned, whichever came first.
//!
//! ```text
//! cargo run --example parallel_map
//! ```

use pirn::channel::{bounded, unbounded};
use std::sync::atomic::{AtomicUsize, Ordering};

const LIMIT: usize = 10;

fn main() {
    pirn::run(|| {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let squares = parallel_map((0..100_u64).collect(), |n| {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            pirn::sleep(std::time::Duration::from_millis(1));
            now.fetch_sub(1, Ordering::Relaxed);
            Ok::<_, String>(n * n)
        });
        let squares = squares.expect("no square fails");
        println!("in order: {}", squares.is_sorted() && squares.len() == 100);
        println!("at once: {}", most.into_inner());

        let halves = parallel_map((0..100_u64).map(|n| n * 2 + n / 40).collect(), |n| match n % 2 {
            0 => Ok(n / 2),
            _ => Err(format!("{n} is odd")),
        });
        println!("{halves:?}");
    });
}

/// `f` of each item, in the order of the items; or the error of the earliest that has one.
fn parallel_map<T, U, E>(items: Vec<T>, f: impl Fn(T) -> Result<U, E> + Sync) -> Result<Vec<U>, E>
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
