//! The patterns under many callers at the same time, Gs and threads, in real time. Each prints its seed, and has a time
//! box. Nothing here depends on how fast the machine is.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Rng, runtime, scale, seed, stress_secs};
use pirn_patterns::Keyed;
use pirn_patterns::breaker::{BreakerError, CircuitBreaker, State, Verdict};
use pirn_patterns::bulkhead::{Bulkhead, BulkheadError};
use pirn_patterns::fallback::Fallback;
use pirn_patterns::guarded::Guarded;
use pirn_patterns::hedge::Hedge;
use pirn_patterns::rate::{MemoryStore, Quota, Rate, RateLimiter, SharedLimiter, WaitError};
use pirn_patterns::retry::{Backoff, Budget, Retry};
use pirn_patterns::timeout::Timeout;
use pirn_runtime::yield_now;
use pirn_sync::context::Context;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How many callers of each kind there are.
const CALLERS: u64 = 8;

/// Has Gs and threads call `f` again and again, each with random numbers of its own, until the time box ends. `look`
/// looks on meanwhile.
fn storm<F>(test: &str, f: F, look: impl Fn())
where
    F: Fn(&mut Rng) + Send + Sync + 'static,
{
    let seed = seed(test);
    let rt = runtime(4);
    let (f, over) = (Arc::new(f), Arc::new(AtomicBool::new(false)));
    let work = |nth: u64| {
        let (f, over, mut rng) = (f.clone(), over.clone(), Rng::new(seed ^ (nth << 32)));
        move || {
            while !over.load(Ordering::Relaxed) {
                f(&mut rng);
            }
        }
    };
    let gs: Vec<_> = (0..CALLERS).map(|nth| rt.go(work(nth))).collect();
    let threads: Vec<_> = (CALLERS..2 * CALLERS).map(|nth| std::thread::spawn(work(nth))).collect();
    // All tests of the file together have one time box.
    let end = Instant::now() + Duration::from_millis(stress_secs() * 1000 / 8);
    while Instant::now() < end {
        look();
        std::thread::yield_now();
    }
    over.store(true, Ordering::Relaxed);
    gs.into_iter().for_each(|g| g.join().expect("it does not panic"));
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    look();
}

/// Go's `TestSimultaneousRequests` and governor's `actual_threadsafety`.
#[test]
fn a_burst_is_given_out_once() {
    let rt = runtime(4);
    for _ in 0..scale(20, 200) {
        let limit = Arc::new(RateLimiter::new(Rate::per_sec(1e-6), 5));
        let gs: Vec<_> = (0..15)
            .map(|_| {
                let limit = limit.clone();
                rt.go(move || limit.allow())
            })
            .collect();
        let allowed = gs.into_iter().map(|g| g.join().expect("it ends"));
        assert_eq!(allowed.filter(|allowed| *allowed).count(), 5);
    }
}

#[test]
fn a_limit_is_kept_under_a_storm() {
    let began = Instant::now();
    let limit = Arc::new(RateLimiter::new(Rate::per_sec(5000.0), 10));
    let events = Arc::new(Mutex::new(Vec::new()));
    let (inner, log) = (limit.clone(), events.clone());
    storm(
        "a_limit_is_kept_under_a_storm",
        move |rng| {
            let n = rng.below(3) + 1;
            let happened = match rng.below(4) {
                0 => inner.wait_n(n).is_ok(),
                1 => inner.allow_n(n),
                2 => {
                    let slot = inner.reserve(n).expect("it fits in a burst");
                    let patience = Duration::from_micros(rng.next() % 1000);
                    // Given up after some time, unless its moment has come.
                    let is_used = slot.delay() <= patience;
                    pirn_runtime::sleep(slot.delay().min(patience));
                    if !is_used {
                        slot.cancel();
                    }
                    is_used
                }
                _ => {
                    let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(1));
                    match inner.wait_ctx(&context, n) {
                        Ok(()) => true,
                        Err(WaitError::Refused(_) | WaitError::Ended(_)) => false,
                    }
                }
            };
            if happened {
                log.lock().expect("nobody panics").push((Instant::now(), n));
            }
        },
        || {
            let metrics = limit.metrics();
            assert_eq!(metrics.granted + metrics.refused, metrics.asked);
            assert!(metrics.cancelled <= metrics.granted && metrics.delayed <= metrics.granted);
        },
    );
    // Events are written down late, never early.
    let mut sum = 0;
    for (at, n) in &*events.lock().expect("nobody panics") {
        sum += n;
        let most = 10.0 + 5000.0 * (*at - began).as_secs_f64() + 1e-3;
        assert!(sum as f64 <= most, "{sum} of {most}");
    }
    assert!(sum >= 10);
}

#[test]
fn no_key_has_two_limits() {
    // Each key permits one event, ever; and idle ones are forgotten all the time.
    let limits = Arc::new(Keyed::new(|_: &u64| RateLimiter::new(Rate::ZERO, 1)));
    let fresh = Arc::new(Keyed::new(|_: &u64| RateLimiter::new(Rate::per_sec(1e9), 1)));
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let (inner, idle, once) = (limits.clone(), fresh.clone(), seen.clone());
    storm(
        "no_key_has_two_limits",
        move |rng| {
            let key = rng.next() % 500;
            if inner.get(key).allow() {
                assert!(once.lock().expect("nobody panics").insert(key), "{key} was permitted twice");
            }
            // Those that are full again at once come and go.
            idle.get(key).allow();
            if key < 5 {
                idle.forget_idle();
            }
        },
        || {
            limits.forget_idle();
        },
    );
    assert_eq!(seen.lock().expect("nobody panics").len(), limits.len());
}

/// A limiter that was just made is as new until its first use, so it may be forgotten before, but not with that use.
#[test]
fn no_first_use_is_forgotten() {
    const KEYS: usize = 64;
    let rt = runtime(4);
    let end = Instant::now() + Duration::from_millis(stress_secs() * 1000 / 8);
    while Instant::now() < end {
        let limits = Arc::new(Keyed::new(|_: &usize| RateLimiter::new(Rate::ZERO, 1)));
        let permitted: Arc<Vec<_>> = Arc::new((0..KEYS).map(|_| AtomicUsize::new(0)).collect());
        let users: Vec<_> = (0..4)
            .map(|_| {
                let (limits, permitted) = (limits.clone(), permitted.clone());
                rt.go(move || {
                    for (key, permitted) in permitted.iter().enumerate() {
                        // Nobody has it any more, unless others are as fast: it may be forgotten now.
                        drop(limits.get(key));
                        permitted.fetch_add(limits.get(key).allow().into(), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while users.iter().any(|user| !user.is_finished()) {
            limits.forget_idle();
        }
        users.into_iter().for_each(|user| user.join().expect("it does not panic"));
        assert!(permitted.iter().all(|permitted| permitted.load(Ordering::Relaxed) == 1), "{permitted:?}");
        assert_eq!((limits.forget_idle(), limits.len()), (0, KEYS));
    }
}

#[test]
fn the_figures_of_a_breaker_add_up_at_any_moment() {
    // Open for no time, so that all states and generations come again and again.
    let breaker = CircuitBreaker::builder().failures(1).open_for(Duration::ZERO).half_open(3).build();
    let breaker = Arc::new(breaker);
    let inner = breaker.clone();
    storm(
        "the_figures_of_a_breaker_add_up_at_any_moment",
        move |rng| {
            let verdict = [Verdict::Failure, Verdict::Success, Verdict::Success, Verdict::Ignore][rng.below(4)];
            let Ok(permit) = inner.permit() else { return yield_now() };
            (0..rng.below(3)).for_each(|_| yield_now());
            if rng.below(10) == 0 { drop(permit) } else { permit.end(verdict) }
        },
        || {
            let metrics = breaker.metrics();
            assert_eq!(metrics.admitted + metrics.rejected, metrics.asked);
            assert_eq!(metrics.succeeded + metrics.failed + metrics.ignored + metrics.in_flight, metrics.admitted);
        },
    );
    assert_eq!(breaker.metrics().in_flight, 0);
}

/// In one generation half-open, exactly so many are admitted, however many ask.
#[test]
fn trials_are_exactly_so_many() {
    let rt = runtime(4);
    for trials in 1..=5_u32 {
        let builder = CircuitBreaker::builder().failures(1).open_for(Duration::ZERO).half_open(trials);
        let breaker = Arc::new(builder.build());
        for _ in 0..scale(10, 100) {
            breaker.trip();
            let asked = Arc::new(AtomicUsize::new(0));
            let gs: Vec<_> = (0..20)
                .map(|_| {
                    let (breaker, asked) = (breaker.clone(), asked.clone());
                    rt.go(move || {
                        let permit = breaker.permit();
                        asked.fetch_add(1, Ordering::Relaxed);
                        // Nobody ends before all have asked.
                        while asked.load(Ordering::Relaxed) < 20 {
                            yield_now();
                        }
                        permit.map(|permit| permit.success()).is_ok()
                    })
                })
                .collect();
            let admitted = gs.into_iter().map(|g| g.join().expect("it ends")).filter(|admitted| *admitted).count();
            assert_eq!((admitted, breaker.state()), (trials as usize, State::Closed));
        }
    }
}

/// `TestCircuitBreakerInParallel` and `TestRollingWindowCircuitBreakerInParallel` of gobreaker.
#[test]
fn no_result_is_lost() {
    let rt = runtime(4);
    for window in [None, Some(Duration::from_secs(3600))] {
        let breaker = Arc::new(CircuitBreaker::builder().trip_if(window, |_| false).build());
        let each = scale(300, 10_000) as u32;
        let gs: Vec<_> = (0..10)
            .map(|_| {
                let breaker = breaker.clone();
                rt.go(move || {
                    for nth in 0..each {
                        let verdict = [Verdict::Success, Verdict::Failure, Verdict::Ignore][nth as usize % 3];
                        let result = breaker.call_judged(|_| verdict, || Ok::<_, ()>(()));
                        assert_ne!(result, Err(BreakerError::Failed(())));
                    }
                })
            })
            .collect();
        gs.into_iter().for_each(|g| g.join().expect("it does not panic"));
        let counts = breaker.counts();
        assert_eq!((counts.successes, counts.failures), (10 * each.div_ceil(3), 10 * (each + 1).div_euclid(3)));
        assert_eq!(breaker.metrics().in_flight, 0);
    }
}

#[test]
fn the_figures_of_a_bulkhead_add_up_at_any_moment() {
    const PLACES: usize = 3;
    let bulkhead = Arc::new(Bulkhead::new(PLACES, 4).wait_max(Duration::from_micros(300)));
    let inner = bulkhead.clone();
    let inside = Arc::new(AtomicUsize::new(0));
    storm(
        "the_figures_of_a_bulkhead_add_up_at_any_moment",
        move |rng| {
            let enter = |rng: &mut Rng| match rng.below(4) {
                0 => inner.try_enter(),
                1 => {
                    let wait = Duration::from_micros(rng.next() % 400);
                    let (context, _cancel) = Context::background().with_timeout(wait);
                    inner.enter_ctx(&context)
                }
                _ => inner.enter(),
            };
            let Ok(place) = enter(rng) else { return yield_now() };
            assert!(inside.fetch_add(1, Ordering::Relaxed) < PLACES);
            (0..rng.below(4)).for_each(|_| yield_now());
            inside.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        },
        || {
            let m = bulkhead.metrics();
            assert_eq!(m.asked, (m.active + m.queued) as u64 + m.rejected + m.abandoned + m.completed, "{m:?}");
            assert!(m.active + m.available == PLACES && m.queued <= 4, "{m:?}");
            assert!(m.queued == 0 || m.available == 0, "somebody waits though a place is free: {m:?}");
        },
    );
    let metrics = bulkhead.metrics();
    assert_eq!((metrics.active, metrics.queued), (0, 0));
    assert!(metrics.completed > 0);
}

#[test]
fn a_guarded_service_keeps_both_promises() {
    let breaker = CircuitBreaker::builder().failures(3).open_for(Duration::from_micros(200)).half_open(2);
    let guarded = Arc::new(Guarded::new(breaker.build(), Bulkhead::new(2, 4)));
    let inner = guarded.clone();
    storm(
        "a_guarded_service_keeps_both_promises",
        move |rng| {
            let fails = rng.below(3) == 0;
            let result = inner.call(|| {
                yield_now();
                if fails { Err(()) } else { Ok(()) }
            });
            if result.is_err() {
                yield_now();
            }
        },
        || {
            let (b, h) = (guarded.breaker().metrics(), guarded.bulkhead().metrics());
            assert_eq!(b.succeeded + b.failed + b.ignored + b.in_flight, b.admitted);
            assert_eq!(h.asked, (h.active + h.queued) as u64 + h.rejected + h.abandoned + h.completed);
        },
    );
    assert_eq!((guarded.breaker().metrics().in_flight, guarded.bulkhead().metrics().active), (0, 0));
    assert_ne!(guarded.bulkhead().try_enter().err(), Some(BulkheadError::Full));
}

#[test]
fn calls_end_and_are_counted() {
    let budget = Arc::new(Budget::new(0.5, 10));
    let retry =
        Arc::new(Retry::new(Backoff::exponential(Duration::from_micros(1), Duration::from_micros(50))).tries(3));
    let hedge = Arc::new(Hedge::new(Duration::from_micros(50)).attempts(3).budget(budget.clone()));
    let timeout = Arc::new(Timeout::new(Duration::from_micros(200)));
    let fallback = Arc::new(Fallback::new(|error: u32| if error.is_multiple_of(2) { Ok(0) } else { Err(error) }));
    let (r, h, t, f) = (retry.clone(), hedge.clone(), timeout.clone(), fallback.clone());
    storm(
        "calls_end_and_are_counted",
        move |rng| {
            let n = rng.next() as u32;
            let result = |n: u32| if n.is_multiple_of(3) { Err(n) } else { Ok(n) };
            match rng.below(4) {
                0 => drop(r.run(|attempt| result(n.wrapping_add(attempt.number)))),
                1 => drop(h.run(move |attempt| {
                    pirn_runtime::sleep(Duration::from_micros(u64::from(n % 100)));
                    result(n.wrapping_add(attempt.number))
                })),
                2 => _ = t.call(move |context| _ = context.sleep(Duration::from_micros(u64::from(n % 400)))),
                _ => drop(f.call(|| result(n))),
            }
        },
        || {
            let (r, f) = (retry.metrics(), fallback.metrics());
            assert!(r.succeeded + r.failed <= r.calls && f.succeeded + f.recovered + f.failed <= f.started);
        },
    );
    let (r, h, t, f) = (retry.metrics(), hedge.metrics(), timeout.metrics(), fallback.metrics());
    assert_eq!((r.succeeded + r.failed, r.attempts), (r.calls, r.calls + r.retries));
    assert_eq!((h.succeeded + h.failed, h.ended), (h.calls, 0));
    assert_eq!((t.completed + t.timed_out, t.ended), (t.calls, 0));
    assert_eq!(f.succeeded + f.recovered + f.failed, f.started);
    assert_eq!(budget.metrics().calls, h.calls);
    common::eventually("no call runs", || timeout.metrics().running == 0);
}

#[test]
fn a_shared_limit_is_kept_under_a_storm() {
    let store = Arc::new(MemoryStore::new());
    // Nothing comes back while the test runs.
    let quota = Quota::every(Duration::from_secs(3600), 100);
    let taken = Arc::new(AtomicUsize::new(0));
    let (inner, sum) = (store.clone(), taken.clone());
    storm(
        "a_shared_limit_is_kept_under_a_storm",
        move |rng| {
            let n = rng.below(3) as u64 + 1;
            if SharedLimiter::new(&*inner, quota).allow_n("all", n) == Ok(true) {
                sum.fetch_add(n as usize, Ordering::Relaxed);
            }
        },
        || assert!(taken.load(Ordering::Relaxed) <= 100),
    );
    assert!(taken.load(Ordering::Relaxed) >= 98 && store.len() == 1);
}
