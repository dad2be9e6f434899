//! What a closed breaker counts: since it closed, or in a window of time that moves on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Into so many parts a window is divided: it moves on by one of them at a time.
const PARTS: u32 = 10;

/// Results of the calls of a closed breaker, in its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Calls that succeeded.
    pub successes: u32,
    /// Calls that failed.
    pub failures: u32,
    /// How many of the latest calls succeeded one after the other, wherever the window begins.
    pub consecutive_successes: u32,
    /// How many of the latest calls failed one after the other, wherever the window begins.
    pub consecutive_failures: u32,
}

impl Counts {
    /// All calls.
    pub fn requests(&self) -> u32 {
        self.successes.saturating_add(self.failures)
    }

    /// The share of the calls that failed, from 0 to 1. Without calls it is 0.
    pub fn failure_rate(&self) -> f64 {
        if self.requests() == 0 { 0.0 } else { f64::from(self.failures) / f64::from(self.requests()) }
    }
}

/// The counts, and the parts of the window that they are the sum of.
#[derive(Debug)]
pub(super) struct Window {
    counts: Counts,
    /// The length of a part. None: everything counts.
    part: Option<Duration>,
    /// Successes and failures of each part, the latest last.
    parts: VecDeque<(u32, u32)>,
    /// When the latest part began. None: nothing was counted yet.
    latest: Option<Instant>,
}

impl Window {
    pub(super) fn new(window: Option<Duration>) -> Window {
        let part = window.map(|window| (window / PARTS).max(Duration::from_nanos(1)));
        Window { counts: Counts::default(), part, parts: VecDeque::new(), latest: None }
    }

    /// Whether what it counts depends on the time.
    pub(super) fn moves(&self) -> bool {
        self.part.is_some()
    }

    /// The counts at this moment; none if nothing here depends on it.
    pub(super) fn counts(&mut self, now: Option<Instant>) -> Counts {
        self.move_to(now);
        self.counts
    }

    /// Counts a call.
    pub(super) fn add(&mut self, succeeded: bool, now: Option<Instant>) -> Counts {
        self.move_to(now);
        let counts = &mut self.counts;
        if succeeded {
            counts.successes = counts.successes.saturating_add(1);
            counts.consecutive_successes = counts.consecutive_successes.saturating_add(1);
            counts.consecutive_failures = 0;
        } else {
            counts.failures = counts.failures.saturating_add(1);
            counts.consecutive_failures = counts.consecutive_failures.saturating_add(1);
            counts.consecutive_successes = 0;
        }
        if let Some(now) = now.filter(|_| self.part.is_some()) {
            self.latest.get_or_insert(now);
            if self.parts.is_empty() {
                self.parts.push_back((0, 0));
            }
            let (successes, failures) = self.parts.back_mut().expect("there is one");
            *if succeeded { successes } else { failures } += 1;
        }
        self.counts
    }

    pub(super) fn clear(&mut self) {
        self.counts = Counts::default();
        self.parts.clear();
        self.latest = None;
    }

    /// Leaves out the parts that are a window ago.
    fn move_to(&mut self, now: Option<Instant>) {
        let (Some(part), Some(now), Some(latest)) = (self.part, now, self.latest) else { return };
        let passed = now.saturating_duration_since(latest);
        if passed < part {
            return;
        }
        let passed = passed.as_nanos() / part.as_nanos();
        if passed >= u128::from(PARTS) {
            let counts = self.counts;
            self.clear();
            self.counts.consecutive_successes = counts.consecutive_successes;
            self.counts.consecutive_failures = counts.consecutive_failures;
            return;
        }
        let passed = passed as u32;
        self.latest = Some(latest + part * passed);
        for _ in 0..passed {
            self.parts.push_back((0, 0));
            if self.parts.len() > PARTS as usize {
                let (successes, failures) = self.parts.pop_front().expect("there are more");
                self.counts.successes -= successes;
                self.counts.failures -= failures;
            }
        }
    }
}
