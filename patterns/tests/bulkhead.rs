//! Bulkheads.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{House, runtime, wait_until_waiting};
use pirn_patterns::bulkhead::{Bulkhead, BulkheadError, BulkheadMetrics};
use pirn_runtime::JoinHandle;
use pirn_runtime::internal::SetClock;
use pirn_sync::Event;
use pirn_sync::context::{Context, ContextError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SEC: Duration = Duration::from_secs(1);

/// What a bulkhead of two places promises at any moment.
#[track_caller]
fn figures(bulkhead: &Bulkhead) -> BulkheadMetrics {
    let metrics = bulkhead.metrics();
    let ended = metrics.rejected + metrics.abandoned + metrics.completed;
    assert_eq!(metrics.asked, ended + (metrics.active + metrics.queued) as u64, "{metrics:?}");
    assert_eq!(metrics.active + metrics.available, 2, "{metrics:?}");
    metrics
}

/// Starts a call that waits for a place, and then does `then`.
#[track_caller]
fn waits(
    rt: &House,
    bulkhead: &Arc<Bulkhead>,
    context: &Context,
    then: impl FnOnce() + Send + 'static,
) -> JoinHandle<Result<(), BulkheadError>> {
    let (bulkhead, context) = (bulkhead.clone(), context.clone());
    let waits = rt.go(move || bulkhead.run_ctx(&context, |_| then()));
    wait_until_waiting(&rt.handle(), waits.id());
    waits
}

#[test]
fn it_serves_in_the_order_in_which_they_came() {
    let _clock = SetClock::take();
    let rt = runtime(2);
    let bulkhead = Arc::new(Bulkhead::new(2, 3));
    let [first, second] = [(); 2].map(|()| bulkhead.enter().expect("a place is free"));
    assert_eq!(bulkhead.try_enter().err(), Some(BulkheadError::Full));
    let order = Arc::new(Mutex::new(Vec::new()));
    let all: Vec<_> = (0..3)
        .map(|nth| {
            let order = order.clone();
            waits(&rt, &bulkhead, &Context::background(), move || order.lock().expect("nobody panics").push(nth))
        })
        .collect();
    assert_eq!(bulkhead.enter().err(), Some(BulkheadError::Full));
    assert_eq!((figures(&bulkhead).queued, figures(&bulkhead).rejected), (3, 2));
    drop(first);
    for wait in all {
        assert_eq!(wait.join().expect("it ends"), Ok(()));
    }
    assert_eq!(*order.lock().expect("nobody panics"), [0, 1, 2]);
    drop(second);
    let metrics = figures(&bulkhead);
    assert_eq!((metrics.asked, metrics.completed, metrics.active), (7, 5, 0));
}

#[test]
fn a_wait_has_three_ends_without_a_place() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let bulkhead = Arc::new(Bulkhead::new(2, 3).wait_max(SEC));
    let places = [(); 2].map(|()| bulkhead.enter().expect("a place is free"));
    let (context, cancel) = Context::background().with_cancel();
    let never = || unreachable!("it has no place");
    let cancelled = waits(&rt, &bulkhead, &context, never);
    let (context, _cancel) = rt.run(|| Context::background().with_timeout(SEC / 2));
    let too_late = waits(&rt, &bulkhead, &context, never);
    let timed_out = waits(&rt, &bulkhead, &Context::background(), never);
    cancel.cancel();
    assert_eq!(cancelled.join().expect("it ends"), Err(BulkheadError::Ended(ContextError::Cancelled)));
    clock.advance(SEC / 2);
    assert_eq!(too_late.join().expect("it ends"), Err(BulkheadError::Ended(ContextError::DeadlineExceeded)));
    assert_eq!(figures(&bulkhead).queued, 1);
    clock.advance(SEC / 2);
    assert_eq!(timed_out.join().expect("it ends"), Err(BulkheadError::TimedOut));
    assert_eq!(bulkhead.enter_ctx(&context).err(), Some(BulkheadError::Ended(ContextError::DeadlineExceeded)));
    drop(places);
    let metrics = figures(&bulkhead);
    assert_eq!((metrics.asked, metrics.abandoned, metrics.completed), (6, 4, 2));
}

#[test]
fn a_wait_that_is_unwound_leaves_the_line() {
    let _clock = SetClock::take();
    let (rt, closes) = (runtime(1), runtime(1));
    let bulkhead = Arc::new(Bulkhead::new(2, 3));
    let places = [(); 2].map(|()| bulkhead.enter().expect("a place is free"));
    let unwound = waits(&closes, &bulkhead, &Context::background(), || {});
    let stays = waits(&rt, &bulkhead, &Context::background(), || {});
    closes.close();
    assert!(unwound.join().is_err());
    assert_eq!((figures(&bulkhead).queued, figures(&bulkhead).abandoned), (1, 1));
    drop(places);
    assert_eq!(stays.join().expect("it ends"), Ok(()));
    figures(&bulkhead);
}

#[test]
fn threads_wait_too_and_a_panic_frees_its_place() {
    let _clock = SetClock::take();
    let bulkhead = Arc::new(Bulkhead::new(2, 3));
    let (leaves, inside) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let threads: Vec<_> = (0..5)
        .map(|_| {
            let (bulkhead, leaves, inside) = (bulkhead.clone(), leaves.clone(), inside.clone());
            std::thread::spawn(move || {
                bulkhead.run(|| {
                    inside.set();
                    leaves.wait();
                })
            })
        })
        .collect();
    inside.wait();
    leaves.set();
    assert!(threads.into_iter().all(|thread| thread.join().expect("it ends") == Ok(())));
    assert!(catch_unwind(AssertUnwindSafe(|| bulkhead.run(|| panic!("a call breaks")))).is_err());
    assert_eq!((figures(&bulkhead).completed, figures(&bulkhead).active), (6, 0));
}
