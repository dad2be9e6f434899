//! Circuit breakers, under a clock that the test moves. Every test here takes the clock, so they go one by one.
//!
//! # The tests of sony/gobreaker (fed8e9e, v2)
//! By name in snake case: `TestDefaultCircuitBreaker`, `TestCustomCircuitBreaker`, `TestRollingWindowCircuitBreaker`,
//! `TestPanicInRequest`, `TestGeneration`, `TestCustomIsSuccessful`, `TestIsExcludedAndIsSuccessfulCombination`,
//! `TestTwoStepCircuitBreaker`. `TestCircuitBreakerInParallel` and `TestRollingWindowCircuitBreakerInParallel` are in
//! `stress.rs`.
//!
//! What differs: a breaker opens at the configured number of failures, not after it; calls are counted when they end;
//! and a window moves on, where gobreaker's `Interval` begins anew: so here `TestGeneration` is about a change of the
//! state.
//!
//! Left out: `TestStateConstants`, `TestNewCircuitBreaker` and those of `counter_test.go`, which look inside; the
//! distributed breaker and its store, which do not exist here.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{runtime, wait_until_waiting};
use pirn_patterns::Keyed;
use pirn_patterns::breaker::{BreakerError, Change, CircuitBreaker, Counts, Rejected, State, Verdict};
use pirn_patterns::bulkhead::Bulkhead;
use pirn_patterns::guarded::{Guarded, GuardedError};
use pirn_runtime::internal::SetClock;
use pirn_sync::Event;
use pirn_sync::context::{Context, ContextError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SEC: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);

/// A call that succeeds. True: it was made.
fn succeed(breaker: &CircuitBreaker) -> bool {
    breaker.call(|| Ok::<_, ()>(())).is_ok()
}

/// A call that fails. True: it was made.
fn fail(breaker: &CircuitBreaker) -> bool {
    breaker.call(|| Err::<(), _>(())) == Err(BreakerError::Failed(()))
}

/// A call that does not count. True: it was made.
fn exclude(breaker: &CircuitBreaker) -> bool {
    breaker.call_judged(|_| Verdict::Ignore, || Err::<(), _>(())) == Err(BreakerError::Failed(()))
}

/// Successes, failures, and how many of each came last.
fn figures(counts: Counts) -> [u32; 4] {
    [counts.successes, counts.failures, counts.consecutive_successes, counts.consecutive_failures]
}

#[test]
fn test_default_circuit_breaker() {
    let clock = SetClock::take();
    let breaker = CircuitBreaker::builder().failures(6).build();
    assert!((0..5).all(|_| fail(&breaker)));
    assert_eq!((breaker.state(), figures(breaker.counts())), (State::Closed, [0, 5, 0, 5]));
    assert!(succeed(&breaker));
    assert_eq!((breaker.state(), figures(breaker.counts())), (State::Closed, [1, 5, 1, 0]));
    assert!(fail(&breaker));
    assert_eq!((breaker.state(), figures(breaker.counts())), (State::Closed, [1, 6, 0, 1]));
    assert!((0..5).all(|_| fail(&breaker)));
    assert_eq!((breaker.state(), figures(breaker.counts())), (State::Open, [0; 4]));
    assert!(!succeed(&breaker) && !fail(&breaker));
    clock.advance(30 * SEC - MOMENT);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.permit().err(), Some(Rejected::Open(MOMENT)));
    clock.advance(MOMENT);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(fail(&breaker));
    assert_eq!(breaker.state(), State::Open);
    clock.advance(30 * SEC);
    // Without a look at the state before.
    assert!(succeed(&breaker));
    assert_eq!((breaker.state(), figures(breaker.counts())), (State::Closed, [0; 4]));
}

/// A breaker that opens at a share of 0.6 of at least three in 30 s, with three trials; and where it tells of its
/// changes.
fn custom() -> (CircuitBreaker, Arc<Mutex<Vec<Change>>>) {
    let changes = Arc::new(Mutex::new(Vec::new()));
    let told = changes.clone();
    let builder = CircuitBreaker::builder().rate(0.6, 30 * SEC, 3).open_for(90 * SEC).half_open(3);
    let on_change = move |change| told.lock().expect("nobody panics").push(change);
    (builder.on_change(on_change).build(), changes)
}

#[test]
fn test_custom_circuit_breaker() {
    let clock = SetClock::take();
    let (breaker, changes) = custom();
    for _ in 0..5 {
        assert!(succeed(&breaker) && fail(&breaker) && exclude(&breaker));
    }
    assert_eq!((breaker.state(), figures(breaker.counts())), (State::Closed, [5, 5, 0, 1]));
    clock.advance(30 * SEC - MOMENT);
    assert!(succeed(&breaker));
    assert_eq!(figures(breaker.counts()), [6, 5, 1, 0]);
    clock.advance(SEC);
    assert!(fail(&breaker));
    assert_eq!(figures(breaker.counts()), [1, 1, 0, 1]);
    // Two of three.
    assert!(fail(&breaker));
    assert_eq!((breaker.state(), figures(breaker.counts())), (State::Open, [0; 4]));
    clock.advance(90 * SEC);
    assert_eq!(breaker.state(), State::HalfOpen);
    // More than there are trials: they leave no trace.
    assert!((0..4).all(|_| exclude(&breaker)));
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(fail(&breaker));
    assert_eq!(breaker.state(), State::Open);
    clock.advance(90 * SEC);
    assert!(succeed(&breaker) && succeed(&breaker));
    assert_eq!(breaker.state(), State::HalfOpen);
    let later = breaker.permit().expect("it is the third");
    assert_eq!(breaker.permit().err(), Some(Rejected::HalfOpen));
    later.success();
    assert_eq!(breaker.state(), State::Closed);
    let changes: Vec<_> = changes.lock().expect("nobody panics").iter().map(|c| (c.from, c.to, c.generation)).collect();
    let all = [
        (State::Closed, State::Open, 1),
        (State::Open, State::HalfOpen, 2),
        (State::HalfOpen, State::Open, 3),
        (State::Open, State::HalfOpen, 4),
        (State::HalfOpen, State::Closed, 5),
    ];
    assert_eq!(changes, all);
}

#[test]
fn test_rolling_window_circuit_breaker() {
    let clock = SetClock::take();
    let rule = |counts: &Counts| counts.requests() >= 3 && counts.failure_rate() > 0.6;
    let breaker = CircuitBreaker::builder().trip_if(Some(30 * SEC), rule).build();
    for _ in 0..5 {
        assert!(succeed(&breaker) && fail(&breaker));
    }
    for (secs, expected) in [(3, [6, 5, 1, 0]), (2, [7, 5, 2, 0]), (2, [8, 5, 3, 0])] {
        clock.advance(secs * SEC);
        assert!(succeed(&breaker));
        assert_eq!(figures(breaker.counts()), expected);
    }
    clock.advance(2 * SEC);
    assert!(fail(&breaker));
    assert_eq!(figures(breaker.counts()), [8, 6, 0, 1]);
    for nth in 0..6 {
        clock.advance(3 * SEC);
        assert!(succeed(&breaker) && fail(&breaker));
        assert_eq!(figures(breaker.counts()), [9 + nth, 7 + nth, 0, 1]);
    }
    // The first part leaves.
    clock.advance(3 * SEC);
    assert!(fail(&breaker));
    assert_eq!(figures(breaker.counts()), [9, 8, 0, 2]);
    assert!((0..5).all(|_| fail(&breaker)));
    assert_eq!((breaker.state(), figures(breaker.counts())), (State::Closed, [9, 13, 0, 7]));
    assert!(fail(&breaker));
    assert_eq!(breaker.state(), State::Open);
    // What has been for long is forgotten all at once.
    breaker.reset();
    assert!(succeed(&breaker));
    clock.advance(300 * SEC);
    assert_eq!(figures(breaker.counts()), [0, 0, 1, 0]);
}

#[test]
fn test_panic_in_request() {
    let _clock = SetClock::take();
    let breaker = CircuitBreaker::builder().build();
    let call = AssertUnwindSafe(|| breaker.call(|| -> Result<(), ()> { panic!("oops") }));
    assert!(catch_unwind(call).is_err());
    assert_eq!(figures(breaker.counts()), [0, 1, 0, 1]);
}

#[test]
fn test_generation() {
    let clock = SetClock::take();
    let breaker = CircuitBreaker::builder().failures(2).half_open(2).build();
    let [late_failure, late_success] = [(); 2].map(|()| breaker.permit().expect("it is closed"));
    assert!(fail(&breaker) && fail(&breaker));
    clock.advance(30 * SEC);
    assert_eq!(breaker.state(), State::HalfOpen);
    // Neither opens nor closes it, nor takes a trial.
    late_failure.failure();
    late_success.success();
    assert_eq!(breaker.state(), State::HalfOpen);
    let [first, second] = [(); 2].map(|()| breaker.permit().expect("a trial"));
    first.success();
    assert_eq!(breaker.state(), State::HalfOpen);
    second.success();
    assert_eq!(breaker.state(), State::Closed);
    let metrics = breaker.metrics();
    assert_eq!((metrics.late, metrics.succeeded, metrics.failed, metrics.in_flight), (2, 3, 3, 0));
}

#[test]
fn test_custom_is_successful() {
    let _clock = SetClock::take();
    let breaker = CircuitBreaker::builder().build();
    for _ in 0..9 {
        let error = breaker.call_judged(|_| Verdict::Success, || Err::<(), _>(7));
        assert_eq!(error, Err(BreakerError::Failed(7)));
    }
    assert_eq!((breaker.state(), figures(breaker.counts())), (State::Closed, [9, 0, 9, 0]));
}

#[test]
fn test_is_excluded_and_is_successful_combination() {
    let _clock = SetClock::take();
    let breaker = CircuitBreaker::builder().build();
    assert!((0..3).all(|_| exclude(&breaker)));
    assert_eq!(figures(breaker.counts()), [0; 4]);
    assert!((0..3).all(|_| succeed(&breaker)));
    assert!((0..2).all(|_| fail(&breaker)));
    assert_eq!(figures(breaker.counts()), [3, 2, 0, 2]);
    assert_eq!(breaker.metrics().ignored, 3);
}

#[test]
fn test_two_step_circuit_breaker() {
    let clock = SetClock::take();
    let breaker = CircuitBreaker::builder().failures(1).half_open(2).build();
    breaker.permit().expect("it is closed").failure();
    assert!(matches!(breaker.permit(), Err(Rejected::Open(_))));
    clock.advance(30 * SEC);
    let [first, second] = [(); 2].map(|()| breaker.permit().expect("a trial"));
    assert!(!succeed(&breaker) && !fail(&breaker));
    first.ignore();
    second.ignore();
    assert!(succeed(&breaker));
    // Dropped: it has failed.
    drop(breaker.permit().expect("the second trial"));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_caller_that_gives_up_says_nothing_about_the_other_side() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let breaker = CircuitBreaker::builder().failures(1).build();
    let (context, cancel) = Context::background().with_cancel();
    let give_up = |context: &Context| {
        cancel.cancel();
        context.check()
    };
    assert_eq!(breaker.call_ctx(&context, give_up), Err(BreakerError::Failed(ContextError::Cancelled)));
    let never = |_: &Context| -> Result<(), ()> { unreachable!("it is not called") };
    assert_eq!(breaker.call_ctx(&context, never), Err(BreakerError::Ended(ContextError::Cancelled)));
    assert_eq!((breaker.state(), breaker.metrics().ignored), (State::Closed, 1));
    // But a deadline may have passed because the other side is slow.
    let (context, _cancel) = rt.run(|| Context::background().with_timeout(SEC));
    let slow = |context: &Context| {
        clock.advance(SEC);
        context.wait();
        context.check()
    };
    assert_eq!(breaker.call_ctx(&context, slow), Err(BreakerError::Failed(ContextError::DeadlineExceeded)));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_listener_and_a_rule_may_use_the_breaker() {
    let _clock = SetClock::take();
    let own: Arc<Mutex<Option<Arc<CircuitBreaker>>>> = Arc::default();
    let get =
        |own: &Mutex<Option<Arc<CircuitBreaker>>>| own.lock().expect("nobody panics").clone().expect("it is built");
    let (in_rule, in_change) = (own.clone(), own.clone());
    let breaker = CircuitBreaker::builder()
        .trip_if(None, move |counts| get(&in_rule).counts() == *counts)
        .on_change(move |change| assert_eq!(get(&in_change).state(), change.to));
    let breaker = Arc::new(breaker.build());
    *own.lock().expect("nobody panics") = Some(breaker.clone());
    assert!(fail(&breaker));
    assert_eq!(breaker.state(), State::Open);
    breaker.reset();
    breaker.trip();
    assert_eq!(breaker.metrics().opened, 2);
    *own.lock().expect("nobody panics") = None;
}

#[test]
fn a_listener_that_panics_loses_no_permit() {
    let clock = SetClock::take();
    let on_change = |change: Change| assert_ne!(change.to, State::HalfOpen, "a listener panics");
    let breaker = CircuitBreaker::builder().failures(1).on_change(on_change).build();
    assert!(fail(&breaker));
    clock.advance(30 * SEC);
    // The change is told by the call that is the trial, which fails by it.
    assert!(catch_unwind(AssertUnwindSafe(|| succeed(&breaker))).is_err());
    assert_eq!((breaker.state(), breaker.metrics().in_flight), (State::Open, 0));
}

#[test]
fn each_key_has_a_breaker_of_its_own() {
    let clock = SetClock::take();
    let breakers = Keyed::new(|_: &&str| CircuitBreaker::builder().failures(1).build());
    assert!(fail(&breakers.get("a")) && succeed(&breakers.get("b")));
    assert!(!succeed(&breakers.get("a")) && succeed(&breakers.get("b")));
    // One that is not closed is not forgotten.
    assert_eq!((breakers.forget_idle(), breakers.len()), (1, 1));
    clock.advance(30 * SEC);
    assert!(succeed(&breakers.get("a")));
    assert_eq!(breakers.forget_idle(), 1);
}

#[test]
fn while_it_is_open_nobody_waits_for_a_place() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let guarded = Arc::new(Guarded::new(CircuitBreaker::builder().failures(1).build(), Bulkhead::new(1, 1)));
    let leaves = Arc::new(Event::new());
    let holds = {
        let (guarded, leaves) = (guarded.clone(), leaves.clone());
        let waits = move || {
            leaves.wait();
            Ok::<_, ()>(())
        };
        rt.go(move || guarded.call(waits))
    };
    wait_until_waiting(&rt.handle(), holds.id());
    let waits = {
        let guarded = guarded.clone();
        rt.go(move || guarded.call(|| -> Result<(), ()> { unreachable!("it has opened meanwhile") }))
    };
    wait_until_waiting(&rt.handle(), waits.id());
    assert_eq!(guarded.call(|| Ok::<_, ()>(())), Err(GuardedError::Full));
    guarded.breaker().trip();
    // It neither waits, nor is the bulkhead asked.
    assert_eq!(guarded.call(|| Ok::<_, ()>(())), Err(GuardedError::Broken(Rejected::Open(30 * SEC))));
    assert_eq!((guarded.bulkhead().metrics().asked, guarded.bulkhead().metrics().queued), (3, 1));
    leaves.set();
    assert_eq!(holds.join().expect("it ends"), Ok(()));
    assert_eq!(waits.join().expect("it ends"), Err(GuardedError::Broken(Rejected::Open(30 * SEC))));
    clock.advance(30 * SEC);
    assert_eq!(guarded.call(|| Ok::<_, ()>(())), Ok(()));
    assert_eq!(guarded.breaker().state(), State::Closed);
    assert_eq!(guarded.call(|| Err::<(), _>(7)), Err(GuardedError::Failed(7)));
}
