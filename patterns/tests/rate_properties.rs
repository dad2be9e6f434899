//! Rate limits against a log of all events: random calls under a clock that the test moves.

use pirn_patterns::rate::{Algorithm, Rate, RateLimiter, Reservation};
use pirn_runtime::internal::SetClock;
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// What is done with a limiter.
#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Allow(usize),
    Reserve(usize),
    /// Cancels one of the reservations that there are.
    Cancel(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..300_u64).prop_map(Step::Advance),
        2 => (0..5_usize).prop_map(Step::Allow),
        3 => (0..5_usize).prop_map(Step::Reserve),
        1 => any::<usize>().prop_map(Step::Cancel),
    ];
    proptest::collection::vec(step, 1..60)
}

/// How many ms after one call another asks for how many.
fn asks() -> impl Strategy<Value = Vec<(u64, u64)>> {
    proptest::collection::vec((0..300_u64, 1..4_u64), 1..60)
}

/// Does the steps, and returns when how many events happened, in their order. Events that were cancelled in time did
/// not. Along the way: as long as nothing was cancelled, no event is given an earlier moment than one before it; and
/// the figures add up.
fn events<A: Algorithm>(limit: &RateLimiter<A>, clock: &SetClock, steps: &[Step]) -> Vec<(Instant, usize)> {
    let mut happened = Vec::new();
    let mut pending: Vec<Reservation<'_, A>> = Vec::new();
    let mut latest = clock.now();
    let mut cancelled = 0;
    for step in steps {
        match step {
            Step::Advance(ms) => clock.advance(Duration::from_millis(*ms)),
            Step::Allow(n) => {
                if limit.allow_n(*n) {
                    assert!(*n == 0 || cancelled > 0 || latest <= clock.now(), "nobody comes before those that wait");
                    happened.push((clock.now(), *n));
                }
            }
            Step::Reserve(n) => {
                if let Ok(slot) = limit.reserve(*n) {
                    assert!(*n == 0 || cancelled > 0 || slot.at() + Duration::from_nanos(2) >= latest);
                    pending.push(slot);
                }
            }
            Step::Cancel(which) if !pending.is_empty() => {
                let slot = pending.swap_remove(which % pending.len());
                if slot.at() <= clock.now() {
                    happened.push((slot.at(), slot.count()));
                } else {
                    cancelled += 1;
                    slot.cancel();
                }
            }
            Step::Cancel(_) => {}
        }
        latest = pending.iter().filter(|slot| slot.count() > 0).map(Reservation::at).max().unwrap_or(clock.now());
    }
    let metrics = limit.metrics();
    assert_eq!((metrics.granted + metrics.refused, metrics.cancelled), (metrics.asked, cancelled));
    happened.extend(pending.iter().map(|slot| (slot.at(), slot.count())));
    happened.sort();
    happened
}

/// Of all spans from one event to another: how long it is, and how many events it has.
fn spans(events: &[(Instant, usize)]) -> impl Iterator<Item = (Duration, usize)> {
    (0..events.len()).flat_map(move |from| {
        let mut sum = 0;
        events[from..].iter().map(move |(at, n)| {
            sum += n;
            (*at - events[from].0, sum)
        })
    })
}

proptest! {
    #[test]
    fn a_token_bucket_keeps_its_rate(per_sec in 1..50_u32, burst in 0..6_usize, steps in steps()) {
        let clock = SetClock::take();
        let limit = RateLimiter::new(Rate::per_sec(f64::from(per_sec)), burst);
        for (span, n) in spans(&events(&limit, &clock, &steps)) {
            // A moment is rounded down to a nanosecond.
            let most = burst as f64 + f64::from(per_sec) * (span.as_secs_f64() + 2e-9) + 1e-6;
            prop_assert!(n as f64 <= most, "{n} in {span:?}");
        }
    }

    #[test]
    fn a_leaky_bucket_keeps_its_intervals(per_sec in 1..50_u32, queue in 0..6_usize, steps in steps()) {
        let clock = SetClock::take();
        let limit = RateLimiter::leaky_bucket(Rate::per_sec(f64::from(per_sec)), queue);
        for pair in events(&limit, &clock, &steps).windows(2) {
            let [(at, n), (next, m)] = pair else { unreachable!("they are pairs") };
            let least = *n as f64 / f64::from(per_sec) - 2e-9;
            prop_assert!(*m == 0 || *n == 0 || (*next - *at).as_secs_f64() >= least, "{:?}", *next - *at);
        }
    }

    #[test]
    fn a_fixed_window_has_no_more_than_it_may(limit in 0..6_usize, ms in 1..500_u64, steps in steps()) {
        let clock = SetClock::take();
        let window = Duration::from_millis(ms);
        let events = events(&RateLimiter::fixed_window(limit, window), &clock, &steps);
        // Wherever a span of one window begins, it has parts of two.
        for (_, n) in spans(&events).filter(|(span, _)| *span < window) {
            prop_assert!(n <= 2 * limit, "{n}");
        }
    }

    #[test]
    fn a_sliding_window_has_no_more_than_it_may(limit in 0..6_usize, ms in 1..500_u64, steps in steps()) {
        let clock = SetClock::take();
        let window = Duration::from_millis(ms);
        let events = events(&RateLimiter::sliding_window(limit, window), &clock, &steps);
        for (_, n) in spans(&events).filter(|(span, _)| *span < window) {
            prop_assert!(n <= limit, "{n}");
        }
    }

    /// What a token bucket permits it permits as soon as a model that counts tokens does.
    #[test]
    fn a_token_bucket_refuses_nothing_that_it_could_permit(burst in 1..6_u64, asks in asks()) {
        let clock = SetClock::take();
        // A token in 100 ms; the model counts ms.
        let limit = RateLimiter::new(Rate::per_sec(10.0), burst as usize);
        let mut has_ms = burst * 100;
        for (pause, n) in asks {
            clock.advance(Duration::from_millis(pause));
            has_ms = (has_ms + pause).min(burst * 100);
            let permits = has_ms >= n * 100;
            prop_assert_eq!(limit.allow_n(n as usize), permits);
            has_ms -= if permits { n * 100 } else { 0 };
        }
    }
}
