//! What the tests of Go's `x/time/rate` (2b4e439) say of a limiter at given moments, name by name. Those that wait are
//! in `patterns/tests/rate.rs`, which says what was left out.

use super::super::algorithm::{Refused, Sealed, Slot};
use super::super::value::Rate;
use super::TokenBucket;
use std::time::Duration;

/// Go's `d`.
const D: Duration = Duration::from_millis(100);

/// The moment `t0` and so many times `d`.
fn t(nth: u32) -> u64 {
    (nth * D).as_nanos() as u64
}

/// A bucket whose first use was at Go's `t0`.
struct Exam {
    bucket: TokenBucket,
}

impl Exam {
    fn new(per_sec: f64, burst: usize) -> Exam {
        Exam { bucket: TokenBucket::new(Rate::per_sec(per_sec), burst) }
    }

    /// Go's `run`: at `t` there are so many tokens, and `n` are to be had or not.
    #[track_caller]
    fn run(&mut self, steps: &[(u32, f64, usize, bool)]) {
        for (nth, (at, tokens, n, ok)) in steps.iter().enumerate() {
            let now_ns = t(*at);
            assert!((self.bucket.tokens(now_ns) - tokens).abs() < 1e-9, "step {nth}: {}", self.bucket.tokens(now_ns));
            assert_eq!(self.bucket.take(now_ns, *n, now_ns).is_ok(), *ok, "step {nth}");
        }
    }

    /// Go's `runReserve`: `n` that are asked for at `t` are to be had at `at`.
    #[track_caller]
    fn reserve(&mut self, now: u32, n: usize, at: u32) -> Slot {
        let slot = self.bucket.take(t(now), n, u64::MAX).expect("they are to be had");
        self.assert_at(&slot, at);
        slot
    }

    #[track_caller]
    fn assert_at(&self, slot: &Slot, at: u32) {
        let since = Duration::from_nanos(slot.at_ns);
        assert_eq!((since + D / 2).as_nanos() / D.as_nanos(), u128::from(at), "{since:?}");
    }

    fn cancel(&mut self, now: u32, slot: &Slot) {
        self.bucket.give_back(t(now), slot);
    }
}

#[test]
fn test_limit() {
    assert_ne!(Rate::per_sec(10.0), Rate::INFINITE);
}

#[test]
fn test_every() {
    let cases = [
        (Duration::from_nanos(1), 1e9),
        (Duration::from_micros(1), 1e6),
        (Duration::from_millis(1), 1e3),
        (Duration::from_millis(10), 100.0),
        (D, 10.0),
        (Duration::from_secs(1), 1.0),
        (Duration::from_secs(2), 0.5),
        (Duration::from_millis(2500), 0.4),
        (Duration::from_secs(4), 0.25),
        (Duration::from_secs(10), 0.1),
        (Duration::from_nanos(i64::MAX as u64), 1e9 / i64::MAX as f64),
    ];
    for (interval, per_sec) in cases {
        assert!((Rate::every(interval).as_per_sec() / per_sec - 1.0).abs() < 1e-9, "{interval:?}");
    }
    assert_eq!(Rate::every(Duration::ZERO), Rate::INFINITE);
}

#[test]
fn test_limiter_burst_1() {
    Exam::new(10.0, 1).run(&[
        (0, 1.0, 1, true),
        (0, 0.0, 1, false),
        (0, 0.0, 1, false),
        (1, 1.0, 1, true),
        (1, 0.0, 1, false),
        (1, 0.0, 1, false),
        (2, 1.0, 2, false),
        (2, 1.0, 1, true),
        (2, 0.0, 1, false),
    ]);
}

#[test]
fn test_limiter_burst_3() {
    Exam::new(10.0, 3).run(&[
        (0, 3.0, 2, true),
        (0, 1.0, 2, false),
        (0, 1.0, 1, true),
        (0, 0.0, 1, false),
        (1, 1.0, 4, false),
        (2, 2.0, 1, true),
        (3, 2.0, 1, true),
        (4, 2.0, 1, true),
        (4, 1.0, 1, true),
        (4, 0.0, 1, false),
        (4, 0.0, 1, false),
        (9, 3.0, 3, true),
        (9, 0.0, 0, true),
    ]);
}

#[test]
fn test_limiter_no_truncation_errors() {
    let mut exam = Exam::new(0.769_230_769_230_769_3, 1);
    exam.run(&[(0, 1.0, 1, true)]);
}

#[test]
fn test_long_running_qps() {
    let mut exam = Exam::new(100.0, 100);
    let offers = (0..2500).map(|nth| nth * 2_000_000);
    let ok = offers.filter(|now| exam.bucket.take(*now, 1, *now).is_ok()).count();
    assert!((599..=601).contains(&ok), "{ok}");
}

#[test]
fn test_simple_reserve() {
    let mut exam = Exam::new(10.0, 2);
    exam.reserve(0, 2, 0);
    exam.reserve(0, 2, 2);
    exam.reserve(3, 2, 4);
}

#[test]
fn test_mix() {
    let mut exam = Exam::new(10.0, 2);
    assert_eq!(exam.bucket.take(0, 3, u64::MAX).err(), Some(Refused::Never));
    exam.reserve(0, 2, 0);
    exam.run(&[(1, 1.0, 2, false)]);
    exam.reserve(1, 2, 2);
    exam.run(&[(1, -1.0, 1, false), (3, 1.0, 1, true)]);
}

#[test]
fn test_cancel_invalid() {
    let mut exam = Exam::new(10.0, 2);
    exam.reserve(0, 2, 0);
    // There is nothing to cancel.
    assert_eq!(exam.bucket.take(0, 3, u64::MAX).err(), Some(Refused::Never));
    exam.reserve(0, 2, 2);
}

#[test]
fn test_cancel_last() {
    let mut exam = Exam::new(10.0, 2);
    exam.reserve(0, 2, 0);
    let slot = exam.reserve(0, 2, 2);
    exam.cancel(1, &slot);
    exam.reserve(1, 2, 2);
}

#[test]
fn test_cancel_too_late() {
    let mut exam = Exam::new(10.0, 2);
    exam.reserve(0, 2, 0);
    let slot = exam.reserve(0, 2, 2);
    exam.cancel(3, &slot);
    exam.reserve(3, 2, 4);
}

#[test]
fn test_cancel_0_tokens() {
    let mut exam = Exam::new(10.0, 2);
    exam.reserve(0, 2, 0);
    let slot = exam.reserve(0, 1, 1);
    exam.reserve(0, 1, 2);
    exam.cancel(0, &slot);
    exam.reserve(0, 1, 3);
}

#[test]
fn test_cancel_1_token() {
    let mut exam = Exam::new(10.0, 2);
    exam.reserve(0, 2, 0);
    let slot = exam.reserve(0, 2, 2);
    exam.reserve(0, 1, 3);
    exam.cancel(2, &slot);
    exam.reserve(2, 2, 4);
}

#[test]
fn test_cancel_multi() {
    let mut exam = Exam::new(10.0, 4);
    exam.reserve(0, 4, 0);
    let a = exam.reserve(0, 3, 3);
    exam.reserve(0, 1, 4);
    let c = exam.reserve(0, 1, 5);
    exam.cancel(1, &c);
    exam.cancel(1, &a);
    exam.reserve(1, 3, 5);
}

#[test]
fn test_reserve_set_limit() {
    let mut exam = Exam::new(5.0, 2);
    exam.reserve(0, 2, 0);
    exam.reserve(0, 2, 4);
    exam.bucket.set(t(2), Rate::per_sec(10.0), 2);
    exam.reserve(2, 1, 4);
}

/// Go's asks at t0, after the burst was set at t3.
#[test]
fn test_reserve_set_burst() {
    let mut exam = Exam::new(5.0, 2);
    exam.reserve(0, 2, 0);
    exam.reserve(0, 2, 4);
    exam.bucket.set(t(3), Rate::per_sec(5.0), 4);
    exam.reserve(3, 4, 12);
}

#[test]
fn test_reserve_set_limit_cancel() {
    let mut exam = Exam::new(5.0, 2);
    exam.reserve(0, 2, 0);
    let slot = exam.reserve(0, 2, 4);
    exam.bucket.set(t(2), Rate::per_sec(10.0), 2);
    exam.cancel(2, &slot);
    exam.reserve(2, 2, 3);
}

#[test]
fn test_reserve_max() {
    let mut exam = Exam::new(10.0, 2);
    let latest_ns = t(1);
    let mut take = |n| exam.bucket.take(0, n, latest_ns).map(|slot| Duration::from_nanos(slot.at_ns));
    assert_eq!(take(2), Ok(Duration::ZERO));
    assert_eq!(take(1), Ok(D));
    assert_eq!(take(1), Err(Refused::NotYet(D)));
}
