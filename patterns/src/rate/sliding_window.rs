//! The sliding window: so many in any span of time of that length.

use super::algorithm::{Algorithm, Refused, Sealed, Slot, ns_of};
use std::collections::VecDeque;
use std::time::Duration;

/// So many events in any span of time as long as the window, wherever it begins. It is exact, as it keeps the moment of
/// each event for as long as a window: 8 bytes for each of them, and for each that waits.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    limit: usize,
    window_ns: u64,
    /// The moments of the events, earliest first; those of waiters are yet to come.
    moments_ns: VecDeque<u64>,
}

impl SlidingWindow {
    pub(super) const fn new(limit: usize, window: Duration) -> SlidingWindow {
        assert!(!window.is_zero(), "a window of no length holds no events");
        SlidingWindow { limit, window_ns: ns_of(window), moments_ns: VecDeque::new() }
    }

    /// Whether that event has left all windows that are still to come.
    fn has_left(&self, moment_ns: u64, now_ns: u64) -> bool {
        now_ns.saturating_sub(moment_ns) >= self.window_ns
    }
}

impl Algorithm for SlidingWindow {}

impl Sealed for SlidingWindow {
    fn take(&mut self, now_ns: u64, n: usize, latest_ns: u64) -> Result<Slot, Refused> {
        if n > self.limit {
            return Err(Refused::Never);
        }
        while self.moments_ns.front().is_some_and(|first_ns| self.has_left(*first_ns, now_ns)) {
            self.moments_ns.pop_front();
        }
        let last_ns = self.moments_ns.back().copied().unwrap_or(now_ns);
        // The latest event that has to leave before these come.
        let leaves = (self.moments_ns.len() + n).checked_sub(self.limit + 1).map(|nth| self.moments_ns[nth]);
        let left_ns = match leaves {
            Some(leaves_ns) => leaves_ns.checked_add(self.window_ns).ok_or(Refused::Never)?,
            None => now_ns,
        };
        let at_ns = now_ns.max(left_ns).max(last_ns);
        Refused::if_late(at_ns, latest_ns)?;
        self.moments_ns.extend(std::iter::repeat_n(at_ns, n));
        Ok(Slot { at_ns, n, per_sec: 0.0 })
    }

    fn give_back(&mut self, now_ns: u64, slot: &Slot) {
        if slot.at_ns >= now_ns {
            let first = self.moments_ns.partition_point(|moment_ns| *moment_ns < slot.at_ns);
            self.moments_ns.drain(first..first + slot.n);
        }
    }

    fn is_as_new(&self, now_ns: u64) -> bool {
        self.moments_ns.back().is_none_or(|last_ns| self.has_left(*last_ns, now_ns))
    }
}
