//! The fixed window: so many in each span of time, counted from the first event.

use super::algorithm::{Algorithm, Refused, Sealed, Slot};
use std::time::{Duration, Instant};

/// So many events in each window, and the windows follow each other. It needs only two numbers, but **twice as many
/// events may come together** around the end of a window: all at the end of one, and all at the beginning of the next.
/// Where that matters, use a [`SlidingWindow`](super::SlidingWindow) or a [`TokenBucket`](super::TokenBucket).
#[derive(Clone, Debug)]
pub struct FixedWindow {
    limit: usize,
    window: Duration,
    /// The beginning of the latest window of which permits were given out; it may be yet to come.
    start: Option<Instant>,
    /// How many were given out of it.
    used: usize,
}

impl FixedWindow {
    pub(super) const fn new(limit: usize, window: Duration) -> FixedWindow {
        assert!(!window.is_zero(), "a window of no length holds no events");
        FixedWindow { limit, window, start: None, used: 0 }
    }

    /// The beginning of the window that `now` is in, where one begins at `start`.
    fn window_of(&self, start: Instant, now: Instant) -> Instant {
        let into = now.saturating_duration_since(start).as_nanos() % self.window.as_nanos();
        // It is less than a window, and a window is a `Duration`.
        now - Duration::new((into / 1_000_000_000) as u64, (into % 1_000_000_000) as u32)
    }
}

impl Algorithm for FixedWindow {}

impl Sealed for FixedWindow {
    fn take(&mut self, now: Instant, n: usize, latest: Option<Instant>) -> Result<Slot, Refused> {
        if n > self.limit {
            return Err(Refused::Never);
        }
        let (mut start, mut used) = match self.start {
            None => (now, 0),
            Some(start) if start > now => (start, self.used),
            Some(start) => {
                let current = self.window_of(start, now);
                (current, if current == start { self.used } else { 0 })
            }
        };
        if used + n > self.limit {
            start = start.checked_add(self.window).ok_or(Refused::Never)?;
            used = 0;
        }
        let at = start.max(now);
        Refused::if_late(now, at, latest)?;
        (self.start, self.used) = (Some(start), used + n);
        Ok(Slot { at, n, per_sec: 0.0 })
    }

    /// Only what is of the latest window.
    fn give_back(&mut self, now: Instant, slot: &Slot) {
        if slot.at >= now && self.start.is_some_and(|start| slot.at >= start) {
            self.used -= slot.n;
        }
    }

    fn is_as_new(&self, now: Instant) -> bool {
        self.start.is_none_or(|start| now.saturating_duration_since(start) >= self.window)
    }
}
