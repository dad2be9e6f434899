//! Rate limits, under a clock that the test moves. Every test here takes the clock, so they go one by one.
//!
//! # Go's tests (`golang.org/x/time/rate`, 2b4e439)
//! Of 29 and 3, by name in snake case. At given moments, in `src/rate/token_bucket_tests.rs`: `TestLimit`, `TestEvery`,
//! `TestLimiterBurst1`, `TestLimiterBurst3`, `TestLimiter_noTruncationErrors`, `TestLongRunningQPS`,
//! `TestSimpleReserve`, `TestMix`, `TestCancelInvalid`, `TestCancelLast`, `TestCancelTooLate`, `TestCancel0Tokens`,
//! `TestCancel1Token`, `TestCancelMulti`, `TestReserveSetLimit`, `TestReserveSetBurst`, `TestReserveSetLimitCancel`,
//! `TestReserveMax`. Here: `TestWaitSimple`, `TestWaitCancel`, `TestWaitTimeout`, `TestWaitInf`, `TestZeroLimit`,
//! `TestSetAfterZeroLimit`, `TestTinyLimit`, and the examples of `Sometimes`, `TestSometimesZero`, `TestSometimesMax`.
//! In `stress.rs`: `TestSimultaneousRequests`.
//!
//! Left out: `TestLimiterJumpBackwards`, `TestReserveJumpBack`, `TestReserveJumpBackCancel`, as no caller says what
//! time it is, and pirn's clock does not go back; `TestSometimesNegative`, as a `Duration` is never negative.
//!
//! # Governor's tests (9f3a79d)
//! What they say of a limiter at given moments is in these: `direct.rs` `accepts_first_cell`, `rejects_too_many`,
//! `all_1_identical_to_1`, `never_allows_more_than_capacity_all`, `all_capacity_check_rejects_excess`,
//! `does_not_allow_one_extra_cell_after_longer_interval`, `correct_wait_time` (`governors_direct`); `keyed_dashmap.rs`
//! `accepts_first_cell`, `rejects_too_many`, `expiration`, `dashmap_length` (`governors_keyed`); `future.rs` `pauses`,
//! `pauses_n`, `proceeds`, `multiple`, `errors_on_exceeded_capacity` (`governors_waits`). `actual_threadsafety` is in
//! `stress.rs`. Left out: middleware, hashers, streams and sinks, which do not exist here; `memory_leaks.rs`.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{House, runtime, wait_until_waiting};
use pirn_patterns::Keyed;
use pirn_patterns::rate::{
    MemoryStore, Quota, Rate, RateLimiter, Refused, SharedError, SharedLimiter, Sometimes, WaitError,
};
use pirn_runtime::JoinHandle;
use pirn_runtime::internal::SetClock;
use pirn_sync::context::{Context, ContextError};
use std::sync::Arc;
use std::time::Duration;

/// Go's `d`.
const D: Duration = Duration::from_millis(100);
const MOMENT: Duration = Duration::from_nanos(1);

/// Starts a wait for `n` permits.
#[track_caller]
fn go_wait(rt: &House, limit: &Arc<RateLimiter>, context: &Context, n: usize) -> JoinHandle<Result<(), WaitError>> {
    let (limit, context) = (limit.clone(), context.clone());
    rt.go(move || limit.wait_ctx(&context, n))
}

/// Waits for `n` permits, which are to be had after `delay` and not before.
#[track_caller]
fn wait_for(rt: &House, clock: &SetClock, limit: &Arc<RateLimiter>, n: usize, delay: Duration) {
    let waits = go_wait(rt, limit, &Context::background(), n);
    if !delay.is_zero() {
        wait_until_waiting(&rt.handle(), waits.id());
        clock.advance(delay - MOMENT);
        rt.run(pirn_runtime::yield_now);
        assert!(!waits.is_finished());
        clock.advance(MOMENT);
    }
    assert_eq!(waits.join().expect("it waits"), Ok(()));
}

fn limiter(per_sec: f64, burst: usize) -> Arc<RateLimiter> {
    Arc::new(RateLimiter::new(Rate::per_sec(per_sec), burst))
}

#[test]
fn test_wait_simple() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let limit = limiter(10.0, 3);
    let (ended, cancel) = Context::background().with_cancel();
    cancel.cancel();
    assert_eq!(limit.wait_ctx(&ended, 1), Err(WaitError::Ended(ContextError::Cancelled)));
    assert_eq!(limit.wait_n(4), Err(WaitError::Refused(Refused::Never)));
    wait_for(&rt, &clock, &limit, 2, Duration::ZERO);
    wait_for(&rt, &clock, &limit, 3, 2 * D);
}

#[test]
fn test_wait_cancel() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let limit = limiter(10.0, 3);
    wait_for(&rt, &clock, &limit, 2, Duration::ZERO);
    let (context, cancel) = Context::background().with_cancel();
    let waits = go_wait(&rt, &limit, &context, 3);
    wait_until_waiting(&rt.handle(), waits.id());
    clock.advance(D);
    cancel.cancel();
    assert_eq!(waits.join().expect("it waits"), Err(WaitError::Ended(ContextError::Cancelled)));
    assert!((limit.tokens() - 2.0).abs() < 1e-9);
    wait_for(&rt, &clock, &limit, 2, Duration::ZERO);
    assert_eq!(limit.metrics().cancelled, 1);
}

#[test]
fn test_wait_timeout() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let limit = limiter(10.0, 3);
    let (context, _cancel) = rt.run(|| Context::background().with_timeout(D));
    assert_eq!(limit.wait_ctx(&context, 2), Ok(()));
    // It would take two of them; nobody waits, and nothing is taken.
    assert_eq!(limit.wait_ctx(&context, 3), Err(WaitError::Refused(Refused::NotYet(D))));
    wait_for(&rt, &clock, &limit, 1, Duration::ZERO);
}

#[test]
fn test_wait_inf() {
    let _clock = SetClock::take();
    let limit = RateLimiter::new(Rate::INFINITE, 0);
    assert_eq!(limit.wait_n(3), Ok(()));
}

#[test]
fn test_zero_limit() {
    let _clock = SetClock::take();
    let limit = RateLimiter::new(Rate::ZERO, 1);
    assert!(limit.allow());
    assert!(!limit.allow());
    // To wait for it would take for ever.
    assert_eq!(limit.wait(), Err(WaitError::Refused(Refused::Never)));
    let nothing = RateLimiter::new(Rate::per_sec(1.0), 0);
    assert!(nothing.allow_n(0) && !nothing.allow());
    assert_eq!(nothing.reserve(1).err(), Some(Refused::Never));
}

#[test]
fn test_set_after_zero_limit() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let limit = limiter(0.0, 1);
    assert!(limit.allow());
    assert!(!limit.allow());
    limit.set_rate(Rate::per_sec(10.0));
    wait_for(&rt, &clock, &limit, 1, D);
    limit.set_burst(2);
    assert_eq!((limit.rate(), limit.burst()), (Rate::per_sec(10.0), 2));
    wait_for(&rt, &clock, &limit, 2, 2 * D);
}

#[test]
fn test_tiny_limit() {
    let _clock = SetClock::take();
    let limit = RateLimiter::new(Rate::per_sec(1e-10), 1);
    assert!(limit.allow());
    assert!(!limit.allow());
}

#[test]
fn those_that_wait_have_their_turn_before_they_sleep() {
    let clock = SetClock::take();
    let rt = runtime(2);
    let limit = limiter(10.0, 1);
    let waits: Vec<_> = (0..5)
        .map(|nth| {
            let waits = go_wait(&rt, &limit, &Context::background(), 1);
            if nth > 0 {
                wait_until_waiting(&rt.handle(), waits.id());
            }
            waits
        })
        .collect();
    // Who comes later, and does not wait, gets nothing, though time passes.
    for (nth, wait) in waits.into_iter().enumerate() {
        if nth > 0 {
            clock.advance(D);
        }
        assert_eq!(wait.join().expect("it waits"), Ok(()));
        assert!(!limit.allow());
    }
    let metrics = limit.metrics();
    assert_eq!((metrics.asked, metrics.granted, metrics.delayed, metrics.refused), (10, 5, 4, 5));
}

#[test]
fn a_wait_that_is_unwound_gives_its_permits_back() {
    let _clock = SetClock::take();
    let rt = runtime(1);
    let limit = limiter(10.0, 1);
    assert!(limit.allow());
    let waits = go_wait(&rt, &limit, &Context::background(), 1);
    wait_until_waiting(&rt.handle(), waits.id());
    rt.close();
    assert!(waits.join().is_err());
    assert!(limit.tokens().abs() < 1e-9);
}

#[test]
fn governors_direct() {
    let clock = SetClock::take();
    let limit = RateLimiter::new(Rate::per_sec(2.0), 2);
    assert!(limit.allow() && limit.allow() && !limit.allow());
    clock.advance(Duration::from_millis(499));
    assert!(!limit.allow());
    clock.advance(Duration::from_millis(1));
    assert!(limit.allow() && !limit.allow());
    // A long pause is worth no more than a burst.
    clock.advance(Duration::from_secs(100));
    assert!(!limit.allow_n(3) && limit.allow_n(2) && !limit.allow());
    let wait = limit.reserve_within(1, Duration::ZERO).err();
    assert_eq!(wait, Some(Refused::NotYet(Duration::from_millis(500))));
}

#[test]
fn governors_waits() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let limit = limiter(10.0, 10);
    assert_eq!(limit.wait_n(15), Err(WaitError::Refused(Refused::Never)));
    (0..10).for_each(|_| wait_for(&rt, &clock, &limit, 1, Duration::ZERO));
    wait_for(&rt, &clock, &limit, 1, D);
    wait_for(&rt, &clock, &limit, 3, 3 * D);
}

#[test]
fn a_leaky_bucket_lets_out_one_by_one() {
    let clock = SetClock::take();
    let limit = RateLimiter::leaky_bucket(Rate::per_sec(10.0), 2);
    let delays = || [(); 4].map(|()| limit.reserve(1).map(|slot| slot.delay()));
    assert_eq!(delays(), [Ok(Duration::ZERO), Ok(D), Ok(2 * D), Err(Refused::NotYet(D))]);
    clock.advance(D / 2);
    assert_eq!(limit.reserve(1).err(), Some(Refused::NotYet(D / 2)));
    clock.advance(D / 2);
    let last = limit.reserve(1).expect("one has left");
    assert_eq!(last.delay(), 2 * D);
    last.cancel();
    assert_eq!(limit.reserve(1).expect("that was cancelled").delay(), 2 * D);
    // A pause saves nothing up.
    clock.advance(Duration::from_secs(10));
    assert!(limit.allow() && !limit.allow());
}

#[test]
fn a_fixed_window_has_its_edge() {
    let clock = SetClock::take();
    let limit = RateLimiter::fixed_window(5, D);
    assert!(limit.allow());
    clock.advance(D - MOMENT);
    // Nine in two nanoseconds, where five were said: four at the end of one window, five at the beginning of the next.
    assert_eq!((0..9).filter(|_| limit.allow()).count(), 4);
    clock.advance(MOMENT);
    assert_eq!((0..9).filter(|_| limit.allow()).count(), 5);
    // Those that wait take the windows that are to come, which begin a multiple of the window after the first one.
    clock.advance(D / 2);
    assert_eq!(limit.reserve(3).expect("of the next").delay(), D / 2);
    let last = limit.reserve(3).expect("of the one after that");
    assert_eq!(last.delay(), D / 2 + D);
    last.cancel();
    assert_eq!(limit.reserve(5).expect("that was cancelled").delay(), D / 2 + D);
    assert_eq!(limit.reserve(6).err(), Some(Refused::Never));
}

#[test]
fn a_sliding_window_has_none() {
    let clock = SetClock::take();
    let limit = RateLimiter::sliding_window(5, D);
    assert!(limit.allow());
    clock.advance(D - MOMENT);
    assert_eq!((0..9).filter(|_| limit.allow()).count(), 4);
    clock.advance(MOMENT);
    // The first one has left.
    assert_eq!((0..9).filter(|_| limit.allow()).count(), 1);
    assert_eq!(limit.reserve(4).expect("when the four leave").delay(), D - MOMENT);
    let last = limit.reserve(1).expect("when the next one leaves");
    assert_eq!(last.delay(), D);
    last.cancel();
    assert_eq!(limit.reserve(1).expect("that was cancelled").delay(), D);
    assert_eq!(limit.reserve(6).err(), Some(Refused::Never));
}

/// Which of the calls do the thing.
fn done(sometimes: &Sometimes, calls: usize) -> Vec<usize> {
    (1..=calls).filter(|_| sometimes.is_due()).collect()
}

#[test]
fn examples_of_sometimes() {
    let clock = SetClock::take();
    assert_eq!(done(&Sometimes::new(), 3), [1]);
    assert_eq!(done(&Sometimes::new().first(2), 3), [1, 2]);
    assert_eq!(done(&Sometimes::new().every(2), 3), [1, 3]);
    let interval = Sometimes::new().interval(D);
    assert_eq!(done(&interval, 2), [1]);
    clock.advance(D);
    assert_eq!(done(&interval, 2), [1]);
    let mix = Sometimes::new().first(2).every(2).interval(2 * D);
    assert_eq!(done(&mix, 3), [1, 2, 3]);
    clock.advance(2 * D);
    assert_eq!(done(&mix, 3), [1, 2]);
    // TestSometimesZero and TestSometimesMax.
    assert_eq!(done(&Sometimes::new().interval(Duration::ZERO), 2), [1]);
    assert_eq!(done(&Sometimes::new().interval(Duration::MAX), 2), [1]);
}

#[test]
fn governors_keyed() {
    let clock = SetClock::take();
    let limits = Keyed::new(|_: &&str| RateLimiter::new(Rate::per_sec(10.0), 1));
    assert!(limits.get("foo").allow() && limits.get("bar").allow());
    assert!(!limits.get("foo").allow() && !limits.get("bar").allow());
    assert_eq!((limits.len(), limits.forget_idle()), (2, 0));
    clock.advance(D / 2);
    assert!(limits.get("baz").allow());
    clock.advance(D / 2);
    // Two are as new; one of them is held.
    let foo = limits.get("foo");
    assert_eq!((limits.forget_idle(), limits.len()), (1, 2));
    assert!(foo.allow() && !limits.get("foo").allow());
    drop(foo);
    clock.advance(D);
    assert_eq!((limits.forget_idle(), limits.is_empty()), (2, true));
}

#[test]
fn idle_keys_are_forgotten_by_the_way() {
    let clock = SetClock::take();
    let limits = Keyed::new(|_: &u32| RateLimiter::new(Rate::per_sec(1e6), 1));
    for key in 0..10_000 {
        assert!(limits.get(key).allow());
        clock.advance(Duration::from_micros(1));
        assert!(limits.len() <= 66, "{}", limits.len());
    }
}

#[test]
fn strangers_can_not_make_any_number_of_keys() {
    let clock = SetClock::take();
    let limits = Keyed::new(|_: &u32| RateLimiter::new(Rate::per_sec(10.0), 1)).max_keys(10);
    let allowed = |key: u32| limits.try_get(key).is_some_and(|limit| limit.allow());
    assert_eq!((0..100).filter(|key| allowed(*key)).count(), 10);
    assert!(limits.try_get(3).is_some());
    clock.advance(D);
    assert!(allowed(100) && limits.len() == 1);
}

#[test]
fn a_shared_limit_is_one_for_all() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let store = Arc::new(MemoryStore::new());
    let quota = Quota::every(D, 2);
    let (here, there) = (SharedLimiter::new(&*store, quota), SharedLimiter::new(&*store, quota));
    assert_eq!((here.allow_n("k", 1), there.allow_n("k", 1), here.allow_n("k", 1)), (Ok(true), Ok(true), Ok(false)));
    assert_eq!(there.allow_n("other", 2), Ok(true));
    let context = Context::background();
    assert_eq!(here.wait_ctx(&context, "k", 3), Err(SharedError::Wait(WaitError::Refused(Refused::Never))));
    let (short, _cancel) = rt.run(|| context.with_timeout(D / 2));
    let late = SharedError::Wait(WaitError::Refused(Refused::NotYet(D / 2)));
    assert_eq!(here.wait_ctx(&short, "k", 1), Err(late));
    let waits: Vec<_> = [1, 2]
        .map(|_| {
            let (store, context) = (store.clone(), context.clone());
            let waits = rt.go(move || SharedLimiter::new(&*store, quota).wait_ctx(&context, "k", 1));
            wait_until_waiting(&rt.handle(), waits.id());
            waits
        })
        .into();
    for wait in waits {
        clock.advance(D);
        assert_eq!(wait.join().expect("it waits"), Ok(()));
        assert_eq!(there.allow_n("k", 1), Ok(false));
    }
}

#[test]
fn a_store_forgets_what_is_full() {
    let clock = SetClock::take();
    let store = MemoryStore::new();
    let limit = SharedLimiter::new(&store, Quota::every(MOMENT, 1));
    for nth in 0..1000 {
        assert_eq!(limit.allow_n(&nth.to_string(), 1), Ok(true));
        clock.advance(MOMENT);
    }
    assert!(!store.is_empty() && store.len() <= 65);
}
