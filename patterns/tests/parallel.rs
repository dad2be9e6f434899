//! The same call for many items.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Rng, eventually, on_gs, runtime, seed, stress_secs};
use pirn_channels::bounded;
use pirn_patterns::parallel::{ParallelMap, parallel_map, try_parallel_map, try_parallel_map_ctx};
use pirn_runtime::{current, num_goroutines, yield_now};
use pirn_sync::Barrier;
use pirn_sync::context::{Context, ContextError};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LATE: Duration = Duration::from_secs(3600);

#[test]
fn calls_are_born_where_the_map_is_called() {
    on_gs(|| {
        let line = || Some(current()?.birthplace()).filter(|place| place.file() == file!()).map(Location::line);
        assert_eq!(parallel_map(2, 0..3, |_| line()), [Some(line!()); 3]);
        assert_eq!(try_parallel_map(2, 0..3, |_, _| Ok::<_, ()>(line())), Ok(vec![Some(line!()); 3]));
        let lines = ParallelMap::new(2, 0..3, move |_, _| Ok::<_, ()>(line()));
        let here = line!() - 1;
        assert_eq!(lines.collect::<Result<Vec<_>, _>>(), Ok(vec![Some(here); 3]));
    });
}

#[test]
fn results_are_in_order_and_no_more_than_the_limit_run() {
    on_gs(|| {
        for limit in [1, 3, 100, 1000] {
            let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            // As many as may be at once wait for each other.
            let all_run = Barrier::new(limit.min(200));
            let results = parallel_map(limit, 0..200_usize, |n| {
                let now = running.fetch_add(1, Ordering::Relaxed) + 1;
                most.fetch_max(now, Ordering::Relaxed);
                if n < limit {
                    all_run.wait();
                }
                (0..n % 5).for_each(|_| yield_now());
                running.fetch_sub(1, Ordering::Relaxed);
                n * n
            });
            assert_eq!(results, (0..200).map(|n| n * n).collect::<Vec<_>>());
            assert_eq!(most.load(Ordering::Relaxed), limit.min(200));
        }
        assert!(parallel_map(3, [(); 0], |()| 1).is_empty());
    });
}

#[test]
fn the_first_error_ends_the_others_and_no_further_item_is_taken() {
    on_gs(|| {
        let taken = Cell::new(0);
        let items = std::iter::from_fn(|| {
            taken.set(taken.get() + 1);
            Some(taken.get())
        });
        let result =
            try_parallel_map(4, items, |context, n| if n == 3 { Err(n) } else { context.sleep(LATE).or(Ok(())) });
        assert_eq!(result, Err(3));
        // Four run, and one more may be in the hands of the caller.
        assert!(taken.get() <= 5, "{} were taken", taken.get());
    });
}

#[test]
fn the_end_of_the_context_ends_it() {
    on_gs(|| {
        let (context, cancel) = Context::background().with_cancel();
        let result = try_parallel_map_ctx(&context, 2, 0.., |context, n| {
            if n == 10 {
                cancel.cancel();
            }
            Ok::<_, ContextError>(context.err())
        });
        assert_eq!(result, Err(ContextError::Cancelled));
        // One that ends when all was called changes nothing.
        let (context, cancel) = Context::background().with_cancel();
        let result = try_parallel_map_ctx(&context, 1, 0..=10, |_, n| {
            if n == 10 {
                cancel.cancel();
            }
            Ok::<_, ContextError>(n)
        });
        assert_eq!(result, Ok((0..=10).collect()));
    });
}

#[test]
fn a_panic_is_resumed_when_all_have_ended() {
    on_gs(|| {
        let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let panics = catch_unwind(AssertUnwindSafe(|| {
            try_parallel_map(3, 0..3, |context, n| {
                begun.fetch_add(1, Ordering::Relaxed);
                if n == 1 {
                    resume_unwind(Box::new("of a call"));
                }
                _ = context.sleep(LATE);
                ended.fetch_add(1, Ordering::Relaxed);
                Ok::<(), ()>(())
            })
        }));
        assert_eq!(panics.expect_err("it panics").downcast_ref(), Some(&"of a call"));
        // All that were begun, but the one that panicked.
        assert_eq!(ended.load(Ordering::Relaxed) + 1, begun.load(Ordering::Relaxed));
    });
}

#[test]
fn a_panic_of_the_iterator_leaves_no_goroutine() {
    on_gs(|| {
        let items = (0..10).inspect(|n| assert!(*n < 5, "it breaks at {n}"));
        assert!(catch_unwind(AssertUnwindSafe(|| parallel_map(2, items, |n| n))).is_err());
    });
}

#[test]
fn an_endless_iterator_is_taken_from_as_far_as_needed() {
    on_gs(|| {
        let taken = Arc::new(AtomicUsize::new(0));
        let items = {
            let taken = taken.clone();
            (0..).inspect(move |_| _ = taken.fetch_add(1, Ordering::Relaxed))
        };
        let mut squares = ParallelMap::new(4, items, |_, n: usize| Ok::<_, ()>(n * n));
        assert_eq!(taken.load(Ordering::Relaxed), 0);
        let first: Vec<_> = squares.by_ref().take(10).map(Result::unwrap).collect();
        assert_eq!(first, (0..10).map(|n| n * n).collect::<Vec<_>>());
        assert!(taken.load(Ordering::Relaxed) <= 14);
    });
}

#[test]
fn the_first_error_of_an_iterator_is_its_last_result() {
    on_gs(|| {
        let results = ParallelMap::new(4, 0.., |context, n| match n {
            5 => Err(n),
            n if n > 5 => {
                _ = context.sleep(LATE);
                Ok(n)
            }
            n => Ok(n),
        });
        assert_eq!(results.collect::<Vec<_>>(), [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4), Err(5)]);
    });
}

#[test]
fn an_iterator_that_is_dropped_tells_its_calls() {
    on_gs(|| {
        let mut results = ParallelMap::new(4, 0.., |context, n| {
            if n > 0 {
                context.wait();
            }
            Ok::<_, ()>(n)
        });
        assert_eq!(results.next(), Some(Ok(0)));
        assert!(num_goroutines() > 1);
    });
}

#[test]
fn a_wait_for_the_next_result_ends_with_a_context() {
    on_gs(|| {
        let (s, r) = bounded::<()>(0);
        let mut results = ParallelMap::new(2, 0..2, move |_, n| {
            if n == 0 {
                _ = r.recv();
            }
            Ok::<_, ()>(n)
        });
        let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(2));
        assert_eq!(results.next_ctx(&context), Err(ContextError::DeadlineExceeded));
        drop(s);
        let rest: Vec<_> =
            std::iter::from_fn(|| results.next_ctx(&Context::background()).expect("it never ends")).collect();
        assert_eq!(rest, [Ok(0), Ok(1)]);
    });
}

#[test]
fn outside_of_any_runtime_it_panics() {
    assert!(catch_unwind(|| parallel_map(2, 0..2, |n| n)).is_err());
}

#[test]
fn stress_with_errors_and_cancels() {
    let seed = seed("stress_with_errors_and_cancels");
    let house = runtime(2);
    house.run(|| {
        let mut rng = Rng::new(seed);
        let end = Instant::now() + Duration::from_secs(stress_secs());
        while Instant::now() < end {
            let (n, limit, fails_at) = (rng.below(200), rng.below(20) + 1, rng.below(400));
            let result = try_parallel_map(limit, 0..n, |_, item| {
                if item % 7 == 0 {
                    yield_now();
                }
                if item == fails_at { Err(item) } else { Ok(item) }
            });
            match result {
                Ok(results) => assert_eq!(results, (0..n).collect::<Vec<_>>()),
                Err(item) => assert_eq!(item, fails_at),
            }
        }
        eventually("no other G is left", || num_goroutines() == 1);
    });
    house.close();
}
