//! Timeouts and hedges, under a clock that the test moves. Every test here takes the clock, so they go one by one.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{eventually, runtime, wait_until_waiting};
use pirn_patterns::hedge::{Hedge, HedgeError, HedgedAttempt};
use pirn_patterns::retry::Budget;
use pirn_patterns::timeout::{Timeout, TimeoutError};
use pirn_runtime::internal::SetClock;
use pirn_sync::Event;
use pirn_sync::context::{Context, ContextError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SEC: Duration = Duration::from_secs(1);

#[test]
fn a_call_in_time_is_only_a_call() {
    let _clock = SetClock::take();
    let rt = runtime(1);
    let timeout = Timeout::new(SEC);
    assert_eq!(rt.run(|| timeout.call(|_| 7)), Ok(7));
    // On a thread of its own.
    assert_eq!(timeout.call(|_| 7), Ok(7));
    let panics = AssertUnwindSafe(|| rt.run(|| timeout.call(|_| panic!("the call breaks"))));
    assert!(catch_unwind(panics).is_err());
    let metrics = timeout.metrics();
    assert_eq!((metrics.calls, metrics.completed, metrics.panicked), (3, 2, 1));
    eventually("none runs", || timeout.metrics().running == 0);
}

#[test]
fn a_caller_goes_on_even_if_the_call_does_not() {
    let clock = SetClock::take();
    let rt = runtime(2);
    let (timeout, ends) = (Arc::new(Timeout::new(SEC)), Arc::new(Event::new()));
    let heeds = Arc::new(Event::new());
    let calls = {
        let (timeout, ends, heeds) = (timeout.clone(), ends.clone(), heeds.clone());
        rt.go(move || {
            timeout.call(move |context| {
                context.wait();
                heeds.set();
                // A call that does not heed its context.
                ends.wait();
            })
        })
    };
    wait_until_waiting(&rt.handle(), calls.id());
    clock.advance(SEC);
    assert_eq!(calls.join().expect("it ends"), Err(TimeoutError::TimedOut));
    heeds.wait();
    assert_eq!((timeout.metrics().running, timeout.metrics().timed_out), (1, 1));
    ends.set();
    eventually("none runs", || timeout.metrics().running == 0);
}

#[test]
fn the_context_of_the_caller_ends_it() {
    let _clock = SetClock::take();
    let rt = runtime(1);
    let timeout = Arc::new(Timeout::new(SEC));
    let (context, cancel) = Context::background().with_cancel();
    let calls = {
        let (timeout, context) = (timeout.clone(), context.clone());
        rt.go(move || timeout.call_ctx(&context, |context| _ = context.wait()))
    };
    wait_until_waiting(&rt.handle(), calls.id());
    cancel.cancel();
    let result = calls.join().expect("it ends");
    // The call heeds its context, so it may end first.
    assert!(matches!(result, Ok(()) | Err(TimeoutError::Ended(ContextError::Cancelled))), "{result:?}");
    let never = |_: &Context| unreachable!("it is not called");
    assert_eq!(timeout.call_ctx(&context, never), Err(TimeoutError::Ended(ContextError::Cancelled)));
    eventually("no G is left", || rt.goroutines().is_empty());
    let metrics = timeout.metrics();
    assert_eq!((metrics.calls, metrics.completed + metrics.ended, metrics.running), (2, 2, 0));
}

#[test]
fn a_call_whose_caller_is_unwound_ends() {
    let _clock = SetClock::take();
    let (rt, other) = (runtime(1), runtime(1));
    let timeout = Arc::new(Timeout::new(SEC));
    let (told, ended) = std::sync::mpsc::channel();
    let calls = {
        let timeout = timeout.clone();
        rt.go(move || {
            timeout.call(move |context| {
                drop(told.send(context.clone()));
                Event::new().wait();
            })
        })
    };
    let context = ended.recv().expect("it begins");
    wait_until_waiting(&rt.handle(), calls.id());
    rt.close();
    assert_eq!(other.run(|| context.wait()), ContextError::Cancelled);
    assert!(calls.join().is_err());
}

/// An attempt that waits for its end, or, from the `good`th on, succeeds.
fn waits_or(good: u32) -> impl Fn(&HedgedAttempt) -> Result<u32, ContextError> + Send + Sync + 'static {
    move |attempt| if attempt.number < good { Err(attempt.context.wait()) } else { Ok(attempt.number) }
}

#[test]
fn an_answer_that_is_late_is_asked_for_again() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let hedge = Arc::new(Hedge::new(SEC).attempts(3));
    assert_eq!(rt.run(|| hedge.run(waits_or(1))), Ok(1));
    let calls = {
        let hedge = hedge.clone();
        rt.go(move || hedge.run(waits_or(3)))
    };
    for nth in 1..=2 {
        eventually("the attempts wait", || {
            let waiting = |g: &pirn_runtime::Goroutine| g.state == pirn_runtime::State::Waiting;
            rt.goroutines().iter().filter(|g| waiting(g)).count() == 1 + nth
        });
        clock.advance(SEC);
    }
    assert_eq!(calls.join().expect("it ends"), Ok(3));
    // The others have been told, and leave nothing behind.
    eventually("no G is left", || rt.goroutines().is_empty());
    let metrics = hedge.metrics();
    assert_eq!((metrics.calls, metrics.hedges, metrics.succeeded, metrics.won_by_hedges), (2, 2, 2, 1));
}

#[test]
fn an_attempt_that_fails_starts_the_next_at_once() {
    let _clock = SetClock::take();
    let rt = runtime(2);
    let hedge = Hedge::new(SEC).attempts(3);
    let fails = |good: u32| move |a: &HedgedAttempt| if a.number < good { Err(a.number) } else { Ok(a.number) };
    assert_eq!(rt.run(|| hedge.run(fails(3))), Ok(3));
    assert_eq!(rt.run(|| hedge.run(fails(9))), Err(HedgeError::Failed(3)));
    // On threads.
    assert_eq!(hedge.run(fails(2)), Ok(2));
    let metrics = hedge.metrics();
    assert_eq!((metrics.calls, metrics.hedges, metrics.succeeded, metrics.failed), (3, 5, 2, 1));
}

#[test]
fn a_budget_limits_the_hedges() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let budget = Arc::new(Budget::new(0.0, 1));
    let hedge = Arc::new(Hedge::new(SEC).budget(budget.clone()));
    let begun = Arc::new(AtomicU32::new(0));
    let ends = Arc::new(Event::new());
    let call = || {
        let (hedge, begun, ends) = (hedge.clone(), begun.clone(), ends.clone());
        rt.go(move || {
            hedge.run(move |_| {
                begun.fetch_add(1, Ordering::Relaxed);
                ends.wait();
                Ok::<_, ()>(())
            })
        })
    };
    let calls = [call(), call()];
    eventually("both wait", || begun.load(Ordering::Relaxed) == 2);
    calls.iter().for_each(|call| wait_until_waiting(&rt.handle(), call.id()));
    clock.advance(SEC);
    eventually("both have asked the budget", || budget.metrics().granted + budget.metrics().denied == 2);
    eventually("one is hedged", || begun.load(Ordering::Relaxed) == 3);
    ends.set();
    assert!(calls.into_iter().all(|call| call.join().expect("it ends") == Ok(())));
    assert_eq!(hedge.metrics().hedges, 1);
}

#[test]
fn a_hedged_call_ends_with_its_context_and_with_a_panic() {
    let _clock = SetClock::take();
    let rt = runtime(1);
    let hedge = Arc::new(Hedge::new(SEC));
    let (context, cancel) = Context::background().with_cancel();
    let calls = {
        let (hedge, context) = (hedge.clone(), context.clone());
        let waits = |_: &HedgedAttempt| {
            Event::new().wait();
            Ok::<_, ()>(())
        };
        rt.go(move || hedge.run_ctx(&context, waits))
    };
    wait_until_waiting(&rt.handle(), calls.id());
    cancel.cancel();
    assert_eq!(calls.join().expect("it ends"), Err(HedgeError::Ended(ContextError::Cancelled)));
    assert_eq!(hedge.run_ctx(&context, waits_or(1)), Err(HedgeError::Ended(ContextError::Cancelled)));
    let panics = || hedge.run(|_| -> Result<(), ()> { panic!("an attempt breaks") });
    assert!(catch_unwind(AssertUnwindSafe(|| rt.run(panics))).is_err());
    assert_eq!((hedge.metrics().calls, hedge.metrics().ended), (3, 3));
}
