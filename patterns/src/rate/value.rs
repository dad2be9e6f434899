//! How many events in how much time: [`Rate`].

use std::time::Duration;

/// How many events may happen in how much time. It may be none, and it may be without a limit.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// No limit: nothing is refused, and nothing waits.
    pub const INFINITE: Rate = Rate(f64::INFINITY);

    /// None at all.
    pub const ZERO: Rate = Rate(0.0);

    /// So many events in a second. What is negative or no number is none.
    pub const fn per_sec(events: f64) -> Rate {
        if events > 0.0 { Rate(events) } else { Rate::ZERO }
    }

    /// So many events in a minute.
    pub const fn per_minute(events: f64) -> Rate {
        Rate::per_sec(events / 60.0)
    }

    /// One event in each of these intervals. With an interval of zero there is no limit.
    ///
    /// ```
    /// use pirn::patterns::rate::Rate;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Rate::every(Duration::from_millis(100)), Rate::per_sec(10.0));
    /// assert_eq!(Rate::every(Duration::ZERO), Rate::INFINITE);
    /// ```
    pub const fn every(interval: Duration) -> Rate {
        if interval.is_zero() { Rate::INFINITE } else { Rate(1.0 / interval.as_secs_f64()) }
    }

    /// How many events that is in a second.
    pub const fn as_per_sec(self) -> f64 {
        self.0
    }

    pub(super) const fn is_infinite(self) -> bool {
        self.0 == f64::INFINITY
    }

    /// In how much time that many events may happen, rounded down to a nanosecond. None: never, or in centuries.
    pub(super) fn ns_of(self, events: f64) -> Option<u64> {
        if events <= 0.0 || self.is_infinite() {
            return Some(0);
        }
        let ns = events / self.0 * 1e9;
        (ns < u64::MAX as f64).then_some(ns as u64)
    }

    /// How many events may happen in a nanosecond.
    pub(super) const fn per_ns(self) -> f64 {
        self.0 * 1e-9
    }

    /// How many events may happen in that time.
    pub(super) fn events_in(self, ns: u64) -> f64 {
        // Without a limit the product of no time would be no number.
        if ns == 0 { 0.0 } else { ns as f64 * self.per_ns() }
    }
}
