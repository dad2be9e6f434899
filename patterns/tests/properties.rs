//! Breakers against a model; budgets, delays and the step of a shared limit against what they promise. Time is the test's.

use pirn_patterns::breaker::{CircuitBreaker, Permit, Rejected, State, Verdict};
use pirn_patterns::rate::{Quota, Rate, RateLimiter, Refused};
use pirn_patterns::retry::{Backoff, Budget, Jitter};
use pirn_runtime::internal::SetClock;
use proptest::prelude::*;
use std::time::Duration;

const OPEN_MS: u64 = 100;

/// What is done with a breaker.
#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Permit,
    /// Ends one of the calls that run.
    End(usize, Verdict),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop_oneof![
        4 => Just(Verdict::Success),
        4 => Just(Verdict::Failure),
        1 => Just(Verdict::Ignore),
    ];
    let step = prop_oneof![
        2 => (0..OPEN_MS).prop_map(Step::Advance),
        4 => Just(Step::Permit),
        4 => (any::<usize>(), verdict).prop_map(|(which, verdict)| Step::End(which, verdict)),
    ];
    proptest::collection::vec(step, 1..120)
}

/// A breaker as its documentation has it, in the plainest way: it keeps what has happened in this state.
#[derive(Debug)]
struct Model {
    state: State,
    /// How often the state has changed.
    changes: usize,
    now_ms: u64,
    opened_ms: u64,
    /// How the calls that this state has admitted have ended; None: they run.
    calls: Vec<Option<Verdict>>,
}

impl Model {
    fn change(&mut self, state: State) {
        self.state = state;
        self.changes += 1;
        self.opened_ms = self.now_ms;
        self.calls.clear();
    }

    fn look(&mut self) {
        if self.state == State::Open && self.now_ms >= self.opened_ms + OPEN_MS {
            self.change(State::HalfOpen);
        }
    }

    /// Admits a call, of which state and number it is then.
    fn permit(&mut self, trials: usize) -> Option<(usize, usize)> {
        self.look();
        let taken = self.calls.iter().filter(|call| **call != Some(Verdict::Ignore)).count();
        if self.state == State::Open || (self.state == State::HalfOpen && taken == trials) {
            return None;
        }
        self.calls.push(None);
        Some((self.changes, self.calls.len() - 1))
    }

    /// `ended` has the results of the closed state in the order in which they came.
    fn end(
        &mut self,
        call: (usize, usize),
        verdict: Verdict,
        failures: usize,
        trials: usize,
        ended: &mut Vec<Verdict>,
    ) {
        self.look();
        if call.0 != self.changes {
            return;
        }
        self.calls[call.1] = Some(verdict);
        let successes = self.calls.iter().filter(|call| **call == Some(Verdict::Success)).count();
        match self.state {
            State::Open => unreachable!("it has admitted none"),
            State::Closed => {
                ended.extend(Some(verdict).filter(|verdict| *verdict != Verdict::Ignore));
                let last = ended.iter().rev().take_while(|verdict| **verdict == Verdict::Failure).count();
                if last >= failures {
                    self.change(State::Open);
                }
            }
            State::HalfOpen if verdict == Verdict::Failure => self.change(State::Open),
            State::HalfOpen if successes == trials => {
                ended.clear();
                self.change(State::Closed);
            }
            State::HalfOpen => {}
        }
    }
}

proptest! {
    #[test]
    fn a_breaker_does_what_its_model_does(failures in 1..4_u32, trials in 1..4_u32, steps in steps()) {
        let clock = SetClock::take();
        let builder = CircuitBreaker::builder().failures(failures).half_open(trials);
        let breaker = builder.open_for(Duration::from_millis(OPEN_MS)).build();
        let mut model = Model { state: State::Closed, changes: 0, now_ms: 0, opened_ms: 0, calls: Vec::new() };
        let mut ended = Vec::new();
        let mut running: Vec<(Permit<'_>, (usize, usize))> = Vec::new();
        for step in steps {
            match step {
                Step::Advance(ms) => {
                    clock.advance(Duration::from_millis(ms));
                    model.now_ms += ms;
                }
                Step::Permit => match (breaker.permit(), model.permit(trials as usize)) {
                    (Ok(permit), Some(call)) => running.push((permit, call)),
                    (Err(Rejected::Open(left)), None) => {
                        let left_ms = model.opened_ms + OPEN_MS - model.now_ms;
                        prop_assert_eq!((model.state, left), (State::Open, Duration::from_millis(left_ms)));
                    }
                    (Err(Rejected::HalfOpen), None) => prop_assert_eq!(model.state, State::HalfOpen),
                    (permit, call) => prop_assert!(false, "{:?} and {:?} of {:?}", permit, call, model),
                },
                Step::End(_, _) if running.is_empty() => {}
                Step::End(which, verdict) => {
                    let (permit, call) = running.swap_remove(which % running.len());
                    permit.end(verdict);
                    model.end(call, verdict, failures as usize, trials as usize, &mut ended);
                }
            }
            model.look();
            prop_assert_eq!(breaker.state(), model.state);
            prop_assert_eq!(breaker.metrics().in_flight, running.len() as u64);
        }
    }

    #[test]
    fn a_budget_grants_its_share_and_its_reserve(
        percent in 0..200_u32,
        reserve in 0..5_u32,
        asks in proptest::collection::vec(any::<bool>(), 0..200),
    ) {
        let budget = Budget::new(f64::from(percent) / 100.0, reserve);
        let (mut calls, mut granted, mut balance) = (0, 0, 100 * reserve);
        for pays in asks {
            if pays {
                budget.pay_in();
                calls += 1;
                balance = (balance + percent).min(100 * reserve);
            } else {
                let grants = budget.take();
                prop_assert_eq!(grants, balance >= 100);
                balance -= if grants { 100 } else { 0 };
                granted += u32::from(grants);
            }
            prop_assert!(100 * granted <= 100 * reserve + percent * calls);
        }
    }

    #[test]
    fn delays_stay_between_their_limits(first in 0..10_000_u64, max in 0..100_000_u64, tenths in 0..50_u32) {
        let (first, max) = (Duration::from_millis(first), Duration::from_millis(max));
        let backoff = Backoff::exponential(first, max).factor(f64::from(tenths) / 10.0);
        let plain: Vec<_> = backoff.jitter(Jitter::None).delays().take(20).collect();
        prop_assert!(plain[0] == first.min(max) && plain.is_sorted() && plain[19] <= max);
        for (delay, most) in backoff.delays().zip(&plain) {
            prop_assert!(delay <= *most);
        }
        for (delay, most) in backoff.jitter(Jitter::Half).delays().zip(&plain) {
            prop_assert!(delay <= *most && delay >= *most / 2);
        }
    }

    /// The step of a store permits what a token bucket of one process does.
    #[test]
    fn a_shared_limit_is_a_token_bucket(
        burst in 0..6_u64,
        asks in proptest::collection::vec((0..300_u64, 0..7_u64, 0..500_u64), 1..60),
    ) {
        let clock = SetClock::take();
        let limit = RateLimiter::new(Rate::per_sec(10.0), burst as usize);
        let quota = Quota::every(Duration::from_millis(100), burst);
        let ns = |ms: u64| Duration::from_millis(ms).as_nanos() as u64;
        let (mut kept, mut now_ns) = (0, ns(1_000_000));
        for (pause, n, patience) in asks {
            clock.advance(Duration::from_millis(pause));
            now_ns += ns(pause);
            let stepped = quota.step(kept, now_ns, n, ns(patience)).map(|(full, wait)| {
                kept = full;
                wait
            });
            let reserved = limit.reserve_within(n as usize, Duration::from_millis(patience)).map(|slot| slot.delay());
            // The bucket counts in fractions, and rounds down to a nanosecond.
            let same = |a: Duration, b: Duration| a.abs_diff(b) <= Duration::from_nanos(1);
            match (stepped, reserved) {
                (Ok(wait), Ok(delay)) => prop_assert!(same(wait, delay), "{wait:?} {delay:?}"),
                (Err(Refused::NotYet(a)), Err(Refused::NotYet(b))) => prop_assert!(same(a, b), "{a:?} {b:?}"),
                (stepped, reserved) => prop_assert_eq!(stepped, reserved),
            }
        }
    }
}
