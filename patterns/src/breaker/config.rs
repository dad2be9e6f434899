//! How a breaker is to behave.

use super::change::Change;
use super::counts::Counts;
use std::fmt;
use std::time::Duration;

/// When a closed breaker opens.
pub(super) enum Trip {
    /// So many failures one after the other.
    Consecutive(u32),
    /// This share of at least so many calls.
    Share { share: f64, requests_min: u32 },
    /// The user's rule.
    Rule(Box<dyn Fn(&Counts) -> bool + Send + Sync>),
}

/// Who is told of changes.
pub(super) type OnChange = Box<dyn Fn(Change) + Send + Sync>;

/// Settings of a [`CircuitBreaker`](super::CircuitBreaker), from [`builder`](super::CircuitBreaker::builder).
#[must_use = "it does nothing until a breaker is built"]
pub struct BreakerBuilder {
    pub(super) trip: Trip,
    pub(super) window: Option<Duration>,
    pub(super) open_for: Duration,
    pub(super) trials: u32,
    pub(super) on_change: Option<OnChange>,
}

impl BreakerBuilder {
    pub(super) fn new() -> BreakerBuilder {
        let open_for = Duration::from_secs(30);
        BreakerBuilder { trip: Trip::Consecutive(5), window: None, open_for, trials: 1, on_change: None }
    }

    /// It opens after so many failures one after the other, at least one. By default after 5.
    pub fn failures(mut self, n: u32) -> BreakerBuilder {
        (self.trip, self.window) = (Trip::Consecutive(n.max(1)), None);
        self
    }

    /// It opens when this share of the calls in a window of time have failed, from 0 to 1, and they are at least
    /// `requests_min`. The window moves on by a tenth at a time.
    pub fn rate(mut self, share: f64, window: Duration, requests_min: u32) -> BreakerBuilder {
        (self.trip, self.window) = (Trip::Share { share, requests_min }, Some(window));
        self
    }

    /// It opens when `rule` says so, which is asked after each failure, under no lock. It sees what was counted in a
    /// window of time; without one, since the breaker closed.
    pub fn trip_if(
        mut self,
        window: Option<Duration>,
        rule: impl Fn(&Counts) -> bool + Send + Sync + 'static,
    ) -> BreakerBuilder {
        (self.trip, self.window) = (Trip::Rule(Box::new(rule)), window);
        self
    }

    /// It stays open for so long: 30 seconds by default.
    pub fn open_for(mut self, duration: Duration) -> BreakerBuilder {
        self.open_for = duration;
        self
    }

    /// Half-open it admits `n` calls as trials, at least one, and closes when all of them have succeeded. 1 by default.
    pub fn half_open(mut self, n: u32) -> BreakerBuilder {
        self.trials = n.max(1);
        self
    }

    /// Has `f` called for each change of the state, under no lock, by the caller who has caused it. With several
    /// callers two changes may be told in either order: compare their generations.
    pub fn on_change(mut self, f: impl Fn(Change) + Send + Sync + 'static) -> BreakerBuilder {
        self.on_change = Some(Box::new(f));
        self
    }
}

impl fmt::Debug for BreakerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("BreakerBuilder");
        match &self.trip {
            Trip::Consecutive(n) => debug.field("failures", n),
            Trip::Share { share, requests_min } => debug.field("share", share).field("requests_min", requests_min),
            Trip::Rule(_) => debug.field("rule", &..),
        };
        debug.field("window", &self.window).field("open_for", &self.open_for);
        debug.field("trials", &self.trials).finish_non_exhaustive()
    }
}
