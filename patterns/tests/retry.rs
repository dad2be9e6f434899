//! Retries and budgets, under a clock that the test moves. Every test here takes the clock, so they go one by one.
//!
//! # The tests of backon (db212c0)
//! By name: `exponential.rs` `test_exponential_default`, `_factor`, `_jitter`, `_min_delay`, `_max_delay_with_default`,
//! `_no_max_delay_with_default`, `_max_delay_without_default_1` to `_3` (`delays_grow_up_to_their_limit`,
//! `jitter_takes_from_a_delay`), `_no_max_times_with_default`, `_max_times`, `_total_delay` (`tries_have_a_limit`,
//! `time_has_a_limit`); `constant.rs` `test_constant_default`, `_with_delay`, `_with_times`, `_without_max_times`
//! (`delays_grow_up_to_their_limit`); `blocking_retry.rs` and `retry.rs` `test_retry`,
//! `test_retry_with_not_retryable_error`, `test_retry_with_retryable_error`, `test_retry_with_adjust`.
//!
//! What differs: the default is three tries, not three retries; jitter takes from a delay, and does not add to it; a
//! delay knows no number of tries.
//!
//! Left out: Fibonacci delays; `_with_jitter` of a constant delay, which is `Jitter::Full`; those of const builders, of
//! async code, and `notify`, which do not exist here (the closure knows its number).

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{runtime, wait_until_waiting};
use pirn_patterns::retry::{Attempt, Backoff, Budget, GaveUp, Jitter, Retry, RetryError};
use pirn_runtime::internal::{SetClock, set_seed};
use pirn_sync::context::{Context, ContextError};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SEC: Duration = Duration::from_secs(1);
/// Some centuries.
const AGES: Duration = Duration::from_secs(10_000_000_000);

/// The first delays.
fn delays<const N: usize>(backoff: Backoff) -> [Duration; N] {
    let mut delays = backoff.jitter(Jitter::None).delays();
    [(); N].map(|()| delays.next().expect("they do not end"))
}

fn always<T>(_: &Attempt<'_>) -> Result<T, &'static str> {
    Err("broken")
}

fn gave_up<T>(why: GaveUp, tries: u32) -> Result<T, RetryError<&'static str>> {
    Err(RetryError { why, error: Some("broken"), tries })
}

#[test]
fn delays_grow_up_to_their_limit() {
    let _clock = SetClock::take();
    let minute = 60 * SEC;
    assert_eq!(delays(Backoff::exponential(SEC, minute)), [SEC, 2 * SEC, 4 * SEC]);
    assert_eq!(delays(Backoff::exponential(SEC, minute).factor(1.5)), [SEC, SEC * 3 / 2, SEC * 9 / 4]);
    assert_eq!(delays(Backoff::exponential(SEC / 2, minute)), [SEC / 2, SEC, 2 * SEC]);
    assert_eq!(delays(Backoff::exponential(SEC, 2 * SEC)), [SEC, 2 * SEC, 2 * SEC]);
    let huge = Backoff::exponential(SEC, Duration::MAX).factor(1e10);
    assert_eq!(delays(huge), [SEC, AGES, Duration::MAX, Duration::MAX]);
    let limited = Backoff::exponential(AGES, 6 * AGES).factor(1e10);
    assert_eq!(delays(limited), [AGES, 6 * AGES, 6 * AGES]);
    assert!(Backoff::constant(SEC).delays().take(10_000).all(|delay| delay == SEC));
    assert_eq!(delays(Backoff::exponential(SEC, minute).factor(0.1)), [SEC, SEC]);
    assert_eq!(delays(Backoff::exponential(minute, SEC)), [SEC, SEC]);
}

#[test]
fn jitter_takes_from_a_delay() {
    let _clock = SetClock::take();
    set_seed(7);
    let backoff = Backoff::exponential(SEC, 100 * SEC);
    let (mut small, mut large) = (0, 0);
    for _ in 0..1000 {
        let computed = delays::<3>(backoff);
        for (delay, computed) in backoff.delays().zip(computed) {
            assert!(delay <= computed);
            small += u32::from(delay < computed / 10);
            large += u32::from(delay > computed * 9 / 10);
        }
        for (delay, computed) in backoff.jitter(Jitter::Half).delays().zip(computed) {
            assert!(delay <= computed && delay >= computed / 2);
        }
    }
    // A tenth of 3000 each, if all delays are as likely.
    assert!((200..400).contains(&small) && (200..400).contains(&large), "{small} {large}");
    // A delay of centuries is one too.
    assert!(Backoff::exponential(Duration::MAX, Duration::MAX).delays().next().is_some());
}

#[test]
fn tries_have_a_limit() {
    let _clock = SetClock::take();
    let retry = Retry::new(Backoff::none());
    assert_eq!(retry.run(always::<()>), gave_up(GaveUp::Tries, 3));
    assert_eq!(retry.run(|attempt| if attempt.number == 3 { Ok(7) } else { Err("broken") }), Ok(7));
    let metrics = retry.metrics();
    assert_eq!((metrics.calls, metrics.attempts, metrics.retries), (2, 6, 4));
    assert_eq!((metrics.succeeded, metrics.failed), (1, 1));
    assert_eq!(Retry::new(Backoff::none()).tries(0).run(always::<()>), gave_up(GaveUp::Tries, 1));
    let mut calls = 0;
    let patient = Retry::new(Backoff::none()).tries(u32::MAX).run(|_| {
        calls += 1;
        if calls == 10_000 { Ok(()) } else { Err("broken") }
    });
    assert_eq!((patient, calls), (Ok(()), 10_000));
}

#[test]
fn test_retry_with_not_retryable_error() {
    let _clock = SetClock::take();
    let retry = Retry::new(Backoff::none()).retry_if(|error: &&str| *error == "retryable");
    assert_eq!(retry.run(always::<()>), gave_up(GaveUp::NotRetryable, 1));
    let error = retry.run(|_| Err::<(), _>("retryable")).expect_err("it always fails");
    assert_eq!((error.why, error.tries), (GaveUp::Tries, 3));
}

#[test]
fn it_sleeps_between_tries() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let tries = Arc::new(AtomicU32::new(0));
    let counted = tries.clone();
    let retry = Retry::new(Backoff::exponential(SEC, 100 * SEC).jitter(Jitter::None));
    let began = clock.now();
    let runs = rt.go(move || {
        let mut tried = Vec::new();
        let result = retry.run(|attempt| {
            tried.push(pirn_runtime::internal::now());
            counted.fetch_add(1, Ordering::Relaxed);
            always::<()>(attempt)
        });
        (result, tried)
    });
    for (nth, delay) in [(1, SEC), (2, 2 * SEC)] {
        common::eventually("it has tried", || tries.load(Ordering::Relaxed) == nth);
        wait_until_waiting(&rt.handle(), runs.id());
        clock.advance(delay);
    }
    let (result, tried) = runs.join().expect("it ends");
    assert_eq!((result, tried), (gave_up(GaveUp::Tries, 3), vec![began, began + SEC, began + 3 * SEC]));
}

#[test]
fn test_retry_with_adjust() {
    let clock = SetClock::take();
    let rt = runtime(1);
    // The error says: in an hour.
    let retry = Retry::new(Backoff::none()).tries(2).delay_of(|_: &&str| Some(3600 * SEC));
    let runs = rt.go(move || retry.run(always::<()>));
    wait_until_waiting(&rt.handle(), runs.id());
    clock.advance(3600 * SEC);
    assert_eq!(runs.join().expect("it ends"), gave_up(GaveUp::Tries, 2));
}

#[test]
fn time_has_a_limit() {
    let _clock = SetClock::take();
    let retry = Retry::new(Backoff::constant(SEC)).tries(9).time_max(SEC - Duration::from_nanos(1));
    assert_eq!(retry.run(always::<()>), gave_up(GaveUp::Time, 1));
    // No moment is that late.
    let retry = Retry::new(Backoff::constant(Duration::MAX)).time_max(100 * SEC);
    assert_eq!(retry.run(always::<()>), gave_up(GaveUp::Time, 1));
}

#[test]
fn a_context_ends_it() {
    let _clock = SetClock::take();
    let rt = runtime(1);
    let retry = Arc::new(Retry::new(Backoff::constant(SEC)));
    let (context, cancel) = Context::background().with_cancel();
    let runs = {
        let (retry, context) = (retry.clone(), context.clone());
        rt.go(move || retry.run_ctx(&context, None, always::<()>))
    };
    wait_until_waiting(&rt.handle(), runs.id());
    cancel.cancel();
    assert_eq!(runs.join().expect("it ends"), gave_up(GaveUp::Ended(ContextError::Cancelled), 1));
    let why = GaveUp::Ended(ContextError::Cancelled);
    assert_eq!(retry.run_ctx(&context, None, always::<()>), Err(RetryError { why, error: None, tries: 0 }));
    // A sleep past the deadline is not begun.
    let (context, _cancel) = rt.run(|| Context::background().with_timeout(SEC / 2));
    let error = retry.run_ctx(&context, None, always::<()>);
    assert_eq!(error, gave_up(GaveUp::Ended(ContextError::DeadlineExceeded), 1));
    let metrics = retry.metrics();
    assert_eq!((metrics.calls, metrics.attempts, metrics.retries, metrics.failed), (3, 2, 0, 3));
}

#[test]
fn a_budget_is_for_all_calls() {
    let _clock = SetClock::take();
    let budget = Arc::new(Budget::new(0.1, 10));
    let retry = Retry::new(Backoff::none()).tries(4).budget(budget.clone());
    let errors: Vec<_> = (0..1000).map(|_| retry.run(always::<()>).expect_err("it always fails").why).collect();
    // The reserve, and a tenth of the calls: three for each call would make an overload three times worse.
    assert!((109..=110).contains(&retry.metrics().retries), "{:?}", retry.metrics());
    assert!(errors.contains(&GaveUp::Budget) && errors.contains(&GaveUp::Tries));
    let metrics = budget.metrics();
    assert_eq!((metrics.calls, metrics.granted), (1000, retry.metrics().retries));
    // What something else forbids takes nothing from it.
    let fussy = Retry::new(Backoff::none()).retry_if(|_: &&str| false).budget(budget.clone());
    assert_eq!(fussy.run(always::<()>), gave_up(GaveUp::NotRetryable, 1));
    assert_eq!(budget.metrics().granted, metrics.granted);
    assert!(!Budget::new(f64::NAN, 0).take() && !Budget::new(-1.0, 0).take());
}

#[test]
fn by_its_key_an_effect_happens_once() {
    let _clock = SetClock::take();
    // The other side: does what is asked for once, and remembers what it has answered. Its first answers are lost.
    let mut done: HashMap<String, usize> = HashMap::new();
    let mut place = |attempt: &Attempt<'_>| {
        let next = done.len();
        let answer = *done.entry(attempt.key.expect("there is one").to_owned()).or_insert(next);
        if attempt.number < 3 { Err("connection reset") } else { Ok(answer) }
    };
    let retry = Retry::new(Backoff::none());
    for (nth, order) in ["a", "b", "a"].into_iter().enumerate() {
        assert_eq!(retry.run_ctx(&Context::background(), Some(order), &mut place), Ok(nth % 2));
    }
    assert_eq!(done.len(), 2);
}
