//! The state of a breaker, and its transitions. All of it is under one lock.

use super::change::{BreakerMetrics, Change, State};
use super::config::{BreakerBuilder, Trip};
use super::counts::{Counts, Window};
use super::error::Rejected;
use pirn_runtime::internal::now;
use std::time::{Duration, Instant};

/// How a call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Failed,
    Ignored,
}

/// What the user's rule is to look at, and of which generation it is.
pub(super) type ToJudge = (Counts, u64);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) state: State,
    pub(super) generation: u64,
    pub(super) window: Window,
    /// When it stops to be open.
    opens_until: Option<Instant>,
    /// Half-open: trials that are running or have succeeded, and those of them that have.
    trials: u32,
    trials_succeeded: u32,
    pub(super) metrics: BreakerMetrics,
}

impl Inner {
    pub(super) fn new(config: &BreakerBuilder) -> Inner {
        Inner {
            state: State::Closed,
            generation: 0,
            window: Window::new(config.window),
            opens_until: None,
            trials: 0,
            trials_succeeded: 0,
            metrics: BreakerMetrics::default(),
        }
    }

    /// An open breaker whose time has passed becomes half-open.
    pub(super) fn look(&mut self, config: &BreakerBuilder) -> Option<Change> {
        self.open_for(config).err().flatten()
    }

    /// For how long it is open still.
    ///
    /// # Errors
    /// If it is not open. If it was until now, the change to half-open.
    fn open_for(&mut self, config: &BreakerBuilder) -> Result<Duration, Option<Change>> {
        if self.state != State::Open {
            return Err(None);
        }
        // A time that an `Instant` can not hold never passes.
        let Some(until) = self.opens_until else { return Ok(config.open_for) };
        match until.checked_duration_since(now()).filter(|left| !left.is_zero()) {
            Some(left) => Ok(left),
            None => Err(self.change(State::HalfOpen, config)),
        }
    }

    /// Whether a call is rejected now, which is counted then.
    pub(super) fn reject_early(&mut self, config: &BreakerBuilder) -> (Option<Rejected>, Option<Change>) {
        let (rejected, change) = match self.open_for(config) {
            Ok(left) => (Some(Rejected::Open(left)), None),
            Err(change) => {
                let is_full = self.state == State::HalfOpen && self.trials >= config.trials;
                (is_full.then_some(Rejected::HalfOpen), change)
            }
        };
        self.metrics.asked += u64::from(rejected.is_some());
        self.metrics.rejected += u64::from(rejected.is_some());
        (rejected, change)
    }

    /// Admits a call, of which generation it is then, or rejects it.
    pub(super) fn admit(&mut self, config: &BreakerBuilder) -> (Result<u64, Rejected>, Option<Change>) {
        let (rejected, change) = self.reject_early(config);
        if let Some(rejected) = rejected {
            return (Err(rejected), change);
        }
        self.trials += u32::from(self.state == State::HalfOpen);
        self.metrics.asked += 1;
        self.metrics.admitted += 1;
        self.metrics.in_flight += 1;
        (Ok(self.generation), change)
    }

    /// A call of that generation has ended. If the user's rule is to be asked, this returns what it is to look at.
    pub(super) fn end(
        &mut self,
        generation: u64,
        outcome: Outcome,
        config: &BreakerBuilder,
    ) -> (Option<Change>, Option<ToJudge>) {
        let look = self.look(config);
        self.metrics.in_flight -= 1;
        match outcome {
            Outcome::Succeeded => self.metrics.succeeded += 1,
            Outcome::Failed => self.metrics.failed += 1,
            Outcome::Ignored => self.metrics.ignored += 1,
        }
        if generation != self.generation {
            self.metrics.late += 1;
            return (look, None);
        }
        match (self.state, outcome) {
            (State::Closed, Outcome::Ignored) | (State::Open, _) => (None, None),
            (State::Closed, _) => self.count(outcome == Outcome::Succeeded, config),
            (State::HalfOpen, Outcome::Ignored) => {
                self.trials -= 1;
                (None, None)
            }
            (State::HalfOpen, Outcome::Failed) => (self.change(State::Open, config), None),
            (State::HalfOpen, Outcome::Succeeded) => {
                self.trials_succeeded += 1;
                let all = self.trials_succeeded == config.trials;
                (if all { self.change(State::Closed, config) } else { None }, None)
            }
        }
    }

    /// A call of the closed breaker has ended.
    fn count(&mut self, succeeded: bool, config: &BreakerBuilder) -> (Option<Change>, Option<ToJudge>) {
        let now = self.now();
        let counts = self.window.add(succeeded, now);
        let trips = !succeeded
            && match &config.trip {
                Trip::Consecutive(n) => counts.consecutive_failures >= *n,
                Trip::Share { share, requests_min } => {
                    counts.requests() >= *requests_min && counts.failure_rate() >= *share
                }
                Trip::Rule(_) => return (None, Some((counts, self.generation))),
            };
        (if trips { self.change(State::Open, config) } else { None }, None)
    }

    /// The time, if the counts depend on it.
    pub(super) fn now(&self) -> Option<Instant> {
        self.window.moves().then(now)
    }

    /// Begins a new generation. None: it is in that state.
    pub(super) fn change(&mut self, to: State, config: &BreakerBuilder) -> Option<Change> {
        let from = self.state;
        if from == to {
            return None;
        }
        self.state = to;
        self.generation += 1;
        self.window.clear();
        (self.trials, self.trials_succeeded) = (0, 0);
        self.opens_until = if to == State::Open { now().checked_add(config.open_for) } else { None };
        self.metrics.opened += u64::from(to == State::Open);
        Some(Change { from, to, generation: self.generation })
    }
}
