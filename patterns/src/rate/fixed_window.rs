//! The fixed window: so many in each span of time, counted from the first event.

use super::algorithm::{Algorithm, Refused, Sealed, Slot, ns_of};
use std::time::Duration;

/// So many events in each window, and the windows follow each other. It needs only two numbers, but **twice as many
/// events may come together** around the end of a window: all at the end of one, and all at the beginning of the next.
/// Where that matters, use a [`SlidingWindow`](super::SlidingWindow) or a [`TokenBucket`](super::TokenBucket).
#[derive(Clone, Debug)]
pub struct FixedWindow {
    limit: usize,
    window_ns: u64,
    /// The beginning of the latest window of which permits were given out; it may be yet to come.
    start_ns: Option<u64>,
    /// How many were given out of it.
    used: usize,
}

impl FixedWindow {
    pub(super) const fn new(limit: usize, window: Duration) -> FixedWindow {
        assert!(!window.is_zero(), "a window of no length holds no events");
        FixedWindow { limit, window_ns: ns_of(window), start_ns: None, used: 0 }
    }
}

impl Algorithm for FixedWindow {}

impl Sealed for FixedWindow {
    fn take(&mut self, now_ns: u64, n: usize, latest_ns: u64) -> Result<Slot, Refused> {
        if n > self.limit {
            return Err(Refused::Never);
        }
        let (mut start_ns, mut used) = match self.start_ns {
            None => (now_ns, 0),
            // The window of `start_ns` lasts, or has not begun.
            Some(start_ns) if now_ns < start_ns || now_ns - start_ns < self.window_ns => (start_ns, self.used),
            Some(start_ns) => (now_ns - (now_ns - start_ns) % self.window_ns, 0),
        };
        if used + n > self.limit {
            start_ns = start_ns.checked_add(self.window_ns).ok_or(Refused::Never)?;
            used = 0;
        }
        let at_ns = start_ns.max(now_ns);
        Refused::if_late(at_ns, latest_ns)?;
        (self.start_ns, self.used) = (Some(start_ns), used + n);
        Ok(Slot { at_ns, n, per_sec: 0.0 })
    }

    /// Only what is of the latest window.
    fn give_back(&mut self, now_ns: u64, slot: &Slot) {
        if slot.at_ns >= now_ns && self.start_ns.is_some_and(|start_ns| slot.at_ns >= start_ns) {
            self.used -= slot.n;
        }
    }

    fn is_as_new(&self, now_ns: u64) -> bool {
        self.start_ns.is_none_or(|start_ns| now_ns.saturating_sub(start_ns) >= self.window_ns)
    }
}
