//! The sliding window: so many in any span of time of that length.

use super::algorithm::{Algorithm, Refused, Sealed, Slot};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many events in any span of time as long as the window, wherever it begins. It is exact, as it keeps the moment of
/// each event for as long as a window: 16 bytes for each of them, and for each that waits.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    limit: usize,
    window: Duration,
    /// The moments of the events, earliest first; those of waiters are yet to come.
    moments: VecDeque<Instant>,
}

impl SlidingWindow {
    pub(super) const fn new(limit: usize, window: Duration) -> SlidingWindow {
        assert!(!window.is_zero(), "a window of no length holds no events");
        SlidingWindow { limit, window, moments: VecDeque::new() }
    }

    /// Whether that event has left all windows that are still to come.
    fn has_left(&self, moment: Instant, now: Instant) -> bool {
        now.saturating_duration_since(moment) >= self.window
    }
}

impl Algorithm for SlidingWindow {}

impl Sealed for SlidingWindow {
    fn take(&mut self, now: Instant, n: usize, latest: Option<Instant>) -> Result<Slot, Refused> {
        if n > self.limit {
            return Err(Refused::Never);
        }
        while self.moments.front().is_some_and(|first| self.has_left(*first, now)) {
            self.moments.pop_front();
        }
        let last = self.moments.back().copied();
        // The latest event that has to leave before these come.
        let leaves = (self.moments.len() + n).checked_sub(self.limit + 1).map(|nth| self.moments[nth]);
        let left = match leaves {
            Some(leaves) => leaves.checked_add(self.window).ok_or(Refused::Never)?,
            None => now,
        };
        let at = now.max(left).max(last.unwrap_or(now));
        Refused::if_late(now, at, latest)?;
        self.moments.extend(std::iter::repeat_n(at, n));
        Ok(Slot { at, n, per_sec: 0.0 })
    }

    fn give_back(&mut self, now: Instant, slot: &Slot) {
        if slot.at >= now {
            let first = self.moments.partition_point(|moment| *moment < slot.at);
            self.moments.drain(first..first + slot.n);
        }
    }

    fn is_as_new(&self, now: Instant) -> bool {
        self.moments.back().is_none_or(|last| self.has_left(*last, now))
    }
}
