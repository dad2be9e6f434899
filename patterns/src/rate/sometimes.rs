//! Doing a thing only sometimes: [`Sometimes`].

use pirn_runtime::internal::now;
use pirn_sync::Mutex;
use std::fmt;
use std::time::{Duration, Instant};

/// Does a thing the first times, every so many times, or once in a while; and always the first time. Good for messages
/// that would fill a log.
///
/// The conditions add up: it is enough that one holds. Without any it is done once. As `Sometimes` of Go's
/// `golang.org/x/time/rate`; but the closure runs under no lock, so several calls may run theirs side by side, and the
/// interval begins when a closure does.
///
/// ```
/// use pirn::patterns::rate::Sometimes;
///
/// let sometimes = Sometimes::new().first(2).every(5);
/// let done: Vec<_> = (1..=12).filter(|n| sometimes.run(|| *n).is_some()).collect();
/// assert_eq!(done, [1, 2, 6, 11]);
/// ```
pub struct Sometimes {
    first: u64,
    every: u64,
    interval: Duration,
    state: Mutex<State>,
}

struct State {
    calls: u64,
    /// When it was done for the last time, if there is an interval.
    last: Option<Instant>,
}

impl Sometimes {
    /// Once.
    pub const fn new() -> Sometimes {
        let state = Mutex::new(State { calls: 0, last: None });
        Sometimes { first: 0, every: 0, interval: Duration::ZERO, state }
    }

    /// The first `n` times.
    pub const fn first(mut self, n: u64) -> Sometimes {
        self.first = n;
        self
    }

    /// Every `n`th time, from the first one. Zero: that is no condition.
    pub const fn every(mut self, n: u64) -> Sometimes {
        self.every = n;
        self
    }

    /// When so much time has passed since the last time that it was done. Zero: that is no condition.
    pub const fn interval(mut self, interval: Duration) -> Sometimes {
        self.interval = interval;
        self
    }

    /// Calls `f` if it is to be done this time, and returns what it returns.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        self.is_due().then(f)
    }

    /// Counts a call, and says whether it is to be done this time.
    pub fn is_due(&self) -> bool {
        let now = (!self.interval.is_zero()).then(now);
        let mut state = self.state.lock();
        let nth = state.calls;
        state.calls += 1;
        let has_passed = || match (now, state.last) {
            (Some(now), Some(last)) => now.saturating_duration_since(last) >= self.interval,
            _ => false,
        };
        let is_nth = self.every > 0 && nth.is_multiple_of(self.every);
        let is_due = nth == 0 || nth < self.first || is_nth || has_passed();
        if is_due {
            state.last = now;
        }
        is_due
    }
}

impl Default for Sometimes {
    fn default() -> Sometimes {
        Sometimes::new()
    }
}

impl fmt::Debug for Sometimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Sometimes");
        debug.field("first", &self.first).field("every", &self.every).field("interval", &self.interval);
        debug.field("calls", &self.state.lock().calls).finish()
    }
}
